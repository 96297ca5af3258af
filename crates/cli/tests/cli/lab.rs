//! `handwave lab` from the outside: pictures, documents, data.

use std::io::{Read as _, Write as _};
use std::process::Stdio;

use crate::common::{SCENARIOS, handwave, stdout, temporary};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// The picture without the one line that depends on the machine.
fn picture(args: &[&str]) -> String {
    let text = stdout(&[&["lab", "--width", "100"], args].concat());
    text.lines()
        .filter(|line| !line.starts_with("  time ") && !line.starts_with("  时间"))
        .fold(String::new(), |text, line| text + line + "\n")
}

fn document(args: &[&str]) -> Value {
    serde_json::from_str(&stdout(&[&["lab", "--json"], args].concat())).unwrap()
}

/// The keys of all sentences of a story.
fn keys(document: &Value) -> Vec<String> {
    let steps = document["story"]["steps"].as_array().unwrap().iter();
    let says = steps.flat_map(|step| step["says"].as_array().unwrap());
    says.map(|says| says["key"].as_str().unwrap().to_owned())
        .collect()
}

/// The states a side enters, in the order of time.
fn states(document: &Value, side: &str) -> Vec<String> {
    let mut moments = Vec::new();
    for step in document["story"]["steps"].as_array().unwrap() {
        if step["from"] == side {
            moments.push((step["at_ns"].as_u64(), &step["sender"]));
        } else if step["kind"] == "segment" {
            moments.push((step["arrived_at_ns"].as_u64(), &step["receiver"]));
        } else if step["side"] == side {
            moments.push((step["at_ns"].as_u64(), &step["state"]));
        }
    }
    moments.sort_by_key(|(at, _)| *at);
    let mut states: Vec<String> = Vec::new();
    for (_, change) in moments {
        for key in ["before", "after"] {
            if let Some(state) = change[key].as_str()
                && states.last().is_none_or(|last| last != state)
            {
                states.push(state.to_owned());
            }
        }
    }
    states
}

#[test]
fn every_scenario_draws_its_ladder() {
    for scenario in SCENARIOS {
        let size: &[&str] = if scenario == "transfer" {
            &["--size", "64KiB"]
        } else {
            &[]
        };
        insta::assert_snapshot!(scenario, picture(&[&[scenario], size].concat()));
    }
}

#[test]
fn the_ladder_speaks_chinese() {
    insta::assert_snapshot!(picture(&["teardown-3", "--lang", "zh-CN"]));
}

/// No snapshot: what is repaired how is the business of loss recovery, which learns.
#[test]
fn losses_are_drawn_with_what_follows_from_them() {
    let args = [
        "transfer", "--size", "256KiB", "--loss", "4%", "--seed", "5", "--brief",
    ];
    let picture = picture(&args);
    let number = |line: &str| {
        let seq = line
            .split_whitespace()
            .find(|word| word.starts_with("SEQ="));
        seq.map(str::to_owned)
    };
    let lost: Vec<_> = picture
        .lines()
        .filter(|line| line.contains("╳ lost") && line.contains("LEN=") && !line.contains("again"))
        .map(|line| number(line).unwrap())
        .collect();
    assert!(!lost.is_empty() && lost.len() <= 3, "{picture}");
    for seq in lost {
        let repaired = picture.lines().any(|line| {
            line.contains("(again)") && !line.contains("lost") && number(line) == Some(seq.clone())
        });
        assert!(repaired, "{seq} is lost and not seen again:\n{picture}");
    }
    assert!(
        picture.contains("segments") && picture.contains("sent again"),
        "{picture}"
    );
}

#[test]
fn the_same_seed_gives_the_same_packets() {
    let args = [
        "--size", "300KiB", "--loss", "3%", "--jitter", "3ms", "--all",
    ];
    let with_seed = |seed| picture(&[&args[..], &["--seed", seed]].concat());
    assert_eq!(with_seed("1"), with_seed("1"));
    assert_ne!(with_seed("1"), with_seed("2"));
}

