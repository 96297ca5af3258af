//! Forwarding: any address, any port, decided before the SYN+ACK.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use core::net::IpAddr;
use core::time::Duration;
use handwave_packet::PacketBuf;
use handwave_stack::{
    ConnectOptions, ConnectionId, ForwardLimits, ForwardRequest, InterfaceConfig, InterfaceId,
    Limits, ListenerConfig, Prefix, Route, Stack, StackConfig, SynCookies,
};
use handwave_tcp::{
    ConnectionError, Endpoint, Events, Instant, ListenerCounters, Phase, Secrets, Unreachable,
};
use handwave_wire::ipv4::Ipv4Header;
use handwave_wire::{IpProtocol, SeqNum, Sum, TcpFlags, TcpHeader};

/// A client and a stack that forwards for it.
struct Scene {
    now: Instant,
    client: Stack,
    forwarder: Stack,
    wire: InterfaceId,
    /// Packets that the forwarder has sent.
    answers: usize,
    /// The number after the last octet that the forwarder has sent, and the first of its last SYN.
    last: SeqNum,
    iss: SeqNum,
}

fn host(address: &str, seed: u64) -> (Stack, InterfaceId) {
    let mut stack = Stack::new(
        StackConfig::default(),
        Secrets::from_seed(seed),
        Instant::ZERO,
    );
    let address = Prefix::new(address.parse().unwrap(), 24);
    let wire = stack
        .add_interface(InterfaceConfig::ip(1_500, [address]))
        .unwrap();
    for any in [IpAddr::from([0; 4]), IpAddr::from([0; 16])] {
        let destination = Prefix::new(any, 0);
        stack
            .add_route(Route {
                destination,
                gateway: None,
                interface: wire,
            })
            .unwrap();
    }
    (stack, wire)
}

impl Scene {
    fn new(limits: ForwardLimits) -> Self {
        let (client, _) = host("10.0.0.1", 1);
        let (mut forwarder, wire) = host("10.0.0.2", 2);
        forwarder.start_forwarding(wire, limits).unwrap();
        Self {
            now: Instant::ZERO,
            client,
            forwarder,
            wire,
            answers: 0,
            last: SeqNum::default(),
            iss: SeqNum::default(),
        }
    }

    /// Takes note of the numbers of a segment that the forwarder sends.
    fn note(&mut self, packet: &PacketBuf) {
        let octets = packet.to_vec();
        if let Ok((header, text_at)) = TcpHeader::parse(&octets[Ipv4Header::LEN..]) {
            let text = octets.len() - Ipv4Header::LEN - text_at;
            self.last = header.seq + header.seq_len(text);
            if header.flags.contains(TcpFlags::SYN) {
                self.iss = header.seq;
            }
        }
    }

    /// Accepts a request as all others are configured.
    fn accept(&mut self, request: &ForwardRequest) -> ConnectionId {
        let accepted = self
            .forwarder
            .accept_forward(self.now, &request.tuple, None);
        accepted.unwrap()
    }

    /// Carries packets both ways until nobody has any.
    fn exchange(&mut self) {
        loop {
            let mut quiet = true;
            while let Some((_, packet)) = self.client.poll_transmit(self.now) {
                self.forwarder.handle_packet(self.now, self.wire, packet);
                quiet = false;
            }
            while let Some((_, packet)) = self.forwarder.poll_transmit(self.now) {
                self.answers += 1;
                self.note(&packet);
                self.client.handle_packet(self.now, self.wire, packet);
                quiet = false;
            }
            if quiet {
                return;
            }
        }
    }

