//! Two endpoints, a link with a fixed delay, and virtual time: `step()` jumps to the next thing that happens.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "each test file uses its own part of the harness"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use handwave_tcp::{
    Config, Connection, Context, Endpoint, Events, Host, Instant, ListenVerdict, Listener,
    ListenerConfig, Path, Phase, ReceiveError, Secrets, SegmentIn, SegmentOut, TimeWait,
    TimeWaitVerdict, Tuple,
};

/// Which end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    A,
    B,
}

impl Side {
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// Decides whether a segment is lost: sees its number on the wire (from 0), who sent it, and the segment.
pub type Loss = Box<dyn FnMut(usize, Side, &SegmentOut) -> bool>;

/// One host: at most one connection, at most one listener.
pub struct End {
    pub host: Host,
    pub config: Arc<Config>,
    pub connection: Option<Connection>,
    pub listener: Option<Listener>,
    pub time_wait: Option<(TimeWait, Instant)>,
    pub received: Vec<u8>,
    pub saw_end: bool,
    pub events: Events,
    pub reads: bool,
    /// Text still to be written.
    pub to_write: Vec<u8>,
}

pub struct Pair {
    pub now: Instant,
    pub delay: Duration,
    pub a: End,
    pub b: End,
    pub tuple: Tuple,
    pub path: Path,
    pub loss: Loss,
    pub wire: BTreeMap<(Instant, u64), (Side, SegmentOut)>,
    pub sent: usize,
    pub log: Vec<(Instant, Side, SegmentOut, bool)>,
}

impl End {
    fn new(seed: u64, config: Config) -> Self {
        Self {
            host: Host::new(Secrets::from_seed(seed)),
            config: Arc::new(config),
            connection: None,
            listener: None,
            time_wait: None,
            received: Vec::new(),
            saw_end: false,
            events: Events::NONE,
            reads: true,
            to_write: Vec::new(),
        }
    }

    pub fn connection(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("a connection")
    }

    pub fn phase(&self) -> Phase {
        match (&self.connection, &self.listener) {
            (Some(connection), _) => connection.phase(),
            (None, Some(listener)) if listener.half_open() > 0 => Phase::SynReceived,
            (None, Some(_)) => Phase::Listen,
            (None, None) => Phase::Closed,
        }
    }
}

impl Pair {
    /// A is to connect to B, which listens.
    pub fn new(config: Config) -> Self {
        Self::with(config.clone(), config)
    }

    pub fn with(a: Config, b: Config) -> Self {
        let end = |last, port| Endpoint::new([192, 0, 2, last].into(), port);
        let mut pair = Self {
            now: Instant::from_secs(1000),
            delay: Duration::from_millis(10),
            a: End::new(1, a),
            b: End::new(2, b),
            tuple: Tuple::new(end(1, 49152), end(2, 80)),
            path: Path::with_mtu(1500),
            loss: Box::new(|_, _, _| false),
            wire: BTreeMap::new(),
            sent: 0,
            log: Vec::new(),
        };
        let secrets = pair.b.host.secrets.clone();
        pair.b.listener = Some(Listener::new(
            Arc::clone(&pair.b.config),
            ListenerConfig::default(),
            &secrets,
        ));
        pair
    }

    pub fn end(&mut self, side: Side) -> &mut End {
        match side {
            Side::A => &mut self.a,
            Side::B => &mut self.b,
        }
    }

    fn tuple_of(&self, side: Side) -> Tuple {
        match side {
            Side::A => self.tuple,
            Side::B => self.tuple.reversed(),
        }
    }

    /// Active OPEN.
    pub fn open(&mut self, side: Side) {
        let (tuple, path, now) = (self.tuple_of(side), self.path, self.now);
        let end = self.end(side);
        let config = Arc::clone(&end.config);
        end.connection = Some(*Connection::connect(
            &mut Context::new(now, &mut end.host),
            config,
            tuple,
            path,
        ));
        self.drain(side);
    }

    /// Handshake to the end.
    pub fn established(config: Config) -> Self {
        let mut pair = Self::new(config);
        pair.connect();
        pair
    }

    pub fn connect(&mut self) {
        self.open(Side::A);
        self.run_for(Duration::from_millis(100));
        assert_eq!(
            (self.a.phase(), self.b.phase()),
            (Phase::Established, Phase::Established)
        );
    }

