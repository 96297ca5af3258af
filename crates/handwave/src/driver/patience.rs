//! What becomes of packets that a device does not take.
//!
//! A device whose queue is full takes more before long, and the stack keeps meanwhile what it has. One that takes nothing for a second is stuck (nobody reads
//! the other end of a tunnel): what waits for it is lost, as on a link that is down. So connections notice, send again, and give up in the end, and a
//! driver that nobody needs any more ends.

use std::time::Duration;

use handwave_tcp::Instant;

/// How long a device may take nothing of what waits for it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Since when a device has taken nothing.
#[derive(Debug, Default)]
pub(super) struct Patience(Option<Instant>);

impl Patience {
    /// Notes whether the device took some of what waited, and whether some is left; returns whether patience is at an end.
    pub(super) fn is_over(&mut self, took: bool, left: bool, now: Instant) -> bool {
        if took || !left {
            self.0 = None;
        }
        if !left {
            return false;
        }
        let over = now - *self.0.get_or_insert(now) >= PATIENCE;
        if over {
            self.0 = None;
        }
        over
    }

    /// When it will be.
    pub(super) fn ends(&self) -> Option<Instant> {
        self.0.map(|since| since + PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_something_is_waited_for() {
        let mut patience = Patience::default();
        let at = Instant::from_millis;
        assert!(!patience.is_over(true, false, at(0)));
        assert_eq!(patience.ends(), None);
        assert!(!patience.is_over(true, true, at(100)));
        assert!(!patience.is_over(false, true, at(1_000)));
        assert!(!patience.is_over(true, true, at(1_050)));
        assert_eq!(patience.ends(), Some(at(2_050)));
        assert!(patience.is_over(false, true, at(2_050)));
        assert!(!patience.is_over(false, true, at(2_050)), "others wait now");
    }
}
