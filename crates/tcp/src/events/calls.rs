//! Calls of the application on a connection whose peer is known (RFC 9293 3.10.2 to 3.10.5).

use alloc::sync::Arc;

use bytes::Bytes;
use handwave_wire::SeqNum;

use crate::config::{Config, Resets};
use crate::delayed_ack;
use crate::error::{ConnectionError, ReceiveError, SendError};
use crate::host::Context;
use crate::output::opens_enough_to_tell;
use crate::phase::{Cause, Phase};
use crate::records::{self, WriteOptions};
use crate::tcb::{Tcb, octets};
use crate::timer::Timer;
use crate::tuning;

/// SEND (RFC 9293 3.10.2).
pub(crate) fn write(
    tcb: &mut Tcb,
    cx: &mut Context<'_>,
    data: &[u8],
    options: WriteOptions,
) -> Result<usize, SendError> {
    check_sendable(tcb)?;
    let start = tcb.text_end();
    let limit = tuning::send_limit(tcb, cx.host.pressure);
    let taken = tuning::write(&mut tcb.send, cx.host, data, limit);
    count_cut(tcb, cx, taken < data.len());
    // Writing nothing to a full buffer asks to be told when there is room.
    tcb.app.wants_write |= taken < data.len() || (data.is_empty() && sendable(tcb) == 0);
    // Whoever has to wait for room has nothing more for the moment.
    let options = if taken < data.len() {
        WriteOptions::default()
    } else {
        options
    };
    note_record(tcb, start, options);
    Ok(taken)
}

/// Counts a write of which less was taken than the buffer has room for.
fn count_cut(tcb: &Tcb, cx: &mut Context<'_>, cut: bool) {
    cx.host.counters.writes_cut += u64::from(cut && sendable(tcb) > 0);
}

/// Notes where a write ended.
fn note_record(tcb: &mut Tcb, start: SeqNum, options: WriteOptions) {
    let (end, nxt, first) = (tcb.text_end(), tcb.snd.nxt, tcb.text_start());
    let window_max = tcb.snd.wnd_max;
    let limits = (
        records::size_max(u32::from(tcb.mss.send), window_max),
        window_max,
    );
    if let Some(records) = tcb.records.as_deref_mut() {
        records.cover(first, start);
        records.append((start, end), nxt, limits, options);
    }
}

/// SEND without a copy.
pub(crate) fn write_chunk(
    tcb: &mut Tcb,
    cx: &mut Context<'_>,
    chunk: Bytes,
) -> Result<usize, SendError> {
    check_sendable(tcb)?;
    let len = chunk.len();
    let start = tcb.text_end();
    let limit = tuning::send_limit(tcb, cx.host.pressure);
    let taken = tuning::write_chunk(&mut tcb.send, cx.host, chunk, limit);
    count_cut(tcb, cx, taken < len);
    tcb.app.wants_write |= taken < len;
    note_record(tcb, start, WriteOptions::default());
    Ok(taken)
}

/// SEND with the urgent flag: the pointer follows the last octet (RFC 9293 3.8.5).
pub(crate) fn write_urgent(
    tcb: &mut Tcb,
    cx: &mut Context<'_>,
    data: &[u8],
) -> Result<usize, SendError> {
    let taken = write(tcb, cx, data, WriteOptions::default())?;
    if taken > 0 {
        tcb.rare_mut().snd_up = Some(tcb.text_end());
    }
    Ok(taken)
}

fn check_sendable(tcb: &Tcb) -> Result<(), SendError> {
    match (tcb.phase(), tcb.error) {
        (Phase::Closed, Some(error)) => Err(SendError::Lost(error)),
        (Phase::Closed, None) => Err(SendError::Closed),
        _ if tcb.app.closing => Err(SendError::Closing),
        (phase, _) => {
            debug_assert!(phase.can_send(), "closing is known in {phase}");
            Ok(())
        }
    }
}

