//! Every socket as it stands, copied out a few at a time, for `ss` and its like.
//!
//! Whoever shares a stack with others holds some lock while he looks at it. So a snapshot is taken in slices: each call
//! of [`Stack::snapshot`] goes on where the last one stopped and looks at a bounded number of places in the tables. One
//! slice is exact; between two, sockets come and go, and what is shown is each socket at the moment of its slice.
//!
//! The order is that of the tables: listeners, half-open records listener by listener, connections, TIME-WAIT records,
//! UDP sockets. The same history gives the same order.

use crate::id::{ConnectionId, InterfaceId, ListenerId, UdpId};
use crate::listening::ListenAt;
use crate::stack::Stack;
use crate::udp::UdpCounters;
use alloc::vec::Vec;
use core::net::IpAddr;
use handwave_tcp::{
    FloodState, HalfOpenCursor, HalfOpenRecord, Instant, ListenerConfig, ListenerCounters, TcpInfo,
    Timer, Tuple,
};

/// One socket, copied.
#[derive(Clone, Debug, PartialEq)]
pub enum SocketSnapshot {
    /// A listener with both its queues.
    Listener(ListenerSnapshot),
    /// A connection in SYN-RECEIVED that a listener holds as a compact record.
    HalfOpen(HalfOpenSnapshot),
    /// A connection.
    Connection(ConnectionSnapshot),
    /// A connection in TIME-WAIT that its application has let go of.
    TimeWait(TimeWaitSnapshot),
    /// A UDP socket.
    Udp(UdpSnapshot),
}

/// A listener, both its queues, and what they may hold.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerSnapshot {
    /// Its name.
    pub id: ListenerId,
    /// Where it waits.
    pub at: ListenAt,
    /// Half-open records in its SYN queue; [`ListenerConfig::syn_queue_max`] is their limit.
    pub half_open: usize,
    /// Connections in its accept queue; [`ListenerConfig::accept_queue_max`] is their limit.
    pub waiting: usize,
    /// The limits in force.
    pub limits: ListenerConfig,
    /// Whether a flood is on. How fast SYNs come and from whom, which depends on the time,
    /// [`Stack::listener`] tells: [`syn_rate`](handwave_tcp::Listener::syn_rate) and
    /// [`top_sources`](handwave_tcp::Listener::top_sources).
    pub flood: FloodState,
    /// What it has counted.
    pub counters: ListenerCounters,
}

/// A half-open record and who holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HalfOpenSnapshot {
    /// The listener.
    pub listener: ListenerId,
    /// The record.
    pub record: HalfOpenRecord,
}

/// A connection, its queues, timers and numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionSnapshot {
    /// Its name.
    pub id: ConnectionId,
    /// Its four numbers.
    pub tuple: Tuple,
    /// The interface it sends on.
    pub interface: InterfaceId,
    /// The application has let go of it.
    pub orphan: bool,
    /// State, round-trip time, windows, totals. What can be read is [`TcpInfo::receivable`]; what was written and is
    /// not acknowledged is [`TcpInfo::unacked`] and [`TcpInfo::notsent`].
    pub info: TcpInfo,
    /// Octets of memory that both buffers hold.
    pub held: usize,
    /// The timers that run, each with its deadline.
    pub timers: Vec<(Timer, Instant)>,
}

/// A TIME-WAIT record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeWaitSnapshot {
    /// Its four numbers.
    pub tuple: Tuple,
    /// When it is forgotten.
    pub deadline: Instant,
}

/// A UDP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpSnapshot {
    /// Its name.
    pub id: UdpId,
    /// Its address; `None` for any.
    pub addr: Option<IpAddr>,
    /// Its port.
    pub port: u16,
    /// Datagrams that wait to be read.
    pub queued: usize,
    /// Octets of memory that they hold.
    pub held: usize,
    /// What it has counted.
    pub counters: UdpCounters,
}

/// How far [`Stack::snapshot`] has come; begins with [`SnapshotCursor::default`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotCursor {
    table: Table,
    slot: u32,
    half_open: HalfOpenCursor,
}

/// The tables, in the order in which they are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Table {
    #[default]
    Listeners,
    HalfOpen,
    Connections,
    TimeWaits,
    Udp,
    End,
}

impl Table {
    const fn next(self) -> Self {
        match self {
            Self::Listeners => Self::HalfOpen,
            Self::HalfOpen => Self::Connections,
            Self::Connections => Self::TimeWaits,
            Self::TimeWaits => Self::Udp,
            Self::Udp | Self::End => Self::End,
        }
    }
}

