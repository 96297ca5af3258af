//! Sending: segments, PSH, Nagle, retransmission and congestion (RFC 9293 3.7.4, 3.8.1, 3.8.2, 3.9.1.2).

use std::sync::Arc;
use std::time::Duration;

use handwave_tcp::congestion::{Algorithm, Reno};
use handwave_tcp::{Config, Connection};
use handwave_wire::TcpFlags;

use crate::harness::{Bench, MSS, octets, plain, seconds, text_of};

/// Nothing written stays in the buffer, and the last octet of what was buffered carries PSH: once for several writes
/// [MUST-60] [MUST-61] [SHLD-27] [MAY-16].
#[test]
fn what_is_written_leaves_and_its_end_is_pushed() {
    let mut bench = Bench::established(Config {
        nagle: false,
        ..plain()
    });
    let taken: usize = (0..4)
        .map(|_| {
            let mut cx = handwave_tcp::Context::new(bench.now, &mut bench.host);
            bench.connection.write(&mut cx, &octets(1000)).unwrap()
        })
        .sum();
    let sent = bench.drain();
    assert_eq!(text_of(&sent).len(), taken);
    let pushed: Vec<bool> = sent
        .iter()
        .map(|segment| segment.header.flags.contains(TcpFlags::PSH))
        .collect();
    assert_eq!(
        pushed,
        [false, false, true],
        "one mark for four writes, on the last segment"
    );
}

/// Full segments whenever there is enough text [SHLD-28].
#[test]
fn segments_are_full() {
    let mut bench = Bench::established(plain());
    let sent = bench.writes(&octets(3 * MSS));
    let lengths: Vec<usize> = sent.iter().map(|segment| segment.payload.len()).collect();
    assert_eq!(lengths, [MSS; 3]);
}

/// While a small segment is unacknowledged the next one waits, and joins what is written meanwhile [SHLD-7] [MUST-17].
#[test]
fn nagle_holds_small_segments_back_until_switched_off() {
    let mut bench = Bench::established(plain());
    assert_eq!(text_of(&bench.writes(b"a")), b"a");
    assert!(bench.writes(b"b").is_empty());
    assert!(bench.writes(b"c").is_empty());
    let sent = bench.peer_acks(bench.first + 1);
    assert_eq!(text_of(&sent), b"bc");

    assert!(bench.writes(b"d").is_empty());
    let off = Config {
        nagle: false,
        ..plain()
    };
    let sent = bench.calls(|connection, cx| connection.set_config(cx, Arc::new(off)));
    assert_eq!(
        text_of(&sent),
        b"d",
        "switched off for this connection, what waited leaves"
    );
    assert_eq!(text_of(&bench.writes(b"e")), b"e");
}

/// Without an answer the same octets are sent again after 1, 2, 4, 8 s: RFC 6298 with its exponential backoff
/// [MUST-18] [MUST-19].
#[test]
fn the_retransmission_timer_backs_off() {
    // [RFC6298-9] [RFC6298-10] [RFC6298-13] [RFC6298-14] [RFC6298-15]
    let mut bench = Bench::established(plain());
    bench.writes(b"hello");
    let sent = bench.waits(Duration::from_secs(16));
    assert_eq!(seconds(&sent), [1, 3, 7, 15]);
    for sent in sent {
        assert_eq!(
            (sent.segment.header.seq, sent.segment.payload.to_vec()),
            (bench.first, b"hello".to_vec())
        );
    }
}

/// Karn's rule: the acknowledgment of a segment sent twice is not measured, and the backed-off RTO holds until one that was
/// sent once is [MUST-18].
#[test]
fn a_retransmitted_segment_is_not_measured() {
    // [RFC6298-6] [RFC6298-7]
    let mut bench = Bench::established(plain());
    let before = bench.connection.info().rtt;
    bench.writes(b"hello");
    bench.waits(Duration::from_millis(1_500));
    bench.peer_acks(bench.first + 5);
    assert_eq!(
        bench.connection.info().rtt,
        before,
        "an ambiguous acknowledgment"
    );
    assert_eq!(bench.connection.info().rto, Duration::from_secs(2));

    bench.writes(b"again");
    bench.waits(Duration::from_millis(300));
    bench.peer_acks(bench.first + 10);
    assert_ne!(bench.connection.info().rtt, before, "an unambiguous one");
    assert!(bench.connection.info().rto < Duration::from_secs(2));
}

