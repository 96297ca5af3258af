//! [`Paths`]: hosts, and a link from each to each. Sans-IO: packets and time go in, wakers and deadlines come out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::task::Waker;
use std::time::Duration;

use handwave_packet::PacketBuf;
use handwave_sim::world::router;
use handwave_sim::{Fate, Link, LinkConfig, LinkStats, Rng};
use handwave_tcp::Instant;

/// Packets that wait in front of a host which does not take them; the next ones are dropped.
const INBOX_MAX: usize = 4_096;
/// The shortest time a packet takes.
const DELAY_MIN: Duration = Duration::from_micros(1);

/// Names a host of one run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct HostId(usize);

/// From whom to whom a link leads.
type Way = (HostId, HostId);

#[derive(Debug)]
pub(super) struct Paths {
    config: LinkConfig,
    seed: u64,
    hosts: Vec<Host>,
    owners: BTreeMap<IpAddr, HostId>,
    /// Who gets packets for addresses that nobody has.
    gateway: Option<HostId>,
    /// Made when the first packet takes the way.
    links: BTreeMap<Way, Link>,
    arrivals: BTreeSet<(Instant, Way)>,
    dropped: u64,
    last_busy: Instant,
}

#[derive(Debug, Default)]
struct Host {
    inbox: VecDeque<PacketBuf>,
    receiver: Option<Waker>,
    is_gone: bool,
}

impl Paths {
    pub(super) fn new(config: LinkConfig, seed: u64) -> Self {
        Self {
            config,
            seed,
            hosts: Vec::new(),
            owners: BTreeMap::new(),
            gateway: None,
            links: BTreeMap::new(),
            arrivals: BTreeSet::new(),
            dropped: 0,
            last_busy: Instant::ZERO,
        }
    }

    /// Adds a host, unless one of the addresses is taken: then that is returned.
    pub(super) fn add_host(&mut self, addresses: &[IpAddr]) -> Result<HostId, IpAddr> {
        if let Some(taken) = addresses.iter().find(|addr| self.owners.contains_key(addr)) {
            return Err(*taken);
        }
        let id = HostId(self.hosts.len());
        self.hosts.push(Host::default());
        self.owners.extend(addresses.iter().map(|addr| (*addr, id)));
        Ok(id)
    }

    /// Removes a host from the network: its addresses are free, and what is under way to it is lost. Returns its waker.
    pub(super) fn remove_host(&mut self, id: HostId) -> Option<Waker> {
        self.owners.retain(|_, owner| *owner != id);
        self.gateway = self.gateway.filter(|gateway| *gateway != id);
        let host = &mut self.hosts[id.0];
        host.inbox = VecDeque::new();
        host.is_gone = true;
        host.receiver.take()
    }

    pub(super) fn owner(&self, addr: IpAddr) -> Option<HostId> {
        self.owners.get(&addr).copied()
    }

    pub(super) fn set_gateway(&mut self, host: Option<HostId>) {
        self.gateway = host;
    }

    pub(super) fn set_link(&mut self, way: Way, config: LinkConfig) {
        self.link(way).set_config(physical(config));
    }

    pub(super) fn link_stats(&self, way: Way) -> LinkStats {
        self.links.get(&way).map(Link::stats).unwrap_or_default()
    }

    /// Packets that no host has, or that a host did not take.
    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// When a packet was last on its way.
    pub(super) fn last_busy(&self, now: Instant) -> Instant {
        match self.arrivals.is_empty() {
            true => self.last_busy,
            false => now,
        }
    }

    /// Puts a packet on its way. It has to be what a wire carries.
    pub(super) fn send(&mut self, now: Instant, from: HostId, packet: PacketBuf) {
        let owner = router::destination(&packet).and_then(|addr| self.owner(addr));
        let Some(to) = owner.or(self.gateway) else {
            self.dropped += 1;
            return;
        };
        if let Fate::TooBig { mtu, packet } = self.carry(now, (from, to), packet)
            && let Some(answer) = router::too_big(&packet, mtu)
        {
            // The router stands right behind the sender; its answer takes the way back like any other packet.
            let _fate = self.carry(now, (to, from), answer);
        }
    }

    fn carry(&mut self, now: Instant, way: Way, packet: PacketBuf) -> Fate {
        self.last_busy = now;
        let link = self.link(way);
        let before = link.next_deadline();
        let fate = link.send(now, packet);
        let after = link.next_deadline();
        if before != after {
            self.arrivals.extend(after.map(|at| (at, way)));
            before.map(|at| self.arrivals.remove(&(at, way)));
        }
        fate
    }

    fn link(&mut self, way: Way) -> &mut Link {
        let Self {
            links,
            seed,
            config,
            ..
        } = self;
        links.entry(way).or_insert_with(|| {
            let (HostId(from), HostId(to)) = way;
            let label = (from as u64) << 32 | to as u64;
            // Not forked from one generator: a link's chance is its own, whichever is used first.
            let mut rng = Rng::from_seed(*seed ^ Rng::from_seed(label).next_u64());
            Link::new(physical(*config), rng.fork())
        })
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.arrivals.first().map(|(at, _)| *at)
    }

    /// Hands over what has arrived; returns who waits for it.
    pub(super) fn deliver(&mut self, now: Instant) -> Vec<Waker> {
        let mut woken = Vec::new();
        while let Some(&(at, way)) = self.arrivals.first()
            && at <= now
        {
            self.arrivals.pop_first();
            let Some(link) = self.links.get_mut(&way) else {
                continue;
            };
            let HostId(to) = way.1;
            let host = &mut self.hosts[to];
            while let Some(packet) = link.poll(now) {
                match host.inbox.len() < INBOX_MAX && !host.is_gone {
                    true => host.inbox.push_back(packet),
                    false => self.dropped += 1,
                }
            }
            self.arrivals
                .extend(link.next_deadline().map(|at| (at, way)));
            self.last_busy = now;
            woken.extend(host.receiver.take());
        }
        woken
    }

    /// Takes what has arrived at a host.
    pub(super) fn receive(&mut self, host: HostId, max: usize, out: &mut Vec<PacketBuf>) -> usize {
        let inbox = &mut self.hosts[host.0].inbox;
        let count = max.min(inbox.len());
        out.extend(inbox.drain(..count));
        count
    }

    /// Whether something can be received; if not, leaves the waker until then.
    pub(super) fn poll_receivable(&mut self, host: HostId, waker: &Waker) -> bool {
        let host = &mut self.hosts[host.0];
        let ready = !host.inbox.is_empty();
        if !ready {
            host.receiver = Some(waker.clone());
        }
        ready
    }
}

/// What a link can be.
fn physical(config: LinkConfig) -> LinkConfig {
    LinkConfig {
        delay: config.delay.max(DELAY_MIN),
        ..config
    }
}
