//! From the four numbers of a segment to its owner, in one hash and one look.
//!
//! The table stores a tagged index of four octets; the tuple itself lies in the connection or the TIME-WAIT record,
//! which the segment is about to touch anyway. Seven bits of the hash kept beside each index make a wrong candidate
//! rare.
//!
//! Listeners stand apart in [`Listeners`]: only a segment that belongs to no connection asks there.

use crate::keyed::Plain;
use alloc::vec::Vec;
use core::net::IpAddr;
use handwave_tcp::{Endpoint, Tuple, TupleHash};
use hashbrown::{HashMap, HashTable};

/// The owner of a tuple.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Owner {
    /// The connection in this slot.
    Connection(u32),
    /// The TIME-WAIT record in this slot.
    TimeWait(u32),
}

/// An [`Owner`] in four octets: the highest bit tells TIME-WAIT from connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Tagged(u32);

const TIME_WAIT: u32 = 1 << 31;

impl From<Owner> for Tagged {
    fn from(owner: Owner) -> Self {
        match owner {
            Owner::Connection(slot) => Self(slot),
            Owner::TimeWait(slot) => Self(slot | TIME_WAIT),
        }
    }
}

impl From<Tagged> for Owner {
    fn from(Tagged(bits): Tagged) -> Self {
        match bits & TIME_WAIT {
            0 => Self::Connection(bits),
            _ => Self::TimeWait(bits & !TIME_WAIT),
        }
    }
}

/// Tuple to owner.
#[derive(Debug)]
pub(crate) struct Demux {
    table: HashTable<Tagged>,
    key: TupleHash,
}

impl Demux {
    /// Octets that an entry takes just after the table has grown, when it is filled least: to 7/16. An entry has an octet of tag.
    #[cfg(test)]
    pub(crate) const COST: usize = ((size_of::<Tagged>() + 1) * 16).div_ceil(7);

    /// A table hashed with `key` that has room for `capacity` tuples.
    pub(crate) fn new(key: TupleHash, capacity: usize) -> Self {
        Self {
            table: HashTable::with_capacity(capacity),
            key,
        }
    }

    /// How many tuples are known.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// The owner of `tuple`. `owns` compares with the tuple of a candidate where it lies.
    #[inline(always)]
    pub(crate) fn find(
        &self,
        tuple: &Tuple,
        owns: impl Fn(Owner, &Tuple) -> bool,
    ) -> Option<Owner> {
        let matches = |tagged: &Tagged| owns(Owner::from(*tagged), tuple);
        self.table
            .find(self.key.tuple(tuple), matches)
            .copied()
            .map(Owner::from)
    }

    /// The hash of a tuple, for [`candidate`](Self::candidate).
    pub(crate) fn hash(&self, tuple: &Tuple) -> u64 {
        self.key.tuple(tuple)
    }

    /// Who owns the tuple of this hash unless nobody does: the first of those whose hash begins alike.
    pub(crate) fn candidate(&self, hash: u64) -> Option<Owner> {
        self.table.find(hash, |_| true).copied().map(Owner::from)
    }

    /// Adds `tuple`, which no one owns (the caller looked), as `owner`'s.
    pub(crate) fn insert(
        &mut self,
        tuple: &Tuple,
        owner: Owner,
        tuple_of: impl Fn(Owner) -> Option<Tuple>,
    ) {
        let key = self.key;
        // Growing moves every entry, and the hash of an entry is that of the tuple it points to.
        let rehash =
            |tagged: &Tagged| tuple_of(Owner::from(*tagged)).map_or(0, |tuple| key.tuple(&tuple));
        self.table
            .insert_unique(key.tuple(tuple), Tagged::from(owner), rehash);
    }

    /// Forgets that `owner` owns `tuple`.
    pub(crate) fn remove(&mut self, tuple: &Tuple, owner: Owner) {
        let hash = self.key.tuple(tuple);
        if let Ok(entry) = self
            .table
            .find_entry(hash, |tagged| *tagged == Tagged::from(owner))
        {
            entry.remove();
        }
    }
}

/// Who listens where: an exact address first, then any address.
///
/// Only the program chooses what is in the table, so its hash needs no secret.
#[derive(Default, Debug)]
pub(crate) struct Listeners {
    /// By port: an address and who listens there, from the most particular to the most general.
    bound: HashMap<u16, Vec<(Option<IpAddr>, u32)>, Plain>,
}