    /// Lets `span` pass, one deadline after the other.
    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let next = [self.client.poll_timeout(), self.forwarder.poll_timeout()];
            let next = next.into_iter().flatten().min();
            let Some(due) = next.filter(|due| *due <= end) else {
                break;
            };
            self.now = due.max(self.now);
            self.client.handle_timeout(self.now);
            self.forwarder.handle_timeout(self.now);
            self.exchange();
        }
        self.now = end;
    }

    fn connect(&mut self, to: Endpoint) -> ConnectionId {
        let id = self
            .client
            .connect(self.now, to, ConnectOptions::default())
            .unwrap();
        self.exchange();
        id
    }

    fn phase_of(&self, id: ConnectionId) -> Phase {
        self.client.connection(id).unwrap().phase()
    }

    fn counters(&self) -> ListenerCounters {
        let listener = self.forwarder.forward_listener().unwrap();
        self.forwarder
            .listener(listener)
            .unwrap()
            .counters()
            .clone()
    }

    /// A SYN with a source address that nobody checks.
    fn forge(&mut self, n: u32) {
        let source = core::net::Ipv4Addr::from_bits(0x2000_0000 + n);
        let syn = TcpHeader {
            source_port: 4_000,
            destination_port: 443,
            seq: SeqNum::new(n),
            flags: TcpFlags::SYN,
            window: 1_000,
            ..TcpHeader::default()
        };
        let target = [203, 0, 113, 9].into();
        let ip = Ipv4Header {
            payload_len: 20,
            ..Ipv4Header::new(source, target, IpProtocol::TCP)
        };
        let mut octets = vec![0; 40];
        ip.emit(&mut octets);
        syn.emit(&mut octets[20..]);
        let pseudo =
            Sum::default().pseudo_header(source.into(), target.into(), IpProtocol::TCP, 20);
        let checksum = pseudo.add_bytes(&octets[20..]).finish();
        octets[36..38].copy_from_slice(&checksum.to_be_bytes());
        self.forwarder
            .handle_packet(self.now, self.wire, PacketBuf::from_bytes(octets.into()));
        while self.forwarder.poll_transmit(self.now).is_some() {
            self.answers += 1;
        }
    }

    fn error_of(&self, id: ConnectionId) -> Option<ConnectionError> {
        self.client.connection(id).unwrap().error()
    }
}

fn with_listener(tcp: ListenerConfig) -> ForwardLimits {
    ForwardLimits {
        tcp,
        ..ForwardLimits::default()
    }
}

fn somewhere() -> Endpoint {
    Endpoint::new([203, 0, 113, 9].into(), 8_443)
}

#[test]
fn a_request_is_accepted_as_late_as_the_program_likes() {
    let mut scene = Scene::new(ForwardLimits::default());
    let theirs = scene.connect(somewhere());
    let request = scene.forwarder.poll_forward_request().expect("one request");
    assert_eq!(request.tuple.local, somewhere());
    assert_eq!(request.options.mss, Some(1_460));

    scene.pass(Duration::from_secs(10));
    assert_eq!(
        scene.answers, 0,
        "no SYN+ACK and no RST before the decision"
    );
    assert!(
        !scene.forwarder.has_forward_requests(),
        "a repeated SYN is no new request"
    );

    let ours = scene.accept(&request);
    scene.exchange();
    let connection = scene.forwarder.connection(ours).unwrap();
    assert_eq!(connection.phase(), Phase::Established);
    assert_eq!(connection.tuple().local, somewhere());
    let events = std::iter::from_fn(|| scene.forwarder.poll_event());
    let told = events.fold(Events::NONE, |all, event| all | event.events);
    assert!(told.contains(Events::CONNECTED));

    scene
        .client
        .write(scene.now, theirs, b"to whom it may concern")
        .unwrap();
    scene.exchange();
    let mut buffer = [0; 64];
    let count = scene.forwarder.read(scene.now, ours, &mut buffer).unwrap();
    assert_eq!(&buffer[..count], b"to whom it may concern");
    scene.forwarder.write(scene.now, ours, b"heard").unwrap();
    scene.forwarder.close(scene.now, ours);
    scene.exchange();
    let count = scene.client.read(scene.now, theirs, &mut buffer).unwrap();
    assert_eq!(&buffer[..count], b"heard");
    assert_eq!(
        scene.client.read(scene.now, theirs, &mut buffer),
        Ok(0),
        "and its FIN"
    );
}

#[test]
fn an_accepted_request_whose_syn_ack_is_lost_is_answered_again() {
    let mut scene = Scene::new(ForwardLimits::default());
    scene.connect(somewhere());
    let request = scene.forwarder.poll_forward_request().unwrap();
    let ours = scene.accept(&request);
    while scene.forwarder.poll_transmit(scene.now).is_some() {}
    let phase = |scene: &Scene| scene.forwarder.connection(ours).unwrap().phase();
    assert_eq!(phase(&scene), Phase::SynReceived);
    scene.pass(Duration::from_secs(4));
    assert_eq!(phase(&scene), Phase::Established);
}

