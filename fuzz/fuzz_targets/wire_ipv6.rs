//! IPv6 headers and what follows them: parse, walk, write, parse again.
#![no_main]

use handwave_wire::ipv6::{ExtensionError, ExtensionLimits, FragmentHeader, Ipv6Header};
use handwave_wire::udp::UdpHeader;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    if let Ok((header, _)) = Ipv6Header::parse(octets) {
        let mut again = octets.to_vec();
        header.emit(&mut again);
        assert_eq!(again, octets, "every bit of the fixed header has its field");
    }

    // The right version and length, so that the walk is reached.
    let mut packet = octets.to_vec();
    let Some(payload_len) = packet.len().checked_sub(Ipv6Header::LEN) else {
        return;
    };
    let Ok(payload_len) = u16::try_from(payload_len) else {
        return;
    };
    packet[0] = 0x60 | packet[0] & 0x0f;
    packet[4..6].copy_from_slice(&payload_len.to_be_bytes());
    let Ok((header, _)) = Ipv6Header::parse(&packet) else {
        return;
    };

    match header.upper_layer(&packet, ExtensionLimits::default()) {
        Ok(upper) => {
            assert!(upper.offset <= packet.len());
            assert!(upper.offset - Ipv6Header::LEN <= 512);
            assert_eq!(packet[upper.named_at], upper.protocol.0);
            let carried = &packet[upper.offset..];
            if let Some(fragment) = upper.fragment {
                assert!(usize::from(fragment.header.offset) + carried.len() <= 65_535);
                let found = FragmentHeader::parse(&packet[fragment.offset..]);
                assert_eq!(found, Ok((fragment.header, FragmentHeader::LEN)));
                assert_eq!(packet[fragment.named_at], 44);
            }
            let (source, destination) = (header.source.into(), header.destination.into());
            let _ = UdpHeader::checksum_is_valid(carried, source, destination);
        }
        Err(ExtensionError::Problem(problem)) => {
            let pointer = usize::try_from(problem.pointer).expect("a small number");
            assert!(
                pointer < packet.len(),
                "the pointer names an octet of the packet"
            );
        }
        Err(ExtensionError::Malformed(_) | ExtensionError::Discard) => {}
    }
});
