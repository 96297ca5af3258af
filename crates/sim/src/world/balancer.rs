//! A balancer in front of several hosts that share an address.

use super::HostId;
use handwave_packet::PacketBuf;

/// How packets to one address are spread over hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balancer {
    /// The hosts.
    pub nodes: Vec<HostId>,
    /// Route first SYNs by a hash of their own, as when routes change between a SYN and the ACK that completes its handshake:
    /// then, with two nodes, half of all handshakes begin on one and are completed on the other.
    pub syns_apart: bool,
}

impl Balancer {
    /// The host that takes `packet`: the same for all packets of a connection, but for the SYN if those go apart.
    pub(super) fn pick(&self, packet: &PacketBuf) -> Option<HostId> {
        let octets = packet.contiguous();
        let (addresses, tcp) = match octets.first()? >> 4 {
            4 => (12..20, usize::from(octets[0] & 15) * 4),
            _ => (8..40, 40),
        };
        let ports = octets.get(tcp..tcp + 4)?;
        let key = octets.get(addresses)?.iter().chain(ports);
        // FNV-1a, and a last mixing, since only few bits of the result are used.
        let hash = key.fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
            (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3)
        });
        let is_syn = octets
            .get(tcp + 13)
            .is_some_and(|flags| flags & 0x12 == 0x02);
        let bits = if self.syns_apart && is_syn {
            hash >> 13
        } else {
            hash >> 37
        };
        let place = bits % self.nodes.len().max(1) as u64;
        self.nodes.get(usize::try_from(place).ok()?).copied()
    }
}
