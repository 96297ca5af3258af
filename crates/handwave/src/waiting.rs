//! Who waits for what: wakers, by the place they wait at.
//!
//! Readers and writers of streams, of whom a connection has one each as a rule, are found by the connection's slot. Any other place
//! has an entry only while somebody waits there.
//!
//! At most places all are woken that wait there. Where what comes goes to one of them, they stand in [line](Line).

mod line;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::task::Waker;

use handwave_stack::{ConnectionId, ListenerId, UdpId};

use line::Line;

/// Something that can be waited for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Place {
    /// Text, the end of the stream or an error can be read.
    Read(ConnectionId),
    /// The handshake completes, there is room to write, or the FIN has left.
    Write(ConnectionId),
    /// A connection can be accepted.
    Accept(ListenerId),
    /// A datagram can be received.
    Receive(UdpId),
    /// There is room to send datagrams.
    Send,
    /// A client wants a connection forwarded.
    Request,
    /// A UDP session begins.
    Session,
    /// A datagram of this session, or its end.
    Datagram(u64),
    /// A SYN flood begins or ends.
    Flood,
}

impl Place {
    /// Whether those who wait here stand in line.
    pub(crate) const fn is_line(self) -> bool {
        matches!(self, Self::Accept(_) | Self::Request)
    }

    /// Where the waker of a stream's `poll_*` methods is kept: a slot, and its direction.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the lower half is the slot"
    )]
    fn of_stream(self) -> Option<(usize, usize)> {
        match self {
            Self::Read(id) => Some((id.to_bits() as u32 as usize, 0)),
            Self::Write(id) => Some((id.to_bits() as u32 as usize, 1)),
            _ => None,
        }
    }
}

/// Tells apart those who wait at one place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ticket(u64);

impl Ticket {
    /// The one ticket of `poll_*` methods: each call replaces the waker of the call before.
    pub(crate) const POLL: Self = Self(0);
}

/// All wakers of a stack.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// Those of streams' `poll_*` methods, by the connection's slot: who reads and who writes.
    streams: Vec<[Option<Waker>; 2]>,
    /// All others, but those who stand in line.
    places: HashMap<Place, Waiters, BuildHasherDefault<PlaceHasher>>,
    lines: HashMap<Place, Line, BuildHasherDefault<PlaceHasher>>,
    tickets: u64,
}

/// Hashes places, of which nobody outside chooses any: they are numbers that this program has given out.
#[derive(Debug, Default)]
struct PlaceHasher(u64);

impl Hasher for PlaceHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, octets: &[u8]) {
        for octet in octets {
            self.write_u64((*octet).into());
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        // The golden ratio in 64 bits, so that the table sees a difference in any bit in its own.
        const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
        let mixed = (self.0 ^ number).wrapping_mul(FACTOR);
        self.0 = mixed ^ (mixed >> 32);
    }
}

/// The wakers at one place; hardly ever more than one.
#[derive(Debug)]
struct Waiters {
    first: (Ticket, Waker),
    others: Vec<(Ticket, Waker)>,
}

impl Waiting {
    /// A ticket that nobody else has.
    pub(crate) fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Leaves `waker` at `place`, instead of the one left with the same ticket before.
    ///
    /// That one is returned, to be dropped outside the lock: it may be the last to hold a task with sockets of its own.
    #[must_use = "dropped under the lock, a waker may take a task with it that needs the lock"]
    pub(crate) fn register(
        &mut self,
        place: Place,
        ticket: Ticket,
        waker: &Waker,
    ) -> Option<Waker> {
        if let (Ticket::POLL, Some((slot, direction))) = (ticket, place.of_stream()) {
            if self.streams.len() <= slot {
                self.streams.resize_with(slot + 1, || [None, None]);
            }
            let known = &mut self.streams[slot][direction];
            return match known {
                Some(old) if old.will_wake(waker) => None,
                _ => known.replace(waker.clone()),
            };
        }
        if place.is_line() {
            return self.lines.entry(place).or_default().join(ticket, waker);
        }
        let Some(waiters) = self.places.get_mut(&place) else {
            let first = (ticket, waker.clone());
            let others = Vec::new();
            self.places.insert(place, Waiters { first, others });
            return None;
        };
        let mut all = std::iter::once(&mut waiters.first).chain(&mut waiters.others);
        match all.find(|(own, _)| *own == ticket) {
            Some((_, old)) if old.will_wake(waker) => None,
            Some((_, old)) => Some(std::mem::replace(old, waker.clone())),
            None => {
                waiters.others.push((ticket, waker.clone()));
                None
            }
        }
    }

