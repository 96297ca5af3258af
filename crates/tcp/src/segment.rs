//! Segments as they cross the border of this crate: headers in host order, text as refcounted slices.
//!
//! Ports are filled in from the connection's [`Tuple`](crate::Tuple); IP headers and checksums belong to the stack.

use handwave_packet::Payload;
use handwave_wire::{Ecn, SeqNum, TcpHeader};

/// A segment that arrived, its checksum already verified.
#[derive(Clone, Default, Debug)]
pub struct SegmentIn {
    /// The parsed header.
    pub header: TcpHeader,
    /// The text.
    pub payload: Payload,
    /// Congestion mark of the IP header.
    pub ecn: Ecn,
    /// Octets of memory that holding `payload` pins (RFC-independent; at least its length).
    pub held: usize,
    /// What it was joined from, if it crossed the network as several; their headers differed in nothing but sequence number and PSH.
    pub joined: Option<Joined>,
}

/// Segments that were joined on their way in, each the continuation of the one before; all but the last have the same length, and that
/// has no more.
///
/// ```
/// use handwave_tcp::Joined;
/// use handwave_wire::SeqNum;
///
/// let joined = Joined::new(SeqNum::new(100), 2_500, 1_000).expect("more than one");
/// assert_eq!((joined.count, joined.last), (3, SeqNum::new(2_100)));
/// assert_eq!(joined.start_of(SeqNum::new(1_500)), SeqNum::new(1_100));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Joined {
    /// How many they were: a peer without SACK counts the duplicate acknowledgments for them (RFC 5681 4.2).
    pub count: u32,
    /// Octets of text in each but the last; not zero.
    pub size: u32,
    /// SEG.SEQ of the last, after which no window is older (RFC 9293 3.10.7.4).
    pub last: SeqNum,
}

impl Joined {
    /// Segments of `size` octets each, the last perhaps shorter, whose text begins at `seq` and has `len` octets in all; `None` if that is
    /// one alone.
    #[must_use]
    pub fn new(seq: SeqNum, len: usize, size: u16) -> Option<Self> {
        let size = u32::from(size);
        let before = u32::try_from(len.checked_sub(1)?).ok()?.checked_div(size)?;
        (before > 0).then(|| Self {
            count: before + 1,
            size,
            last: seq + before * size,
        })
    }

    /// SEG.SEQ of the segment in which `at`, an octet of one of them, lies.
    #[must_use]
    pub fn start_of(&self, at: SeqNum) -> SeqNum {
        if at.at_or_after(self.last) {
            return self.last;
        }
        self.last - self.last.since(at).div_ceil(self.size.max(1)) * self.size
    }
}

impl SegmentIn {
    /// Joins a header with its text; the memory pinned is the text itself.
    #[must_use]
    pub fn new(header: TcpHeader, payload: Payload) -> Self {
        let held = payload.len();
        Self {
            header,
            payload,
            ecn: Ecn::NotEct,
            held,
            joined: None,
        }
    }

    /// SEG.LEN: octets of sequence space the segment occupies, SYN and FIN counted (RFC 9293 3.4).
    #[must_use]
    pub fn seq_len(&self) -> u32 {
        self.header.seq_len(self.payload.len())
    }

    /// The sequence number after the last octet of the segment.
    #[must_use]
    pub fn seq_end(&self) -> SeqNum {
        self.header.seq + self.seq_len()
    }
}

/// A segment to send; by default an empty one, for [`Connection::poll_transmit_into`](crate::Connection::poll_transmit_into) to fill.
#[derive(Clone, Default, Debug)]
pub struct SegmentOut {
    /// The header; ports are set, the checksum is the stack's to fill.
    pub header: TcpHeader,
    /// The text; longer than `segment_size` for a super-segment.
    pub payload: Payload,
    /// Where a super-segment must be cut; `None` when it is a single segment.
    pub segment_size: Option<u16>,
    /// Congestion mark for the IP header.
    pub ecn: Ecn,
    /// Differentiated services code point for the IP header.
    pub dscp: u8,
    /// TTL or hop limit for the IP header.
    pub hop_limit: u8,
}

/// What the network layer says of the way to a peer when a connection begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// Largest packet, in octets, the path is believed to carry.
    pub mtu: u16,
    /// Largest packet, in octets, this host can receive on the interface (MMS_R plus the IP header).
    pub receive_mtu: u16,
    /// Largest super-segment, in octets of text, the device takes; 0 when it takes only single segments.
    pub super_segment_max: u32,
}

impl Path {
    /// A path of the given MTU both ways without super-segments.
    #[must_use]
    pub const fn with_mtu(mtu: u16) -> Self {
        Self {
            mtu,
            receive_mtu: mtu,
            super_segment_max: 0,
        }
    }
}
