//! Trains: segments that follow each other in one batch are handed to their connection as one (generic receive offload, in
//! software).
//!
//! A segment costs the way through IP, a look-up, eight checks and an entry in the receive queue, however much text it
//! carries. In a batch most segments continue the one before, and their headers differ only where they must: lengths,
//! identification, checksums, the sequence number. So the first one's headers serve as a [`Template`]: a
//! packet that fits it, continues its numbers and has good checksums is coupled, and the connection sees one segment as long
//! as all of them. Anything else ends the train: other flags, other options, a gap, another connection, 64 KiB.

use super::{Arrival, Way, sum_from};
use crate::id::InterfaceId;
use handwave_packet::{ChecksumMark, PacketBuf, TEMPLATE_MAX, Template};
use handwave_tcp::{Joined, SegmentIn};
use handwave_wire::{SeqNum, TcpFlags};

/// Text that one train may carry, in octets: what an IP packet could.
const TEXT_MAX: usize = 65_535 - 120;

/// Segments of one connection, coupled.
#[derive(Debug)]
pub(crate) struct Train {
    way: Way,
    segment: SegmentIn,
    /// The segments so far.
    joined: Joined,
    /// Sequence number of the segment that would come next.
    next: SeqNum,
    template: Template,
}

/// What became of a packet that was held against a train.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coupling {
    /// It does not continue the train, and is as it was.
    Stranger,
    /// It would, but its checksum is wrong.
    Broken,
    Coupled,
}

impl Train {
    /// Whether a train may begin with this segment, whose headers end at `text_at` and whose text follows them.
    pub(super) fn may_begin(segment: &SegmentIn, arrival: &Arrival, text_at: usize) -> bool {
        segment.header.flags == TcpFlags::ACK
            && !arrival.link.reassembled
            && !arrival.link.looped
            && text_at <= TEMPLATE_MAX
    }

    /// Begins a train with the text of `packet`, whose TCP header stands between `tcp_at` and `text_at`. The payload of `segment` is
    /// empty, with room for more if possible.
    pub(super) fn begin(
        way: Way,
        mut segment: SegmentIn,
        packet: &mut PacketBuf,
        tcp_at: usize,
        text_at: usize,
    ) -> Self {
        let mut headers = [0; TEMPLATE_MAX];
        packet.write_to(&mut headers[..text_at]);
        packet.move_text(text_at, &mut segment.payload);
        let alone = Joined {
            count: 1,
            size: u32::try_from(segment.payload.len()).unwrap_or(u32::MAX),
            last: segment.header.seq,
        };
        Self {
            way,
            joined: segment.joined.unwrap_or(alone),
            next: segment.seq_end(),
            segment,
            template: Template::new(
                &headers[..text_at],
                tcp_at,
                way.tuple.remote.addr,
                way.tuple.local.addr,
            ),
        }
    }

    /// Couples `packet` if it continues this train and is whole.
    pub(crate) fn couple(&mut self, packet: &mut PacketBuf, interface: InterfaceId) -> Coupling {
        let template = &self.template;
        let text_at = template.text_at();
        let Some(fit) = template.fit(packet.contiguous()) else {
            return Coupling::Stranger;
        };
        let continues = fit.seq == self.next
            && self.way.interface == interface
            && !self.ended()
            && fit.len > text_at
            && fit.len <= packet.len()
            && self.goes_on_with(packet, fit.len - text_at)
            && self.segment.payload.len() + (fit.len - text_at) <= TEXT_MAX;
        if !continues {
            return Coupling::Stranger;
        }
        if fit.len < packet.len() {
            packet.truncate(fit.len);
        }
        if packet.checksum() == ChecksumMark::Unknown {
            let pseudo = template.sum(fit.len);
            if !sum_from(packet, template.tcp_at(), pseudo).is_valid() {
                return Coupling::Broken;
            }
        }
        if fit.pushed {
            self.segment.header.flags |= TcpFlags::PSH;
        }
        self.segment.held += packet.held();
        let text_len = fit.len - text_at;
        let (count, last) = match joined(fit.seq, packet, text_len) {
            Some(more) => (more.count, more.last),
            None => (1, fit.seq),
        };
        self.joined.count = self.joined.count.saturating_add(count);
        self.joined.last = last;
        packet.move_text(text_at, &mut self.segment.payload);
        self.next += u32::try_from(text_len).unwrap_or(u32::MAX);
        Coupling::Coupled
    }

    /// Whether the last segment was full, and `packet`, with `len` octets of text, is one more of its length or the shorter end. So it is
    /// known of a train where each of its segments begins.
    fn goes_on_with(&self, packet: &PacketBuf, len: usize) -> bool {
        let size = self.joined.size;
        let own = packet.segment_size().map_or(len, usize::from).min(len);
        let fits = match own == len {
            true => len <= size as usize,
            false => own == size as usize,
        };
        fits && self.next == self.joined.last + size
    }

    /// PSH says that the sender had nothing more.
    const fn ended(&self) -> bool {
        self.segment.header.flags.contains(TcpFlags::PSH)
    }

