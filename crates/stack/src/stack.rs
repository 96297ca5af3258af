//! The stack itself: what it is made of, and the four things its owner does with it.
//!
//! The way in is `handle_packet` -> [`input`](crate::input); the way out is `poll_transmit` ->
//! [`output`](crate::output); time is `poll_timeout` and `handle_timeout`; what sockets have to say is `poll_event`.
//! Calls of the application are in [`calls`](crate::calls), configuration in [`setup`](crate::setup).

use crate::addresses::Addresses;
use crate::config::StackConfig;
use crate::connections::Connections;
use crate::counters::Counters;
use crate::demux::{Demux, Owner};
use crate::event::Event;
use crate::forwarding::{Borrowed, Forwarding};
use crate::id::{InterfaceId, SocketId};
use crate::input::{AHEAD, Reassembly, Train};
use crate::interface::Interface;
use crate::keyed::{Key, Random};
use crate::listening::Listening;
use crate::neighbours::Neighbours;
use crate::output::{Identifications, Outbox};
use crate::pmtu::PmtuCache;
use crate::ports::EphemeralPorts;
use crate::rate::TokenBucket;
use crate::routes::Routes;
use crate::steering::Steering;
use crate::time_waits::TimeWaits;
use crate::udp_sockets::UdpSockets;
use crate::ways::KnownWay;
use alloc::boxed::Box;
use alloc::vec::Vec;
use handwave_packet::PacketBuf;
use handwave_tcp::{Host, Instant, MemoryRoom, Pressure, Secrets, SegmentOut, Tuple};

/// Bytes of memory that have to be free before those that found none are told.
const WORTH_TELLING: usize = 8_192;

/// Many TCP endpoints and UDP sockets on some interfaces.
///
/// # How to drive it
///
/// A stack does nothing by itself: it reads no clock, touches no device and starts no thread. Its owner
///
/// 1. hands in packets with [`handle_packet`](Self::handle_packet) or [`handle_batch`](Self::handle_batch), lets time
///    pass with [`handle_timeout`](Self::handle_timeout), and makes the application's calls;
/// 2. after each of these takes packets with [`poll_transmit`](Self::poll_transmit) until there are none, and sends
///    them;
/// 3. takes events with [`poll_event`](Self::poll_event) until there are none;
/// 4. waits until a packet arrives or [`poll_timeout`](Self::poll_timeout) is reached, and begins again.
///
/// The same configuration, the same secrets and the same inputs in the same order give the same packets.
///
/// # How to make it fast
///
/// Hand packets in by batches, as they came. Let interfaces take super-segments
/// ([`super_segment_max`](crate::InterfaceConfig::super_segment_max)) and cut them at the edge with `handwave_packet::split`. Where `std` is at hand, call
/// `handwave_simd::install()` once, so that checksums are computed with the processor's widest vectors. Build with link-time optimisation.
///
/// # Examples
///
/// Two stacks on one wire: a connection is opened, says something and is closed.
///
/// ```
/// use handwave_stack::{ConnectOptions, InterfaceConfig, ListenerConfig, Prefix, Stack, StackConfig};
/// use handwave_tcp::{Endpoint, Instant, Secrets};
///
/// let now = Instant::ZERO;
/// let host = |last: u8| {
///     let mut stack = Stack::new(StackConfig::default(), Secrets::from_seed(last.into()), now);
///     let address = Prefix::new([10, 0, 0, last].into(), 24);
///     let wire = stack.add_interface(InterfaceConfig::ip(1_500, [address])).unwrap();
///     (stack, wire)
/// };
/// let ((mut client, wire), (mut server, other_end)) = (host(1), host(2));
///
/// let listener = server.listen(80, ListenerConfig::default())?;
/// let to = Endpoint::new([10, 0, 0, 2].into(), 80);
/// let ours = client.connect(now, to, ConnectOptions::default())?;
/// client.write(now, ours, b"hello")?;
///
/// // Carry packets both ways until nobody has any.
/// loop {
///     let mut quiet = true;
///     while let Some((_, packet)) = client.poll_transmit(now) {
///         server.handle_packet(now, other_end, packet);
///         quiet = false;
///     }
///     while let Some((_, packet)) = server.poll_transmit(now) {
///         client.handle_packet(now, wire, packet);
///         quiet = false;
///     }
///     if quiet {
///         break;
///     }
/// }
///
/// let (theirs, tuple) = server.accept(listener).expect("the handshake is complete");
/// assert_eq!(tuple.local, to);
/// let mut buffer = [0; 16];
/// let n = server.read(now, theirs, &mut buffer)?;
/// assert_eq!(&buffer[..n], b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Stack {
    pub(crate) config: StackConfig,
    /// What connections share: secrets, budgets, their counters, the tracer.
    pub(crate) host: Host,
    pub(crate) counters: Counters,
    /// When memory became scarce, if it is.
    scarce_since: Instant,

    // Where packets go.
    pub(crate) interfaces: Vec<Interface>,
    /// Each address of this host and the interface that has it.
    pub(crate) addresses: Addresses,
    pub(crate) routes: Routes,
    pub(crate) path_mtus: PmtuCache,
    /// Raised whenever a route or a path MTU changes: connections compare it before they send.
    pub(crate) paths_generation: u32,
    /// The way that was asked for last.
    pub(crate) last_way: Option<KnownWay>,
    pub(crate) neighbours: Neighbours,

    // Who gets them.
    pub(crate) demux: Demux,
    pub(crate) connections: Connections,
    pub(crate) time_waits: TimeWaits,
    pub(crate) listening: Listening,
    pub(crate) udp: UdpSockets,
    /// What is taken for others, if anything is.
    pub(crate) forwarding: Option<Box<Forwarding>>,
    /// Kept from the first forwarder on.
    pub(crate) borrowed: Option<Box<Borrowed>>,
    pub(crate) ports: EphemeralPorts,
    /// Which of the packets that arrive are for another stack of this host.
    pub(crate) steering: Steering,

    // What is on its way.
    /// Segments of the batch being processed that wait to be handed over as one.
    pub(crate) train: Option<Train>,
    pub(crate) batching: bool,
    pub(crate) reassembly_ipv4: Reassembly,
    pub(crate) reassembly_ipv6: Reassembly,
    pub(crate) identifications: Identifications,
    pub(crate) flow_key: Key,
    pub(crate) outbox: Outbox,
    /// The segment that is on its way into a packet; what is left in it afterwards says nothing.
    pub(crate) segment: SegmentOut,
    pub(crate) listeners_turn: bool,

    // What anyone may provoke.
    pub(crate) reset_bucket: TokenBucket,
    pub(crate) icmp_error_bucket: TokenBucket,
    pub(crate) echo_bucket: TokenBucket,
}

