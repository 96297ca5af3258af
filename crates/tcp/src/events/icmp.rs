//! ICMP errors about a connection (RFC 9293 3.9.2.2, RFC 5927), already matched to it by the stack.

use handwave_wire::SeqNum;

use crate::config::Config;
use crate::error::{ConnectionError, Unreachable};
use crate::host::Context;
use crate::notice::Events;
use crate::phase::Cause;
use crate::repair;
use crate::tcb::Tcb;
use crate::time::Instant;

/// An ICMP error that quotes one of our segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpError {
    /// What it reports.
    pub kind: IcmpKind,
    /// SEG.SEQ of the quoted segment.
    pub seq: SeqNum,
}

/// What an ICMP error reports, the same for both IP versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IcmpKind {
    /// Destination unreachable.
    Unreachable(Unreachable),
    /// The packet's hops or reassembly time ran out.
    TimeExceeded,
    /// Something in the packet's header was not understood.
    ParameterProblem,
    /// A router could not forward a packet of this size (RFC 1191, RFC 8201).
    PacketTooBig {
        /// The MTU of the next hop, in octets; validated and bounded by the stack.
        mtu: u16,
    },
}

impl IcmpKind {
    /// The error that ends a connection attempt, for hard errors: protocol and port unreachable, and prohibitions
    /// (RFC 9293 3.9.2.2 [SHLD-26], RFC 1122 4.2.3.9).
    pub(crate) const fn hard_error(self) -> Option<ConnectionError> {
        match self {
            Self::Unreachable(
                why @ (Unreachable::Protocol
                | Unreachable::Port
                | Unreachable::Prohibited
                | Unreachable::NetworkProhibited),
            ) => Some(ConnectionError::Unreachable(why)),
            Self::Unreachable(
                Unreachable::Network
                | Unreachable::Host
                | Unreachable::SourceRoute
                | Unreachable::HostUnknown
                | Unreachable::HostIsolated,
            )
            | Self::TimeExceeded
            | Self::ParameterProblem
            | Self::PacketTooBig { .. } => None,
        }
    }

    /// The error that ends a connection attempt: a hard one, or any where the configuration says so.
    pub(crate) fn ends_opening(self, config: &Config) -> Option<ConnectionError> {
        match self {
            Self::Unreachable(why) if config.soft_icmp_aborts_opening => {
                Some(ConnectionError::Unreachable(why))
            }
            Self::TimeExceeded if config.soft_icmp_aborts_opening => {
                Some(ConnectionError::Unreachable(Unreachable::Host))
            }
            _ => self.hard_error(),
        }
    }
}

/// Believes an error only if it quotes something in flight (RFC 5927 4.1); soft errors are reported, never fatal [MUST-56].
pub(crate) fn handle(tcb: &mut Tcb, cx: &mut Context<'_>, error: IcmpError) -> bool {
    let in_flight = tcb.is_outstanding() && error.seq.in_window(tcb.snd.una, tcb.snd.flight());
    // Linux believes one about what comes next, too.
    let next = tcb.repairs.is_some() && error.seq == tcb.snd.nxt;
    if !in_flight && !next {
        return false;
    }
    if let IcmpKind::PacketTooBig { mtu } = error.kind {
        set_path_mtu(tcb, mtu, cx.now);
        return true;
    }
    match error.kind.hard_error() {
        Some(hard) if tcb.config.hard_icmp_aborts || !tcb.phase().is_synchronized() => {
            tcb.fail(cx, Cause::GaveUp, hard);
        }
        Some(_) | None => {
            if matches!(
                error.kind,
                IcmpKind::Unreachable(Unreachable::Network | Unreachable::Host)
            ) && error.seq == tcb.snd.una
            {
                repair::undo_backoff(tcb, cx.now);
            }
            tcb.rare_mut().soft_error = Some(error.kind);
            tcb.events |= Events::SOFT_ERROR;
        }
    }
    true
}

/// Cuts segments to the path; what was sent too large is sent again, and the congestion window stays (RFC 1191 6.4).
pub(crate) fn set_path_mtu(tcb: &mut Tcb, mtu: u16, now: Instant) {
    let before = tcb.mss.send;
    tcb.mss.set_path_mtu(mtu);
    if tcb.mss.send == before {
        return;
    }
    tcb.congestion
        .on_mss_change(u32::from(before), u32::from(tcb.mss.send));
    if tcb.mss.send < before && tcb.is_outstanding() && !tcb.syn_unacknowledged() {
        tcb.count_flight_as_lost(now);
        tcb.timed = None;
    }
}
