//! What README tells the reader to type works.
//!
//! Every line of every `sh` block in README.md is run, or is one of the commands that are covered elsewhere and would otherwise
//! run themselves. A `cargo run --release -- ...` is run with the binary this test was built with: the same program without the
//! minutes of a release build. README.zh-CN.md shows the same commands in the same order. What is Rust is a documentation test of the
//! crate `handwave`.
#![expect(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Commands that are not run here, and what runs them.
const COVERED_ELSEWHERE: [(&str, &str); 6] = [
    ("cargo test --workspace", "runs this very test"),
    (
        "cargo xtask check",
        "xtask's tests run each check on this tree",
    ),
    ("bash .ci/run", "runs everything, this test included"),
    (
        "cargo run --release -p handwave-bench -- bulk",
        "bench/tests/figures.rs runs it for milliseconds instead of minutes",
    ),
    (
        "cargo run --release -p handwave-sim -- --seeds 2000 --first-seed 1",
        "the simulator's own tests run fewer seeds, .ci/run all of them",
    ),
    (
        "cargo test -p handwave-cli --test apps",
        "cargo test --workspace runs it",
    ),
];

/// What begins so needs root or what root has made; `net/readme.rs` runs all of it, in namespaces of its own.
const WITH_ROOT: [&str; 2] = ["sudo ", "curl "];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The `text` blocks of a page.
fn quoted(page: &str) -> Vec<&str> {
    let blocks = page.split("```text\n").skip(1);
    blocks
        .map(|block| block.split("```").next().unwrap_or_default())
        .collect()
}

/// The command lines in the `sh` blocks of a page, continued lines joined, comments left out.
fn commands(page: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut block: Option<&str> = None;
    let mut continued = String::new();
    for line in page.lines() {
        if let Some(language) = line.strip_prefix("```") {
            assert!(
                block.is_some() || ["sh", "text", "rust"].contains(&language),
                "a block of `{language}`, which nobody runs"
            );
            block = if block.is_some() {
                None
            } else {
                Some(language)
            };
            continue;
        }
        let line = line.split(" #").next().unwrap_or_default().trim();
        if block != Some("sh") || line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(begun) = line.strip_suffix('\\') {
            continued.push_str(begun);
        } else {
            commands.push(std::mem::take(&mut continued) + line);
        }
    }
    commands
}

fn page(name: &str) -> Vec<String> {
    commands(&fs::read_to_string(root().join(name)).unwrap())
}

#[test]
fn every_command_in_readme_runs() {
    let commands = page("README.md");
    for promised in ["cargo run --release -- lab", "cargo test --workspace"] {
        assert!(
            commands.iter().any(|command| command == promised),
            "README does not say `{promised}`"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    for command in commands {
        if COVERED_ELSEWHERE
            .iter()
            .any(|(covered, _)| *covered == command)
            || WITH_ROOT.iter().any(|begin| command.starts_with(begin))
        {
            continue;
        }
        let arguments = command
            .strip_prefix("cargo run --release -- ")
            .or_else(|| command.strip_prefix("handwave "))
            .unwrap_or_else(|| panic!("no test runs `{command}`"));
        let output = Command::new(env!("CARGO_BIN_EXE_handwave"))
            .args(arguments.split_whitespace())
            .current_dir(folder.path())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "`{command}` ended with {}:\n{errors}",
            output.status
        );
        assert!(!output.stdout.is_empty(), "`{command}` prints nothing");
    }
}

#[test]
fn what_readme_quotes_is_what_the_lab_prints() {
    let run = |arguments: &str| {
        let mut handwave = Command::new(env!("CARGO_BIN_EXE_handwave"));
        let output = handwave.args(arguments.split(' ')).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let printed = [
        "lab --lang en",
        "lab flood --compare --lang en",
        "lab flood --compare --lang zh-CN",
    ]
    .map(run);
    for name in ["README.md", "README.zh-CN.md"] {
        let page = fs::read_to_string(root().join(name)).unwrap();
        let blocks = quoted(&page);
        assert_eq!(blocks.len(), 2, "{name}");
        for block in blocks {
            // In order, though not without gaps.
            let quotes = |printed: &String| {
                let mut rest = printed.lines();
                block
                    .lines()
                    .all(|line| rest.any(|printed| printed == line))
            };
            assert!(
                printed.iter().any(quotes),
                "{name} quotes what the lab does not print:\n{block}"
            );
        }
    }
}

#[test]
fn both_languages_show_the_same_commands() {
    assert_eq!(page("README.md"), page("README.zh-CN.md"));
}

#[test]
fn blocks_are_read_as_a_shell_would() {
    let page = "text\n```sh\n# why\na b   # c\nd \\\n  e\n```\n```text\nnot this\n```\n";
    assert_eq!(commands(page), ["a b", "d e"]);
}
