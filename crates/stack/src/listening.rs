//! Listeners: where they stand, who is ready, whose time has come.

use crate::arena::Arena;
use crate::demux::Listeners;
use crate::id::{ConnectionId, ListenerId};
use crate::input::Way;
use crate::ready::ReadyList;
use crate::routes::NextHop;
use crate::stack::Stack;
use crate::timers::TimerWheel;
use alloc::boxed::Box;
use core::net::IpAddr;
use handwave_tcp::{
    Connection, Context, CookieKeys, Endpoint, Events, Instant, ListenVerdict, Listener,
    ListenerCounters, Phase, SegmentIn,
};
use handwave_wire::{SeqNum, TcpFlags};

/// Where a listener waits: one address of this host, or any.
///
/// ```
/// use handwave_stack::ListenAt;
/// use handwave_tcp::Endpoint;
///
/// assert_eq!(ListenAt::from(80), ListenAt { addr: None, port: 80 });
/// let exact = Endpoint::new([10, 0, 0, 1].into(), 80);
/// assert_eq!(ListenAt::from(exact), ListenAt { addr: Some(exact.addr), port: 80 });
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ListenAt {
    /// The address (RFC 9293 3.9.1.1 [MUST-43]); an unspecified one takes what is sent to any address of its family, `None` what is
    /// sent to any. A listener on an address goes before one on any.
    pub addr: Option<IpAddr>,
    /// The port.
    pub port: u16,
}

impl From<Endpoint> for ListenAt {
    fn from(endpoint: Endpoint) -> Self {
        Self {
            addr: Some(endpoint.addr),
            port: endpoint.port,
        }
    }
}

/// Any address.
impl From<u16> for ListenAt {
    fn from(port: u16) -> Self {
        Self { addr: None, port }
    }
}

impl ListenAt {
    /// Any address and any port: what [forwarding](Stack::start_forwarding) takes. Port 0 is nobody's otherwise.
    pub const ANYWHERE: Self = Self {
        addr: None,
        port: 0,
    };
}

/// A listener and what the stack knows of it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) listener: Box<Listener>,
    pub(crate) at: ListenAt,
    /// Events not yet told.
    events: Events,
}

/// All listeners of a stack.
#[derive(Debug)]
pub(crate) struct Listening {
    entries: Arena<Entry>,
    places: Listeners,
    pub(crate) timers: TimerWheel,
    ready: ReadyList,
    noticed: ReadyList,
    /// What listeners counted that are closed.
    closed: ListenerCounters,
}

