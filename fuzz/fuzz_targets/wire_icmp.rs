//! ICMP messages and the packets they quote: parse, write, parse again.
#![no_main]

use core::net::Ipv6Addr;

use handwave_wire::checksum::internet_checksum;
use handwave_wire::icmpv4::{Icmpv4Message, QuotedPacket};
use handwave_wire::icmpv6::Icmpv6Message;
use handwave_wire::{IpProtocol, Sum};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let _ = QuotedPacket::parse_ipv4(octets);
    let _ = QuotedPacket::parse_ipv6(octets);
    if octets.len() >= 8 {
        icmpv4(octets.to_vec());
        icmpv6(octets.to_vec());
    }
});

fn icmpv4(mut octets: Vec<u8>) {
    octets[2..4].fill(0);
    let checksum = internet_checksum(&octets);
    octets[2..4].copy_from_slice(&checksum.to_be_bytes());

    let message = Icmpv4Message::parse(&octets).expect("a message of 8 octets or more");
    if let Icmpv4Message::Error(error) = message {
        let _ = error.packet();
    }
    let mut again = vec![0; message.encoded_len()];
    message.emit(&mut again);
    assert_eq!(Icmpv4Message::parse(&again), Ok(message));
}

fn icmpv6(mut octets: Vec<u8>) {
    let (source, destination) = (Ipv6Addr::LOCALHOST, Ipv6Addr::UNSPECIFIED);
    let len = u32::try_from(octets.len()).expect("a short message");
    octets[2..4].fill(0);
    let sum = Sum::default()
        .pseudo_header(source.into(), destination.into(), IpProtocol::ICMPV6, len)
        .add_bytes(&octets);
    octets[2..4].copy_from_slice(&sum.finish().to_be_bytes());

    let Ok(message) = Icmpv6Message::parse(&octets, source, destination) else {
        return;
    };
    if let Icmpv6Message::Error(error) = message {
        let _ = error.packet();
    }
    let mut again = vec![0; message.encoded_len()];
    message.emit(&mut again, source, destination);
    assert_eq!(
        Icmpv6Message::parse(&again, source, destination),
        Ok(message)
    );
}
