//! Who waits for what: wakers, by the place they wait at.
//!
//! A place has an entry only while somebody waits there, so an idle connection that nobody reads costs nothing here.

use std::collections::HashMap;
use std::task::Waker;

use handwave_stack::{ConnectionId, ListenerId, UdpId};

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
    places: HashMap<Place, Waiters>,
    tickets: u64,
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

    /// Takes all wakers at `place`.
    pub(crate) fn take(&mut self, place: Place, woken: &mut Vec<Waker>) {
        if let Some(waiters) = self.places.remove(&place) {
            woken.push(waiters.first.1);
            woken.extend(waiters.others.into_iter().map(|(_, waker)| waker));
        }
    }

    /// Takes the wakers at every place, in an order that does not depend on hashing.
    pub(crate) fn take_all(&mut self, woken: &mut Vec<Waker>) {
        let mut places: Vec<_> = self.places.keys().copied().collect();
        places.sort_unstable();
        for place in places {
            self.take(place, woken);
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
        let elsewhere = Place::Accept(ListenerId::from_bits(0));
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
}
