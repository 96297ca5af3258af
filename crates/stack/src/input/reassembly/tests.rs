//! Whole datagrams out of fragments in any order, and none out of fragments that lie.

use super::*;
use crate::keyed::Key;
use alloc::vec;
use bytes::Bytes;
use core::net::Ipv4Addr;
use proptest::prelude::*;

const LIMITS: ReassemblyLimits = ReassemblyLimits {
    datagrams_max: 4,
    octets_max: 100_000,
    fragments_max: 16,
    timeout: Duration::from_secs(30),
};

fn reassembly() -> Reassembly {
    Reassembly::new(LIMITS, Key::derive(&[0; 16], b"test"))
}

fn key(identification: u32) -> DatagramKey {
    DatagramKey {
        source: Ipv4Addr::new(10, 0, 0, 1).into(),
        destination: Ipv4Addr::new(10, 0, 0, 2).into(),
        protocol: 17,
        identification,
    }
}

fn fragment(offset: u32, more: bool, octets: &[u8]) -> Fragment {
    Fragment {
        offset,
        more,
        protocol: 17,
        ecn: Ecn::NotEct,
        payload: Payload::from(Bytes::copy_from_slice(octets)),
        held: octets.len(),
        quote: Payload::from(Bytes::from_static(b"quote")),
    }
}

#[test]
fn puts_fragments_together_in_any_order() {
    let mut reassembly = reassembly();
    let parts = [
        (16, false, &b"END"[..]),
        (0, true, b"01234567"),
        (8, true, b"89abcdef"),
    ];
    let mut done = None;
    for (offset, more, octets) in parts {
        assert!(done.is_none());
        done = reassembly
            .insert(Instant::ZERO, key(1), fragment(offset, more, octets))
            .unwrap();
    }
    let done = done.unwrap();
    assert_eq!(done.payload.to_vec(), b"0123456789abcdefEND");
    assert_eq!((done.protocol, done.held), (17, 19));
    assert_eq!((reassembly.len(), reassembly.held()), (0, 0));
}

#[test]
fn an_overlap_discards_the_datagram_and_what_follows() {
    for (offset, octets) in [(0, &b"0123456789abcdef"[..]), (8, b"01234567xxxxxxxx")] {
        let mut reassembly = reassembly();
        reassembly
            .insert(Instant::ZERO, key(1), fragment(8, true, b"89abcdef"))
            .unwrap();
        let refused = reassembly.insert(Instant::ZERO, key(1), fragment(offset, true, octets));
        assert_eq!(refused.unwrap_err(), FragmentRefusal::Overlap);
        let late = reassembly.insert(Instant::ZERO, key(1), fragment(16, false, b"E"));
        assert_eq!(late.unwrap_err(), FragmentRefusal::Discarded);
        assert_eq!(reassembly.held(), 0);
        // After its time the identification may be used again.
        assert!(
            reassembly
                .pop_expired(Instant::from_secs(30))
                .unwrap()
                .quote
                .is_none()
        );
        reassembly
            .insert(
                Instant::from_secs(31),
                key(1),
                fragment(0, true, b"01234567"),
            )
            .unwrap();
    }
}

#[test]
fn an_exact_repetition_is_ignored() {
    let mut reassembly = reassembly();
    reassembly
        .insert(Instant::ZERO, key(1), fragment(0, true, b"01234567"))
        .unwrap();
    let again = reassembly.insert(Instant::ZERO, key(1), fragment(0, true, b"01234567"));
    assert_eq!(again.unwrap_err(), FragmentRefusal::Duplicate);
    let done = reassembly
        .insert(Instant::ZERO, key(1), fragment(8, false, b"E"))
        .unwrap();
    assert_eq!(done.unwrap().payload.to_vec(), b"01234567E");
}

#[test]
fn lies_about_the_length_are_refused() {
    let mut reassembly = reassembly();
    let refuse = |reassembly: &mut Reassembly, id, part| {
        reassembly.insert(Instant::ZERO, key(id), part).unwrap_err()
    };
    assert_eq!(
        refuse(&mut reassembly, 1, fragment(0, true, b"odd")),
        FragmentRefusal::Inconsistent
    );
    assert_eq!(
        refuse(&mut reassembly, 1, fragment(8, false, b"")),
        FragmentRefusal::Inconsistent
    );
    assert_eq!(
        refuse(&mut reassembly, 1, fragment(65_528, true, b"01234567")),
        FragmentRefusal::TooLong
    );
    assert_eq!(reassembly.len(), 0);
    // Two ends.
    reassembly
        .insert(Instant::ZERO, key(2), fragment(8, false, b"E"))
        .unwrap();
    assert_eq!(
        refuse(&mut reassembly, 2, fragment(16, false, b"E")),
        FragmentRefusal::Inconsistent
    );
    // More behind the end.
    reassembly
        .insert(Instant::ZERO, key(3), fragment(8, false, b"E"))
        .unwrap();
    assert_eq!(
        refuse(&mut reassembly, 3, fragment(16, true, b"01234567")),
        FragmentRefusal::Inconsistent
    );
    // An end before what is there.
    reassembly
        .insert(Instant::ZERO, key(4), fragment(16, true, b"01234567"))
        .unwrap();
    assert_eq!(
        refuse(&mut reassembly, 4, fragment(8, false, b"E")),
        FragmentRefusal::Inconsistent
    );
}

