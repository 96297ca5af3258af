//! IPv4 headers and UDP: parse, write, parse again.
#![no_main]

use handwave_wire::checksum::internet_checksum;
use handwave_wire::ipv4::{Ipv4Header, Ipv4Options};
use handwave_wire::udp::UdpHeader;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let _ = Ipv4Header::parse(octets);

    let mut packet = octets.to_vec();
    let Some(&first) = packet.first() else { return };
    let header_len = usize::from(first & 0x0f) * 4;
    if header_len < Ipv4Header::LEN || packet.len() < header_len {
        return;
    }
    packet[10..12].fill(0);
    let checksum = internet_checksum(&packet[..header_len]);
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());

    // Every option takes at least one of 40 octets.
    assert!(Ipv4Options::of(&packet).count() <= 40);
    let Ok((header, len)) = Ipv4Header::parse(&packet) else {
        return;
    };
    assert_eq!(len, header_len);
    assert!(len + usize::from(header.payload_len) <= packet.len());
    let payload = header.payload(&packet, len);
    assert_eq!(payload.len(), usize::from(header.payload_len));

    let mut plain = vec![0; Ipv4Header::LEN];
    header.emit(&mut plain);
    plain.extend(payload);
    assert_eq!(Ipv4Header::parse(&plain), Ok((header, Ipv4Header::LEN)));

    let (source, destination) = (header.source.into(), header.destination.into());
    let _ = UdpHeader::checksum_is_valid(payload, source, destination);
    if let Ok((udp, len)) = UdpHeader::parse(payload) {
        assert!(len + usize::from(udp.payload_len) <= payload.len());
    }
});
