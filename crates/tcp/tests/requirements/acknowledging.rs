//! Acknowledging: when, and what (RFC 9293 3.8.6.3, 3.10.7.4).

use std::time::Duration;

use handwave_tcp::trace::Verdict;
use handwave_tcp::{Config, DropReason, Joined, Profile, SegmentOut};

use handwave_wire::{TcpOptions, Timestamps};

use crate::harness::{ACK, Bench, FIN, MSS, PEER_ISS, octets, plain};

/// Acknowledges late from the first segment on.
fn unhurried() -> Config {
    Config {
        quick_acks: 0,
        ..plain()
    }
}

fn acks(sent: &[SegmentOut]) -> Vec<u32> {
    sent.iter()
        .map(|segment| segment.header.ack.raw())
        .collect()
}

/// One small segment is acknowledged later, but in less than half a second [MUST-40] [SHLD-18].
#[test]
fn an_acknowledgment_waits_less_than_half_a_second() {
    // [RFC5681-22]
    let mut bench = Bench::established(unhurried());
    assert!(bench.peer_sends(b"x").is_empty(), "in the hope of company");
    let sent = bench.waits(Duration::from_secs(1));
    let [ack] = sent.as_slice() else {
        panic!("{sent:?}")
    };
    assert!(ack.after < Duration::from_millis(500));
    assert_eq!(ack.segment.header.ack, bench.peer.seq);
}

/// An owed acknowledgment goes with text that leaves meanwhile, and is then no longer owed [SHLD-18].
#[test]
fn an_acknowledgment_rides_on_text() {
    let mut bench = Bench::established(unhurried());
    bench.peer_sends(b"ping");
    let sent = bench.writes(b"pong");
    assert_eq!(acks(&sent), [bench.peer.seq.raw()]);
    bench.peer_acks(bench.first + 4);
    assert!(bench.waits(Duration::from_secs(1)).is_empty());
}

/// At least every second full-sized segment is acknowledged at once [SHLD-19].
#[test]
fn every_second_full_segment_is_acknowledged() {
    // [RFC5681-21]
    let mut bench = Bench::established(unhurried());
    let counts: Vec<usize> = (0..6)
        .map(|_| bench.peer_sends(&octets(MSS)).len())
        .collect();
    assert_eq!(counts, [0, 1, 0, 1, 0, 1]);
}

/// Several segments taken before the connection is polled are answered by one acknowledgment of all of them
/// [MUST-58] [MUST-59].
#[test]
fn a_queue_of_segments_gets_one_acknowledgment() {
    let mut bench = Bench::established(unhurried());
    for _ in 0..8 {
        let segment = bench.segment(ACK, &octets(MSS));
        assert_eq!(bench.takes(segment), Verdict::Accepted);
        bench.peer.seq += u32::try_from(MSS).unwrap();
    }
    assert_eq!(acks(&bench.drain()), [bench.peer.seq.raw()]);
}

/// Segments out of order are kept: the gap is reported at once, and when it is filled everything is there
/// [SHLD-31] [MAY-13].
#[test]
fn segments_out_of_order_are_queued() {
    // [RFC5681-13] [RFC5681-14]
    let mut bench = Bench::established(unhurried());
    let missing = bench.segment(ACK, b"one ");
    bench.peer.seq += 4;
    let second = bench.segment(ACK, b"two ");
    bench.peer.seq += 4;
    let third = bench.segment(ACK, b"three");
    bench.peer.seq += 5;
    let expected = missing.header.seq.raw();
    assert_eq!(
        acks(&bench.arrives(third)),
        [expected],
        "an ACK at once, for what is missing"
    );
    assert_eq!(acks(&bench.arrives(second)), [expected]);
    assert_eq!(
        acks(&bench.arrives(missing)),
        [bench.peer.seq.raw()],
        "all of it, at once"
    );
    assert_eq!(bench.reads(100).0, b"one two three");
}

/// A FIN that comes before the text in front of it is out of order like any segment, the second time too.
#[test]
fn a_fin_out_of_order_is_acknowledged_each_time() {
    let mut bench = Bench::established(unhurried());
    let missing = bench.segment(ACK, b"text");
    bench.peer.seq += 4;
    let fin = bench.segment(FIN, b"");
    for _ in 0..2 {
        assert_eq!(
            acks(&bench.arrives(fin.clone())),
            [missing.header.seq.raw()]
        );
    }
    assert_eq!(acks(&bench.arrives(missing)), [(bench.peer.seq + 1).raw()]);
}

