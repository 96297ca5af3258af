//! Headers: acknowledgment, window and options are the same for every segment of a connection.

use handwave_packet::Payload;
use handwave_wire::{Ecn, SackBlock, SackBlocks, SeqNum, TcpFlags, TcpHeader, TcpOptions};

use super::window;
use crate::config::{Config, Segmentation, SequenceCheck};
use crate::delayed_ack;
use crate::host::Context;
use crate::options::{Negotiated, syn_options};
use crate::segment::SegmentOut;
use crate::tcb::Tcb;
use crate::timer::Timer;
use crate::tuple::Tuple;

/// A segment of a synchronized connection. Carries the newest acknowledgment, so none is owed afterwards.
pub(super) fn segment(
    tcb: &mut Tcb,
    cx: &Context<'_>,
    seq: SeqNum,
    flags: TcpFlags,
    payload: Payload,
    out: &mut SegmentOut,
) {
    write_options(tcb, cx, &mut out.header.options);
    let window = window::offer(tcb);
    delayed_ack::on_sent(tcb, cx.now, !payload.is_empty());
    acknowledged(tcb);
    let (flags, urgent) = urgent(tcb, seq, flags);
    let header = &mut out.header;
    header.source_port = tcb.tuple.local.port;
    header.destination_port = tcb.tuple.remote.port;
    header.seq = seq;
    header.ack = tcb.rcv.nxt;
    header.flags = flags | TcpFlags::ACK;
    header.window = window;
    header.urgent = urgent;
    complete(&tcb.config, payload, out);
}

/// `<SEQ=ISS><ACK=RCV.NXT><CTL=SYN,ACK>`; the window of a SYN is never scaled (RFC 7323 2.2).
pub(super) fn syn_ack(tcb: &mut Tcb, cx: &Context<'_>, out: &mut SegmentOut) {
    let mss = tcb.mss.announced();
    // Linux repeats the options of its SYN, whatever the peer's SYN had.
    let repeats = tcb.config.segmentation == Segmentation::Records;
    let use_of = match repeats {
        true => Negotiated::offer(&tcb.config),
        false => tcb.negotiated,
    };
    let options = syn_options(&tcb.config, mss, tcb.clock.stamp(cx.now), &use_of);
    acknowledged(tcb);
    // Linux's has been settled with its SYN.
    let full = if repeats { mss } else { tcb.mss.receive };
    let window = window::syn_window(&tcb.config, full);
    // An acknowledgment may have offered more already, and that stays offered as far as the field can tell [SHLD-14].
    let offered = u16::try_from(tcb.rcv.wnd()).unwrap_or(u16::MAX);
    let window = window.max(offered);
    tcb.rcv.edge = tcb.rcv.edge.later(tcb.rcv.nxt + u32::from(window));
    // It may be more than our first SYN offered, before the size of the peer's segments was known.
    tcb.rcv.granted = tcb.rcv.granted.later(tcb.rcv.edge);
    out.header = TcpHeader {
        source_port: tcb.tuple.local.port,
        destination_port: tcb.tuple.remote.port,
        seq: tcb.snd.iss,
        ack: tcb.rcv.nxt,
        flags: TcpFlags::SYN | TcpFlags::ACK,
        window,
        urgent: 0,
        options,
    };
    complete(&tcb.config, Payload::new(), out);
}

/// Octets by which a segment's options exceed those that the effective MSS already allows for.
pub(super) fn extra_options_len(tcb: &Tcb) -> u16 {
    let blocks = u16::from(sack_blocks_wanted(tcb));
    if blocks == 0 { 0 } else { 4 + 8 * blocks }
}

fn sack_blocks_wanted(tcb: &Tcb) -> u8 {
    let duplicate = u8::from(tcb.rare().duplicate_block.is_some());
    let in_order = !tcb.receive.has_gap() && tcb.rcv.fin.is_none();
    if !tcb.negotiated.sack || (in_order && duplicate == 0) {
        return 0;
    }
    let room = if tcb.negotiated.timestamps { 3 } else { 4 };
    let ranges = u8::try_from(blocks_held(tcb).len()).unwrap_or(4);
    let ranges = ranges + u8::from(fin_alone(tcb).is_some());
    room.min(duplicate + ranges)
}

/// The text beyond gaps, newest first. Linux remembers four places, and what it has forgotten it does not tell of again.
fn blocks_held(tcb: &Tcb) -> SackBlocks {
    if tcb.records.is_some() {
        tcb.receive.newest_blocks(tcb.rcv.nxt)
    } else {
        tcb.receive.sack_blocks(tcb.rcv.nxt, 4)
    }
}