impl Listening {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            entries: Arena::default(),
            places: Listeners::default(),
            timers: TimerWheel::new(now),
            ready: ReadyList::default(),
            noticed: ReadyList::default(),
            closed: ListenerCounters::default(),
        }
    }

    /// How many slots there are, taken or free.
    pub(crate) fn slots(&self) -> usize {
        self.entries.slots()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Who takes what is sent to `local`.
    pub(crate) fn find(&self, local: &Endpoint) -> Option<u32> {
        self.places.find(local)
    }

    /// Whether exactly this place is taken.
    pub(crate) fn is_taken(&self, at: ListenAt) -> bool {
        self.places.contains(at.addr, at.port)
    }

    pub(crate) fn get(&self, id: ListenerId) -> Option<&Entry> {
        self.entries.get(id.slot, id.generation)
    }

    pub(crate) fn get_mut(&mut self, id: ListenerId) -> Option<&mut Entry> {
        self.entries.get_mut(id.slot, id.generation)
    }

    pub(crate) fn at_mut(&mut self, slot: u32) -> Option<&mut Entry> {
        self.entries.at_mut(slot)
    }

    /// The listener in `slot` and its name.
    pub(crate) fn at(&self, slot: u32) -> Option<(ListenerId, &Entry)> {
        let generation = self.entries.generation(slot)?;
        Some(((slot, generation).into(), self.entries.at(slot)?))
    }

    /// All listeners in slot order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ListenerId, &Entry)> {
        self.entries
            .iter()
            .map(|(slot, generation, entry)| ((slot, generation).into(), entry))
    }

    pub(crate) fn insert(&mut self, at: ListenAt, listener: Listener) -> ListenerId {
        let listener = Box::new(listener);
        let id = ListenerId::from(self.entries.insert(Entry {
            listener,
            at,
            events: Events::NONE,
        }));
        self.places.insert(at.addr, at.port, id.slot);
        id
    }

    /// Takes in a listener that segments are brought to by other ways than its place.
    pub(crate) fn insert_unplaced(&mut self, listener: Listener) -> ListenerId {
        ListenerId::from(self.entries.insert(Entry {
            listener: Box::new(listener),
            at: ListenAt::ANYWHERE,
            events: Events::NONE,
        }))
    }

    pub(crate) fn remove(&mut self, id: ListenerId) -> Option<Entry> {
        let at = self.get(id)?.at;
        self.places.remove(at.addr, at.port);
        self.timers.cancel(id.slot);
        self.ready.remove(id.slot);
        self.noticed.remove(id.slot);
        let entry = self.entries.remove(id.slot)?;
        self.closed.add(entry.listener.counters());
        Some(entry)
    }

    /// Notes that a listener may have something to send.
    pub(crate) fn touch(&mut self, slot: u32) {
        self.ready.push(slot);
    }

    pub(crate) fn next_ready(&self) -> Option<u32> {
        self.ready.front()
    }

    /// Lets a listener that has sent all it can rest until its timer or the next segment.
    pub(crate) fn settle(&mut self, slot: u32) {
        self.ready.remove(slot);
        if let Some(deadline) = self
            .entries
            .at(slot)
            .and_then(|entry| entry.listener.poll_timeout())
        {
            self.timers.arm(slot, deadline);
        }
    }

    pub(crate) fn poll_event(&mut self) -> Option<(ListenerId, Events)> {
        let slot = self.noticed.pop()?;
        let generation = self.entries.generation(slot)?;
        let events = core::mem::take(&mut self.entries.at_mut(slot)?.events);
        Some(((slot, generation).into(), events))
    }

    /// The name of the listener in `slot` if it counts connections until they end.
    pub(crate) fn counting(&self, slot: u32) -> Option<ListenerId> {
        let (id, entry) = self.at(slot)?;
        let counts = entry.listener.limits().limits.counts_connections();
        counts.then_some(id)
    }

    fn push_accepted(&mut self, slot: u32, id: ConnectionId) {
        if let Some(entry) = self.entries.at_mut(slot) {
            entry.listener.push_accepted(id.to_bits());
            entry.events |= Events::READABLE;
            self.noticed.push(slot);
        }
    }

    /// Takes what a listener has to say of itself.
    pub(crate) fn collect_events(&mut self, slot: u32) {
        let Some(entry) = self.entries.at_mut(slot) else {
            return;
        };
        let fresh = entry.listener.take_events();
        if !fresh.is_empty() {
            entry.events |= fresh;
            self.noticed.push(slot);
            // A detector that has begun to watch wants to be woken.
            self.ready.push(slot);
        }
    }

    /// A connection that the listener `id` established, to a peer at `remote`, is over.
    pub(crate) fn on_connection_ended(&mut self, id: ListenerId, remote: IpAddr) {
        if let Some(entry) = self.get_mut(id) {
            entry.listener.on_connection_ended(remote);
        }
    }
}

impl Stack {
    /// What all listeners have counted together, those that are closed included, in the meaning of `nstat`'s counters.
    #[must_use]
    pub fn listener_counters(&self) -> ListenerCounters {
        let mut total = self.listening.closed.clone();
        for (_, entry) in self.listening.iter() {
            total.add(entry.listener.counters());
        }
        total
    }

    /// The listener at exactly this place; [`ListenAt::ANYWHERE`] is that of a forwarder.
    #[must_use]
    pub fn listener_at(&self, at: ListenAt) -> Option<ListenerId> {
        if at == ListenAt::ANYWHERE {
            return self.forward_listener();
        }
        let slot = self.listening.places.at_place(at.addr, at.port)?;
        self.listening.at(slot).map(|(id, _)| id)
    }

    /// Every listener and where it waits, in an order that does not change while nothing happens.
    pub fn listeners(&self) -> impl Iterator<Item = (ListenerId, ListenAt, &Listener)> {
        let entries = self.listening.iter();
        entries.map(|(id, entry)| (id, entry.at, &*entry.listener))
    }

