//! The command line of `handwave top`.

use std::time::Duration;

use super::LookArgs;
use crate::units;

pub(super) const ABOUT: &str = "\
Shows what a Handwave stack in another process is doing, once a second: each listener's SYN queue and accept queue against \
their limits, SYNs and cookies a second, whether it is flooded and by whom, how many sockets are in which state, and its \
connections with window, round-trip time and retransmissions. It only looks: nothing can be changed from here.";

pub(super) const SHORT: &str = "Keys and examples: handwave top --help";

pub(super) const EXAMPLES: &str = "\
Keys: q, Esc or Ctrl-C ends, ? explains, s and S sort, / filters, arrows select, Enter shows a connection's numbers.

Examples:
  handwave top
  handwave top --interval 0.2s
  handwave top --lang zh-CN
  handwave top --once | less                   one picture as text; also what a pipe gets without --once
  handwave top --control /run/app/handwave.sock

Exit codes: 0 fine, 1 failure, 2 usage, 4 another user's program.";

/// `handwave top`.
#[derive(clap::Args, Debug)]
pub(crate) struct TopArgs {
    #[command(flatten)]
    pub(crate) look: LookArgs,
    /// How often to look: 0.1s to 60s; a bare number counts seconds
    #[arg(long, value_name = "TIME", value_parser = interval, default_value = "1s")]
    pub(crate) interval: Duration,
    /// Print one picture as text, and end
    #[arg(long)]
    pub(crate) once: bool,
}

fn interval(text: &str) -> Result<Duration, String> {
    let span = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?,
        Err(_) => units::time(text)?,
    };
    let allowed = Duration::from_millis(100)..=Duration::from_secs(60);
    if !allowed.contains(&span) {
        return Err("it lies between 0.1s and 60s".to_owned());
    }
    Ok(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_seconds_unless_they_say_something_else() {
        for (text, millis) in [("1", 1_000), ("0.5", 500), ("250ms", 250), ("1.5s", 1_500)] {
            assert_eq!(interval(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["0", "61", "-1", "1ms", "often", "nan", "inf"] {
            assert!(interval(text).is_err(), "{text}");
        }
    }
}
