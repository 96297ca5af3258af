//! Forwarding: one interface takes packets to any address and any port, and the program decides flow by flow.
//!
//! A SYN to a foreign address becomes a [`ForwardRequest`]. Nothing is answered until the program has decided: accept it, also long
//! after, when its own connection onward stands; refuse it; say that the way onward is closed; or say nothing. Meanwhile
//! the client repeats its SYN, which is recognised and costs nothing more. Datagrams go to one socket for all, and leave it with
//! the source they were meant for.
//!
//! An accepted request is a connection that enters SYN-RECEIVED by the SYN (RFC 9293 3.10.7.2): from there on it is a connection
//! like any other, with the foreign address as its own.
//!
//! The forwarder has a listener of its own whose queues it keeps itself: the listener screens each SYN, with its limits, its flood
//! detector and its cookies. While too many requests wait, a SYN is answered by a cookie, of which nothing is kept, before the
//! program has heard of it. The program then decides when the client has proved itself by bringing the cookie back, about a
//! connection that stands: see [`ForwardRequest::established`].

use crate::error::ForwardError;
use crate::id::{ConnectionId, InterfaceId, ListenerId, UdpId};
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
use core::ops::ControlFlow;
use handwave_tcp::{
    Config, Connection, Context, Instant, ListenVerdict, Listener, ListenerConfig, ListenerPool,
    Requests, Screened, SegmentIn, TcpInfo, Tuple, Unreachable, reply_to_closed,
};
use handwave_wire::ipv4::Ipv4Header;
use handwave_wire::ipv6::Ipv6Header;
use handwave_wire::{IpProtocol, SeqNum, TcpFlags, TcpHeader, TcpOptions};
use hashbrown::HashMap;

/// Limits of forwarding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ForwardLimits {
    /// The defence against who sends SYNs only to cost something. [`syn_queue_max`](ListenerConfig::syn_queue_max) SYNs wait for
    /// the program's decision, whether it has seen them or not; beyond that cookies answer, or SYNs are dropped if there are
    /// none. [`accept_queue_max`](ListenerConfig::accept_queue_max) connections that a cookie made wait for it likewise.
    ///
    /// How often a SYN+ACK is sent again is not the listener's affair but that of the connection that was accepted.
    pub tcp: ListenerConfig,
    /// Datagrams that wait for the program, from all clients together.
    pub datagrams: UdpLimits,
}

