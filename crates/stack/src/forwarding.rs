//! Forwarding: one interface takes packets to any address and any port, and the program decides flow by flow.
//!
//! A SYN to a foreign address becomes a [`ForwardRequest`]. Nothing is answered until the program has decided: accept it, also long
//! after, when its own connection onward stands; refuse it; say that the way onward is closed; or say nothing. Meanwhile
//! the client repeats its SYN, which is recognised and costs nothing more. Datagrams go to one socket for all, and leave it with
//! the source they were meant for.
//!
//! An accepted request is a connection that enters SYN-RECEIVED by the SYN (RFC 9293 3.10.7.2): from there on it is a connection
//! like any other, with the foreign address as its own.

use crate::error::ForwardError;
use crate::id::{ConnectionId, InterfaceId, UdpId};
use crate::input::Way;
use crate::keyed::Key;
use crate::output::Complaint;
use crate::stack::Stack;
use crate::udp::UdpLimits;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;
use handwave_tcp::{
    Config, Connection, Context, DropReason, Instant, SegmentIn, Tuple, Unreachable,
    reply_to_closed,
};
use handwave_wire::ipv4::Ipv4Header;
use handwave_wire::ipv6::Ipv6Header;
use handwave_wire::{IpProtocol, TcpFlags, TcpHeader, TcpOptions};
use hashbrown::HashMap;

/// Limits of forwarding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ForwardLimits {
    /// Requests that the program has not decided, whether it has seen them or not. At the limit further SYNs are dropped.
    pub requests_max: usize,
    /// Datagrams that wait for the program, from all clients together.
    pub datagrams: UdpLimits,
}

impl Default for ForwardLimits {
    fn default() -> Self {
        Self {
            requests_max: 1_024,
            datagrams: UdpLimits {
                datagrams_max: 1_024,
                octets_max: 2 << 20,
            },
        }
    }
}

/// A client that wants to reach an address that is not ours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ForwardRequest {
    /// Between whom: `local` is the address and port that the client asks for, `remote` is the client.
    pub tuple: Tuple,
    /// What the client offers in its SYN.
    pub options: TcpOptions,
}

/// What a stack that forwards knows.
#[derive(Debug)]
pub(crate) struct Forwarding {
    interface: InterfaceId,
    /// The socket of all datagrams.
    udp: UdpId,
    limits: ForwardLimits,
    pending: HashMap<Tuple, Pending, Key>,
    /// Requests that the program has not seen.
    unseen: VecDeque<Tuple>,
}

/// A SYN that waits for a decision.
#[derive(Debug)]
struct Pending {
    interface: InterfaceId,
    syn: SegmentIn,
    seen: bool,
}

impl Stack {
    /// Begins to take what arrives on `interface` for addresses that are not ours, instead of dropping it.
    ///
    /// Listeners and sockets of ours keep what is for our own addresses. Returns the socket on which the datagrams arrive:
    /// answer with [`udp_send_from`](Self::udp_send_from).
    ///
    /// # Errors
    ///
    /// [`ForwardError::InUse`] if an interface forwards already, [`ForwardError::TooMany`] if there is no room for another
    /// socket.
    pub fn start_forwarding(
        &mut self,
        interface: InterfaceId,
        limits: ForwardLimits,
    ) -> Result<UdpId, ForwardError> {
        if self.forwarding.is_some() {
            return Err(ForwardError::InUse);
        }
        if self.udp.len() >= self.config.udp_sockets_max {
            return Err(ForwardError::TooMany);
        }
        let udp = self.udp.insert_unbound(limits.datagrams);
        let key = Key::derive(&self.host.secrets.table_key, b"forward requests");
        self.forwarding = Some(Box::new(Forwarding {
            interface,
            udp,
            limits,
            pending: HashMap::with_hasher(key),
            unseen: VecDeque::new(),
        }));
        Ok(udp)
    }

    /// Stops forwarding: requests are forgotten, connections that came of others stay.
    pub fn stop_forwarding(&mut self) {
        if let Some(forwarding) = self.forwarding.take() {
            self.udp.remove(forwarding.udp);
        }
    }