    /// The keys of SYN cookies, which all listeners share: to hand in new material, or to share them with other nodes.
    ///
    /// ```
    /// use core::time::Duration;
    /// use handwave_stack::{Stack, StackConfig};
    /// use handwave_tcp::{Instant, Secrets};
    ///
    /// let now = Instant::ZERO;
    /// let node = |seed| Stack::new(StackConfig::default(), Secrets::from_seed(seed), now);
    /// let (mut first, mut second) = (node(1), node(2));
    /// let shared = first.cookie_keys().export(now);
    /// second.cookie_keys().import(now, &shared, Duration::ZERO);
    /// ```
    pub const fn cookie_keys(&mut self) -> &mut CookieKeys {
        &mut self.host.cookie_keys
    }

    /// Gives a segment that belongs to no connection to the listener in `slot`.
    ///
    /// `iss_floor` comes from a TIME-WAIT record that would give way to this SYN (RFC 6191). Returns whether the listener has taken
    /// it up.
    pub(crate) fn segment_for_listener(
        &mut self,
        now: Instant,
        way: Way,
        slot: u32,
        segment: &mut SegmentIn,
        iss_floor: Option<SeqNum>,
    ) -> bool {
        if segment.header.flags.contains(TcpFlags::SYN) && self.refuses_memory() {
            return false;
        }
        let tuple = way.tuple;
        let (hop, path) = self.way_back(&way);
        let Some(entry) = self.listening.entries.at_mut(slot) else {
            return false;
        };
        let mut cx = Context::new(now, &mut self.host);
        let verdict = entry
            .listener
            .handle_segment_in_place(&mut cx, tuple, path, segment, iss_floor);
        self.listening.collect_events(slot);
        let is_lost = verdict.is_lost();
        self.carry_out(now, way, slot, (hop, path.mtu), verdict);
        !is_lost
    }

    /// Does what the listener in `slot` wants done about a segment.
    #[inline(always)]
    pub(crate) fn carry_out(
        &mut self,
        now: Instant,
        way: Way,
        slot: u32,
        (hop, mtu): (NextHop, u16),
        verdict: ListenVerdict,
    ) {
        let tuple = way.tuple;
        match verdict {
            ListenVerdict::Cookie(answer) => {
                self.send_reply_by(now, hop, &tuple, &answer);
            }
            ListenVerdict::Queued => self.listening.touch(slot),
            ListenVerdict::Established(connection) => {
                if let Some(id) = self.established(now, way, slot, connection, (hop, mtu)) {
                    self.listening.push_accepted(slot, id);
                }
            }
            ListenVerdict::Dropped(_) => {}
            ListenVerdict::Reset(reset) => {
                self.send_reset(now, way.interface, &tuple, reset.segment(&tuple));
            }
        }
    }

    /// Takes in a connection whose handshake is complete, or resets it if there are too many.
    pub(crate) fn established(
        &mut self,
        now: Instant,
        way: Way,
        slot: u32,
        mut connection: Box<Connection>,
        path: (NextHop, u16),
    ) -> Option<ConnectionId> {
        if self.connections.len() < self.config.connections_max {
            let opened_by = self.listening.counting(slot);
            let rests = connection.phase() == Phase::Established
                && connection.rests(&mut Context::new(now, &mut self.host));
            let id = self.insert_connection(connection, path, opened_by);
            match rests {
                true => self.connections.begin_at_rest(id.slot),
                false => self.connections.touch(id.slot),
            }
            return Some(id);
        }
        self.counters.connections_refused += 1;
        if let Some(listener) = self.listening.counting(slot) {
            let remote = way.tuple.remote.addr;
            self.listening.on_connection_ended(listener, remote);
        }
        let mut cx = Context::new(now, &mut self.host);
        connection.abort(&mut cx);
        while let Some(reset) = connection.poll_transmit(&mut Context::new(now, &mut self.host)) {
            self.send_reset(now, way.interface, &way.tuple, reset);
        }
        None
    }

    /// Lets time pass for the listeners that are due.
    pub(crate) fn listeners_timeout(&mut self, now: Instant) {
        while let Some(slot) = self.listening.timers.pop_expired(now) {
            let Some(entry) = self.listening.entries.at_mut(slot) else {
                continue;
            };
            match entry.listener.poll_timeout() {
                Some(deadline) if deadline > now => self.listening.timers.arm(slot, deadline),
                Some(_) => {
                    entry
                        .listener
                        .handle_timeout(&mut Context::new(now, &mut self.host));
                    self.listening.touch(slot);
                    self.listening.collect_events(slot);
                }
                None => {}
            }
        }
    }
}
