//! How buffers find their size: the receive buffer follows what the application reads in a round trip (dynamic right-sizing), the
//! send buffer follows the congestion window, and both follow how scarce memory is.

use core::time::Duration;

use bytes::Bytes;
use handwave_wire::{SeqNum, TcpHeader};

use crate::buffer::SendBuffer;
use crate::buffer::send::CHUNK_MAX;
use crate::config::{Config, ReceiveWindow};
use crate::host::{Context, Host, Pressure};
use crate::tcb::{Tcb, octets};
use crate::time::Instant;

/// Text of fewer octets says nothing about how much the peer wants to send.
const WORTH_GROWING: u32 = 128;
/// Full segments that are offered, beyond what was, while memory is scarce.
const SCARCE_SEGMENTS: u32 = 4;
/// Octets that may be queued for sending however scarce memory is.
pub(crate) const SEND_MIN: u32 = 4_096;

/// What queuing a write may cost beside its octets.
const SEND_BOOKKEEPING: usize = 1_024;

/// What a receiver remembers to see how much is read in a round trip. There is none before the first text, and none once the buffer
/// cannot grow any more.
#[derive(Clone, Debug)]
pub(crate) struct ReceiveTuning {
    /// The round trip as the receiver sees it; zero before the first measurement.
    rtt: Duration,
    /// When the sequence number `round_end` became the right edge of the window: what arrives beyond it was sent a round trip later.
    round_began: Instant,
    round_end: SeqNum,
    /// The timestamp echoed last; one echo is one measurement.
    last_echo: u32,
    /// Read position and time at which the count of what is read began.
    mark: SeqNum,
    mark_at: Instant,
    /// The most octets that were read in one round trip.
    space: u32,
}

impl ReceiveTuning {
    fn new(tcb: &Tcb, now: Instant) -> Self {
        Self {
            rtt: tcb.rtt.srtt().unwrap_or(Duration::ZERO),
            round_began: now,
            round_end: tcb.rcv.edge,
            last_echo: 0,
            mark: tcb.read_position(),
            mark_at: now,
            space: u32::from(tcb.config.initial_window)
                .saturating_mul(tcb.mss.receive.into())
                .min(tcb.rcv.buffer)
                .max(1),
        }
    }

    /// A window full of text took a round trip, or longer if the peer had nothing to send.
    fn on_window_filled(&mut self, now: Instant, edge: SeqNum) {
        let sample = (now - self.round_began).max(Duration::from_nanos(1));
        if self.rtt.is_zero() || sample < self.rtt {
            self.rtt = sample;
        }
        self.round_began = now;
        self.round_end = edge;
    }

    /// An echo tells the time since we sent the acknowledgment that made the peer send; and how long the peer waited before it did,
    /// so small ones count most.
    fn on_echo(&mut self, sample: Duration, drained: bool) {
        if self.rtt.is_zero() || sample < self.rtt {
            self.rtt = sample;
        } else if drained {
            self.rtt = self.rtt - self.rtt / 8 + sample / 8;
        }
    }
}

/// Text arrived and is in the buffer: measures the round trip, and moves the limit of the window.
pub(crate) fn on_text(tcb: &mut Tcb, cx: &mut Context<'_>, header: &TcpHeader, len: u32) {
    move_limit(tcb, cx.host.pressure, len);
    if tcb.rcv.buffer >= tcb.config.receive_buffer.limit() {
        return;
    }
    let mut tuning = match tcb.receive_tuning.take() {
        Some(tuning) => tuning,
        None => alloc::boxed::Box::new(ReceiveTuning::new(tcb, cx.now)),
    };
    if tcb.rcv.nxt.at_or_after(tuning.round_end) {
        tuning.on_window_filled(cx.now, tcb.rcv.edge);
    }
    if let Some(echo) = header.options.timestamps.map(|stamps| stamps.echo)
        && tcb.negotiated.timestamps
        && echo != tuning.last_echo
        && len >= tcb.mss.receive.into()
    {
        tuning.last_echo = echo;
        let millis = tcb.clock.value(cx.now).wrapping_sub(echo);
        // An echo of a number we have not sent yet tells nothing.
        if millis < 1 << 30 {
            let sample = Duration::from_millis(millis.max(1).into());
            tuning.on_echo(sample, tcb.receive.len() <= len as usize);
        }
    }
    tcb.receive_tuning = Some(tuning);
}

