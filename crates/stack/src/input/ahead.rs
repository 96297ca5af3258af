//! Looking ahead: what a batch will need of memory is asked for before its first packet is processed.
//!
//! Among very many connections each segment finds its bucket, its slot and its connection outside the caches, one after another, and
//! each waits for the one before. Here the same places are looked at for many packets at once, so that a processor waits for all of them
//! together. Nothing is decided: a wrong guess costs a look.

use crate::demux::Owner;
use crate::interface::Medium;
use crate::stack::Stack;
use core::hint::black_box;
use core::net::{Ipv4Addr, Ipv6Addr};
use handwave_packet::PacketBuf;
use handwave_tcp::{Endpoint, Tuple};
use handwave_wire::IpProtocol;
use handwave_wire::ethernet::EthernetHeader;

use crate::id::InterfaceId;

/// What is looked at together: small enough that it is all still near when it is needed.
pub(crate) const AHEAD: usize = 32;
/// As many connections as stay in the caches: among these nothing is gained.
const FEW: usize = 1_024;

impl Stack {
    /// Whether connections are so many that it pays to look ahead.
    pub(crate) fn is_crowded(&self) -> bool {
        self.connections.len() > FEW
    }

    /// Looks at what up to [`AHEAD`] packets, which arrived on `interface`, will need.
    pub(crate) fn look_ahead(&self, interface: InterfaceId, packets: &[PacketBuf]) {
        let known = self.interfaces.get(interface.index());
        let offset = match known.map(|known| known.config.medium) {
            Some(Medium::Ethernet { .. }) => EthernetHeader::LEN,
            _ => 0,
        };
        // Each step for all packets before the next: the shorter a turn of a loop, the more of them wait together.
        let (mut hashes, mut count) = ([0; AHEAD], 0);
        let mut last = None;
        for packet in packets {
            let octets = packet.contiguous().get(offset..).unwrap_or_default();
            let tuple = tuple_of(octets);
            // Segments of one connection come in a row.
            if let Some(tuple) = tuple.filter(|_| tuple != last)
                && let Some(place) = hashes.get_mut(count)
            {
                *place = self.demux.hash(&tuple);
                count += 1;
            }
            last = tuple;
        }
        let mut slots = [u32::MAX; AHEAD];
        for (slot, &hash) in slots.iter_mut().zip(&hashes[..count]) {
            if let Some(Owner::Connection(found)) = self.demux.candidate(hash) {
                *slot = found;
            }
        }
        self.look_at(&slots[..count]);
    }

    /// Looks at these connections and at what stands beside them in other tables; slots that there are not are passed over.
    pub(crate) fn look_at(&self, slots: &[u32]) {
        let beside = slots.iter().map(|&slot| self.connections.glance(slot));
        black_box(beside.fold(0, u64::wrapping_add));
        let inside = slots.iter().filter_map(|&slot| self.connections.at(slot));
        let inside = inside.map(|slot| slot.connection.glance());
        black_box(inside.fold(0, u64::wrapping_add));
    }
}

/// The four numbers of a segment without IP options or extensions.
fn tuple_of(octets: &[u8]) -> Option<Tuple> {
    let protocol = IpProtocol::TCP.0;
    let (local, remote, ports) = match *octets {
        [
            0x45,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            found,
            _,
            _,
            s0,
            s1,
            s2,
            s3,
            d0,
            d1,
            d2,
            d3,
            ref ports @ ..,
        ] if found == protocol => {
            let local = Ipv4Addr::new(d0, d1, d2, d3).into();
            (local, Ipv4Addr::new(s0, s1, s2, s3).into(), ports)
        }
        [first, _, _, _, _, _, found, _, ref rest @ ..] if found == protocol && first >> 4 == 6 => {
            let (source, rest) = rest.split_first_chunk::<16>()?;
            let (destination, ports) = rest.split_first_chunk::<16>()?;
            let local = Ipv6Addr::from(*destination).into();
            (local, Ipv6Addr::from(*source).into(), ports)
        }
        _ => return None,
    };
    let &[s0, s1, d0, d1] = ports.first_chunk()?;
    Some(Tuple::new(
        Endpoint::new(local, u16::from_be_bytes([d0, d1])),
        Endpoint::new(remote, u16::from_be_bytes([s0, s1])),
    ))
}

#[cfg(test)]
mod tests {
    use super::tuple_of;
    use crate::{ConnectOptions, InterfaceConfig, Prefix, Stack, StackConfig};
    use handwave_tcp::{Endpoint, Instant, Secrets};

    #[test]
    fn the_four_numbers_are_those_of_the_connection() {
        for (ours, theirs) in [("10.0.0.1", "10.0.0.2"), ("2001:db8::1", "2001:db8::2")] {
            let now = Instant::ZERO;
            let mut stack = Stack::new(StackConfig::default(), Secrets::from_seed(1), now);
            let address = Prefix::new(ours.parse().unwrap(), 24);
            let wire = InterfaceConfig::ip(1_500, [address]);
            stack.add_interface(wire).unwrap();
            let to = Endpoint::new(theirs.parse().unwrap(), 80);
            let id = stack.connect(now, to, ConnectOptions::default()).unwrap();
            let tuple = *stack.connection(id).unwrap().tuple();
            let (_, syn) = stack.poll_transmit(now).unwrap();
            let octets = syn.to_vec();
            // Seen from the other end.
            assert_eq!(tuple_of(&octets), Some(tuple.reversed()));
            for len in 0..octets.len().min(44) {
                let _any = tuple_of(&octets[..len]);
            }
            assert_eq!(tuple_of(&octets[..20]), None);
            let hash = stack.demux.hash(&tuple);
            assert!(stack.demux.candidate(hash).is_some());
        }
    }
}
