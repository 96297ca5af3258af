//! Settings of connections from the environment, for harnesses that measure.

use std::fmt::Display;
use std::str::FromStr;

use handwave::{Config, ListenerConfig};

use crate::failure::{Failure, Kind};

/// A window is at most so large, whatever the scaling (RFC 7323 2.3).
const BUFFER_MAX: u32 = 1 << 30;
/// Less would not hold the smallest segment that everybody has to take (RFC 9293 3.7.1).
const BUFFER_MIN: u32 = 536;
const BACKLOG_MAX: usize = 1 << 20;

/// What the environment asks for, and the defaults of the rest.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tuning {
    pub(crate) tcp: Config,
    pub(crate) listener: ListenerConfig,
}

impl Tuning {
    /// Reads `HANDWAVE_RXBUF`, `HANDWAVE_TXBUF`, `HANDWAVE_CC` and `HANDWAVE_BACKLOG`.
    pub(crate) fn from_env() -> Result<Self, Failure> {
        Self::from_variables(|name| {
            std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
        })
    }

    fn from_variables(variable: impl Fn(&'static str) -> Option<String>) -> Result<Self, Failure> {
        let mut tuning = Self::default();
        let buffer = |name| number(name, variable(name), BUFFER_MIN, BUFFER_MAX);
        if let Some(octets) = buffer("HANDWAVE_RXBUF")? {
            tuning.tcp.receive_buffer = tuning.tcp.receive_buffer.at_most(octets);
        }
        if let Some(octets) = buffer("HANDWAVE_TXBUF")? {
            tuning.tcp.send_buffer = tuning.tcp.send_buffer.at_most(octets);
        }
        let name = "HANDWAVE_CC";
        if let Some(value) = variable(name) {
            tuning.tcp.congestion = value.parse().map_err(|error| {
                bad(name, &value, error).hint(format!("{name}={}", tuning.tcp.congestion))
            })?;
        }
        let name = "HANDWAVE_BACKLOG";
        if let Some(backlog) = number(name, variable(name), 1, BACKLOG_MAX)? {
            let listener = &mut tuning.listener;
            listener.accept_queue_max = backlog;
            // A burst of handshakes that the accept queue has room for must not fail before.
            listener.syn_queue_max = listener.syn_queue_max.max(backlog);
        }
        Ok(tuning)
    }
}

fn number<N: FromStr + PartialOrd + Display>(
    name: &'static str,
    value: Option<String>,
    min: N,
    max: N,
) -> Result<Option<N>, Failure> {
    let Some(value) = value else {
        return Ok(None);
    };
    match value.parse() {
        Ok(number) if number >= min && number <= max => Ok(Some(number)),
        _ => Err(bad(name, &value, "it has to be a whole number")
            .hint(format!("a number from {min} to {max}, or unset {name}"))),
    }
}

fn bad(name: &str, value: &str, why: impl ToString) -> Failure {
    Failure::new(
        Kind::Input,
        format!("{name}={value} in the environment cannot be used"),
    )
    .because(why)
}

#[cfg(test)]
mod tests {
    use handwave::BufferSize;

    use super::*;

    fn read(set: &'static str, value: &'static str) -> Result<Tuning, Failure> {
        Tuning::from_variables(|name| (name == set).then(|| value.to_owned()))
    }

    #[test]
    fn each_variable_sets_its_limit() {
        assert_eq!(
            read("HANDWAVE_RXBUF", "32768").unwrap().tcp.receive_buffer,
            BufferSize::fixed(32_768)
        );
        assert_eq!(
            read("HANDWAVE_TXBUF", "1048576").unwrap().tcp.send_buffer,
            BufferSize::growing(65_536, 1 << 20)
        );
        let reno = read("HANDWAVE_CC", "RENO").unwrap().tcp;
        assert_eq!(reno.congestion.name(), "reno");
        assert_eq!(read("HANDWAVE_CC", "cubic").unwrap().tcp, Config::default());
        let listener = read("HANDWAVE_BACKLOG", "4096").unwrap().listener;
        assert_eq!(
            (listener.accept_queue_max, listener.syn_queue_max),
            (4_096, 4_096)
        );
        assert_eq!(read("OTHER", "x").unwrap().tcp, Config::default());
    }

    #[test]
    fn nonsense_names_the_variable_and_what_it_takes() {
        for (name, value, hint) in [
            ("HANDWAVE_RXBUF", "lots", "536"),
            ("HANDWAVE_RXBUF", "0", "536"),
            ("HANDWAVE_TXBUF", "-1", "1073741824"),
            ("HANDWAVE_TXBUF", "", "536"),
            ("HANDWAVE_CC", "best", "reno"),
            ("HANDWAVE_BACKLOG", "0", "1048576"),
        ] {
            let text = read(name, value).unwrap_err().render();
            assert!(text.contains(name) && text.contains(hint), "{text}");
        }
    }
}
