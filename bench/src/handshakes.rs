//! `handshakes`: connections a second that one core can set up, both ends counted as one.

use std::time::{Duration, Instant};

use handwave_tcp::Config;

use crate::crowd::Crowd;
use crate::report::{Better, Report, median};

/// Handshakes a second to aim for.
const AIM: f64 = 1e6;
/// Connections open at a time.
const OPEN_MAX: usize = 4_096;

/// Opens `count` connections and says so.
pub(crate) fn profile(count: usize) {
    let mut crowd = Crowd::new(count, Config::default());
    crowd.open(count);
    eprintln!("0 octets, {} handshakes", crowd.connections().len());
}

/// Opens and resets connections for `span` in each of `rounds`; only the opening is timed.
///
/// An opening is the active open, three segments with their checksums computed and verified, and the accept. Sixty-four are under
/// way at a time, and their packets are handed over in batches, as devices deliver them: copied into one piece each, or (`slices`) as they were made.
pub(crate) fn run(report: &mut Report, rounds: u32, span: Duration) {
    for (case, as_made) in [("both-ends", false), ("both-ends-slices", true)] {
        let mut crowd = Crowd::new(OPEN_MAX, Config::default());
        if as_made {
            crowd.hand_over_as_made();
        }
        let rate = rate(&mut crowd, rounds, span);
        report.add(
            "handshakes",
            case.to_owned(),
            "conn/s",
            Better::More,
            (rate, AIM, "aim"),
        );
    }
}

/// The median of the rounds.
fn rate(crowd: &mut Crowd, rounds: u32, span: Duration) -> f64 {
    let mut rates = Vec::new();
    for _ in 0..rounds {
        let (mut opened, mut spent) = (0_usize, Duration::ZERO);
        while spent < span {
            let begin = Instant::now();
            crowd.open(OPEN_MAX);
            spent += begin.elapsed();
            opened += OPEN_MAX;
            crowd.close(0);
        }
        #[expect(clippy::cast_precision_loss, reason = "a rate needs few digits")]
        rates.push(opened as f64 / spent.as_secs_f64());
    }
    median(&mut rates)
}
