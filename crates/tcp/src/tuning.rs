//! How buffers find their size: the receive buffer follows what the application reads in a round trip (dynamic right-sizing), the
//! send buffer follows what is in flight, and both follow how scarce memory is.

mod linux;

use alloc::boxed::Box;
use core::time::Duration;

use bytes::Bytes;
use handwave_wire::{SeqNum, TcpHeader};

pub(crate) use linux::LinuxQueue;

use crate::buffer::SendBuffer;
use crate::buffer::send::CHUNK_MAX;
use crate::config::{BufferSize, Config, ReceiveWindow};
use crate::delayed_ack;
use crate::host::{Context, Host, Pressure};
use crate::options::{Mss, TCP_HEADER_LEN, TIMESTAMPS_LEN, ip_header_len};
use crate::output::FirstWindow;
use crate::records;
use crate::tcb::{Tcb, octets};
use crate::time::Instant;
use crate::vars::ReceiveVars;

/// Text of fewer octets says nothing about how much the peer wants to send.
const WORTH_GROWING: u32 = 128;
/// Full segments that are offered, beyond what was, while memory is scarce.
const SCARCE_SEGMENTS: u32 = 4;
/// Round trips in which a send buffer that is too long would have shrunk, had it gone on as in the first.
const SHRINK_ROUNDS: u32 = 4;
/// Octets that may be queued for sending however scarce memory is.
pub(crate) const SEND_MIN: u32 = 4_096;

/// What Linux adds to a segment's text for headers and what lies behind them, and for the segment's descriptor.
const SEGMENT_OVERHEAD: u32 = 512;
const DESCRIPTOR: u32 = 256;
/// Segments that Linux's send buffer is made for at least.
const SEGMENTS_MIN: u32 = 10;

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
    /// The end of what has come that lies farthest beyond a gap.
    farthest: SeqNum,
    /// The queue as Linux charges it, if that is what windows follow.
    pub(crate) linux: Option<LinuxQueue>,
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
            farthest: tcb.rcv.nxt,
            linux: None,
        }
    }

    /// What a connection begins with: nothing, or Linux's queue and the limit that its windows grow from.
    pub(crate) fn at_first(
        now: Instant,
        config: &Config,
        rcv: &mut ReceiveVars,
        mss: u16,
    ) -> Option<Box<Self>> {
        if config.receive_window == ReceiveWindow::Buffer {
            return None;
        }
        let queue = LinuxQueue::new(config, rcv.buffer, mss.into());
        rcv.limit = FirstWindow::of(config).octets(mss).min(queue.clamp());
        Some(Box::new(Self {
            rtt: Duration::ZERO,
            round_began: now,
            round_end: rcv.nxt,
            last_echo: 0,
            mark: rcv.nxt,
            mark_at: now,
            space: rcv.limit.min(rcv.wnd()).min(10 * u32::from(mss)),
            farthest: rcv.nxt,
            linux: Some(queue),
        }))
    }

    /// The most octets that were read in one round trip.
    pub(crate) const fn space(&self) -> u32 {
        self.space
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

/// Text that arrived and was queued.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrived {
    pub(crate) len: u32,
    /// The same, with what had arrived before.
    pub(crate) whole: u32,
    /// Octets by which RCV.NXT moved.
    pub(crate) advanced: u32,
    /// Octets that had waited beyond a gap.
    pub(crate) beyond: u32,
}

