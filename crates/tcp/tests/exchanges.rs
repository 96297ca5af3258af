//! Whole exchanges between two endpoints: opening, text, closing, each way the RFC draws (RFC 9293 3.5, 3.6).

mod harness;

use std::time::Duration;

use handwave_tcp::{
    BufferSize, Config, Connection, ConnectionError, Phase, ReceiveError, SendError,
};
use handwave_wire::TcpFlags;
use harness::{Pair, Side, pattern};

fn phases(pair: &Pair) -> (Phase, Phase) {
    (pair.a.phase(), pair.b.phase())
}

#[test]
fn rfc9293_3_5_three_way_handshake() {
    let mut pair = Pair::new(Config::default());
    pair.open(Side::A);
    assert_eq!(phases(&pair), (Phase::SynSent, Phase::Listen));
    pair.step();
    assert_eq!(phases(&pair), (Phase::SynSent, Phase::SynReceived));
    pair.step();
    assert_eq!(phases(&pair), (Phase::Established, Phase::SynReceived));
    pair.step();
    assert_eq!(phases(&pair), (Phase::Established, Phase::Established));
    assert_eq!(pair.flags(), "A:S B:S. A:.");
    let [syn, syn_ack, ack] = [0, 1, 2].map(|i| pair.log[i].2.header);
    assert_eq!(syn_ack.ack, syn.seq + 1);
    assert_eq!(
        (ack.seq, ack.ack),
        (syn.seq + 1, syn_ack.seq + 1),
        "the third segment is SEQ=X+1, ACK=Y+1"
    );
}

#[test]
fn rfc9293_3_5_simultaneous_open() {
    // [MUST-10]
    let mut pair = Pair::new(Config::default());
    pair.b.listener = None;
    pair.open(Side::A);
    pair.open(Side::B);
    pair.step();
    assert_eq!(phases(&pair), (Phase::SynReceived, Phase::SynReceived));
    pair.run_for(Duration::from_millis(100));
    assert_eq!(
        phases(&pair),
        (Phase::Established, Phase::Established),
        "{}",
        pair.ladder()
    );
    assert!(
        pair.flags().starts_with("A:S B:S B:S. A:S."),
        "{}",
        pair.flags()
    );
    pair.write(Side::A, b"both opened");
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.b.received, b"both opened");
}

#[test]
fn rfc9293_3_6_normal_close() {
    let mut pair = Pair::established(Config::default());
    pair.forget_log();
    pair.close(Side::A);
    assert_eq!(phases(&pair), (Phase::FinWait1, Phase::Established));
    pair.step();
    assert_eq!(phases(&pair), (Phase::FinWait1, Phase::CloseWait));
    pair.step();
    assert_eq!(phases(&pair), (Phase::FinWait2, Phase::CloseWait));
    pair.close(Side::B);
    assert_eq!(
        phases(&pair),
        (Phase::FinWait2, Phase::LastAck),
        "the passive closer waits in LAST-ACK"
    );
    pair.step();
    assert!(pair.a.time_wait.is_some());
    pair.step();
    assert_eq!(pair.b.phase(), Phase::Closed);
    assert_eq!(pair.flags(), "A:F. B:. B:F. A:.");
    let started = pair.now;
    pair.run();
    assert!(pair.a.time_wait.is_none());
    let waited = pair.now - started;
    assert_eq!(
        waited + Duration::from_millis(10),
        Config::default().time_wait,
        "[MUST-13]: 2 MSL"
    );
    assert_eq!(
        (pair.a.connection().error(), pair.b.connection().error()),
        (None, None)
    );
}

#[test]
fn rfc9293_3_6_simultaneous_close() {
    let mut pair = Pair::established(Config::default());
    pair.forget_log();
    pair.close(Side::A);
    pair.close(Side::B);
    pair.step();
    assert_eq!(phases(&pair), (Phase::Closing, Phase::Closing));
    pair.step();
    assert!(pair.a.time_wait.is_some() && pair.b.time_wait.is_some());
    assert_eq!(pair.flags(), "A:F. B:F. B:. A:.");
}

