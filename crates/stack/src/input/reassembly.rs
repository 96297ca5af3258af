//! Fragments back to datagrams (RFC 791 3.2, RFC 8200 4.5), within limits.
//!
//! A fragment that overlaps another discards the whole datagram and what else arrives of it (RFC 5722, applied to IPv4
//! as well: a legitimate sender never overlaps, and which octets win is where attacks live). An exact repetition is
//! ignored, as RFC 8200 4.5 allows, since the network does duplicate. Octets are never copied: the result is a rope.
//!
//! Bounded in datagrams, in octets held, in fragments of one datagram and in time. When there is no room the oldest
//! incomplete datagram goes: newer ones have the better chance to complete.

use crate::aging::AgingMap;
use crate::keyed::Key;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;
use handwave_packet::Payload;
use handwave_tcp::Instant;
use handwave_wire::Ecn;

/// Limits of reassembly, for each IP version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReassemblyLimits {
    /// Incomplete datagrams at a time.
    pub datagrams_max: usize,
    /// Octets of memory held by all fragments together.
    pub octets_max: usize,
    /// Fragments of one datagram.
    pub fragments_max: usize,
    /// How long an incomplete datagram is kept, from its first fragment on.
    pub timeout: Duration,
}

/// Largest datagram that the length fields can describe.
const DATAGRAM_MAX: u32 = 65_535;

/// What fragments of one datagram have in common.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct DatagramKey {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    /// The upper protocol for IPv4; 0 for IPv6, where it is not part of the key.
    pub(crate) protocol: u8,
    pub(crate) identification: u32,
}

/// One fragment, its headers taken off.
#[derive(Debug)]
pub(crate) struct Fragment {
    /// In octets.
    pub(crate) offset: u32,
    /// Whether others follow.
    pub(crate) more: bool,
    /// What the protocol field (or the fragment header's next header) says; that of the first fragment counts.
    pub(crate) protocol: u8,
    pub(crate) ecn: Ecn,
    pub(crate) payload: Payload,
    /// Octets of memory that `payload` keeps alive.
    pub(crate) held: usize,
    /// The start of the packet as it arrived, for an ICMP error about it; used with offset 0 only.
    pub(crate) quote: Payload,
}

/// A datagram put together.
#[derive(Debug)]
pub(crate) struct Datagram {
    pub(crate) protocol: u8,
    pub(crate) ecn: Ecn,
    pub(crate) payload: Payload,
    pub(crate) held: usize,
}

/// Why a fragment was not kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FragmentRefusal {
    /// It overlaps another: the datagram is discarded.
    Overlap,
    /// It belongs to a datagram that was discarded.
    Discarded,
    /// It reaches beyond 65,535 octets.
    TooLong,
    /// It contradicts another about the length of the datagram, is empty, or is not a multiple of 8 octets though
    /// others follow.
    Inconsistent,
    /// The datagram has too many fragments.
    TooMany,
    /// It was there already.
    Duplicate,
    /// There is no memory for it.
    NoRoom,
}

/// A datagram that was given up.
#[derive(Debug)]
pub(crate) struct Expired {
    pub(crate) key: DatagramKey,
    /// The start of the first fragment as it arrived, if that one did: only then is ICMP Time Exceeded sent (RFC 792).
    pub(crate) quote: Option<Payload>,
}

#[derive(Debug)]
struct Piece {
    start: u32,
    end: u32,
    payload: Payload,
}

#[derive(Debug)]
struct Incomplete {
    deadline: Instant,
    /// In order, none overlapping another.
    pieces: Vec<Piece>,
    /// Sum of the pieces' lengths.
    octets: u32,
    /// Known once the last fragment is here.
    total: Option<u32>,
    held: usize,
    protocol: u8,
    ecn: EcnSeen,
    quote: Option<Payload>,
    /// An overlap was seen: everything of this datagram is dropped until its time is over.
    discarded: bool,
}

/// Marks of the fragments so far (RFC 3168 5.3).
#[derive(Clone, Copy, Default, Debug)]
struct EcnSeen {
    not_ect: bool,
    ce: bool,
    ect: Option<Ecn>,
}

impl EcnSeen {
    fn add(&mut self, ecn: Ecn) {
        match ecn {
            Ecn::NotEct => self.not_ect = true,
            Ecn::Ce => self.ce = true,
            Ecn::Ect0 | Ecn::Ect1 => self.ect = Some(ecn),
        }
    }

    /// The mark of the whole; `None` if a congestion mark stands beside a fragment that cannot have been marked.
    fn whole(self) -> Option<Ecn> {
        match (self.not_ect, self.ce) {
            (true, true) => None,
            (false, true) => Some(Ecn::Ce),
            (true, false) => Some(Ecn::NotEct),
            (false, false) => Some(self.ect.unwrap_or(Ecn::NotEct)),
        }
    }
}

/// The incomplete datagrams of one IP version.
#[derive(Debug)]
pub(crate) struct Reassembly {
    limits: ReassemblyLimits,
    incomplete: AgingMap<DatagramKey, Incomplete>,
    held: usize,
}

impl Reassembly {
    pub(crate) fn new(limits: ReassemblyLimits, key: Key) -> Self {
        Self {
            limits,
            incomplete: AgingMap::new(key),
            held: 0,
        }
    }