#[test]
fn every_line_fits_the_width_that_was_asked_for() {
    for width in ["60", "80", "100", "120"] {
        for lang in ["en", "zh-CN"] {
            let args = ["lab", "lost-last-ack", "--width", width, "--lang", lang];
            for line in stdout(&args)
                .lines()
                .filter(|line| !line.contains("SHA-256"))
            {
                assert!(
                    handwave_story::width(line) <= width.parse().unwrap(),
                    "{width}: {line}"
                );
            }
        }
    }
}

#[test]
fn colours_come_only_when_asked_for() {
    assert!(!stdout(&["lab", "handshake"]).contains('\u{1b}'));
    assert!(stdout(&["lab", "handshake", "--color"]).contains('\u{1b}'));
    assert!(stdout(&["lab", "handshake", "--color=always"]).contains('\u{1b}'));
    assert!(!stdout(&["lab", "handshake", "--no-color"]).contains('\u{1b}'));
}

#[test]
fn data_survives_whatever_the_network_does() {
    for seed in 1..=12 {
        let faults =
            "--loss 4% --corrupt 2% --duplicate 3% --reorder 4% --jitter 7ms --rate 20mbit";
        let seed = seed.to_string();
        let mut args = vec!["--size", "400KiB", "--seed", &seed];
        args.extend(faults.split(' '));
        if seed.len() > 1 {
            args.push("--ipv6");
        }
        let document = document(&args);
        assert_eq!(document["result"]["fine"], true, "seed {seed}");
        assert_eq!(document["result"]["data"]["received_octets"], 400 * 1024);
        assert!(
            document["result"]["resent"].as_u64().unwrap() > 0,
            "seed {seed}"
        );
    }
}

#[test]
fn the_document_carries_the_hash_of_the_file() {
    let path = temporary("payload.bin");
    let octets: Vec<u8> = (0..100_000_u32)
        .map(|n| u8::try_from(n % 251).unwrap())
        .collect();
    std::fs::write(&path, &octets).unwrap();
    let hash: String = Sha256::digest(&octets)
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect();
    let document = document(&["--file", path.to_str().unwrap(), "--loss", "1%"]);
    let data = &document["result"]["data"];
    assert_eq!(data["sha256"], hash);
    assert_eq!(data["received_sha256"], hash);
    assert_eq!(data["octets"], 100_000);
    assert_eq!(data["whole"], true);
    assert_eq!(document["scenario"], "transfer");
    assert_eq!(document["network"]["loss"], 0.01);
}