/// Text arrived and is in the buffer: measures the round trip, and moves the limit of the window.
pub(crate) fn on_text(tcb: &mut Tcb, cx: &mut Context<'_>, header: &TcpHeader, arrived: Arrived) {
    let len = arrived.len;
    let mut tuning = match tcb.receive_tuning.take() {
        Some(tuning) => tuning,
        None if tcb.rcv.buffer >= tcb.config.receive_buffer.limit() => {
            return move_limit(tcb, cx.host.pressure, len);
        }
        None => Box::new(ReceiveTuning::new(tcb, cx.now)),
    };
    // What was offered last, as it was then: the right edge that the peer answers to once it hears of this segment.
    let offered = tcb.rcv.edge.since(tcb.rcv.last_ack_sent);
    let full = tcb
        .ack
        .adaptive
        .as_deref()
        .map_or(tcb.mss.receive.into(), |policy| policy.segment());
    if let Some(echo) = header.options.timestamps.map(|stamps| stamps.echo)
        && tcb.negotiated.timestamps
        && echo != tuning.last_echo
        && len >= full
    {
        tuning.last_echo = echo;
        let millis = tcb.clock.value(cx.now).wrapping_sub(echo);
        // An echo of a number we have not sent yet tells nothing.
        if millis < 1 << 30 {
            let sample = Duration::from_millis(millis.max(1).into());
            tuning.on_echo(sample, tcb.receive.len() <= len as usize);
        }
    }
    if tuning.linux.is_none() {
        if tcb.rcv.nxt.at_or_after(tuning.round_end) {
            tuning.on_window_filled(cx.now, tcb.rcv.edge);
        }
        move_limit(tcb, cx.host.pressure, len);
    } else {
        if tuning.round_end == tcb.rcv.irs + 1 {
            (tuning.round_began, tuning.round_end) = (cx.now, tcb.rcv.nxt + offered);
        } else if arrived.advanced > 0 && tcb.rcv.nxt.at_or_after(tuning.round_end) {
            tuning.on_window_filled(cx.now, tcb.rcv.nxt + offered);
        }
        let pressure = cx.host.pressure;
        if arrived.advanced > 0 {
            charge(tcb, &mut tuning, arrived);
            measure(tcb, &mut tuning, arrived.whole, full);
            if arrived.whole >= WORTH_GROWING {
                grow_limit(tcb, &tuning, pressure, (arrived.whole, full));
            }
        } else {
            on_text_beyond(tcb, &mut tuning, (header.seq + len, len), full, pressure);
        }
    }
    tcb.receive_tuning = Some(tuning);
}

/// Text beyond a gap, as Linux takes it: the window grows first, where SACK tells the peer of the gap anyhow, and the buffer makes room
/// for what is missing.
fn on_text_beyond(
    tcb: &mut Tcb,
    tuning: &mut ReceiveTuning,
    (end, len): (SeqNum, u32),
    full: u32,
    pressure: Pressure,
) {
    measure(tcb, tuning, len, full);
    if tcb.negotiated.sack {
        grow_limit(tcb, tuning, pressure, (len, full));
    }
    tuning.farthest = if tuning.farthest.after(tcb.rcv.nxt) {
        tuning.farthest.later(end)
    } else {
        end
    };
    let headers = headers(tcb);
    let Some(queue) = &mut tuning.linux else {
        return;
    };
    queue.push_beyond(len, headers);
    if pressure != Pressure::None || tcb.config.receive_buffer.is_fixed() {
        return;
    }
    let missing = tuning.farthest.since(tcb.rcv.nxt);
    let wanted = queue.buffer(tuning.space.saturating_mul(2).saturating_add(missing));
    let wanted = wanted.min(tcb.config.receive_buffer.limit());
    if wanted > tcb.rcv.buffer {
        tcb.rcv.buffer = wanted;
        let worth = queue.window(wanted);
        queue.set_clamp(worth.min(tcb.config.window_clamp.unwrap_or(u32::MAX)));
    }
}

/// Charges text in order as Linux does.
fn charge(tcb: &Tcb, tuning: &mut ReceiveTuning, arrived: Arrived) {
    let (headers, left) = (headers(tcb), octets(tcb.receive.out_of_order()));
    let Some(queue) = &mut tuning.linux else {
        return;
    };
    let Arrived {
        len,
        whole: _,
        advanced,
        beyond,
    } = arrived;
    let moved = advanced.saturating_sub(len);
    queue.push(len, headers, tcb.rcv.nxt - moved);
    let gone = beyond.saturating_sub(left);
    if gone > 0 {
        queue.fill_gap((moved, gone), beyond, tcb.rcv.nxt);
    }
}

