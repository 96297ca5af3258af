//! Every SYN and every last acknowledgment that a listener loses has a counter that says why.

#![allow(clippy::panic, reason = "a test that cannot go on has failed")]

use std::sync::Arc;
use std::time::Duration;

use handwave_tcp::{
    Config, Context, Endpoint, Host, IcmpError, IcmpKind, Instant, Limits, ListenVerdict, Listener,
    ListenerConfig, ListenerCounters, Path, Profile, RateLimit, Secrets, SegmentIn, SynCookies,
    Tuple, Unreachable,
};
use handwave_wire::{SeqNum, TcpFlags, TcpHeader, TcpOptions, Timestamps};

/// A listener and clients that are told apart by their ports.
struct Scene {
    listener: Listener,
    host: Host,
    now: Instant,
    /// What clients' segments carry, if they know timestamps.
    stamp: Option<Timestamps>,
}

impl Scene {
    fn new(limits: ListenerConfig) -> Self {
        Self::with(Config::default(), limits)
    }

    fn with(config: Config, limits: ListenerConfig) -> Self {
        let secrets = Secrets::from_seed(1);
        Self {
            listener: Listener::new(Arc::new(config), limits, &secrets),
            host: Host::new(secrets),
            now: Instant::from_secs(9),
            stamp: None,
        }
    }

    fn limited(limits: Limits) -> Self {
        Self::new(ListenerConfig {
            limits,
            ..ListenerConfig::default()
        })
    }

    fn tuple(port: u16) -> Tuple {
        let end = |last, port| Endpoint::new([192, 0, 2, last].into(), port);
        Tuple::new(end(1, 80), end(2, port))
    }

    fn segment(&mut self, port: u16, flags: TcpFlags, seq: SeqNum, ack: SeqNum) -> ListenVerdict {
        let header = TcpHeader {
            source_port: port,
            destination_port: 80,
            seq,
            ack,
            flags,
            window: 1_000,
            options: TcpOptions {
                timestamps: self.stamp,
                ..TcpOptions::NONE
            },
            ..TcpHeader::default()
        };
        let mut cx = Context::new(self.now, &mut self.host);
        let segment = SegmentIn::new(header, Default::default());
        let path = Path::with_mtu(1_500);
        self.listener
            .handle_segment(&mut cx, Self::tuple(port), path, segment, None)
    }

    fn syn(&mut self, port: u16) -> ListenVerdict {
        self.segment(port, TcpFlags::SYN, SeqNum::new(7), SeqNum::new(0))
    }

    /// The SYN+ACK's number, whether a record or a cookie answers.
    fn answered(&mut self, port: u16) -> SeqNum {
        self.answer(port).0
    }

    /// The same, and the SYN+ACK's timestamp.
    fn answer(&mut self, port: u16) -> (SeqNum, u32) {
        let value = |stamp: Option<Timestamps>| stamp.map_or(0, |stamp| stamp.value);
        match self.syn(port) {
            ListenVerdict::Cookie(answer) => (answer.seq, value(answer.timestamps)),
            ListenVerdict::Queued => {
                let mut cx = Context::new(self.now, &mut self.host);
                let (_, answer) = self.listener.poll_transmit(&mut cx).expect("a SYN+ACK");
                (answer.header.seq, value(answer.header.options.timestamps))
            }
            other => panic!("{other:?}"),
        }
    }

    fn ack(&mut self, port: u16, iss: SeqNum) -> ListenVerdict {
        self.segment(port, TcpFlags::ACK, SeqNum::new(8), iss + 1)
    }

    fn handshake(&mut self, port: u16) -> bool {
        let iss = self.answered(port);
        matches!(self.ack(port, iss), ListenVerdict::Established(_))
    }

    fn counters(&self) -> &ListenerCounters {
        self.listener.counters()
    }
}

const ONE: RateLimit = RateLimit {
    per_second: 1,
    burst: 1,
};

#[test]
fn rates_of_syns_turn_to_cookies_and_say_whose_they_were() {
    let mut one = Scene::limited(Limits {
        syn_rate: Some(ONE),
        ..Limits::default()
    });
    let mut all = Scene::limited(Limits {
        syn_rate_total: Some(ONE),
        ..Limits::default()
    });
    for scene in [&mut one, &mut all] {
        assert!(matches!(scene.syn(4_000), ListenVerdict::Queued));
        assert!(matches!(scene.syn(4_001), ListenVerdict::Cookie(_)));
        let counters = scene.counters();
        assert_eq!(
            (counters.limit_do_cookies, counters.syncookies_sent),
            (1, 1)
        );
        assert_eq!(counters.drops, 0);
    }
    let split = |scene: &Scene| {
        let counters = scene.counters();
        (counters.limit_syn_rate, counters.limit_syn_rate_total)
    };
    assert_eq!((split(&one), split(&all)), ((1, 0), (0, 1)));
}

#[test]
fn completed_handshakes_are_limited_by_rate_and_in_all() {
    let mut rate = Scene::limited(Limits {
        established_rate: Some(ONE),
        ..Limits::default()
    });
    assert!(rate.handshake(4_000) && !rate.handshake(4_001));
    assert_eq!(rate.counters().limit_established_rate, 1);
    assert_eq!((rate.counters().established, rate.counters().drops), (1, 1));

    let mut total = Scene::limited(Limits {
        established_total_max: Some(1),
        ..Limits::default()
    });
    assert!(total.handshake(4_000));
    assert!(matches!(total.syn(4_001), ListenVerdict::Dropped(_)));
    assert_eq!(total.counters().limit_established_total, 1);
    assert_eq!(total.counters().drops, 1);
}