/// Slow start doubles the window in a round trip; after a timeout it starts again from one segment, and above ssthresh it
/// grows by about one segment in a round trip [MUST-19].
#[test]
fn slow_start_and_congestion_avoidance() {
    // [RFC5681-2] [RFC5681-8]
    let mut bench = Bench::established(Config {
        congestion: Algorithm::Reno,
        initial_window: 2,
        ..plain()
    });
    let start = bench.connection.info().snd_cwnd;
    let sent = bench.writes(&octets(40 * MSS));
    assert_eq!(u32::try_from(text_of(&sent).len()).unwrap(), start);
    let mut end = bench.first;
    for _ in 0..2 {
        end += u32::try_from(MSS).unwrap();
        bench.peer_acks(end);
    }
    assert_eq!(
        bench.connection.info().snd_cwnd,
        2 * start,
        "a window acknowledged doubles it"
    );

    bench.waits(Duration::from_millis(1_000));
    let info = bench.connection.info();
    assert_eq!(
        info.snd_cwnd,
        u32::try_from(MSS).unwrap(),
        "the loss window after a timeout"
    );
    assert_eq!(info.snd_ssthresh, start, "half of what was in flight");

    // Acknowledged one segment at a time, the window passes ssthresh and then needs a window's worth of ACKs to grow by one.
    let mut windows = Vec::new();
    for _ in 0..8 {
        end += u32::try_from(MSS).unwrap();
        bench.peer_acks(end);
        windows.push(bench.connection.info().snd_cwnd);
    }
    let last = windows.len() - 1;
    let growth = windows[last] - windows[last - 1];
    assert!(
        windows[0] > u32::try_from(MSS).unwrap(),
        "slow start: {windows:?}"
    );
    assert!(
        growth < u32::try_from(MSS).unwrap(),
        "congestion avoidance: {windows:?}"
    );
}

/// A program may bring another congestion control, and it decides [MAY-18].
#[test]
fn congestion_control_is_exchangeable() {
    let cautious = Algorithm::Custom {
        name: "cautious",
        build: |_| Box::new(Reno::new(1460)),
    };
    let mut bench = Bench::established(Config {
        congestion: cautious,
        ..plain()
    });
    assert_eq!(
        bench.writes(&octets(10 * MSS)).len(),
        1,
        "its window is one segment"
    );
}

/// CUBIC grows by the time since a loss; time in which nothing was sent is none (RFC 9438 5.8).
#[test]
fn cubic_does_not_count_idle_time() {
    let mss = u32::try_from(MSS).unwrap();
    let mut bench = Bench::established(Config {
        congestion: Algorithm::Cubic,
        initial_window: 20,
        restart_after_idle: false,
        ..plain()
    });
    let window = |bench: &Bench| bench.connection.info().snd_cwnd / mss;
    bench.writes(&octets(20 * MSS));
    let mut end = bench.first;
    for _ in 0..3 {
        bench.peer_acks(end);
    }
    end += 20 * mss;
    bench.peer_acks(end);
    assert_eq!(bench.connection.info().snd_ssthresh, 14 * mss);
    let mut round = |bench: &mut Bench| {
        for _ in 0..bench.writes(&octets(30 * MSS)).len() {
            end += mss;
            bench.peer_acks(end);
        }
        while bench.connection.info().unacked > 0 {
            end += mss;
            bench.peer_acks(end);
        }
    };
    round(&mut bench);
    let before = window(&bench);
    assert!((14..=16).contains(&before), "{before}");
    bench.waits(Duration::from_secs(30));
    round(&mut bench);
    let after = window(&bench);
    assert!((before..=before + 3).contains(&after), "{before} {after}");
}

/// The settings of the IP header can be given, changed while the connection lives, and are on every segment
/// [MUST-48] [MUST-49] [SHLD-21].
#[test]
fn dscp_and_hop_limit_are_the_applications_to_choose() {
    let (mut bench, syn) = Bench::opening(Config {
        dscp: 46,
        hop_limit: 3,
        ..plain()
    });
    assert_eq!((syn.dscp, syn.hop_limit), (46, 3));
    let mut syn_ack = bench.segment(TcpFlags::SYN | TcpFlags::ACK, b"");
    syn_ack.header.options.mss = Some(1460);
    bench.peer.seq += 1;
    let sent = bench.arrives(syn_ack);
    assert_eq!((sent[0].dscp, sent[0].hop_limit), (46, 3));
    let changed = Config {
        dscp: 8,
        hop_limit: 200,
        ..plain()
    };
    bench.calls(|connection, cx| connection.set_config(cx, Arc::new(changed)));
    let sent = bench.writes(b"x");
    assert_eq!((sent[0].dscp, sent[0].hop_limit), (8, 200));
    let sent = bench.calls(Connection::abort);
    assert_eq!((sent[0].dscp, sent[0].hop_limit), (8, 200), "the RST too");
}