/// Learns from a segment larger than those before how much of a packet is text.
fn measure(tcb: &mut Tcb, tuning: &mut ReceiveTuning, len: u32, full: u32) {
    let headers = headers(tcb);
    let Some(queue) = &mut tuning.linux else {
        return;
    };
    let before = queue.clamp();
    if len > full
        && let Some(clamp) = queue.measure(len, headers, tcb.rcv.buffer)
    {
        let clamp = clamp.min(tcb.config.window_clamp.unwrap_or(u32::MAX));
        queue.set_clamp(clamp);
        tcb.rcv.limit = if clamp < before {
            tcb.rcv.limit.min(clamp)
        } else {
            let offered = tcb.rcv.edge.since(tcb.rcv.last_ack_sent);
            tcb.rcv.limit.max(offered.min(clamp))
        };
        tuning.space = tuning.space.min(clamp).max(1);
    }
}

/// Raises the limit of the window as Linux does: while there is room, for packets that are not mostly overhead.
fn grow_limit(
    tcb: &mut Tcb,
    tuning: &ReceiveTuning,
    pressure: Pressure,
    (len, segment): (u32, u32),
) {
    if pressure != Pressure::None {
        return move_limit(tcb, pressure, len);
    }
    let Some(queue) = &tuning.linux else {
        return;
    };
    let most = queue.clamp().min(queue.space(tcb.rcv.buffer));
    let room = most.saturating_sub(tcb.rcv.limit);
    if room > 0 {
        let full = u32::from(tcb.mss.receive);
        let largest = tcb.config.receive_buffer.limit();
        let largest = tcb.config.window_scale_for.unwrap_or(0).max(largest);
        let segment = if len >= segment {
            len.min(full)
        } else {
            segment
        };
        let sizes = (full, segment);
        let step = queue.growth(len, headers(tcb), (tcb.rcv.limit, largest), sizes);
        tcb.rcv.limit += step.min(room);
        if step > 0 {
            delayed_ack::on_window_grown(tcb);
        }
    }
}

/// Octets of headers before the peer's text.
fn headers(tcb: &Tcb) -> u32 {
    let stamps = if tcb.negotiated.timestamps {
        TIMESTAMPS_LEN
    } else {
        0
    };
    u32::from(ip_header_len(&tcb.tuple) + TCP_HEADER_LEN + stamps)
}

/// Whether Linux's queue has room for another packet. A buffer that was not set grows to what was charged; where it may not, text is
/// put together first.
pub(crate) fn admits(tcb: &mut Tcb, pressure: Pressure) -> bool {
    let (limit, start) = (tcb.config.receive_buffer.limit(), tcb.read_position());
    let Some(queue) = tcb
        .receive_tuning
        .as_deref_mut()
        .and_then(|it| it.linux.as_mut())
    else {
        return true;
    };
    if !queue.is_over(tcb.rcv.buffer) {
        return true;
    }
    if pressure == Pressure::None && !tcb.config.receive_buffer.is_fixed() {
        tcb.rcv.buffer = queue.charged().min(limit).max(tcb.rcv.buffer);
    }
    if queue.is_over(tcb.rcv.buffer) {
        tcb.rcv.limit = tcb.rcv.limit.min(2 * u32::from(tcb.mss.receive));
        queue.collapse(start);
    }
    !queue.is_over(tcb.rcv.buffer)
}

/// Text beyond a gap was given back: what is left of `before` octets counts.
pub(crate) fn on_pruned(tcb: &mut Tcb, before: u32) {
    let left = octets(tcb.receive.out_of_order());
    if let Some(queue) = tcb
        .receive_tuning
        .as_deref_mut()
        .and_then(|it| it.linux.as_mut())
    {
        queue.prune(left, before);
    }
}

