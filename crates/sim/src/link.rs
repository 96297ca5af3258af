//! [`Link`]: one direction of a path, in virtual time.
//!
//! A link is sans-IO as the stacks it joins are: packets and time go in, packets and a deadline come out. All it draws from
//! chance is decided when a packet is sent, and told in the returned [`Fate`], so whoever drives the link can log, capture
//! or later prove what became of each packet. Packets larger than the MTU come back to the caller, who plays the router
//! that answers with an ICMP error.
//!
//! Order is kept, whatever the jitter, except for packets that [`LinkConfig::reorder`] picks.

mod config;

pub use config::{LinkConfig, Loss};

use crate::Rng;
use core::cmp::Reverse;
use core::time::Duration;
use handwave_packet::{ChecksumMark, PacketBuf};
use handwave_tcp::time::Instant;
use std::collections::BinaryHeap;

/// One direction of a path: takes packets in and gives them back later, or not, or twice.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use handwave_packet::PacketBuf;
/// use handwave_sim::{Fate, Link, LinkConfig, Rng};
/// use handwave_tcp::time::Instant;
///
/// let config = LinkConfig { delay: Duration::from_millis(20), ..LinkConfig::default() };
/// let mut link = Link::new(config, Rng::from_seed(1));
/// let fate = link.send(Instant::ZERO, PacketBuf::from(vec![0; 100]));
/// assert!(matches!(fate, Fate::Queued(_)));
///
/// let arrival = Instant::from_millis(20);
/// assert_eq!(link.next_deadline(), Some(arrival));
/// assert!(link.poll(Instant::from_millis(19)).is_none());
/// assert_eq!(link.poll(arrival).unwrap().len(), 100);
/// ```
#[derive(Debug)]
pub struct Link {
    config: LinkConfig,
    rng: Rng,
    /// Whether the Gilbert-Elliott chain is in its bad state.
    in_burst: bool,
    /// When the last octet accepted so far has left the queue for the wire.
    idle_at: Instant,
    /// When the latest packet that keeps its place arrives; no other such packet arrives earlier.
    last_arrival: Instant,
    in_flight: BinaryHeap<Reverse<InFlight>>,
    serial: u64,
    stats: LinkStats,
}

/// What became of a packet handed to [`Link::send`].
#[derive(Debug)]
pub enum Fate {
    /// It will come out of [`Link::poll`].
    Queued(Delivery),
    /// Chance has dropped it.
    Lost,
    /// The queue in front of the wire was full.
    QueueFull,
    /// It exceeds the MTU: here it is, for the router to answer.
    TooBig {
        /// The link's MTU in octets, as a router would name it.
        mtu: usize,
        /// The packet that did not fit.
        packet: Box<PacketBuf>,
    },
}

/// How a packet will come out of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// When it arrives.
    pub at: Instant,
    /// When its copy arrives, if there is one.
    pub copy_at: Option<Instant>,
    /// Some bits are wrong; the receiver's checksum must notice.
    pub corrupted: bool,
    /// It was held back, so that later packets may overtake it.
    pub reordered: bool,
}

/// What a [`Link`] has done so far, in packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Handed in.
    pub sent: u64,
    /// Given out again, copies included.
    pub delivered: u64,
    /// Octets given out again, copies included.
    pub delivered_octets: u64,
    /// Dropped by chance.
    pub lost: u64,
    /// Given out a second time.
    pub duplicated: u64,
    /// Held back on purpose.
    pub reordered: u64,
    /// Damaged.
    pub corrupted: u64,
    /// Dropped in front of a full queue.
    pub queue_full: u64,
    /// Returned for exceeding the MTU.
    pub too_big: u64,
}

#[derive(Debug)]
struct InFlight {
    at: Instant,
    /// Breaks ties in the order of sending.
    serial: u64,
    packet: PacketBuf,
}

impl PartialEq for InFlight {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.serial) == (other.at, other.serial)
    }
}

impl Eq for InFlight {}

impl PartialOrd for InFlight {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for InFlight {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        (self.at, self.serial).cmp(&(other.at, other.serial))
    }
}

impl Link {
    /// Makes an idle link that draws from `rng`.
    #[must_use]
    pub fn new(config: LinkConfig, rng: Rng) -> Self {
        Self {
            config,
            rng,
            in_burst: false,
            idle_at: Instant::ZERO,
            last_arrival: Instant::ZERO,
            in_flight: BinaryHeap::new(),
            serial: 0,
            stats: LinkStats::default(),
        }
    }

    /// Takes a packet in and says what becomes of it.
    ///
    /// Super-segments have to be split before: a link carries what a wire carries.
    pub fn send(&mut self, now: Instant, packet: PacketBuf) -> Fate {
        self.stats.sent += 1;
        if packet.len() > self.config.mtu {
            self.stats.too_big += 1;
            return Fate::TooBig {
                mtu: self.config.mtu,
                packet: Box::new(packet),
            };
        }
        if self.backlog(now) + packet.len() > self.config.queue_limit {
            self.stats.queue_full += 1;
            return Fate::QueueFull;
        }
        if self.is_lost() {
            self.stats.lost += 1;
            return Fate::Lost;
        }
        Fate::Queued(self.schedule(now, packet))
    }

