//! [`World`]: hosts that run the real stack, joined by links, in virtual time.
//!
//! The world holds the only clock. [`World::step`] jumps to the next moment at which anything is due (a packet arrives, a
//! stack's timer expires, an alarm rings), lets exactly that one thing happen, and carries what the host sends in answer to
//! the links. Applications live outside: after each step the caller looks at the host that was touched, calls into its
//! stack, and then calls [`World::flush`].
//!
//! The same hosts, links, seeds and calls give the same packets at the same times.

mod balancer;
pub mod router;
mod tap;

pub use balancer::Balancer;
pub use tap::{Crossing, Tap};

use crate::{Fate, Link, LinkConfig, Rng};
use core::net::IpAddr;
use core::time::Duration;
use handwave_packet::{PacketBuf, split};
use handwave_stack::{InterfaceId, Stack};
use handwave_tcp::time::Instant;
use std::collections::{BTreeMap, VecDeque};

/// Names a host of a [`World`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub(crate) usize);

impl HostId {
    /// The host's number, counted from 0 in the order of [`World::add_host`].
    #[must_use]
    pub const fn index(self) -> usize {
        self.0
    }
}

/// What [`World::step`] let happen, and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Happening {
    /// The host that was touched.
    pub host: HostId,
    /// What touched it.
    pub cause: Cause,
}

/// What touched a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A packet arrived.
    Packet,
    /// A timer of its stack expired.
    Timer,
    /// The alarm that the caller had set.
    Alarm,
}

/// Hosts and links under one virtual clock.
#[derive(Debug, Default)]
pub struct World {
    now: Instant,
    hosts: Vec<Host>,
    wires: Vec<Wire>,
    /// Who owns an address.
    owners: BTreeMap<IpAddr, HostId>,
    /// Who shares an address.
    balancers: BTreeMap<IpAddr, Balancer>,
    /// The wire from one host to another.
    routes: BTreeMap<(HostId, HostId), usize>,
    tap: Option<Box<dyn Tap>>,
    /// How long arrivals are collected before they are handed over; none are if absent.
    moderation: Option<Duration>,
    /// Packets from nowhere, for a host, not yet handed over.
    injected: VecDeque<(HostId, PacketBuf)>,
    unroutable: u64,
}

#[derive(Debug)]
struct Host {
    stack: Stack,
    interface: InterfaceId,
    alarm: Option<Instant>,
}

#[derive(Debug)]
struct Wire {
    from: HostId,
    to: HostId,
    link: Link,
}

/// Whose deadline is next.
#[derive(Clone, Copy, Debug)]
enum Due {
    Injection,
    Arrival(usize),
    Timer(HostId),
    Alarm(HostId),
}

impl World {
    /// An empty world at [`Instant::ZERO`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty world at another time: clocks that sequence numbers and timestamps follow may be about to wrap.
    #[must_use]
    pub fn starting_at(now: Instant) -> Self {
        Self {
            now,
            ..Self::default()
        }
    }

    /// Lets hosts receive as through a network card that moderates its interrupts: what arrives within `span` of the first
    /// packet is handed over with it, in one batch. `None`, the default, hands over each packet alone when it arrives.
    pub const fn set_moderation(&mut self, span: Option<Duration>) {
        self.moderation = span;
    }

    /// Puts a packet in front of a host out of nowhere; the next step hands it over.
    pub fn inject(&mut self, to: HostId, packet: PacketBuf) {
        self.injected.push_back((to, packet));
    }

    /// Adds a host whose packets leave by `interface`, to be reached at `addresses`.
    pub fn add_host(
        &mut self,
        stack: Stack,
        interface: InterfaceId,
        addresses: impl IntoIterator<Item = IpAddr>,
    ) -> HostId {
        let host = HostId(self.hosts.len());
        self.owners
            .extend(addresses.into_iter().map(|addr| (addr, host)));
        self.hosts.push(Host {
            stack,
            interface,
            alarm: None,
        });
        host
    }

    /// Spreads what is sent to `addr` over several hosts, each of which has that address.
    pub fn balance(&mut self, addr: IpAddr, balancer: Balancer) {
        self.balancers.insert(addr, balancer);
    }

    /// Who takes a packet, judged by its destination.
    #[must_use]
    pub fn taker(&self, packet: &PacketBuf) -> Option<HostId> {
        let addr = router::destination(packet)?;
        match self.balancers.get(&addr) {
            Some(balancer) => balancer.pick(packet),
            None => self.owners.get(&addr).copied(),
        }
    }

    /// Hands a packet from nowhere over to whoever takes it, at once, and carries the answer. Returns to whom.
    pub fn hand_over(&mut self, packet: PacketBuf) -> Option<HostId> {
        let to = self.taker(&packet)?;
        let Host {
            stack, interface, ..
        } = &mut self.hosts[to.0];
        stack.handle_packet(self.now, *interface, packet);
        self.flush(to);
        Some(to)
    }

    /// Joins two hosts by a link each way: `configs[0]` from `first` to `second`, `configs[1]` back.
    pub fn join(&mut self, first: HostId, second: HostId, configs: [LinkConfig; 2], rng: &mut Rng) {
        let ways = [(first, second), (second, first)];
        for ((from, to), config) in ways.into_iter().zip(configs) {
            self.routes.insert((from, to), self.wires.len());
            self.wires.push(Wire {
                from,
                to,
                link: Link::new(config, rng.fork()),
            });
        }
    }

    /// Shows every packet that enters or leaves a link to `tap`.
    pub fn set_tap(&mut self, tap: Option<Box<dyn Tap>>) {
        self.tap = tap;
    }