    /// Octets of memory held.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// How many datagrams are incomplete, discarded ones included.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.incomplete.len()
    }

    /// Adds a fragment; returns the datagram if that completes it.
    /// RFC 1122 3.3.2: fragments make up their datagram again, whatever its size [RFC1122-9].
    pub(crate) fn insert(
        &mut self,
        now: Instant,
        key: DatagramKey,
        fragment: Fragment,
    ) -> Result<Option<Datagram>, FragmentRefusal> {
        let len = u32::try_from(fragment.payload.len()).map_err(|_| FragmentRefusal::TooLong)?;
        let end = fragment
            .offset
            .checked_add(len)
            .filter(|end| *end <= DATAGRAM_MAX);
        let end = end.ok_or(FragmentRefusal::TooLong)?;
        if len == 0 || fragment.more && len % 8 != 0 {
            return Err(FragmentRefusal::Inconsistent);
        }
        self.make_room(&key, fragment.held)?;
        if self.incomplete.get(&key).is_none() {
            self.incomplete
                .insert(key, Incomplete::new(now + self.limits.timeout));
        }
        let entry = self
            .incomplete
            .get_mut(&key)
            .ok_or(FragmentRefusal::NoRoom)?;
        let held = fragment.held;
        match entry.add(fragment, end, self.limits.fragments_max) {
            Ok(()) => self.held += held,
            Err(refusal) => {
                if entry.discarded {
                    self.held -= core::mem::take(&mut entry.held);
                }
                return Err(refusal);
            }
        }
        if entry.total != Some(entry.octets) {
            return Ok(None);
        }
        Ok(self.finish(&key))
    }

    /// When the oldest incomplete datagram is given up.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.incomplete.oldest().map(|(_, entry)| entry.deadline)
    }

    /// Gives up one datagram whose time is over; call until `None`.
    pub(crate) fn pop_expired(&mut self, now: Instant) -> Option<Expired> {
        self.next_deadline().filter(|deadline| *deadline <= now)?;
        self.pop_oldest()
    }

    fn pop_oldest(&mut self) -> Option<Expired> {
        let (key, entry) = self.incomplete.pop_oldest()?;
        self.held -= entry.held;
        Some(Expired {
            key,
            quote: entry.quote,
        })
    }

    /// Sees to it that a fragment of `key` that holds `held` octets fits.
    fn make_room(&mut self, key: &DatagramKey, held: usize) -> Result<(), FragmentRefusal> {
        if held > self.limits.octets_max || self.limits.datagrams_max == 0 {
            return Err(FragmentRefusal::NoRoom);
        }
        if self.incomplete.get(key).is_none() && self.incomplete.len() >= self.limits.datagrams_max
        {
            self.pop_oldest();
        }
        while self.held + held > self.limits.octets_max {
            self.pop_oldest().ok_or(FragmentRefusal::NoRoom)?;
        }
        Ok(())
    }

    fn finish(&mut self, key: &DatagramKey) -> Option<Datagram> {
        let entry = self.incomplete.remove(key)?;
        self.held -= entry.held;
        let ecn = entry.ecn.whole()?;
        let mut payload = Payload::new();
        for piece in entry.pieces {
            payload.append(piece.payload);
        }
        Some(Datagram {
            protocol: entry.protocol,
            ecn,
            payload,
            held: entry.held,
        })
    }
}

impl Incomplete {
    fn new(deadline: Instant) -> Self {
        Self {
            deadline,
            pieces: Vec::new(),
            octets: 0,
            total: None,
            held: 0,
            protocol: 0,
            ecn: EcnSeen::default(),
            quote: None,
            discarded: false,
        }
    }

    fn add(
        &mut self,
        fragment: Fragment,
        end: u32,
        fragments_max: usize,
    ) -> Result<(), FragmentRefusal> {
        if self.discarded {
            return Err(FragmentRefusal::Discarded);
        }
        let start = fragment.offset;
        let position = self.pieces.partition_point(|piece| piece.start < start);
        let at = self.pieces.get(position);
        if at.is_some_and(|piece| (piece.start, piece.end) == (start, end)) {
            return Err(FragmentRefusal::Duplicate);
        }
        let behind = position
            .checked_sub(1)
            .and_then(|index| self.pieces.get(index));
        if behind.is_some_and(|piece| piece.end > start)
            || at.is_some_and(|piece| piece.start < end)
        {
            return Err(self.discard(FragmentRefusal::Overlap));
        }
        let last_end = self.pieces.last().map_or(0, |piece| piece.end);
        let contradicts = if fragment.more {
            self.total.is_some_and(|total| end > total)
        } else {
            self.total.is_some() || last_end > end
        };
        if contradicts {
            return Err(self.discard(FragmentRefusal::Inconsistent));
        }
        if self.pieces.len() >= fragments_max {
            return Err(self.discard(FragmentRefusal::TooMany));
        }
        if start == 0 {
            self.protocol = fragment.protocol;
            self.quote = Some(fragment.quote);
        }
        if !fragment.more {
            self.total = Some(end);
        }
        self.octets += end - start;
        self.held += fragment.held;
        self.ecn.add(fragment.ecn);
        self.pieces.insert(
            position,
            Piece {
                start,
                end,
                payload: fragment.payload,
            },
        );
        Ok(())
    }

    /// Lets go of everything but the memory that this datagram was discarded.
    fn discard(&mut self, refusal: FragmentRefusal) -> FragmentRefusal {
        self.discarded = true;
        self.pieces = Vec::new();
        self.quote = None;
        refusal
    }
}

#[cfg(test)]
mod tests;
