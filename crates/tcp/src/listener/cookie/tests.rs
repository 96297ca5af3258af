//! What a cookie keeps, what it refuses, and how its numbers look to somebody without the key.

use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::isn::TupleSecret;
use crate::options::TimestampClock;
use crate::tuple::Endpoint;

fn tuples() -> impl Strategy<Value = Tuple> {
    let v4 = (any::<[u8; 4]>(), any::<[u8; 4]>()).prop_map(|(a, b)| (a.into(), b.into()));
    let v6 = (any::<[u8; 16]>(), any::<[u8; 16]>()).prop_map(|(a, b)| (a.into(), b.into()));
    (prop_oneof![v4, v6], any::<u16>(), any::<u16>()).prop_map(
        |((local, remote), here, there): ((IpAddr, IpAddr), u16, u16)| {
            Tuple::new(Endpoint::new(local, here), Endpoint::new(remote, there))
        },
    )
}

fn offers() -> impl Strategy<Value = Offer> {
    let scale = proptest::option::of(0_u8..=14);
    (MSS_TABLE[0]..=9000, scale, any::<bool>(), any::<bool>()).prop_map(
        |(mss, window_scale, sack, ecn)| Offer {
            mss,
            window_scale,
            sack,
            ecn,
        },
    )
}

fn one_tuple() -> Tuple {
    let end = |last, port| Endpoint::new([192, 0, 2, last].into(), port);
    Tuple::new(end(1, 80), end(2, 40_000))
}

const OFFER: Offer = Offer {
    mss: 1460,
    window_scale: Some(7),
    sack: true,
    ecn: false,
};

fn keys() -> CookieKeys {
    CookieKeys::new([42; 16])
}

fn at(seconds: u64) -> Instant {
    Instant::from_secs(seconds)
}

proptest! {
    #[test]
    fn any_mix_of_options_survives_when_timestamps_were_offered(
        tuple in tuples(), offer in offers(), irs: u32, clock: u32, start in 0_u64..10_000_000, age in 0_u64..60
    ) {
        let (mut keys, irs) = (keys(), SeqNum::new(irs));
        let cookie = bake(&mut keys, at(start), &tuple, irs, &offer, Some(clock)).unwrap();
        let found = taste(&mut keys, at(start + age), &tuple, irs, &cookie).unwrap();
        let rounded = *MSS_TABLE.iter().rev().find(|&&mss| mss <= offer.mss).unwrap();
        prop_assert_eq!(found, Offer { mss: rounded, ..offer });
    }

    #[test]
    fn without_timestamps_sizes_and_scales_are_rounded_down_and_never_up(
        tuple in tuples(), offer in offers(), irs: u32, start in 0_u64..10_000_000
    ) {
        let (mut keys, irs) = (keys(), SeqNum::new(irs));
        let cookie = bake(&mut keys, at(start), &tuple, irs, &offer, None).unwrap();
        let found = taste(&mut keys, at(start + 1), &tuple, irs, &cookie).unwrap();
        prop_assert!(found.mss <= offer.mss && MSS_TABLE.contains(&found.mss));
        prop_assert_eq!(found.window_scale.is_some(), offer.window_scale.is_some());
        prop_assert!(found.window_scale <= offer.window_scale);
        prop_assert_eq!((found.sack, found.ecn), (offer.sack, false));
    }

    #[test]
    fn the_iss_alone_completes_a_handshake_whose_timestamps_a_path_strips(
        tuple in tuples(), offer in offers(), irs: u32, clock: u32
    ) {
        let (mut keys, irs) = (keys(), SeqNum::new(irs));
        let cookie = bake(&mut keys, at(9), &tuple, irs, &offer, Some(clock)).unwrap();
        let stripped = Cookie { stamp: None, ..cookie };
        let found = taste(&mut keys, at(9), &tuple, irs, &stripped).unwrap();
        prop_assert!(found.window_scale <= offer.window_scale);
        prop_assert_eq!(found.sack, offer.sack);
    }

    #[test]
    fn the_timestamp_is_never_ahead_of_the_clock_and_little_behind(clock: u32, offer in offers()) {
        let cookie = bake(&mut keys(), at(9), &one_tuple(), SeqNum::new(1), &offer, Some(clock)).unwrap();
        let behind = clock.wrapping_sub(cookie.stamp.unwrap());
        prop_assert!((1..1 << 15).contains(&behind), "{behind} ms behind");
    }

    #[test]
    fn every_later_segment_is_newer_to_paws(start in 0_u64..1 << 40, later in 0_u64..1 << 40, offset: u32) {
        let clock = TimestampClock { offset, recent: 0, recent_at: Instant::ZERO };
        let begin = Instant::from_micros(start);
        let value = clock.value(begin);
        let cookie = bake(&mut keys(), begin, &one_tuple(), SeqNum::new(1), &OFFER, Some(value)).unwrap();
        // The clock of 32 bits wraps after 24 days: PAWS compares within half of that.
        let next = clock.value(Instant::from_micros(start + later % (1 << 40)));
        prop_assert!(!SeqNum::new(next).before(SeqNum::new(cookie.stamp.unwrap())) || later > 2_000_000_000_000);
    }
}