    /// Gives out the next packet that has arrived by `now`. Call until it returns `None`.
    pub fn poll(&mut self, now: Instant) -> Option<PacketBuf> {
        if self.next_deadline()? > now {
            return None;
        }
        let Reverse(arrived) = self.in_flight.pop()?;
        self.stats.delivered += 1;
        self.stats.delivered_octets += arrived.packet.len() as u64;
        Some(arrived.packet)
    }

    /// When the next packet arrives, if any is under way.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.in_flight.peek().map(|Reverse(next)| next.at)
    }

    /// The conditions that hold for packets sent from here on.
    #[must_use]
    pub const fn config(&self) -> &LinkConfig {
        &self.config
    }

    /// Changes the conditions for packets sent from here on; those under way are not touched.
    pub fn set_config(&mut self, config: LinkConfig) {
        self.config = config;
        self.in_burst &= matches!(self.config.loss, Loss::Bursts { .. });
    }

    /// Packets under way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// What the link has done so far.
    #[must_use]
    pub const fn stats(&self) -> LinkStats {
        self.stats
    }

    /// Octets accepted that have not yet left the queue for the wire.
    fn backlog(&self, now: Instant) -> usize {
        let Some(rate) = self.config.rate_bytes_per_second else {
            return 0;
        };
        let octets = (self.idle_at - now).as_nanos() * u128::from(rate) / 1_000_000_000;
        usize::try_from(octets).unwrap_or(usize::MAX)
    }

    fn is_lost(&mut self) -> bool {
        match self.config.loss {
            Loss::None => false,
            Loss::Random(probability) => self.rng.chance(probability),
            Loss::Bursts {
                enter,
                leave,
                loss_inside,
                loss_outside,
            } => {
                let change = if self.in_burst { leave } else { enter };
                self.in_burst ^= self.rng.chance(change);
                self.rng.chance(if self.in_burst {
                    loss_inside
                } else {
                    loss_outside
                })
            }
        }
    }

    fn schedule(&mut self, now: Instant, mut packet: PacketBuf) -> Delivery {
        let departure = self.departure(now, packet.len());
        let reordered = self.rng.chance(self.config.reorder);
        let corrupted = self.rng.chance(self.config.corrupt) && self.corrupt(&mut packet);
        let copied = self.rng.chance(self.config.duplicate);
        let at = self.arrival(departure, reordered);
        let copy_at = copied.then(|| self.arrival(departure, false));
        if let Some(copy_at) = copy_at {
            self.launch(copy_at, packet.clone());
        }
        self.launch(at, packet);
        self.stats.reordered += u64::from(reordered);
        self.stats.corrupted += u64::from(corrupted);
        self.stats.duplicated += u64::from(copied);
        Delivery {
            at,
            copy_at,
            corrupted,
            reordered,
        }
    }

    /// When the packet's last octet is on the wire.
    fn departure(&mut self, now: Instant, len: usize) -> Instant {
        let Some(rate) = self.config.rate_bytes_per_second else {
            return now;
        };
        let nanos = len as u128 * 1_000_000_000 / u128::from(rate.max(1));
        self.idle_at =
            self.idle_at.max(now) + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.idle_at
    }

    fn arrival(&mut self, departure: Instant, reordered: bool) -> Instant {
        let at = departure + self.config.delay + self.rng.up_to(self.config.jitter);
        if reordered {
            return at.max(self.last_arrival) + self.config.reorder_delay;
        }
        self.last_arrival = self.last_arrival.max(at);
        self.last_arrival
    }

    fn launch(&mut self, at: Instant, packet: PacketBuf) {
        let serial = self.serial;
        self.serial += 1;
        self.in_flight
            .push(Reverse(InFlight { at, serial, packet }));
    }

    /// Flips a run of 1 to 15 bits behind the IP header; returns whether there was room for it.
    ///
    /// The Internet checksum notices each burst shorter than 16 bits: the error is a signed sum of distinct powers of two
    /// that cannot be a multiple of 2^16 - 1 (RFC 1071 lists the arithmetic). It covers everything behind the IP header of
    /// TCP and ICMP packets; the header of IPv6 it does not cover, which is why that is left alone.
    fn corrupt(&mut self, packet: &mut PacketBuf) -> bool {
        let mut octets = packet.to_vec();
        let start = transport_offset(&octets);
        let bits = (octets.len().saturating_sub(start) as u64) * 8;
        let run = self.rng.within(1..=15);
        if bits < run {
            return false;
        }
        let first = start as u64 * 8 + self.rng.below(bits - run + 1);
        for index in 0..run {
            // Both ends of the run flip, so that its length is what was drawn.
            let flips = index == 0 || index == run - 1 || self.rng.chance(0.5);
            let bit = first + index;
            if let (true, Some(octet)) = (
                flips,
                usize::try_from(bit / 8)
                    .ok()
                    .and_then(|at| octets.get_mut(at)),
            ) {
                *octet ^= 0x80 >> (bit % 8);
            }
        }
        let held = packet.held();
        *packet = PacketBuf::from(octets);
        packet.set_held(held);
        packet.set_checksum(ChecksumMark::Unknown);
        true
    }
}

/// Where the transport header begins: behind the IPv4 header with its options, or behind IPv6's fixed header.
fn transport_offset(packet: &[u8]) -> usize {
    match packet.first() {
        Some(first) if first >> 4 == 4 => usize::from(first & 0x0F) * 4,
        Some(_) => 40,
        None => 0,
    }
}

#[cfg(test)]
mod tests;