impl Stack {
    /// Shows sockets to `visit` from where `cursor` stands, looking at no more than `places_max` places of the tables.
    /// Returns whether there is more.
    ///
    /// A free place costs a look too, so the time a call takes does not depend on how many sockets there are.
    ///
    /// # Examples
    ///
    /// ```
    /// use handwave_stack::{ListenerConfig, SnapshotCursor, SocketSnapshot, Stack, StackConfig};
    /// use handwave_tcp::{Instant, Secrets};
    ///
    /// let mut stack = Stack::new(StackConfig::default(), Secrets::from_seed(1), Instant::ZERO);
    /// stack.listen(80, ListenerConfig::default())?;
    ///
    /// let (mut cursor, mut ports) = (SnapshotCursor::default(), Vec::new());
    /// while stack.snapshot(&mut cursor, 256, |socket| {
    ///     if let SocketSnapshot::Listener(listener) = socket {
    ///         ports.push(listener.at.port);
    ///     }
    /// }) {
    ///     // Somebody else may use the stack here.
    /// }
    /// assert_eq!(ports, [80]);
    /// # Ok::<(), handwave_stack::ListenError>(())
    /// ```
    pub fn snapshot(
        &self,
        cursor: &mut SnapshotCursor,
        places_max: usize,
        mut visit: impl FnMut(SocketSnapshot),
    ) -> bool {
        let mut left = places_max;
        while cursor.table != Table::End {
            if left == 0 {
                return true;
            }
            if cursor.slot as usize >= self.slots_of(cursor.table) {
                cursor.table = cursor.table.next();
                cursor.slot = 0;
                continue;
            }
            let slot = cursor.slot;
            let found = match cursor.table {
                Table::HalfOpen => {
                    if self.show_half_open(cursor, &mut left, &mut visit) {
                        return true;
                    }
                    None
                }
                Table::Listeners => self.listener_in(slot).map(SocketSnapshot::Listener),
                Table::Connections => self.connection_at(slot).map(SocketSnapshot::Connection),
                Table::TimeWaits => self.time_wait_at(slot).map(SocketSnapshot::TimeWait),
                Table::Udp => self.udp_in(slot).map(SocketSnapshot::Udp),
                Table::End => None,
            };
            found.into_iter().for_each(&mut visit);
            left = left.saturating_sub(1);
            cursor.slot += 1;
        }
        false
    }

    fn slots_of(&self, table: Table) -> usize {
        match table {
            Table::Listeners | Table::HalfOpen => self.listening.slots(),
            Table::Connections => self.connections.slots(),
            Table::TimeWaits => self.time_waits.slots(),
            Table::Udp => self.udp.slots(),
            Table::End => 0,
        }
    }

    /// The UDP socket bound to exactly this place.
    #[must_use]
    pub fn udp_at(&self, addr: Option<IpAddr>, port: u16) -> Option<UdpSnapshot> {
        self.udp_in(self.udp.at_place(addr, port)?)
    }

    fn listener_in(&self, slot: u32) -> Option<ListenerSnapshot> {
        let (id, entry) = self.listening.at(slot)?;
        let listener = &entry.listener;
        Some(ListenerSnapshot {
            id,
            at: entry.at,
            half_open: listener.half_open(),
            waiting: listener.waiting(),
            limits: listener.limits().clone(),
            flood: listener.flood(),
            counters: listener.counters().clone(),
        })
    }

    /// Shows what half-open records of the listener at the cursor `left` allows; returns whether it has more.
    fn show_half_open(
        &self,
        cursor: &mut SnapshotCursor,
        left: &mut usize,
        mut visit: impl FnMut(SocketSnapshot),
    ) -> bool {
        let Some((listener, entry)) = self.listening.at(cursor.slot) else {
            cursor.half_open = HalfOpenCursor::default();
            return false;
        };
        let show = |record| {
            visit(SocketSnapshot::HalfOpen(HalfOpenSnapshot {
                listener,
                record,
            }))
        };
        let more = entry
            .listener
            .look_half_open(&mut cursor.half_open, left, show);
        if !more {
            cursor.half_open = HalfOpenCursor::default();
        }
        more
    }

    fn connection_at(&self, slot: u32) -> Option<ConnectionSnapshot> {
        let (id, entry) = self.connections.named(slot)?;
        let connection = &entry.connection;
        Some(ConnectionSnapshot {
            id,
            tuple: *connection.tuple(),
            interface: entry.hop.interface,
            orphan: entry.is_orphan(),
            info: connection.info(),
            held: connection.held(),
            timers: connection.timers().collect(),
        })
    }

    fn time_wait_at(&self, slot: u32) -> Option<TimeWaitSnapshot> {
        let record = self.time_waits.at(slot)?;
        Some(TimeWaitSnapshot {
            tuple: *record.tuple(),
            deadline: self.time_waits.deadline(slot),
        })
    }

    fn udp_in(&self, slot: u32) -> Option<UdpSnapshot> {
        let (id, socket) = self.udp.named(slot)?;
        Some(UdpSnapshot {
            id,
            addr: socket.addr,
            port: socket.port,
            queued: socket.queued(),
            held: socket.held(),
            counters: socket.counters,
        })
    }
}
