//! Windows: shut, shrinking and silly (RFC 9293 3.1, 3.8.6).

use std::time::Duration;

use handwave_tcp::{BufferSize, Config, Joined, Phase};
use handwave_wire::TcpOptions;

use crate::harness::{ACK, Bench, MSS, octets, plain, seconds, text_of};

/// A window of 0xffff is 65,535 octets and not -1; with a scale it is kept in 32 bits [MUST-1] [REC-1].
#[test]
fn windows_are_unsigned_and_wide() {
    let mut bench = Bench::established(plain());
    bench.peer_offers(0xffff);
    assert_eq!(bench.connection.info().snd_wnd, 0xffff);
    assert!(!bench.writes(b"x").is_empty());

    let options = TcpOptions {
        mss: Some(1460),
        window_scale: Some(14),
        ..TcpOptions::default()
    };
    let mut bench = Bench::established_with(
        Config {
            window_scaling: true,
            ..plain()
        },
        options,
    );
    bench.peer_offers(0xffff);
    assert_eq!(bench.connection.info().snd_wnd, 0xffff << 14);
}

/// What is sent stays within the window.
#[test]
fn the_window_limits_what_leaves() {
    // [RFC5681-1]
    let mut bench = Bench::established(plain());
    bench.peer_offers(4_000);
    let sent = bench.writes(&octets(10_000));
    assert!(text_of(&sent).len() <= 4_000);
    assert!(text_of(&sent).len() >= 2 * MSS);
}

/// A window counts if its segment acknowledges something new, even on text that is sent again and so has an old sequence
/// number: otherwise the right edge would move with SND.UNA, to where the peer never put it.
#[test]
fn the_window_of_a_new_acknowledgment_on_old_text_counts() {
    let mut bench = Bench::established(plain());
    let sent = bench.writes(&octets(MSS));
    assert_eq!(sent.len(), 1);
    let mut again = bench.segment(ACK, b"text");
    bench.peer.seq += 4;
    bench.arrives(bench.segment(ACK, b"ahead"));
    again.header.ack = bench.first + u32::try_from(MSS).unwrap();
    again.header.window = 500;
    bench.arrives(again);
    assert_eq!(bench.connection.info().snd_wnd, 500);
    assert!(text_of(&bench.writes(&octets(MSS))).len() <= 500);
}

/// The peer takes its window back below what is in flight: nothing new leaves, what it still admits is sent again, and silence
/// about the rest does not end the connection [MUST-34] [SHLD-15] [SHLD-16] [SHLD-17].
#[test]
fn a_window_that_shrinks_below_the_flight() {
    // [RFC7323-9]
    let mut bench = Bench::established(plain());
    let sent = bench.writes(&octets(4 * MSS));
    assert_eq!(sent.len(), 4);
    bench.peer.window = u16::try_from(MSS).unwrap();
    bench.arrives(bench.segment(handwave_wire::TcpFlags::ACK, b""));
    assert!(
        bench.writes(&octets(MSS)).is_empty(),
        "the usable window is negative"
    );
    let again = bench.waits(Duration::from_secs(1));
    assert_eq!(again.len(), 1);
    assert_eq!(
        again[0].segment.header.seq, bench.first,
        "the old segment inside the window is sent again"
    );

    // The peer answers each retransmission without taking more: it lives, and so does the connection.
    let mut window = 0;
    for _ in 0..60 {
        bench.waits(Duration::from_secs(10));
        bench.peer.window = window;
        window = 0;
        bench.arrives(bench.segment(handwave_wire::TcpFlags::ACK, b""));
    }
    assert_eq!(
        bench.connection.phase(),
        Phase::Established,
        "ten minutes later"
    );
    let sent = bench.peer_offers(u16::MAX);
    assert!(!sent.is_empty(), "it goes on when the window opens");
}

/// A shut window is probed first after an RTO, then at intervals that double up to the limit, for as long as the peer answers
/// [MUST-35] [MUST-36] [MUST-37] [SHLD-29] [SHLD-30] [MAY-8].
#[test]
fn a_shut_window_is_probed_for_as_long_as_it_takes() {
    let mut bench = Bench::established(Config {
        nagle: false,
        ..plain()
    });
    bench.writes(b"first");
    bench.peer.ack += 5;
    bench.peer_offers(0);
    assert!(bench.writes(b"waiting").is_empty());
    let rto = bench.connection.info().rto.as_secs();
    let mut probes = Vec::new();
    let start = bench.now;
    while probes.len() < 20 {
        let sent = bench.waits(Duration::from_secs(1));
        if let [probe] = sent.as_slice() {
            assert_eq!(probe.segment.header.seq, bench.first + 5);
            assert!(
                probe.segment.payload.len() <= 1,
                "a probe carries an octet at most"
            );
            probes.push((bench.now - start).as_secs());
            bench.peer_offers(0);
        }
    }
    assert_eq!(probes[..4], [rto, 3 * rto, 7 * rto, 15 * rto]);
    assert_eq!(probes[19] - probes[18], 60, "the longest gap");
    assert_eq!(bench.connection.phase(), Phase::Established);
    let sent = bench.peer_offers(1_000);
    assert_eq!(
        text_of(&sent),
        b"waiting",
        "and the open window is used at once"
    );
}

/// A window shrunk to nothing with text in flight is probed like any other [MUST-35].
#[test]
fn a_window_shrunk_to_nothing_is_probed() {
    let mut bench = Bench::established(plain());
    bench.writes(&octets(2 * MSS));
    bench.peer_offers(0);
    let sent = bench.waits(Duration::from_secs(8));
    assert!(sent.len() >= 2, "{sent:?}");
    for sent in &sent {
        assert_eq!(sent.segment.header.seq, bench.first);
        assert!(sent.segment.payload.len() <= 1);
    }
    let [first, second, ..] = seconds(&sent)[..] else {
        panic!("{sent:?}")
    };
    assert!(second - first > first, "the gaps grow");
}

