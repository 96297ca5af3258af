//! Keep-alive (RFC 9293 3.8.4).

use std::sync::Arc;
use std::time::Duration;

use handwave_tcp::{Config, ConnectionError, KeepAlive, Phase};

use crate::harness::{Bench, plain, seconds};

const HOUR: Duration = Duration::from_secs(3_600);

fn probing(idle: u64) -> Config {
    let idle = Duration::from_secs(idle);
    Config {
        keepalive: Some(KeepAlive {
            idle,
            interval: Duration::from_secs(10),
            probes: 3,
        }),
        ..plain()
    }
}

/// [MUST-25]
#[test]
fn keep_alive_is_off_unless_asked_for() {
    assert!(Config::default().keepalive.is_none());
    let mut bench = Bench::established(plain());
    assert!(bench.waits(100 * HOUR).is_empty());
    assert_eq!(bench.connection.phase(), Phase::Established);
}

/// The application switches it on and off for one connection [MUST-24] [MAY-5].
#[test]
fn the_application_switches_it() {
    let mut bench = Bench::established(plain());
    bench.calls(|connection, cx| connection.set_config(cx, Arc::new(probing(100))));
    assert_eq!(seconds(&bench.waits(Duration::from_secs(105))), [100]);
    bench.arrives(bench.segment(handwave_wire::TcpFlags::ACK, b""));
    bench.calls(|connection, cx| connection.set_config(cx, Arc::new(plain())));
    assert!(bench.waits(HOUR).is_empty());
}

/// Two hours by default, and any interval by configuration [MUST-27] [MUST-28].
#[test]
fn the_interval_is_two_hours_unless_set() {
    let mut bench = Bench::established(Config {
        keepalive: Some(KeepAlive::default()),
        ..plain()
    });
    assert_eq!(
        seconds(&bench.waits(2 * HOUR + Duration::from_secs(1))),
        [7_200]
    );
    let mut bench = Bench::established(probing(42));
    assert_eq!(seconds(&bench.waits(Duration::from_secs(43))), [42]);
}

/// The probe carries no text and lies one octet below the window, so that the peer must answer [SHLD-12].
#[test]
fn the_probe_carries_nothing() {
    let mut bench = Bench::established(probing(100));
    let sent = bench.waits(Duration::from_secs(100));
    let [probe] = sent.as_slice() else {
        panic!("{sent:?}")
    };
    assert!(probe.segment.payload.is_empty());
    assert_eq!(probe.segment.header.seq, bench.first - 1);
    assert_eq!(probe.segment.header.flags, handwave_wire::TcpFlags::ACK);
}

/// Probes are sent only when nothing is outstanding and nothing has come in for the interval [MUST-26].
#[test]
fn only_a_silent_connection_is_probed() {
    let mut bench = Bench::established(probing(100));
    assert!(bench.waits(Duration::from_secs(90)).is_empty());
    bench.peer_sends(b"alive");
    bench.waits(Duration::from_secs(1));
    let sent = bench.waits(Duration::from_secs(98));
    assert!(sent.is_empty(), "heard from 99 s ago: {sent:?}");
    assert_eq!(bench.waits(Duration::from_secs(2)).len(), 1);

    let mut bench = Bench::established(probing(100));
    bench.writes(b"outstanding");
    let sent = bench.waits(Duration::from_secs(150));
    assert!(!sent.is_empty());
    assert!(
        sent.iter()
            .all(|sent| sent.segment.header.seq == bench.first),
        "retransmissions, no probes: {sent:?}"
    );
}

/// One probe without an answer proves nothing: the peer is asked again, and only the configured number of silences ends the
/// connection. An answer starts the count anew [MUST-29].
#[test]
fn one_unanswered_probe_is_not_a_dead_peer() {
    let mut bench = Bench::established(probing(100));
    assert_eq!(seconds(&bench.waits(Duration::from_secs(115))), [100, 110]);
    assert_eq!(bench.connection.phase(), Phase::Established);
    bench.arrives(bench.segment(handwave_wire::TcpFlags::ACK, b""));
    let sent = bench.waits(Duration::from_secs(125));
    assert_eq!(seconds(&sent), [100, 110, 120], "a new count");
    assert_eq!(bench.connection.phase(), Phase::Established);
    bench.waits(Duration::from_secs(10));
    assert_eq!(
        bench.connection.error(),
        Some(ConnectionError::KeepAliveTimeout)
    );
}

/// With a user timeout that alone ends a silent connection, however many probes that takes; and no interval is no time at all.
#[test]
fn a_user_timeout_outlasts_any_number_of_probes() {
    let second = Duration::from_secs(1);
    for (interval, span, probes) in [(second, HOUR, 1_000), (Duration::ZERO, second, 1_000)] {
        let keepalive = KeepAlive {
            idle: interval,
            interval,
            probes: 0,
        };
        let mut bench = Bench::established(Config {
            keepalive: Some(keepalive),
            user_timeout: Some(1_001 * second),
            ..plain()
        });
        let sent = bench.waits(span).len();
        assert!((probes..probes + 2).contains(&sent), "{sent}");
        let over = span > 1_001 * second;
        assert_eq!(bench.connection.phase() == Phase::Closed, over);
    }
}