/// RECEIVE (RFC 9293 3.10.3). Zero octets mean the end of the stream.
pub(crate) fn read(
    tcb: &mut Tcb,
    cx: &mut Context<'_>,
    buffer: &mut [u8],
) -> Result<usize, ReceiveError> {
    if tcb.receive.is_empty() || buffer.is_empty() {
        return at_end(tcb);
    }
    let taken = tcb.receive.read(buffer, &mut cx.host.buffers);
    after_read(tcb, cx, taken);
    Ok(taken)
}

/// RECEIVE without a copy: a slice as it arrived, at most `max` octets; empty at the end of the stream.
pub(crate) fn read_chunk(
    tcb: &mut Tcb,
    cx: &mut Context<'_>,
    max: usize,
) -> Result<Bytes, ReceiveError> {
    match tcb.receive.read_chunk(max, &mut cx.host.buffers) {
        Some(chunk) => {
            after_read(tcb, cx, chunk.len());
            Ok(chunk)
        }
        None => at_end(tcb).map(|_| Bytes::new()),
    }
}

/// RECEIVE without a copy, as many slices as there are `chunks`; returns how many that were, and their octets. None mean the end of the
/// stream.
pub(crate) fn read_chunks(
    tcb: &mut Tcb,
    cx: &mut Context<'_>,
    chunks: &mut [Bytes],
) -> Result<(usize, usize), ReceiveError> {
    if tcb.receive.is_empty() || chunks.is_empty() {
        return at_end(tcb).map(|_| (0, 0));
    }
    let before = tcb.receive.len();
    let count = tcb.receive.read_chunks(chunks, &mut cx.host.buffers);
    let octets = before - tcb.receive.len();
    after_read(tcb, cx, octets);
    Ok((count, octets))
}

fn at_end(tcb: &Tcb) -> Result<usize, ReceiveError> {
    if !tcb.receive.is_empty() {
        return Ok(0);
    }
    if let Some(error) = tcb.error {
        return Err(ReceiveError::Lost(error));
    }
    if tcb.fin_received() || tcb.phase() == Phase::Closed {
        return Ok(0);
    }
    Err(ReceiveError::WouldBlock)
}

/// Tells the peer when reading has opened the window far enough (RFC 9293 3.8.6.2.2).
fn after_read(tcb: &mut Tcb, cx: &mut Context<'_>, taken: usize) {
    tuning::on_read(tcb, cx);
    let position = tcb.read_position();
    if let Some(rare) = tcb.rare_if_any() {
        rare.rcv_up.take_if(|up| position.at_or_after(*up));
    }
    let told = opens_enough_to_tell(tcb) || delayed_ack::on_read(tcb, taken);
    if tcb.phase().can_receive() && tcb.phase() != Phase::SynReceived && told {
        tcb.intents.ack = true;
    }
}

/// CLOSE (RFC 9293 3.10.4): a FIN follows what is queued; reading goes on.
///
/// Before the handshake completes the FIN waits for it.
pub(crate) fn close(tcb: &mut Tcb, cx: &mut Context<'_>) {
    if tcb.app.closing || tcb.phase() == Phase::Closed {
        return;
    }
    tcb.app.closing = true;
    if tcb.phase() != Phase::SynReceived {
        tcb.advance(cx, Cause::Close);
    }
}

/// The application lets go: nothing more will be read. Unread text is a loss the peer must learn of [SHLD-3].
pub(crate) fn release(tcb: &mut Tcb, cx: &mut Context<'_>) {
    if core::mem::replace(&mut tcb.app.released, true) {
        return;
    }
    if tcb.phase() == Phase::Closed {
        tcb.receive.discard();
        return;
    }
    // Text that waits beyond a gap is none that Linux would have given to the program.
    let counts_all = tcb.config.resets != Resets::Dressed;
    let unread = !tcb.receive.is_empty() || (counts_all && tcb.receive.has_gap());
    if unread && tcb.phase() != Phase::TimeWait {
        // Linux tells of the loss in the states after both FINs, too.
        let over = matches!(tcb.phase(), Phase::Closing | Phase::LastAck);
        if over && !counts_all {
            let seq = tcb.snd.nxt;
            tcb.fail(cx, Cause::Abort, ConnectionError::Aborted);
            tcb.intents.reset_connection(seq);
        }
        return abort(tcb, cx);
    }
    // What waits beyond a gap goes on being reported to the peer, as Linux does it.
    if counts_all || !tcb.receive.has_gap() {
        tcb.receive.discard();
    }
    close(tcb, cx);
    if tcb.phase() == Phase::FinWait2 {
        tcb.timers
            .set(Timer::FinWait2, cx.now + tcb.config.fin_wait2_timeout);
    }
}