#[test]
fn three_segment_close_merges_fin_and_ack() {
    let mut pair = Pair::established(Config::default());
    pair.forget_log();
    pair.close(Side::A);
    // B's application closes in the same moment in which the FIN arrives, before output is drained.
    let fin = pair.wire.pop_first().unwrap().1.1;
    pair.now += pair.delay;
    let now = pair.now;
    let end = &mut pair.b;
    let mut cx = handwave_tcp::Context::new(now, &mut end.host);
    let connection = end.connection.as_mut().unwrap();
    connection.handle_segment(
        &mut cx,
        handwave_tcp::SegmentIn::new(fin.header, fin.payload),
    );
    connection.close(&mut cx);
    pair.drain(Side::B);
    pair.run_for(Duration::from_millis(50));
    assert_eq!(pair.flags(), "A:F. B:F. A:.");
    assert!(pair.a.time_wait.is_some());
    assert_eq!(pair.b.phase(), Phase::Closed);
}

#[test]
fn half_close_lets_text_flow_the_other_way() {
    for (closer, sender) in [(Side::A, Side::B), (Side::B, Side::A)] {
        let mut pair = Pair::established(Config::default());
        pair.close(closer);
        pair.run_for(Duration::from_millis(100));
        assert!(pair.end(sender).saw_end);
        let text = pattern(300_000);
        pair.write(sender, &text);
        pair.run_for(Duration::from_secs(30));
        assert_eq!(pair.end(closer).received, text);
        assert_eq!(
            pair.call(closer, |c, cx| c.write(cx, b"more")),
            Err(SendError::Closing)
        );
        pair.close(sender);
        pair.run();
        assert!(pair.end(closer).saw_end);
        assert_eq!(phases(&pair), (Phase::Closed, Phase::Closed));
    }
}

#[test]
fn text_arrives_whole_in_both_directions() {
    let mut pair = Pair::established(Config::default());
    let (up, down) = (pattern(1_000_000), pattern(777_777));
    pair.write(Side::A, &up);
    pair.write(Side::B, &down);
    pair.run_for(Duration::from_secs(60));
    assert!(pair.b.received == up && pair.a.received == down);
}

#[test]
fn text_written_before_the_handshake_leaves_after_it() {
    let mut pair = Pair::new(Config::default());
    pair.open(Side::A);
    pair.write(Side::A, b"early");
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.b.received, b"early");
    // The text rides on the third segment of the handshake and is kept.
    assert_eq!(
        pair.log[2].2.payload.to_vec(),
        b"early",
        "{}",
        pair.ladder()
    );
}

#[test]
fn text_on_a_syn_is_neither_stored_nor_acknowledged() {
    let mut pair = Pair::new(Config::default());
    pair.open(Side::A);
    let syn = pair.wire.pop_first().unwrap().1.1;
    let text = handwave_packet::Payload::from(bytes::Bytes::from_static(b"on the SYN"));
    pair.inject(Side::B, handwave_tcp::SegmentIn::new(syn.header, text));
    let syn_ack = pair.log.last().unwrap().2.header;
    assert_eq!(syn_ack.ack, syn.header.seq + 1);
}

#[test]
fn abort_resets_the_peer() {
    let mut pair = Pair::established(Config::default());
    pair.forget_log();
    pair.call(Side::A, Connection::abort);
    assert_eq!(pair.flags(), "A:R.");
    pair.step();
    assert_eq!(phases(&pair), (Phase::Closed, Phase::Closed));
    assert_eq!(
        pair.b.connection().error(),
        Some(ConnectionError::Reset),
        "[MUST-12]"
    );
    assert_eq!(pair.a.connection().error(), Some(ConnectionError::Aborted));
    let read = pair.call(Side::B, |c, cx| c.read(cx, &mut [0; 8]));
    assert_eq!(read, Err(ReceiveError::Lost(ConnectionError::Reset)));
}

#[test]
fn letting_go_with_text_unread_resets() {
    // [SHLD-3]
    let mut pair = Pair::established(Config::default());
    pair.b.reads = false;
    pair.write(Side::A, b"never read");
    pair.run_for(Duration::from_secs(1));
    pair.forget_log();
    pair.call(Side::B, Connection::release);
    assert_eq!(pair.flags(), "B:R.");
    pair.step();
    assert_eq!(pair.a.connection().error(), Some(ConnectionError::Reset));
}

