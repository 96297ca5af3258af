//! The one timer of a sender that counts segments: a probe of the tail, a decision about reordering, or a retransmission timeout.

use core::time::Duration;

use super::{give_up, note_try};
use crate::error::ConnectionError;
use crate::host::Context;
use crate::recovery::flight::Pending;
use crate::repair;
use crate::tcb::Tcb;
use crate::time::Instant;
use crate::timer::Timer;

pub(super) fn on_timeout(tcb: &mut Tcb, cx: &mut Context<'_>) {
    let Some(repairs) = tcb.repairs.as_deref() else {
        return;
    };
    if repairs.flight.out == 0 {
        return;
    }
    match repairs.flight.pending {
        Pending::TailProbe => repair::on_probe_timeout(tcb, cx.now),
        Pending::Reordering => repair::on_reordering_timeout(tcb, cx),
        Pending::Timeout => on_retransmission_timeout(tcb, cx),
    }
}

/// The oldest segment went unacknowledged for an RTO: everything counts as lost, the first segment leaves at once
/// (RFC 6298 5.4 to 5.6, RFC 5681 3.1).
fn on_retransmission_timeout(tcb: &mut Tcb, cx: &mut Context<'_>) {
    if is_over(tcb, cx) {
        let error = if tcb.config.user_timeout.is_some() {
            ConnectionError::UserTimeout
        } else {
            ConnectionError::TimedOut
        };
        return give_up(tcb, cx, error);
    }
    if tcb.patience.tries == 0
        && let Some(repairs) = tcb.repairs.as_deref_mut()
    {
        repairs.accounts.timeout_series += 1;
    }
    if tcb.snd.wnd > 0 {
        note_try(tcb, cx);
    }
    cx.host.counters.timeouts += 1;
    tcb.rare_mut().timeouts += 1;
    repair::enter_loss(tcb, cx);
    tcb.rtt.back_off();
    tcb.timed = None;
    if let Some(repairs) = tcb.repairs.as_deref_mut() {
        repairs.repeat_first = true;
        repairs.flight.pending = Pending::Timeout;
    }
    let rto = tcb.rto();
    let wait = match (user_timeout_left(tcb, cx), tcb.patience.tries) {
        (Some(left), 1..) => rto.min(left.max(SOONEST)),
        _ => rto,
    };
    tcb.timers.set(Timer::Retransmission, cx.now + wait);
}

/// Whether a shut window has been probed for the user timeout; the first call begins to count.
pub(super) fn is_user_timeout_over(tcb: &mut Tcb, now: Instant) -> bool {
    let limit = tcb.config.user_timeout;
    let Some(repairs) = tcb.repairs.as_deref_mut() else {
        return false;
    };
    let since = *repairs.probing_since.get_or_insert(now);
    limit.is_some_and(|limit| now - since >= limit)
}

/// What is left of the user timeout, which counts from the first retransmission.
fn user_timeout_left(tcb: &Tcb, cx: &Context<'_>) -> Option<Duration> {
    let limit = tcb.config.user_timeout?;
    let since = tcb.repairs.as_deref()?.repeating_since.unwrap_or(cx.now);
    Some(limit.saturating_sub(cx.now - since))
}

/// The least wait of a timer that a user timeout cuts short.
const SOONEST: Duration = Duration::from_millis(1);

/// R2: how long retransmissions have gone on (RFC 9293 3.8.3).
fn is_over(tcb: &Tcb, cx: &Context<'_>) -> bool {
    let since = tcb.repairs.as_deref().and_then(|it| it.repeating_since);
    let Some(since) = since.filter(|_| tcb.patience.tries > 0) else {
        return false;
    };
    if let Some(limit) = tcb.config.user_timeout {
        return cx.now - since >= limit;
    }
    let limit = if tcb.app.released {
        retries_last(tcb, tcb.config.orphan_retries).min(tcb.config.r2)
    } else {
        tcb.config.r2
    };
    cx.now - since >= limit
}

/// How long so many retransmissions take at the least RTO, doubling up to the largest.
fn retries_last(tcb: &Tcb, retries: u8) -> Duration {
    let mut rto = tcb.config.rto_min;
    let mut sum = Duration::ZERO;
    for _ in 0..=retries {
        sum = sum.saturating_add(rto);
        rto = rto.saturating_mul(2).min(tcb.config.rto_max);
    }
    sum
}