/// ABORT (RFC 9293 3.10.5): RST, and nothing is kept.
pub(crate) fn abort(tcb: &mut Tcb, cx: &mut Context<'_>) {
    cut_off(tcb, cx);
    tcb.receive.discard();
}

/// The same for an application that did not ask for it: what has arrived for it stays.
pub(crate) fn cut_off(tcb: &mut Tcb, cx: &mut Context<'_>) {
    match tcb.phase() {
        Phase::Closed => {}
        // A FIN that waits to be sent is none yet: the peer still has to hear of the end.
        Phase::TimeWait | Phase::Closing | Phase::LastAck
            if tcb.fin_sent() && !tcb.has_unacknowledged_text() =>
        {
            tcb.advance(cx, Cause::Abort);
        }
        _ => {
            let seq = tcb.snd.nxt;
            tcb.fail(cx, Cause::Abort, ConnectionError::Aborted);
            tcb.intents.reset_connection(seq);
        }
    }
}

/// Replaces the settings of a running connection; timers that they switch on or off follow.
pub(crate) fn set_config(tcb: &mut Tcb, cx: &Context<'_>, config: Arc<Config>) {
    let config = config.that_counts_as(&tcb.config);
    let stopped_waiting = tcb.config.nagle && !config.nagle;
    tuning::set_sizes(tcb, &config);
    tcb.config = config;
    if let Some(records) = tcb.records.as_deref_mut() {
        records.push_once |= stopped_waiting;
    }
    if tcb.phase() == Phase::Closed || tcb.phase() == Phase::TimeWait {
        return;
    }
    match tcb.config.keepalive {
        Some(keepalive) => tcb
            .timers
            .set(Timer::KeepAlive, tcb.patience.last_heard + keepalive.idle),
        None => tcb.timers.stop(Timer::KeepAlive),
    }
    match tcb.config.user_timeout {
        Some(limit) if tcb.is_outstanding() && tcb.repairs.is_none() => {
            tcb.timers.set(Timer::UserTimeout, cx.now + limit)
        }
        Some(_) | None => tcb.timers.stop(Timer::UserTimeout),
    }
}

/// Octets of urgent text the application has not read (RFC 9293 3.8.5 [MUST-33]).
pub(crate) fn urgent_pending(tcb: &Tcb) -> u32 {
    match tcb.rare().rcv_up {
        Some(up) if up.after(tcb.read_position()) => up.since(tcb.read_position()),
        _ => 0,
    }
}

/// Whether there is room enough to tell a program that waits: any, or as Linux has it, half as much as is taken.
pub(crate) fn is_roomy(tcb: &Tcb) -> bool {
    let Some(records) = tcb.records.as_deref() else {
        return octets(tcb.send.len()) < tcb.snd.buffer;
    };
    let used = records.charged(tcb.text_start(), tcb.text_end());
    tcb.snd.buffer.saturating_sub(used) >= used / 2
}

/// Octets that may still be written before the buffer is full.
pub(crate) fn sendable(tcb: &Tcb) -> usize {
    if check_sendable(tcb).is_err() {
        return 0;
    }
    let used = match tcb.records.as_deref() {
        Some(records) => records.charged(tcb.text_start(), tcb.text_end()),
        None => octets(tcb.send.len()),
    };
    tcb.snd.buffer.saturating_sub(used) as usize
}
