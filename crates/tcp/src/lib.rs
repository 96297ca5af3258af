//! One TCP endpoint, pure: what RFC 9293 calls a connection, a passive open and TIME-WAIT, without any I/O.
//!
//! - [`Connection`]: an endpoint from its SYN to its end. Its documentation states the contract: what goes in, what
//!   comes out, in which order.
//! - [`Listener`]: LISTEN, with a SYN queue of compact records and an accept queue.
//! - [`TimeWait`]: what remains of a connection for 2 MSL.
//! - [`reply_to_closed`]: the RST for a segment that nobody takes.
//!
//! Time comes in with each call ([`Context`]), secrets and seeds as configuration ([`Host`], [`Config`]); nothing here reads
//! a clock, draws entropy or touches a socket. IP headers, routes and demultiplexing belong to the stack.
//!
//! The folders follow RFC 9293: [`Phase::next`] is figure 5; `events/` is section 3.10, `events/segment_arrives/` its eight
//! checks, one file each; `output/` is the only place that builds segments; `recovery/`, `congestion/` and `buffer/` serve them.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod buffer;
pub mod congestion;
pub mod recovery;
pub mod time;
pub mod trace;

mod chronograph;
mod config;
mod connection;
mod delayed_ack;
mod error;
mod events;
mod host;
mod isn;
mod listener;
mod notice;
mod options;
mod output;
mod phase;
mod rate;
mod records;
mod repair;
mod segment;
mod siphash;
mod status;
mod tcb;
mod time_wait;
mod timer;
mod tuning;
mod tuple;
mod tuple_hash;
mod vars;

pub use chronograph::BusyTimes;
pub use config::{
    Acknowledging, BufferSize, Config, KeepAlive, ListenerConfig, Profile, ReceiveWindow, Resets,
    Segmentation, SequenceCheck, WindowProbe,
};
pub use connection::Connection;
pub use error::{ConnectionError, DropReason, ReceiveError, SendError, Unreachable};
pub use events::icmp::{IcmpError, IcmpKind};
pub use events::segment_arrives::closed::reply_to_closed;
pub use host::{ChallengeBudget, Context, Counters, Host, MemoryRoom, Pressure, Secrets};
pub use listener::{
    BadPrefix, BudgetLock, CookieKeys, DescribedCounter, FloodState, FloodThresholds,
    HalfOpenCursor, HalfOpenRecord, Limits, ListenVerdict, Listener, ListenerCounters,
    ListenerPool, ListenerRates, MSS_TABLE, Refusal, Requests, Screened, SharedCookieKeys,
    SourceBudgets, SourcePrefix, SynCookies, TopSource, Unverified,
};
pub use notice::Events;
pub use output::Reply;
pub use phase::{Cause, Phase};
pub use rate::RateLimit;
pub use records::WriteOptions;
pub use segment::{Joined, Path, SegmentIn, SegmentOut};
pub use siphash::SipKey;
pub use status::{Repair, SegmentCounts, TcpInfo};
pub use time::Instant;
pub use time_wait::{TimeWait, TimeWaitVerdict};
pub use timer::Timer;
pub use tuple::{Endpoint, Tuple};
pub use tuple_hash::TupleHash;