#[test]
fn limits_hold() {
    let mut reassembly = reassembly();
    for id in 0..10 {
        reassembly
            .insert(
                Instant::from_secs(id.into()),
                key(id),
                fragment(0, true, b"01234567"),
            )
            .unwrap();
    }
    assert_eq!((reassembly.len(), reassembly.held()), (4, 32));
    assert_eq!(
        reassembly.pop_expired(Instant::from_secs(36)).unwrap().key,
        key(6)
    );
    // Octets: the oldest goes.
    let big = vec![0; 60_000];
    for id in 20..23 {
        reassembly
            .insert(Instant::from_secs(36), key(id), fragment(0, true, &big))
            .unwrap();
        assert!(reassembly.held() <= LIMITS.octets_max);
    }
    // Fragments of one datagram.
    for n in 0..16 {
        reassembly
            .insert(
                Instant::from_secs(36),
                key(30),
                fragment(n * 16, true, b"01234567"),
            )
            .unwrap();
    }
    let refused = reassembly.insert(
        Instant::from_secs(36),
        key(30),
        fragment(1_600, true, b"01234567"),
    );
    assert_eq!(refused.unwrap_err(), FragmentRefusal::TooMany);
}

#[test]
fn what_stays_incomplete_is_given_up_with_its_first_fragment() {
    let mut reassembly = reassembly();
    reassembly
        .insert(Instant::ZERO, key(1), fragment(0, true, b"01234567"))
        .unwrap();
    reassembly
        .insert(Instant::from_secs(1), key(2), fragment(8, false, b"E"))
        .unwrap();
    assert!(reassembly.pop_expired(Instant::from_secs(29)).is_none());
    assert_eq!(reassembly.next_deadline(), Some(Instant::from_secs(30)));
    let expired = reassembly.pop_expired(Instant::from_secs(31)).unwrap();
    assert_eq!(
        (expired.key, expired.quote.unwrap().to_vec()),
        (key(1), b"quote".to_vec())
    );
    assert!(
        reassembly
            .pop_expired(Instant::from_secs(31))
            .unwrap()
            .quote
            .is_none()
    );
    assert_eq!(reassembly.held(), 0);
}

#[test]
fn congestion_marks_survive() {
    use Ecn::{Ce, Ect0, Ect1, NotEct};
    for (marks, whole) in [
        ([Ect0, Ect0], Some(Ect0)),
        ([Ect1, Ce], Some(Ce)),
        ([NotEct, NotEct], Some(NotEct)),
        ([NotEct, Ce], None),
    ] {
        let mut reassembly = reassembly();
        let first = Fragment {
            ecn: marks[0],
            ..fragment(0, true, b"01234567")
        };
        let last = Fragment {
            ecn: marks[1],
            ..fragment(8, false, b"E")
        };
        reassembly.insert(Instant::ZERO, key(1), first).unwrap();
        let done = reassembly.insert(Instant::ZERO, key(1), last).unwrap();
        assert_eq!(done.map(|datagram| datagram.ecn), whole, "{marks:?}");
    }
}

proptest! {
    #[test]
    fn any_cut_in_any_order_gives_the_datagram(
        octets in proptest::collection::vec(any::<u8>(), 9..400),
        cuts in proptest::collection::btree_set(1usize..50, 0..12),
        shuffle in any::<u64>(),
    ) {
        let mut reassembly = reassembly();
        let mut borders: Vec<usize> = cuts.iter().map(|cut| cut * 8).filter(|at| *at < octets.len()).collect();
        borders.insert(0, 0);
        borders.push(octets.len());
        let mut parts: Vec<(usize, usize)> = borders.windows(2).map(|pair| (pair[0], pair[1])).collect();
        let mut random = crate::keyed::Random::new(shuffle);
        parts.sort_by_cached_key(|_| random.next());
        let count = parts.len();
        for (n, (start, end)) in parts.into_iter().enumerate() {
            let part = fragment(u32::try_from(start).unwrap(), end < octets.len(), &octets[start..end]);
            let done = reassembly.insert(Instant::ZERO, key(7), part).unwrap();
            prop_assert_eq!(done.is_some(), n + 1 == count);
            if let Some(done) = done {
                prop_assert_eq!(done.payload.to_vec(), octets.clone());
            }
        }
        prop_assert_eq!(reassembly.held(), 0);
    }

    #[test]
    fn random_fragments_stay_within_the_limits(
        parts in proptest::collection::vec((0u32..8, 0u32..40, any::<bool>(), 0usize..4, 0u64..20), 0..100),
    ) {
        let mut reassembly = reassembly();
        let mut now = Instant::ZERO;
        for (id, offset, more, units, wait) in parts {
            now += Duration::from_secs(wait);
            while reassembly.pop_expired(now).is_some() {}
            let _ = reassembly.insert(now, key(id), fragment(offset * 8, more, &vec![1; units * 8]));
            prop_assert!(reassembly.len() <= LIMITS.datagrams_max);
            prop_assert!(reassembly.held() <= LIMITS.octets_max);
        }
        while reassembly.pop_expired(Instant::MAX).is_some() {}
        prop_assert_eq!((reassembly.held(), reassembly.len()), (0, 0));
    }
}
