//! The tree as the checks see it: which files there are, and which of their lines are test code.

use std::collections::BTreeSet;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use syn::spanned::Spanned as _;

/// Folders that hold nothing of ours.
const SKIPPED_FOLDERS: [&str; 3] = ["target", ".git", "node_modules"];

/// One text file of the tree.
#[derive(Debug)]
pub(crate) struct TextFile {
    /// Relative to the root, with forward slashes.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

impl TextFile {
    pub(crate) fn extension(&self) -> &str {
        self.path
            .extension()
            .and_then(|extension| extension.to_str())
            .unwrap_or_default()
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.extension() == "rs"
    }
}

/// Every text file under `root`, sorted by path. A file that is not UTF-8 is left out.
pub(crate) fn text_files(root: &Path) -> Result<Vec<TextFile>> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
        for entry in entries {
            let entry = entry?;
            let kind = entry.file_type()?;
            let name = entry.file_name();
            if SKIPPED_FOLDERS.iter().any(|skipped| name == *skipped) {
                continue;
            }
            let path = entry.path();
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file()
                && let Ok(text) = String::from_utf8(fs::read(&path)?)
            {
                files.push(TextFile {
                    path: path.strip_prefix(root)?.to_path_buf(),
                    text,
                });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// A Rust file, parsed.
pub(crate) struct RustFile<'a> {
    pub(crate) file: &'a TextFile,
    pub(crate) syntax: syn::File,
    /// Lines inside a `#[cfg(test)]` module written in this file.
    test_lines: Vec<RangeInclusive<usize>>,
    /// The whole file is test code.
    pub(crate) is_test: bool,
}

impl RustFile<'_> {
    /// Whether line `line` (counted from 1) is test code.
    pub(crate) fn is_test_line(&self, line: usize) -> bool {
        self.is_test || self.test_lines.iter().any(|lines| lines.contains(&line))
    }
}

/// Parses the Rust files among `files` and sorts test code from the rest.
///
/// Test code is what lies under a folder `tests`, in a file `tests.rs`, or in a module under `#[cfg(test)]`, whether that module
/// is written in place or in a file of its own.
pub(crate) fn rust_files(files: &[TextFile]) -> Result<Vec<RustFile<'_>>> {
    let mut parsed = Vec::new();
    let mut test_modules = BTreeSet::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let syntax = syn::parse_file(&file.text).map_err(|error| {
            anyhow::anyhow!(
                "{}:{}: {error}",
                file.path.display(),
                error.span().start().line
            )
        })?;
        let mut test_lines = Vec::new();
        collect_test_modules(
            &syntax.items,
            &module_folder(&file.path),
            &mut test_lines,
            &mut test_modules,
        );
        parsed.push(RustFile {
            file,
            syntax,
            test_lines,
            is_test: false,
        });
    }
    for rust in &mut parsed {
        let path = &rust.file.path;
        rust.is_test = path
            .iter()
            .any(|part| part == "tests" || part == "tests.rs")
            || test_modules.iter().any(|module: &PathBuf| {
                path.starts_with(module) || path == &module.with_extension("rs")
            });
    }
    Ok(parsed)
}

/// Where the modules declared in `path` live.
fn module_folder(path: &Path) -> PathBuf {
    let folder = path.parent().unwrap_or(Path::new(""));
    match path.file_stem().and_then(|stem| stem.to_str()) {
        Some("lib" | "main" | "mod") | None => folder.to_path_buf(),
        Some(stem) => folder.join(stem),
    }
}

fn collect_test_modules(
    items: &[syn::Item],
    folder: &Path,
    lines: &mut Vec<RangeInclusive<usize>>,
    modules: &mut BTreeSet<PathBuf>,
) {
    for item in items {
        let syn::Item::Mod(module) = item else {
            continue;
        };
        let inner = folder.join(module.ident.to_string());
        match (&module.content, module.attrs.iter().any(is_cfg_test)) {
            (Some(_), true) => lines.push(module.span().start().line..=module.span().end().line),
            (None, true) => {
                modules.insert(inner);
            }
            (Some((_, items)), false) => collect_test_modules(items, &inner, lines, modules),
            (None, false) => {}
        }
    }
}

fn is_cfg_test(attribute: &syn::Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute
            .parse_args::<syn::Path>()
            .is_ok_and(|path| path.is_ident("test"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &str, text: &str) -> TextFile {
        TextFile {
            path: path.into(),
            text: text.into(),
        }
    }

    #[test]
    fn test_code_is_told_from_the_rest() {
        let files = [
            text(
                "a/src/lib.rs",
                "mod b;\n#[cfg(test)]\nmod harness;\n\n#[cfg(test)]\nmod inline {\n}\n",
            ),
            text("a/src/b.rs", "#[cfg(test)]\nmod table;\n"),
            text("a/src/b/table.rs", ""),
            text("a/src/harness/deep.rs", ""),
            text("a/src/tests.rs", ""),
            text("a/tests/all.rs", ""),
        ];
        let parsed = rust_files(&files).unwrap();
        let whole: Vec<bool> = parsed.iter().map(|rust| rust.is_test).collect();
        assert_eq!(whole, [false, false, true, true, true, true]);
        let lines: Vec<bool> = (1..=8).map(|line| parsed[0].is_test_line(line)).collect();
        assert_eq!(lines, [false, false, false, false, true, true, true, false]);
    }

    #[test]
    fn a_file_that_does_not_parse_is_named_with_its_line() {
        let files = [text("a/src/lib.rs", "fn ok() {}\nfn broken( {}\n")];
        let error = rust_files(&files).err().unwrap().to_string();
        assert!(error.starts_with("a/src/lib.rs:2: "), "{error}");
    }

    #[test]
    fn the_walk_skips_build_output_and_binary_files() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["target", "src"] {
            fs::create_dir(folder.path().join(path)).unwrap();
            fs::write(folder.path().join(path).join("a.rs"), "").unwrap();
        }
        fs::write(folder.path().join("src/b.bin"), [0xff, 0xfe]).unwrap();
        let files = text_files(folder.path()).unwrap();
        let paths: Vec<&Path> = files.iter().map(|file| file.path.as_path()).collect();
        assert_eq!(paths, [Path::new("src/a.rs")]);
    }
}
