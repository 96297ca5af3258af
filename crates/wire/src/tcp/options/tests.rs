use super::*;
use crate::SeqNum;
use proptest::prelude::*;
use std::vec::Vec;

const TS: Timestamps = Timestamps {
    value: 0x0102_0304,
    echo: 0x0506_0708,
};

fn emitted(options: &TcpOptions) -> Vec<u8> {
    let mut octets = std::vec![0xee; options.encoded_len() + 4];
    options.emit(&mut octets);
    assert_eq!(
        octets.split_off(options.encoded_len()),
        [0xee; 4],
        "writes past its length"
    );
    octets
}

fn block(left: u32, right: u32) -> SackBlock {
    SackBlock {
        left: SeqNum::new(left),
        right: SeqNum::new(right),
    }
}

#[test]
fn emits_in_freebsd_order() {
    let plain = TcpOptions {
        mss: Some(1460),
        window_scale: Some(6),
        sack_permitted: true,
        order: OptionOrder::FreeBsd,
        ..TcpOptions::default()
    };
    let stamped = TcpOptions {
        timestamps: Some(TS),
        ..plain
    };
    let expected: [(TcpOptions, &[u8]); 2] = [
        (plain, &[2, 4, 0x05, 0xb4, 1, 3, 3, 6, 4, 2, 0, 0]),
        (
            stamped,
            &[
                2, 4, 0x05, 0xb4, 1, 3, 3, 6, 4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8,
            ],
        ),
    ];
    for (options, octets) in expected {
        assert_eq!(emitted(&options), octets);
        let read = TcpOptions {
            order: OptionOrder::Linux,
            ..options
        };
        assert_eq!(
            TcpOptions::parse(octets),
            (read, OptionsNote::WellFormed),
            "[MUST-64]"
        );
    }
}

#[test]
fn emits_in_linux_order() {
    let none = TcpOptions::default();
    let table: [(TcpOptions, &[u8]); 8] = [
        (none, &[]),
        (
            TcpOptions {
                mss: Some(1460),
                ..none
            },
            &[2, 4, 0x05, 0xb4],
        ),
        (
            TcpOptions {
                timestamps: Some(TS),
                ..none
            },
            &[1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8],
        ),
        (
            TcpOptions {
                sack_permitted: true,
                ..none
            },
            &[1, 1, 4, 2],
        ),
        (
            TcpOptions {
                mss: Some(1460),
                window_scale: Some(7),
                sack_permitted: true,
                timestamps: Some(TS),
                ..none
            },
            &[
                2, 4, 0x05, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 3, 7,
            ],
        ),
        (
            TcpOptions {
                sack: [block(1, 2)].into_iter().collect(),
                ..none
            },
            &[1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2],
        ),
        (
            TcpOptions {
                fast_open: Some(FastOpenCookie::REQUEST),
                ..none
            },
            &[34, 2, 1, 1],
        ),
        (
            TcpOptions {
                fast_open: FastOpenCookie::new(&[9; 8]),
                ..none
            },
            &[34, 10, 9, 9, 9, 9, 9, 9, 9, 9, 1, 1],
        ),
    ];
    for (options, octets) in table {
        assert_eq!(emitted(&options), octets, "{options:?}");
        assert_eq!(
            TcpOptions::parse(octets),
            (options, OptionsNote::WellFormed)
        );
    }
}

#[test]
fn parses_what_others_send() {
    let none = TcpOptions::default();
    let table: [(&str, &[u8], TcpOptions); 8] = [
        ("ignored after the end", &[0, 2, 4, 5, 0xb4, 1, 1, 1], none),
        (
            "unknown options are skipped",
            &[253, 4, 9, 9, 2, 4, 1, 0],
            TcpOptions {
                mss: Some(256),
                ..none
            },
        ),
        (
            "unknown and empty",
            &[99, 2, 4, 2],
            TcpOptions {
                sack_permitted: true,
                ..none
            },
        ),
        (
            "the last of two counts",
            &[2, 4, 0, 1, 2, 4, 0, 2],
            TcpOptions {
                mss: Some(2),
                ..none
            },
        ),
        (
            "timestamps not aligned, as some stacks send them",
            &[8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0],
            TcpOptions {
                timestamps: Some(TS),
                ..none
            },
        ),
        (
            "window scale above 14 is the receiver's to clamp",
            &[3, 3, 200, 0],
            TcpOptions {
                window_scale: Some(200),
                ..none
            },
        ),
        (
            "two blocks",
            &[5, 18, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0, 9, 0, 0],
            TcpOptions {
                sack: [block(1, 2), block(5, 9)].into_iter().collect(),
                ..none
            },
        ),
        (
            "no padding",
            &[3, 3, 4],
            TcpOptions {
                window_scale: Some(4),
                ..none
            },
        ),
    ];
    for (name, octets, options) in table {
        assert_eq!(
            TcpOptions::parse(octets),
            (options, OptionsNote::WellFormed),
            "{name}"
        );
    }
}

