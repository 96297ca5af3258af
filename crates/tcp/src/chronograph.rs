//! What holds a sender up, and for how long, as Linux counts it: its own buffer, the peer's window, or the network.

use core::time::Duration;

use crate::tcb::Tcb;
use crate::time::Instant;

/// What holds a sender up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Limit {
    /// Nothing is to be sent, nothing is waited for.
    #[default]
    Idle,
    /// Acknowledgments are waited for.
    Network,
    /// The peer's window has no room for the next segment.
    Window,
    /// The program would write more than the send buffer holds, and all that it holds has been sent.
    Buffer,
}

/// For how long a sender was busy, and what it waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BusyTimes {
    limit: Limit,
    since: Instant,
    network: Duration,
    window: Duration,
    buffer: Duration,
}

impl BusyTimes {
    fn turn_to(&mut self, limit: Limit, now: Instant) {
        if limit != self.limit {
            *self = self.up_to(now);
            self.limit = limit;
        }
    }

    fn up_to(mut self, now: Instant) -> Self {
        let spent = now.saturating_since(self.since);
        match self.limit {
            Limit::Idle => {}
            Limit::Network => self.network += spent,
            Limit::Window => self.window += spent,
            Limit::Buffer => self.buffer += spent,
        }
        self.since = now;
        self
    }

    /// The time until `now` in which something was to be sent or to be acknowledged, whatever it waited for.
    #[must_use]
    pub fn busy(&self, now: Instant) -> Duration {
        let times = self.up_to(now);
        times.network + times.window + times.buffer
    }

    /// The part of it in which the peer's window had no room.
    #[must_use]
    pub fn window_limited(&self, now: Instant) -> Duration {
        self.up_to(now).window
    }

    /// The part of it in which the send buffer was too small for what the program wanted to write.
    #[must_use]
    pub fn buffer_limited(&self, now: Instant) -> Duration {
        self.up_to(now).buffer
    }
}

/// Notes what holds the sender up, once everything has left that may. Only who counts segments keeps such accounts.
pub(crate) fn note(tcb: &mut Tcb, now: Instant) {
    let (unsent, outstanding) = (tcb.unsent(), tcb.is_outstanding());
    let limit = if unsent > 0 {
        let next = unsent.min(tcb.mss.send.into());
        let room = (tcb.snd.una + tcb.snd.wnd).after(tcb.snd.nxt);
        let ahead = (tcb.snd.una + tcb.snd.wnd).since(tcb.snd.nxt);
        if !room || ahead < next {
            Limit::Window
        } else {
            Limit::Network
        }
    } else if outstanding && tcb.app.wants_write {
        Limit::Buffer
    } else if outstanding {
        Limit::Network
    } else {
        Limit::Idle
    };
    if let Some(repairs) = tcb.repairs.as_deref_mut() {
        repairs.accounts.busy.turn_to(limit, now);
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::{BusyTimes, Limit};
    use crate::time::Instant;

    #[test]
    fn each_span_counts_for_what_held_the_sender_up() {
        let at = Instant::from_millis;
        let mut times = BusyTimes::default();
        times.turn_to(Limit::Network, at(10));
        times.turn_to(Limit::Window, at(30));
        times.turn_to(Limit::Window, at(40));
        times.turn_to(Limit::Idle, at(60));
        times.turn_to(Limit::Buffer, at(100));
        let now = at(105);
        assert_eq!(times.busy(now), Duration::from_millis(55));
        assert_eq!(times.window_limited(now), Duration::from_millis(30));
        assert_eq!(times.buffer_limited(now), Duration::from_millis(5));
    }
}