#[test]
fn refusing_resets_and_an_unreachable_destination_is_told_so() {
    let mut scene = Scene::new(ForwardLimits::default());
    let refused = scene.connect(somewhere());
    let request = scene.forwarder.poll_forward_request().unwrap();
    scene.forwarder.refuse_forward(scene.now, &request.tuple);
    scene.exchange();
    assert_eq!(scene.error_of(refused), Some(ConnectionError::Refused));

    for to in [
        somewhere(),
        Endpoint::new("2001:db8::5".parse().unwrap(), 80),
    ] {
        if to.addr.is_ipv6() {
            let own = |text: &str| Prefix::new(text.parse().unwrap(), 64);
            let wire = scene.wire;
            scene.client.add_address(wire, own("fd00::1")).unwrap();
            scene.forwarder.add_address(wire, own("fd00::2")).unwrap();
        }
        let nowhere = scene.connect(to);
        let request = scene.forwarder.poll_forward_request().unwrap();
        let why = Unreachable::Prohibited;
        scene
            .forwarder
            .forward_unreachable(scene.now, &request.tuple, why);
        scene.exchange();
        let reports = scene.client.counters().icmp_errors_delivered;
        assert!(reports > 0, "the client believes what it is told of {to}");
        scene.client.abort(scene.now, nowhere);
        scene.exchange();
    }
    assert_eq!(scene.forwarder.forward_requests(), 0);
}

#[test]
fn requests_are_bounded_and_dropping_one_makes_room() {
    let mut scene = Scene::new(with_listener(ListenerConfig {
        syn_queue_max: 2,
        cookies: SynCookies::Off,
        ..ListenerConfig::default()
    }));
    for _ in 0..5 {
        scene.connect(somewhere());
    }
    assert_eq!(scene.forwarder.forward_requests(), 2);
    assert_eq!(scene.forwarder.counters().forward_requests_full, 3);
    let request = scene.forwarder.poll_forward_request().unwrap();
    scene.forwarder.drop_forward(&request.tuple);
    assert_eq!(scene.answers, 0);
    scene.pass(Duration::from_millis(1_100));
    assert_eq!(
        scene.forwarder.forward_requests(),
        2,
        "a repeated SYN takes the place"
    );
}

#[test]
fn a_client_that_gives_up_takes_its_request_along() {
    let mut scene = Scene::new(ForwardLimits::default());
    scene.connect(somewhere());
    let request = scene.forwarder.poll_forward_request().unwrap();
    // A client in SYN-SENT that aborts says nothing; its SYN+ACK then meets a RST.
    let theirs = match scene.client.sockets().next() {
        Some(handwave_stack::SocketSummary::Connection { id, .. }) => id,
        other => panic!("{other:?}"),
    };
    scene.client.abort(scene.now, theirs);
    scene.exchange();
    let ours = scene.accept(&request);
    scene.exchange();
    let connection = scene.forwarder.connection(ours).unwrap();
    assert_eq!(connection.phase(), Phase::Closed);
    assert!(connection.error().is_some());
    assert!(
        scene
            .forwarder
            .accept_forward(scene.now, &request.tuple, None)
            .is_err()
    );
}

#[test]
fn datagrams_are_answered_from_the_address_they_were_for() {
    let mut scene = Scene::new(ForwardLimits::default());
    let resolver = Endpoint::new([8, 8, 8, 8].into(), 53);
    let socket = scene.client.udp_bind(None, 5_000).unwrap();
    scene
        .client
        .udp_send_to(scene.now, socket, resolver, b"who is there?".to_vec())
        .unwrap();
    scene.exchange();
    let forwarding = std::iter::from_fn(|| scene.forwarder.poll_event()).last();
    let Some(handwave_stack::SocketId::Udp(forwarding)) = forwarding.map(|event| event.socket)
    else {
        panic!("a datagram waits");
    };
    let asked = scene.forwarder.udp_recv_from(forwarding).unwrap();
    assert_eq!(asked.destination, resolver);
    scene
        .forwarder
        .udp_send_from(
            scene.now,
            asked.destination,
            asked.source,
            b"nobody".to_vec(),
        )
        .unwrap();
    scene.exchange();
    let answer = scene.client.udp_recv_from(socket).unwrap();
    assert_eq!(
        (answer.source, answer.payload.to_vec()),
        (resolver, b"nobody".to_vec())
    );
}

