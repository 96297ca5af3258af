//! The life of a neighbour, from the first question to oblivion.

use super::*;
use bytes::Bytes;
use core::net::Ipv4Addr;

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const OTHER: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

fn neighbours(limits: NeighbourLimits) -> Neighbours {
    Neighbours::new(limits, Key::derive(&[0; 16], b"test"), Instant::ZERO)
}

fn key(n: u8) -> NeighbourKey {
    (InterfaceId(0), Ipv4Addr::new(10, 0, 0, n).into())
}

fn packet(tag: u8) -> PacketBuf {
    PacketBuf::from_bytes(Bytes::copy_from_slice(&[tag]))
}

fn sent_to(resolution: Resolution) -> Option<MacAddr> {
    match resolution {
        Resolution::Send(mac, _) => Some(mac),
        Resolution::Waits(_) => None,
    }
}

fn tags(packets: impl IntoIterator<Item = PacketBuf>) -> alloc::vec::Vec<u8> {
    packets
        .into_iter()
        .map(|packet| packet.to_vec()[0])
        .collect()
}

#[test]
fn packets_wait_for_the_answer_and_leave_in_order() {
    let mut table = neighbours(NeighbourLimits::default());
    let now = Instant::ZERO;
    for tag in 0..6 {
        let Resolution::Waits(overflow) = table.resolve(now, key(1), packet(tag)) else {
            panic!("not known yet")
        };
        assert_eq!(
            overflow.map(|packet| packet.to_vec()[0]),
            (tag >= 4).then(|| tag - 4)
        );
    }
    assert_eq!(
        table.poll_question().map(|q| (q.addr, q.unicast)),
        Some((key(1).1, None))
    );
    assert_eq!(table.poll_question(), None, "asked once for all of them");
    let answer = Evidence::Answer { overrides: true };
    assert_eq!(tags(table.learn(now, key(1), MAC, answer)), [2, 3, 4, 5]);
    assert_eq!(sent_to(table.resolve(now, key(1), packet(9))), Some(MAC));
}

#[test]
fn silence_is_asked_again_and_then_given_up() {
    let mut table = neighbours(NeighbourLimits::default());
    table.resolve(Instant::ZERO, key(1), packet(7));
    for second in 1..=2 {
        assert_eq!(table.next_deadline(), Some(Instant::from_secs(second)));
        assert!(
            table
                .pop_expired(Instant::from_secs(second))
                .unwrap()
                .is_empty()
        );
    }
    assert_eq!(tags(table.pop_expired(Instant::from_secs(3)).unwrap()), [7]);
    assert_eq!(core::iter::from_fn(|| table.poll_question()).count(), 3);
    assert_eq!(table.len(), 0);
}

#[test]
fn an_old_address_is_used_while_it_is_checked() {
    let mut table = neighbours(NeighbourLimits::default());
    table.resolve(Instant::ZERO, key(1), packet(0));
    table.poll_question();
    table.learn(
        Instant::ZERO,
        key(1),
        MAC,
        Evidence::Answer { overrides: true },
    );
    let later = Instant::from_secs(31);
    assert_eq!(sent_to(table.resolve(later, key(1), packet(1))), Some(MAC));
    assert_eq!(table.poll_question().unwrap().unicast, Some(MAC));
    // Confirmed: believed again.
    table.learn(later, key(1), MAC, Evidence::Answer { overrides: true });
    assert_eq!(sent_to(table.resolve(later, key(1), packet(1))), Some(MAC));
    assert_eq!(table.poll_question(), None);
    // Not confirmed: gone after three questions.
    let much_later = Instant::from_secs(100);
    while table.pop_expired(much_later).is_some() {}
    assert_eq!(
        sent_to(table.resolve(much_later, key(1), packet(1))),
        Some(MAC)
    );
    for second in 101..=103 {
        while table.pop_expired(Instant::from_secs(second)).is_some() {}
    }
    assert_eq!(table.len(), 0);
}