impl Stack {
    /// A stack without interfaces, whose clock stands at `now`.
    #[must_use]
    pub fn new(config: StackConfig, secrets: Secrets, now: Instant) -> Self {
        let root = secrets.table_key;
        let key = |label: &[u8]| Key::derive(&root, label);
        let bucket = |limit, label: &[u8]| {
            TokenBucket::new(limit, now, Random::new(key(label).hash(b"seed")))
        };
        Self {
            host: Host::new(secrets),
            counters: Counters::default(),
            scarce_since: now,
            interfaces: Vec::new(),
            addresses: Addresses::default(),
            routes: Routes::default(),
            train: None,
            batching: false,
            path_mtus: PmtuCache::new(
                key(b"path MTUs"),
                config.path_mtu_entries_max,
                config.path_mtu_lifetime,
            ),
            paths_generation: 0,
            last_way: None,
            neighbours: Neighbours::new(config.neighbours, key(b"neighbours"), now),
            demux: Demux::new(key(b"demux").for_table(), config.connections_reserved),
            connections: Connections::new(now, config.connections_reserved),
            time_waits: TimeWaits::new(now, config.time_wait_overflow),
            listening: Listening::new(now),
            udp: UdpSockets::new(key(b"UDP")),
            forwarding: None,
            borrowed: None,
            ports: EphemeralPorts::new(
                config.ephemeral_ports,
                config.ephemeral_attempts_max,
                &root,
            ),
            steering: Steering::new(&root, config.shard, config.transmit_queue_max),
            reassembly_ipv4: Reassembly::new(config.reassembly_ipv4, key(b"fragments 4")),
            reassembly_ipv6: Reassembly::new(config.reassembly_ipv6, key(b"fragments 6")),
            identifications: Identifications::new(key(b"identifications"), config.shard),
            flow_key: key(b"flow labels"),
            outbox: Outbox::new(config.transmit_queue_max),
            segment: SegmentOut::default(),
            listeners_turn: false,
            reset_bucket: bucket(config.reset_rate, b"resets"),
            icmp_error_bucket: bucket(config.icmp_error_rate, b"ICMP errors"),
            echo_bucket: bucket(config.echo_rate, b"echoes"),
            config,
        }
    }

