//! Packets that nobody sent: what the network finds in a corner and delivers late.

use std::net::IpAddr;

use handwave_packet::PacketBuf;
use handwave_story::Side;
use handwave_wire::ipv4::Ipv4Header;
use handwave_wire::ipv6::Ipv6Header;
use handwave_wire::{IpProtocol, SeqNum, Sum, TcpFlags, TcpHeader, TcpOptions};

use super::world::World;

/// A packet with the client's address that the client did not send.
pub(super) fn packet(
    world: &World,
    seq: SeqNum,
    ack: Option<SeqNum>,
    flags: TcpFlags,
    text: &[u8],
) -> PacketBuf {
    let (from, to) = (world.endpoint(Side::A), world.endpoint(Side::B));
    let header = TcpHeader {
        source_port: from.port,
        destination_port: to.port,
        seq,
        ack: ack.unwrap_or_default(),
        flags,
        window: 8_192,
        urgent: 0,
        options: TcpOptions::default(),
    };
    let mut segment = vec![0; header.header_len()];
    header.emit(&mut segment);
    segment.extend_from_slice(text);
    let len = u16::try_from(segment.len()).unwrap_or(u16::MAX);
    let sum = Sum::default()
        .pseudo_header(from.addr, to.addr, IpProtocol::TCP, u32::from(len))
        .add_bytes(&segment);
    TcpHeader::set_checksum(&mut segment, sum.finish());
    let mut packet = match (from.addr, to.addr) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let ip = Ipv4Header::new(source, destination, IpProtocol::TCP);
            let mut packet = vec![0; Ipv4Header::LEN];
            Ipv4Header {
                payload_len: len,
                ..ip
            }
            .emit(&mut packet);
            packet
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let ip = Ipv6Header::new(source, destination, IpProtocol::TCP);
            let mut packet = vec![0; Ipv6Header::LEN];
            Ipv6Header {
                payload_len: len,
                ..ip
            }
            .emit(&mut packet);
            packet
        }
        _ => unreachable!("both hosts have addresses of one family"),
    };
    packet.extend_from_slice(&segment);
    PacketBuf::from(packet)
}
