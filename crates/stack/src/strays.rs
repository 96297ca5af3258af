//! What one [shard](crate::Shard) has for another: packets that reached the wrong one, and news of neighbours.
//!
//! On Ethernet each shard has its own table of neighbours and asks for itself, but the answer arrives wherever the device brings it. So
//! what one learns all are told. A packet goes to the one that it belongs to, without its frame; no shard looks again whose it is.

use crate::input::Link;
use crate::neighbours::{Evidence, NeighbourKey};
use crate::stack::Stack;
use alloc::collections::VecDeque;
use core::mem;
use handwave_packet::PacketBuf;
use handwave_tcp::Instant;
use handwave_wire::IpProtocol;
use handwave_wire::ethernet::MacAddr;

/// Something that arrived at one shard and is for another, which has the same interfaces.
///
/// ```
/// use handwave_stack::{InterfaceConfig, Prefix, Shard, Stack, StackConfig};
/// use handwave_tcp::{Instant, Secrets};
///
/// let now = Instant::ZERO;
/// let mut shards: Vec<Stack> = Shard::all(2)
///     .map(|shard| Stack::new(StackConfig::default().for_shard(shard), Secrets::from_seed(1), now))
///     .collect();
/// let addresses = [Prefix::new([10, 0, 0, 2].into(), 24)];
/// let wires: Vec<_> = shards
///     .iter_mut()
///     .map(|shard| shard.add_interface(InterfaceConfig::ip(1_500, addresses)).unwrap())
///     .collect();
///
/// // A UDP datagram from 10.0.0.1:7 to 10.0.0.2:9, as the device brings it to a shard of its choice.
/// let datagram = [
///     0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0x66, 0xcd, 10, 0, 0, 1, 10, 0, 0, 2, 0, 7, 0, 9, 0, 8, 0, 0,
/// ];
/// for at in 0..2 {
///     shards[at].handle_packet(now, wires[at], datagram.to_vec().into());
///     while let Some((owner, stray)) = shards[at].poll_stray() {
///         shards[usize::from(owner)].handle_strays(now, [stray]);
///     }
/// }
/// let counted = |of: fn(&handwave_stack::Counters) -> u64| shards.iter().map(|it| of(it.counters())).collect::<Vec<_>>();
/// assert_eq!(counted(|it| it.strays).iter().sum::<u64>(), 1, "one was carried over");
/// assert!(counted(|it| it.ip_received).contains(&2), "both are where they belong");
/// ```
#[derive(Debug)]
pub struct Stray(Kind);

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "news of neighbours are rare, and a packet in a box would cost an allocation"
)]
enum Kind {
    Packet(Link, PacketBuf),
    Neighbour(NeighbourKey, MacAddr, Evidence),
}

/// Strays that wait to be carried over.
#[derive(Debug)]
pub(crate) struct Strays {
    waiting: VecDeque<(u16, Stray)>,
    max: usize,
}

impl Strays {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            max,
        }
    }
}

impl Stack {
    /// Takes something that arrived here and is for another shard, and the number of that shard, which is to get it by
    /// [`handle_strays`](Self::handle_strays); `None` when there is no more.
    ///
    /// Call until `None` after each input, as with [`poll_transmit`](Self::poll_transmit). More than
    /// [`transmit_queue_max`](crate::StackConfig::transmit_queue_max) do not wait.
    pub fn poll_stray(&mut self) -> Option<(u16, Stray)> {
        self.steering.strays.waiting.pop_front()
    }

    /// Processes what other shards had for this one. Segments that continue each other are processed as one, as in
    /// [`handle_batch`](Self::handle_batch).
    pub fn handle_strays(&mut self, now: Instant, strays: impl IntoIterator<Item = Stray>) {
        self.batching = true;
        for Stray(kind) in strays {
            match kind {
                Kind::Packet(link, mut packet) => self.input_stray(now, link, &mut packet),
                Kind::Neighbour(key, mac, evidence) => self.meet(now, key, mac, evidence),
            }
        }
        self.batching = false;
        self.hand_over_train(now);
        self.update_pressure(now);
    }

    /// Puts a packet aside that is another shard's; whether it was.
    pub(crate) fn put_stray_aside(&mut self, link: Link, packet: &mut PacketBuf) -> bool {
        let Some(shard) = self.steering.elsewhere(packet) else {
            return false;
        };
        let put = self.put_aside(shard, || Stray(Kind::Packet(link, mem::take(packet))));
        self.counters.strays += u64::from(put);
        true
    }

    /// The same for a datagram that was put together here.
    pub(crate) fn put_reassembled_aside(&mut self, link: Link, packet: &mut PacketBuf) -> bool {
        if self.steering.is_alone() {
            return false;
        }
        // Fragments may be cut anywhere; ports are looked for in one piece.
        packet.linearize();
        let octets = packet.contiguous();
        let nested = octets.first().is_some_and(|first| first >> 4 == 6)
            && octets.get(6) == Some(&IpProtocol::FRAGMENT.0);
        // A fragment within a fragment is refused here.
        !nested && self.put_stray_aside(link, packet)
    }

    /// Learns a neighbour's link address, and has the other shards learn it.
    pub(crate) fn learn_neighbour(
        &mut self,
        now: Instant,
        key: NeighbourKey,
        mac: MacAddr,
        evidence: Evidence,
    ) {
        self.meet(now, key, mac, evidence);
        for shard in self.steering.others() {
            self.put_aside(shard, || Stray(Kind::Neighbour(key, mac, evidence)));
        }
    }

    /// Notes a neighbour's link address here, and sends what waited for it.
    fn meet(&mut self, now: Instant, key: NeighbourKey, mac: MacAddr, evidence: Evidence) {
        let waiting = self.neighbours.learn(now, key, mac, evidence);
        self.send_waiting(key.0, mac, key.1, waiting);
    }

    /// Whether there was room.
    fn put_aside(&mut self, shard: u16, stray: impl FnOnce() -> Stray) -> bool {
        let strays = &mut self.steering.strays;
        let has_room = strays.waiting.len() < strays.max;
        if has_room {
            strays.waiting.push_back((shard, stray()));
        } else {
            self.counters.strays_dropped += 1;
        }
        has_room
    }
}
