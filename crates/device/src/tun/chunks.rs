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

/// Where packets are read to.
#[derive(Debug)]
pub(super) struct Chunks {
    pool: ChunkPool,
    /// What is left of the chunk in use.
    chunk: BytesMut,
    packet_len_max: usize,
    chunk_size: usize,
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
    pub(super) fn new(packet_len_max: usize) -> Self {
        let chunk_size = PACKETS_PER_CHUNK * (packet_len_max + 1);
        Self {
            pool: ChunkPool::new(chunk_size, POOLED_MAX / chunk_size),
            chunk: BytesMut::new(),
            packet_len_max,
            chunk_size,
        }
    }

    #[cfg(test)]
    pub(super) fn stats(&self) -> handwave_packet::PoolStats {
        self.pool.stats()
    }

    /// Reads one packet from a descriptor that keeps packets apart.
    pub(super) fn read(&mut self, descriptor: BorrowedFd<'_>) -> rustix::io::Result<Read> {
        // One octet more than a packet may have: a packet that fills it was cut off.
        let room = self.packet_len_max + 1;
        if self.chunk.capacity() < room {
            let used = std::mem::replace(&mut self.chunk, self.pool.take());
            // The very first is a placeholder without storage.
            if used.capacity() > 0 {
                self.pool.put(used);
            }
        }
        let spare = &mut self.chunk.spare_capacity_mut()[..room];
        let (filled, _) = rustix::io::read(descriptor, spare)?;
        let len = filled.len();
        if len == 0 {
            return Ok(Read::End);
        }
        if len == room {
            return Ok(Read::TooLong);
        }
        #[expect(
            unsafe_code,
            reason = "the kernel has written where nobody else may look yet"
        )]
        // SAFETY: the chunk is empty, as each packet is split off below, and `read` has initialised the first `len` octets
        // of its spare capacity, which is at least `room`.
        unsafe {
            self.chunk.set_len(len);
        }
        let mut packet = PacketBuf::from_bytes(self.chunk.split().freeze());
        packet.set_held(self.chunk_size);
        Ok(Read::Packet(packet))
    }
}