/// Sender's side: a small piece of window is not filled with a small segment while more is unacknowledged, until the override
/// timer says so [MUST-38].
#[test]
fn the_sender_avoids_silly_segments() {
    let mut bench = Bench::established(Config {
        nagle: false,
        ..plain()
    });
    bench.peer_offers(10_000);
    bench.writes(&octets(6 * MSS));
    bench.peer.ack = bench.first + u32::try_from(6 * MSS).unwrap();
    bench.peer_offers(100);
    assert!(
        bench.writes(&octets(2 * MSS)).is_empty(),
        "100 octets of window are not worth a segment"
    );
    let sent = bench.waits(Duration::from_secs(1));
    assert_eq!(
        text_of(&[sent[0].segment.clone()]).len(),
        100,
        "but they are after the override timeout"
    );
    assert!(
        sent[0].after >= Duration::from_millis(100),
        "0.1 to 1 s (RFC 9293 3.8.6.2.1)"
    );

    bench.peer.ack += 100;
    let sent = bench.peer_offers(10_000);
    assert_eq!(
        sent[0].payload.len(),
        MSS,
        "a window worth having is used at once"
    );
}

/// Receiver's side: the window is not opened in small steps. After a shut window the peer is told when half the buffer or a full
/// segment is free, and not before [MUST-39].
#[test]
fn the_receiver_opens_its_window_in_large_steps() {
    let mut bench = Bench::with_full_buffer();
    for _ in 0..14 {
        let (_, sent) = bench.reads(100);
        assert!(sent.is_empty(), "too little to tell: {sent:?}");
    }
    let (_, sent) = bench.reads(100);
    let [update] = sent.as_slice() else {
        panic!("{sent:?}")
    };
    assert!(usize::from(update.header.window) >= MSS);
    assert!(update.payload.is_empty());
}

/// Whatever arrives and however slowly it is read, the right edge of the window never moves left [SHLD-14].
#[test]
fn the_right_edge_never_moves_left() {
    // [RFC7323-7] [RFC7323-10]
    let mut bench = Bench::established(Config {
        receive_buffer: BufferSize::fixed(8_192),
        quick_acks: 0,
        ..plain()
    });
    let mut edge = None;
    let mut watch = |sent: Vec<handwave_tcp::SegmentOut>| {
        for segment in sent {
            let right = segment.header.ack + u32::from(segment.header.window);
            assert!(
                edge.is_none_or(|edge| right.at_or_after(edge)),
                "{right} after {edge:?}"
            );
            edge = Some(right);
        }
    };
    for round in 0..60 {
        let window = usize::try_from(bench.connection.info().rcv_wnd).unwrap();
        let arrived = bench.peer_sends(&octets(window.min(700 + 31 * (round % 7))));
        watch(arrived);
        let (_, sent) = bench.reads(333);
        watch(sent);
        let sent = bench
            .waits(Duration::from_millis(150))
            .into_iter()
            .map(|sent| sent.segment)
            .collect();
        watch(sent);
    }
}

/// A reader that stays away is sent no more than its buffer holds and one unit of the scale, however the peer cuts its text:
/// rounding the window up must not add up.
#[test]
fn rounding_the_window_up_does_not_add_up() {
    let options = TcpOptions {
        mss: Some(1460),
        window_scale: Some(0),
        ..TcpOptions::default()
    };
    let config = Config {
        window_scaling: true,
        receive_buffer: BufferSize::fixed(1 << 20),
        quick_acks: u8::MAX,
        ..plain()
    };
    let mut bench = Bench::established_with(config, options);
    for _ in 0..20_000 {
        let window = usize::try_from(bench.connection.info().rcv_wnd).unwrap();
        bench.peer_sends(&octets(window.min(129)));
    }
    let queued = bench.connection.receivable();
    assert!((1 << 20..(1 << 20) + 32).contains(&queued), "{queued}");
}

/// Of segments that were joined the last says what the window is: one between the first and the last is older (RFC 9293 3.10.7.4).
#[test]
fn a_window_between_joined_segments_is_old() {
    let mut bench = Bench::established(plain());
    let mut segment = bench.segment(ACK, &octets(6 * MSS));
    // Beyond a gap, or what is not new would be cut off.
    segment.header.seq += 1460;
    segment.joined = Joined::new(segment.header.seq, 6 * MSS, 1460);
    bench.arrives(segment);
    let mut overtaken = bench.segment(ACK, &octets(3 * MSS));
    overtaken.header.seq += 4 * 1460;
    overtaken.header.window = 0;
    bench.arrives(overtaken);
    assert_eq!(bench.connection.info().snd_wnd, u32::from(u16::MAX));
    // What follows on is newer.
    bench.peer.seq += 7 * 1460;
    bench.peer_offers(5_000);
    assert_eq!(bench.connection.info().snd_wnd, 5_000);
}

/// Segments that were joined may begin before the window and end behind it: what lies in it is taken, as it would be of each alone.
#[test]
fn joined_segments_around_the_window_are_cut_to_it() {
    let mut bench = Bench::established(plain());
    bench.peer_sends(&octets(1_000));
    let room = bench.connection.info().rcv_wnd;
    let mut segment = bench.segment(ACK, &octets(1_000 + room as usize + 1_000));
    segment.header.seq -= 1_000;
    segment.joined = Joined::new(segment.header.seq, room as usize + 2_000, 1_000);
    bench.arrives(segment);
    assert_eq!(bench.connection.receivable(), 1_000 + room as usize);
}