#[test]
fn what_is_for_our_own_address_is_not_forwarded() {
    let mut scene = Scene::new(ForwardLimits::default());
    let refused = scene.connect(Endpoint::new([10, 0, 0, 2].into(), 80));
    assert_eq!(scene.error_of(refused), Some(ConnectionError::Refused));
    assert!(!scene.forwarder.has_forward_requests());
    scene.forwarder.stop_forwarding(scene.now);
    let lost = scene.connect(somewhere());
    assert_eq!(scene.error_of(lost), None);
    assert_eq!(scene.forwarder.counters().ip_foreign_address, 1);
}

#[test]
fn beyond_the_limit_cookies_answer_and_keep_nothing() {
    let mut scene = Scene::new(with_listener(ListenerConfig {
        syn_queue_max: 2,
        ..ListenerConfig::default()
    }));
    for n in 0..5_000 {
        scene.forge(n);
    }
    assert_eq!(scene.forwarder.forward_requests(), 2);
    assert_eq!(scene.answers, 4_998);
    let counters = scene.counters();
    assert_eq!(counters.syns_received, 2);
    assert_eq!(counters.syncookies_sent, 4_998);
    assert_eq!(counters.req_queue_full_do_cookies, 4_998);
    let id = scene.forwarder.forward_listener().unwrap();
    let listener = scene.forwarder.listener(id).unwrap();
    assert!(listener.flood().is_flooded());
    assert!(listener.memory() < 8_192, "{}", listener.memory());
    assert_eq!(
        scene.forwarder.sockets().count(),
        2,
        "listener and datagrams"
    );
    // Those that came first wait as ever.
    let first = scene.forwarder.poll_forward_request().unwrap();
    assert!(!first.established);

    // An honest client in the middle of it is served, with the options it asked for.
    let theirs = scene.connect(somewhere());
    assert_eq!(scene.phase_of(theirs), Phase::Established);
    scene.forwarder.poll_forward_request().unwrap();
    let request = scene.forwarder.poll_forward_request().unwrap();
    assert!(request.established);
    assert_eq!(request.tuple.local, somewhere());
    assert!(request.options.sack_permitted && request.options.window_scale.is_some());
    let ours = scene.accept(&request);
    scene.client.write(scene.now, theirs, b"hello").unwrap();
    scene.exchange();
    let mut buffer = [0; 8];
    assert_eq!(scene.forwarder.read(scene.now, ours, &mut buffer), Ok(5));
    assert_eq!(scene.forwarder.forward_requests(), 2);
}

#[test]
fn a_request_by_cookie_is_refused_reported_or_forgotten() {
    let mut scene = Scene::new(with_listener(ListenerConfig {
        cookies: SynCookies::Always,
        accept_queue_max: 2,
        ..ListenerConfig::default()
    }));
    let next = |scene: &mut Scene| {
        let theirs = scene.connect(somewhere());
        assert_eq!(scene.phase_of(theirs), Phase::Established);
        (
            theirs,
            scene.forwarder.poll_forward_request().unwrap().tuple,
        )
    };
    let (theirs, tuple) = next(&mut scene);
    scene.forwarder.refuse_forward(scene.now, &tuple);
    scene.exchange();
    assert_eq!(scene.error_of(theirs), Some(ConnectionError::Reset));

    let (theirs, tuple) = next(&mut scene);
    let why = Unreachable::Prohibited;
    scene.forwarder.forward_unreachable(scene.now, &tuple, why);
    scene.exchange();
    assert_eq!(scene.client.counters().icmp_received, 0, "too late for it");
    assert_eq!(scene.error_of(theirs), Some(ConnectionError::Reset));

    let (theirs, tuple) = next(&mut scene);
    scene.forwarder.drop_forward(&tuple);
    scene.exchange();
    assert_eq!(scene.forwarder.forward_requests(), 0);
    assert_eq!(scene.phase_of(theirs), Phase::Established, "nobody told it");
    scene.client.write(scene.now, theirs, b"anybody?").unwrap();
    scene.exchange();
    let again = scene.forwarder.poll_forward_request().unwrap();
    assert!(again.established && again.tuple == tuple);

    // One waits; one more may; the next is reset at once, so that it does not wait for a server that never speaks.
    next(&mut scene);
    let late = scene.connect(somewhere());
    assert!(
        scene
            .client
            .connection(late)
            .is_none_or(|c| c.phase() != Phase::Established)
    );
    assert_eq!(scene.forwarder.forward_requests(), 2);
    assert!(scene.counters().accept_queue_full > 0);

    // What is undecided at the end is reset, and leaves nothing behind.
    scene.forwarder.stop_forwarding(scene.now);
    scene.exchange();
    assert_eq!(scene.error_of(theirs), Some(ConnectionError::Reset));
    assert_eq!(scene.forwarder.sockets().count(), 0);
}

