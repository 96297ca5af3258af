//! Packets that wait to be polled: what no connection sends. Bounded.

use crate::id::InterfaceId;
use alloc::collections::VecDeque;
use handwave_packet::PacketBuf;

/// Two queues: to devices, and back to ourselves.
#[derive(Debug)]
pub(crate) struct Outbox {
    packets: VecDeque<(InterfaceId, PacketBuf)>,
    looped: VecDeque<(InterfaceId, PacketBuf)>,
    len_max: usize,
    held: usize,
}

impl Outbox {
    pub(crate) fn new(len_max: usize) -> Self {
        Self {
            packets: VecDeque::new(),
            looped: VecDeque::new(),
            len_max,
            held: 0,
        }
    }

    /// Octets of memory that the queues hold.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Whether another packet is refused.
    pub(crate) fn is_full(&self) -> bool {
        self.packets.len() + self.looped.len() >= self.len_max
    }

    /// Queues a packet for a device; returns whether there was room.
    pub(crate) fn push(&mut self, interface: InterfaceId, packet: PacketBuf) -> bool {
        let room = !self.is_full();
        if room {
            self.held += packet.held();
            self.packets.push_back((interface, packet));
        }
        room
    }

    /// Queues a packet for ourselves; returns whether there was room.
    pub(crate) fn push_looped(&mut self, interface: InterfaceId, packet: PacketBuf) -> bool {
        let room = !self.is_full();
        if room {
            self.held += packet.held();
            self.looped.push_back((interface, packet));
        }
        room
    }

    pub(crate) fn pop(&mut self) -> Option<(InterfaceId, PacketBuf)> {
        let (interface, packet) = self.packets.pop_front()?;
        self.held -= packet.held();
        Some((interface, packet))
    }

    pub(crate) fn pop_looped(&mut self) -> Option<(InterfaceId, PacketBuf)> {
        let (interface, packet) = self.looped.pop_front()?;
        self.held -= packet.held();
        Some((interface, packet))
    }
}