    /// Processes a packet (or, on Ethernet, a frame) that arrived on `interface`.
    ///
    /// Nothing leaves during this call: drain [`poll_transmit`](Self::poll_transmit) afterwards.
    pub fn handle_packet(&mut self, now: Instant, interface: InterfaceId, mut packet: PacketBuf) {
        self.input(now, interface, &mut packet);
        self.update_pressure(now);
    }

    /// Processes packets that arrived together.
    ///
    /// All of them are processed before anything is sent, so that one acknowledgment answers many segments
    /// (RFC 9293 3.10.7.4 [MUST-58] [MUST-59]). Segments that continue each other are processed as one.
    pub fn handle_batch(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        packets: impl IntoIterator<Item = PacketBuf>,
    ) {
        self.batching = true;
        for mut packet in packets {
            self.input_of_batch(now, interface, &mut packet);
        }
        self.batching = false;
        self.hand_over_train(now);
        self.update_pressure(now);
    }

    /// Does what [`handle_batch`](Self::handle_batch) does with packets that lie in a row, and moves none about.
    ///
    /// Of some the text is taken; the caller drops or overwrites what is left.
    pub fn handle_batch_in_place(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        packets: &mut [PacketBuf],
    ) {
        self.batching = true;
        for some in packets.chunks_mut(AHEAD) {
            if self.is_crowded() && some.len() > 1 {
                self.look_ahead(interface, some);
            }
            for packet in some {
                self.input_of_batch(now, interface, packet);
            }
        }
        self.batching = false;
        self.hand_over_train(now);
        self.update_pressure(now);
    }

