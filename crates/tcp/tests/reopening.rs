//! A SYN that takes the place of a TIME-WAIT record, at a listener that is flooded (RFC 9293 3.10.7.4 [MAY-2], RFC 6191).

#![allow(clippy::panic, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use handwave_tcp::{
    Config, Context, Endpoint, Host, Instant, ListenVerdict, Listener, ListenerConfig, Path,
    Secrets, SegmentIn, SynCookies, Tuple,
};
use handwave_wire::{SeqNum, TcpFlags, TcpHeader};

struct Scene {
    listener: Listener,
    host: Host,
}

impl Scene {
    fn new(cookies: SynCookies, syn_queue_max: usize) -> Self {
        let secrets = Secrets::from_seed(1);
        let limits = ListenerConfig {
            cookies,
            syn_queue_max,
            ..ListenerConfig::default()
        };
        Self {
            listener: Listener::new(Arc::new(Config::default()), limits, &secrets),
            host: Host::new(secrets),
        }
    }

    /// Lets a SYN from `port` arrive whose answer has to begin at `floor` or beyond.
    fn syn(&mut self, port: u16, floor: SeqNum) -> ListenVerdict {
        let end = |last, port| Endpoint::new([192, 0, 2, last].into(), port);
        let header = TcpHeader {
            source_port: port,
            destination_port: 80,
            seq: SeqNum::new(7),
            flags: TcpFlags::SYN,
            window: 1_000,
            ..TcpHeader::default()
        };
        let mut cx = Context::new(Instant::from_secs(9), &mut self.host);
        let tuple = Tuple::new(end(1, 80), end(2, port));
        let segment = SegmentIn::new(header, Default::default());
        self.listener
            .handle_segment(&mut cx, tuple, Path::with_mtu(1_500), segment, Some(floor))
    }
}

#[test]
fn a_record_goes_on_beyond_the_old_numbers_even_where_cookies_are_the_rule() {
    let mut scene = Scene::new(SynCookies::Always, 8);
    for (port, floor) in [(4_000, 1 << 30), (4_001, 3 << 30)] {
        let floor = SeqNum::new(floor);
        let verdict = scene.syn(port, floor);
        assert!(matches!(verdict, ListenVerdict::Queued), "{verdict:?}");
        let mut cx = Context::new(Instant::from_secs(9), &mut scene.host);
        let (_, answer) = scene.listener.poll_transmit(&mut cx).expect("a SYN+ACK");
        assert!(!answer.header.seq.before(floor));
    }
    assert_eq!(scene.listener.counters().syncookies_sent, 0);
}

#[test]
fn without_room_a_cookie_answers_only_if_it_lies_beyond() {
    let mut scene = Scene::new(SynCookies::OnOverflow, 0);
    let floor = SeqNum::new(1 << 31);
    let (mut answered, mut lost) = (0, 0);
    for port in 4_000..4_200 {
        match scene.syn(port, floor) {
            ListenVerdict::Cookie(answer) => {
                assert!(!answer.seq.before(floor));
                answered += 1;
            }
            ListenVerdict::Dropped(_) => lost += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(answered > 60 && lost > 60, "{answered} and {lost}");
    let counters = scene.listener.counters();
    assert_eq!((counters.syncookies_sent, counters.drops), (answered, lost));
}
