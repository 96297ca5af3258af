//! Looking on: what a capture, a log or a checker sees of a [`World`](crate::World).

use super::HostId;
use crate::Fate;
use core::fmt;
use handwave_packet::PacketBuf;
use handwave_tcp::time::Instant;

/// Sees packets as they enter and leave links.
pub trait Tap: fmt::Debug {
    /// A host has sent a packet, and this becomes of it.
    fn sent(&mut self, crossing: &Crossing<'_>);

    /// A packet (or its copy, or its damaged self) has arrived at `to`.
    fn arrived(&mut self, now: Instant, from: HostId, to: HostId, packet: &PacketBuf) {
        let _ = (now, from, to, packet);
    }
}

/// A packet that enters a link.
#[derive(Debug)]
pub struct Crossing<'a> {
    /// When.
    pub now: Instant,
    /// Who sent it.
    pub from: HostId,
    /// Whom it is for.
    pub to: HostId,
    /// The packet as it was sent.
    pub packet: &'a PacketBuf,
    /// What becomes of it.
    pub fate: &'a Fate,
}
