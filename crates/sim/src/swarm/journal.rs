//! [`Journal`]: a line for every TCP segment that entered a link, and what became of it.
//!
//! From it a run proves that a connection which timed out had every reason to: each try, or each answer, was lost.

use super::laws::{Known, Laws};
use crate::world::{Crossing, Tap};
use crate::{Fate, HostId};
use core::cell::RefCell;
use core::fmt;
use core::net::IpAddr;
use handwave_packet::PacketBuf;
use handwave_tcp::time::Instant;
use handwave_wire::{SeqNum, TcpFlags, TcpHeader};
use std::rc::Rc;

/// One segment on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) sent: Instant,
    pub(super) from: HostId,
    pub(super) source_port: u16,
    pub(super) destination_port: u16,
    pub(super) seq: SeqNum,
    pub(super) ack: SeqNum,
    pub(super) flags: TcpFlags,
    pub(super) window: u16,
    /// TSval, if any.
    pub(super) timestamp: Option<u32>,
    pub(super) payload_len: u32,
    /// When it, or its copy, arrived undamaged.
    pub(super) arrived: Option<Instant>,
    pub(super) note: &'static str,
}

impl Entry {
    /// SEG.LEN: the octets of sequence space it takes.
    pub(super) fn seq_len(&self) -> u32 {
        let bit = |flag| u32::from(self.flags.contains(flag));
        self.payload_len + bit(TcpFlags::SYN) + bit(TcpFlags::FIN)
    }

    /// Whether it carries the octet (or SYN, or FIN) at `at`.
    pub(super) fn covers(&self, at: SeqNum) -> bool {
        at.in_window(self.seq, self.seq_len())
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            sent,
            source_port,
            destination_port,
            flags,
            seq,
            ack,
            window,
            payload_len,
            ..
        } = self;
        write!(
            f,
            "{sent} {source_port} > {destination_port} [{flags}] seq {seq} ack {ack} win {window} len {payload_len}"
        )?;
        match self.arrived {
            Some(at) => write!(f, " -> {at} {}", self.note),
            None => write!(f, " -> {}", self.note),
        }
    }
}

/// All segments of a run, in the order of sending, and the laws they have to obey. Clones share one list.
#[derive(Clone, Debug, Default)]
pub(super) struct Journal {
    entries: Rc<RefCell<Vec<Entry>>>,
    laws: Rc<RefCell<Laws>>,
    /// Print each line as it is written.
    print: bool,
}

impl Journal {
    /// An empty journal; with `print`, each line also goes to standard output.
    pub(super) fn new(print: bool) -> Self {
        Self {
            print,
            ..Self::default()
        }
    }

    /// Calls `look` with the segments sent so far.
    pub(super) fn with<T>(&self, look: impl FnOnce(&[Entry]) -> T) -> T {
        look(&self.entries.borrow())
    }

    /// A new connection begins on these ports.
    pub(super) fn forget(&self, ports: [u16; 2]) {
        self.laws.borrow_mut().forget(ports);
    }

    /// When the last of what is under way between these ports arrives.
    pub(super) fn last_arrival(&self, ports: [u16; 2]) -> Option<Instant> {
        self.laws.borrow().last_arrival(ports)
    }

    /// What somebody who has watched a connection knows of the end at the first of `hosts`.
    pub(super) fn known(&self, hosts: [HostId; 2], ports: [u16; 2]) -> Option<Known> {
        self.laws.borrow().known(hosts, ports)
    }

    /// The first law that a segment has broken by `now`, if any.
    pub(super) fn broken_law(&self, now: Instant) -> Option<String> {
        let mut laws = self.laws.borrow_mut();
        laws.check_delays(now);
        laws.broken().map(String::from)
    }
}

impl Tap for Journal {
    fn sent(&mut self, crossing: &Crossing<'_>) {
        let Some(header) = tcp_header(crossing.packet) else {
            return;
        };
        let (tcp, payload_len) = header;
        let (arrived, note) = match crossing.fate {
            Fate::Queued(delivery) if delivery.corrupted => (None, "damaged"),
            Fate::Queued(delivery) if delivery.reordered => (Some(delivery.at), "held back"),
            Fate::Queued(delivery) => (Some(delivery.at), ""),
            Fate::Lost => (None, "lost"),
            Fate::QueueFull => (None, "queue full"),
            Fate::TooBig { .. } => (None, "too big"),
        };
        let entry = Entry {
            sent: crossing.now,
            from: crossing.from,
            source_port: tcp.source_port,
            destination_port: tcp.destination_port,
            seq: tcp.seq,
            ack: tcp.ack,
            flags: tcp.flags,
            window: tcp.window,
            timestamp: tcp.options.timestamps.map(|stamps| stamps.value),
            payload_len,
            arrived,
            note,
        };
        if self.print {
            println!("{entry} {}", Options(&tcp));
        }
        self.entries.borrow_mut().push(entry);
        let copy = match crossing.fate {
            Fate::Queued(delivery) if !delivery.corrupted => delivery.copy_at,
            Fate::Queued(_) | Fate::Lost | Fate::QueueFull | Fate::TooBig { .. } => None,
        };
        let ends = [crossing.from, crossing.to];
        self.laws
            .borrow_mut()
            .sent(crossing.now, ends, (&tcp, payload_len), [arrived, copy]);
    }
}

/// The options worth a look in a trace.
struct Options<'a>(&'a TcpHeader);

impl fmt::Display for Options<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = &self.0.options;
        if let Some(mss) = options.mss {
            write!(f, " mss {mss}")?;
        }
        if let Some(shift) = options.window_scale {
            write!(f, " wscale {shift}")?;
        }
        if let Some(stamps) = options.timestamps {
            write!(f, " ts {} {}", stamps.value, stamps.echo)?;
        }
        for block in options.sack.iter() {
            write!(f, " sack {}-{}", block.left, block.right)?;
        }
        Ok(())
    }
}

/// The TCP header of a whole (not fragmented) TCP packet, and the octets of text.
fn tcp_header(packet: &PacketBuf) -> Option<(TcpHeader, u32)> {
    let mut packet = packet.clone();
    let first = *packet.contiguous().first()?;
    let (ip_len, protocol_at) = if first >> 4 == 4 {
        (usize::from(first & 0x0F) * 4, 9)
    } else {
        (40, 6)
    };
    if *packet.front(ip_len)?.get(protocol_at)? != 6 {
        return None;
    }
    packet.advance(ip_len);
    let head = packet.contiguous();
    let (tcp, data_at) = TcpHeader::parse(head).ok()?;
    Some((
        tcp,
        u32::try_from(packet.len() - data_at).unwrap_or(u32::MAX),
    ))
}

/// Addresses the two hosts of a run have, by IP version.
pub(super) fn addresses(v4: bool) -> [IpAddr; 2] {
    if v4 {
        [IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2])]
    } else {
        [1, 2].map(|host| IpAddr::from([0x2001, 0xDB8, 0, 0, 0, 0, 0, host]))
    }
}
