//! Who has which link address: one table for ARP (RFC 826) and NDP (RFC 4861).
//!
//! The life of an entry follows RFC 4861 7.3 for both: it is asked for (*incomplete*), believed for a while
//! (*reachable*), used but doubted (*stale*), and asked again by unicast when it is used in doubt (*probing*).
//! Entries come into being only because we want to send, or because somebody asked for an address of ours: what
//! others shout about is not learnt. Bounded in entries and in packets that wait.

use crate::aging::AgingMap;
use crate::id::InterfaceId;
use crate::keyed::Key;
use crate::timers::TimerWheel;
use alloc::collections::VecDeque;
use core::mem;
use core::net::IpAddr;
use core::time::Duration;
use handwave_packet::PacketBuf;
use handwave_tcp::Instant;
use handwave_wire::ethernet::MacAddr;

/// Limits and times of neighbour resolution; the defaults are those of RFC 4861 10.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NeighbourLimits {
    /// Entries at a time; the one unused for longest makes room.
    pub entries_max: usize,
    /// Packets that wait for one address (RFC 4861 7.2.2, RFC 1122 2.3.2.2); the oldest makes room.
    pub queue_max: usize,
    /// How long a confirmed address is believed.
    pub reachable: Duration,
    /// Time between two questions.
    pub retry: Duration,
    /// Questions before an address is given up.
    pub questions_max: u8,
    /// How long an address in doubt that nobody uses is kept.
    pub stale: Duration,
}

impl Default for NeighbourLimits {
    fn default() -> Self {
        Self {
            entries_max: 1_024,
            queue_max: 4,
            reachable: Duration::from_secs(30),
            retry: Duration::from_secs(1),
            questions_max: 3,
            stale: Duration::from_secs(1_200),
        }
    }
}

/// A neighbour on a link.
pub(crate) type NeighbourKey = (InterfaceId, IpAddr);

/// What becomes of a packet to a neighbour.
#[derive(Debug)]
pub(crate) enum Resolution {
    /// It can be sent.
    Send(MacAddr, PacketBuf),
    /// It waits; the oldest that waited is given back if there was no room.
    Waits(Option<PacketBuf>),
}

/// A question to put on the link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Question {
    pub(crate) interface: InterfaceId,
    pub(crate) addr: IpAddr,
    /// Ask this address directly; otherwise everybody, or the solicited-node group.
    pub(crate) unicast: Option<MacAddr>,
}

/// How a neighbour's link address became known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Evidence {
    /// It answered a question of ours.
    Answer {
        /// Whether the answer replaces another address that is believed (RFC 4861 7.2.5).
        overrides: bool,
    },
    /// It asked for an address of ours: worth an entry, though a doubtful one.
    AskedUs,
    /// It spoke of itself unasked: changes an entry that exists, creates none.
    Unasked,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Incomplete { asked: u8 },
    Reachable { until: Instant },
    Stale,
    Probing { asked: u8 },
}

#[derive(Debug)]
struct Neighbour {
    state: State,
    mac: MacAddr,
    queue: VecDeque<PacketBuf>,
}

/// The neighbours on all links of a stack.
#[derive(Debug)]
pub(crate) struct Neighbours {
    limits: NeighbourLimits,
    entries: AgingMap<NeighbourKey, Neighbour>,
    timers: TimerWheel,
    questions: VecDeque<Question>,
}

impl Neighbours {
    pub(crate) fn new(limits: NeighbourLimits, key: Key, now: Instant) -> Self {
        Self {
            limits,
            entries: AgingMap::new(key),
            timers: TimerWheel::new(now),
            questions: VecDeque::new(),
        }
    }

    /// Finds the link address for `packet`, or makes it wait while the address is asked for.
    pub(crate) fn resolve(
        &mut self,
        now: Instant,
        key: NeighbourKey,
        packet: PacketBuf,
    ) -> Resolution {
        let Some(slot) = self.entries.slot_of(&key) else {
            return self.begin(now, key, packet);
        };
        self.entries.renew(slot);
        let queue_max = self.limits.queue_max;
        let Some(entry) = self.entries.get_mut(&key) else {
            return Resolution::Waits(Some(packet));
        };
        let mac = entry.mac;
        match entry.state {
            State::Incomplete { .. } => {
                entry.queue.push_back(packet);
                let overflow = if entry.queue.len() > queue_max {
                    entry.queue.pop_front()
                } else {
                    None
                };
                Resolution::Waits(overflow)
            }
            State::Reachable { until } if now < until => Resolution::Send(mac, packet),
            State::Probing { .. } => Resolution::Send(mac, packet),
            State::Reachable { .. } | State::Stale => {
                entry.state = State::Probing { asked: 1 };
                self.ask(now, slot, key, Some(mac));
                Resolution::Send(mac, packet)
            }
        }
    }

