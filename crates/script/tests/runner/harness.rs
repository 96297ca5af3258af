//! Running pieces of scripts.

use handwave_script::runner::{Outcome, Settings, run};
use handwave_tcp::Profile;

/// A server with an accepted connection on descriptor 4, whose time line goes on at 0.1 s.
pub(crate) const ESTABLISHED: &str = "\
0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < S 0:0(0) win 65535 <mss 1000>
+0 > S. 0:0(0) ack 1 <mss 1460>
+.1 < . 1:1(0) ack 1 win 65535
+0 accept(3, ..., ...) = 4
";

/// Runs a script with Linux's defaults.
pub(crate) fn play(text: &str) -> Outcome {
    let settings = Settings::new(Profile::linux());
    run(text, &settings).unwrap()
}

/// Nothing if the script passes, otherwise `line: message`.
pub(crate) fn verdict(outcome: &Outcome) -> Option<String> {
    let failure = outcome.failure()?;
    Some(format!("{}: {}", failure.place.line, failure.message))
}

pub(crate) fn assert_passes(text: &str) {
    let outcome = play(text);
    assert!(
        outcome.failure().is_none(),
        "{text}\n{outcome}\n{}",
        outcome.ladder(8)
    );
}