#[test]
fn a_request_by_cookie_whose_client_goes_away_says_so() {
    let mut scene = Scene::new(with_listener(ListenerConfig {
        cookies: SynCookies::Always,
        ..ListenerConfig::default()
    }));
    let theirs = scene.connect(somewhere());
    let request = scene.forwarder.poll_forward_request().unwrap();
    scene.client.abort(scene.now, theirs);
    scene.exchange();
    let ours = scene.accept(&request);
    let connection = scene.forwarder.connection(ours).unwrap();
    assert_eq!(connection.error(), Some(ConnectionError::Reset));
}

#[test]
fn sources_have_limits_also_where_everything_is_forwarded() {
    let limits = Limits {
        established_max: Some(1),
        half_open_max: Some(2),
        ..Limits::default()
    };
    let mut scene = Scene::new(with_listener(ListenerConfig {
        limits,
        ..ListenerConfig::default()
    }));
    for _ in 0..3 {
        scene.connect(somewhere());
    }
    // The third is over the budget of its source and gets a cookie; it proves itself at once and takes the one place.
    let counters = scene.counters();
    assert_eq!(
        (counters.limit_half_open, counters.limit_do_cookies),
        (1, 1)
    );
    assert_eq!(counters.established, 1);
    // The first completes its handshake too late.
    let first = scene.forwarder.poll_forward_request().unwrap();
    let ours = scene.accept(&first);
    scene.exchange();
    let ended = scene.forwarder.connection(ours).unwrap();
    assert_eq!(ended.phase(), Phase::Closed);
    assert_eq!(scene.counters().limit_established, 1);
    // Decided requests free their source's budget.
    let second = scene.forwarder.poll_forward_request().unwrap();
    scene.forwarder.drop_forward(&second.tuple);
    let third = scene.forwarder.poll_forward_request().unwrap();
    scene.forwarder.refuse_forward(scene.now, &third.tuple);
    scene.exchange();
    scene.connect(somewhere());
    assert_eq!(scene.counters().limit_half_open, 1);
    let fresh = scene.forwarder.poll_forward_request().unwrap();
    let ours = scene.accept(&fresh);
    scene.exchange();
    assert_eq!(
        scene.forwarder.connection(ours).unwrap().phase(),
        Phase::Established
    );
    assert_eq!(scene.counters().established, 2);
}

#[test]
fn a_cookie_brought_back_takes_the_place_of_the_request_made_since() {
    let limits = Limits {
        half_open_max: Some(1),
        ..Limits::default()
    };
    let mut scene = Scene::new(with_listener(ListenerConfig {
        syn_queue_max: 1,
        limits,
        ..ListenerConfig::default()
    }));
    scene.forge(1);
    let stranger = scene.forwarder.poll_forward_request().unwrap();
    // The cookie for the first SYN is on its way for longer than the client waits.
    let options = ConnectOptions::default();
    let theirs = scene.client.connect(scene.now, somewhere(), options);
    let (_, syn) = scene.client.poll_transmit(scene.now).unwrap();
    scene.forwarder.handle_packet(scene.now, scene.wire, syn);
    let (_, cookie) = scene.forwarder.poll_transmit(scene.now).unwrap();
    scene.exchange();
    scene.forwarder.drop_forward(&stranger.tuple);
    scene.pass(Duration::from_secs(1));
    assert_eq!(scene.forwarder.forward_requests(), 1);
    scene.client.handle_packet(scene.now, scene.wire, cookie);
    scene.exchange();
    assert_eq!(scene.phase_of(theirs.unwrap()), Phase::Established);
    let request = scene.forwarder.poll_forward_request().unwrap();
    assert!(request.established);
    assert!(scene.forwarder.poll_forward_request().is_none());
    // Its source has nothing half open any more.
    scene.connect(somewhere());
    assert_eq!(scene.forwarder.forward_requests(), 2);
    assert_eq!(scene.counters().limit_half_open, 0);
}

