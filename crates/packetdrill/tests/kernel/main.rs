//! The same socket calls made of this machine's kernel over loopback and of our sockets: return values, errnos, bits, octets.
//!
//! The kernel's calls are made in a network namespace that ends with the test. Where none can be made (not root), the tests say
//! so and pass.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]
#![allow(
    clippy::too_many_lines,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "one arm for each call; numbers of C's, which fit"
)]

mod grid;
mod kernel;
mod ours;
mod sequence;
mod table;

use std::fmt::Write as _;

/// Ports that no other sequence uses: each has eight.
const FIRST_PORT: u16 = 2_000;

/// Plays every sequence on both and lists the lines that differ.
fn compare(cases: Vec<(String, String)>, first_port: u16) {
    let worker = std::thread::spawn(move || {
        if let Err(why) = kernel::enter_namespace() {
            eprintln!(
                "SKIPPED: {why}; as root these {} sequences are compared",
                cases.len()
            );
            return;
        }
        let (mut report, mut different) = (String::new(), 0);
        for (index, (name, text)) in cases.iter().enumerate() {
            let port = first_port + u16::try_from(index * 8 % 36_000).unwrap();
            let theirs = sequence::play(&mut kernel::Kernel::default(), text, port);
            let own = sequence::play(&mut ours::Ours::new(), text, port);
            if theirs == own {
                continue;
            }
            different += 1;
            writeln!(report, "{name}").unwrap();
            for (theirs, own) in theirs.iter().zip(&own).filter(|(a, b)| a != b) {
                let (call, own) = own.split_once(": ").unwrap();
                let theirs = theirs.split_once(": ").unwrap().1;
                writeln!(report, "    {call}: Linux {theirs}, ours {own}").unwrap();
            }
        }
        eprintln!("{} sequences compared, {different} differ", cases.len());
        assert!(
            report.is_empty(),
            "{different} of {} sequences differ:\n{report}",
            cases.len()
        );
    });
    if let Err(failure) = worker.join() {
        std::panic::resume_unwind(failure);
    }
}

#[test]
fn sequences() {
    compare(table::cases(), FIRST_PORT);
}

#[test]
fn every_call_in_every_state() {
    compare(grid::cases(), FIRST_PORT);
}
