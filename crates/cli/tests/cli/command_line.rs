//! Help, versions, and every way to ask for something impossible.

use crate::common::{failure, stdout, temporary};

#[test]
fn help_is_complete() {
    insta::assert_snapshot!(stdout(&["--help"]));
    insta::assert_snapshot!(stdout(&["lab", "--help"]));
    assert!(stdout(&["lab", "-h"]).contains("handwave lab --help"));
}

#[test]
fn the_version_is_told() {
    assert_eq!(
        stdout(&["--version"]),
        format!("handwave {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn impossible_wishes_are_usage_errors() {
    for (args, reason) in [
        (&["lab", "nonsense"][..], "possible values"),
        (&["lab", "--loss", "101"], "between 0 and 100"),
        (&["lab", "--loss", "few"], "does not begin with a number"),
        (&["lab", "--delay", "20 parsecs"], "no unit of time"),
        (&["lab", "--rate", "0"], "between 800bit"),
        (&["lab", "--mtu", "100"], "100"),
        (&["lab", "--mtu", "600", "--ipv6"], "RFC 8200"),
        (&["lab", "--size", "1GiB"], "at most 256 MiB"),
        (&["lab", "--size", "1", "--stdin"], "cannot be used with"),
        (
            &["lab", "handshake", "--size", "1"],
            "belong to the scenario transfer",
        ),
        (&["lab", "--lang", "tlh"], "en and zh-CN"),
        (&["lab", "--color=sometimes"], "always"),
        (&["nonsense"], "unrecognized subcommand"),
        (&[], "Usage"),
    ] {
        let (code, stderr) = failure(args);
        assert_eq!(code, Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(reason), "{args:?}: {stderr}");
        assert!(
            !stderr.contains("panicked") && !stderr.contains("bug"),
            "{stderr}"
        );
    }
}

#[test]
fn unreadable_input_is_explained() {
    let folder = env!("CARGO_TARGET_TMPDIR");
    let missing = temporary("missing/payload.bin");
    for (path, reason) in [
        (folder, "it is a directory"),
        (missing.to_str().unwrap(), "No such file"),
    ] {
        let (code, stderr) = failure(&["lab", "--file", path]);
        assert_eq!(code, Some(3), "{stderr}");
        assert!(
            stderr.contains(reason) && stderr.contains("try:"),
            "{stderr}"
        );
    }
}

#[test]
fn a_capture_that_cannot_be_written_is_noticed_before_anything_runs() {
    let path = temporary("missing/lab.pcapng");
    let (code, stderr) = failure(&["lab", "--pcap", path.to_str().unwrap()]);
    assert_eq!(code, Some(3), "{stderr}");
    assert!(
        stderr.contains("cannot write") && stderr.contains("try:"),
        "{stderr}"
    );
}
