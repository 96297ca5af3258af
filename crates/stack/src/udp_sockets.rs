//! The table of UDP sockets: found by port and address, exact before any.

use crate::arena::Arena;
use crate::id::UdpId;
use crate::keyed::Key;
use crate::ready::ReadyList;
use crate::udp::{UdpDatagram, UdpLimits, UdpSocket};
use core::net::IpAddr;
use handwave_tcp::{Endpoint, Events};
use hashbrown::HashMap;

/// All UDP sockets of a stack.
#[derive(Debug)]
pub(crate) struct UdpSockets {
    sockets: Arena<UdpSocket>,
    bound: HashMap<(Option<IpAddr>, u16), u32, Key>,
    noticed: ReadyList,
    held: usize,
}

impl UdpSockets {
    pub(crate) fn new(key: Key) -> Self {
        Self {
            sockets: Arena::default(),
            bound: HashMap::with_hasher(key),
            noticed: ReadyList::default(),
            held: 0,
        }
    }

    /// How many slots there are, taken or free.
    pub(crate) fn slots(&self) -> usize {
        self.sockets.slots()
    }

    pub(crate) fn len(&self) -> usize {
        self.sockets.len()
    }

    /// Octets of memory that all queues hold.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// The socket at exactly this place.
    pub(crate) fn at_place(&self, addr: Option<IpAddr>, port: u16) -> Option<u32> {
        self.bound.get(&(addr, port)).copied()
    }

    /// Whether exactly this place is taken.
    pub(crate) fn is_taken(&self, addr: Option<IpAddr>, port: u16) -> bool {
        self.bound.contains_key(&(addr, port))
    }

    /// The socket that takes what is sent to `local`.
    pub(crate) fn find(&self, local: &Endpoint) -> Option<u32> {
        let exact = self.bound.get(&(Some(local.addr), local.port));
        exact
            .or_else(|| self.bound.get(&(None, local.port)))
            .copied()
    }

    pub(crate) fn get(&self, id: UdpId) -> Option<&UdpSocket> {
        self.sockets.get(id.slot, id.generation)
    }

    pub(crate) fn get_mut(&mut self, id: UdpId) -> Option<&mut UdpSocket> {
        self.sockets.get_mut(id.slot, id.generation)
    }

    /// The socket in `slot` and its name.
    pub(crate) fn named(&self, slot: u32) -> Option<(UdpId, &UdpSocket)> {
        let generation = self.sockets.generation(slot)?;
        Some(((slot, generation).into(), self.sockets.at(slot)?))
    }

    /// All sockets in slot order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (UdpId, &UdpSocket)> {
        self.sockets
            .iter()
            .map(|(slot, generation, socket)| ((slot, generation).into(), socket))
    }

    pub(crate) fn insert(&mut self, addr: Option<IpAddr>, port: u16, limits: UdpLimits) -> UdpId {
        let id = UdpId::from(self.sockets.insert(UdpSocket::new(addr, port, limits)));
        self.bound.insert((addr, port), id.slot);
        id
    }

    /// A socket without a place of its own: somebody else knows what it is for.
    pub(crate) fn insert_unbound(&mut self, limits: UdpLimits) -> UdpId {
        UdpId::from(self.sockets.insert(UdpSocket::new(None, 0, limits)))
    }

    pub(crate) fn remove(&mut self, id: UdpId) -> Option<UdpSocket> {
        let (addr, port) = self.get(id).map(|socket| (socket.addr, socket.port))?;
        self.bound.remove(&(addr, port));
        self.noticed.remove(id.slot);
        let socket = self.sockets.remove(id.slot)?;
        self.held -= socket.held();
        Some(socket)
    }

    /// Queues a datagram at the socket in `slot`; returns whether there was room.
    pub(crate) fn push(&mut self, slot: u32, datagram: UdpDatagram, held: usize) -> bool {
        let Some(socket) = self.sockets.at_mut(slot) else {
            return false;
        };
        if !socket.push(datagram, held) {
            return false;
        }
        self.held += held;
        self.noticed.push(slot);
        true
    }

    /// Takes a datagram from a socket.
    pub(crate) fn pop(&mut self, id: UdpId) -> Option<UdpDatagram> {
        let socket = self.get_mut(id)?;
        let before = socket.held();
        let datagram = socket.pop();
        let freed = before - socket.held();
        self.held -= freed;
        datagram
    }

    /// Lets `note` change the socket in `slot`, which then has something to say.
    pub(crate) fn notify(&mut self, slot: u32, note: impl FnOnce(&mut UdpSocket)) {
        if let Some(socket) = self.sockets.at_mut(slot) {
            note(socket);
            self.noticed.push(slot);
        }
    }

    pub(crate) fn at(&self, slot: u32) -> Option<&UdpSocket> {
        self.sockets.at(slot)
    }

    pub(crate) fn poll_event(&mut self) -> Option<(UdpId, Events)> {
        let slot = self.noticed.pop()?;
        let generation = self.sockets.generation(slot)?;
        let events = core::mem::take(&mut self.sockets.at_mut(slot)?.events);
        Some(((slot, generation).into(), events))
    }
}
