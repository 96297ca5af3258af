//! Pacing: a window that a round trip could carry is spread over that round trip, instead of leaving as fast as the device takes it.
//!
//! Without it slow start sends two segments for each that the narrowest link let through, twice as fast as that link, and a queue there that holds
//! less than half of what the path does overflows long before the path is full. Text is sent in portions of about a millisecond; what
//! goes is a rate somewhat above what the window gives, so that the window stays the limit and pacing only shapes.
//!
//! The state is one moment, `paced_to`: when what has been sent would have left at the rate of the time. Nothing new leaves before it.

use core::time::Duration;

use crate::tcb::Tcb;
use crate::time::Instant;

/// Round trips shorter than this are not paced: a timer that rings once in a millisecond could not spread them.
const RTT_MIN: Duration = Duration::from_millis(8);
/// What leaves at once, as time at the rate.
const PORTION: Duration = Duration::from_millis(1);
/// A timer that rings late is made up for so far, as time at the rate; later, what was not sent waits its turn.
const CATCH_UP: Duration = Duration::from_millis(4);
/// As many segments may always leave at once: twice the initial window of RFC 6928.
const BURST_SEGMENTS: u32 = 20;
/// The rate in tenths of a window in a round trip: while slow start may double the window, and later.
const STARTING: u64 = 20;
const STEADY: u64 = 12;

/// The octets of new text that may leave at `now`: all, unless the path is long.
pub(super) fn allowance(tcb: &Tcb, now: Instant) -> u32 {
    let Some(pace) = Pace::of(tcb) else {
        return u32::MAX;
    };
    match tcb.rare().paced_to {
        Some(at) if now < at => 0,
        _ => pace.portion(),
    }
}

/// When text may leave that nothing but its pace holds back.
pub(super) fn next_turn(tcb: &Tcb, now: Instant) -> Option<Instant> {
    let paced_to = tcb.rare().paced_to.filter(|at| now < *at)?;
    let fresh = tcb.unsent() > 0 && tcb.snd.usable() > 0;
    let again = || tcb.scoreboard.next_lost(tcb.snd.una, tcb.snd.nxt).is_some();
    let room = tcb.congestion.window() > tcb.pipe();
    (room && (fresh || again()) && Pace::of(tcb).is_some()).then_some(paced_to)
}

/// New text has left.
#[inline]
pub(super) fn note_sent(tcb: &mut Tcb, now: Instant, len: u32) {
    if let Some(pace) = Pace::of(tcb) {
        let least = now - pace.burst();
        let from = tcb.rare().paced_to.map_or(least, |at| at.max(least));
        tcb.rare_mut().paced_to = Some(from + pace.time_of(len));
    }
}

/// How fast a long path is sent along.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// Octets that take `round_trip` times ten.
    window: u64,
    /// Nanoseconds.
    round_trip: u64,
    /// Octets of text in a full segment.
    smss: u32,
}

impl Pace {
    /// None for a path that is not paced.
    #[inline]
    fn of(tcb: &Tcb) -> Option<Self> {
        if !tcb.config.pacing || tcb.rtt.min_rtt().is_none_or(|rtt| rtt < RTT_MIN) {
            return None;
        }
        let cwnd = tcb.congestion.window();
        let tenths = match cwnd < tcb.congestion.ssthresh() / 2 {
            true => STARTING,
            false => STEADY,
        };
        Some(Self {
            window: (u64::from(cwnd) * tenths).max(1),
            round_trip: u64::try_from(tcb.rtt.srtt()?.as_nanos()).unwrap_or(u64::MAX),
            smss: u32::from(tcb.mss.send),
        })
    }

    /// What leaves at once.
    fn portion(self) -> u32 {
        self.octets_in(PORTION).max(self.smss.saturating_mul(2))
    }

    /// What a sender that was held up may send at once, as time.
    fn burst(self) -> Duration {
        let segments = self.smss.saturating_mul(BURST_SEGMENTS);
        self.time_of(segments).max(CATCH_UP)
    }

    fn octets_in(self, time: Duration) -> u32 {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let octets = self.window.saturating_mul(nanos) / self.round_trip.saturating_mul(10).max(1);
        u32::try_from(octets).unwrap_or(u32::MAX)
    }

    fn time_of(self, octets: u32) -> Duration {
        let tenfold = self.round_trip.saturating_mul(10);
        Duration::from_nanos(u64::from(octets).saturating_mul(tenfold) / self.window)
    }

    /// Octets in a second.
    fn rate(self) -> u64 {
        u64::from(self.octets_in(Duration::from_millis(1))) * 1_000
    }
}

/// The rate at which a connection is paced at present, in octets per second; `None` for a path that is not paced.
pub(crate) fn rate(tcb: &Tcb) -> Option<u64> {
    Pace::of(tcb).map(Pace::rate)
}