    /// Takes the train apart into whom it is for and the one segment it has become.
    pub(super) fn into_segment(mut self) -> (Way, SegmentIn) {
        self.segment.joined = (self.joined.count > 1).then_some(self.joined);
        (self.way, self.segment)
    }
}

/// The segments that `packet` stands for, if the device has joined several: the first begins at `seq`, and all have `text_len` octets.
pub(super) fn joined(seq: SeqNum, packet: &PacketBuf, text_len: usize) -> Option<Joined> {
    Joined::new(seq, text_len, packet.segment_size()?)
}

#[cfg(test)]
mod tests {
    use crate::{
        ConnectOptions, ConnectionId, InterfaceConfig, InterfaceId, ListenerConfig, Prefix, Stack,
        StackConfig,
    };
    use alloc::vec::Vec;
    use handwave_packet::{PacketBuf, split};
    use handwave_tcp::{Endpoint, Instant, Secrets};

    const NOW: Instant = Instant::ZERO;
    const TEXT: usize = 40_000;

    /// A stack with one connection, established and accepted.
    struct Receiver {
        stack: Stack,
        wire: InterfaceId,
        connection: ConnectionId,
    }

    impl Receiver {
        fn take(&mut self, frames: &[Vec<u8>]) {
            let packets = frames.iter().map(|frame| PacketBuf::from(frame.clone()));
            self.stack.handle_batch(NOW, self.wire, packets);
        }

        /// Octets that can be read, and segments that were handed to connections.
        fn received(&self) -> (usize, u64) {
            let connection = self.stack.connection(self.connection).unwrap();
            let handed = self.stack.host().counters.segments_in;
            (connection.receivable(), handed)
        }
    }

    /// The frames of 40,000 octets of text that one stack has for another, and the other, which waits for them.
    fn frames(v6: bool) -> (Vec<Vec<u8>>, Receiver) {
        let addr = |last: u8| -> core::net::IpAddr {
            if v6 {
                [0xfd00, 0, 0, 0, 0, 0, 0, last.into()].into()
            } else {
                [10, 0, 0, last].into()
            }
        };
        let host = |last: u8| {
            let mut stack =
                Stack::new(StackConfig::default(), Secrets::from_seed(last.into()), NOW);
            let address = Prefix::new(addr(last), if v6 { 64 } else { 24 });
            let interface = InterfaceConfig {
                super_segment_max: 60_000,
                ..InterfaceConfig::ip(1_500, [address])
            };
            let wire = stack.add_interface(interface).unwrap();
            (stack, wire)
        };
        let ((mut client, wire), (mut server, there)) = (host(1), host(2));
        let listener = server.listen(80, ListenerConfig::default()).unwrap();
        let ours = client
            .connect(NOW, Endpoint::new(addr(2), 80), ConnectOptions::default())
            .unwrap();
        while let Some((_, packet)) = client.poll_transmit(NOW) {
            server.handle_packet(NOW, there, packet);
            while let Some((_, packet)) = server.poll_transmit(NOW) {
                client.handle_packet(NOW, wire, packet);
            }
        }
        client.write(NOW, ours, &[7; TEXT]).unwrap();
        let mut frames = Vec::new();
        while let Some((_, packet)) = client.poll_transmit(NOW) {
            frames.extend(split::segments(packet).map(|segment| segment.to_vec()));
        }
        assert_eq!(frames.len(), 10, "the initial window");
        let connection = server.accept(listener).unwrap().0;
        let receiver = Receiver {
            stack: server,
            wire: there,
            connection,
        };
        (frames, receiver)
    }

    #[test]
    fn a_batch_that_continues_is_one_segment() {
        for v6 in [false, true] {
            let (frames, mut server) = frames(v6);
            let before = server.received().1;
            server.take(&frames);
            let text: usize = frames
                .iter()
                .map(|frame| frame.len() - if v6 { 72 } else { 52 })
                .sum();
            assert_eq!(server.received(), (text, before + 1));
        }
    }

    #[test]
    fn a_bad_checksum_costs_its_own_segment_only() {
        let (mut frames, mut server) = frames(false);
        frames[3][1_000] ^= 1;
        server.take(&frames);
        assert_eq!(server.stack.counters().tcp_checksum_errors, 1);
        assert_eq!(
            server.received().0,
            3 * 1_448,
            "the rest waits beyond the gap"
        );
        frames[3][1_000] ^= 1;
        server.take(&frames[3..4]);
        assert_eq!(server.received().0, 10 * 1_448);
    }

    #[test]
    fn whatever_differs_ends_the_train() {
        // An octet of each field of the headers: version, TOS, TTL, addresses, ports, sequence number, acknowledgment,
        // flags, window, urgent pointer, options.
        for at in [1, 8, 14, 18, 20, 23, 27, 31, 33, 35, 38, 44] {
            let (mut frames, mut server) = frames(false);
            let checksummed = frames[5].clone();
            frames[5][at] ^= 0x10;
            server.take(&frames);
            let got = server.received().0;
            assert!(got == 5 * 1_448, "octet {at}: {got}");
            server.take(&[checksummed]);
            assert_eq!(server.received().0, 10 * 1_448);
        }
    }
}