    /// Notes what `key` says its link address is; returns the packets that waited for it.
    pub(crate) fn learn(
        &mut self,
        now: Instant,
        key: NeighbourKey,
        mac: MacAddr,
        evidence: Evidence,
    ) -> VecDeque<PacketBuf> {
        let reachable = State::Reachable {
            until: now + self.limits.reachable,
        };
        if let Some(entry) = self.entries.get_mut(&key) {
            let same = entry.mac == mac;
            let incomplete = matches!(entry.state, State::Incomplete { .. });
            entry.state = match evidence {
                Evidence::Answer { overrides } if incomplete || same || overrides => reachable,
                // Another address without the right to replace: doubt the one we have.
                Evidence::Answer { .. } => {
                    entry.state = State::Stale;
                    return VecDeque::new();
                }
                Evidence::AskedUs | Evidence::Unasked if same && !incomplete => entry.state,
                Evidence::AskedUs | Evidence::Unasked => State::Stale,
            };
            entry.mac = mac;
        } else if evidence == Evidence::AskedUs {
            self.make_room();
            self.entries.insert(
                key,
                Neighbour {
                    state: State::Stale,
                    mac,
                    queue: VecDeque::new(),
                },
            );
        }
        self.rearm(now, &key);
        self.entries
            .get_mut(&key)
            .map(|entry| mem::take(&mut entry.queue))
            .unwrap_or_default()
    }

    /// Takes advice from above that what is sent to `key` does not seem to arrive: its address is asked for again
    /// with the next packet (RFC 4861 7.3.1, RFC 1122 2.3.2.1).
    pub(crate) fn doubt(&mut self, now: Instant, key: NeighbourKey) {
        if let Some(entry) = self.entries.get_mut(&key)
            && matches!(entry.state, State::Reachable { .. })
        {
            entry.state = State::Stale;
            self.rearm(now, &key);
        }
    }

    /// The next question to put on a link.
    pub(crate) fn poll_question(&mut self) -> Option<Question> {
        self.questions.pop_front()
    }

    /// When the next entry wants attention.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.timers.next_deadline()
    }

    /// Lets time pass for one entry; returns the packets of a neighbour that did not answer. Call until `None`.
    pub(crate) fn pop_expired(&mut self, now: Instant) -> Option<VecDeque<PacketBuf>> {
        let slot = self.timers.pop_expired(now)?;
        let Some(key) = self.entries.key_at(slot) else {
            return Some(VecDeque::new());
        };
        let questions_max = self.limits.questions_max;
        let Some(entry) = self.entries.get_mut(&key) else {
            return Some(VecDeque::new());
        };
        let mac = entry.mac;
        match &mut entry.state {
            State::Incomplete { asked } | State::Probing { asked } if *asked >= questions_max => {
                let waiting = mem::take(&mut entry.queue);
                self.entries.remove(&key);
                return Some(waiting);
            }
            State::Incomplete { asked } => {
                *asked += 1;
                self.ask(now, slot, key, None);
            }
            State::Probing { asked } => {
                *asked += 1;
                self.ask(now, slot, key, Some(mac));
            }
            State::Reachable { until } if now < *until => {
                let until = *until;
                self.timers.arm(slot, until);
            }
            State::Reachable { .. } => {
                entry.state = State::Stale;
                self.timers.arm(slot, now + self.limits.stale);
            }
            State::Stale => {
                self.entries.remove(&key);
            }
        }
        Some(VecDeque::new())
    }

    /// The link address of a neighbour, if it is known.
    #[cfg(test)]
    fn mac_of(&self, key: &NeighbourKey) -> Option<MacAddr> {
        self.entries
            .get(key)
            .filter(|entry| !matches!(entry.state, State::Incomplete { .. }))
            .map(|entry| entry.mac)
    }

    /// How many entries there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    fn begin(&mut self, now: Instant, key: NeighbourKey, packet: PacketBuf) -> Resolution {
        if self.limits.entries_max == 0 || self.limits.queue_max == 0 {
            return Resolution::Waits(Some(packet));
        }
        self.make_room();
        let state = State::Incomplete { asked: 1 };
        let entry = Neighbour {
            state,
            mac: MacAddr::default(),
            queue: VecDeque::from([packet]),
        };
        let slot = self.entries.insert(key, entry);
        self.timers.cancel(slot);
        self.ask(now, slot, key, None);
        Resolution::Waits(None)
    }

    fn make_room(&mut self) {
        while self.entries.len() >= self.limits.entries_max.max(1) {
            if let Some((key, _)) = self.entries.oldest()
                && let Some(slot) = self.entries.slot_of(&key)
            {
                self.timers.cancel(slot);
            }
            self.entries.pop_oldest();
        }
    }

    fn ask(&mut self, now: Instant, slot: u32, key: NeighbourKey, unicast: Option<MacAddr>) {
        let (interface, addr) = key;
        // A caller that polls leaves no question behind; one that does not is not a reason to grow.
        if self.questions.len() < self.limits.entries_max {
            self.questions.push_back(Question {
                interface,
                addr,
                unicast,
            });
        }
        self.timers.cancel(slot);
        self.timers.arm(slot, now + self.limits.retry);
    }

    fn rearm(&mut self, now: Instant, key: &NeighbourKey) {
        let (Some(slot), Some(entry)) = (self.entries.slot_of(key), self.entries.get(key)) else {
            return;
        };
        let deadline = match entry.state {
            State::Reachable { until } => until,
            State::Stale => now + self.limits.stale,
            State::Incomplete { .. } | State::Probing { .. } => return,
        };
        self.timers.cancel(slot);
        self.timers.arm(slot, deadline);
    }
}

#[cfg(test)]
mod tests;
