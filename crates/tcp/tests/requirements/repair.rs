//! What was sent in vain but not lost: into a window that shut, or too large for the path.

use std::time::Duration;

use handwave_tcp::{Config, SegmentOut};
use handwave_wire::{SackBlock, TcpOptions};

use crate::harness::{ACK, Bench, MSS, octets, plain, text_of};

/// A connection whose peer knows SACK.
fn selective() -> Bench {
    let config = Config {
        sack: true,
        ..plain()
    };
    let options = TcpOptions {
        mss: Some(1460),
        sack_permitted: true,
        ..TcpOptions::default()
    };
    Bench::established_with(config, options)
}

fn ranges(bench: &Bench, sent: &[SegmentOut]) -> Vec<(u32, usize)> {
    let place = |one: &SegmentOut| (one.header.seq.since(bench.first), one.payload.len());
    sent.iter().map(place).collect()
}

/// A window that opens says nothing of congestion, however often the peer says that it did: what it had refused is sent again once, and
/// the congestion window stays (RFC 5681 3.1 and 3.2 speak of losses).
#[test]
fn a_window_that_opens_in_steps_is_no_loss() {
    let mut bench = selective();
    let all = bench.writes(&octets(4 * MSS));
    assert_eq!(all.len(), 4);
    bench.peer_offers(0);
    bench.waits(Duration::from_millis(300));
    let window = bench.connection.info().snd_cwnd;
    let again = bench.peer_offers(2 * 1460);
    assert_eq!(ranges(&bench, &again), [(0, MSS), (1460, MSS)]);
    // The program at the other end reads on.
    let again = bench.peer_offers(4 * 1460);
    assert_eq!(ranges(&bench, &again), [(2 * 1460, MSS), (3 * 1460, MSS)]);
    assert!(bench.peer_offers(8 * 1460).is_empty());
    let answer = bench.peer_sends(b"text that acknowledges nothing");
    assert!(text_of(&answer).is_empty());
    assert_eq!(bench.connection.info().snd_cwnd, window);
    assert_eq!(bench.host.counters.fast_recoveries, 0);
    let last = bench.first + 4 * 1460;
    assert!(bench.peer_acks(last).is_empty());
    assert_eq!(bench.connection.info().lost, 0);
}

/// What was too large for the path is sent again in smaller segments, once; the congestion window stays (RFC 1191 6.4), also when the
/// acknowledgments come.
#[test]
fn a_path_that_takes_less_is_no_congestion() {
    let mut bench = selective();
    bench.writes(&octets(4 * MSS));
    let again = bench.calls(|connection, cx| connection.handle_path_mtu(cx, 1_040));
    let window = bench.connection.info().snd_cwnd;
    let resent: usize = again.iter().map(|one| one.payload.len()).sum();
    assert_eq!(resent, 4 * MSS, "{:?}", ranges(&bench, &again));
    for step in 1..=3 {
        let sent = bench.peer_acks(bench.first + step * 1_000);
        assert!(sent.is_empty(), "{:?}", ranges(&bench, &sent));
    }
    assert_eq!(bench.host.counters.fast_recoveries, 0);
    assert!(bench.connection.info().snd_cwnd >= window);
}

/// A real loss among what is sent again is still found by what is SACKed above it, or by the timer.
#[test]
fn a_loss_among_what_is_sent_again_is_repaired() {
    let mut bench = selective();
    bench.writes(&octets(4 * MSS));
    bench.peer_offers(0);
    bench.peer_offers(u16::MAX);
    // All but the first arrive.
    let mut segment = bench.segment(ACK, b"");
    let block = SackBlock {
        left: bench.first + 1460,
        right: bench.first + 4 * 1460,
    };
    assert!(segment.header.options.sack.push(block));
    let mut sent = bench.arrives(segment);
    if sent.is_empty() {
        sent = bench
            .waits(Duration::from_secs(2))
            .into_iter()
            .map(|one| one.segment)
            .collect();
    }
    assert_eq!(ranges(&bench, &sent), [(0, MSS)]);
    assert!(bench.peer_acks(bench.first + 4 * 1460).is_empty());
    assert_eq!(bench.connection.info().unacked, 0);
}

/// A peer that shuts and opens its window with every acknowledgment does not have a flight for each: what left when it opened last has an RTO
/// to arrive. Then it is sent again.
#[test]
fn a_window_that_flaps_brings_no_flood() {
    let mut bench = selective();
    bench.writes(&octets(8 * MSS));
    let mut resent = 0;
    for _ in 0..50 {
        bench.peer_offers(0);
        let sent = bench.peer_offers(60_000);
        resent += text_of(&sent).len();
        bench.now += Duration::from_millis(1);
    }
    assert_eq!(resent, 8 * MSS);
    let rto = bench.connection.info().rto;
    bench.now += rto;
    bench.peer_offers(0);
    assert_eq!(text_of(&bench.peer_offers(60_000)).len(), 8 * MSS);
    // Without another word from the peer the timer does it.
    let sent = bench.waits(2 * rto);
    assert_eq!(sent[0].segment.header.seq, bench.first);
}

/// A probe of a shut window carries an octet, and is no duplicate acknowledgment, though the octet finds no room (RFC 5681 2).
#[test]
fn a_probe_of_the_shut_window_says_nothing_of_a_loss() {
    let mut bench = Bench::with_full_buffer();
    assert_eq!(bench.writes(&octets(4 * MSS)).len(), 4);
    let window = bench.connection.info().snd_cwnd;
    for _ in 0..8 {
        let answers = bench.arrives(bench.segment(ACK, b"?"));
        assert!(text_of(&answers).is_empty(), "{answers:?}");
    }
    assert_eq!(bench.connection.info().snd_cwnd, window);
}