/// How many of all cookies that differ from a genuine one in some single bit, of anything the first MAC covers, are believed.
fn believed_with_one_bit_changed(tries: u64) -> (u64, u64) {
    let mut keys = keys();
    let (mut tried, mut believed) = (0, 0);
    for n in 0..tries {
        let irs = SeqNum::new(u32::try_from(n * 7919).unwrap());
        let now = at(n * 13);
        let cookie = bake(&mut keys, now, &one_tuple(), irs, &OFFER, None).unwrap();
        for bit in 0..32 {
            let other = Cookie {
                iss: SeqNum::new(cookie.iss.raw() ^ 1 << bit),
                ..cookie
            };
            let strange = SeqNum::new(irs.raw() ^ 1 << bit);
            let mut elsewhere = one_tuple();
            elsewhere.remote.port ^= 1 << (bit % 16);
            for (tuple, irs, cookie) in [
                (one_tuple(), irs, other),
                (one_tuple(), strange, cookie),
                (elsewhere, irs, cookie),
            ] {
                tried += 1;
                believed += u64::from(taste(&mut keys, now, &tuple, irs, &cookie).is_some());
            }
        }
    }
    (tried, believed)
}

#[test]
fn any_changed_bit_is_refused() {
    let (tried, believed) = believed_with_one_bit_changed(2_000);
    // Once in 2^24 tries is what 24 bits promise; 192,000 tries see one with a probability of 1 %.
    assert!(believed <= 1, "{believed} of {tried}");
}

#[test]
fn changed_bits_of_the_timestamp_pass_once_in_256_tries() {
    let mut keys = keys();
    let (mut tried, mut believed) = (0_u32, 0_u32);
    for n in 0..2_000_u32 {
        let irs = SeqNum::new(n);
        let cookie = bake(
            &mut keys,
            at(5),
            &one_tuple(),
            irs,
            &OFFER,
            Some(n << 15 | 77),
        )
        .unwrap();
        for bit in (0..32).filter(|bit| !(6..14).contains(bit)) {
            let stamp = cookie.stamp.map(|value| value ^ 1 << bit);
            let other = Cookie { stamp, ..cookie };
            tried += 1;
            believed += u32::from(taste(&mut keys, at(5), &one_tuple(), irs, &other).is_some());
        }
    }
    let expected = f64::from(tried) / 256.0;
    let deviation = (f64::from(believed) - expected).abs() / expected.sqrt();
    assert!(
        deviation < 5.0,
        "{believed} of {tried}, {expected} expected"
    );
}

