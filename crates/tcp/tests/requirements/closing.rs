//! Closing: FIN, RST, and TIME-WAIT (RFC 9293 3.5.3, 3.6).

use std::time::Duration;

use handwave_tcp::{
    Config, Connection, ConnectionError, Context, Instant, Phase, ReceiveError, SegmentIn,
    TimeWait, TimeWaitVerdict,
};
use handwave_wire::{TcpFlags, TcpOptions, Timestamps};

use crate::harness::{ACK, Bench, FIN, RST, plain};

/// A connection that closed first and has exchanged both FINs.
fn in_time_wait(config: Config, options: TcpOptions) -> Bench {
    let mut bench = Bench::established_with(config, options);
    let sent = bench.calls(Connection::close);
    assert!(sent[0].header.flags.contains(TcpFlags::FIN));
    bench.peer_acks(bench.first + 1);
    assert_eq!(bench.connection.phase(), Phase::FinWait2);
    let sent = bench.arrives(bench.segment(FIN, b""));
    bench.peer.seq += 1;
    assert_eq!(sent[0].header.ack, bench.peer.seq);
    assert_eq!(bench.connection.phase(), Phase::TimeWait);
    bench
}

fn record(bench: &mut Bench) -> (TimeWait, Instant) {
    let mut cx = Context::new(bench.now, &mut bench.host);
    bench.connection.take_time_wait(&mut cx).expect("a record")
}

fn meets(bench: &mut Bench, record: &mut TimeWait, segment: &SegmentIn) -> TimeWaitVerdict {
    record.handle_segment(&mut Context::new(bench.now, &mut bench.host), segment)
}

/// The application can tell a FIN, which ends the stream in order, from a RST and from its own abort [MUST-12].
#[test]
fn normal_close_and_abort_look_different() {
    let read = |bench: &mut Bench| {
        let mut cx = Context::new(bench.now, &mut bench.host);
        bench.connection.read(&mut cx, &mut [0; 8])
    };
    let mut bench = Bench::established(plain());
    bench.arrives(bench.segment(FIN, b""));
    assert_eq!(read(&mut bench), Ok(0));
    assert_eq!(bench.connection.error(), None);

    let mut bench = Bench::established(plain());
    bench.arrives(bench.segment(RST, b""));
    assert_eq!(
        read(&mut bench),
        Err(ReceiveError::Lost(ConnectionError::Reset))
    );

    let mut bench = Bench::established(plain());
    let sent = bench.calls(Connection::abort);
    assert!(sent[0].header.flags.contains(TcpFlags::RST));
    assert_eq!(
        read(&mut bench),
        Err(ReceiveError::Lost(ConnectionError::Aborted))
    );
}

/// The active closer stays for twice an MSL of two minutes, and a repeated FIN starts the wait anew [MUST-13].
#[test]
fn time_wait_lasts_two_msl() {
    let mut bench = in_time_wait(plain(), TcpOptions::default());
    assert!(bench.waits(Duration::from_secs(239)).is_empty());
    assert_eq!(bench.connection.phase(), Phase::TimeWait);
    let mut fin = bench.segment(FIN, b"");
    fin.header.seq -= 1;
    let sent = bench.arrives(fin);
    assert_eq!(sent.len(), 1, "a repeated FIN is acknowledged");
    bench.waits(Duration::from_secs(239));
    assert_eq!(bench.connection.phase(), Phase::TimeWait);
    bench.waits(Duration::from_secs(1));
    assert_eq!(bench.connection.phase(), Phase::Closed);
    assert_eq!(bench.connection.error(), None);

    let mut bench = in_time_wait(plain(), TcpOptions::default());
    let now = bench.now;
    assert_eq!(
        record(&mut bench).1,
        now + Duration::from_secs(240),
        "the compact record keeps it"
    );
}

/// A SYN above the old sequence numbers may begin a new connection, whose own numbers start above the old ones [MAY-2].
#[test]
fn a_new_syn_ends_time_wait() {
    let mut bench = in_time_wait(plain(), TcpOptions::default());
    let (mut record, _) = record(&mut bench);
    let mut syn = bench.segment(TcpFlags::SYN, b"");
    syn.header.seq = bench.peer.seq - 1;
    assert!(
        matches!(
            meets(&mut bench, &mut record, &syn),
            TimeWaitVerdict::Reply { .. }
        ),
        "an old SYN is answered with an ACK"
    );
    syn.header.seq = bench.peer.seq + 1;
    match meets(&mut bench, &mut record, &syn) {
        TimeWaitVerdict::Reopen { iss_floor, .. } => assert!(iss_floor.after(bench.first + 1)),
        other => panic!("{other:?}"),
    }
}

