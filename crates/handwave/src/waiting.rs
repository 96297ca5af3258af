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
    pub(crate) fn register(&mut self, place: Place, ticket: Ticket, waker: &Waker) {
        let Some(waiters) = self.places.get_mut(&place) else {
            let first = (ticket, waker.clone());
            let others = Vec::new();
            self.places.insert(place, Waiters { first, others });
            return;
        };
        let mut all = std::iter::once(&mut waiters.first).chain(&mut waiters.others);
        match all.find(|(own, _)| *own == ticket) {
            Some((_, old)) => old.clone_from(waker),
            None => waiters.others.push((ticket, waker.clone())),
        }
    }

    /// Takes back what was left with `ticket`, if it is still there.
    pub(crate) fn withdraw(&mut self, place: Place, ticket: Ticket) {
        let Some(waiters) = self.places.get_mut(&place) else {
            return;
        };
        waiters.others.retain(|(own, _)| *own != ticket);
        if waiters.first.0 == ticket {
            match waiters.others.pop() {
                Some(other) => waiters.first = other,
                None => {
                    self.places.remove(&place);
                }
            }
        }
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
            waiting.register(Place::Send, ticket, waker);
        }
        waiting.withdraw(Place::Send, one);
        waiting.withdraw(Place::Accept(ListenerId::from_bits(0)), two);
        let mut woken = Vec::new();
        waiting.take(Place::Send, &mut woken);
        assert_eq!(woken.len(), 2);
        waiting.take(Place::Send, &mut woken);
        assert_eq!(woken.len(), 2, "each is woken once");
        waiting.register(Place::Send, one, waker);
        waiting.withdraw(Place::Send, one);
        assert!(waiting.places.is_empty(), "an empty place costs nothing");
    }
}
