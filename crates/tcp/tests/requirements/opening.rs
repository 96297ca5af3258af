//! Opening: the handshake, its options, and what happens when nobody answers (RFC 9293 3.5, 3.7.1, 3.8.3, 3.9.1.1).

use std::sync::Arc;
use std::time::Duration;

use handwave_packet::Payload;
use handwave_tcp::{
    BufferSize, Config, Connection, ConnectionError, Context, Events, Host, Instant, ListenVerdict,
    Listener, ListenerConfig, Path, Phase, Profile, Secrets, SegmentIn, Tuple,
};
use handwave_wire::{SeqNum, TcpFlags, TcpHeader, TcpOptions};

use crate::harness::{ACK, Bench, MSS, PEER_ISS, RST, octets, plain, seconds, tuple};

const SYN: TcpFlags = TcpFlags::SYN;

/// [MUST-14] [SHLD-5] [MAY-3] [MUST-65]
#[test]
fn the_mss_option_is_on_the_syn_and_nowhere_else() {
    let (_, syn) = Bench::opening(Config::default());
    assert_eq!(syn.header.options.mss, Some(1460));
    let mut bench = Bench::established(Config::default());
    let mut sent = bench.writes(&octets(4_000));
    sent.extend(bench.calls(Connection::close));
    sent.extend(
        bench
            .waits(Duration::from_secs(5))
            .into_iter()
            .map(|sent| sent.segment),
    );
    assert!(sent.len() > 3);
    for segment in sent {
        assert_eq!(segment.header.options.mss, None, "{segment:?}");
    }
}

/// The peer's MSS limits our segments, and its absence means 536 octets [MUST-14] [MUST-15] [MUST-16].
#[test]
fn segments_are_as_long_as_the_peer_takes() {
    for (mss, full) in [(Some(600), 600), (Some(9_000), 1460), (None, 536)] {
        let mut bench = Bench::established_with(
            plain(),
            TcpOptions {
                mss,
                ..TcpOptions::default()
            },
        );
        let sent = bench.writes(&octets(5_000));
        assert_eq!(sent[0].payload.len(), full, "MSS option {mss:?}");
        assert!(sent.iter().all(|segment| segment.payload.len() <= full));
    }
}

/// Both ends open at once: SYN against SYN, and one connection comes of it (RFC 9293 3.5 figure 7) [MUST-10].
#[test]
fn simultaneous_open() {
    let (mut bench, syn) = Bench::opening(plain());
    let mut crossing = bench.segment(SYN, b"");
    crossing.header.ack = SeqNum::new(0);
    let sent = bench.arrives(crossing);
    assert_eq!(bench.connection.phase(), Phase::SynReceived);
    let [syn_ack] = sent.as_slice() else {
        panic!("{sent:?}")
    };
    assert_eq!(syn_ack.header.flags, SYN | ACK);
    assert_eq!(
        (syn_ack.header.seq, syn_ack.header.ack),
        (syn.header.seq, PEER_ISS + 1)
    );

    let theirs = bench.segment(SYN | ACK, b"");
    bench.arrives(theirs);
    assert_eq!(bench.connection.phase(), Phase::Established);
    assert!(bench.events().contains(Events::CONNECTED));
    bench.peer.seq += 1;
    assert_eq!(bench.writes(b"hello")[0].payload.to_vec(), b"hello");
}

/// An acknowledgment has offered more than a SYN+ACK can say: sent again, it says as much as it can (RFC 9293 3.8.6).
#[test]
fn simultaneous_open_takes_no_window_back() {
    let config = Profile::linux().connection;
    let (mut bench, _) = Bench::opening(config);
    let mut crossing = bench.segment(SYN, b"");
    crossing.header.ack = SeqNum::new(0);
    crossing.header.options.window_scale = Some(7);
    crossing.header.options.mss = Some(1460);
    let syn_ack = bench.arrives(crossing);
    let mut stray = bench.segment(ACK, b"");
    stray.header.seq -= 1_000;
    let challenge = bench.arrives(stray);
    assert!(!challenge[0].header.flags.contains(SYN), "{challenge:?}");
    let shift = bench.connection.info().rcv_wscale;
    let offered = challenge[0].header.window << shift;
    assert!(offered > syn_ack[0].header.window);
    let again = bench.waits(Duration::from_secs(2));
    assert!(again[0].segment.header.flags.contains(SYN));
    assert_eq!(again[0].segment.header.window, offered);
}

/// The window of the SYN+ACK that completes a simultaneous open is not scaled, as no SYN's is (RFC 7323 2.2).
#[test]
fn simultaneous_open_takes_the_window_unscaled() {
    let config = Config {
        window_scaling: true,
        ..plain()
    };
    let (mut bench, _) = Bench::opening(config);
    let mut crossing = bench.segment(SYN, b"");
    crossing.header.options.window_scale = Some(5);
    bench.arrives(crossing.clone());
    assert_eq!(bench.connection.phase(), Phase::SynReceived);
    let mut theirs = bench.segment(SYN | ACK, b"");
    theirs.header.options = crossing.header.options;
    theirs.header.window = 20_000;
    bench.arrives(theirs);
    assert_eq!(bench.connection.phase(), Phase::Established);
    assert_eq!(bench.connection.info().snd_wnd, 20_000);
}

