use super::*;
use core::net::{Ipv4Addr, Ipv6Addr};
use proptest::prelude::*;
use std::vec::Vec;

/// The checksum as RFC 1071 4.1 writes it: big-endian words, one after another.
fn reference_sum(octets: &[u8]) -> u16 {
    let mut total = 0_u64;
    for pair in octets.chunks(2) {
        total += u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0));
    }
    while total > 0xffff {
        total = (total >> 16) + (total & 0xffff);
    }
    u16::try_from(total).unwrap()
}

#[test]
fn known_sums() {
    let table: [(&[u8], u16); 8] = [
        (&[], 0),
        (&[0], 0),
        (&[1], 0x0100),
        (&[0x12, 0x34], 0x1234),
        (&[0x12, 0x34, 0x56], 0x6834),
        (&[0xff, 0xff], 0xffff),
        (&[0xff; 64], 0xffff),
        (&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7], 0xddf2),
    ];
    for (octets, sum) in table {
        assert_eq!(
            Sum::default().add_bytes(octets).folded(),
            sum,
            "{octets:02x?}"
        );
    }
}

#[test]
fn ipv4_header_with_its_checksum_is_valid() {
    let header = [
        0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0x00,
        0x01, 0xc0, 0xa8, 0x00, 0xc7,
    ];
    assert!(Sum::default().add_bytes(&header).is_valid());
    let mut zeroed = header;
    zeroed[10..12].fill(0);
    assert_eq!(internet_checksum(&zeroed), 0xb861);
}

#[test]
fn pseudo_header_is_the_sum_of_its_octets() {
    let (v4_a, v4_b) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(198, 51, 100, 7));
    let mut octets = Vec::from(v4_a.octets());
    octets.extend(v4_b.octets());
    octets.extend([0, 6, 0x12, 0x34]);
    let sum = Sum::default().pseudo_header(v4_a.into(), v4_b.into(), IpProtocol::TCP, 0x1234);
    assert_eq!(sum.folded(), reference_sum(&octets));

    let v6_a = Ipv6Addr::new(0x2001, 0xdb8, 1, 2, 3, 4, 5, 6);
    let v6_b = Ipv6Addr::new(0xfe80, 0, 0, 0, 0xffff, 0xeeee, 0xdddd, 0xcccc);
    let mut octets = Vec::from(v6_a.octets());
    octets.extend(v6_b.octets());
    octets.extend([0x00, 0x01, 0x86, 0xa0, 0, 0, 0, 58]);
    let sum = Sum::default().pseudo_header(v6_a.into(), v6_b.into(), IpProtocol::ICMPV6, 100_000);
    assert_eq!(sum.folded(), reference_sum(&octets));
}

#[test]
fn fields_are_added_as_their_octets() {
    let sum = Sum::default()
        .add_u16(0x1234)
        .add_u32(0x5678_9abc)
        .add_bytes(&[0xde]);
    assert_eq!(
        sum.folded(),
        reference_sum(&[0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde])
    );
    let after_odd = Sum::default()
        .add_bytes(&[0xde])
        .add_u16(0x1234)
        .add_bytes(&[0xf0]);
    assert_eq!(after_odd.folded(), reference_sum(&[0xde, 0xf0, 0x12, 0x34]));
}

#[test]
fn lanes_hold_the_largest_words_there_are() {
    for len in [63, 64, 65, 4095, 65535, 1 << 20] {
        let octets = std::vec![0xff; len];
        assert_eq!(
            Sum::default().add_bytes(&octets).folded(),
            reference_sum(&octets)
        );
    }
}

/// Octets long enough for several blocks, with cut points anywhere in them.
fn octets_and_cuts() -> impl Strategy<Value = (Vec<u8>, Vec<usize>)> {
    prop::collection::vec(any::<u8>(), 0..600).prop_flat_map(|octets| {
        let len = octets.len();
        (Just(octets), prop::collection::vec(0..=len, 0..8))
    })
}

proptest! {
    #[test]
    fn wide_lanes_agree_with_the_reference(octets in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert_eq!(Sum::default().add_bytes(&octets).folded(), reference_sum(&octets));
    }

    #[test]
    fn pieces_sum_to_the_whole((octets, mut cuts) in octets_and_cuts()) {
        cuts.sort_unstable();
        cuts.push(octets.len());
        let (mut added, mut appended, mut from) = (Sum::default(), Sum::default(), 0);
        for to in cuts {
            added = added.add_bytes(&octets[from..to]);
            appended = appended.append(Sum::default().add_bytes(&octets[from..to]));
            from = to;
        }
        let whole = reference_sum(&octets);
        prop_assert_eq!(added.folded(), whole);
        prop_assert_eq!(appended.folded(), whole);
    }

    #[test]
    fn pseudo_header_may_come_at_any_place(octets in prop::collection::vec(any::<u8>(), 0..80), cut in 0..80_usize, len: u32) {
        let source = Ipv4Addr::new(10, 1, 2, 3).into();
        let destination = Ipv6Addr::LOCALHOST.into();
        let (front, back) = octets.split_at(cut.min(octets.len()));
        let first = Sum::default().pseudo_header(source, destination, IpProtocol::TCP, len).add_bytes(&octets);
        let between = Sum::default().add_bytes(front).pseudo_header(source, destination, IpProtocol::TCP, len).add_bytes(back);
        prop_assert_eq!(first.folded(), between.folded());
    }

    #[test]
    fn incremental_update_equals_summing_again(
        mut octets in prop::collection::vec(any::<u8>(), 8..120),
        at in any::<prop::sample::Index>(),
        new16: u16,
        new32: u32,
    ) {
        octets[0] |= 1; // not every octet is zero, as in any real header
        let words = (octets.len() - 4) / 2;
        let at = 2 + 2 * at.index(words);
        let before = internet_checksum(&octets);

        let mut changed = octets.clone();
        let old = u16::from_be_bytes([changed[at], changed[at + 1]]);
        changed[at..at + 2].copy_from_slice(&new16.to_be_bytes());
        prop_assert_eq!(update_u16(before, old, new16), internet_checksum(&changed));

        if at + 4 <= octets.len() {
            let old = u32::from_be_bytes(octets[at..at + 4].try_into().unwrap());
            octets[at..at + 4].copy_from_slice(&new32.to_be_bytes());
            prop_assert_eq!(update_u32(before, old, new32), internet_checksum(&octets));
        }
    }
}
