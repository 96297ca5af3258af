use super::*;
use core::net::{Ipv4Addr, Ipv6Addr};
use proptest::prelude::*;
use std::vec::Vec;

const A: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const B: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

fn sealed(header: UdpHeader, payload: &[u8], source: IpAddr, destination: IpAddr) -> Vec<u8> {
    let mut datagram = std::vec![0; UdpHeader::LEN];
    header.emit(&mut datagram);
    datagram.extend(payload);
    let len = u32::try_from(datagram.len()).unwrap();
    let sum = Sum::default()
        .pseudo_header(source, destination, IpProtocol::UDP, len)
        .add_bytes(&datagram);
    UdpHeader::set_checksum(&mut datagram, UdpHeader::checksum(sum));
    datagram
}

#[test]
fn reads_and_writes_a_known_header() {
    let datagram = [0x14, 0xe9, 0x00, 0x35, 0x00, 0x0a, 0xbe, 0xef, 1, 2, 0, 0];
    let header = UdpHeader {
        source_port: 5353,
        destination_port: 53,
        payload_len: 2,
    };
    assert_eq!(UdpHeader::parse(&datagram), Ok((header, 8)));
    let mut octets = [0xee; 10];
    header.emit(&mut octets);
    assert_eq!(
        octets,
        [0x14, 0xe9, 0x00, 0x35, 0x00, 0x0a, 0, 0, 0xee, 0xee]
    );
}

#[test]
fn refuses_what_is_no_header() {
    assert_eq!(UdpHeader::parse(&[0; 7]), Err(ParseError::Truncated));
    assert_eq!(
        UdpHeader::parse(&[0, 1, 0, 2, 0, 7, 0, 0]),
        Err(ParseError::BadLength)
    );
    assert_eq!(
        UdpHeader::parse(&[0, 1, 0, 2, 0, 0, 0, 0]),
        Err(ParseError::BadLength)
    );
    assert_eq!(
        UdpHeader::parse(&[0, 1, 0, 2, 0, 9, 0, 0]),
        Err(ParseError::Truncated)
    );
}

#[test]
fn every_octet_is_covered_and_padding_is_not() {
    let header = UdpHeader {
        source_port: 1,
        destination_port: 2,
        payload_len: 3,
    };
    let mut datagram = sealed(header, b"odd", A, B);
    assert!(UdpHeader::checksum_is_valid(&datagram, A, B));
    assert!(!UdpHeader::checksum_is_valid(
        &datagram,
        A,
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    ));
    for at in 0..datagram.len() {
        let mut broken = datagram.clone();
        broken[at] ^= 0x40;
        assert!(!UdpHeader::checksum_is_valid(&broken, A, B), "octet {at}");
    }
    datagram.extend([9, 9, 9]);
    assert!(UdpHeader::checksum_is_valid(&datagram, A, B));
}

#[test]
fn no_checksum_is_allowed_over_ipv4_only() {
    let datagram = [0, 1, 0, 2, 0, 9, 0, 0, 7];
    assert!(UdpHeader::checksum_is_valid(&datagram, A, B));
    let v6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
    assert!(!UdpHeader::checksum_is_valid(&datagram, v6, v6));
}

#[test]
fn a_checksum_of_zero_is_sent_as_all_ones() {
    let header = UdpHeader {
        source_port: 1,
        destination_port: 2,
        payload_len: 2,
    };
    let without = sealed(header, &[0, 0], A, B);
    // A payload equal to the checksum of the rest makes the checksum zero.
    let payload = [without[6], without[7]];
    let datagram = sealed(header, &payload, A, B);
    assert_eq!(datagram[6..8], [0xff, 0xff]);
    assert!(UdpHeader::checksum_is_valid(&datagram, A, B));
}

proptest! {
    #[test]
    fn round_trip(source_port: u16, destination_port: u16, payload in prop::collection::vec(any::<u8>(), 0..300)) {
        let payload_len = u16::try_from(payload.len()).unwrap();
        let header = UdpHeader { source_port, destination_port, payload_len };
        let datagram = sealed(header, &payload, A, B);
        prop_assert_eq!(UdpHeader::parse(&datagram), Ok((header, UdpHeader::LEN)));
        prop_assert!(UdpHeader::checksum_is_valid(&datagram, A, B));
    }

    #[test]
    fn arbitrary_octets_never_panic(datagram in prop::collection::vec(any::<u8>(), 0..40)) {
        let _ = UdpHeader::checksum_is_valid(&datagram, A, B);
        if let Ok((header, len)) = UdpHeader::parse(&datagram) {
            prop_assert!(len + usize::from(header.payload_len) <= datagram.len());
        }
    }
}

#[test]
fn the_front_of_a_datagram_in_pieces_is_enough() {
    let header = UdpHeader {
        source_port: 1,
        destination_port: 2,
        payload_len: 100,
    };
    let mut front = [0; UdpHeader::LEN];
    header.emit(&mut front);
    assert_eq!(UdpHeader::parse_front(&front, 108), Ok((header, 8)));
    assert_eq!(
        UdpHeader::parse_front(&front, 107),
        Err(ParseError::Truncated)
    );
}