#[test]
fn a_record_that_nobody_answers_is_sent_again_five_times_and_expires() {
    let mut scene = Scene::new(ListenerConfig::default());
    scene.answered(4_000);
    let began = scene.now;
    while let Some(due) = scene.listener.poll_timeout() {
        scene.now = due;
        let mut cx = Context::new(due, &mut scene.host);
        scene.listener.handle_timeout(&mut cx);
        while scene.listener.poll_transmit(&mut cx).is_some() {}
    }
    assert_eq!(
        scene.now - began,
        Duration::from_secs(63),
        "1 + 2 + ... + 32"
    );
    let counters = scene.counters();
    assert_eq!((counters.synack_retransmissions, counters.expired), (5, 1));
    assert_eq!(scene.listener.half_open(), 0);
}

#[test]
fn a_network_that_cannot_reach_the_peer_removes_its_record() {
    let mut scene = Scene::new(ListenerConfig::default());
    let seq = scene.answered(4_000);
    let kind = IcmpKind::Unreachable(Unreachable::Port);
    let mut cx = Context::new(scene.now, &mut scene.host);
    let error = IcmpError { kind, seq };
    assert!(
        scene
            .listener
            .handle_icmp(&mut cx, &Scene::tuple(4_000), error)
    );
    assert_eq!(scene.counters().unreachable, 1);
    assert_eq!(scene.listener.half_open(), 0);
}

/// A SYN was answered with a cookie and, sent again, with a record: whichever answer the client takes opens its connection.
#[test]
fn a_cookie_is_good_though_a_record_was_made_since() {
    let mut scene = Scene::new(ListenerConfig {
        syn_queue_max: 1,
        ..ListenerConfig::default()
    });
    scene.answered(4_000);
    let first = scene.answered(4_001);
    assert_eq!(scene.counters().syncookies_sent, 1);
    scene.segment(4_000, TcpFlags::RST, SeqNum::new(8), SeqNum::new(0));
    let second = scene.answered(4_001);
    assert_eq!(scene.counters().syncookies_sent, 1);
    assert_ne!(first, second);
    let neither = scene.ack(4_001, second + 1);
    assert!(matches!(neither, ListenVerdict::Reset(_)));
    assert_eq!(scene.listener.half_open(), 1);
    let taken = scene.ack(4_001, first);
    assert!(matches!(taken, ListenVerdict::Established(_)), "{taken:?}");
    assert_eq!(scene.listener.half_open(), 0);
    let counters = scene.counters();
    assert_eq!((counters.syncookies_received, counters.established), (1, 1));
}

/// So it is where segments are told by the timestamps they echo: the one that echoes the cookie's belongs to no record.
#[test]
fn a_cookie_is_good_though_its_timestamp_is_no_record_s() {
    for config in [Config::default(), Profile::linux().connection] {
        let limits = ListenerConfig {
            syn_queue_max: 1,
            ..ListenerConfig::default()
        };
        let mut scene = Scene::with(config, limits);
        scene.answered(4_000);
        let stamp = |value, echo| Some(Timestamps { value, echo });
        scene.stamp = stamp(100, 0);
        let (first, echo) = scene.answer(4_001);
        assert_eq!(scene.counters().syncookies_sent, 1);
        scene.stamp = None;
        scene.segment(4_000, TcpFlags::RST, SeqNum::new(8), SeqNum::new(0));
        scene.now += Duration::from_secs(1);
        scene.stamp = stamp(1_100, 0);
        let (second, _) = scene.answer(4_001);
        assert_eq!(scene.counters().syncookies_sent, 1);
        assert_ne!(first, second);
        scene.stamp = stamp(1_200, echo);
        let taken = scene.ack(4_001, first);
        assert!(matches!(taken, ListenVerdict::Established(_)), "{taken:?}");
        assert_eq!(scene.listener.half_open(), 0);
    }
}

#[test]
fn blind_acknowledgments_cost_cookies_without_a_timestamp_their_credit() {
    let mut scene = Scene::new(ListenerConfig {
        cookies: SynCookies::Always,
        blind_acks: RateLimit {
            per_second: 1,
            burst: 2,
        },
        ..ListenerConfig::default()
    });
    let iss = scene.answered(4_000);
    for port in 5_000..5_003 {
        let verdict = scene.ack(port, SeqNum::new(1));
        assert!(matches!(verdict, ListenVerdict::Reset(_)), "{verdict:?}");
    }
    assert!(matches!(scene.ack(4_000, iss), ListenVerdict::Reset(_)));
    let counters = scene.counters();
    assert_eq!(counters.syncookies_failed, 3);
    assert_eq!(
        (counters.syncookies_doubted, counters.syncookies_received),
        (1, 0)
    );
    // They stop, and it is believed.
    scene.now += Duration::from_secs(3);
    assert!(matches!(
        scene.ack(4_000, iss),
        ListenVerdict::Established(_)
    ));
    assert_eq!(scene.counters().syncookies_received, 1);
}