/// The application has read: once in a round trip, sees whether the buffer holds it back.
pub(crate) fn on_read(tcb: &mut Tcb, cx: &mut Context<'_>) {
    let (read_to, unread) = (tcb.read_position(), octets(tcb.receive.len()));
    let waiting = octets(tcb.receive.out_of_order());
    let limit = tcb.config.receive_buffer.limit();
    let Some(tuning) = tcb.receive_tuning.as_deref_mut() else {
        return;
    };
    if tuning.rtt.is_zero() || cx.now - tuning.mark_at < tuning.rtt {
        return;
    }
    // What is left unread says that the reader, not the buffer, is slow.
    let read = read_to.since(tuning.mark).saturating_sub(unread);
    tuning.mark = read_to;
    tuning.mark_at = cx.now;
    if read <= tuning.space {
        return;
    }
    // All this was sent a round trip ago: a sender in slow start has doubled since, and will again before the next look.
    let grown = read - tuning.space;
    tuning.space = read;
    if cx.host.pressure != Pressure::None {
        return;
    }
    let wanted = read
        .saturating_mul(2)
        .saturating_add(grown.saturating_mul(4))
        .saturating_add(waiting);
    if wanted > tcb.rcv.buffer {
        tcb.rcv.buffer = wanted.min(limit).max(tcb.rcv.buffer);
        cx.host.counters.receive_buffers_grown += 1;
    }
    if tcb.rcv.buffer >= limit {
        tcb.receive_tuning = None;
    }
}

/// The send buffer follows the congestion window: what is in flight, and as much again, for what the next round trip will allow.
///
/// `waited` says that the application had more to write than there was room for.
pub(crate) fn grow_send_buffer(tcb: &mut Tcb, cx: &mut Context<'_>, waited: bool) {
    let limit = tcb.config.send_buffer.limit();
    if !waited || tcb.snd.buffer >= limit || cx.host.pressure != Pressure::None {
        return;
    }
    let wanted = tcb.congestion.window().saturating_mul(2).min(limit);
    if wanted > tcb.snd.buffer {
        tcb.snd.buffer = wanted;
        cx.host.counters.send_buffers_grown += 1;
    }
}

/// Copies what fits of `data` into `send`, which may hold `limit` octets, as far as there is memory; returns the octets taken.
pub(crate) fn write(send: &mut SendBuffer, host: &Host, data: &[u8], limit: usize) -> usize {
    let room = host_room(send, host);
    // A new chunk takes up to twice what is queued.
    if host.pressure == Pressure::None && room / 2 > send.len() + data.len() + CHUNK_MAX {
        return send.write(data, limit);
    }
    let granted = data.len().min(room.saturating_sub(SEND_BOOKKEEPING));
    send.write_sparingly(&data[..granted], limit)
}

/// Takes over what fits of `chunk`, as [`write`] copies.
pub(crate) fn write_chunk(send: &mut SendBuffer, host: &Host, chunk: Bytes, limit: usize) -> usize {
    let room = host_room(send, host).saturating_sub(SEND_BOOKKEEPING);
    let mut chunk = chunk;
    chunk.truncate(room);
    send.write_chunk(chunk, limit)
}

/// Bytes of memory that a send buffer may take.
fn host_room(send: &SendBuffer, host: &Host) -> usize {
    if send.len() < SEND_MIN as usize {
        host.room.last
    } else {
        host.room.ordinary.min(host.room.last)
    }
}

/// How many octets the send buffer may hold after the next write.
pub(crate) fn send_limit(tcb: &mut Tcb, pressure: Pressure) -> usize {
    let queued = octets(tcb.send.len());
    match pressure {
        Pressure::None => {}
        // Grown while there was plenty; what is in use stays.
        Pressure::Soft => {
            let least = tcb.config.send_buffer.initial.max(queued);
            tcb.snd.buffer = tcb.snd.buffer.min(least);
        }
        Pressure::Hard => return queued.max(tcb.snd.buffer.min(SEND_MIN)) as usize,
    }
    tcb.snd.buffer as usize
}

/// Raises the limit of the window with each segment of some size, or lowers it to a few segments while memory is scarce. What was
/// offered stays offered [SHLD-14].
fn move_limit(tcb: &mut Tcb, pressure: Pressure, len: u32) {
    let segment = u32::from(tcb.mss.announced()).max(len);
    if pressure != Pressure::None {
        tcb.rcv.limit = tcb.rcv.limit.min(SCARCE_SEGMENTS.saturating_mul(segment));
        // The buffer shrinks to what it holds and what was offered, but not below where it began.
        let used = octets(tcb.receive.len()).saturating_add(tcb.rcv.wnd());
        let least = tcb.config.receive_buffer.initial.max(used);
        tcb.rcv.buffer = tcb.rcv.buffer.min(least);
        return;
    }
    let most = tcb.window_max();
    if tcb.config.receive_window == ReceiveWindow::Growing {
        if len >= WORTH_GROWING {
            let step = segment.saturating_mul(2);
            tcb.rcv.limit = tcb.rcv.limit.saturating_add(step).min(most);
        }
    } else if tcb.rcv.limit != u32::MAX {
        let raised = tcb.rcv.limit.saturating_add(segment.saturating_mul(2));
        tcb.rcv.limit = if raised >= most { u32::MAX } else { raised };
    }
}

/// The program has set sizes: they hold at once, but for what was offered, and end the growth of what they fix.
pub(crate) fn set_sizes(tcb: &mut Tcb, config: &Config) {
    if tcb.config.send_buffer != config.send_buffer {
        tcb.snd.buffer = config.send_buffer.initial;
    }
    if tcb.config.receive_buffer != config.receive_buffer {
        tcb.rcv.buffer = config.receive_buffer.initial;
        tcb.receive_tuning = None;
    }
}
