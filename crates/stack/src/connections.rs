//! The table of connections and the life of each: inserted, touched by every input, settled when it has nothing more to
//! send, removed when it is over.
//!
//! *Touch* puts a connection on the ready list; *settle* runs once its output is drained and is the only place where
//! its timer is set, its memory charged and its end noticed. So each input costs one list operation and each drain
//! one settlement, however many segments were in between. A connection that a handshake has just made has nothing to send as a
//! rule: it *rests* at once, without a turn.

use crate::arena::Arena;
use crate::config::TimeWaitOverflow;
use crate::demux::Owner;
use crate::id::{ConnectionId, ListenerId};
use crate::input::AHEAD;
use crate::ready::ReadyList;
use crate::routes::NextHop;
use crate::stack::Stack;
use crate::timers::TimerWheel;
use alloc::boxed::Box;
use alloc::vec::Vec;
use handwave_tcp::{Connection, Context, Events, Instant, Phase, TimeWait, Tuple};

/// A connection and what the stack knows of it.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is independent of the others"
)]
pub(crate) struct Slot {
    pub(crate) connection: Box<Connection>,
    pub(crate) hop: NextHop,
    /// The generation of routes and path MTUs that `hop` and `mtu` belong to.
    pub(crate) paths_generation: u32,
    /// The path MTU that the connection was told of last; 0 before the first time.
    pub(crate) mtu: u16,
    /// What is sent does not seem to arrive: the next hop's link address is to be asked for again, so that a dead
    /// gateway is noticed (RFC 9293 3.8.3 [MUST-20]).
    pub(crate) doubts_hop: bool,
    /// Events not yet told.
    events: Events,
    /// The application has let go.
    released: bool,
    /// The tuple leads here. Not so once the connection is over: then the four numbers are free for another.
    owns_tuple: bool,
    /// A request that was accepted to be forwarded, whose client has not proved that it is where it says.
    unproven: bool,
    /// Octets of memory charged.
    held: u32,
    /// The slot of the listener that counts this connection until it ends, and the generation of that slot, which is even if
    /// there is none.
    opened_by: (u32, u32),
}

/// All connections of a stack.
#[derive(Debug)]
pub(crate) struct Connections {
    slots: Arena<Slot>,
    pub(crate) timers: TimerWheel,
    /// Those that may have something to send.
    ready: ReadyList,
    /// Those that have something to say.
    noticed: ReadyList,
    /// Those that found no memory to write to.
    starved: ReadyList,
    /// Segments taken from the connection at the front of the ready list since its turn began.
    burst: u8,
    orphans: usize,
    held: usize,
}

/// Connections that are told at a time that there is memory again.
const FED_MAX: u8 = 16;

/// Segments a connection may send before the next one's turn.
const BURST_MAX: u8 = 16;

impl Connections {
    /// An empty table with room for `capacity` connections.
    pub(crate) fn new(now: Instant, capacity: usize) -> Self {
        let mut timers = TimerWheel::new(now);
        timers.reserve(capacity);
        Self {
            slots: Arena::with_capacity(capacity),
            timers,
            ready: ReadyList::with_capacity(capacity),
            noticed: ReadyList::with_capacity(capacity),
            starved: ReadyList::default(),
            burst: 0,
            orphans: 0,
            held: 0,
        }
    }

    /// How many slots there are, taken or free.
    pub(crate) fn slots(&self) -> usize {
        self.slots.slots()
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn orphans(&self) -> usize {
        self.orphans
    }

    /// Octets of memory that all buffers hold.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    pub(crate) fn tuple(&self, slot: u32) -> Option<Tuple> {
        self.slots.at(slot).map(|slot| *slot.connection.tuple())
    }

    /// Whether the connection in `slot` has these four numbers.
    pub(crate) fn owns(&self, slot: u32, tuple: &Tuple) -> bool {
        self.slots
            .at(slot)
            .is_some_and(|slot| slot.connection.tuple() == tuple)
    }

    pub(crate) fn at(&self, slot: u32) -> Option<&Slot> {
        self.slots.at(slot)
    }

    pub(crate) fn at_mut(&mut self, slot: u32) -> Option<&mut Slot> {
        self.slots.at_mut(slot)
    }

