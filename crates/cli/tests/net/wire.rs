//! What is on the wire, as tshark judges it.

use std::path::Path;
use std::process::Stdio;

use crate::common::{Running, command, directory_with_file, in_namespace, run, wait_until};

/// Of what we sent: a checksum that does not fit, or anything that tshark cannot read as what it claims to be.
///
/// What the kernel sends is not judged: where it sums in software it writes 0xFFFF for a sum of zero, in TCP too, and tshark rightly
/// points at that.
const FAULTS: &str = "(ip.src == 10.7.0.1 or ipv6.src == fd07::1) \
                      and (tcp.checksum.status == Bad or ip.checksum.status == Bad or _ws.malformed \
                      or _ws.expert.group == Malformed or _ws.expert.group == Checksum)";
const LARGE: usize = 16 << 20;
const SMALL: usize = 256 << 10;

/// Serves with these switches, fetches and uploads a file over both families, and returns how many packets were captured, and which were bad.
fn transfer(switches: &str, len: usize) -> (usize, String) {
    let (served, _file) = directory_with_file(len);
    let here = tempfile::tempdir().unwrap();
    let _server = Running::handwave(&format!(
        "serve --addr 10.7.0.1/24 --addr fd07::1/64 --http 80={} {switches}",
        served.path().display()
    ));
    let capture = here.path().join("capture.pcapng");
    // All of each packet, and room for all of them however slow the disk is.
    let arguments = format!("-q -i hw0 -B 128 -w {}", capture.display());
    let mut dumpcap = command("dumpcap", &arguments);
    let mut dumpcap = dumpcap.stderr(Stdio::null()).spawn().unwrap();
    let len = || std::fs::metadata(&capture).map_or(0, |file| file.len());
    wait_until("the capture to begin", || len() > 0);
    let got = here.path().join("got");
    for host in ["10.7.0.1", "[fd07::1]"] {
        let curl = "-sSgf --max-time 90";
        let url = format!("http://{host}/");
        run("curl", &format!("{curl} -o {} {url}file", got.display()));
        run("curl", &format!("{curl} -T {} {url}", got.display()));
    }
    run("kill", &format!("-INT {}", dumpcap.id()));
    assert!(dumpcap.wait().unwrap().success(), "dumpcap");
    (
        packets(&capture, "tcp").lines().count(),
        packets(&capture, FAULTS),
    )
}

fn packets(capture: &Path, filter: &str) -> String {
    let mut tshark = command(
        "tshark",
        "-n -o tcp.check_checksum:TRUE -o ip.check_checksum:TRUE",
    );
    tshark.arg("-r").arg(capture).args(["-Y", filter]);
    let output = tshark.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "tshark: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn tshark_finds_no_bad_checksum_and_no_malformed_option() {
    in_namespace(&["curl", "dumpcap", "tshark"], || {
        let (count, faults) = transfer("--offload off", LARGE);
        // Four times 16 MiB in packets of 1500 octets at most, less what the capture may have missed.
        assert!(count > 20_000, "only {count} packets were captured");
        assert!(faults.is_empty(), "{faults}");
    });
}

#[test]
fn tshark_would_find_a_bad_checksum() {
    in_namespace(&["curl", "dumpcap", "tshark"], || {
        // With offload, checksums are completed after the place where captures are made.
        let (count, faults) = transfer("--offload on", SMALL);
        assert!(count > 20, "only {count} packets were captured");
        for sender in ["10.7.0.1 →", "fd07::1 →"] {
            assert!(faults.contains(sender), "nothing of {sender}: {faults}");
        }
    });
}