/// A listener's half-open record goes back to LISTEN when reset; an active opener's application is told [MUST-11].
#[test]
fn a_reset_in_syn_received_depends_on_who_opened() {
    let (mut bench, _) = Bench::opening(plain());
    bench.arrives(bench.segment(SYN, b""));
    assert_eq!(bench.connection.phase(), Phase::SynReceived);
    bench.peer.seq += 1;
    bench.arrives(bench.segment(RST, b""));
    assert_eq!(bench.connection.phase(), Phase::Closed);
    assert_eq!(bench.connection.error(), Some(ConnectionError::Refused));

    let mut passive = Passive::new(ListenerConfig::default());
    passive.arrives(passive.here, SYN, PEER_ISS, SeqNum::new(0));
    assert_eq!(passive.listener.half_open(), 1);
    passive.arrives(passive.here, RST, PEER_ISS + 1, SeqNum::new(0));
    assert_eq!(passive.listener.half_open(), 0, "back in LISTEN");
    passive.arrives(passive.here, SYN, PEER_ISS + 9_000, SeqNum::new(0));
    assert_eq!(passive.listener.half_open(), 1, "and still listening");
}

/// A passive OPEN serves any number of peers, each with a record of its own, and listens on while some are half-open or
/// established [MUST-41] [MUST-42].
#[test]
fn listening_goes_on_beside_half_open_and_established_connections() {
    let mut passive = Passive::new(ListenerConfig::default());
    let mut other = passive.here;
    other.remote.port += 1;
    passive.arrives(passive.here, SYN, PEER_ISS, SeqNum::new(0));
    let iss = passive.syn_ack();
    passive.arrives(other, SYN, PEER_ISS, SeqNum::new(0));
    assert_eq!(passive.listener.half_open(), 2);
    let other_iss = passive.syn_ack();

    let first = passive
        .arrives(passive.here, ACK, PEER_ISS + 1, iss + 1)
        .expect("established");
    assert_eq!(
        (first.phase(), *first.tuple()),
        (Phase::Established, passive.here)
    );
    assert_eq!(
        passive.listener.half_open(),
        1,
        "the other record is untouched"
    );
    let second = passive
        .arrives(other, ACK, PEER_ISS + 1, other_iss + 1)
        .expect("established");
    assert_eq!(*second.tuple(), other);
    assert_eq!(first.phase(), Phase::Established);
}

/// The SYN is tried for at least three minutes, the gaps doubling, and the application hears of trouble after R1 = 3
/// transmissions [MUST-22] [MUST-23] [MUST-20] [SHLD-9] [SHLD-10].
#[test]
fn a_syn_is_tried_for_three_minutes() {
    let (mut bench, syn) = Bench::opening(Config::default());
    let sent = bench.waits(Duration::from_secs(170));
    assert_eq!(seconds(&sent), [1, 3, 7, 15, 31, 63, 123]);
    for sent in &sent {
        assert_eq!(sent.segment.header.flags, SYN);
        assert_eq!(sent.segment.header.seq, syn.header.seq);
    }
    assert_eq!(bench.connection.phase(), Phase::SynSent);
    assert!(bench.events().contains(Events::SOFT_ERROR));
    bench.waits(Duration::from_secs(60));
    assert_eq!(bench.connection.phase(), Phase::Closed);
    assert_eq!(bench.connection.error(), Some(ConnectionError::TimedOut));
}

/// Text may come with the acknowledgment that completes a handshake, and is there to be read at once.
#[test]
fn text_on_the_third_segment_is_kept() {
    let mut passive = Passive::new(ListenerConfig::default());
    passive.arrives(passive.here, SYN, PEER_ISS, SeqNum::new(0));
    let iss = passive.syn_ack();
    let header = passive.header(ACK, PEER_ISS + 1, iss + 1);
    let segment = SegmentIn::new(header, Payload::from(b"at once".to_vec()));
    let mut connection = passive.takes(passive.here, segment).expect("established");
    let mut buffer = [0; 16];
    let mut cx = Context::new(passive.now, &mut passive.host);
    let taken = connection.read(&mut cx, &mut buffer).unwrap();
    assert_eq!(&buffer[..taken], b"at once");
}

/// A listener and its host, and a peer that writes headers by hand.
struct Passive {
    now: Instant,
    host: Host,
    listener: Listener,
    here: Tuple,
}

impl Passive {
    fn new(limits: ListenerConfig) -> Self {
        let secrets = Secrets::from_seed(1);
        let listener = Listener::new(Arc::new(plain()), limits, &secrets);
        Self {
            now: Instant::from_secs(1_000),
            host: Host::new(secrets),
            listener,
            here: tuple(),
        }
    }

