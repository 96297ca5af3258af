//! What happens on a link: Ethernet headers, ARP and neighbor discovery.
#![no_main]

use core::net::Ipv6Addr;

use handwave_wire::arp::ArpPacket;
use handwave_wire::ethernet::EthernetHeader;
use handwave_wire::icmpv6::Icmpv6Message;
use handwave_wire::ndp::HOP_LIMIT;
use handwave_wire::{IpProtocol, Sum};
use libfuzzer_sys::fuzz_target;

const SOURCE: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const DESTINATION: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

fuzz_target!(|octets: &[u8]| {
    if let Ok((header, len)) = EthernetHeader::parse(octets) {
        let mut again = octets.to_vec();
        header.emit(&mut again);
        assert_eq!(again, octets, "every bit of the header has its field");
        arp(&octets[len..]);
    }
    arp(octets);
    ndp(octets);
});

fn arp(octets: &[u8]) {
    if let Ok(packet) = ArpPacket::parse(octets) {
        let mut again = octets.to_vec();
        packet.emit(&mut again);
        assert_eq!(again, octets, "every bit of the packet has its field");
    }
}

/// The first octet picks one of the four types; the code is the one they all have.
fn ndp(octets: &[u8]) {
    let Some((&first, body)) = octets.split_first() else {
        return;
    };
    let mut message = vec![133 + first % 4, 0, 0, 0];
    message.extend(body);
    let Ok(len) = u32::try_from(message.len()) else {
        return;
    };
    let sum = Sum::default()
        .pseudo_header(SOURCE.into(), DESTINATION.into(), IpProtocol::ICMPV6, len)
        .add_bytes(&message);
    message[2..4].copy_from_slice(&sum.finish().to_be_bytes());

    let Ok(parsed) = Icmpv6Message::parse(&message, SOURCE, DESTINATION) else {
        return;
    };
    let Icmpv6Message::Ndp(ndp) = parsed else {
        panic!("a type of neighbor discovery")
    };
    assert!(!ndp.is_acceptable(SOURCE, DESTINATION, HOP_LIMIT - 1));
    let mut again = vec![0; parsed.encoded_len()];
    parsed.emit(&mut again, SOURCE, DESTINATION);
    assert_eq!(
        Icmpv6Message::parse(&again, SOURCE, DESTINATION),
        Ok(parsed)
    );
}