    /// Looks at what stands in a slot and beside it, to have it near; the connection itself lies elsewhere.
    pub(crate) fn glance(&self, slot: u32) -> u64 {
        let links = [
            self.ready.glance(slot),
            self.noticed.glance(slot),
            self.timers.glance(slot),
        ];
        let held = self.slots.at(slot).map_or(0, |slot| slot.held);
        links.into_iter().map(u64::from).sum::<u64>() + u64::from(held)
    }

    /// The slot of a connection that the application still holds.
    pub(crate) fn get(&self, id: ConnectionId) -> Option<&Slot> {
        self.slots
            .get(id.slot, id.generation)
            .filter(|slot| !slot.released)
    }

    /// The connection in `slot` and its name.
    pub(crate) fn named(&self, slot: u32) -> Option<(ConnectionId, &Slot)> {
        let generation = self.slots.generation(slot)?;
        Some(((slot, generation).into(), self.slots.at(slot)?))
    }

    /// All connections in slot order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ConnectionId, &Slot)> {
        self.slots
            .iter()
            .map(|(slot, generation, value)| ((slot, generation).into(), value))
    }

    /// Notes that an input may have given the connection something to send or to say.
    pub(crate) fn touch(&mut self, slot: u32) {
        self.touch_here(slot);
    }

    /// The same as a part of whoever does it for every segment.
    #[inline(always)]
    pub(crate) fn touch_here(&mut self, slot: u32) {
        self.ready.push(slot);
        self.take_stock(slot);
    }

    /// The connection whose turn it is to send.
    pub(crate) fn next_ready(&mut self) -> Option<u32> {
        if self.burst >= BURST_MAX {
            self.ready.rotate();
            self.burst = 0;
        }
        self.burst += 1;
        self.ready.front()
    }

    /// Gives a connection that was just opened, and has nothing to say yet, its turn to send.
    pub(crate) fn begin(&mut self, slot: u32) {
        self.ready.push(slot);
    }

    /// Lets a connection that is new and has nothing to send rest until its timer or the next input: it needs no turn.
    pub(crate) fn begin_at_rest(&mut self, slot: u32) {
        let entry = self.take_stock(slot);
        if let Some(deadline) = entry.and_then(|entry| entry.connection.poll_timeout()) {
            self.timers.arm(slot, deadline);
        }
    }

    /// Takes a connection that has nothing more to send off the ready list.
    fn turn_over(&mut self, slot: u32) {
        self.ready.remove(slot);
        self.burst = 0;
    }

    pub(crate) fn poll_event(&mut self) -> Option<(ConnectionId, Events)> {
        let slot = self.noticed.pop()?;
        let generation = self.slots.generation(slot)?;
        let events = core::mem::take(&mut self.slots.at_mut(slot)?.events);
        Some(((slot, generation).into(), events))
    }

    /// Says which listener counts a connection until it ends.
    pub(crate) fn set_opened_by(&mut self, id: ConnectionId, listener: Option<ListenerId>) {
        if let (Some(entry), Some(listener)) = (self.slots.at_mut(id.slot), listener) {
            entry.opened_by = (listener.slot, listener.generation);
        }
    }

    /// Says that the forwarder wants to know when the handshake of a connection is complete.
    pub(crate) fn set_unproven(&mut self, id: ConnectionId) {
        if let Some(entry) = self.slots.at_mut(id.slot) {
            entry.unproven = true;
        }
    }

    /// Whether anybody waits for memory.
    pub(crate) fn any_starved(&self) -> bool {
        self.starved.front().is_some()
    }

    /// Tells a few of those that found no memory that there is some; those that wait longest first.
    pub(crate) fn feed_starved(&mut self) {
        for _ in 0..FED_MAX {
            let Some(slot) = self.starved.pop() else {
                return;
            };
            if let Some(entry) = self.slots.at_mut(slot) {
                entry.connection.handle_memory();
                if entry.collect_events() {
                    self.noticed.push(slot);
                }
            }
        }
    }

    /// Takes the events of a connection, and charges the memory that its buffers hold.
    #[inline(always)]
    fn take_stock(&mut self, slot: u32) -> Option<&Slot> {
        let entry = self.slots.at_mut(slot)?;
        let (events, held, is_starved) = entry.connection.take_stock();
        if !events.is_empty() && entry.note(events) {
            self.noticed.push(slot);
        }
        if is_starved {
            self.starved.push(slot);
        }
        let held = u32::try_from(held).unwrap_or(u32::MAX);
        self.held = self.held + held as usize - entry.held as usize;
        entry.held = held;
        Some(entry)
    }
}

