//! `--pcap`: what our own reader and tshark make of it.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::common::{SCENARIOS, stdout, temporary};
use handwave_capture::{Direction, LinkType, Reader};

/// Plays a scenario into a capture.
fn captured(name: &str, args: &[&str]) -> std::path::PathBuf {
    let path = temporary(name);
    stdout(&[&["lab", "--brief", "--pcap", path.to_str().unwrap()], args].concat());
    path
}

#[test]
fn the_capture_holds_what_the_client_saw() {
    let path = captured("handshake.pcapng", &["handshake"]);
    let packets: Vec<_> = Reader::open(&path).unwrap().map(Result::unwrap).collect();
    let mut reader = Reader::open(&path).unwrap();
    let first = reader.next().unwrap().unwrap();
    assert_eq!(reader.link_type(first.interface), Some(LinkType::RawIp));
    assert_eq!(reader.interface(first.interface).unwrap().name, "client");
    let times: Vec<_> = packets.iter().map(|packet| packet.time).collect();
    assert_eq!(times, [0, 40, 40].map(Duration::from_millis));
    let directions: Vec<_> = packets
        .iter()
        .map(|packet| packet.direction.unwrap())
        .collect();
    assert_eq!(
        directions,
        [Direction::Outbound, Direction::Inbound, Direction::Outbound]
    );
    let comments: Vec<_> = packets
        .iter()
        .map(|packet| packet.comment.clone().unwrap())
        .collect();
    assert!(
        comments[0].starts_with("The client asks to open"),
        "{comments:?}"
    );
    assert!(comments[1].contains("the client knows"), "{comments:?}");
    assert!(comments[2].starts_with("The third segment"), "{comments:?}");
}

#[test]
fn comments_stay_with_their_packets_when_packets_are_lost_and_copied() {
    let faults = [
        "--size",
        "60KiB",
        "--loss",
        "5%",
        "--duplicate",
        "5%",
        "--lang",
        "zh-CN",
    ];
    let path = captured("faults.pcapng", &faults);
    let mut fins = 0;
    for packet in Reader::open(&path).unwrap() {
        let packet = packet.unwrap();
        let flags = packet.data[33];
        let comment = packet.comment.unwrap();
        if flags & 0x02 != 0 {
            assert!(
                comment.contains("SYN") || comment.contains("重传"),
                "{comment}"
            );
        } else if flags & 0x01 != 0 {
            fins += 1;
            assert!(
                comment.contains("FIN") || comment.contains("重传"),
                "{comment}"
            );
        }
    }
    assert!(fins >= 2);
}

#[test]
fn tshark_finds_no_fault() {
    if Command::new("tshark").arg("--version").output().is_err() {
        let _ = writeln!(std::io::stderr(), "SKIPPED: tshark is not installed");
        return;
    }
    for scenario in SCENARIOS {
        for ipv6 in [false, true] {
            let mut args = vec![scenario];
            args.extend(ipv6.then_some("--ipv6"));
            args.extend((scenario == "transfer").then_some("--size=300KiB"));
            args.extend((scenario == "transfer").then_some("--loss=2%"));
            let path = captured(&format!("{scenario}-{ipv6}.pcapng"), &args);
            tshark_accepts(&path);
        }
    }
}

fn tshark_accepts(path: &Path) {
    let fields = [
        "_ws.malformed",
        "tcp.checksum.status",
        "ip.checksum.status",
        "tcp.len",
    ];
    let mut tshark = Command::new("tshark");
    tshark
        .arg("-r")
        .arg(path)
        .args(["-T", "fields", "-E", "separator=,"]);
    tshark.args([
        "-o",
        "tcp.check_checksum:TRUE",
        "-o",
        "ip.check_checksum:TRUE",
    ]);
    for field in fields {
        tshark.args(["-e", field]);
    }
    let output = tshark.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().count() >= 3, "{}: {text}", path.display());
    for (number, line) in text.lines().enumerate() {
        let [malformed, tcp, ip, _] = line.split(',').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let place = format!("{} packet {}: {line}", path.display(), number + 1);
        assert_eq!(malformed, "", "{place}");
        assert_eq!(tcp, "1", "a bad TCP checksum: {place}");
        assert!(ip == "1" || ip.is_empty(), "a bad IP checksum: {place}");
    }
}