#[test]
fn only_questions_to_us_create_entries() {
    let mut table = neighbours(NeighbourLimits::default());
    table.learn(Instant::ZERO, key(1), MAC, Evidence::Unasked);
    table.learn(
        Instant::ZERO,
        key(1),
        MAC,
        Evidence::Answer { overrides: true },
    );
    assert_eq!(table.mac_of(&key(1)), None);
    table.learn(Instant::ZERO, key(1), MAC, Evidence::AskedUs);
    assert_eq!(table.mac_of(&key(1)), Some(MAC));
    assert_eq!(
        sent_to(table.resolve(Instant::ZERO, key(1), packet(0))),
        Some(MAC)
    );
    assert_eq!(
        table.poll_question().unwrap().unicast,
        Some(MAC),
        "used in doubt, so it is checked"
    );
}

#[test]
fn an_answer_without_override_only_raises_doubt() {
    let mut table = neighbours(NeighbourLimits::default());
    table.resolve(Instant::ZERO, key(1), packet(0));
    table.learn(
        Instant::ZERO,
        key(1),
        MAC,
        Evidence::Answer { overrides: false },
    );
    table.learn(
        Instant::ZERO,
        key(1),
        OTHER,
        Evidence::Answer { overrides: false },
    );
    assert_eq!(table.mac_of(&key(1)), Some(MAC));
    table.poll_question();
    table.resolve(Instant::ZERO, key(1), packet(0));
    assert_eq!(table.poll_question().unwrap().unicast, Some(MAC));
    table.learn(
        Instant::ZERO,
        key(1),
        OTHER,
        Evidence::Answer { overrides: true },
    );
    assert_eq!(table.mac_of(&key(1)), Some(OTHER));
}

#[test]
fn the_table_is_bounded() {
    let mut table = neighbours(NeighbourLimits {
        entries_max: 3,
        ..NeighbourLimits::default()
    });
    for n in 0..200 {
        table.learn(Instant::ZERO, key(n), MAC, Evidence::AskedUs);
        table.resolve(Instant::ZERO, key(1), packet(0));
        assert!(table.len() <= 3);
    }
    // Unused for 20 minutes: forgotten.
    for second in [1_300, 1_301, 1_302, 1_303, 3_000] {
        while table.pop_expired(Instant::from_secs(second)).is_some() {}
    }
    assert_eq!(table.len(), 0);
    assert_eq!(table.next_deadline(), None);
}

/// Negative advice from TCP (RFC 9293 3.8.3 [MUST-20]).
#[test]
fn a_doubted_address_is_used_and_asked_for_again() {
    let mut table = neighbours(NeighbourLimits::default());
    let now = Instant::ZERO;
    table.resolve(now, key(1), packet(0));
    table.learn(now, key(1), MAC, Evidence::Answer { overrides: true });
    table.poll_question();
    table.resolve(now, key(1), packet(1));
    assert_eq!(table.poll_question(), None, "believed");

    table.doubt(now, key(1));
    table.doubt(now, key(2));
    assert_eq!(table.len(), 1, "doubt makes no entry");
    assert_eq!(sent_to(table.resolve(now, key(1), packet(2))), Some(MAC));
    assert_eq!(
        table.poll_question().map(|q| q.unicast),
        Some(Some(MAC)),
        "asked directly"
    );
    table.learn(now, key(1), MAC, Evidence::Answer { overrides: false });
    table.resolve(now, key(1), packet(3));
    assert_eq!(table.poll_question(), None, "believed again");
}

#[test]
fn another_address_told_unasked_is_used_and_checked() {
    let mut table = neighbours(NeighbourLimits::default());
    for evidence in [Evidence::Unasked, Evidence::AskedUs] {
        table.resolve(Instant::ZERO, key(1), packet(0));
        while table.poll_question().is_some() {}
        table.learn(
            Instant::ZERO,
            key(1),
            MAC,
            Evidence::Answer { overrides: true },
        );
        table.learn(Instant::ZERO, key(1), OTHER, evidence);
        assert_eq!(
            sent_to(table.resolve(Instant::ZERO, key(1), packet(0))),
            Some(OTHER)
        );
        assert_eq!(
            table.poll_question().map(|q| q.unicast),
            Some(Some(OTHER)),
            "{evidence:?}"
        );
    }
}
