//! `instructions`: what a segment, a handshake and a forged SYN cost in instructions, counted by callgrind. Of the first two both ends count.
//!
//! A figure for comparing revisions: it is the same on a busy machine and on an idle one. Each count is the difference
//! between a long and a short run, so that starting costs nothing. Without valgrind nothing is counted.

use std::io;
use std::process::Command;

use crate::report::{Better, Report};
use crate::smoltcp_pair;

/// Megabytes of the short run and of the long one.
const MEGABYTES: [&str; 2] = ["4", "12"];
/// Handshakes of the short run and of the long one.
const HANDSHAKES: [&str; 2] = ["512", "1536"];
/// SYNs of the short run and of the long one.
const SYNS: [&str; 2] = ["4096", "12288"];

/// Counts everything; says why if it cannot.
pub(crate) fn run(report: &mut Report) {
    match everything(report) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            eprintln!("SKIPPED instructions: valgrind is not installed");
        }
        Err(error) => eprintln!("SKIPPED instructions: {error}"),
    }
}

fn everything(report: &mut Report) -> io::Result<()> {
    let bulk = |more: &[&str]| each("--megabytes", MEGABYTES, more);
    let theirs = bulk(&["--smoltcp"])?;
    let contiguous = bulk(&[])?;
    let slices = bulk(&["--crossing", "slices"])?;
    let joined = bulk(&["--crossing", "joined"])?;
    let chunks = bulk(&["--chunks"])?;
    let handshake = each("--handshakes", HANDSHAKES, &[])?;
    let syn = each("--syns", SYNS, &[])?;
    let smoltcp = smoltcp_pair::NAME;
    for (case, ours, peer, name) in [
        ("mtu1500-segment", contiguous, theirs, smoltcp),
        ("mtu1500-segment-slices", slices, theirs, smoltcp),
        ("mtu1500-segment-joined", joined, theirs, smoltcp),
        ("mtu1500-segment-chunks", chunks, theirs, smoltcp),
        (
            "handshake",
            handshake,
            3.0 * contiguous,
            "three segments of bulk",
        ),
        ("syn-with-cookie", syn, contiguous, "a segment of bulk"),
    ] {
        let figures = (ours, peer, name);
        report.add(
            "instructions",
            case.to_owned(),
            "instr",
            Better::Less,
            figures,
        );
    }
    Ok(())
}

/// Instructions for each thing that the long run does beyond the short one.
#[expect(clippy::cast_precision_loss, reason = "a figure needs few digits")]
fn each(amount: &str, [short, long]: [&str; 2], more: &[&str]) -> io::Result<f64> {
    let (less, few) = count(&[&["profile", amount, short], more].concat())?;
    let (instructions, many) = count(&[&["profile", amount, long], more].concat())?;
    Ok((instructions - less) as f64 / (many - few) as f64)
}

/// Runs this program under callgrind; returns the instructions, and the things that it says it has done.
fn count(arguments: &[&str]) -> io::Result<(u64, u64)> {
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(arguments)
        .output()?;
    let said = String::from_utf8_lossy(&run.stderr);
    let number = |found: Option<&str>| found.and_then(|word| word.parse().ok());
    let collected = said
        .lines()
        .find_map(|line| line.split_once("Collected : "));
    let done = said.lines().find_map(|line| line.split_once(" octets, "));
    let instructions = number(collected.map(|(_, number)| number.trim()));
    let things = number(done.and_then(|(_, rest)| rest.split(' ').next()));
    match (instructions, things) {
        (Some(instructions), Some(things)) if run.status.success() => Ok((instructions, things)),
        _ => Err(io::Error::other(format!("callgrind said: {said}"))),
    }
}
