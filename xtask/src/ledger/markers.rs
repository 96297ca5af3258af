//! Finding `[MUST-n]` and its kin in comments.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::book;
use crate::source::{self, RustFile, TextFile};

/// The folders whose comments count.
const FOLDERS: [&str; 3] = ["crates", "interop", "tests"];

/// A label in square brackets in a comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Marker {
    pub(super) label: String,
    pub(super) path: PathBuf,
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) in_test: bool,
}

/// Every marker in the Rust files and packet scripts among `files`. A packet script is a test from its first line to its last.
pub(super) fn find(files: &[TextFile]) -> Result<Vec<Marker>> {
    let mut markers = Vec::new();
    let ours = |path: &Path| FOLDERS.iter().any(|folder| path.starts_with(folder));
    for rust in source::rust_files(files)?
        .iter()
        .filter(|rust| ours(&rust.file.path))
    {
        let RustFile { file, .. } = rust;
        collect(file, "//", &mut markers, &|line| rust.is_test_line(line));
    }
    for script in files
        .iter()
        .filter(|file| file.extension() == "pkt" && ours(&file.path))
    {
        collect(script, "//", &mut markers, &|_| true);
        collect(script, "#", &mut markers, &|_| true);
    }
    Ok(markers)
}

fn collect(
    file: &TextFile,
    comment_start: &str,
    markers: &mut Vec<Marker>,
    in_test: &dyn Fn(usize) -> bool,
) {
    for (index, text) in file.text.lines().enumerate() {
        let Some(comment) = text.find(comment_start).map(|start| &text[start..]) else {
            continue;
        };
        for label in labels_in(comment) {
            let line = index + 1;
            markers.push(Marker {
                label,
                path: file.path.clone(),
                line,
                in_test: in_test(line),
            });
        }
    }
}

/// The labels in square brackets in `comment`. Whatever has the form of a label counts, so that a wrong number is seen.
fn labels_in(comment: &str) -> impl Iterator<Item = String> {
    comment.split('[').skip(1).filter_map(|rest| {
        let label = rest.split(']').next()?;
        let (kind, number) = label.split_once('-')?;
        (book::is_kind(kind)
            && !number.is_empty()
            && number.bytes().all(|octet| octet.is_ascii_digit()))
        .then(|| label.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_from_comments_only() {
        let found: Vec<String> = labels_in(
            "/// Does it ([MUST-7], [SHLD-31]) see [`Segment`], [MUST-x], MUST-8, [RFC-1], [RFC7323-4].",
        )
        .collect();
        assert_eq!(found, ["MUST-7", "SHLD-31", "RFC7323-4"]);
        let files = [TextFile {
            path: "crates/a/src/lib.rs".into(),
            text: "const A: &str = \"[MUST-1]\";\nconst B: u8 = 1; // [MUST-2]\n#[cfg(test)]\nmod tests {\n// [MUST-3]\n}\n".into(),
        }];
        let found: Vec<(String, usize, bool)> = find(&files)
            .unwrap()
            .into_iter()
            .map(|marker| (marker.label, marker.line, marker.in_test))
            .collect();
        assert_eq!(
            found,
            [
                ("MUST-2".to_owned(), 2, false),
                ("MUST-3".to_owned(), 5, true)
            ]
        );
    }

    #[test]
    fn packet_scripts_are_tests_and_other_folders_do_not_count() {
        let file = |path: &str| TextFile {
            path: path.into(),
            text: "// [MUST-1]\n".into(),
        };
        let files = [
            file("tests/scripts/grid/a.pkt"),
            TextFile {
                path: "tests/scripts/grid/b.pkt".into(),
                text: "# [MUST-1]\n".into(),
            },
            file("xtask/src/a.rs"),
            file("docs/a.pkt"),
        ];
        let found = find(&files).unwrap();
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|marker| marker.in_test));
    }
}
