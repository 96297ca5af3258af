//! Timeouts (RFC 9293 3.10.8): what each expired timer does.

mod segments;

use core::time::Duration;

use crate::congestion::{Loss, LossEvent};
use crate::delayed_ack;
use crate::error::ConnectionError;
use crate::host::{Context, Pressure};
use crate::notice::Events;
use crate::output::restart_retransmission_timer;
use crate::phase::{Cause, Phase};
use crate::recovery::rtt::CLOCK_GRANULARITY;
use crate::tcb::{LossState, Tcb};
use crate::timer::Timer;
use crate::trace::{TraceEvent, Verdict};

/// Runs every timer that is due.
pub(crate) fn handle(tcb: &mut Tcb, cx: &mut Context<'_>) {
    while let Some(timer) = tcb.timers.take_due(cx.now) {
        let before = tcb.phase();
        expire(tcb, cx, timer);
        // That a turn has come says nothing: what leaves then does.
        if timer != Timer::Pacing && cx.host.is_traced() {
            let entry = tcb.trace_entry(
                cx.now,
                TraceEvent::Timeout(timer),
                before,
                Verdict::Accepted,
            );
            cx.host.trace(&entry);
        }
    }
}

fn expire(tcb: &mut Tcb, cx: &mut Context<'_>, timer: Timer) {
    match timer {
        Timer::Retransmission if tcb.syn_unacknowledged() => on_handshake_timeout(tcb, cx),
        Timer::Retransmission if tcb.repairs.is_some() => segments::on_timeout(tcb, cx),
        Timer::Retransmission => on_retransmission_timeout(tcb, cx),
        Timer::Persist => on_persist_timeout(tcb, cx),
        // What waited leaves with the poll that follows.
        Timer::Pacing => {}
        Timer::DelayedAck => delayed_ack::on_timeout(tcb),
        Timer::KeepAlive => on_keepalive(tcb, cx),
        Timer::UserTimeout => on_user_timeout(tcb, cx),
        Timer::FinWait2 => tcb.advance(cx, Cause::FinWait2Elapsed),
        Timer::TimeWait => tcb.advance(cx, Cause::TimeWaitElapsed),
    }
}

/// Our SYN+ACK went unanswered in a simultaneous open [MUST-22].
fn on_handshake_timeout(tcb: &mut Tcb, cx: &mut Context<'_>) {
    if note_try(tcb, cx) >= tcb.config.r2_syn {
        return give_up(tcb, cx, ConnectionError::TimedOut);
    }
    tcb.rtt.back_off();
    tcb.rtt.on_syn_retransmitted();
    tcb.intents.synack = true;
    restart_retransmission_timer(tcb, cx.now);
}

/// The oldest octet went unacknowledged for an RTO (RFC 6298 5.4 to 5.6, RFC 5681 3.1) [MUST-18] [MUST-19] [MUST-20] [RFC6298-13] [RFC6298-14] [RFC6298-15].
fn on_retransmission_timeout(tcb: &mut Tcb, cx: &mut Context<'_>) {
    let waited = note_try(tcb, cx);
    let orphan_done = tcb.app.released && tcb.patience.tries > tcb.config.orphan_retries;
    if waited >= tcb.config.r2 || orphan_done {
        return give_up(tcb, cx, ConnectionError::TimedOut);
    }
    cx.host.counters.timeouts += 1;
    tcb.rare_mut().timeouts += 1;
    let first = !matches!(tcb.loss, LossState::Timeout);
    let loss = LossEvent {
        now: cx.now,
        flight: tcb.snd.flight(),
        smss: u32::from(tcb.mss.send),
        kind: Loss::FastRetransmit,
    };
    tcb.congestion.on_timeout(&loss, first);
    tcb.rtt.back_off();
    tcb.timed = None;
    tcb.ack.duplicates = 0;
    tcb.scoreboard.on_timeout(tcb.snd.una);
    tcb.scoreboard.mark_lost_below(tcb.snd.nxt);
    tcb.loss = LossState::Timeout;
    tcb.recover = tcb.snd.nxt;
    tcb.intents.retransmit = true;
    restart_retransmission_timer(tcb, cx.now);
}

