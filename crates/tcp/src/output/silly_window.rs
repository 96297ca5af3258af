//! When a small segment may leave: Nagle (RFC 9293 3.7.4) and sender-side silly-window avoidance (RFC 9293 3.8.6.2.1).

use core::time::Duration;

use crate::recovery::rtt::CLOCK_GRANULARITY;
use crate::tcb::Tcb;
use crate::time::Instant;

/// How long a small segment waits for a larger window before it leaves anyway, within the 0.1 to 1 s the RFC gives.
const OVERRIDE: Duration = Duration::from_millis(200);

/// What there is to send and what limits it, in octets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer {
    /// Text not sent yet.
    pub(super) unsent: u32,
    /// What would leave in one segment.
    pub(super) len: u32,
    /// A full segment.
    pub(super) mss: u32,
    /// Octets the peer's window still admits.
    pub(super) usable: u32,
    /// A FIN would go with the text.
    pub(super) fin: bool,
}

/// Whether the segment described by `offer` is worth sending [MUST-38] [MUST-17] [SHLD-7] [SHLD-28].
pub(super) fn is_worth_sending(tcb: &Tcb, offer: Offer) -> bool {
    let Offer {
        unsent,
        len,
        mss,
        usable,
        fin,
    } = offer;
    if len == 0 {
        return fin;
    }
    if len >= mss || fin || tcb.intents.override_silly_window {
        return true;
    }
    let idle = !tcb.is_outstanding();
    let everything = len == unsent;
    if everything {
        return !tcb.config.nagle || idle;
    }
    if usable > len {
        // The congestion window is what limits: wait for an acknowledgment unless none can come.
        return idle || tcb.pipe() == 0;
    }
    len >= tcb.snd.wnd_max / 2 && (!tcb.config.nagle || idle)
}

/// Time until the next probe: an RTO at first, doubling, or the override time while the window is only small
/// (RFC 9293 3.8.6.1 [SHLD-29] [SHLD-30]).
pub(crate) fn persist_interval(tcb: &Tcb, now: Instant) -> Duration {
    if tcb.snd.wnd > 0 && tcb.records.is_none() {
        return OVERRIDE;
    }
    let doublings = u32::from(tcb.patience.tries.min(16));
    let wait = tcb
        .rto()
        .saturating_mul(1 << doublings)
        .min(tcb.config.persist_max.max(CLOCK_GRANULARITY));
    // A sender that counts segments looks at the user timeout when a probe is due.
    let since = tcb.repairs.as_deref().and_then(|it| it.probing_since);
    match (tcb.config.user_timeout, since) {
        (Some(limit), Some(since)) => {
            let left = limit.saturating_sub(now - since);
            wait.min(left.max(SOONEST))
        }
        _ => wait,
    }
}

/// The least wait of a timer that a user timeout cuts short.
const SOONEST: Duration = Duration::from_millis(2);