impl Slot {
    /// A connection that owns its tuple and was told `mtu` of its path when `paths_generation` was current; `opened_by` counts it.
    pub(crate) fn new(
        connection: Box<Connection>,
        hop: NextHop,
        (paths_generation, mtu): (u32, u16),
        opened_by: Option<ListenerId>,
    ) -> Self {
        Self {
            connection,
            hop,
            paths_generation,
            mtu,
            doubts_hop: false,
            events: Events::NONE,
            released: false,
            owns_tuple: true,
            unproven: false,
            held: 0,
            opened_by: opened_by.map_or((0, 0), |id| (id.slot, id.generation)),
        }
    }

    /// Takes what the connection has to say; returns whether that is news for somebody.
    fn collect_events(&mut self) -> bool {
        let fresh = self.connection.take_events();
        !fresh.is_empty() && self.note(fresh)
    }

    /// Notes what the connection had to say; returns whether that is news for somebody.
    fn note(&mut self, fresh: Events) -> bool {
        self.doubts_hop |= fresh.contains(Events::SOFT_ERROR);
        self.events |= fresh;
        !self.released
    }

    /// The listener that counts this connection until it ends.
    fn opened_by(&self) -> Option<ListenerId> {
        let (slot, generation) = self.opened_by;
        (generation % 2 == 1).then(|| (slot, generation).into())
    }

    /// Whether the application has let go.
    pub(crate) const fn is_orphan(&self) -> bool {
        self.released
    }
}

impl Stack {
    /// Takes a connection in that was begun with `mtu` as its path's; the caller has seen to it that there is room and nobody owns its
    /// tuple, and gives it its turn, or lets it rest. `opened_by` is the listener that counts it until it ends.
    pub(crate) fn insert_connection(
        &mut self,
        connection: Box<Connection>,
        (hop, mtu): (NextHop, u16),
        opened_by: Option<ListenerId>,
    ) -> ConnectionId {
        let tuple = *connection.tuple();
        let entry = Slot::new(connection, hop, (self.paths_generation, mtu), opened_by);
        let id = ConnectionId::from(self.connections.slots.insert(entry));
        self.own(&tuple, Owner::Connection(id.slot));
        id
    }

