//! The urgent mechanism (RFC 9293 3.8.5).

use handwave_tcp::{Config, Context, Events};
use handwave_wire::TcpFlags;

use crate::harness::{Bench, octets, plain, text_of};

fn writes_urgent(bench: &mut Bench, text: &[u8]) -> Vec<handwave_tcp::SegmentOut> {
    let mut cx = Context::new(bench.now, &mut bench.host);
    assert_eq!(bench.connection.write_urgent(&mut cx, text), Ok(text.len()));
    bench.drain()
}

/// The pointer of every segment names the octet after the urgent text, be it one octet or thousands
/// [MUST-30] [MUST-31] [MUST-62].
#[test]
fn the_pointer_names_the_octet_after_the_urgent_text() {
    for length in [1, 100, 5_000] {
        let mut bench = Bench::established(Config {
            nagle: false,
            ..plain()
        });
        let sent = writes_urgent(&mut bench, &octets(length));
        assert_eq!(text_of(&sent).len(), length);
        let end = bench.first + u32::try_from(length).unwrap();
        for segment in &sent {
            assert!(segment.header.flags.contains(TcpFlags::URG));
            assert_eq!(segment.header.seq + u32::from(segment.header.urgent), end);
        }
        bench.peer_acks(end);
        let after = bench.writes(b"plain");
        assert!(
            !after[0].header.flags.contains(TcpFlags::URG),
            "the urgent text has been delivered"
        );
    }
}

/// The application is told when the pointer appears and when it advances, and can ask how much is pending
/// [MUST-30] [MUST-31] [MUST-32] [MUST-33].
#[test]
fn the_application_learns_of_urgent_text() {
    let mut bench = Bench::established(plain());
    let mut urgent = bench.segment(TcpFlags::ACK | TcpFlags::URG, b"abc");
    urgent.header.urgent = 3;
    bench.arrives(urgent);
    bench.peer.seq += 3;
    assert!(bench.events().contains(Events::URGENT));
    assert_eq!(bench.connection.urgent_pending(), 3);

    bench.peer_sends(b"d");
    assert!(
        !bench.events().contains(Events::URGENT),
        "the pointer has not moved"
    );

    // The pointer may run ahead of the text that has arrived.
    let mut further = bench.segment(TcpFlags::ACK | TcpFlags::URG, b"e");
    further.header.urgent = 2_000;
    bench.arrives(further);
    bench.peer.seq += 1;
    assert!(bench.events().contains(Events::URGENT));
    assert_eq!(bench.connection.urgent_pending(), 2_004);
    assert_eq!(bench.reads(3).0, b"abc");
    assert_eq!(bench.connection.urgent_pending(), 2_001);
}

/// With its window shut a receiver still takes the urgent pointer, and believes a RST [MUST-66].
#[test]
fn urgent_and_rst_are_heard_with_the_window_shut() {
    let mut bench = Bench::with_full_buffer();
    let mut urgent = bench.segment(TcpFlags::ACK | TcpFlags::URG, b"");
    urgent.header.urgent = 10;
    bench.arrives(urgent);
    assert!(bench.events().contains(Events::URGENT));

    let mut bench = Bench::with_full_buffer();
    bench.arrives(bench.segment(TcpFlags::RST, b""));
    assert_eq!(
        bench.connection.error(),
        Some(handwave_tcp::ConnectionError::Reset)
    );
}