    /// Whether [`poll_forward_request`](Self::poll_forward_request) has something.
    #[must_use]
    pub fn has_forward_requests(&self) -> bool {
        self.forwarding
            .as_ref()
            .is_some_and(|forwarding| !forwarding.unseen.is_empty())
    }

    /// Takes the request that has waited longest for the program to look at it.
    pub fn poll_forward_request(&mut self) -> Option<ForwardRequest> {
        let forwarding = self.forwarding.as_mut()?;
        loop {
            let tuple = forwarding.unseen.pop_front()?;
            if let Some(pending) = forwarding.pending.get_mut(&tuple)
                && !core::mem::replace(&mut pending.seen, true)
            {
                let options = pending.syn.header.options;
                return Some(ForwardRequest { tuple, options });
            }
        }
    }

    /// Requests that are not decided.
    #[must_use]
    pub fn forward_requests(&self) -> usize {
        self.forwarding
            .as_ref()
            .map_or(0, |forwarding| forwarding.pending.len())
    }

    /// Accepts a request: the SYN+ACK leaves with the next [`poll_transmit`](Self::poll_transmit), and events of the connection
    /// tell how the handshake goes. `None` configures it as all others.
    ///
    /// # Errors
    ///
    /// [`ForwardError::Gone`] if the client has given up, [`ForwardError::TooMany`] at the limit of connections: then the client
    /// has been refused.
    pub fn accept_forward(
        &mut self,
        now: Instant,
        tuple: &Tuple,
        config: Option<Arc<Config>>,
    ) -> Result<ConnectionId, ForwardError> {
        if self.connections.len() >= self.config.connections_max {
            self.counters.connections_refused += 1;
            self.refuse_forward(now, tuple);
            return Err(ForwardError::TooMany);
        }
        let pending = self.take_pending(tuple).ok_or(ForwardError::Gone)?;
        if self.owner_of(tuple).is_some() {
            return Err(ForwardError::Gone);
        }
        let way = Way {
            interface: pending.interface,
            tuple: *tuple,
        };
        let hop = self.way_back(&way);
        let path = self.path_to(tuple.remote.addr, &hop);
        let config = config.unwrap_or_else(|| Arc::clone(&self.config.tcp));
        let mut cx = Context::new(now, &mut self.host);
        let connection = Connection::answer(&mut cx, config, *tuple, path, pending.syn);
        Ok(self.insert_connection(Box::new(connection), hop))
    }

    /// Refuses a request with a RST, as if nobody listened there.
    pub fn refuse_forward(&mut self, now: Instant, tuple: &Tuple) {
        let Some(Pending { interface, syn, .. }) = self.take_pending(tuple) else {
            return;
        };
        let config = &self.config.tcp;
        let reset = reply_to_closed(config, *tuple, &syn.header, syn.payload.len());
        if let Some(reset) = reset {
            self.send_reset(now, interface, tuple, reset);
        }
    }

    /// Answers a request with an ICMP error, as a router does that cannot pass it on.
    pub fn forward_unreachable(&mut self, now: Instant, tuple: &Tuple, why: Unreachable) {
        let Some(Pending { interface, syn, .. }) = self.take_pending(tuple) else {
            return;
        };
        let client = tuple.remote.addr;
        let known = self.interfaces.get(interface.index());
        let router = known.and_then(|known| known.source_for(client));
        let source = router.unwrap_or(tuple.local.addr);
        let quoted = quote(tuple, &syn.header);
        let complaint = Complaint::Unreachable(why);
        self.send_icmp_error(now, source, client, complaint, &quoted);
    }

    /// Forgets a request without an answer. If the client repeats its SYN, there will be another request.
    pub fn drop_forward(&mut self, tuple: &Tuple) {
        self.take_pending(tuple);
    }

    fn take_pending(&mut self, tuple: &Tuple) -> Option<Pending> {
        self.forwarding.as_mut()?.pending.remove(tuple)
    }

