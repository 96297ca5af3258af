//! Every timer of a connection, named; a deadline each, and the next of them.

use core::fmt;

use crate::time::Instant;

/// A timer of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Timer {
    /// An octet, SYN or FIN has been unacknowledged for an RTO (RFC 6298).
    Retransmission,
    /// The peer's window is shut, or too small to be worth a segment, and text waits (RFC 9293 3.8.6.1, 3.8.6.2.1).
    Persist,
    /// Text that both windows admit waits for its turn on a long path.
    Pacing,
    /// An acknowledgment was held back in the hope of company (RFC 9293 3.8.6.3).
    DelayedAck,
    /// The connection has been silent for the keep-alive interval (RFC 9293 3.8.4).
    KeepAlive,
    /// Text has been unacknowledged for the user timeout (RFC 9293 3.10.8).
    UserTimeout,
    /// An orphan waits for the peer's FIN.
    FinWait2,
    /// Two maximum segment lifetimes pass (RFC 9293 3.6.1 [MUST-13]).
    TimeWait,
}

impl Timer {
    /// All timers, in the order in which those due at the same moment run.
    pub const ALL: [Self; 8] = [
        Self::UserTimeout,
        Self::Retransmission,
        Self::Persist,
        Self::Pacing,
        Self::DelayedAck,
        Self::KeepAlive,
        Self::FinWait2,
        Self::TimeWait,
    ];
}

impl fmt::Display for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Retransmission => "retransmission",
            Self::Persist => "persist",
            Self::Pacing => "pacing",
            Self::DelayedAck => "delayed ACK",
            Self::KeepAlive => "keep-alive",
            Self::UserTimeout => "user timeout",
            Self::FinWait2 => "FIN-WAIT-2",
            Self::TimeWait => "2 MSL",
        })
    }
}

/// The deadlines of one connection.
#[derive(Clone, Debug)]
pub(crate) struct Timers {
    deadlines: [u64; Timer::ALL.len()],
}

const OFF: u64 = u64::MAX;

impl Default for Timers {
    fn default() -> Self {
        Self {
            deadlines: [OFF; Timer::ALL.len()],
        }
    }
}

impl Timers {
    pub(crate) const fn set(&mut self, timer: Timer, at: Instant) {
        self.deadlines[timer as usize] = at.as_nanos();
    }

    pub(crate) const fn stop(&mut self, timer: Timer) {
        self.deadlines[timer as usize] = OFF;
    }

    pub(crate) const fn stop_all(&mut self) {
        self.deadlines = [OFF; Timer::ALL.len()];
    }

    pub(crate) const fn is_set(&self, timer: Timer) -> bool {
        self.deadlines[timer as usize] != OFF
    }

    pub(crate) const fn deadline(&self, timer: Timer) -> Option<Instant> {
        match self.deadlines[timer as usize] {
            OFF => None,
            at => Some(Instant::from_nanos(at)),
        }
    }

    /// The first and the last deadline added up, which says nothing: they are near afterwards.
    pub(crate) const fn glance(&self) -> u64 {
        let [first, .., last] = self.deadlines;
        first.wrapping_add(last)
    }

    /// The earliest deadline.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let earliest = self.deadlines.iter().copied().min().unwrap_or(OFF);
        (earliest != OFF).then(|| Instant::from_nanos(earliest))
    }

    /// Stops and names one timer that is due.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Timer> {
        let due = Timer::ALL
            .into_iter()
            .find(|&timer| self.deadlines[timer as usize] <= now.as_nanos())?;
        self.stop(due);
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_timers_come_once_and_in_order() {
        let mut timers = Timers::default();
        assert_eq!(timers.next_deadline(), None);
        timers.set(Timer::DelayedAck, Instant::from_millis(40));
        timers.set(Timer::Retransmission, Instant::from_millis(30));
        assert_eq!(timers.next_deadline(), Some(Instant::from_millis(30)));
        assert_eq!(timers.take_due(Instant::from_millis(29)), None);
        assert_eq!(
            timers.take_due(Instant::from_millis(50)),
            Some(Timer::Retransmission)
        );
        assert_eq!(
            timers.take_due(Instant::from_millis(50)),
            Some(Timer::DelayedAck)
        );
        assert_eq!(timers.take_due(Instant::from_millis(50)), None);
        assert!(!timers.is_set(Timer::DelayedAck));
    }
}