    /// Takes back what was left with `ticket`, if it is still there; to be dropped outside the lock as well.
    #[must_use = "dropped under the lock, a waker may take a task with it that needs the lock"]
    pub(crate) fn withdraw(&mut self, place: Place, ticket: Ticket) -> Option<Waker> {
        if let (Ticket::POLL, Some((slot, direction))) = (ticket, place.of_stream()) {
            return self.streams.get_mut(slot)?[direction].take();
        }
        if place.is_line() {
            let line = self.lines.get_mut(&place)?;
            let waker = line.leave(ticket);
            if line.is_empty() {
                self.lines.remove(&place);
            }
            return waker;
        }
        let waiters = self.places.get_mut(&place)?;
        if waiters.first.0 == ticket {
            return match waiters.others.pop() {
                Some(other) => Some(std::mem::replace(&mut waiters.first, other).1),
                None => self.places.remove(&place).map(|waiters| waiters.first.1),
            };
        }
        let at = waiters.others.iter().position(|(own, _)| *own == ticket)?;
        Some(waiters.others.remove(at).1)
    }

    /// Takes all wakers at `place`, where nobody stands in line.
    pub(crate) fn take(&mut self, place: Place, woken: &mut Vec<Waker>) {
        if let Some((slot, direction)) = place.of_stream()
            && let Some(known) = self.streams.get_mut(slot)
        {
            woken.extend(known[direction].take());
        }
        if self.places.is_empty() {
            return;
        }
        if let Some(waiters) = self.places.remove(&place) {
            woken.push(waiters.first.1);
            woken.extend(waiters.others.into_iter().map(|(_, waker)| waker));
        }
    }

    /// Calls as many of those in line at `place` as there are things for, less those that were called before and have not come.
    pub(crate) fn call(&mut self, place: Place, things: usize, woken: &mut Vec<Waker>) {
        if let Some(line) = self.lines.get_mut(&place) {
            line.call(things, woken);
        }
    }

    /// Notes that whoever has `ticket` takes what there is at `place` himself; returns whether he was called.
    pub(crate) fn came(&mut self, place: Place, ticket: Ticket) -> bool {
        let Some(line) = self.lines.get_mut(&place) else {
            return false;
        };
        let called = line.came(ticket);
        if line.is_empty() {
            self.lines.remove(&place);
        }
        called
    }

    /// Takes the wakers at every place, in an order that does not depend on hashing.
    pub(crate) fn take_all(&mut self, woken: &mut Vec<Waker>) {
        woken.extend(self.streams.drain(..).flatten().flatten());
        let mut places: Vec<_> = self.places.keys().copied().collect();
        places.sort_unstable();
        for place in places {
            self.take(place, woken);
        }
        let mut lines: Vec<_> = self.lines.keys().copied().collect();
        lines.sort_unstable();
        for place in lines {
            self.call(place, usize::MAX, woken);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_wakes_everybody_who_still_waits_there() {
        let mut waiting = Waiting::default();
        let [one, two, three] = [(); 3].map(|()| waiting.ticket());
        let waker = Waker::noop();
        for ticket in [one, two, three, two] {
            let _same = waiting.register(Place::Send, ticket, waker);
        }
        assert!(waiting.withdraw(Place::Send, one).is_some());
        let elsewhere = Place::Flood;
        assert!(waiting.withdraw(elsewhere, two).is_none());
        let mut woken = Vec::new();
        waiting.take(Place::Send, &mut woken);
        assert_eq!(woken.len(), 2);
        waiting.take(Place::Send, &mut woken);
        assert_eq!(woken.len(), 2, "each is woken once");
        assert!(waiting.register(Place::Send, one, waker).is_none());
        assert!(waiting.withdraw(Place::Send, one).is_some());
        assert!(waiting.places.is_empty(), "an empty place costs nothing");
    }

    #[test]
    fn places_that_follow_each_other_are_spread() {
        use std::collections::HashSet;
        use std::hash::BuildHasher;

        let state = BuildHasherDefault::<PlaceHasher>::default();
        let hashes: Vec<u64> = (0..1_024)
            .map(|slot| state.hash_one(Place::Accept(ListenerId::from_bits(slot))))
            .collect();
        let spread = |of: fn(&u64) -> u64| hashes.iter().map(of).collect::<HashSet<_>>().len();
        // What the table takes the bucket from, and what it tells its entries apart by.
        assert!(spread(|hash| hash & 1_023) > 512);
        assert_eq!(spread(|hash| hash >> 57), 128);
    }

    #[test]
    fn a_stream_wakes_who_polls_it_and_who_waits_beside() {
        let mut waiting = Waiting::default();
        let id = ConnectionId::from_bits(7);
        let (read, write) = (Place::Read(id), Place::Write(id));
        let beside = waiting.ticket();
        let waker = Waker::noop();
        for (place, ticket) in [(read, Ticket::POLL), (read, beside), (write, Ticket::POLL)] {
            assert!(waiting.register(place, ticket, waker).is_none());
        }
        let mut woken = Vec::new();
        waiting.take(read, &mut woken);
        assert_eq!(woken.len(), 2);
        waiting.take(read, &mut woken);
        assert!(waiting.withdraw(read, Ticket::POLL).is_none() && woken.len() == 2);
        assert!(waiting.withdraw(write, Ticket::POLL).is_some());
        assert!(waiting.register(read, Ticket::POLL, waker).is_none());
        waiting.take_all(&mut woken);
        assert_eq!(woken.len(), 3);
    }
}