    /// Calls into a connection, then looks at what that brought about.
    pub(crate) fn with_slot<R>(
        &mut self,
        now: Instant,
        slot: u32,
        call: impl FnOnce(&mut Connection, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let entry = self.connections.slots.at_mut(slot)?;
        let result = call(
            &mut entry.connection,
            &mut Context::new(now, &mut self.host),
        );
        self.connections.touch(slot);
        self.update_pressure(now);
        Some(result)
    }

    /// Resets every connection, those that the application has let go of included, as a host does that shuts down.
    ///
    /// Drain [`poll_transmit`](Self::poll_transmit) afterwards: the peers learn of it. Handles stay valid; text that arrived before can
    /// still be read, and then they tell the error.
    pub fn abort_all(&mut self, now: Instant) {
        let slots: Vec<u32> = self.connections.iter().map(|(id, _)| id.slot).collect();
        for slot in slots {
            self.with_slot(now, slot, Connection::cut_off);
        }
    }

    /// Marks a connection as let go by the application. It stays until it is over.
    pub(crate) fn orphan(&mut self, slot: u32) {
        self.connections.noticed.remove(slot);
        let Some(entry) = self.connections.slots.at_mut(slot) else {
            return;
        };
        if !entry.released {
            entry.released = true;
            self.connections.orphans += 1;
        }
    }

    /// Lets a connection that has sent all it can rest until its timer or the next input, or clears it away.
    pub(crate) fn settle(&mut self, now: Instant, slot: u32) {
        self.connections.turn_over(slot);
        let Some(entry) = self.connections.slots.at_mut(slot) else {
            return;
        };
        if entry.connection.phase() == Phase::TimeWait {
            let record = entry
                .connection
                .take_time_wait(&mut Context::new(now, &mut self.host));
            if let Some((record, deadline)) = record {
                self.disown(slot);
                self.enter_time_wait(record, deadline);
            }
        }
        let Some(entry) = self.connections.take_stock(slot) else {
            return;
        };
        if entry.unproven && entry.connection.phase() != Phase::SynReceived {
            self.handshake_over(now, slot);
        } else if entry.connection.phase() == Phase::Closed {
            match entry.connection.is_finished() {
                true => self.remove_connection(slot),
                false => self.disown(slot),
            }
        } else if let Some(deadline) = entry.connection.poll_timeout() {
            self.connections.timers.arm(slot, deadline);
        }
    }

    /// A connection that was accepted to be forwarded is past SYN-RECEIVED; whatever that brings, it has its turn again.
    fn handshake_over(&mut self, now: Instant, slot: u32) {
        let Some(entry) = self.connections.slots.at_mut(slot) else {
            return;
        };
        entry.unproven = false;
        if entry.connection.phase() != Phase::Closed {
            self.forward_established(now, slot);
        }
        self.connections.touch(slot);
    }

    /// Takes a connection out without a word to anybody.
    pub(crate) fn forget_connection(&mut self, id: ConnectionId) {
        if self.connections.get(id).is_some() {
            self.remove_connection(id.slot);
        }
    }

    /// Gives the four numbers of a connection that is over free for another.
    fn disown(&mut self, slot: u32) {
        let Some(entry) = self.connections.slots.at_mut(slot) else {
            return;
        };
        if core::mem::take(&mut entry.owns_tuple) {
            let tuple = *entry.connection.tuple();
            self.disowned(&tuple, Owner::Connection(slot));
        }
    }

    /// Takes a connection out of all tables.
    fn remove_connection(&mut self, slot: u32) {
        self.disown(slot);
        let connections = &mut self.connections;
        connections.timers.cancel(slot);
        connections.noticed.remove(slot);
        connections.starved.remove(slot);
        connections.turn_over(slot);
        if let Some(entry) = connections.slots.remove(slot) {
            connections.held -= entry.held as usize;
            connections.orphans -= usize::from(entry.released);
            if let Some(listener) = entry.opened_by() {
                let remote = entry.connection.tuple().remote.addr;
                self.listening.on_connection_ended(listener, remote);
            }
        }
    }

    /// Keeps the compact record that TIME-WAIT needs, if there is room.
    fn enter_time_wait(&mut self, record: TimeWait, deadline: Instant) {
        if self.time_waits.len() >= self.config.time_wait_max {
            self.counters.time_wait_overflows += 1;
            if self.config.time_wait_overflow == TimeWaitOverflow::EvictOldest {
                self.evict_time_wait();
            }
        }
        if self.time_waits.len() < self.config.time_wait_max {
            self.counters.time_waits += 1;
            self.insert_time_wait(record, deadline);
        }
    }

    /// Lets time pass for the connections that are due.
    pub(crate) fn connections_timeout(&mut self, now: Instant) {
        loop {
            let mut due = [u32::MAX; AHEAD];
            let mut count = 0;
            for place in &mut due {
                let Some(slot) = self.connections.timers.pop_expired(now) else {
                    break;
                };
                *place = slot;
                count += 1;
            }
            if count > 1 && self.is_crowded() {
                self.look_at(&due[..count]);
            }
            for &slot in &due[..count] {
                self.connection_timeout(now, slot);
            }
            if count < AHEAD {
                return;
            }
        }
    }

    fn connection_timeout(&mut self, now: Instant, slot: u32) {
        let Some(entry) = self.connections.slots.at_mut(slot) else {
            return;
        };
        match entry.connection.poll_timeout() {
            // The deadline moved since the wheel was told.
            Some(deadline) if deadline > now => self.connections.timers.arm(slot, deadline),
            Some(_) => {
                entry
                    .connection
                    .handle_timeout(&mut Context::new(now, &mut self.host));
                self.connections.touch(slot);
            }
            None => {}
        }
    }
}
