//! The law of the way in: however the same packets come, one by one, in pieces, in a batch, joined, through a kernel, the same is heard.
//!
//! The octets decide what a peer sends to some stacks at a time; the law itself is what `crates/handwave/tests/joined_input.rs` plays with
//! seeds. The first octet chooses the settings.

#![no_main]

mod dice;
#[path = "../../crates/handwave/tests/common/law.rs"]
mod law;

use dice::Dice;
use handwave_tcp::{Config, Profile};
use law::{Manners, PATHS, Path, play};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| run(octets));

fn run(octets: &[u8]) {
    let Some((kind, octets)) = octets.split_first() else {
        return;
    };
    let overruns = Manners { keeps_to_window: false, buffer: 20_000, ..Manners::GOOD };
    let only_received = Manners { buffer: 8 << 20, only_received: true, ..Manners::GOOD };
    let linux = || Profile::linux().connection;
    let one_by_one = [Path::OneByOne, Path::InPieces, Path::InSlices];
    let (paths, profile, manners) = match kind % 4 {
        0 => (&PATHS[..], Config::default(), Manners::GOOD),
        1 => (&PATHS[..], Config::default(), overruns),
        2 => (&PATHS[..], linux(), only_received),
        _ => (&one_by_one[..], linux(), Manners::GOOD),
    };
    play(Dice::new(octets), paths, &profile, manners, "fuzz");
}