/// The application has read: once in a round trip, sees whether the buffer holds it back.
pub(crate) fn on_read(tcb: &mut Tcb, cx: &mut Context<'_>) {
    let (read_to, unread) = (tcb.read_position(), octets(tcb.receive.len()));
    let (nxt, has_gap) = (tcb.rcv.nxt, tcb.receive.has_gap());
    let limit = tcb.config.receive_buffer.limit();
    let waiting = octets(tcb.receive.out_of_order());
    let Some(tuning) = tcb.receive_tuning.as_deref_mut() else {
        return;
    };
    let waiting = if tuning.linux.is_some() && has_gap && tuning.farthest.after(nxt) {
        tuning.farthest.since(nxt)
    } else {
        waiting
    };
    if let Some(queue) = &mut tuning.linux {
        queue.read_to(read_to);
    }
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
    let twice = read.saturating_mul(2);
    let wanted = if let Some(queue) = &tuning.linux {
        if tcb.config.receive_buffer.is_fixed() {
            return;
        }
        let growth = u64::from(twice) * u64::from(grown) / u64::from(read - grown).max(1);
        let growth = u32::try_from(growth).unwrap_or(u32::MAX).saturating_mul(2);
        queue.buffer(twice.saturating_add(growth).saturating_add(waiting))
    } else {
        twice
            .saturating_add(grown.saturating_mul(4))
            .saturating_add(waiting)
    };
    if wanted > tcb.rcv.buffer {
        tcb.rcv.buffer = wanted.min(limit).max(tcb.rcv.buffer);
        cx.host.counters.receive_buffers_grown += 1;
    }
    if let Some(queue) = &mut tuning.linux {
        let worth = queue.window(tcb.rcv.buffer);
        queue.set_clamp(
            worth
                .min(tcb.config.window_clamp.unwrap_or(u32::MAX))
                .max(queue.clamp()),
        );
    } else if tcb.rcv.buffer >= limit {
        tcb.receive_tuning = None;
    }
}

/// An acknowledgment made room for an application that waits to write: the send buffer follows what is in flight, and holds as much
/// again, for what the next round trip will allow. A flight that the buffer holds back is as long as the buffer, and doubles it. Where
/// the path takes octets as soon as they are written, more would only wait, and be out of the caches when its turn comes: the buffer
/// shrinks, slowly, since flights are not all alike.
///
/// `flight` is what was in flight before, and `acked` what no longer is.
pub(crate) fn follow_flight(tcb: &mut Tcb, cx: &mut Context<'_>, flight: u32, acked: u32) {
    let size = tcb.config.send_buffer;
    if size.is_fixed() || cx.host.pressure != Pressure::None {
        return;
    }
    let buffer = tcb.snd.buffer;
    let wanted = if tcb.records.is_some() {
        linux_send_buffer(size, &tcb.mss, tcb.congestion.window()).max(buffer)
    } else {
        flight
            .saturating_mul(2)
            .clamp(size.at_first(), size.limit())
    };
    if wanted > buffer {
        tcb.snd.buffer = wanted;
        cx.host.counters.send_buffers_grown += 1;
    } else {
        // All that was in flight is acknowledged once in a round trip.
        let in_a_round = u64::from((buffer - wanted) / SHRINK_ROUNDS);
        let now = in_a_round * u64::from(acked) / u64::from(flight.max(acked).max(1));
        let shrunk = buffer - u32::try_from(now).unwrap_or(0);
        // Records may hold more text than the buffer: what it limits there is memory.
        tcb.snd.buffer = shrunk.max(octets(tcb.send.len())).min(buffer);
    }
}

/// Copies what fits of `data` into `send`, which may hold `limit` octets, as far as there is memory; returns the octets taken.
pub(crate) fn write(send: &mut SendBuffer, host: &mut Host, data: &[u8], limit: usize) -> usize {
    let room = host_room(send, host);
    // A new chunk takes up to twice what is queued.
    if host.pressure == Pressure::None && room / 2 > send.len() + data.len() + CHUNK_MAX {
        return send.write(data, limit, &mut host.buffers);
    }
    let granted = data.len().min(room.saturating_sub(SEND_BOOKKEEPING));
    send.write_sparingly(&data[..granted], limit, &mut host.buffers)
}

/// Takes over what fits of `chunk`, as [`write`] copies.
pub(crate) fn write_chunk(
    send: &mut SendBuffer,
    host: &mut Host,
    chunk: Bytes,
    limit: usize,
) -> usize {
    let room = host_room(send, host).saturating_sub(SEND_BOOKKEEPING);
    let mut chunk = chunk;
    chunk.truncate(room);
    send.write_chunk(chunk, limit, &mut host.buffers)
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
            let least = tcb.config.send_buffer.at_first().max(queued);
            tcb.snd.buffer = tcb.snd.buffer.min(least);
        }
        Pressure::Hard => return queued.max(tcb.snd.buffer.min(SEND_MIN)) as usize,
    }
    match tcb.records.as_deref() {
        // Memory is what is limited there, and a record costs more than its text.
        Some(_) => queued.saturating_add(record_room(tcb)) as usize,
        None => tcb.snd.buffer as usize,
    }
}