#[test]
fn standard_input_is_sent_too() {
    let mut child = handwave(&["lab", "--stdin", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"hello").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let hello = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    assert_eq!(document["result"]["data"]["received_sha256"], hello);
}

#[test]
fn an_empty_file_arrives_as_well() {
    let document = document(&["--size", "0"]);
    assert_eq!(document["result"]["fine"], true);
    assert_eq!(document["result"]["data"]["received_octets"], 0);
}

#[test]
fn both_ends_of_a_transfer_walk_through_the_states_of_the_book() {
    let document = document(&["--size", "10KiB"]);
    let client = [
        "CLOSED",
        "SYN-SENT",
        "ESTABLISHED",
        "FIN-WAIT-1",
        "FIN-WAIT-2",
        "TIME-WAIT",
    ];
    assert_eq!(states(&document, "a")[..6], client);
    assert_eq!(states(&document, "a")[6..], ["CLOSED"], "after 2 MSL");
    let server = [
        "LISTEN",
        "SYN-RECEIVED",
        "ESTABLISHED",
        "CLOSE-WAIT",
        "LAST-ACK",
        "CLOSED",
    ];
    assert_eq!(states(&document, "b"), server);
    let third = &document["story"]["steps"][3];
    assert_eq!(
        (&third["number"], &third["flags"]),
        (&3.into(), &".".into())
    );
    assert_eq!((&third["seq"], &third["ack"]), (&1.into(), &1.into()));
}

#[test]
fn each_scenario_says_what_it_is_about() {
    for (scenario, wanted) in [
        (
            "handshake",
            &[
                "syn-opens",
                "syn-ack-agrees",
                "opener-knows",
                "handshake-ack",
                "answerer-knows",
            ][..],
        ),
        (
            "teardown-3",
            &["fin-closes", "fin-merged", "last-ack", "timer-time-wait"],
        ),
        (
            "half-close",
            &["fin-acknowledged", "data-half-closed", "fin-of-second"],
        ),
        (
            "simultaneous-open",
            &["syn-crosses", "syn-ack-after-crossing", "crossed-open-done"],
        ),
        ("simultaneous-close", &["fins-cross", "ack-of-crossed-fin"]),
        ("lost-syn", &["lost", "repeated-after-timeout"]),
        (
            "lost-last-ack",
            &["last-ack", "lost", "fin-repeated", "time-wait-answers"],
        ),
        ("reset", &["rst-aborts", "reset-done"]),
        (
            "zero-window",
            &[
                "window-shut",
                "window-probe",
                "probe-answered",
                "window-reopens",
                "resumes-after-probe",
            ],
        ),
        (
            "old-duplicate",
            &[
                "old-duplicate",
                "syn-ack-for-old-syn",
                "rst-no-connection",
                "back-to-listen",
                "outside-window",
            ],
        ),
    ] {
        let document = document(&[scenario]);
        let keys = keys(&document);
        let mut position = 0;
        for key in wanted {
            let found = keys[position..].iter().position(|said| said == key);
            position += found
                .unwrap_or_else(|| panic!("{scenario} lacks {key} after {position}: {keys:?}"));
        }
        assert_eq!(document["result"]["fine"], true, "{scenario}");
    }
}

#[test]
fn variables_follow_the_segments() {
    let document = document(&["half-close", "--all"]);
    let mut ends = 0;
    for step in document["story"]["steps"].as_array().unwrap() {
        let vars = &step["sender"]["vars"];
        if vars.is_null() || step["sender"]["after"] == "SYN-SENT" {
            continue;
        }
        // What has just left ends at SND.NXT, and acknowledges RCV.NXT.
        let len = step["len"].as_i64().unwrap();
        let flags = step["flags"].as_str().unwrap();
        let numbers = len + i64::from(flags.contains(['S', 'F']));
        assert_eq!(
            vars["snd_nxt"].as_i64(),
            Some(step["seq"].as_i64().unwrap() + numbers)
        );
        assert_eq!(vars["rcv_nxt"], step["ack"]);
        ends += 1;
    }
    assert!(ends >= 10, "{ends}");
    assert!(picture(&["handshake", "--vars"]).contains("SND.UNA=X+1 SND.NXT=X+1"));
}

#[test]
fn simultaneous_open_and_close_cross_in_both_directions() {
    let open = document(&["simultaneous-open"]);
    for side in ["a", "b"] {
        assert_eq!(
            states(&open, side),
            ["CLOSED", "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED"]
        );
    }
    let close = document(&["simultaneous-close"]);
    for side in ["a", "b"] {
        let states = states(&close, side);
        let end = ["FIN-WAIT-1", "CLOSING", "TIME-WAIT", "CLOSED"];
        assert!(
            states.ends_with(&end.map(str::to_owned)),
            "{side}: {states:?}"
        );
    }
}

#[test]
fn a_path_that_loses_everything_fails_with_a_reason() {
    let output = crate::common::run(&["lab", "--loss", "100%", "--size", "1k"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("connection timed out"), "{text}");
    assert!(text.contains("given up"), "{text}");
}

#[test]
fn a_reader_that_goes_away_ends_it_in_silence() {
    let mut child = handwave(&["lab", "--size", "4MiB", "--all"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}
