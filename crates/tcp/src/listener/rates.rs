//! How often things happen at a listener: counters compared with what they were when the current window of time began.

use core::time::Duration;

use super::{Listener, ListenerCounters};
use crate::time::Instant;

/// How often something happens at a listener, times a second.
///
/// Each is that of the last whole window of the flood detector, or more if the current window already has more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListenerRates {
    /// SYNs that arrive.
    pub syns: u32,
    /// Handshakes completed.
    pub established: u32,
    /// SYN+ACKs sent whose numbers are a cookie.
    pub cookies_sent: u32,
    /// Acknowledgments that bring a cookie back.
    pub cookies_received: u32,
    /// Acknowledgments that bring back something else, or too late.
    pub cookies_failed: u32,
    /// SYNs and last acknowledgments lost, for any reason.
    pub drops: u32,
}

/// What is counted here, SYNs apart, which the flood detector counts.
type Counts = [u64; 5];

/// Remembers what the counters were.
#[derive(Debug)]
pub(super) struct Meter {
    window: Duration,
    began: Instant,
    at_beginning: Counts,
    /// How much each grew in the last whole window.
    last: Counts,
}

impl Meter {
    pub(super) const fn new(window: Duration) -> Self {
        Self {
            window,
            began: Instant::ZERO,
            at_beginning: [0; 5],
            last: [0; 5],
        }
    }

    /// Something is about to be counted: begins another window if it is time.
    pub(super) fn on_time(&mut self, now: Instant, counters: &ListenerCounters) {
        if !now.is_after(self.began, self.window) {
            return;
        }
        let counts = counts(counters);
        self.last = match self.windows_in(now - self.began) {
            1 => grown(counts, self.at_beginning),
            _ => [0; 5],
        };
        self.at_beginning = counts;
        self.began = now;
    }

    fn rates(&self, now: Instant, counters: &ListenerCounters, syns: u32) -> ListenerRates {
        let current = grown(counts(counters), self.at_beginning);
        let shown = match self.windows_in(now - self.began) {
            0 => core::array::from_fn(|n| current[n].max(self.last[n])),
            1 => current,
            _ => [0; 5],
        };
        let [
            established,
            cookies_sent,
            cookies_received,
            cookies_failed,
            drops,
        ] = shown.map(|count| self.per_second(count));
        ListenerRates {
            syns,
            established,
            cookies_sent,
            cookies_received,
            cookies_failed,
            drops,
        }
    }

    fn windows_in(&self, passed: Duration) -> u128 {
        passed.as_nanos() / self.window.as_nanos().max(1)
    }

    fn per_second(&self, count: u64) -> u32 {
        let window = self.window.as_nanos().max(1);
        let rate = u128::from(count) * Duration::from_secs(1).as_nanos() / window;
        u32::try_from(rate).unwrap_or(u32::MAX)
    }
}

const fn counts(counters: &ListenerCounters) -> Counts {
    [
        counters.established,
        counters.syncookies_sent,
        counters.syncookies_received,
        counters.syncookies_failed,
        counters.drops,
    ]
}

fn grown(now: Counts, before: Counts) -> Counts {
    core::array::from_fn(|n| now[n] - before[n])
}

impl Listener {
    /// How often things happen here, lately.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use handwave_tcp::{Config, Instant, Listener, ListenerConfig, ListenerRates, Secrets};
    ///
    /// let listener = Listener::new(Arc::new(Config::default()), ListenerConfig::default(), &Secrets::from_seed(1));
    /// assert_eq!(listener.rates(Instant::ZERO), ListenerRates::default());
    /// ```
    #[must_use]
    pub fn rates(&self, now: Instant) -> ListenerRates {
        let syns = self.syn_rate(now);
        self.meter.rates(now, &self.counters, syns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_that_of_the_last_whole_window_or_more_and_ends_with_silence() {
        let (mut meter, mut counters) = (
            Meter::new(Duration::from_millis(500)),
            ListenerCounters::default(),
        );
        let at = Instant::from_millis;
        let sent = |meter: &Meter, counters: &_, ms| meter.rates(at(ms), counters, 0).cookies_sent;
        for ms in 10_000..10_500 {
            meter.on_time(at(ms), &counters);
            counters.syncookies_sent += 1;
        }
        assert_eq!(sent(&meter, &counters, 10_499), 1_000);
        // A slower window: the last whole one is shown until this one is whole.
        for ms in (10_500..11_000).step_by(10) {
            meter.on_time(at(ms), &counters);
            counters.syncookies_sent += 1;
            assert_eq!(sent(&meter, &counters, ms), 1_000);
        }
        assert_eq!(sent(&meter, &counters, 11_200), 100);
        assert_eq!(sent(&meter, &counters, 11_500), 0);
        meter.on_time(at(60_000), &counters);
        counters.drops += 7;
        let rates = meter.rates(at(60_000), &counters, 3);
        let expected = ListenerRates {
            syns: 3,
            drops: 14,
            ..ListenerRates::default()
        };
        assert_eq!(rates, expected);
    }
}
