//! Runs the program.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// The program with a neutral environment.
pub(crate) fn handwave(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_handwave"));
    command.args(args).stdin(Stdio::null());
    for name in [
        "LC_ALL",
        "LC_MESSAGES",
        "LANG",
        "NO_COLOR",
        "CLICOLOR_FORCE",
        "COLUMNS",
    ] {
        command.env_remove(name);
    }
    command
}

/// Runs it to its end.
pub(crate) fn run(args: &[&str]) -> Output {
    handwave(args).output().unwrap()
}

/// Standard output of a run that has to succeed.
pub(crate) fn stdout(args: &[&str]) -> String {
    let output = run(args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{args:?}: {:?}\n{stderr}",
        output.status
    );
    assert_eq!(stderr, "", "{args:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Exit code and standard error.
pub(crate) fn failure(args: &[&str]) -> (Option<i32>, String) {
    let output = run(args);
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// A fresh path for a file.
pub(crate) fn temporary(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("handwave-cli");
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}

/// Every scenario.
pub(crate) const SCENARIOS: [&str; 11] = [
    "transfer",
    "handshake",
    "teardown-3",
    "half-close",
    "simultaneous-open",
    "simultaneous-close",
    "lost-syn",
    "lost-last-ack",
    "reset",
    "zero-window",
    "old-duplicate",
];