/// What straddles the edges of the window is trimmed to it.
#[test]
fn text_is_trimmed_to_the_window() {
    let mut bench = Bench::established(unhurried());
    bench.peer_sends(b"abc");
    let mut overlapping = bench.segment(ACK, b"bcdef");
    overlapping.header.seq -= 2;
    bench.arrives(overlapping);
    assert_eq!(bench.reads(100).0, b"abcdef");
}

/// An ACK from outside SND.UNA - MAX.SND.WND to SND.NXT was not written by the peer (RFC 5961 5) [MAY-12].
#[test]
fn acknowledgments_out_of_range_are_challenged() {
    // [RFC5961-7]
    let mut bench = Bench::established(unhurried());
    bench.writes(b"hello");
    let genuine = bench.peer.ack;
    for forged in [genuine + 6, genuine - 70_000] {
        bench.now += Duration::from_secs(1);
        bench.peer.ack = forged;
        let verdict = bench.takes(bench.segment(ACK, b"injected"));
        assert_eq!(verdict, Verdict::Challenged(DropReason::AckUnacceptable));
        let sent = bench.drain();
        assert!(
            sent.iter().any(|segment| segment.payload.is_empty()),
            "a challenge ACK: {sent:?}"
        );
        assert_eq!(bench.connection.receivable(), 0);
    }
    bench.peer.ack = genuine - 100;
    assert_eq!(
        bench.takes(bench.segment(ACK, b"late")),
        Verdict::Accepted,
        "an old ACK within the largest window is fine"
    );
}

/// A segment that is dropped for its acknowledgment leaves no timestamp behind: a forged one from the future would have
/// PAWS drop all that the peer sends afterwards (RFC 7323 5.3).
#[test]
fn a_dropped_segment_leaves_no_timestamp_behind() {
    let options = TcpOptions {
        mss: Some(1460),
        timestamps: Some(Timestamps { value: 1, echo: 0 }),
        ..TcpOptions::default()
    };
    let config = Config {
        timestamps: true,
        ..unhurried()
    };
    let mut bench = Bench::established_with(config, options);
    let genuine = bench.segment(ACK, b"true");
    let mut forged = bench.segment(ACK, b"forged");
    forged.header.ack += 1_000;
    let timestamps = forged.header.options.timestamps.as_mut().unwrap();
    timestamps.value = timestamps.value.wrapping_add(1 << 30);
    assert_eq!(
        bench.takes(forged),
        Verdict::Challenged(DropReason::AckUnacceptable)
    );
    assert_eq!(bench.takes(genuine), Verdict::Accepted);
    assert_eq!(bench.reads(100).0, b"true");
}

/// Segments that were joined beyond a gap are answered one by one if the peer counts (RFC 5681 4.2); those that were cut off are not.
#[test]
fn joined_segments_beyond_a_gap_have_a_duplicate_each() {
    let mut bench = Bench::established(plain());
    let mut segment = bench.segment(ACK, &octets(6 * MSS));
    segment.header.seq += 1460;
    segment.joined = Joined::new(segment.header.seq, 6 * MSS, 1460);
    let answers = bench.arrives(segment.clone());
    assert_eq!(answers.len(), 6);
    assert!(
        answers
            .iter()
            .all(|answer| answer.header.ack == PEER_ISS + 1)
    );

    let room = bench.connection.info().rcv_wnd;
    segment.header.seq = PEER_ISS + 1 + room - 3 * 1460;
    segment.joined = Joined::new(segment.header.seq, 6 * MSS, 1460);
    assert_eq!(bench.arrives(segment).len(), 3);
}

/// Segments that were joined say of the peer, and count, what they would alone.
#[test]
fn joined_segments_are_measured_and_counted_one_by_one() {
    let alone_and_joined = [false, true].map(|joined| {
        let mut bench = Bench::established(Profile::linux().connection);
        let text = octets(8 * 200);
        match joined {
            false => {
                for part in text.chunks(200) {
                    bench.peer_sends(part);
                }
            }
            true => {
                let mut segment = bench.segment(ACK, &text);
                segment.joined = Joined::new(segment.header.seq, text.len(), 200);
                bench.arrives(segment);
            }
        }
        let info = bench.connection.info();
        (info.rcv_mss, info.segs_in, info.data_segs_in)
    });
    let [alone, joined] = alone_and_joined;
    assert_eq!(alone, (200, 9, 8));
    assert_eq!(joined, alone);
}