/// Where the peer's FIN stands, if text before it is missing and it is to be reported as received.
fn fin_beyond_gap(tcb: &Tcb) -> Option<SeqNum> {
    let reported = tcb.config.sequence_check == SequenceCheck::Lenient;
    tcb.rcv.fin.filter(|fin| reported && fin.after(tcb.rcv.nxt))
}

/// The block of a FIN that no text received stands before.
fn fin_alone(tcb: &Tcb) -> Option<SackBlock> {
    let fin = fin_beyond_gap(tcb)?;
    let blocks = blocks_held(tcb);
    let joined = blocks.as_slice().iter().any(|block| block.right == fin);
    (!joined).then_some(SackBlock {
        left: fin,
        right: fin + 1,
    })
}

fn write_options(tcb: &mut Tcb, cx: &Context<'_>, options: &mut TcpOptions) {
    *options = TcpOptions::NONE;
    if tcb.negotiated.timestamps {
        options.timestamps = Some(tcb.clock.stamp(cx.now));
    }
    let wanted = sack_blocks_wanted(tcb);
    if wanted == 0 {
        return;
    }
    if let Some(rare) = tcb.rare_if_any()
        && let Some(block) = rare.duplicate_block.take()
    {
        options.sack.push(block);
    }
    let fin = fin_beyond_gap(tcb);
    let blocks = blocks_held(tcb);
    let blocks = blocks.as_slice().iter().copied();
    // Newest first (RFC 2018 4): the FIN's place is behind what has come since.
    let rank = tcb.rcv.fin_rank.into();
    let (newer, older) = (blocks.clone().take(rank), blocks.skip(rank));
    for mut block in newer.chain(fin_alone(tcb)).chain(older) {
        if fin == Some(block.right) {
            block.right += 1;
        }
        if options.sack.len() < usize::from(wanted) {
            options.sack.push(block);
        }
    }
}

/// Points at the octet after the urgent text, as far as 16 bits reach (RFC 9293 3.8.5 [MUST-30] [MUST-62]).
fn urgent(tcb: &Tcb, seq: SeqNum, flags: TcpFlags) -> (TcpFlags, u16) {
    match tcb.rare().snd_up {
        Some(up) if up.after(seq) => {
            let ahead = u16::try_from(up.since(seq)).unwrap_or(u16::MAX);
            (flags | TcpFlags::URG, ahead)
        }
        _ => (flags, 0),
    }
}

/// What an acknowledgment that just left settles.
fn acknowledged(tcb: &mut Tcb) {
    tcb.intents.ack = false;
    tcb.timers.stop(Timer::DelayedAck);
    tcb.rcv.last_ack_sent = tcb.rcv.nxt;
    tcb.ack.pending = 0;
}

/// A segment of no connection or of one without a TCB: the fields that matter, and nothing else.
#[derive(Debug)]
pub(crate) struct Bare {
    pub(crate) tuple: Tuple,
    pub(crate) seq: SeqNum,
    pub(crate) ack: Option<SeqNum>,
    pub(crate) flags: TcpFlags,
    pub(crate) window: u16,
    pub(crate) options: TcpOptions,
}

/// Builds a segment from its fields; `config` gives the IP settings.
pub(crate) fn bare_segment(config: &Config, bare: Bare, out: &mut SegmentOut) {
    out.header = bare_header(bare);
    complete(config, Payload::new(), out);
}

/// The header with these fields and no others.
fn bare_header(bare: Bare) -> TcpHeader {
    let Bare {
        tuple,
        seq,
        ack,
        flags,
        window,
        options,
    } = bare;
    TcpHeader {
        source_port: tuple.local.port,
        destination_port: tuple.remote.port,
        seq,
        ack: ack.unwrap_or_default(),
        flags: if ack.is_some() {
            flags | TcpFlags::ACK
        } else {
            flags
        },
        window,
        urgent: 0,
        options,
    }
}

/// What stands beside the header.
fn complete(config: &Config, payload: Payload, out: &mut SegmentOut) {
    // Without text, which whoever sent the last segment has taken, there is nothing to move and nothing to drop.
    if !(payload.is_empty() && out.payload.is_empty()) {
        out.payload = payload;
    }
    out.segment_size = None;
    out.ecn = Ecn::NotEct;
    out.dscp = config.dscp;
    out.hop_limit = config.hop_limit;
}