    fn header(&self, flags: TcpFlags, seq: SeqNum, ack: SeqNum) -> TcpHeader {
        let (source_port, destination_port) = (self.here.remote.port, self.here.local.port);
        TcpHeader {
            source_port,
            destination_port,
            seq,
            ack,
            flags,
            window: 10_000,
            ..TcpHeader::default()
        }
    }

    fn arrives(
        &mut self,
        to: Tuple,
        flags: TcpFlags,
        seq: SeqNum,
        ack: SeqNum,
    ) -> Option<Connection> {
        let segment = SegmentIn::new(self.header(flags, seq, ack), Payload::new());
        self.takes(to, segment)
    }

    fn takes(&mut self, to: Tuple, segment: SegmentIn) -> Option<Connection> {
        let mut cx = Context::new(self.now, &mut self.host);
        match self
            .listener
            .handle_segment(&mut cx, to, Path::with_mtu(1500), segment, None)
        {
            ListenVerdict::Established(connection) => Some(*connection),
            ListenVerdict::Queued
            | ListenVerdict::Cookie(_)
            | ListenVerdict::Dropped(_)
            | ListenVerdict::Reset(_) => None,
        }
    }

    /// Takes the SYN+ACK that is due; returns its sequence number.
    fn syn_ack(&mut self) -> SeqNum {
        let (_, segment) = self
            .listener
            .poll_transmit(&mut Context::new(self.now, &mut self.host))
            .expect("a SYN+ACK");
        assert_eq!(segment.header.flags, SYN | ACK);
        segment.header.seq
    }
}

/// What a SYN has said holds, whatever the program sets before it is answered (RFC 7323 2.2, RFC 9293 3.8.6).
#[test]
fn settings_changed_after_the_syn_take_nothing_back() {
    for profile in [Profile::handwave(), Profile::linux()] {
        let (mut bench, syn) = Bench::opening(profile.connection.clone());
        let changed = Config {
            timestamps: false,
            sack: false,
            window_scaling: false,
            mss_max: Some(700),
            receive_buffer: BufferSize::fixed(3_000),
            hop_limit: 9,
            ..profile.connection
        };
        bench.calls(|connection, cx| connection.set_config(cx, Arc::new(changed)));
        let again = bench.waits(Duration::from_secs(1));
        let again = &again[0].segment;
        assert_eq!(again.hop_limit, 9, "what was not said yet is as it is set");
        assert_eq!(again.header.window, syn.header.window);
        let said = |options: &TcpOptions| {
            let stamped = options.timestamps.is_some();
            (
                options.mss,
                options.window_scale,
                options.sack_permitted,
                stamped,
            )
        };
        let options = syn.header.options;
        assert_eq!(said(&again.header.options), said(&options));

        bench.peer.echo = options.timestamps.map(|stamps| stamps.value);
        let mut syn_ack = bench.segment(SYN | ACK, b"");
        syn_ack.header.options.mss = Some(1460);
        syn_ack.header.options.window_scale = Some(2);
        syn_ack.header.options.sack_permitted = true;
        bench.peer.seq += 1;
        let sent = bench.arrives(syn_ack);
        assert!(sent[0].header.options.timestamps.is_some());
        let info = bench.connection.info();
        assert_eq!(Some(info.rcv_wscale), options.window_scale);
        assert_eq!(info.snd_wscale, 2);
        if profile.name == "linux" {
            // Text that the buffer has no room for is dropped there.
            continue;
        }
        // The peer sends as much at once as the SYN admitted.
        let first = usize::from(syn.header.window.min(20_000));
        for text in octets(first).chunks(1_000) {
            bench.peer_sends(text);
        }
        assert_eq!(bench.connection.receivable(), first, "{}", profile.name);
    }
}

/// How a connection counts is settled when it begins: settings that say otherwise change the rest.
#[test]
fn a_connection_goes_on_counting_as_it_began() {
    let profiles = [Profile::handwave(), Profile::linux()];
    for (one, other) in [(0, 1), (1, 0)] {
        let mut bench = Bench::established(profiles[one].connection.clone());
        let changed = Arc::new(profiles[other].connection.clone());
        bench.calls(|connection, cx| connection.set_config(cx, changed));
        for _ in 0..60 {
            bench.peer_sends(&octets(MSS));
            bench.reads(MSS);
        }
        let window = bench.connection.info().rcv_wnd;
        assert!(window > 10_000, "{}: {window}", profiles[one].name);
        bench.peer.window = 0;
        bench.writes(&octets(3_000));
        assert!(bench.connection.poll_timeout().is_some());
        let acked = bench.first + bench.connection.info().unacked * 1460;
        bench.peer_acks(acked);
        let probes = bench.waits(Duration::from_secs(30));
        assert!(probes.len() > 2, "a window that is shut is probed");
    }
}
