//! When the peer falls silent or the network complains (RFC 9293 3.8.3, 3.9.1.8, 3.9.2.2).

use std::time::Duration;

use handwave_tcp::{
    Config, ConnectionError, Context, Events, IcmpError, IcmpKind, Phase, Unreachable,
};

use crate::harness::{Bench, plain};

fn icmp(bench: &mut Bench, kind: IcmpKind) -> bool {
    let error = IcmpError {
        kind,
        seq: bench.first,
    };
    bench
        .connection
        .handle_icmp(&mut Context::new(bench.now, &mut bench.host), error)
}

/// At R1, three retransmissions, the application hears of it; at R2 the connection ends, and no sooner than after 100 s
/// [MUST-20] [SHLD-9] [SHLD-10] [SHLD-11].
#[test]
fn excessive_retransmission() {
    let mut bench = Bench::established(plain());
    bench.writes(b"hello");
    assert_eq!(bench.waits(Duration::from_millis(3_500)).len(), 2);
    assert!(
        !bench.events().contains(Events::SOFT_ERROR),
        "two retransmissions are not excessive"
    );
    assert_eq!(bench.waits(Duration::from_secs(4)).len(), 1);
    assert!(bench.events().contains(Events::SOFT_ERROR), "R1");
    bench.waits(Duration::from_secs(100));
    assert_eq!(
        bench.connection.phase(),
        Phase::Established,
        "R2 is more than 100 s away"
    );
    bench.waits(Duration::from_secs(300));
    assert_eq!(bench.connection.error(), Some(ConnectionError::TimedOut));
    assert_eq!(bench.connection.phase(), Phase::Closed);
}

/// The application sets R2 for one connection [MUST-21].
#[test]
fn r2_is_the_applications_to_set() {
    for (r2, tries) in [(4, 3), (60, 6)] {
        let mut bench = Bench::established(Config {
            r2: Duration::from_secs(r2),
            ..plain()
        });
        bench.writes(b"hello");
        let before = bench.waits(Duration::from_secs(r2 - 1));
        assert_eq!(bench.connection.phase(), Phase::Established, "R2 = {r2} s");
        assert!(before.len() < tries);
        bench.waits(Duration::from_secs(r2 + 5));
        assert_eq!(
            bench.connection.error(),
            Some(ConnectionError::TimedOut),
            "R2 = {r2} s"
        );
    }
}

/// Errors that may heal are reported and end nothing, neither while opening nor later [MUST-56] [MUST-47] [SHLD-25] [SHLD-20].
#[test]
fn soft_errors_are_reported_and_survived() {
    let soft = [
        IcmpKind::Unreachable(Unreachable::Network),
        IcmpKind::Unreachable(Unreachable::Host),
        IcmpKind::Unreachable(Unreachable::SourceRoute),
        IcmpKind::TimeExceeded,
        IcmpKind::ParameterProblem,
    ];
    for kind in soft {
        let (mut bench, _) = Bench::opening(plain());
        bench.first -= 1;
        assert!(icmp(&mut bench, kind), "{kind:?} quotes the SYN");
        assert_eq!(bench.connection.phase(), Phase::SynSent, "{kind:?}");

        let mut bench = Bench::established(plain());
        bench.writes(b"hello");
        assert!(icmp(&mut bench, kind), "{kind:?} quotes what is in flight");
        assert_eq!(
            (bench.connection.phase(), bench.connection.error()),
            (Phase::Established, None),
            "{kind:?}"
        );
        // A report is a flag to be fetched: an application that does not look is not disturbed.
        assert!(bench.events().contains(Events::SOFT_ERROR), "{kind:?}");
        assert_eq!(
            bench.waits(Duration::from_secs(1)).len(),
            1,
            "{kind:?}: it goes on trying"
        );
    }
}

/// Protocol and port unreachable end an attempt to connect. After the handshake they do so only where configured, as
/// RFC 5927 5.2 advises [SHLD-26].
#[test]
fn hard_errors_abort() {
    for why in [Unreachable::Protocol, Unreachable::Port] {
        let (mut bench, _) = Bench::opening(plain());
        bench.first -= 1;
        assert!(icmp(&mut bench, IcmpKind::Unreachable(why)));
        assert_eq!(
            bench.connection.error(),
            Some(ConnectionError::Unreachable(why))
        );

        for (configured, phase) in [(false, Phase::Established), (true, Phase::Closed)] {
            let mut bench = Bench::established(Config {
                hard_icmp_aborts: configured,
                ..plain()
            });
            bench.writes(b"hello");
            assert!(icmp(&mut bench, IcmpKind::Unreachable(why)));
            assert_eq!(
                bench.connection.phase(),
                phase,
                "{why:?}, hard_icmp_aborts: {configured}"
            );
        }
    }
}

/// An error that quotes nothing in flight was not caused by us (RFC 5927 4.1).
#[test]
fn errors_about_nothing_in_flight_are_not_believed() {
    let mut bench = Bench::established(plain());
    assert!(
        !icmp(&mut bench, IcmpKind::Unreachable(Unreachable::Port)),
        "nothing is in flight"
    );
    bench.writes(b"hello");
    let error = IcmpError {
        kind: IcmpKind::Unreachable(Unreachable::Port),
        seq: bench.first + 5,
    };
    assert!(
        !bench
            .connection
            .handle_icmp(&mut Context::new(bench.now, &mut bench.host), error)
    );
    assert!(!bench.events().contains(Events::SOFT_ERROR));
}