    /// Whether what arrives on `interface` for `addr` is forwarded.
    pub(crate) fn forwards(&self, interface: InterfaceId, addr: IpAddr) -> bool {
        let forwarding = self.forwarding.as_ref();
        forwarding.is_some_and(|forwarding| forwarding.interface == interface)
            && !self.addresses.is_ours(&addr)
            && !(addr.is_loopback() || addr.is_multicast() || addr.is_unspecified())
    }

    /// The socket for datagrams that are forwarded.
    pub(crate) fn forward_socket(&self) -> Option<u32> {
        self.forwarding
            .as_ref()
            .map(|forwarding| forwarding.udp.slot)
    }

    /// Takes a segment to a foreign address that belongs to no connection; gives back what is no affair of a request.
    pub(crate) fn segment_to_forward(&mut self, way: Way, segment: SegmentIn) -> Option<SegmentIn> {
        let Some(forwarding) = &mut self.forwarding else {
            return Some(segment);
        };
        let flags = segment.header.flags;
        let pending = forwarding.pending.get_mut(&way.tuple);
        if flags.contains(TcpFlags::RST) {
            // The client has given up; only an exact number is believed (RFC 5961 3.2).
            if pending.is_some_and(|pending| segment.header.seq == pending.syn.header.seq + 1) {
                forwarding.pending.remove(&way.tuple);
            }
            self.host.counters.count_drop(DropReason::RstUnacceptable);
            return None;
        }
        if !flags.contains(TcpFlags::SYN) || flags.contains(TcpFlags::ACK) {
            return Some(segment);
        }
        if flags.contains(TcpFlags::FIN) {
            self.host.counters.count_drop(DropReason::IllegalFlags);
            return None;
        }
        if let Some(pending) = pending {
            // The same again, or another attempt after the first was given up: the last one counts.
            pending.syn = without_text(segment);
            return None;
        }
        if forwarding.pending.len() >= forwarding.limits.requests_max {
            self.counters.forward_requests_full += 1;
            self.host.counters.count_drop(DropReason::SynQueueFull);
            return None;
        }
        // Decided requests leave their places in this queue behind; it is cleared of them before it outgrows the table.
        if forwarding.unseen.len() >= 2 * forwarding.limits.requests_max {
            let Forwarding {
                unseen, pending, ..
            } = &mut **forwarding;
            unseen.retain(|tuple| pending.get(tuple).is_some_and(|pending| !pending.seen));
        }
        forwarding.unseen.push_back(way.tuple);
        let pending = Pending {
            interface: way.interface,
            syn: without_text(segment),
            seen: false,
        };
        forwarding.pending.insert(way.tuple, pending);
        self.counters.forward_requests += 1;
        None
    }
}

/// Text on a SYN is not kept while nobody has decided: the client sends it again.
fn without_text(segment: SegmentIn) -> SegmentIn {
    SegmentIn {
        payload: Default::default(),
        held: 0,
        ..segment
    }
}

/// What an ICMP error quotes: the client's packet as far as the client can recognise it (RFC 792, RFC 4443 2.4).
fn quote(tuple: &Tuple, header: &TcpHeader) -> Vec<u8> {
    let tcp_len = header.header_len();
    let payload_len = u16::try_from(tcp_len).unwrap_or(u16::MAX);
    let (mut octets, at) = match (tuple.remote.addr, tuple.local.addr) {
        (IpAddr::V4(client), IpAddr::V4(asked)) => {
            let mut octets = vec![0; Ipv4Header::LEN + tcp_len];
            let header = Ipv4Header {
                payload_len,
                ..Ipv4Header::new(client, asked, IpProtocol::TCP)
            };
            header.emit(&mut octets);
            (octets, Ipv4Header::LEN)
        }
        (IpAddr::V6(client), IpAddr::V6(asked)) => {
            let mut octets = vec![0; Ipv6Header::LEN + tcp_len];
            let header = Ipv6Header {
                payload_len,
                ..Ipv6Header::new(client, asked, IpProtocol::TCP)
            };
            header.emit(&mut octets);
            (octets, Ipv6Header::LEN)
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return Vec::new(),
    };
    if let Some(segment) = octets.get_mut(at..) {
        header.emit(segment);
    }
    octets
}
