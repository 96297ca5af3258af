//! Packets that wait to be polled: what no connection sends. Bounded.

use crate::id::InterfaceId;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use handwave_packet::PacketBuf;

/// Two queues: to devices, and back to ourselves.
#[derive(Debug)]
pub(crate) struct Outbox {
    packets: Ring,
    looped: VecDeque<(InterfaceId, PacketBuf)>,
    len_max: usize,
    held: usize,
}

impl Outbox {
    pub(crate) fn new(len_max: usize) -> Self {
        Self {
            packets: Ring::default(),
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
        self.packets.len + self.looped.len() >= self.len_max
    }

    /// Queues a packet for a device; returns whether there was room.
    pub(crate) fn push(&mut self, interface: InterfaceId, mut packet: PacketBuf) -> bool {
        self.push_with(interface, |place| place.take_over(&mut packet))
    }

    /// Queues a packet for a device that is made where it waits; returns whether there was room.
    pub(crate) fn push_with(
        &mut self,
        interface: InterfaceId,
        make: impl FnOnce(&mut PacketBuf),
    ) -> bool {
        let room = !self.is_full();
        if room {
            let (to, packet) = self.packets.push_back();
            *to = interface;
            make(packet);
            self.held += packet.held();
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

    /// Moves the packet that has waited longest to `out`.
    pub(crate) fn pop(&mut self, out: &mut PacketBuf) -> Option<InterfaceId> {
        let (interface, packet) = self.packets.pop_front()?;
        self.held -= packet.held();
        out.take_over(packet);
        Some(*interface)
    }

    pub(crate) fn pop_looped(&mut self) -> Option<(InterfaceId, PacketBuf)> {
        let (interface, packet) = self.looped.pop_front()?;
        self.held -= packet.held();
        Some((interface, packet))
    }
}

/// A queue whose places stay where they are and are used again.
#[derive(Default, Debug)]
struct Ring {
    places: Vec<(InterfaceId, PacketBuf)>,
    first: usize,
    len: usize,
}

impl Ring {
    /// Places that there are at least, once there is one.
    const PLACES_MIN: usize = 16;

    /// Adds a place at the end, in which something may still lie.
    fn push_back(&mut self) -> &mut (InterfaceId, PacketBuf) {
        let places = self.places.len();
        if self.len == places {
            self.places.rotate_left(self.first);
            self.first = 0;
            let doubled = (2 * places).max(Self::PLACES_MIN);
            let empty = || (InterfaceId(0), PacketBuf::default());
            self.places.resize_with(doubled, empty);
        }
        let at = self.place(self.len);
        self.len += 1;
        &mut self.places[at]
    }

    /// Takes the first place off the queue, for what lies there to be taken away.
    fn pop_front(&mut self) -> Option<&mut (InterfaceId, PacketBuf)> {
        if self.len == 0 {
            return None;
        }
        let at = self.first;
        self.first = self.place(1);
        self.len -= 1;
        self.places.get_mut(at)
    }

    /// Where the `n`th in the queue lies, or the place behind the last.
    fn place(&self, n: usize) -> usize {
        let at = self.first + n;
        if at < self.places.len() {
            at
        } else {
            at - self.places.len()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Outbox;
    use crate::id::InterfaceId;
    use alloc::vec::Vec;
    use handwave_packet::PacketBuf;

    fn octet(n: u16) -> u8 {
        u8::try_from(n).unwrap()
    }

    fn packet(n: u8) -> PacketBuf {
        PacketBuf::from(Vec::from([n; 4]))
    }

    #[test]
    fn packets_leave_in_order_while_the_queue_grows_and_turns() {
        let mut outbox = Outbox::new(100);
        let (mut out, mut pushed, mut popped) = (PacketBuf::default(), 0, 0);
        for _ in 0..20 {
            for _ in 0..5 {
                assert!(outbox.push(InterfaceId(pushed), packet(octet(pushed))));
                pushed += 1;
            }
            for _ in 0..3 {
                assert_eq!(outbox.pop(&mut out), Some(InterfaceId(popped)));
                assert_eq!(out.to_vec(), [octet(popped); 4]);
                popped += 1;
            }
        }
        assert_eq!(outbox.held(), 4 * usize::from(pushed - popped));
        while outbox.pop(&mut out).is_some() {
            popped += 1;
        }
        assert_eq!((popped, outbox.held()), (pushed, 0));
    }

    #[test]
    fn what_finds_no_room_is_refused() {
        let mut outbox = Outbox::new(2);
        let room = [1, 2, 3].map(|n| outbox.push(InterfaceId(0), packet(n)));
        assert_eq!(room, [true, true, false]);
        assert_eq!(outbox.held(), 8);
    }
}