/// [MUST-4] [MUST-64]
#[test]
fn an_option_may_start_on_any_octet() {
    for before in 0..=36 {
        let mut octets = std::vec![NOP; before];
        octets.extend([MSS, MSS_LEN, 0x05, 0xb4, END]);
        let (options, note) = TcpOptions::parse(&octets);
        assert_eq!(options.mss, Some(1460), "after {before} octets");
        assert!(!note.is_malformed());
    }
}

/// Every kind but end-of-options and no-operation has a length, which is believed: what follows is found, whatever the option
/// means [MUST-6] [MUST-68].
#[test]
fn the_length_of_any_other_option_is_believed() {
    for kind in (0..=u8::MAX).filter(|kind| ![END, NOP, MSS].contains(kind)) {
        for length in 2..=9 {
            let mut octets = std::vec![kind, length];
            octets.resize(usize::from(length), 0xee);
            octets.extend([MSS, MSS_LEN, 1, 2]);
            assert_eq!(
                TcpOptions::parse(&octets).0.mss,
                Some(0x0102),
                "kind {kind}, length {length}"
            );
        }
    }
}

/// [MUST-7]
#[test]
fn illegal_lengths_are_noted_and_end_nothing_else() {
    let none = TcpOptions::default();
    let mss = TcpOptions {
        mss: Some(1280),
        ..none
    };
    let table: [(&str, &[u8], TcpOptions); 12] = [
        ("length 0 [MUST-7]", &[8, 0, 0, 0], none),
        ("length 1", &[99, 1, 2, 4, 5, 0], none),
        ("no length octet", &[1, 1, 1, 2], none),
        ("past the end", &[2, 5, 5, 0], none),
        ("what came before is kept", &[2, 4, 5, 0, 99, 0], mss),
        ("MSS of 1 octet", &[2, 3, 5, 2, 4, 5, 0], mss),
        ("window scale of 2 octets", &[3, 4, 5, 5, 2, 4, 5, 0], mss),
        ("SACK permitted with a value", &[4, 3, 5, 2, 4, 5, 0], mss),
        (
            "timestamps of 4 octets",
            &[8, 6, 1, 2, 3, 4, 2, 4, 5, 0],
            mss,
        ),
        ("SACK without a block", &[5, 2, 2, 4, 5, 0], mss),
        ("SACK of half a block", &[5, 6, 1, 2, 3, 4, 2, 4, 5, 0], mss),
        (
            "Fast Open cookie of 3 octets",
            &[34, 5, 1, 2, 3, 2, 4, 5, 0],
            mss,
        ),
    ];
    for (name, octets, options) in table {
        assert_eq!(
            TcpOptions::parse(octets),
            (options, OptionsNote::Malformed),
            "{name}"
        );
    }
}

#[test]
fn sack_blocks_that_do_not_fit_are_left_out() {
    let four: SackBlocks = (0..4).map(|n| block(n * 10, n * 10 + 5)).collect();
    let alone = TcpOptions {
        sack: four,
        ..TcpOptions::default()
    };
    assert_eq!(alone.encoded_len(), 36);
    assert_eq!(TcpOptions::parse(&emitted(&alone)).0, alone);

    let beside_timestamps = TcpOptions {
        timestamps: Some(TS),
        ..alone
    };
    assert_eq!(beside_timestamps.encoded_len(), 40);
    let (parsed, _) = TcpOptions::parse(&emitted(&beside_timestamps));
    assert_eq!(
        parsed.sack.as_slice(),
        &four.as_slice()[..3],
        "RFC 2018 3: three beside timestamps"
    );

    let full = TcpOptions {
        mss: Some(1460),
        window_scale: Some(7),
        sack_permitted: true,
        fast_open: FastOpenCookie::new(&[7; 16]),
        ..beside_timestamps
    };
    assert_eq!(full.encoded_len(), TcpOptions::LEN_MAX);
    let (parsed, note) = TcpOptions::parse(&emitted(&full));
    assert_eq!(
        parsed,
        TcpOptions {
            sack: SackBlocks::new(),
            ..full
        }
    );
    assert!(!note.is_malformed());
}