#[test]
fn accepted_connections_outlive_forwarding_to_the_end_of_time_wait() {
    let mut scene = Scene::new(ForwardLimits::default());
    let theirs = scene.connect(somewhere());
    let request = scene.forwarder.poll_forward_request().unwrap();
    let ours = scene.accept(&request);
    scene.exchange();
    scene.forwarder.stop_forwarding(scene.now);
    scene
        .client
        .write(scene.now, theirs, b"still there?")
        .unwrap();
    scene.exchange();
    let mut buffer = [0; 16];
    assert_eq!(scene.forwarder.read(scene.now, ours, &mut buffer), Ok(12));

    // Others who write to that address are not heard, and hear nothing.
    let answers = scene.answers;
    let socket = scene.client.udp_bind(None, 5_000).unwrap();
    scene
        .client
        .udp_send_to(scene.now, socket, somewhere(), b"you too?".to_vec())
        .unwrap();
    let late = scene.connect(somewhere());
    assert_eq!(scene.phase_of(late), Phase::SynSent);
    assert_eq!(scene.answers, answers);
    assert_eq!(scene.forwarder.counters().ip_foreign_address, 2);
    scene.client.abort(scene.now, late);

    // The side that closes first waits, and still answers.
    scene.forwarder.close(scene.now, ours);
    scene.forwarder.release(scene.now, ours);
    scene.exchange();
    scene.client.close(scene.now, theirs);
    scene.exchange();
    assert_eq!(scene.forwarder.sockets().count(), 1, "TIME-WAIT");
    scene.pass(Duration::from_secs(300));
    assert_eq!(scene.forwarder.sockets().count(), 0);
    let before = scene.forwarder.counters().ip_foreign_address;
    scene.connect(somewhere());
    assert_eq!(scene.forwarder.counters().ip_foreign_address, before + 1);
}

#[test]
fn a_request_that_reopens_time_wait_begins_beyond_the_last_connection() {
    // RFC 6191, RFC 9293 3.10.7.4 [MAY-2]
    let mut scene = Scene::new(ForwardLimits::default());
    let options = ConnectOptions {
        local_port: Some(40_000),
        ..ConnectOptions::default()
    };
    let connect = |scene: &mut Scene| {
        let id = scene
            .client
            .connect(scene.now, somewhere(), options.clone())
            .unwrap();
        scene.exchange();
        let request = scene.forwarder.poll_forward_request().expect("a request");
        (id, scene.accept(&request))
    };
    let (theirs, ours) = connect(&mut scene);
    scene.exchange();
    // Far more than the clock of ISNs runs ahead meanwhile.
    let mut buffer = vec![0; 1 << 16];
    for _ in 0..100 {
        scene
            .forwarder
            .write(scene.now, ours, &buffer[..1 << 14])
            .unwrap();
        scene.exchange();
        while scene
            .client
            .read(scene.now, theirs, &mut buffer)
            .is_ok_and(|n| n > 0)
        {}
        scene.exchange();
    }
    scene.forwarder.close(scene.now, ours);
    scene.forwarder.release(scene.now, ours);
    scene.exchange();
    scene.client.close(scene.now, theirs);
    scene.client.release(scene.now, theirs);
    scene.exchange();
    scene.pass(Duration::from_millis(10));

    let end = scene.last;
    let (_, ours) = connect(&mut scene);
    scene.exchange();
    let phase = scene.forwarder.connection(ours).unwrap().phase();
    assert_eq!(phase, Phase::Established);
    assert_eq!(scene.forwarder.counters().time_waits_recycled, 1);
    assert!(scene.iss.after(end), "{:?} after {end:?}", scene.iss);
}