impl Default for ForwardLimits {
    fn default() -> Self {
        Self {
            tcp: ListenerConfig::default(),
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
    /// What the client offers in its SYN, as far as it is known.
    pub options: TcpOptions,
    /// A cookie answered the SYN, because too many requests waited or [`SynCookies::Always`](handwave_tcp::SynCookies::Always)
    /// asks for it, and the client has brought it back. So it is really at its address, and believes the connection open:
    /// accepting is done at once, with the settings that all connections have; refusing resets, and so does an ICMP error, which
    /// would not be believed any more; and what is dropped comes back as another request with the client's next segment, or is
    /// reset if the cookie is too old by then.
    pub established: bool,
}

/// What a stack that forwards knows.
#[derive(Debug)]
pub(crate) struct Forwarding {
    interface: InterfaceId,
    /// The socket of all datagrams.
    udp: UdpId,
    /// Screens SYNs; its queues stay empty.
    listener: ListenerId,
    pending: HashMap<Tuple, Pending, Key>,
    /// How many of those are connections.
    connections: usize,
    /// Requests that the program has not seen.
    unseen: VecDeque<Tuple>,
}

/// Somebody who waits for a decision.
#[derive(Debug)]
struct Pending {
    interface: InterfaceId,
    asked: Asked,
    seen: bool,
}

/// How somebody asks.
#[derive(Debug)]
enum Asked {
    /// By a SYN, which is not answered.
    Syn {
        syn: Box<SegmentIn>,
        /// What the numbers of an answer have to begin beyond.
        iss_floor: Option<SeqNum>,
        /// It counts against the budget of its source.
        counted: bool,
    },
    /// By a cookie brought back.
    Cookie {
        id: ConnectionId,
        options: TcpOptions,
    },
}

/// Foreign addresses that sockets of ours bear: what is sent to them is for us, also when nothing new is taken any more.
#[derive(Debug)]
pub(crate) struct Borrowed {
    /// How many connections and TIME-WAIT records bear each.
    bearers: HashMap<IpAddr, u32, Key>,
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
        self.start_forwarding_in(interface, limits, None)
    }

    /// The same in one of several [shards](crate::Shard), with limits on requests that hold for all whose forwarders are in
    /// `pool`.
    ///
    /// # Errors
    ///
    /// As [`start_forwarding`](Self::start_forwarding).
    pub fn start_forwarding_pooled(
        &mut self,
        interface: InterfaceId,
        limits: ForwardLimits,
        pool: ListenerPool,
    ) -> Result<UdpId, ForwardError> {
        self.start_forwarding_in(interface, limits, Some(pool))
    }

    fn start_forwarding_in(
        &mut self,
        interface: InterfaceId,
        limits: ForwardLimits,
        pool: Option<ListenerPool>,
    ) -> Result<UdpId, ForwardError> {
        if self.forwarding.is_some() {
            return Err(ForwardError::InUse);
        }
        if self.udp.len() >= self.config.udp_sockets_max {
            return Err(ForwardError::TooMany);
        }
        let udp = self.udp.insert_unbound(limits.datagrams);
        let config = Arc::clone(&self.config.tcp);
        let secrets = &self.host.secrets;
        let listener = match pool {
            None => Listener::new(config, limits.tcp, secrets),
            Some(pool) => Listener::pooled(config, limits.tcp, secrets, pool),
        };
        let listener = self.listening.insert_unplaced(listener);
        let root = &self.host.secrets.table_key;
        self.forwarding = Some(Box::new(Forwarding {
            interface,
            udp,
            listener,
            pending: HashMap::with_hasher(Key::derive(root, b"forward requests")),
            connections: 0,
            unseen: VecDeque::new(),
        }));
        let bearers = HashMap::with_hasher(Key::derive(root, b"foreign addresses"));
        self.borrowed
            .get_or_insert_with(|| Box::new(Borrowed { bearers }));
        Ok(udp)
    }

    /// Stops forwarding: requests are forgotten, those of clients that believe themselves connected are reset. Connections that
    /// came of others stay as they are, and what is sent to the foreign addresses they bear still reaches them.
    pub fn stop_forwarding(&mut self, now: Instant) {
        let Some(forwarding) = self.forwarding.take() else {
            return;
        };
        self.udp.remove(forwarding.udp);
        self.listening.remove(forwarding.listener);
        let undecided = forwarding.pending.values();
        let connection = |pending: &Pending| match pending.asked {
            Asked::Cookie { id, .. } => Some(id),
            Asked::Syn { .. } => None,
        };
        let mut connections: Vec<ConnectionId> = undecided.filter_map(connection).collect();
        connections.sort_unstable();
        for id in connections {
            self.abort(now, id);
        }
    }

    /// The listener that screens what is forwarded, to look at: its limits, counters, flood state and top sources.
    #[must_use]
    pub fn forward_listener(&self) -> Option<ListenerId> {
        let forwarding = self.forwarding.as_ref()?;
        Some(forwarding.listener)
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
                let (options, established) = match &pending.asked {
                    Asked::Syn { syn, .. } => (syn.header.options, false),
                    Asked::Cookie { options, .. } => (*options, true),
                };
                return Some(ForwardRequest {
                    tuple,
                    options,
                    established,
                });
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
    /// A request that is [established](ForwardRequest::established) has its settings already: `config` comes too late for it.
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
        let pending = self.take_pending(tuple).ok_or(ForwardError::Gone)?;
        let opening = match pending.asked {
            Asked::Cookie { id, .. } => {
                let known = self.connections.get(id).is_some();
                return known.then_some(id).ok_or(ForwardError::Gone);
            }
            Asked::Syn { syn, iss_floor, .. } => (*syn, iss_floor),
        };
        if self.connections.len() >= self.config.connections_max {
            self.counters.connections_refused += 1;
            self.reset_client(now, pending.interface, tuple, &opening.0);
            return Err(ForwardError::TooMany);
        }
        if self.owner_of(tuple).is_some() {
            return Err(ForwardError::Gone);
        }
        let way = Way {
            interface: pending.interface,
            tuple: *tuple,
        };
        let (hop, path) = self.way_back(&way);
        let config = config.unwrap_or_else(|| Arc::clone(&self.config.tcp));
        let mut cx = Context::new(now, &mut self.host);
        let connection = Connection::answer(&mut cx, config, *tuple, path, opening);
        let id = self.insert_connection(Box::new(connection), (hop, path.mtu), None);
        self.connections.touch(id.slot);
        self.connections.set_unproven(id);
        Ok(id)
    }

    /// Refuses a request with a RST, as if nobody listened there.
    pub fn refuse_forward(&mut self, now: Instant, tuple: &Tuple) {
        let Some(pending) = self.take_pending(tuple) else {
            return;
        };
        match pending.asked {
            Asked::Syn { syn, .. } => self.reset_client(now, pending.interface, tuple, &syn),
            Asked::Cookie { id, .. } => self.abort(now, id),
        }
    }

    /// Answers a request with an ICMP error, as a router does that cannot pass it on; resets one that is
    /// [established](ForwardRequest::established).
    pub fn forward_unreachable(&mut self, now: Instant, tuple: &Tuple, why: Unreachable) {
        let Some(Pending {
            interface, asked, ..
        }) = self.take_pending(tuple)
        else {
            return;
        };
        let syn = match asked {
            Asked::Syn { syn, .. } => syn,
            Asked::Cookie { id, .. } => return self.abort(now, id),
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
        if let Some(Asked::Cookie { id, .. }) =
            self.take_pending(tuple).map(|pending| pending.asked)
        {
            self.forget_connection(id);
        }
    }

    fn reset_client(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        tuple: &Tuple,
        syn: &SegmentIn,
    ) {
        let config = &self.config.tcp;
        let reset = reply_to_closed(config, *tuple, &syn.header, syn.payload.len());
        if let Some(reset) = reset {
            self.send_reset(now, interface, tuple, reset);
        }
    }

    fn take_pending(&mut self, tuple: &Tuple) -> Option<Pending> {
        let forwarding = self.forwarding.as_mut()?;
        let pending = forwarding.pending.remove(tuple)?;
        let counted = match pending.asked {
            Asked::Syn { counted, .. } => counted,
            Asked::Cookie { .. } => {
                forwarding.connections -= 1;
                false
            }
        };
        if let Some(entry) = self.listening.get_mut(forwarding.listener) {
            entry.listener.set_requests(forwarding.requests());
            if counted {
                entry.listener.on_request_gone(tuple.remote.addr);
            }
        }
        Some(pending)
    }

    fn put_pending(&mut self, way: Way, asked: Asked) {
        // A cookie that is brought back takes the place of a request made when the client's SYN came again.
        self.take_pending(&way.tuple);
        let Some(forwarding) = &mut self.forwarding else {
            return;
        };
        let Forwarding {
            unseen, pending, ..
        } = &mut **forwarding;
        // Decided requests leave their places in this queue behind; it is cleared of them before it outgrows the table.
        if unseen.len() >= 2 * pending.len().max(16) {
            unseen.retain(|tuple| pending.get(tuple).is_some_and(|pending| !pending.seen));
        }
        unseen.push_back(way.tuple);
        forwarding.connections += usize::from(matches!(asked, Asked::Cookie { .. }));
        let fresh = Pending {
            interface: way.interface,
            asked,
            seen: false,
        };
        forwarding.pending.insert(way.tuple, fresh);
        self.counters.forward_requests += 1;
        if let Some(entry) = self.listening.get_mut(forwarding.listener) {
            entry.listener.set_requests(forwarding.requests());
        }
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

    /// Takes a segment to a foreign address that belongs to no connection; returns whether it was taken up.
    ///
    /// `iss_floor` comes from a TIME-WAIT record that would give way to this SYN (RFC 6191).
    pub(crate) fn segment_to_forward(
        &mut self,
        now: Instant,
        way: Way,
        segment: SegmentIn,
        iss_floor: Option<SeqNum>,
    ) -> bool {
        let Some(segment) = self.segment_for_request(now, &way, segment) else {
            return true;
        };
        let Some(listener) = self.forward_listener() else {
            return false;
        };
        let header = segment.header;
        if header.flags.contains(TcpFlags::SYN) && self.refuses_memory() {
            return false;
        }
        let (hop, path) = self.way_back(&way);
        let Some(entry) = self.listening.get_mut(listener) else {
            return false;
        };
        let full = entry.listener.counters().syn_queue_full;
        let mut cx = Context::new(now, &mut self.host);
        let screened = entry
            .listener
            .screen(&mut cx, way.tuple, path, segment, iss_floor);
        self.counters.forward_requests_full += entry.listener.counters().syn_queue_full - full;
        self.listening.collect_events(listener.slot);
        match screened {
            ControlFlow::Continue(Screened { syn, counted }) => {
                let syn = Box::new(without_text(syn));
                let asked = Asked::Syn {
                    syn,
                    iss_floor,
                    counted,
                };
                self.put_pending(way, asked);
                true
            }
            ControlFlow::Break(ListenVerdict::Established(connection)) => {
                let options = offered(&connection.info(), &header);
                let heading = (hop, path.mtu);
                let id = self.established(now, way, listener.slot, connection, heading);
                if let Some(id) = id {
                    self.put_pending(way, Asked::Cookie { id, options });
                }
                id.is_some()
            }
            ControlFlow::Break(verdict) => {
                let is_lost = verdict.is_lost();
                self.carry_out(now, way, listener.slot, (hop, path.mtu), verdict);
                !is_lost
            }
        }
    }

    /// Takes a segment for a request that waits; gives back what is none of its affairs.
    fn segment_for_request(
        &mut self,
        now: Instant,
        way: &Way,
        segment: SegmentIn,
    ) -> Option<SegmentIn> {
        let forwarding = self.forwarding.as_mut()?;
        let flags = segment.header.flags;
        let Some(pending) = forwarding.pending.get_mut(&way.tuple) else {
            return Some(segment);
        };
        let begins = TcpFlags::SYN | TcpFlags::ACK | TcpFlags::FIN | TcpFlags::RST;
        match &mut pending.asked {
            Asked::Syn { syn, .. } if flags & begins == TcpFlags::SYN => {
                // The same again, or another attempt after the first was given up: the last one counts.
                **syn = without_text(segment);
                return None;
            }
            // The client has given up; only an exact number is believed (RFC 5961 3.2).
            Asked::Syn { syn, .. }
                if flags.contains(TcpFlags::RST) && segment.header.seq == syn.header.seq + 1 =>
            {
                self.take_pending(&way.tuple);
            }
            Asked::Syn { .. } => {}
            // The connection has ended, or it would have taken the segment: its tuple is free for another.
            Asked::Cookie { id, .. } => {
                let id = *id;
                self.take_pending(&way.tuple);
                self.release(now, id);
            }
        }
        Some(segment)
    }

    /// The handshake of a connection that was accepted is complete: it is charged to its source, or reset.
    pub(crate) fn forward_established(&mut self, now: Instant, slot: u32) {
        let (Some(listener), Some((id, connection))) =
            (self.forward_listener(), self.connections.named(slot))
        else {
            return;
        };
        let remote = connection.connection.tuple().remote.addr;
        let Some(entry) = self.listening.get_mut(listener) else {
            return;
        };
        let mut cx = Context::new(now, &mut self.host);
        if entry.listener.on_request_established(&mut cx, remote) {
            let counts = self.listening.counting(listener.slot);
            self.connections.set_opened_by(id, counts);
        } else {
            self.with_slot(now, slot, Connection::abort);
        }
    }
}

impl Forwarding {
    fn requests(&self) -> Requests {
        Requests {
            syns: self.pending.len() - self.connections,
            connections: self.connections,
        }
    }
}

impl Borrowed {
    /// Whether a socket bears `addr`.
    pub(crate) fn has(&self, addr: &IpAddr) -> bool {
        self.bearers.contains_key(addr)
    }

    /// A socket bears `addr`.
    pub(crate) fn take(&mut self, addr: IpAddr) {
        *self.bearers.entry(addr).or_default() += 1;
    }

    /// It does no more.
    pub(crate) fn give_back(&mut self, addr: IpAddr) {
        if let Some(count) = self.bearers.get_mut(&addr) {
            *count -= 1;
            if *count == 0 {
                self.bearers.remove(&addr);
            }
        }
    }
}

/// What a client has offered whose SYN a cookie answered, as far as the connection knows.
fn offered(info: &TcpInfo, header: &TcpHeader) -> TcpOptions {
    TcpOptions {
        mss: Some(info.snd_mss),
        window_scale: Some(info.snd_wscale).filter(|_| info.rcv_wscale > 0 || info.snd_wscale > 0),
        sack_permitted: info.sack,
        timestamps: header.options.timestamps,
        ..TcpOptions::default()
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