#[test]
fn a_cookie_lasts_one_to_two_minutes() {
    let mut keys = keys();
    let irs = SeqNum::new(5);
    for start in [0, 30, 59, 3_599] {
        let cookie = bake(&mut keys, at(start), &one_tuple(), irs, &OFFER, Some(1)).unwrap();
        let mut good =
            |age| taste(&mut keys, at(start + age), &one_tuple(), irs, &cookie).is_some();
        assert!(good(0) && good(60), "made at {start} s");
        assert!(!good(120) && !good(240), "made at {start} s");
    }
}

#[test]
fn a_change_of_keys_loses_no_cookie_under_way() {
    let irs = SeqNum::new(5);
    // The hourly change.
    let mut scheduled = keys();
    let cookie = bake(&mut scheduled, at(3_590), &one_tuple(), irs, &OFFER, None).unwrap();
    assert!(taste(&mut scheduled, at(3_610), &one_tuple(), irs, &cookie).is_some());
    let fresh = bake(&mut scheduled, at(3_610), &one_tuple(), irs, &OFFER, None).unwrap();
    assert!(taste(&mut scheduled, at(3_611), &one_tuple(), irs, &fresh).is_some());
    // Material handed in.
    let mut handed = keys();
    let cookie = bake(&mut handed, at(100), &one_tuple(), irs, &OFFER, None).unwrap();
    handed.rotate(at(101), [9; 16]);
    assert!(taste(&mut handed, at(102), &one_tuple(), irs, &cookie).is_some());
    assert!(taste(&mut handed, at(130), &one_tuple(), irs, &cookie).is_some());
    let fresh = bake(&mut handed, at(130), &one_tuple(), irs, &OFFER, None).unwrap();
    assert!(taste(&mut handed, at(130), &one_tuple(), irs, &fresh).is_some());
    assert!(taste(&mut keys(), at(130), &one_tuple(), irs, &fresh).is_none());
}

#[test]
fn nodes_that_share_keys_take_each_others_cookies_though_their_clocks_are_a_little_apart() {
    let mut first = CookieKeys::new([1; 16]);
    let shared = first.export(at(1_000));
    let irs = SeqNum::new(5);
    for skew in [-3_i64, 0, 3] {
        let mut second = CookieKeys::new([2; 16]);
        second.import(at(40), &shared, Duration::from_secs(2));
        for start in 1_002_u64..1_130 {
            let cookie = bake(&mut first, at(start), &one_tuple(), irs, &OFFER, None).unwrap();
            let there = (start - 1_002 + 40 + 1).saturating_add_signed(skew);
            let believed = taste(&mut second, at(there), &one_tuple(), irs, &cookie);
            assert!(believed.is_some(), "made at {start} s, {skew} s apart");
        }
    }
    let cookie = bake(&mut first, at(1_002), &one_tuple(), irs, &OFFER, None).unwrap();
    let mut stranger = CookieKeys::new([2; 16]);
    assert!(taste(&mut stranger, at(1_002), &one_tuple(), irs, &cookie).is_none());
}

/// The statistic of a chi-squared test that `values` are spread evenly over 256 cells.
fn chi_squared(values: impl Iterator<Item = u8>) -> f64 {
    let mut cells = [0_u32; 256];
    let mut count = 0_u32;
    for value in values {
        cells[usize::from(value)] += 1;
        count += 1;
    }
    let expected = f64::from(count) / 256.0;
    let square = |cell: &u32| (f64::from(*cell) - expected).powi(2) / expected;
    cells.iter().map(square).sum()
}

/// Checks that no byte of the numbers, and no byte of the difference of two in a row, favours a value: what the simple
/// predictors "the next one is the last plus a constant" and "the next one shares a byte" would live off. 255 degrees of freedom:
/// above 400 lies one sample in 10^7.
fn assert_no_structure(what: &str, numbers: &[u32], bits: core::ops::Range<u32>) {
    for shift in bits.step_by(8) {
        #[expect(clippy::cast_possible_truncation, reason = "one byte of the number")]
        let byte = |number: u32| (number >> shift) as u8;
        let plain = chi_squared(numbers.iter().map(|&n| byte(n)));
        let steps = chi_squared(numbers.windows(2).map(|w| byte(w[1].wrapping_sub(w[0]))));
        assert!(plain < 400.0, "{what}: byte at {shift}: {plain}");
        assert!(steps < 400.0, "{what}: step at {shift}: {steps}");
    }
}