#[test]
fn text_that_comes_after_letting_go_resets() {
    // [SHLD-3]
    let mut pair = Pair::established(Config::default());
    pair.call(Side::B, Connection::release);
    pair.write(Side::A, b"nobody reads");
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.a.connection().error(), Some(ConnectionError::Reset));
    assert!(pair.b.connection().is_finished());
}

#[test]
fn a_closed_port_refuses() {
    let mut pair = Pair::new(Config::default());
    pair.b.listener = None;
    pair.open(Side::A);
    pair.run();
    assert_eq!(pair.flags(), "A:S B:R.");
    assert_eq!(pair.a.connection().error(), Some(ConnectionError::Refused));
}

#[test]
fn a_lost_syn_is_sent_again() {
    let mut pair = Pair::new(Config::default());
    pair.loss = Box::new(|n, _, _| n == 0);
    pair.open(Side::A);
    pair.run_for(Duration::from_millis(1100));
    assert_eq!(phases(&pair), (Phase::Established, Phase::Established));
    assert_eq!(
        pair.a.connection().info().snd_cwnd,
        1448,
        "a lost SYN starts with one segment (RFC 5681 3.1)"
    );
}

#[test]
fn a_lost_syn_ack_is_sent_again() {
    let mut pair = Pair::new(Config::default());
    pair.loss = Box::new(|n, _, _| n == 1);
    pair.open(Side::A);
    pair.run_for(Duration::from_millis(1100));
    assert_eq!(phases(&pair), (Phase::Established, Phase::Established));
}

#[test]
fn a_lost_last_ack_is_repeated_by_time_wait() {
    let mut pair = Pair::established(Config::default());
    pair.close(Side::A);
    pair.run_for(Duration::from_millis(50));
    pair.forget_log();
    let already = pair.sent;
    pair.loss = Box::new(move |n, side, _| side == Side::A && n == already + 1);
    pair.close(Side::B);
    pair.run_for(Duration::from_secs(5));
    assert_eq!(pair.flags(), "B:F. A:. B:F. A:.", "{}", pair.ladder());
    assert_eq!(pair.b.phase(), Phase::Closed);
    assert_eq!(pair.b.connection().error(), None);
}

#[test]
fn every_single_loss_is_repaired() {
    // Whichever one segment is lost, the exchange ends complete and in order.
    let mut reference = Pair::established(Config::default());
    reference.write(Side::A, &pattern(60_000));
    reference.run_for(Duration::from_secs(10));
    let total = reference.sent + 4;
    for sack in [true, false] {
        for victim in 0..total {
            let mut pair = Pair::new(Config {
                sack,
                timestamps: sack,
                ..Config::default()
            });
            pair.loss = Box::new(move |n, _, _| n == victim);
            pair.open(Side::A);
            pair.write(Side::A, &pattern(60_000));
            pair.run_for(Duration::from_secs(20));
            pair.close(Side::A);
            pair.run_for(Duration::from_secs(20));
            pair.close(Side::B);
            pair.run();
            assert!(
                pair.b.received == pattern(60_000),
                "segment {victim} lost, sack {sack}:\n{}",
                pair.ladder()
            );
            assert_eq!(
                phases(&pair),
                (Phase::Closed, Phase::Closed),
                "segment {victim}:\n{}",
                pair.ladder()
            );
        }
    }
}

#[test]
fn a_window_that_shuts_is_probed_and_reopens() {
    // [MUST-36] [MUST-37]
    let config = Config {
        receive_buffer: BufferSize::fixed(20_000),
        ..Config::default()
    };
    let mut pair = Pair::established(config);
    pair.b.reads = false;
    pair.write(Side::A, &pattern(60_000));
    pair.run_for(Duration::from_secs(600));
    assert_eq!(
        phases(&pair),
        (Phase::Established, Phase::Established),
        "kept while probes are answered"
    );
    assert_eq!(pair.a.connection().info().snd_wnd, 0);
    pair.b.reads = true;
    pair.drain(Side::B);
    pair.run_for(Duration::from_secs(60));
    assert!(pair.b.received == pattern(60_000), "{}", pair.ladder());
}

