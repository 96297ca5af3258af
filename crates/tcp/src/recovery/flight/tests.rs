//! Counts stay right while entries are cut, joined, SACKed and forgotten.

use core::time::Duration;

use handwave_wire::{SackBlock, SackBlocks, SeqNum};

use super::{Clock, Flight, Marking, Sending};
use crate::time::Instant;

fn at(millis: u64) -> Instant {
    Instant::ZERO + Duration::from_millis(millis)
}

fn marking(una_before: u32, una: u32, now: u64) -> Marking {
    Marking {
        una_before: SeqNum::new(una_before),
        una: SeqNum::new(una),
        nxt: SeqNum::new(10_000),
        high: SeqNum::new(0),
        now: at(now),
        min_rtt: None,
        mss: 1000,
    }
}

fn sack(left: u32, right: u32) -> SackBlocks {
    let mut blocks = SackBlocks::new();
    blocks.push(SackBlock {
        left: SeqNum::new(left),
        right: SeqNum::new(right),
    });
    blocks
}

/// Ten segments in five trains.
fn trains() -> Flight {
    let mut flight = Flight::default();
    for train in 0..5 {
        let start = SeqNum::new(train * 2000);
        flight.on_sent((start, start + 2000), 2000, 1000, at(0));
    }
    flight
}

fn clock(now: u64) -> Clock {
    Clock {
        now: at(now),
        min_rtt: Some(Duration::from_millis(100)),
        srtt: Some(Duration::from_millis(100)),
        in_recovery: false,
    }
}

#[test]
fn a_block_that_ends_within_a_train_cuts_it_at_whole_segments() {
    let mut flight = trains();
    let told = flight.mark_sacked(&sack(1000, 4500), &marking(0, 0, 100));
    assert_eq!(told.segments, 3, "half a segment is not SACKed");
    assert_eq!((flight.out, flight.sacked, flight.in_network()), (10, 3, 7));
}

#[test]
fn three_segments_sacked_show_that_the_one_before_is_lost_and_it_leaves_once() {
    let mut flight = trains();
    flight.mark_sacked(&sack(1000, 3000), &marking(0, 0, 100));
    let again = flight.detect_losses(&clock(100));
    assert_eq!(
        again,
        Some(Duration::from_millis(25)),
        "a quarter of a round trip"
    );
    assert_eq!(flight.lost, 0, "two may have been reordered");
    flight.mark_sacked(&sack(1000, 4000), &marking(0, 0, 100));
    flight.detect_losses(&clock(100));
    assert_eq!(flight.lost, 1);
    let limits = Sending {
        mss: 1000,
        segments: 3,
        una: SeqNum::new(0),
        window_end: SeqNum::new(50_000),
    };
    let again = flight.repeat_lost(&limits, at(100));
    assert_eq!(again, Some((SeqNum::new(0), 1000, 1)));
    assert_eq!(flight.repeat_lost(&limits, at(100)), None);
    let covered = flight.acknowledge(&marking(0, 10_000, 200), true);
    assert_eq!(covered.segments, 10);
    assert!(
        covered.repeated && covered.first_sent.is_none(),
        "Karn's rule"
    );
    assert_eq!(
        (flight.out, flight.sacked, flight.lost, flight.repeated),
        (0, 0, 0, 0)
    );
    assert_eq!(flight.delivered, 10);
}

#[test]
fn without_sack_an_acknowledgment_of_a_copy_tells_nothing_of_originals() {
    for (sack, original) in [(true, true), (false, false)] {
        let mut flight = trains();
        flight.mark_first_lost();
        let limits = Sending {
            mss: 1000,
            segments: 1,
            una: SeqNum::new(0),
            window_end: SeqNum::new(50_000),
        };
        flight.repeat_lost(&limits, at(100)).unwrap();
        let whole = Marking {
            high: SeqNum::new(10_000),
            ..marking(0, 10_000, 200)
        };
        let covered = flight.acknowledge(&whole, sack);
        assert!(covered.repeated);
        assert_eq!(covered.original, original, "sack {sack}");
    }
}

#[test]
fn small_segments_are_joined_when_they_leave_again() {
    let mut flight = Flight::default();
    for n in 0..5 {
        let start = SeqNum::new(n * 300);
        flight.on_sent((start, start + 300), 300, 1000, at(0));
    }
    flight.mark_all_lost(at(1000), true);
    assert_eq!((flight.out, flight.lost), (5, 5));
    let limits = Sending {
        mss: 1000,
        segments: 1,
        una: SeqNum::new(0),
        window_end: SeqNum::new(50_000),
    };
    let again = flight.repeat_first(&limits, at(1000));
    assert_eq!(again, Some((SeqNum::new(0), 900, 1)));
    assert_eq!((flight.out, flight.lost, flight.repeated), (3, 3, 1));
}

#[test]
fn no_more_duplicates_are_counted_than_segments_lie_behind_the_hole() {
    let mut flight = trains();
    for _ in 0..50 {
        flight.count_duplicate();
    }
    assert_eq!(flight.sacked, 9);
}

#[test]
fn a_hostile_peer_makes_no_more_entries_than_there_are_segments() {
    let mut flight = trains();
    for left in 0..9_999 {
        flight.mark_sacked(&sack(left, left + 1), &marking(0, 0, 100));
    }
    assert!(flight.list.len() <= 10);
    assert_eq!((flight.out, flight.sacked), (10, 0));
}
