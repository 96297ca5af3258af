//! Resets: our own, and those that answer segments nobody expects (RFC 9293 3.5.2, 3.10.7.1).

use handwave_packet::Payload;
use handwave_wire::{SeqNum, TcpFlags, TcpHeader, TcpOptions};

use super::Reply;
use super::ResetIntent;
use super::header::{self, Bare, bare_segment};
use crate::config::{Config, Resets};
use crate::host::Context;
use crate::segment::SegmentOut;
use crate::tcb::Tcb;

/// The RST that a handler asked for.
pub(super) fn own_reset(
    tcb: &mut Tcb,
    cx: &Context<'_>,
    intent: ResetIntent,
    out: &mut SegmentOut,
) {
    let dressed = tcb.config.resets == Resets::Dressed && !tcb.syn_unacknowledged();
    if intent.acknowledges && dressed {
        return header::segment(tcb, cx, intent.seq, TcpFlags::RST, Payload::new(), out);
    }
    bare_segment(
        &tcb.config,
        Bare {
            tuple: tcb.tuple,
            seq: intent.seq,
            ack: intent.acknowledges.then_some(tcb.rcv.nxt),
            flags: TcpFlags::RST,
            window: 0,
            options: TcpOptions::NONE,
        },
        out,
    );
}

/// The RST that makes the sender of `header` give up, or none if it carries RST itself.
///
/// With an ACK the RST takes the acknowledged number as its own; without one it acknowledges all of the segment
/// (RFC 9293 3.10.7.1).
pub(crate) fn reset_for(config: &Config, header: &TcpHeader, payload_len: usize) -> Option<Reply> {
    if header.flags.contains(TcpFlags::RST) {
        return None;
    }
    let (seq, ack) = if header.flags.contains(TcpFlags::ACK) {
        (header.ack, None)
    } else {
        (
            SeqNum::default(),
            Some(header.seq + header.seq_len(payload_len)),
        )
    };
    Some(Reply::reset(config, seq, ack))
}