impl Listeners {
    /// Who takes what is sent to `local`: the listener on the exact address before the one on any address of its family before
    /// the one on any address.
    pub(crate) fn find(&self, local: &Endpoint) -> Option<u32> {
        let places = self.bound.get(&local.port)?;
        let takes = |addr: IpAddr| {
            let any_like = addr.is_unspecified() && addr.is_ipv4() == local.addr.is_ipv4();
            addr == local.addr || any_like
        };
        let mut places = places.iter();
        places
            .find(|(addr, _)| addr.is_none_or(takes))
            .map(|(_, slot)| *slot)
    }

    /// The listener at exactly this place.
    pub(crate) fn at_place(&self, addr: Option<IpAddr>, port: u16) -> Option<u32> {
        let mut places = self.bound.get(&port)?.iter();
        places.find(|place| place.0 == addr).map(|place| place.1)
    }

    /// Whether exactly this place is taken.
    pub(crate) fn contains(&self, addr: Option<IpAddr>, port: u16) -> bool {
        let places = self.bound.get(&port);
        places.is_some_and(|places| places.iter().any(|place| place.0 == addr))
    }

    /// Puts `slot` at a place that is free.
    pub(crate) fn insert(&mut self, addr: Option<IpAddr>, port: u16, slot: u32) {
        let places = self.bound.entry(port).or_default();
        places.push((addr, slot));
        places.sort_unstable_by_key(|(addr, _)| match addr {
            Some(addr) => (u8::from(addr.is_unspecified()), Some(*addr)),
            None => (2, None),
        });
    }

    /// Clears a place.
    pub(crate) fn remove(&mut self, addr: Option<IpAddr>, port: u16) {
        if let Some(places) = self.bound.get_mut(&port) {
            places.retain(|place| place.0 != addr);
            if places.is_empty() {
                self.bound.remove(&port);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Demux, Listeners, Owner};
    use alloc::vec::Vec;
    use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    use handwave_tcp::{Endpoint, Tuple, TupleHash};

    fn tuple(n: u32) -> Tuple {
        Tuple {
            local: Endpoint::new(Ipv4Addr::new(10, 0, 0, 1).into(), 80),
            remote: Endpoint::new(
                Ipv4Addr::from(0x0a01_0000 + n / 1_000).into(),
                (n % 1_000) as u16 + 1,
            ),
        }
    }

    #[test]
    fn finds_what_was_inserted_after_growing() {
        let tuples: Vec<Tuple> = (0..5_000).map(tuple).collect();
        let of = |owner: Owner| match owner {
            Owner::Connection(slot) | Owner::TimeWait(slot) => tuples.get(slot as usize).copied(),
        };
        let owns = |owner, tuple: &Tuple| of(owner).as_ref() == Some(tuple);
        let owner = |slot| {
            if slot % 3 == 0 {
                Owner::TimeWait(slot)
            } else {
                Owner::Connection(slot)
            }
        };
        let mut demux = Demux::new(TupleHash::new(&[1; 16]), 0);
        for (slot, tuple) in (0..).zip(&tuples) {
            assert_eq!(demux.find(tuple, owns), None);
            demux.insert(tuple, owner(slot), of);
        }
        for (slot, tuple) in (0..).zip(&tuples) {
            let owner = owner(slot);
            assert_eq!(demux.find(tuple, owns), Some(owner));
            demux.remove(tuple, owner);
            assert_eq!(demux.find(tuple, owns), None);
        }
        assert_eq!(demux.len(), 0);
    }

    #[test]
    fn an_exact_address_comes_before_any_address() {
        let (one, two) = (
            IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        );
        let mut listeners = Listeners::default();
        listeners.insert(None, 80, 1);
        listeners.insert(Some(one), 80, 2);
        assert_eq!(listeners.find(&Endpoint::new(one, 80)), Some(2));
        assert_eq!(listeners.find(&Endpoint::new(two, 80)), Some(1));
        assert_eq!(listeners.find(&Endpoint::new(one, 81)), None);
        listeners.remove(Some(one), 80);
        assert_eq!(listeners.find(&Endpoint::new(one, 80)), Some(1));
        assert!(listeners.contains(None, 80));
    }
}
