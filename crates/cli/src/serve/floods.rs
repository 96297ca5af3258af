//! A line in the log when a SYN flood begins and when it ends.

use std::fmt;

use handwave::{FloodChange, Stack};

use crate::live::Tasks;

/// Watches all listeners until the program ends.
pub(super) fn watch(stack: &Stack, tasks: &Tasks) {
    let mut floods = stack.watch_floods();
    let stopped = tasks.clone();
    tasks.spawn(async move {
        loop {
            let change = tokio::select! {
                change = floods.next() => change,
                () = stopped.stopped() => return,
            };
            match change {
                Ok(change) => tracing::warn!("{}", Told(&change)),
                // The stack has ended, which others tell.
                Err(_) => return,
            }
        }
    });
}

/// A beginning or an end, with its figures.
struct Told<'a>(&'a FloodChange);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let change = self.0;
        let (rates, port) = (&change.rates, change.at.port);
        let place = match change.at.addr {
            Some(addr) => std::net::SocketAddr::new(addr, port).to_string(),
            None => format!("*:{port}"),
        };
        if !change.flood.is_flooded() {
            return write!(
                f,
                "FLOOD ends at {place} after {} s: {} cookies sent, {} SYNs and ACKs lost; now {} SYN/s",
                change.lasted.as_secs(),
                change.cookies_sent,
                change.drops,
                rates.syns
            );
        }
        write!(
            f,
            "FLOOD begins at {place}: {} SYN/s, {} handshakes/s completed, SYN queue {}/{}, {} cookies/s",
            rates.syns,
            rates.established,
            change.syn_queue,
            change.syn_queue_max,
            rates.cookies_sent
        )?;
        for (n, source) in change.top_sources.iter().enumerate() {
            let lead = if n == 0 {
                "; most (if not forged) from"
            } else {
                ","
            };
            write!(
                f,
                "{lead} {} ({:.0}/s)",
                source.prefix, source.syns_per_second
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use handwave::{FloodState, Instant, ListenAt, ListenerRates, TopSource};

    use super::*;

    #[test]
    fn a_flood_is_told_with_its_figures() {
        let mut change = FloodChange {
            at: ListenAt::from(80),
            flood: FloodState::Flooded {
                since: Instant::ZERO,
            },
            lasted: Duration::ZERO,
            rates: ListenerRates {
                syns: 48_213,
                established: 12,
                cookies_sent: 47_189,
                ..ListenerRates::default()
            },
            syn_queue: 1_024,
            syn_queue_max: 1_024,
            cookies_sent: 0,
            drops: 0,
            top_sources: vec![TopSource {
                prefix: "203.0.113.9/32".parse().unwrap(),
                syns_per_second: 903.4,
            }],
        };
        assert_eq!(
            Told(&change).to_string(),
            "FLOOD begins at *:80: 48213 SYN/s, 12 handshakes/s completed, SYN queue 1024/1024, 47189 cookies/s; \
             most (if not forged) from 203.0.113.9/32 (903/s)"
        );
        change.at.addr = Some("fd07::1".parse().unwrap());
        change.flood = FloodState::Calm;
        change.lasted = Duration::from_millis(42_900);
        (change.cookies_sent, change.drops) = (1_900_000, 7);
        change.rates.syns = 3;
        assert_eq!(
            Told(&change).to_string(),
            "FLOOD ends at [fd07::1]:80 after 42 s: 1900000 cookies sent, 7 SYNs and ACKs lost; now 3 SYN/s"
        );
    }
}
