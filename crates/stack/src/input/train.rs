//! Trains: segments that follow each other in one batch are handed to their connection as one (generic receive offload, in
//! software).
//!
//! A segment costs a look-up, eight checks and an entry in the receive queue, however much text it carries. In a batch most
//! segments continue the one before: same connection, next sequence number, same acknowledgment and options. They are coupled, and
//! the connection sees one segment as long as all of them. Checksums are verified one by one, before. What does not fit
//! ends the train: other flags, other options, a gap, another connection, or 64 KiB.

use super::Way;
use handwave_tcp::SegmentIn;
use handwave_wire::{SeqNum, TcpFlags};

/// Text that one train may carry, in octets: what an IP packet could.
const TEXT_MAX: usize = 65_535 - 120;

/// Segments of one connection, coupled.
#[derive(Debug)]
pub(crate) struct Train {
    way: Way,
    segment: SegmentIn,
    /// Sequence number of the segment that would come next.
    next: SeqNum,
}

impl Train {
    #[expect(
        clippy::result_large_err,
        reason = "a segment that is given back goes on at once"
    )]
    /// Starts a train, or gives the segment back if nothing may be coupled to it.
    pub(super) fn start(way: Way, segment: SegmentIn) -> Result<Self, SegmentIn> {
        if !is_plain_text(&segment) || segment.header.flags.contains(TcpFlags::PSH) {
            return Err(segment);
        }
        let next = segment.seq_end();
        Ok(Self { way, segment, next })
    }

    #[expect(
        clippy::result_large_err,
        reason = "a segment that is given back goes on at once"
    )]
    /// Couples a segment to the end, or gives it back if it does not continue the train.
    pub(super) fn couple(&mut self, way: &Way, segment: SegmentIn) -> Result<(), SegmentIn> {
        let (ours, theirs) = (&self.segment.header, &segment.header);
        let continues = theirs.seq == self.next
            && self.way == *way
            && is_plain_text(&segment)
            && !ours.flags.contains(TcpFlags::PSH)
            && ours.ack == theirs.ack
            && ours.window == theirs.window
            && ours.options == theirs.options
            && self.segment.ecn == segment.ecn
            && self.segment.payload.len() + segment.payload.len() <= TEXT_MAX;
        if !continues {
            return Err(segment);
        }
        self.next = segment.seq_end();
        self.segment.header.flags |= theirs.flags;
        self.segment.held += segment.held;
        self.segment.payload.append(segment.payload);
        Ok(())
    }

    /// Takes the train apart into whom it is for and the one segment it has become.
    pub(super) fn into_segment(self) -> (Way, SegmentIn) {
        (self.way, self.segment)
    }
}

/// Text with nothing but an acknowledgment, and perhaps PSH, which ends a train.
fn is_plain_text(segment: &SegmentIn) -> bool {
    segment.header.flags.without(TcpFlags::PSH) == TcpFlags::ACK && !segment.payload.is_empty()
}

#[cfg(test)]
mod tests {
    use super::Train;
    use crate::id::InterfaceId;
    use crate::input::Way;
    use bytes::Bytes;
    use core::net::IpAddr;
    use handwave_packet::Payload;
    use handwave_tcp::{Endpoint, SegmentIn, Tuple};
    use handwave_wire::{Ecn, SeqNum, TcpFlags, TcpHeader};

    fn way(port: u16) -> Way {
        let end = |port| Endpoint::new(IpAddr::from([10, 0, 0, 1]), port);
        Way {
            interface: InterfaceId(0),
            tuple: Tuple::new(end(80), end(port)),
        }
    }

    fn text(seq: u32, len: usize) -> SegmentIn {
        let header = TcpHeader {
            seq: SeqNum::new(seq),
            flags: TcpFlags::ACK,
            ..TcpHeader::default()
        };
        SegmentIn::new(header, Payload::from(Bytes::from(alloc::vec![7; len])))
    }

    #[test]
    fn what_continues_is_coupled() {
        let mut train = Train::start(way(1), text(100, 10)).unwrap();
        assert!(train.couple(&way(1), text(110, 5)).is_ok());
        let mut last = text(115, 1);
        last.header.flags |= TcpFlags::PSH;
        assert!(train.couple(&way(1), last).is_ok());
        assert!(
            train.couple(&way(1), text(116, 1)).is_err(),
            "PSH ends a train"
        );
        let (_, segment) = train.into_segment();
        assert_eq!((segment.payload.len(), segment.held), (16, 16));
        assert!(segment.header.flags.contains(TcpFlags::PSH));
    }

    #[test]
    fn what_differs_is_not() {
        let different: [fn(&mut SegmentIn); 6] = [
            |segment| segment.header.seq += 1,
            |segment| segment.header.ack += 1,
            |segment| segment.header.window += 1,
            |segment| segment.header.flags |= TcpFlags::FIN,
            |segment| segment.header.options.mss = Some(1),
            |segment| segment.ecn = Ecn::Ce,
        ];
        for change in different {
            let mut train = Train::start(way(1), text(100, 10)).unwrap();
            let mut segment = text(110, 5);
            change(&mut segment);
            assert!(train.couple(&way(1), segment).is_err());
        }
        let mut train = Train::start(way(1), text(100, 10)).unwrap();
        assert!(
            train.couple(&way(2), text(110, 5)).is_err(),
            "another connection"
        );
        assert!(
            train.couple(&way(1), text(110, 65_500)).is_err(),
            "too long"
        );
        assert!(Train::start(way(1), text(100, 0)).is_err(), "no text");
    }
}