#[test]
fn a_dead_peer_is_given_up_after_r2() {
    // [MUST-20]
    let mut pair = Pair::established(Config::default());
    pair.loss = Box::new(|_, _, _| true);
    let start = pair.now;
    pair.write(Side::A, b"hello?");
    pair.run();
    assert_eq!(pair.a.connection().error(), Some(ConnectionError::TimedOut));
    assert!(pair.now - start >= Duration::from_secs(300));
}

#[test]
fn an_unanswered_syn_is_given_up_after_three_minutes() {
    // [MUST-22] [MUST-23]
    let mut pair = Pair::new(Config::default());
    pair.loss = Box::new(|_, _, _| true);
    let start = pair.now;
    pair.open(Side::A);
    pair.run();
    assert_eq!(pair.a.connection().error(), Some(ConnectionError::TimedOut));
    assert!(pair.now - start >= Duration::from_secs(180));
    assert!(pair.sent >= 8, "{}", pair.ladder());
}

#[test]
fn keepalive_finds_a_dead_peer() {
    // [MUST-24] [MUST-26] [MUST-29]
    let keepalive = Some(handwave_tcp::KeepAlive::default());
    let mut pair = Pair::established(Config {
        keepalive,
        ..Config::default()
    });
    pair.forget_log();
    pair.run_for(Duration::from_secs(3 * 7200 + 60));
    assert!(
        pair.flags().starts_with("A:. B:."),
        "probes are answered: {}",
        pair.flags()
    );
    assert!(
        pair.log
            .iter()
            .all(|(_, _, segment, _)| segment.payload.is_empty()),
        "[SHLD-12]"
    );
    assert_eq!(pair.a.phase(), Phase::Established);
    pair.loss = Box::new(|_, _, _| true);
    pair.run_for(Duration::from_secs(7200 + 10 * 75));
    assert_eq!(
        pair.a.connection().error(),
        Some(ConnectionError::KeepAliveTimeout)
    );
}

#[test]
fn a_syn_in_time_wait_begins_the_next_incarnation() {
    // [MAY-2] [SHLD-4]
    let mut pair = Pair::established(Config::default());
    pair.close(Side::B);
    pair.run_for(Duration::from_millis(50));
    pair.close(Side::A);
    pair.run_for(Duration::from_secs(1));
    assert!(pair.b.time_wait.is_some(), "{}", pair.ladder());
    pair.open(Side::A);
    pair.run_for(Duration::from_secs(1));
    assert_eq!(
        phases(&pair),
        (Phase::Established, Phase::Established),
        "{}",
        pair.ladder()
    );
    assert!(
        pair.log
            .last()
            .unwrap()
            .2
            .header
            .flags
            .contains(TcpFlags::ACK)
    );
}

#[test]
fn urgent_text_is_announced_and_counted() {
    // [MUST-30] [MUST-31] [MUST-32] [MUST-33] [MUST-62]
    let mut pair = Pair::established(Config::default());
    pair.b.reads = false;
    pair.call(Side::A, |c, cx| c.write(cx, b"plain")).unwrap();
    pair.call(Side::A, |c, cx| c.write_urgent(cx, b"now!"))
        .unwrap();
    pair.run_for(Duration::from_millis(100));
    assert!(pair.b.events.contains(handwave_tcp::Events::URGENT));
    assert_eq!(pair.b.connection().urgent_pending(), 9);
    let urgent = pair
        .log
        .iter()
        .find(|(_, _, s, _)| s.header.flags.contains(TcpFlags::URG))
        .unwrap();
    let end = urgent.2.header.seq + u32::from(urgent.2.header.urgent);
    assert_eq!(
        end,
        urgent.2.header.seq + u32::try_from(urgent.2.payload.len()).unwrap()
    );
    pair.b.reads = true;
    pair.drain(Side::B);
    assert_eq!(pair.b.connection().urgent_pending(), 0);
    assert_eq!(pair.b.received, b"plainnow!");
}
