//! Many TCP endpoints and UDP sockets on some interfaces: demultiplexing, IP, ICMP, neighbours, routes, limits.
//!
//! [`Stack`] is everything; its documentation says how to drive it. A packet's way in and its way out are each a
//! straight line:
//!
//! ```text
//! handle_packet -> input/ethernet -> input/ipv4, ipv6 -> input/reassembly -> input/tcp, udp, icmp -> socket
//! socket -> output/tcp, udp, icmp -> output/ip -> output/link -> poll_transmit
//! ```
//!
//! The tables on the way each have a file: who owns four numbers ([`demux`]), connections and their life
//! ([`connections`]), TIME-WAIT records ([`time_waits`]), listeners ([`listening`]), routes ([`routes`]) and what was found there last ([`ways`]), path MTUs
//! ([`pmtu`]), link addresses ([`neighbours`]), ephemeral ports ([`ports`]), requests to forward
//! ([`forwarding`]), fellow stacks on other cores ([`steering`], [`strays`]). Three structures carry the cost: a keyed hash table finds the owner of a segment, a timer wheel ([`timers`]) finds who is due, a ready list ([`ready`])
//! finds who has something to send. None of them looks at a socket that has nothing to do, so a packet costs the same
//! with one connection and with a million.
//!
//! Like the layers below, this crate reads no clock, draws no entropy and touches no device.
#![no_std]
#![forbid(unsafe_code)]
#![allow(
    rustdoc::private_intra_doc_links,
    reason = "the overview names private modules for readers of the source"
)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod addresses;
mod aging;
mod arena;
#[cfg(all(test, target_pointer_width = "64"))]
mod budgets;
mod calls;
mod config;
mod connections;
mod counters;
mod demux;
mod error;
mod event;
mod forwarding;
mod id;
mod input;
mod interface;
mod keyed;
mod listening;
mod neighbours;
mod output;
mod pmtu;
mod ports;
mod rate;
mod ready;
mod routes;
mod setup;
mod snapshot;
mod stack;
mod steering;
mod strays;
mod time_waits;
mod timers;
mod udp;
mod udp_sockets;
mod ways;

pub use calls::{ConnectOptions, SocketSummary};
pub use config::{HostModel, StackConfig, TimeWaitOverflow};
pub use counters::Counters;
pub use error::{ConnectError, ForwardError, InterfaceError, ListenError, NoSuchSocket};
pub use event::Event;
pub use forwarding::{ForwardLimits, ForwardRequest};
pub use handwave_tcp::{DescribedCounter, Events, Limits, ListenerConfig, RateLimit, SynCookies};
pub use id::{ConnectionId, InterfaceId, ListenerId, SocketId, UdpId};
pub use input::ReassemblyLimits;
pub use interface::{InterfaceConfig, Medium, Prefix};
pub use listening::ListenAt;
pub use neighbours::NeighbourLimits;
pub use pmtu::{IPV4_MTU_MIN, IPV6_MTU_MIN};
pub use ports::PortRange;
pub use routes::Route;
pub use snapshot::{
    ConnectionSnapshot, HalfOpenSnapshot, ListenerSnapshot, SnapshotCursor, SocketSnapshot,
    TimeWaitSnapshot, UdpSnapshot,
};
pub use stack::Stack;
pub use steering::Shard;
pub use strays::Stray;
pub use udp::{BindError, UdpCounters, UdpDatagram, UdpLimits, UdpSendError};