/// Checks that none of the predictors in the textbooks does better than chance on numbers of `bits` bits: the difference to the one
/// before, a straight line through the last two, least squares over all, each single bit, and the bit before it.
fn assert_unpredictable(what: &str, numbers: &[u32], bits: u32) {
    let space = 2_f64.powi(i32::try_from(bits).unwrap());
    let mask = u32::MAX >> (32 - bits);
    let count = f64::from(u32::try_from(numbers.len()).unwrap());
    let near = |guess: u32, number: u32| {
        let error = number.wrapping_sub(guess) & mask;
        error.min(error.wrapping_neg() & mask) < 1 << (bits - 10)
    };
    // Within 2^-10 of the space to either side by chance: once in 512 guesses.
    let hits = |name: &str, guess: &dyn Fn(&[u32]) -> u32| {
        let windows = numbers.windows(4);
        let hits = windows
            .filter(|w| near(guess(&w[..3]) & mask, w[3]))
            .count();
        let (hits, expected) = (f64::from(u32::try_from(hits).unwrap()), count / 512.0);
        let deviation = (hits - expected).abs() / expected.sqrt();
        assert!(deviation < 6.0, "{what}: {name} hits {hits} of {expected}");
    };
    hits("the same again", &|seen| seen[2]);
    hits("the same step again", &|seen| {
        seen[2].wrapping_add(seen[2].wrapping_sub(seen[1]))
    });
    hits("the same change of steps again", &|seen| {
        let [a, b, c] = [seen[0], seen[1], seen[2]];
        c.wrapping_mul(3)
            .wrapping_sub(b.wrapping_mul(3))
            .wrapping_add(a)
    });
    // Correlation with the place in line, which least squares lives off, and with the numbers 1 to 16 places before.
    let centred: Vec<f64> = numbers
        .iter()
        .map(|&n| f64::from(n & mask) / space - 0.5)
        .collect();
    let variance: f64 = centred.iter().map(|x| x * x).sum();
    let places = (0..).map(|place| f64::from(place) / count - 0.5);
    let with_place: f64 = places.zip(&centred).map(|(place, x)| place * x).sum();
    let with_place = with_place / (variance * count / 12.0).sqrt();
    let limit = 6.0 / count.sqrt();
    assert!(
        with_place.abs() < limit,
        "{what}: a line fits by {with_place}"
    );
    for lag in 1..=16 {
        let sum: f64 = centred
            .iter()
            .zip(&centred[lag..])
            .map(|(a, b)| a * b)
            .sum();
        let auto = sum / variance;
        assert!(
            auto.abs() < limit,
            "{what}: correlation {auto} at lag {lag}"
        );
    }
    for bit in 0..bits {
        let set = numbers.iter().filter(|&&n| n >> bit & 1 == 1).count();
        let kept = numbers
            .windows(2)
            .filter(|w| (w[0] ^ w[1]) >> bit & 1 == 0)
            .count();
        for (name, seen) in [("is set", set), ("stays", kept)] {
            let seen = f64::from(u32::try_from(seen).unwrap());
            let deviation = (seen - count / 2.0).abs() / (count / 4.0).sqrt();
            assert!(deviation < 6.0, "{what}: bit {bit} {name} {seen} times");
        }
    }
}

const SAMPLE: u32 = 100_000;

#[test]
fn the_predictors_find_what_is_there() {
    let caught = |numbers: Vec<u32>| {
        let run = || assert_unpredictable("a weak generator", &numbers, 32);
        std::panic::catch_unwind(run).is_err()
    };
    assert!(
        caught((0..SAMPLE).map(|n| n.wrapping_mul(64_000)).collect()),
        "a counter"
    );
    let parabola = |n: u32| n.wrapping_mul(n).wrapping_mul(40_503);
    assert!(caught((0..SAMPLE).map(parabola).collect()), "a parabola");
    let hash = |n: u32| {
        n.wrapping_mul(2_654_435_769)
            .rotate_left(13)
            .wrapping_mul(2_246_822_519)
    };
    let low_bit = |n: u32| hash(n ^ hash(n)) & !1;
    assert!(
        caught((0..SAMPLE).map(low_bit).collect()),
        "a bit that is never set"
    );
}