/// With timestamps a newer one is enough, whatever the sequence number; an older one is not (RFC 6191) [SHLD-4].
#[test]
fn a_newer_timestamp_ends_time_wait() {
    let options = TcpOptions {
        mss: Some(1460),
        timestamps: Some(Timestamps { value: 0, echo: 0 }),
        ..TcpOptions::default()
    };
    let config = Config {
        timestamps: true,
        ..plain()
    };
    let mut bench = in_time_wait(config, options);
    bench.now += Duration::from_secs(2);
    let (mut record, _) = record(&mut bench);
    let mut syn = bench.segment(TcpFlags::SYN, b"");
    syn.header.seq = bench.peer.seq - 100_000;
    let stamped = |value| TcpOptions {
        timestamps: Some(Timestamps { value, echo: 0 }),
        ..TcpOptions::default()
    };
    syn.header.options = stamped(0);
    assert!(
        matches!(
            meets(&mut bench, &mut record, &syn),
            TimeWaitVerdict::Reply { .. }
        ),
        "an older timestamp"
    );
    syn.header.options = stamped(5_000);
    assert!(
        matches!(
            meets(&mut bench, &mut record, &syn),
            TimeWaitVerdict::Reopen { .. }
        ),
        "a newer one"
    );
}

/// A RST may carry text that explains it; the text is no part of the stream [SHLD-2].
#[test]
fn a_rst_may_carry_text() {
    let mut bench = Bench::established(plain());
    bench.arrives(bench.segment(RST | ACK, b"why"));
    assert_eq!(bench.connection.error(), Some(ConnectionError::Reset));
    assert_eq!(bench.connection.receivable(), 0);
}

/// An application that lets go with text unread, or text that arrives afterwards, makes a RST: the peer must learn that it
/// was not read [SHLD-3].
#[test]
fn closing_with_text_unread_resets() {
    let mut bench = Bench::established(plain());
    bench.peer_sends(b"unread");
    let sent = bench.calls(Connection::release);
    assert!(sent[0].header.flags.contains(TcpFlags::RST), "{sent:?}");
    assert_eq!(bench.connection.phase(), Phase::Closed);

    let mut bench = Bench::established(plain());
    let sent = bench.calls(Connection::release);
    assert!(
        sent[0].header.flags.contains(TcpFlags::FIN),
        "nothing unread: {sent:?}"
    );
    let sent = bench.peer_sends(b"too late");
    assert!(sent[0].header.flags.contains(TcpFlags::RST), "{sent:?}");
}

/// Both ways to close are there: half-closed, where reading goes on, and let go of, where it does not [MAY-1].
#[test]
fn half_duplex_close() {
    let mut bench = Bench::established(plain());
    bench.calls(Connection::close);
    bench.peer_acks(bench.first + 1);
    bench.peer_sends(b"still reading");
    assert_eq!(bench.reads(100).0, b"still reading");

    let mut bench = Bench::established(plain());
    bench.calls(Connection::release);
    bench.peer_acks(bench.first + 1);
    let sent = bench.arrives(bench.segment(FIN, b""));
    assert_eq!(sent.len(), 1);
    assert_eq!(
        bench.connection.phase(),
        Phase::TimeWait,
        "an orphan ends in order when the peer has nothing to say"
    );
}

/// ABORT in CLOSING and LAST-ACK sends no RST (RFC 9293 3.10.5), but only if the FIN that brought the connection there has been sent.
#[test]
fn an_abort_before_the_fin_has_left_is_told() {
    for fin_leaves in [false, true] {
        let mut bench = Bench::established(plain());
        bench.takes(bench.segment(FIN, b""));
        let mut cx = Context::new(bench.now, &mut bench.host);
        bench.connection.close(&mut cx);
        assert_eq!(bench.connection.phase(), Phase::LastAck);
        if fin_leaves {
            assert_eq!(bench.drain().len(), 1);
        }
        let told = bench.calls(Connection::abort);
        assert_eq!(told.len(), usize::from(!fin_leaves), "{told:?}");
        assert!(told.iter().all(|reset| reset.header.flags.contains(RST)));
    }
}
