//! Answers that leave nothing behind.

use handwave_packet::Payload;
use handwave_wire::{Ecn, OptionOrder, SeqNum, TcpFlags, TcpHeader, TcpOptions, Timestamps};

use crate::config::Config;
use crate::segment::SegmentOut;
use crate::tuple::Tuple;

/// A SYN+ACK whose numbers are a cookie, a RST, or the acknowledgment of a connection in TIME-WAIT: all that cannot be told from
/// the tuple, and no more, since under a flood little else is carried about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// SEG.SEQ.
    pub seq: SeqNum,
    /// SEG.ACK, if the segment carries ACK.
    pub ack: Option<SeqNum>,
    /// SYN, RST, or ACK alone.
    pub flags: TcpFlags,
    /// SEG.WND.
    pub window: u16,
    /// MSS option of a SYN+ACK.
    pub mss: Option<u16>,
    /// Window scale option of a SYN+ACK.
    pub window_scale: Option<u8>,
    /// Whether a SYN+ACK carries SACK-permitted.
    pub sack_permitted: bool,
    /// Timestamps option.
    pub timestamps: Option<Timestamps>,
    /// How the options of a SYN+ACK are written.
    pub order: OptionOrder,
    /// Differentiated services code point for the IP header.
    pub dscp: u8,
    /// TTL or hop limit for the IP header.
    pub hop_limit: u8,
}

impl Reply {
    /// The SYN+ACK with these numbers and options.
    pub(crate) fn syn_ack(
        config: &Config,
        (seq, ack): (SeqNum, SeqNum),
        window: u16,
        options: &TcpOptions,
    ) -> Self {
        Self {
            ack: Some(ack),
            flags: TcpFlags::SYN,
            window,
            mss: options.mss,
            window_scale: options.window_scale,
            sack_permitted: options.sack_permitted,
            timestamps: options.timestamps,
            order: options.order,
            ..Self::reset(config, seq, None)
        }
    }

    /// The RST with these numbers.
    pub(crate) const fn reset(config: &Config, seq: SeqNum, ack: Option<SeqNum>) -> Self {
        Self {
            seq,
            ack,
            flags: TcpFlags::RST,
            window: 0,
            mss: None,
            window_scale: None,
            sack_permitted: false,
            timestamps: None,
            order: OptionOrder::Linux,
            dscp: config.dscp,
            hop_limit: config.hop_limit,
        }
    }

    /// The segment, on its way back over `tuple`.
    #[must_use]
    pub fn segment(&self, tuple: &Tuple) -> SegmentOut {
        let mut segment = SegmentOut::default();
        self.write(tuple, &mut segment);
        segment
    }

    /// Makes `segment` what [`segment`](Self::segment) returns.
    pub fn write(&self, tuple: &Tuple, segment: &mut SegmentOut) {
        segment.header = TcpHeader {
            source_port: tuple.local.port,
            destination_port: tuple.remote.port,
            seq: self.seq,
            ack: self.ack.unwrap_or_default(),
            flags: match self.ack {
                Some(_) => self.flags | TcpFlags::ACK,
                None => self.flags,
            },
            window: self.window,
            urgent: 0,
            options: TcpOptions {
                mss: self.mss,
                window_scale: self.window_scale,
                sack_permitted: self.sack_permitted,
                timestamps: self.timestamps,
                order: self.order,
                ..TcpOptions::NONE
            },
        };
        segment.payload = Payload::new();
        segment.segment_size = None;
        segment.ecn = Ecn::NotEct;
        segment.dscp = self.dscp;
        segment.hop_limit = self.hop_limit;
    }
}