    /// The virtual time.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// A host's stack.
    #[must_use]
    pub fn stack(&self, host: HostId) -> &Stack {
        &self.hosts[host.0].stack
    }

    /// A host's stack, to call into. [`flush`](Self::flush) the host afterwards.
    pub fn stack_mut(&mut self, host: HostId) -> &mut Stack {
        &mut self.hosts[host.0].stack
    }

    /// The link from one host to another.
    #[must_use]
    pub fn link(&self, from: HostId, to: HostId) -> Option<&Link> {
        self.routes
            .get(&(from, to))
            .map(|wire| &self.wires[*wire].link)
    }

    /// The link from one host to another, to change its conditions.
    pub fn link_mut(&mut self, from: HostId, to: HostId) -> Option<&mut Link> {
        self.routes
            .get(&(from, to))
            .map(|wire| &mut self.wires[*wire].link)
    }

    /// Sets or clears the moment at which a step is made for `host` though nothing happens to it.
    pub fn set_alarm(&mut self, host: HostId, at: Option<Instant>) {
        self.hosts[host.0].alarm = at;
    }

    /// Packets under way on all links.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.wires.iter().map(|wire| wire.link.in_flight()).sum()
    }

    /// Packets to an address that no link leads to; they are dropped.
    #[must_use]
    pub const fn unroutable(&self) -> u64 {
        self.unroutable
    }

    /// When the next thing happens, if anything ever does.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.next_due().map(|(at, _)| at.max(self.now))
    }

    /// Lets the next thing happen, advancing the clock to it; `None` when nothing is due, ever.
    pub fn step(&mut self) -> Option<Happening> {
        let (at, due) = self.next_due()?;
        self.now = self.now.max(at);
        let (host, cause) = match due {
            Due::Injection => (self.deliver_injected(), Cause::Packet),
            Due::Arrival(wire) => (self.deliver(wire), Cause::Packet),
            Due::Timer(host) => {
                self.hosts[host.0].stack.handle_timeout(self.now);
                (host, Cause::Timer)
            }
            Due::Alarm(host) => {
                self.hosts[host.0].alarm = None;
                (host, Cause::Alarm)
            }
        };
        self.flush(host);
        Some(Happening { host, cause })
    }

    /// Carries what a host has to send to its links. Call it after calling into the host's stack.
    pub fn flush(&mut self, host: HostId) {
        while let Some((_, packet)) = self.hosts[host.0].stack.poll_transmit(self.now) {
            for packet in split::segments(packet) {
                self.send(host, packet);
            }
        }
    }

    /// Deadlines in the order in which things at the same moment happen: arrivals, timers, alarms.
    fn next_due(&self) -> Option<(Instant, Due)> {
        let wait = self.moderation.unwrap_or_default();
        let arrivals = self.wires.iter().enumerate();
        let arrivals = arrivals.filter_map(|(index, wire)| {
            Some((wire.link.next_deadline()? + wait, Due::Arrival(index)))
        });
        let hosts = || (0..).map(HostId).zip(&self.hosts);
        let timers =
            hosts().filter_map(|(id, host)| Some((host.stack.poll_timeout()?, Due::Timer(id))));
        let alarms = hosts().filter_map(|(id, host)| Some((host.alarm?, Due::Alarm(id))));
        let injection = (!self.injected.is_empty()).then_some((self.now, Due::Injection));
        // The first of equal elements is the minimum.
        injection
            .into_iter()
            .chain(arrivals)
            .chain(timers)
            .chain(alarms)
            .min_by_key(|(at, _)| *at)
    }

    fn deliver(&mut self, wire: usize) -> HostId {
        let Self {
            now,
            wires,
            hosts,
            tap,
            moderation,
            ..
        } = self;
        let Wire { from, to, link } = &mut wires[wire];
        let Host {
            stack, interface, ..
        } = &mut hosts[to.0];
        let mut arrived = core::iter::from_fn(|| {
            let packet = link.poll(*now)?;
            if let Some(tap) = tap {
                tap.arrived(*now, *from, *to, &packet);
            }
            Some(packet)
        });
        if moderation.is_some() {
            let mut batch: Vec<PacketBuf> = arrived.collect();
            stack.handle_batch_in_place(*now, *interface, &mut batch);
        } else if let Some(packet) = arrived.next() {
            stack.handle_packet(*now, *interface, packet);
        }
        *to
    }

    fn deliver_injected(&mut self) -> HostId {
        let Some((to, packet)) = self.injected.pop_front() else {
            return HostId(0);
        };
        let Host {
            stack, interface, ..
        } = &mut self.hosts[to.0];
        stack.handle_packet(self.now, *interface, packet);
        to
    }

    fn send(&mut self, from: HostId, packet: PacketBuf) {
        let to = self.taker(&packet);
        let wire = to.and_then(|to| self.routes.get(&(from, to)).copied());
        let (Some(to), Some(wire)) = (to, wire) else {
            self.unroutable += 1;
            return;
        };
        let shown = self.tap.is_some().then(|| packet.clone());
        let fate = self.wires[wire].link.send(self.now, packet);
        if let (Some(tap), Some(packet)) = (&mut self.tap, shown) {
            tap.sent(&Crossing {
                now: self.now,
                from,
                to,
                packet: &packet,
                fate: &fate,
            });
        }
        if let Fate::TooBig { mtu, packet } = fate
            && let Some(answer) = router::too_big(&packet, mtu)
            && let Some(back) = self.routes.get(&(to, from))
        {
            // The router stands right behind the sender; its answer takes the way back like any other packet.
            let _fate = self.wires[*back].link.send(self.now, answer);
        }
    }
}
