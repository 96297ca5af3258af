//! Packets as octets: what a script describes, with the numbers and addresses of the wire.
//!
//! Options keep their order and their padding here, because scripts are about them; the stack's own encoder has one order only.

mod icmp;
mod options;

use std::net::IpAddr;

use handwave_packet::PacketBuf;
use handwave_wire::ipv4::Ipv4Header;
use handwave_wire::ipv6::{ExtensionLimits, Ipv6Header};
use handwave_wire::{Ecn, IpProtocol, Sum, TcpHeader};

use crate::language::ast::{Body, Direction, IpFields, Packet, PortEnd, Ports, Segment};
use crate::posix::finished;

pub(super) use icmp::is_same as is_same_icmp;

/// One end of a connection.
pub(super) type End = (IpAddr, u16);

const ACK: u16 = 16;
const URG: u16 = 32;

/// The octets of `packet`, whose numbers are those of the wire, from `source` to `destination`.
///
/// # Errors
///
/// What cannot be written, in words.
pub(super) fn encode(
    packet: &Packet,
    source: End,
    destination: End,
    quoted: &[u8],
) -> Result<Vec<u8>, String> {
    let ends = (source, destination);
    let (protocol, payload) = match &packet.body {
        Body::Tcp(segment) => (IpProtocol::TCP, encode_segment(segment, ends)?),
        Body::Udp(len) => (IpProtocol::UDP, encode_datagram(*len, ends)),
        Body::Icmp(message) => icmp::encode(message, ends, quoted)?,
    };
    encode_ip(&packet.ip, ends, protocol, &payload)
}

fn encode_ip(
    fields: &IpFields,
    ((source, _), (destination, _)): (End, End),
    protocol: IpProtocol,
    payload: &[u8],
) -> Result<Vec<u8>, String> {
    let payload_len = u16::try_from(payload.len()).map_err(|_| "the packet is too long")?;
    let tos = fields.tos.unwrap_or(0);
    let ecn = fields.ecn.unwrap_or(tos & 3);
    let ecn = Ecn::from_bits(ecn);
    let mut packet;
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let header = Ipv4Header {
                dscp: tos >> 2,
                ecn,
                ttl: fields.ttl.unwrap_or(255),
                payload_len,
                ..Ipv4Header::new(source, destination, protocol)
            };
            packet = vec![0; Ipv4Header::LEN];
            header.emit(&mut packet);
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let header = Ipv6Header {
                dscp: tos >> 2,
                ecn,
                hop_limit: fields.ttl.unwrap_or(255),
                flow_label: fields.flow_label.unwrap_or(0),
                payload_len,
                ..Ipv6Header::new(source, destination, protocol)
            };
            packet = vec![0; Ipv6Header::LEN];
            header.emit(&mut packet);
        }
        _ => return Err("the two ends have addresses of different families".to_owned()),
    }
    packet.extend_from_slice(payload);
    Ok(packet)
}

/// The transport checksum of `payload`, whose checksum field holds zero.
fn checksum(payload: &[u8], (source, destination): (End, End), protocol: IpProtocol) -> u16 {
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    Sum::default()
        .pseudo_header(source.0, destination.0, protocol, len)
        .add_bytes(payload)
        .finish()
}

fn encode_segment(segment: &Segment, ends: (End, End)) -> Result<Vec<u8>, String> {
    let options = options::encode(segment.options.as_deref().unwrap_or_default())?;
    let offset = u16::try_from((TcpHeader::LEN_MIN + options.len()) / 4).unwrap_or(15);
    let ((_, source_port), (_, destination_port)) = ends;
    let mut octets = Vec::with_capacity(TcpHeader::LEN_MAX + segment.len as usize);
    octets.extend(source_port.to_be_bytes());
    octets.extend(destination_port.to_be_bytes());
    octets.extend(segment.seq.to_be_bytes());
    octets.extend(segment.ack.unwrap_or(0).to_be_bytes());
    octets.extend((offset << 12 | segment.flags).to_be_bytes());
    octets.extend(segment.window.unwrap_or(0).to_be_bytes());
    octets.extend([0, 0]);
    octets.extend(segment.urgent.unwrap_or(0).to_be_bytes());
    octets.extend(options);
    octets.resize(octets.len() + segment.len as usize, 0);
    let sum = checksum(&octets, ends, IpProtocol::TCP);
    TcpHeader::set_checksum(&mut octets, sum);
    Ok(octets)
}

fn encode_datagram(len: u16, ends: (End, End)) -> Vec<u8> {
    let ((_, source_port), (_, destination_port)) = ends;
    let mut octets = Vec::with_capacity(8 + usize::from(len));
    octets.extend(source_port.to_be_bytes());
    octets.extend(destination_port.to_be_bytes());
    octets.extend((len.saturating_add(8)).to_be_bytes());
    octets.extend([0, 0]);
    octets.resize(8 + usize::from(len), 0);
    // RFC 768: a sum of zero is sent as all ones.
    let sum = match checksum(&octets, ends, IpProtocol::UDP) {
        0 => 0xffff,
        sum => sum,
    };
    octets[6..8].copy_from_slice(&sum.to_be_bytes());
    octets
}