#[test]
fn a_list_of_blocks_is_full_at_four() {
    let mut blocks = SackBlocks::new();
    assert!((0..4).all(|n| blocks.push(block(n, n + 1))));
    assert!(!blocks.push(block(9, 10)));
    assert_eq!(blocks.len(), 4);
    assert_eq!(blocks.iter().last(), Some(&block(3, 4)));
}

#[test]
fn cookies_have_the_lengths_of_rfc_7413() {
    for len in 0..20 {
        let legal = matches!(len, 0 | 4 | 6 | 8 | 10 | 12 | 14 | 16);
        let octets = std::vec![5; len];
        let cookie = FastOpenCookie::new(&octets);
        assert_eq!(cookie.is_some(), legal, "{len}");
        if let Some(cookie) = cookie {
            assert_eq!(cookie.as_slice(), octets);
            assert_eq!(cookie.is_request(), len == 0);
        }
    }
}

pub(crate) fn any_options() -> impl Strategy<Value = TcpOptions> {
    let timestamps =
        (any::<u32>(), any::<u32>()).prop_map(|(value, echo)| Timestamps { value, echo });
    let sack = prop::collection::vec((any::<u32>(), any::<u32>()), 0..5)
        .prop_map(|blocks| blocks.into_iter().map(|(l, r)| block(l, r)).collect());
    let cookie = prop::collection::vec(any::<u8>(), 0..9)
        .prop_map(|half| FastOpenCookie::new(&[half.clone(), half].concat()));
    (
        any::<Option<u16>>(),
        any::<Option<u8>>(),
        any::<bool>(),
        prop::option::of(timestamps),
        prop_oneof![Just(SackBlocks::new()), sack],
        prop_oneof![Just(None), cookie],
    )
        .prop_map(
            |(mss, window_scale, sack_permitted, timestamps, sack, fast_open)| TcpOptions {
                mss,
                window_scale,
                sack_permitted,
                timestamps,
                sack,
                fast_open,
                order: OptionOrder::Linux,
            },
        )
}

proptest! {
    #[test]
    /// Nothing follows an end-of-options octet, because there is none [MUST-69].
    fn emitted_octets_never_end_early(options in any_options()) {
        let octets = emitted(&options);
        let mut rest = octets.as_slice();
        while let [kind, tail @ ..] = rest {
            prop_assert_ne!(*kind, END, "{:?}", octets);
            let value = if *kind == NOP { 0 } else { usize::from(tail[0]) - 1 };
            rest = &tail[value..];
        }
    }

    #[test]
    fn round_trip_loses_only_sack_blocks_without_room(options in any_options()) {
        let octets = emitted(&options);
        prop_assert!(octets.len().is_multiple_of(4) && octets.len() <= TcpOptions::LEN_MAX);
        let (parsed, note) = TcpOptions::parse(&octets);
        prop_assert_eq!(note, OptionsNote::WellFormed);
        prop_assert!(options.sack.as_slice().starts_with(parsed.sack.as_slice()));
        if parsed.sack.len() < options.sack.len() {
            prop_assert!(octets.len() + 8 + 4 * usize::from(parsed.sack.is_empty()) > TcpOptions::LEN_MAX);
        }
        prop_assert_eq!(TcpOptions { sack: options.sack, ..parsed }, options);
    }

    #[test]
    fn fast_path_agrees_with_the_general_one(octets in prop::collection::vec(0..12_u8, 12), prefix in any::<bool>()) {
        let mut octets = octets;
        if prefix {
            octets[..4].copy_from_slice(&[1, 1, 8, 10]);
        }
        prop_assert_eq!(TcpOptions::parse(&octets), TcpOptions::parse_any(&octets));
    }

    #[test]
    fn fast_paths_write_and_read_what_the_general_ones_do(options in any_options()) {
        let octets = emitted(&options);
        let mut general = octets.clone();
        general.fill(0);
        options.emit_any(&mut general);
        prop_assert_eq!(&general, &octets);
        prop_assert_eq!(TcpOptions::parse(&octets), TcpOptions::parse_any(&octets));
    }

    #[test]
    fn arbitrary_octets_never_panic_and_reparse_the_same(octets in prop::collection::vec(any::<u8>(), 0..=60)) {
        let (options, _) = TcpOptions::parse(&octets);
        let again = emitted(&options);
        prop_assert_eq!(emitted(&TcpOptions::parse(&again).0), again);
    }

    /// Kinds and lengths that mean something are rare among random octets: make them likely.
    #[test]
    fn plausible_octets_never_panic(octets in prop::collection::vec(
        prop_oneof![0..9_u8, Just(10), Just(18), Just(34), any::<u8>()], 0..=40,
    )) {
        let (options, _) = TcpOptions::parse(&octets);
        emitted(&options);
    }
}
