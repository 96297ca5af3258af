//! `handwave script`: what it says of scripts, and of captures that are to become scripts.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{SCENARIOS, failure, run, stdout, temporary};
use serde_json::Value;

const PASSES: &str = "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 listen(3, 1) = 0\n";
const FAILS: &str = "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 listen(3, 1) = 1\n";

/// A folder of scripts: each name and text.
fn folder(name: &str, scripts: &[(&str, &str)]) -> PathBuf {
    let folder = temporary(name);
    for (name, text) in scripts {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn folders_are_counted_and_the_failing_line_is_named_once() {
    let scripts = [("a/1.pkt", PASSES), ("a/2.pkt", FAILS), ("b/3.pkt", PASSES)];
    let folder = folder("counts", &scripts);
    let output = run(&["script", text(&folder)]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    let said = said.replace(text(&folder), "DIR");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(
        lines[0],
        "DIR/a/2.pkt:2: at 0 s: listen returned something else"
    );
    let counts: Vec<Vec<&str>> = lines[lines.len() - 3..]
        .iter()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(counts[0][1..], ["1", "passed,", "1", "failed"]);
    assert_eq!(counts[1][1..], ["1", "passed"]);
    assert_eq!(counts[2], ["2", "passed,", "1", "failed"]);
}

#[test]
fn programs_get_one_document() {
    let scripts = [
        ("1.pkt", PASSES),
        ("2.pkt", FAILS),
        ("3.pkt", "0 close(3)\n"),
    ];
    let folder = folder("json", &scripts);
    let output = run(&["script", "--json", text(&folder)]);
    assert_eq!(output.status.code(), Some(3));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let count = |name: &str| document[name].as_u64().unwrap();
    assert_eq!(
        [count("passed"), count("failed"), count("unusable")],
        [1, 1, 1]
    );
    let failed = &document["scripts"][1];
    assert_eq!(failed["result"], "failed");
    assert_eq!(failed["line"], 2);
    assert_eq!(failed["actual"], "listen(3, 1) = 0");
    let unusable = &document["scripts"][2];
    assert_eq!(
        (unusable["line"].as_u64(), unusable["column"].as_u64()),
        (Some(1), Some(11))
    );
}

#[test]
fn what_is_no_script_is_shown_with_its_line_and_column() {
    let folder = folder("unusable", &[("1.pkt", "0 socket(..., SOCK_STREAM\n")]);
    let output = run(&["script", text(&folder)]);
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8(output.stdout).unwrap();
    let first = said.lines().next().unwrap();
    assert!(first.contains("1.pkt:1:26: expected"), "{first}");
    assert!(said.contains("╭─["), "{said}");
    assert!(said.ends_with("0 passed, 1 unusable\n"), "{said}");
}

#[test]
fn a_trace_shows_what_came_before_the_failing_line() {
    let script = "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 bind(3, ..., ...) = 0\n\
        +0 listen(3, 1) = 0\n+0 < S 0:0(0) win 65535 <mss 1000>\n+0 > S. 0:0(0) ack 2 <mss 1460>\n";
    let path = folder("trace", &[("1.pkt", script)]).join("1.pkt");
    let output = run(&["script", "--trace", text(&path)]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains("|---> < S 0:0(0) win 65535 <mss 1000>\n"),
        "{said}"
    );
    assert!(said.contains("|<--- > S. 0:0(0) ack 1 win "), "{said}");
}

#[test]
fn a_recorded_scenario_passes() {
    for scenario in SCENARIOS {
        let capture = temporary(&format!("record-{scenario}.pcapng"));
        let script = temporary(&format!("record-{scenario}.pkt"));
        let size: &[&str] = if scenario == "transfer" {
            &["--size", "57920"]
        } else {
            &[]
        };
        stdout(
            &[
                &["lab", scenario, "--brief", "--pcap", text(&capture)],
                size,
            ]
            .concat(),
        );
        // Its first connection is a segment that nobody sent.
        let stream: &[&str] = if scenario == "old-duplicate" {
            &["--stream", "1"]
        } else {
            &[]
        };
        let record = ["script", "--record", text(&capture), "-o", text(&script)];
        stdout(&[&record, stream].concat());
        assert_eq!(
            stdout(&["script", text(&script)]),
            "1 passed\n",
            "{scenario}"
        );
    }
}

#[test]
fn losses_and_other_ip_versions_are_recorded_too() {
    // Whole segments: a last one that is odd may travel in a super-segment here, and not in the lab.
    for (index, network) in [
        &["--size", "57920", "--loss", "2%", "--seed", "7"][..],
        &["--size", "57920", "--reorder", "3%"],
        &["--size", "57984", "--ipv6", "--mtu", "1280"],
    ]
    .into_iter()
    .enumerate()
    {
        let capture = temporary(&format!("record-network-{index}.pcapng"));
        let lab = ["lab", "transfer", "--brief", "--pcap", text(&capture)];
        stdout(&[&lab, network].concat());
        let script = temporary(&format!("record-network-{index}.pkt"));
        fs::write(&script, stdout(&["script", "--record", text(&capture)])).unwrap();
        assert_eq!(
            stdout(&["script", text(&script)]),
            "1 passed\n",
            "{network:?}"
        );
    }
}

#[test]
fn the_other_end_can_be_recorded_from_the_same_capture() {
    for scenario in ["teardown-3", "half-close", "reset", "simultaneous-close"] {
        let capture = temporary(&format!("record-server-{scenario}.pcapng"));
        stdout(&["lab", scenario, "--brief", "--pcap", text(&capture)]);
        let script = stdout(&["script", "--record", text(&capture), "--side", "server"]);
        assert!(script.contains("accept(3, ..., ...) = 4"), "{script}");
    }
}

#[test]
fn a_capture_of_linux_becomes_scripts_of_both_ends() {
    let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/captures/kernel.pcap");
    for side in ["client", "server"] {
        let script = temporary(&format!("record-kernel-{side}.pkt"));
        stdout(&[
            "script",
            "--record",
            text(&capture),
            "--side",
            side,
            "-o",
            text(&script),
        ]);
        assert_eq!(stdout(&["script", text(&script)]), "1 passed\n", "{side}");
    }
}

#[test]
fn captures_that_cannot_become_a_script_say_why() {
    let no_capture = temporary("no.pcapng");
    fs::write(&no_capture, "not a capture").unwrap();
    let (code, said) = failure(&["script", "--record", text(&no_capture)]);
    assert_eq!(code, Some(3));
    assert!(said.contains("as a capture"), "{said}");

    let empty = temporary("empty.pcapng");
    let link = handwave_capture::LinkType::RawIp;
    handwave_capture::Writer::create(&empty, link, "nothing")
        .unwrap()
        .finish()
        .unwrap();
    let (code, said) = failure(&["script", "--record", text(&empty)]);
    assert_eq!(code, Some(3));
    assert!(said.contains("there is no TCP in"), "{said}");

    let several = temporary("several.pcapng");
    stdout(&["lab", "old-duplicate", "--brief", "--pcap", text(&several)]);
    let (code, said) = failure(&["script", "--record", text(&several)]);
    assert_eq!(code, Some(2));
    assert!(said.contains("there are 2 connections in"), "{said}");
    assert!(said.contains("1: 10.0.0.1:49152 > 10.0.0.2:4000"), "{said}");
    let (code, said) = failure(&["script", "--record", text(&several), "--stream", "7"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("there is no connection 7 in"), "{said}");
    let (code, said) = failure(&["script", "--record", text(&several), "--stream", "0"]);
    assert_eq!(code, Some(3));
    assert!(said.contains("begins in the middle"), "{said}");
}
