//! Two stacks, the path between them, and the clock: everything runs in virtual time.
//!
//! A scenario calls the sockets of both hosts and lets time pass with [`World::until`]. Meanwhile the world records what
//! the story needs: both traces, the journey of each segment, and if asked its octets.

mod tap;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use handwave_packet::PacketBuf;
use handwave_sim::{Delivery, Fate as LinkFate, Link, Rng};
use handwave_stack::{
    ConnectOptions, ConnectionId, InterfaceConfig, InterfaceId, ListenerId, Prefix, Stack,
    StackConfig,
};
use handwave_story::{Fate, Side, Transit};
use handwave_tcp::trace::{TraceEntry, TraceEvent, Tracer, UserCall};
use handwave_tcp::{Config, Endpoint, Instant, ListenerConfig, Secrets};
use handwave_wire::TcpHeader;

pub(crate) use self::tap::Tapped;
use self::tap::{Tap, Whose};
use crate::args::NetworkArgs;

/// The port the server listens on: one that no dissector of Wireshark claims, since what is sent is no protocol.
pub(crate) const SERVER_PORT: u16 = 4_000;
/// The port the client connects from: the first ephemeral one, so that every run looks alike.
pub(crate) const CLIENT_PORT: u16 = 49_152;
/// No scenario waits longer than this in virtual time; TCP itself gives up long before.
const TIME_MAX: Duration = Duration::from_secs(24 * 3600);

/// Why a scenario could not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stuck {
    /// Nothing more will ever happen.
    Silent,
    /// A day has passed.
    TooLong,
    /// A socket call failed.
    Socket(String),
}

/// Decides whether a segment is lost on purpose.
pub(crate) type Sink = Box<dyn FnMut(Side, &TcpHeader, usize) -> bool>;

/// Both hosts and all between them.
pub(crate) struct World {
    pub(crate) now: Instant,
    hosts: [Host; 2],
    links: [Link; 2],
    tap: Tap,
    sink: Option<Sink>,
}

struct Host {
    stack: Stack,
    interface: InterfaceId,
    endpoint: Endpoint,
    trace: Recorder,
}

/// Keeps the trace entries a story is made of.
#[derive(Clone, Debug, Default)]
struct Recorder(Arc<Mutex<Vec<TraceEntry>>>);

impl Tracer for Recorder {
    fn record(&mut self, entry: &TraceEntry) {
        // Calls that move data tell nothing that segments do not, and are as many.
        if !matches!(
            entry.event,
            TraceEvent::Call(UserCall::Send(_) | UserCall::Receive(_))
        ) {
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(entry.clone());
        }
    }
}

impl World {
    /// Sets up both hosts and the path; `tcp` configures the connections of both.
    pub(crate) fn new(network: &NetworkArgs, tcp: &Config, keep_octets: bool) -> Self {
        let mut rng = Rng::from_seed(network.seed);
        let host = |side: Side, seed: u64| {
            let config = StackConfig {
                tcp: Arc::new(tcp.clone()),
                ..StackConfig::default()
            };
            let mut stack = Stack::new(config, Secrets::from_seed(seed), Instant::ZERO);
            let endpoint = endpoint(side, network.ipv6);
            let prefix = Prefix::new(endpoint.addr, if network.ipv6 { 64 } else { 24 });
            let interface = stack
                .add_interface(InterfaceConfig::ip(network.mtu, [prefix]))
                .unwrap_or_else(|error| unreachable!("a fixed address and a checked MTU: {error}"));
            let trace = Recorder::default();
            stack.host_mut().set_tracer(Some(Box::new(trace.clone())));
            Host {
                stack,
                interface,
                endpoint,
                trace,
            }
        };
        let hosts = [host(Side::A, rng.next_u64()), host(Side::B, rng.next_u64())];
        let links = [(); 2].map(|()| Link::new(network.path.link(network.mtu, None), rng.fork()));
        let tap = Tap::new(keep_octets);
        Self {
            now: Instant::ZERO,
            hosts,
            links,
            tap,
            sink: None,
        }
    }

    /// Loses the segments that `sink` picks, whatever the links do.
    pub(crate) fn lose(&mut self, sink: impl FnMut(Side, &TcpHeader, usize) -> bool + 'static) {
        self.sink = Some(Box::new(sink));
    }

    pub(crate) fn endpoint(&self, side: Side) -> Endpoint {
        self.hosts[side.index()].endpoint
    }

    /// The stack of one side, for socket calls at [`now`](Self::now).
    pub(crate) fn stack(&mut self, side: Side) -> &mut Stack {
        &mut self.hosts[side.index()].stack
    }

    pub(crate) fn listen(&mut self, side: Side) -> Result<ListenerId, Stuck> {
        let port = self.endpoint(side).port;
        self.stack(side)
            .listen(port, ListenerConfig::default())
            .map_err(socket)
    }

    /// Begins a connection to the other side, from the side's own fixed port.
    pub(crate) fn connect(&mut self, side: Side) -> Result<ConnectionId, Stuck> {
        let (now, local) = (self.now, self.endpoint(side));
        let remote = self.endpoint(side.other());
        let options = ConnectOptions {
            local_port: Some(local.port),
            ..ConnectOptions::default()
        };
        self.stack(side)
            .connect(now, remote, options)
            .map_err(socket)
    }