/// What a packet of the stack says, with the numbers of the wire; `ports` and `ip` are complete.
///
/// # Errors
///
/// What is wrong with the packet, in words: a stack must not send such a thing.
pub(super) fn decode(packet: &PacketBuf) -> Result<Packet, String> {
    // What another host hands to its device may lack the sum that the device adds.
    decode_octets(&finished(packet.clone()).to_vec(), true)
}

/// The same for a captured packet: its checksum may be left to a device, and its text may be cut off.
pub(crate) fn decode_captured(octets: &[u8]) -> Result<Packet, String> {
    let len = match octets {
        [first, _, high, low, ..] if first >> 4 == 4 => u16::from_be_bytes([*high, *low]).into(),
        [first, _, _, _, high, low, ..] if first >> 4 == 6 => {
            40 + usize::from(u16::from_be_bytes([*high, *low]))
        }
        _ => return Err("no IP packet".to_owned()),
    };
    let mut whole = octets.to_vec();
    whole.resize(len, 0);
    decode_octets(&whole, false)
}

fn decode_octets(octets: &[u8], checks: bool) -> Result<Packet, String> {
    let wrong = |error| format!("the stack sent a malformed packet: {error}");
    let (ip, ends, protocol, payload) = if octets.first().is_some_and(|first| first >> 4 == 6) {
        let (header, _) = Ipv6Header::parse(octets).map_err(wrong)?;
        let upper = header
            .upper_layer(octets, ExtensionLimits::default())
            .map_err(|_| "the stack sent strange extension headers")?;
        let fields = IpFields {
            ecn: Some(header.ecn.bits()),
            tos: Some(header.dscp << 2 | header.ecn.bits()),
            ttl: Some(header.hop_limit),
            flow_label: Some(header.flow_label),
            ..IpFields::default()
        };
        let ends = (IpAddr::V6(header.source), IpAddr::V6(header.destination));
        let payload = octets.get(upper.offset..header.packet_len());
        (fields, ends, upper.protocol, payload.unwrap_or_default())
    } else {
        let (header, len) = Ipv4Header::parse(octets).map_err(wrong)?;
        let fields = IpFields {
            ecn: Some(header.ecn.bits()),
            tos: Some(header.dscp << 2 | header.ecn.bits()),
            ttl: Some(header.ttl),
            ..IpFields::default()
        };
        let ends = (IpAddr::V4(header.source), IpAddr::V4(header.destination));
        (fields, ends, header.protocol, header.payload(octets, len))
    };
    let (body, ports) = match protocol {
        IpProtocol::TCP => decode_segment(payload, ends, checks)?,
        IpProtocol::UDP => decode_datagram(payload)?,
        _ => (Body::Icmp(icmp::decode(payload, protocol)?), (0, 0)),
    };
    let end = |address, port| PortEnd {
        address: Some(address),
        port,
    };
    Ok(Packet {
        direction: Direction::Outbound,
        socket: None,
        ip,
        ports: Some(Ports {
            source: end(ends.0, ports.0),
            destination: end(ends.1, ports.1),
        }),
        body,
    })
}

fn decode_segment(
    octets: &[u8],
    (source, destination): (IpAddr, IpAddr),
    checks: bool,
) -> Result<(Body, (u16, u16)), String> {
    let (header, header_len) = TcpHeader::parse(octets)
        .map_err(|error| format!("the stack sent a malformed segment: {error}"))?;
    if checks && !TcpHeader::checksum_is_valid(octets, source, destination) {
        return Err("the stack sent a segment with a wrong checksum".to_owned());
    }
    let flags = u16::from_be_bytes([octets[12] & 1, octets[13]]);
    let len = octets.len() - header_len;
    let segment = Segment {
        flags,
        seq: header.seq.raw(),
        len: u32::try_from(len).unwrap_or(u32::MAX),
        ack: (flags & ACK != 0).then(|| header.ack.raw()),
        window: Some(header.window),
        urgent: (flags & URG != 0).then_some(header.urgent),
        options: Some(options::decode(&octets[TcpHeader::LEN_MIN..header_len])),
    };
    let ports = (header.source_port, header.destination_port);
    Ok((Body::Tcp(segment), ports))
}

fn decode_datagram(octets: &[u8]) -> Result<(Body, (u16, u16)), String> {
    match octets {
        [s0, s1, d0, d1, l0, l1, _, _, ..] => {
            let len = u16::from_be_bytes([*l0, *l1]);
            let ports = (
                u16::from_be_bytes([*s0, *s1]),
                u16::from_be_bytes([*d0, *d1]),
            );
            Ok((Body::Udp(len.saturating_sub(8)), ports))
        }
        _ => Err("the stack sent a malformed datagram".to_owned()),
    }
}