/// The window stayed shut, or too small, for a persist interval (RFC 9293 3.8.6.1).
///
/// The connection stays open while probes are answered [MUST-37] [SHLD-17]; what was let go by its application only until
/// memory is short (RFC 6429).
fn on_persist_timeout(tcb: &mut Tcb, cx: &mut Context<'_>) {
    if tcb.snd.wnd > 0 {
        if tcb.records.is_some() {
            tcb.patience.tries = tcb.patience.tries.saturating_add(1);
        }
        tcb.intents.override_silly_window = true;
        return;
    }
    if segments::is_user_timeout_over(tcb, cx.now) {
        return give_up(tcb, cx, ConnectionError::UserTimeout);
    }
    tcb.patience.tries = tcb.patience.tries.saturating_add(1);
    tcb.patience.unanswered = tcb.patience.unanswered.saturating_add(1);
    let silent = cx.now - tcb.patience.last_heard >= tcb.config.r2;
    let evicted = tcb.app.released && cx.host.pressure == Pressure::Hard;
    if silent {
        return give_up(tcb, cx, ConnectionError::TimedOut);
    }
    if evicted {
        tcb.fail(cx, Cause::Abort, ConnectionError::Evicted);
        tcb.intents.reset_connection(tcb.snd.nxt);
        return;
    }
    tcb.intents.window_probe = true;
}

/// The peer has been silent: probe, or give up after enough probes [MUST-26] [MUST-29].
fn on_keepalive(tcb: &mut Tcb, cx: &mut Context<'_>) {
    let Some(keepalive) = tcb.config.keepalive else {
        return;
    };
    let owed = tcb.is_outstanding() || tcb.has_unsent();
    if owed {
        // Retransmissions and window probes test the peer already.
        tcb.timers
            .set(Timer::KeepAlive, cx.now + at_least(keepalive.idle));
        return;
    }
    let over = match tcb.config.user_timeout {
        // A user timeout says how long, whatever the number of probes (RFC 5482 4.2).
        Some(limit) => {
            tcb.patience.keepalive_probes > 0 && cx.now - tcb.patience.last_heard >= limit
        }
        None => tcb.patience.keepalive_probes >= keepalive.probes,
    };
    if over {
        let seq = tcb.snd.nxt;
        give_up(tcb, cx, ConnectionError::KeepAliveTimeout);
        tcb.intents.reset_connection(seq);
        return;
    }
    tcb.patience.keepalive_probes = tcb.patience.keepalive_probes.saturating_add(1);
    tcb.intents.keepalive_probe = true;
    tcb.timers
        .set(Timer::KeepAlive, cx.now + at_least(keepalive.interval));
}

/// A wait that begins again when it is over takes time, whatever the settings say: a connection would never be done with one moment.
fn at_least(wait: Duration) -> Duration {
    wait.max(CLOCK_GRANULARITY)
}

fn on_user_timeout(tcb: &mut Tcb, cx: &mut Context<'_>) {
    let seq = tcb.snd.nxt;
    give_up(tcb, cx, ConnectionError::UserTimeout);
    tcb.intents.reset_connection(seq);
}

/// Counts a try, reports trouble at R1 [SHLD-9] [SHLD-10], and returns how long the peer has owed an answer.
fn note_try(tcb: &mut Tcb, cx: &Context<'_>) -> Duration {
    tcb.patience.tries = tcb.patience.tries.saturating_add(1);
    if tcb.patience.tries == tcb.config.r1 {
        tcb.events |= Events::SOFT_ERROR;
    }
    let first_sent = cx.now.saturating_sub(tcb.rto());
    let since = *tcb.patience.since.get_or_insert(first_sent);
    cx.now - since
}

/// Ends the connection because the peer stays silent.
fn give_up(tcb: &mut Tcb, cx: &mut Context<'_>, error: ConnectionError) {
    debug_assert!(
        tcb.phase() != Phase::Closed,
        "a closed connection has no timers"
    );
    tcb.fail(cx, Cause::GaveUp, error);
}