    /// Lets time pass until `done` holds; `done` may call the sockets of both sides.
    pub(crate) fn until(
        &mut self,
        mut done: impl FnMut(&mut Self) -> Result<bool, Stuck>,
    ) -> Result<(), Stuck> {
        loop {
            // What the applications cause next may still travel with what is owed already.
            if done(self)? {
                return Ok(());
            }
            self.drain();
            if !self.advance(None) {
                return Err(Stuck::Silent);
            }
            if self.now > Instant::ZERO + TIME_MAX {
                return Err(Stuck::TooLong);
            }
        }
    }

    /// Lets a span of time pass.
    pub(crate) fn wait(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            self.drain();
            if !self.advance(Some(end)) {
                break;
            }
        }
        self.now = end;
    }

    /// Lets time pass until nothing more will happen.
    pub(crate) fn settle(&mut self) {
        let end = self.now + TIME_MAX;
        loop {
            self.drain();
            if !self.advance(Some(end)) {
                return;
            }
        }
    }

    /// Slips a packet that nobody sent into the network; it arrives at once, from `from`.
    pub(crate) fn inject(&mut self, from: Side, packet: PacketBuf) {
        self.drain();
        self.tap.injected(self.now, from, &packet);
        self.deliver(from.other(), packet);
    }

    /// Puts what the hosts have to send on its way.
    pub(crate) fn drain(&mut self) {
        for from in Side::BOTH {
            while let Some((_, packet)) = self.hosts[from.index()].stack.poll_transmit(self.now) {
                self.launch(from, packet);
            }
        }
    }

    fn launch(&mut self, from: Side, packet: PacketBuf) {
        let segment = tap::segment(&packet);
        let sunk = match (&mut self.sink, &segment) {
            (Some(sink), Some((header, len))) => sink(from, header, *len),
            _ => false,
        };
        let kept = packet.clone();
        let fate = if sunk {
            LinkFate::Lost
        } else {
            self.links[from.index()].send(self.now, packet)
        };
        self.tap
            .departed(self.now, Whose { from, segment }, kept, &fate);
    }

    /// Moves on to the next thing that happens, at `end` at the latest; false if nothing does.
    ///
    /// One packet at a time: answers to packets of the same moment are not merged, as if each raised an interrupt.
    fn advance(&mut self, end: Option<Instant>) -> bool {
        let arrival = |side: Side| Some((self.links[side.index()].next_deadline()?, side));
        let arrival = Side::BOTH
            .into_iter()
            .filter_map(arrival)
            .min_by_key(|(at, _)| *at);
        let timer = self
            .hosts
            .iter()
            .filter_map(|host| host.stack.poll_timeout())
            .min();
        let next = match (arrival, timer) {
            (Some((at, _)), Some(timer)) => at.min(timer),
            (Some((at, _)), None) => at,
            (None, Some(timer)) => timer,
            (None, None) => return false,
        };
        if end.is_some_and(|end| next > end) {
            return false;
        }
        self.now = self.now.max(next);
        match arrival {
            Some((at, from)) if at <= self.now => {
                if let Some(packet) = self.links[from.index()].poll(self.now) {
                    self.tap.arrived(self.now, from, &packet);
                    self.deliver(from.other(), packet);
                }
            }
            _ => {
                for host in &mut self.hosts {
                    host.stack.handle_timeout(self.now);
                }
            }
        }
        true
    }

    fn deliver(&mut self, to: Side, packet: PacketBuf) {
        let host = &mut self.hosts[to.index()];
        host.stack.handle_packet(self.now, host.interface, packet);
    }

    /// What was recorded: both traces, the journeys, and the octets on the first side's interface.
    pub(crate) fn into_records(self) -> ([Vec<TraceEntry>; 2], Vec<Transit>, Vec<Tapped>) {
        let traces = self.hosts.map(|host| {
            std::mem::take(&mut *host.trace.0.lock().unwrap_or_else(PoisonError::into_inner))
        });
        let (transits, tapped) = self.tap.into_records();
        (traces, transits, tapped)
    }
}

/// Hands a chunk to a socket and returns what it did not take.
pub(crate) fn rest(chunk: &Bytes, taken: usize) -> Bytes {
    chunk.slice(taken.min(chunk.len())..)
}

pub(crate) fn socket(error: impl ToString) -> Stuck {
    Stuck::Socket(error.to_string())
}

fn endpoint(side: Side, ipv6: bool) -> Endpoint {
    let (last, port) = match side {
        Side::A => (1, CLIENT_PORT),
        Side::B => (2, SERVER_PORT),
    };
    let addr = if ipv6 {
        [0xfd00, 0, 0, 0, 0, 0, 0, u16::from(last)].into()
    } else {
        [10, 0, 0, last].into()
    };
    Endpoint::new(addr, port)
}

/// How a link's word about a packet reads in a story.
fn fate(fate: &LinkFate) -> Fate {
    match fate {
        LinkFate::Queued(Delivery {
            corrupted: true, ..
        }) => Fate::Corrupted,
        LinkFate::Queued(Delivery { at, copy_at, .. }) => {
            let (first, copies) = match *copy_at {
                Some(copy) if copy < *at => (copy, vec![*at]),
                Some(copy) => (*at, vec![copy]),
                None => (*at, Vec::new()),
            };
            Fate::Arrived { at: first, copies }
        }
        LinkFate::Lost | LinkFate::QueueFull | LinkFate::TooBig { .. } => Fate::Lost,
    }
}
