use super::*;
use crate::Timestamps;
use core::net::Ipv4Addr;
use proptest::prelude::*;
use std::vec::Vec;

use crate::tcp::options::tests::any_options;

/// A SYN of Linux to 192.0.2.1 port 80.
const SYN: [u8; 40] = [
    0xc0, 0x00, 0x00, 0x50, 0x01, 0x02, 0x03, 0x04, 0x00, 0x00, 0x00, 0x00, 0xa0, 0x02, 0xfa, 0xf0,
    0x00, 0x00, 0x00, 0x00, 0x02, 0x04, 0x05, 0xb4, 0x04, 0x02, 0x08, 0x0a, 0x00, 0x00, 0x00, 0x64,
    0x00, 0x00, 0x00, 0x00, 0x01, 0x03, 0x03, 0x07,
];

fn syn() -> TcpHeader {
    TcpHeader {
        source_port: 0xc000,
        destination_port: 80,
        seq: SeqNum::new(0x0102_0304),
        ack: SeqNum::new(0),
        flags: TcpFlags::SYN,
        window: 64240,
        urgent: 0,
        options: TcpOptions {
            mss: Some(1460),
            window_scale: Some(7),
            sack_permitted: true,
            timestamps: Some(Timestamps {
                value: 100,
                echo: 0,
            }),
            ..TcpOptions::default()
        },
    }
}

#[test]
fn reads_and_writes_a_syn() {
    assert_eq!(TcpHeader::parse(&SYN), Ok((syn(), 40)));
    let mut octets = [0xee; 44];
    syn().emit(&mut octets);
    assert_eq!(octets[..40], SYN);
    assert_eq!(octets[40..], [0xee; 4]);
}

#[test]
fn refuses_what_is_no_header() {
    assert_eq!(TcpHeader::parse(&SYN[..19]), Err(ParseError::Truncated));
    assert_eq!(TcpHeader::parse(&SYN[..39]), Err(ParseError::Truncated));
    let mut short = SYN;
    short[12] = 0x40;
    assert_eq!(TcpHeader::parse(&short), Err(ParseError::BadLength));
}

#[test]
fn reserved_bits_are_ignored_and_ae_is_not() {
    let mut octets = SYN;
    octets[12] |= 0x0f;
    let (header, len) = TcpHeader::parse(&octets).unwrap();
    assert_eq!(len, 40);
    assert_eq!(header.flags, TcpFlags::SYN | TcpFlags::AE);
}

/// [MUST-5]
#[test]
fn options_are_read_whatever_the_flags() {
    for flags in 0..=0x1ff {
        let header = TcpHeader {
            flags: TcpFlags::from_bits(flags),
            ..syn()
        };
        let mut octets = std::vec![0; header.header_len()];
        header.emit(&mut octets);
        let (parsed, _) = TcpHeader::parse(&octets).unwrap();
        assert_eq!(parsed.options, syn().options, "{}", header.flags);
    }
}

/// [MUST-2] [MUST-3]
#[test]
fn checksum_covers_addresses_header_and_data() {
    let (source, destination) = (
        Ipv4Addr::new(192, 0, 2, 2).into(),
        Ipv4Addr::new(192, 0, 2, 1).into(),
    );
    let mut segment = Vec::from(SYN);
    segment.extend(*b"odd");
    let sum = Sum::default()
        .pseudo_header(source, destination, IpProtocol::TCP, 43)
        .add_bytes(&segment);
    TcpHeader::set_checksum(&mut segment, sum.finish());
    let field = TcpHeader::CHECKSUM_OFFSET;
    assert_eq!(segment[field..field + 2], sum.finish().to_be_bytes());
    assert!(TcpHeader::checksum_is_valid(&segment, source, destination));
    for at in 0..segment.len() {
        let mut broken = segment.clone();
        broken[at] ^= 0x10;
        assert!(
            !TcpHeader::checksum_is_valid(&broken, source, destination),
            "octet {at}"
        );
    }
    let elsewhere = Ipv4Addr::new(192, 0, 2, 9).into();
    assert!(!TcpHeader::checksum_is_valid(&segment, source, elsewhere));
}

#[test]
fn syn_and_fin_count_as_one() {
    let with = |flags| TcpHeader {
        flags,
        ..TcpHeader::default()
    };
    assert_eq!(with(TcpFlags::ACK).seq_len(0), 0);
    assert_eq!(with(TcpFlags::ACK | TcpFlags::PSH).seq_len(1460), 1460);
    assert_eq!(with(TcpFlags::SYN).seq_len(0), 1);
    assert_eq!(with(TcpFlags::FIN | TcpFlags::ACK).seq_len(10), 11);
    assert_eq!(with(TcpFlags::SYN | TcpFlags::FIN).seq_len(10), 12);
}

fn any_header() -> impl Strategy<Value = TcpHeader> {
    let ports = (any::<u16>(), any::<u16>());
    let numbers = (any::<u32>(), any::<u32>());
    (
        ports,
        numbers,
        any::<u16>(),
        any::<u16>(),
        any::<u16>(),
        any_options(),
    )
        .prop_map(
            |((source_port, destination_port), (seq, ack), flags, window, urgent, options)| {
                TcpHeader {
                    source_port,
                    destination_port,
                    seq: SeqNum::new(seq),
                    ack: SeqNum::new(ack),
                    flags: TcpFlags::from_bits(flags),
                    window,
                    urgent,
                    options,
                }
            },
        )
}

proptest! {
    #[test]
    fn round_trip(header in any_header(), data in prop::collection::vec(any::<u8>(), 0..9)) {
        let len = header.header_len();
        let mut octets = std::vec![0xee; len];
        header.emit(&mut octets);
        prop_assert_eq!(&octets[16..18], &[0, 0]);
        octets.extend(&data);
        let (parsed, data_offset) = TcpHeader::parse(&octets).unwrap();
        prop_assert_eq!(data_offset, len);
        prop_assert_eq!(&octets[data_offset..], &data[..]);
        let mut again = std::vec![0; len];
        let before = Sum::default().add_u16(7);
        let sum = parsed.emit_summed(&mut again, before);
        prop_assert_eq!(&again, &octets[..len]);
        prop_assert_eq!(sum.folded(), before.add_bytes(&again).folded());
        prop_assert_eq!(TcpHeader { options: header.options, ..parsed }, header);
    }

    #[test]
    fn arbitrary_octets_never_panic(octets in prop::collection::vec(any::<u8>(), 0..=80)) {
        if let Ok((header, data_offset)) = TcpHeader::parse(&octets) {
            prop_assert!((TcpHeader::LEN_MIN..=octets.len().min(TcpHeader::LEN_MAX)).contains(&data_offset));
            prop_assert!(header.header_len() <= TcpHeader::LEN_MAX);
        }
    }
}