    /// Takes the next packet to send and the interface to send it on; `None` when there is nothing more.
    ///
    /// Call until `None` after every other call that takes the stack by `&mut`: this is also where timers are set and
    /// connections that are over are cleared away.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<(InterfaceId, PacketBuf)> {
        let mut packet = PacketBuf::default();
        let interface = self.poll_transmit_into(now, &mut packet)?;
        Some((interface, packet))
    }

    /// Does what [`poll_transmit`](Self::poll_transmit) does and makes the packet where `packet` lies, whatever that was before: one
    /// serves for all that are written out at once, and none is moved about.
    ///
    /// ```
    /// use handwave_packet::PacketBuf;
    /// use handwave_stack::{ConnectOptions, InterfaceConfig, Prefix, Stack, StackConfig};
    /// use handwave_tcp::{Endpoint, Instant, Secrets};
    ///
    /// let now = Instant::ZERO;
    /// let mut stack = Stack::new(StackConfig::default(), Secrets::from_seed(1), now);
    /// let wire = stack.add_interface(InterfaceConfig::ip(1_500, [Prefix::new([10, 0, 0, 1].into(), 24)])).unwrap();
    /// stack.connect(now, Endpoint::new([10, 0, 0, 2].into(), 80), ConnectOptions::default())?;
    ///
    /// let mut packet = PacketBuf::default();
    /// assert_eq!(stack.poll_transmit_into(now, &mut packet), Some(wire));
    /// assert_eq!(packet.len(), 60, "a SYN with its options");
    /// assert_eq!(stack.poll_transmit_into(now, &mut packet), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn poll_transmit_into(
        &mut self,
        now: Instant,
        packet: &mut PacketBuf,
    ) -> Option<InterfaceId> {
        let interface = self.output(now, packet);
        match interface {
            Some(_) => self.counters.packets_sent += 1,
            None => self.update_pressure(now),
        }
        interface
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called; `None` if nothing waits for time to pass.
    ///
    /// It may be called at any time: too early costs a look, too late delays what is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let deadlines = [
            self.connections.timers.next_deadline(),
            self.listening.timers.next_deadline(),
            self.time_waits.timers.next_deadline(),
            self.neighbours.next_deadline(),
            self.path_mtus.next_deadline(),
            self.reassembly_ipv4.next_deadline(),
            self.reassembly_ipv6.next_deadline(),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.connections_timeout(now);
        self.listeners_timeout(now);
        self.time_waits_timeout(now);
        self.neighbours_timeout(now);
        self.reassembly_timeout(now);
        if self.path_mtus.expire(now) {
            self.paths_changed();
        }
        self.update_pressure(now);
    }

    /// Says that packets which were polled have been lost, since their device took none for long; counted in
    /// [`Counters::transmit_queue_full`].
    pub const fn note_lost(&mut self, packets: usize) {
        self.counters.transmit_queue_full += packets as u64;
    }

    /// Takes the next thing a socket has to say; `None` when there is nothing more.
    pub fn poll_event(&mut self) -> Option<Event> {
        // Listeners first: who accepts then knows the connections that the next events are about.
        if let Some((id, events)) = self.listening.poll_event() {
            return Some(Event {
                socket: SocketId::Listener(id),
                events,
            });
        }
        if let Some((id, events)) = self.connections.poll_event() {
            return Some(Event {
                socket: SocketId::Connection(id),
                events,
            });
        }
        let (id, events) = self.udp.poll_event()?;
        Some(Event {
            socket: SocketId::Udp(id),
            events,
        })
    }

    /// What the stack has counted.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What connections share: their counters, the challenge-ACK budget, the memory pressure.
    #[must_use]
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The same, to set a tracer.
    pub const fn host_mut(&mut self) -> &mut Host {
        &mut self.host
    }

    /// What the stack was configured with.
    #[must_use]
    pub const fn config(&self) -> &StackConfig {
        &self.config
    }

    /// Octets of memory that queues hold: buffers of connections, datagrams of UDP sockets, fragments, packets not
    /// yet polled.
    #[must_use]
    pub fn held_memory(&self) -> usize {
        self.connections.held()
            + self.udp.held()
            + self.reassembly_ipv4.held()
            + self.reassembly_ipv6.held()
            + self.outbox.held()
    }

    /// Who owns `tuple`.
    #[inline(always)]
    pub(crate) fn owner_of(&self, tuple: &Tuple) -> Option<Owner> {
        let (connections, time_waits) = (&self.connections, &self.time_waits);
        self.demux.find(tuple, |owner, tuple| match owner {
            Owner::Connection(slot) => connections.owns(slot, tuple),
            Owner::TimeWait(slot) => time_waits.owns(slot, tuple),
        })
    }

    /// Makes `owner` the owner of `tuple`, which nobody owns.
    pub(crate) fn own(&mut self, tuple: &Tuple, owner: Owner) {
        let (connections, time_waits) = (&self.connections, &self.time_waits);
        self.demux.insert(tuple, owner, |owner| match owner {
            Owner::Connection(slot) => connections.tuple(slot),
            Owner::TimeWait(slot) => time_waits.tuple(slot),
        });
        let addr = tuple.local.addr;
        if let Some(borrowed) = &mut self.borrowed
            && !self.addresses.is_ours(&addr)
        {
            borrowed.take(addr);
        }
    }

    /// `owner` owns `tuple` no more.
    pub(crate) fn disowned(&mut self, tuple: &Tuple, owner: Owner) {
        self.demux.remove(tuple, owner);
        if let Some(borrowed) = &mut self.borrowed {
            borrowed.give_back(tuple.local.addr);
        }
    }

    /// Tells connections how scarce memory is, and those that starved that it is not any more.
    pub(crate) fn update_pressure(&mut self, now: Instant) {
        let held = self.held_memory();
        let (soft, hard) = (self.config.memory_soft, self.config.memory_hard);
        self.host.room = MemoryRoom {
            ordinary: hard.saturating_sub(held),
            last: self.config.memory_max.max(hard).saturating_sub(held),
        };
        let quiet = self.host.pressure == Pressure::None && !self.connections.any_starved();
        if held < soft && quiet {
            return;
        }
        let pressure = if held >= hard {
            Pressure::Hard
        } else if held >= soft {
            Pressure::Soft
        } else {
            Pressure::None
        };
        match (self.host.pressure, pressure) {
            (Pressure::None, Pressure::Soft | Pressure::Hard) => {
                self.scarce_since = now;
                self.counters.memory_pressures += 1;
            }
            (Pressure::Soft | Pressure::Hard, Pressure::None) => {
                let span = now - self.scarce_since;
                let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
                self.counters.memory_pressure_millis += millis;
            }
            _ => {}
        }
        self.host.pressure = pressure;
        if self.host.room.ordinary > WORTH_TELLING.min(hard / 2) {
            self.connections.feed_starved();
        }
    }

    /// Whether memory is at its limit, so that nothing new is taken in; counts the refusal.
    pub(crate) fn refuses_memory(&mut self) -> bool {
        let refuses = self.host.pressure == Pressure::Hard;
        self.counters.memory_refused += u64::from(refuses);
        refuses
    }
}