    /// A call on one side's connection, then the drain that the contract asks for.
    pub fn call<R>(
        &mut self,
        side: Side,
        call: impl FnOnce(&mut Connection, &mut Context<'_>) -> R,
    ) -> R {
        let now = self.now;
        let end = self.end(side);
        let connection = end.connection.as_mut().expect("a connection");
        let result = call(connection, &mut Context::new(now, &mut end.host));
        self.drain(side);
        result
    }

    pub fn write(&mut self, side: Side, data: &[u8]) {
        self.end(side).to_write.extend_from_slice(data);
        self.drain(side);
    }

    pub fn close(&mut self, side: Side) {
        self.call(side, Connection::close);
    }

    /// Puts what a side has to send on the wire, lets it write and read, until nothing changes.
    pub fn drain(&mut self, side: Side) {
        loop {
            self.exchange_with_application(side);
            let mut any = false;
            while let Some(segment) = self.poll(side) {
                any = true;
                self.transmit(side, segment);
            }
            if !any {
                break;
            }
        }
        let now = self.now;
        let end = self.end(side);
        if let Some(record) = end
            .connection
            .as_mut()
            .and_then(|c| c.take_time_wait(&mut Context::new(now, &mut end.host)))
        {
            end.time_wait = Some(record);
        }
    }

    fn poll(&mut self, side: Side) -> Option<SegmentOut> {
        let now = self.now;
        let end = self.end(side);
        let mut cx = Context::new(now, &mut end.host);
        if let Some(listener) = &mut end.listener
            && let Some((_, segment)) = listener.poll_transmit(&mut cx)
        {
            return Some(segment);
        }
        end.connection.as_mut()?.poll_transmit(&mut cx)
    }

    fn exchange_with_application(&mut self, side: Side) {
        let now = self.now;
        let end = self.end(side);
        let Some(connection) = &mut end.connection else {
            return;
        };
        let mut cx = Context::new(now, &mut end.host);
        end.events |= connection.take_events();
        if !end.to_write.is_empty()
            && let Ok(taken) = connection.write(&mut cx, &end.to_write)
        {
            end.to_write.drain(..taken);
        }
        let mut buffer = [0; 8192];
        while end.reads && !connection.is_released() {
            match connection.read(&mut cx, &mut buffer) {
                Ok(0) => {
                    end.saw_end = true;
                    break;
                }
                Ok(n) => end.received.extend_from_slice(&buffer[..n]),
                Err(ReceiveError::WouldBlock | ReceiveError::Lost(_)) => break,
            }
        }
    }

    fn transmit(&mut self, side: Side, segment: SegmentOut) {
        let lost = (self.loss)(self.sent, side, &segment);
        self.log.push((self.now, side, segment.clone(), lost));
        if !lost {
            self.wire.insert(
                (self.now + self.delay, self.sent as u64),
                (side.other(), segment),
            );
        }
        self.sent += 1;
    }

    /// Hands a segment to a side as if it came from the wire.
    pub fn inject(&mut self, side: Side, segment: SegmentIn) {
        self.deliver(side, segment);
        self.drain(side);
    }

    fn deliver(&mut self, side: Side, segment: SegmentIn) {
        let (now, tuple, path) = (self.now, self.tuple_of(side), self.path);
        let end = self.end(side);
        let mut cx = Context::new(now, &mut end.host);
        let mut floor = None;
        if let Some((record, deadline)) = &mut end.time_wait {
            match record.handle_segment(&mut cx, &segment) {
                TimeWaitVerdict::Dropped(_) => return,
                TimeWaitVerdict::Renewed { until } => {
                    *deadline = until;
                    return;
                }
                TimeWaitVerdict::Reply { segment, until, .. } => {
                    *deadline = until.unwrap_or(*deadline);
                    return self.transmit(side, segment);
                }
                TimeWaitVerdict::Reopen { iss_floor, .. } => {
                    floor = Some(iss_floor);
                    end.time_wait = None;
                    end.connection = None;
                }
                TimeWaitVerdict::Closed => {
                    end.time_wait = None;
                    return;
                }
            }
        }
        if let Some(connection) = &mut end.connection {
            connection.handle_segment(&mut cx, segment);
        } else if let Some(listener) = &mut end.listener {
            match listener.handle_segment(&mut cx, tuple, path, segment, floor) {
                ListenVerdict::Established(connection) => end.connection = Some(*connection),
                ListenVerdict::Reset(reply) | ListenVerdict::Cookie(reply) => {
                    self.transmit(side, reply.segment(&tuple));
                }
                ListenVerdict::Queued | ListenVerdict::Dropped(_) => {}
            }
        } else if let Some(segment) = handwave_tcp::reply_to_closed(
            &end.config,
            tuple,
            &segment.header,
            segment.payload.len(),
        ) {
            self.transmit(side, segment);
        }
    }

    fn timeout_of(&self, side: Side) -> Option<Instant> {
        let end = match side {
            Side::A => &self.a,
            Side::B => &self.b,
        };
        let connection = end.connection.as_ref().and_then(Connection::poll_timeout);
        let listener = end.listener.as_ref().and_then(Listener::poll_timeout);
        let record = end.time_wait.as_ref().map(|(_, deadline)| *deadline);
        [connection, listener, record].into_iter().flatten().min()
    }

    /// Jumps to the next event; `false` when nothing will ever happen.
    pub fn step(&mut self) -> bool {
        let arrival = self.wire.first_key_value().map(|(&(at, _), _)| at);
        let timers = [self.timeout_of(Side::A), self.timeout_of(Side::B)];
        let Some(next) = timers.into_iter().chain([arrival]).flatten().min() else {
            return false;
        };
        self.now = self.now.max(next);
        while let Some(entry) = self.wire.first_entry()
            && entry.key().0 <= self.now
        {
            let (side, segment) = entry.remove();
            self.deliver(side, SegmentIn::new(segment.header, segment.payload));
            self.drain(side);
        }
        for side in [Side::A, Side::B] {
            if self.timeout_of(side).is_some_and(|at| at <= self.now) {
                let now = self.now;
                let end = self.end(side);
                let mut cx = Context::new(now, &mut end.host);
                if let Some(connection) = &mut end.connection {
                    connection.handle_timeout(&mut cx);
                }
                if let Some(listener) = &mut end.listener {
                    listener.handle_timeout(&mut cx);
                }
                if end
                    .time_wait
                    .as_ref()
                    .is_some_and(|(_, deadline)| *deadline <= now)
                {
                    end.time_wait = None;
                }
                self.drain(side);
            }
        }
        true
    }

    /// Runs everything that happens within `span`.
    pub fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        while self.next_event().is_some_and(|at| at <= end) {
            self.step();
        }
        self.now = end;
    }