#[test]
fn cookies_show_no_structure() {
    let mut keys = keys();
    let mut iss = |tuple: &Tuple, irs: u32, now| {
        let cookie = bake(&mut keys, now, tuple, SeqNum::new(irs), &OFFER, None);
        cookie.unwrap().iss.raw() >> 8
    };
    let one: Vec<u32> = (0..SAMPLE).map(|n| iss(&one_tuple(), n, at(7))).collect();
    assert_no_structure("one tuple, its ISN counting up", &one, 0..24);
    assert_unpredictable("one tuple, its ISN counting up", &one, 24);
    let over_time: Vec<u32> = (0..SAMPLE)
        .map(|n| iss(&one_tuple(), 1, at(60 * u64::from(n))))
        .collect();
    assert_no_structure("one tuple, minute by minute", &over_time, 0..24);
    assert_unpredictable("one tuple, minute by minute", &over_time, 24);
    let many: Vec<u32> = (0..SAMPLE).map(|n| iss(&neighbour(n), 1, at(7))).collect();
    assert_no_structure("neighbouring tuples", &many, 0..24);
    assert_unpredictable("neighbouring tuples", &many, 24);
}

#[test]
fn initial_sequence_numbers_of_many_tuples_show_no_structure() {
    // RFC 6528: one tuple's numbers follow the clock, so that incarnations do not overlap; tuples tell nothing of each other.
    let secret = |tuple: &Tuple| TupleSecret::of(&[3; 16], tuple);
    let isn = |tuple: &Tuple, now| secret(tuple).isn(now).raw();
    let many: Vec<u32> = (0..SAMPLE).map(|n| isn(&neighbour(n), at(7))).collect();
    assert_no_structure("neighbouring tuples", &many, 0..32);
    assert_unpredictable("neighbouring tuples", &many, 32);
    let late: Vec<u32> = (0..SAMPLE)
        .map(|n| isn(&neighbour(n), Instant::from_millis(u64::from(n))))
        .collect();
    assert_no_structure("tuples one after the other", &late, 0..32);
    assert_unpredictable("tuples one after the other", &late, 32);
    let one: Vec<u32> = (0..SAMPLE)
        .map(|n| isn(&one_tuple(), Instant::from_micros(4 * u64::from(n))))
        .collect();
    let ticks = one
        .windows(2)
        .all(|pair| pair[1].wrapping_sub(pair[0]) == 1);
    assert!(ticks, "one tuple's numbers rise with the clock");
}

#[test]
fn timestamp_offsets_of_many_tuples_show_no_structure_nor_the_other_half_of_their_hash() {
    let secret = |n: u32| TupleSecret::of(&[3; 16], &neighbour(n));
    let offsets: Vec<u32> = (0..SAMPLE).map(|n| secret(n).timestamp_offset).collect();
    assert_no_structure("offsets", &offsets, 0..32);
    assert_unpredictable("offsets", &offsets, 32);
    let isn = |n: u32| secret(n).isn(Instant::ZERO).raw();
    let together: Vec<u32> = (0..SAMPLE)
        .map(|n| isn(n) ^ secret(n).timestamp_offset)
        .collect();
    assert_no_structure("ISN and offset", &together, 0..32);
    assert_unpredictable("ISN and offset", &together, 32);
}

/// Tuples that differ as little as tuples can.
fn neighbour(n: u32) -> Tuple {
    let mut tuple = one_tuple();
    tuple.remote.port = u16::try_from(1024 + n % 50_000).unwrap();
    tuple.remote.addr = [192, 0, 2, u8::try_from(n / 50_000).unwrap()].into();
    tuple
}