/// Octets that may be written where writes are kept in records.
fn record_room(tcb: &Tcb) -> u32 {
    let size_max = records::size_max(u32::from(tcb.mss.send), tcb.snd.wnd_max);
    tcb.records.as_deref().map_or(0, |records| {
        let ends = (tcb.text_start(), tcb.text_end());
        records.admits(ends, tcb.snd.nxt, size_max, tcb.snd.buffer)
    })
}

/// Octets that go on with the last record, or that begin another if there is memory and less than `unsent_max` waits to be sent.
pub(crate) fn write_step(tcb: &Tcb, unsent_max: u32) -> Option<u32> {
    let records = tcb.records.as_deref()?;
    let size_max = records::size_max(u32::from(tcb.mss.send), tcb.snd.wnd_max);
    let (start, end) = (tcb.text_start(), tcb.text_end());
    let room = records.room(end, tcb.snd.nxt, size_max);
    if room > 0 {
        return Some(room);
    }
    let has_memory = records.charged(start, end) < tcb.snd.buffer;
    Some(if has_memory && tcb.unsent() < unsent_max {
        size_max
    } else {
        0
    })
}

/// The send buffer that Linux gives a connection: room for twice what the congestion window admits, in segments with all they cost.
pub(crate) fn linux_send_buffer(size: BufferSize, mss: &Mss, window: u32) -> u32 {
    if size.is_fixed() {
        return size.at_first();
    }
    let largest = u32::from(mss.peer_takes());
    let segment = (largest + SEGMENT_OVERHEAD).next_power_of_two() + DESCRIPTOR;
    let window = window / u32::from(mss.send).max(1);
    let segments = window.max(SEGMENTS_MIN);
    (2 * segments).saturating_mul(segment).min(size.limit())
}

/// Raises the limit of the window with each segment of some size, or lowers it to a few segments while memory is scarce. What was
/// offered stays offered [SHLD-14].
fn move_limit(tcb: &mut Tcb, pressure: Pressure, len: u32) {
    let segment = u32::from(tcb.mss.announced()).max(len);
    if pressure != Pressure::None {
        tcb.rcv.limit = tcb.rcv.limit.min(SCARCE_SEGMENTS.saturating_mul(segment));
        // The buffer shrinks to what it holds and what was offered, but not below where it began.
        let used = octets(tcb.receive.len()).saturating_add(tcb.rcv.wnd());
        let least = tcb.config.receive_buffer.at_first().max(used);
        tcb.rcv.buffer = tcb.rcv.buffer.min(least);
        return;
    }
    if tcb.rcv.limit != u32::MAX && tcb.config.receive_window == ReceiveWindow::Buffer {
        let raised = tcb.rcv.limit.saturating_add(segment.saturating_mul(2));
        let most = tcb.window_max();
        tcb.rcv.limit = if raised >= most { u32::MAX } else { raised };
    }
}

/// The program has set sizes: they hold at once, but for what was offered, and end the growth of what they fix.
pub(crate) fn set_sizes(tcb: &mut Tcb, config: &Config) {
    if tcb.config.send_buffer != config.send_buffer {
        tcb.snd.buffer = config.send_buffer.at_first();
    }
    if tcb.config.receive_buffer != config.receive_buffer {
        tcb.rcv.buffer = config.receive_buffer.at_first();
        if config.receive_window == ReceiveWindow::Buffer {
            tcb.receive_tuning = None;
        }
    }
    if let Some(clamp) = config.window_clamp
        && tcb.config.window_clamp != config.window_clamp
        && let Some(queue) = tcb
            .receive_tuning
            .as_deref_mut()
            .and_then(|it| it.linux.as_mut())
    {
        queue.set_clamp(clamp);
        tcb.rcv.limit = tcb.rcv.limit.min(clamp);
    }
}