    fn next_event(&self) -> Option<Instant> {
        let arrival = self.wire.first_key_value().map(|(&(at, _), _)| at);
        [arrival, self.timeout_of(Side::A), self.timeout_of(Side::B)]
            .into_iter()
            .flatten()
            .min()
    }

    /// Runs until nothing is left to happen.
    pub fn run(&mut self) {
        for _ in 0..1_000_000 {
            if !self.step() {
                return;
            }
        }
        unreachable!("never comes to rest:\n{}", self.ladder());
    }

    /// What was on the wire, one line each, numbers relative to the initial ones.
    pub fn ladder(&self) -> String {
        let mut base = BTreeMap::new();
        let mut out = String::new();
        for (at, side, segment, lost) in &self.log {
            let header = &segment.header;
            let mine = *base.entry(*side).or_insert(header.seq);
            let theirs = base.get(&side.other()).copied().unwrap_or_default();
            let ack = if header.ack.raw() == 0 {
                0
            } else {
                header.ack.since(theirs)
            };
            let arrow = if *side == Side::A { "A>B" } else { "B>A" };
            let _ = writeln!(
                out,
                "{at} {arrow} {} seq {} ack {ack} win {} len {}{}",
                header.flags,
                header.seq.since(mine),
                header.window,
                segment.payload.len(),
                if *lost { " LOST" } else { "" }
            );
        }
        out
    }

    /// Flags of everything sent so far, such as `A:S B:S. A:.`.
    pub fn flags(&self) -> String {
        let names = self
            .log
            .iter()
            .map(|(_, side, segment, _)| format!("{side:?}:{}", segment.header.flags));
        names.collect::<Vec<_>>().join(" ")
    }

    pub fn forget_log(&mut self) {
        self.log.clear();
    }
}

/// Octets that tell where they belong.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0])
        .collect()
}
