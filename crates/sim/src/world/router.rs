//! The router that stands in each path: it reads destinations, and answers packets that do not fit.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use handwave_packet::{PacketBuf, Payload};
use handwave_wire::IpProtocol;
use handwave_wire::icmpv4::{Icmpv4Error, Icmpv4ErrorKind, Icmpv4Message, Icmpv4Unreachable};
use handwave_wire::icmpv6::{Icmpv6Error, Icmpv6ErrorKind, Icmpv6Message};
use handwave_wire::ipv4::Ipv4Header;
use handwave_wire::ipv6::Ipv6Header;

const ROUTER_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const ROUTER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xDB8, 0xFFFF, 0, 0, 0, 0, 1);

/// Whom an IP packet is for.
#[must_use]
pub fn destination(packet: &PacketBuf) -> Option<IpAddr> {
    let header = packet.contiguous();
    match header.first()? >> 4 {
        4 => {
            let octets: [u8; 4] = header.get(16..20)?.try_into().ok()?;
            Some(octets.into())
        }
        6 => {
            let octets: [u8; 16] = header.get(24..40)?.try_into().ok()?;
            Some(octets.into())
        }
        _ => None,
    }
}

/// What the router sends back for a packet larger than the next link's MTU: "fragmentation needed" (RFC 1191 4) or
/// "packet too big" (RFC 4443 3.2). Nothing for a packet that is no IP packet, or an ICMP error itself.
#[must_use]
pub fn too_big(packet: &PacketBuf, mtu: usize) -> Option<PacketBuf> {
    let quoted = packet.to_vec();
    if quoted.first()? >> 4 == 4 {
        too_big_v4(&quoted, mtu)
    } else {
        too_big_v6(&quoted, mtu)
    }
}

fn too_big_v4(quoted: &[u8], mtu: usize) -> Option<PacketBuf> {
    let (header, _) = Ipv4Header::parse(quoted).ok()?;
    if header.protocol == IpProtocol::ICMP {
        return None;
    }
    let next_hop_mtu = u16::try_from(mtu).unwrap_or(u16::MAX);
    let message = Icmpv4Message::Error(Icmpv4Error {
        kind: Icmpv4ErrorKind::Unreachable(Icmpv4Unreachable::FragmentationNeeded { next_hop_mtu }),
        quoted: &quoted[..quoted.len().min(Icmpv4Error::QUOTED_LEN_MAX)],
    });
    let mut octets = vec![0; message.encoded_len()];
    message.emit(&mut octets);
    let answer = Ipv4Header {
        payload_len: u16::try_from(octets.len()).ok()?,
        ..Ipv4Header::new(ROUTER_V4, header.source, IpProtocol::ICMP)
    };
    let mut packet = PacketBuf::with_payload(Payload::from(octets));
    answer.emit(packet.prepend(Ipv4Header::LEN));
    Some(packet)
}

fn too_big_v6(quoted: &[u8], mtu: usize) -> Option<PacketBuf> {
    let (header, _) = Ipv6Header::parse(quoted).ok()?;
    if header.next_header == IpProtocol::ICMPV6 {
        return None;
    }
    let message = Icmpv6Message::Error(Icmpv6Error {
        kind: Icmpv6ErrorKind::PacketTooBig {
            mtu: u32::try_from(mtu).unwrap_or(u32::MAX),
        },
        quoted: &quoted[..quoted.len().min(Icmpv6Error::QUOTED_LEN_MAX)],
    });
    let mut octets = vec![0; message.encoded_len()];
    message.emit(&mut octets, ROUTER_V6, header.source);
    let answer = Ipv6Header {
        payload_len: u16::try_from(octets.len()).ok()?,
        ..Ipv6Header::new(ROUTER_V6, header.source, IpProtocol::ICMPV6)
    };
    let mut packet = PacketBuf::with_payload(Payload::from(octets));
    answer.emit(packet.prepend(Ipv6Header::LEN));
    Some(packet)
}
