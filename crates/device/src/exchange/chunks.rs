//! Reading packets into chunks that are used again.

use std::os::fd::BorrowedFd;

use bytes::BytesMut;
use handwave_packet::{ChunkPool, PacketBuf};

/// Full-sized packets to a chunk. More would save allocations where all are dropped soon, but one that is kept keeps the
/// whole chunk: with two, a queue of full-sized packets is charged twice their octets, and small ones get copied out
/// by whoever queues them.
const PACKETS_PER_CHUNK: usize = 2;
/// Memory the pool may keep while nobody uses it: enough for a batch or two to be in flight.
const POOLED_MAX: usize = 1 << 20;

/// The longest packet that is copied out of a chunk for a super-segment: larger than the usual MTUs, and still quickly copied.
pub(super) const SMALL_MAX: usize = 2_048;
/// Memory that may be pooled where any packet may be a super-segment: a receive buffer or two of them.
const POOLED_SUPER_MAX: usize = 4 << 20;

/// Where packets are read to.
#[derive(Debug)]
pub(super) struct Chunks {
    main: Source,
    packet_len_max: usize,
    /// Where packets are moved to that would waste a chunk meant for super-segments.
    small: Option<Source>,
}

/// Chunks of one size, one of them in use.
#[derive(Debug)]
pub(in crate::exchange) struct Source {
    pool: ChunkPool,
    /// What is left of the chunk in use.
    chunk: BytesMut,
}

impl Source {
    pub(super) fn new(chunk_size: usize, pooled_max: usize) -> Self {
        Self {
            pool: ChunkPool::new(chunk_size, pooled_max / chunk_size),
            chunk: BytesMut::new(),
        }
    }

    /// For copies of packets of at most [`SMALL_MAX`] octets.
    pub(super) fn for_small() -> Self {
        Self::new(PACKETS_PER_CHUNK * SMALL_MAX, POOLED_MAX)
    }

    /// Makes sure that the chunk in use has room for so many octets.
    pub(super) fn reserve(&mut self, room: usize) {
        if self.chunk.capacity() < room {
            let used = std::mem::replace(&mut self.chunk, self.pool.take());
            // The very first is a placeholder without storage.
            if used.capacity() > 0 {
                self.pool.put(used);
            }
        }
    }

    /// What has been written and is no packet yet.
    pub(super) fn written(&self) -> &[u8] {
        &self.chunk
    }

    /// The same, to be changed.
    pub(super) fn written_mut(&mut self) -> &mut [u8] {
        &mut self.chunk
    }

    /// Octets that can be written behind it.
    pub(super) fn room(&self) -> usize {
        self.chunk.capacity() - self.chunk.len()
    }

    /// Takes back what was written from `len` on.
    pub(super) fn cut(&mut self, len: usize) {
        self.chunk.truncate(len);
    }

    /// Writes over what was written at `at`.
    pub(super) fn put(&mut self, at: usize, octets: &[u8]) {
        self.chunk[at..at + octets.len()].copy_from_slice(octets);
    }

    /// Writes a few octets behind it, for which there is room.
    pub(super) fn append(&mut self, octets: &[u8]) {
        self.chunk.extend_from_slice(octets);
    }

    /// Reads a packet of less than `room` octets behind what has been written, and returns how many they are; `room` says that there were more.
    pub(super) fn read(
        &mut self,
        descriptor: BorrowedFd<'_>,
        room: usize,
    ) -> rustix::io::Result<usize> {
        let before = self.chunk.len();
        let spare = &mut self.chunk.spare_capacity_mut()[..room];
        let (filled, _) = rustix::io::read(descriptor, spare)?;
        let len = filled.len();
        #[expect(
            unsafe_code,
            reason = "the kernel has written where nobody else may look yet"
        )]
        // SAFETY: `read` has initialised the first `len` octets of the spare capacity, which begins at `before`.
        unsafe {
            self.chunk.set_len(before + len);
        }
        Ok(len)
    }

    /// Lets `write` append a packet to what has been written, and returns how long it is; `None` if there was none.
    pub(super) fn write(
        &mut self,
        write: impl FnOnce(&mut BytesMut) -> Option<()>,
    ) -> Option<usize> {
        let before = self.chunk.len();
        write(&mut self.chunk)?;
        Some(self.chunk.len().saturating_sub(before))
    }

    /// A packet with a copy of these octets.
    pub(super) fn copied(&mut self, octets: &[u8]) -> PacketBuf {
        self.reserve(octets.len());
        self.chunk.extend_from_slice(octets);
        self.packet()
    }

    /// Makes a packet of what has been written.
    pub(super) fn packet(&mut self) -> PacketBuf {
        let mut packet = PacketBuf::from_bytes(self.chunk.split().freeze());
        packet.set_held(self.pool.chunk_size());
        packet
    }
}

/// What came of one read.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "the large variant is the ordinary one, and a box would be an allocation per packet"
)]
pub(super) enum Read {
    Packet(PacketBuf),
    /// A packet larger than agreed on; what there was room for is gone as well.
    TooLong,
    /// The other end has closed.
    End,
}

impl Chunks {
    /// For packets that are, as a rule, as long as they may be.
    pub(super) fn new(packet_len_max: usize) -> Self {
        let chunk_size = PACKETS_PER_CHUNK * (packet_len_max + 1);
        Self {
            main: Source::new(chunk_size, POOLED_MAX),
            packet_len_max,
            small: None,
        }
    }

    /// For packets from the smallest to super-segments. Small ones are moved, so that none keeps 64 KiB.
    pub(super) fn for_any_size(packet_len_max: usize) -> Self {
        Self {
            main: Source::new(packet_len_max + 1, POOLED_SUPER_MAX),
            packet_len_max,
            small: Some(Source::for_small()),
        }
    }

    #[cfg(test)]
    pub(super) fn stats(&self) -> handwave_packet::PoolStats {
        self.main.pool.stats()
    }

    /// Reads one packet from a descriptor that keeps packets apart.
    pub(super) fn read(&mut self, descriptor: BorrowedFd<'_>) -> rustix::io::Result<Read> {
        // One octet more than a packet may have: a packet that fills it was cut off.
        let room = self.packet_len_max + 1;
        self.main.reserve(room);
        let len = self.main.read(descriptor, room)?;
        if len == 0 {
            return Ok(Read::End);
        }
        if len == room {
            self.main.cut(0);
            return Ok(Read::TooLong);
        }
        if let Some(small) = &mut self.small
            && len <= SMALL_MAX
        {
            let packet = small.copied(self.main.written());
            self.main.cut(0);
            return Ok(Read::Packet(packet));
        }
        Ok(Read::Packet(self.main.packet()))
    }
}
