//! **Handwave**: a complete TCP for programs, without the kernel.
//!
//! A [`Stack`] joins a device (TUN, a tunnel of the program's own, a link in memory) to sockets shaped like tokio's:
//! [`TcpListener`], [`TcpStream`], [`UdpSocket`], and a [`Forwarder`] for flows to
//! anybody.
//!
//! ```text
//! TcpStream, UdpSocket, ..  --call-->  stack (behind a lock)  <--batches--  Driver  <-->  Device
//!                           <--wake--                                        (a task)
//! ```
//!
//! - [`Stack`] and [`Builder`]: how it begins, and when it ends.
//! - [`Driver`]: the task that moves packets; [`Runtime`] is all it needs of its surroundings.
//! - [`Error`]: what is inside the [`std::io::Error`]s.
//! - [`device`]: where packets come from.
//! - `control` (feature `control`): how to look into a stack from another process.
//! - `sim` (a feature): whole programs in virtual time, over links with delay and loss.
//!
//! The protocol is not here: connections are `handwave-tcp`, demultiplexing and IP are `handwave-stack`.
#![forbid(unsafe_code)]

mod ahead;
#[cfg(feature = "axum")]
mod axum;
mod builder;
#[cfg(all(unix, feature = "control"))]
pub mod control;
mod driver;
mod error;
mod floods;
mod forwarder;
mod runtime;
mod shards;
mod shared;
#[cfg(feature = "sim")]
pub mod sim;
mod stack;
mod tcp;
mod udp;
mod waiting;

/// Where packets come from and go to.
pub use handwave_device as device;

/// Octets that several may refer to.
pub use bytes::Bytes;

pub use builder::Builder;
pub use driver::Driver;
pub use error::Error;
pub use floods::{FloodChange, FloodWatch};
pub use forwarder::{Flow, Forwarder, ForwarderConfig, TcpRequest, UdpSession};
pub use handwave_packet::{PacketBuf, Payload};
pub use handwave_stack::{
    BindError, ConnectError, ConnectOptions, Counters, ForwardError, ForwardLimits, InterfaceError,
    InterfaceId, Limits, ListenAt, ListenError, ListenerConfig, Prefix, RateLimit, Route,
    StackConfig, SynCookies, UdpLimits, UdpSendError,
};
pub use handwave_tcp::{
    BufferSize, Config, ConnectionError, FloodState, Instant, KeepAlive, ListenerCounters,
    ListenerRates, Phase, Profile, Secrets, SourcePrefix, TcpInfo, TopSource, Unreachable,
};
pub use handwave_wire::TcpOptions;
pub use handwave_wire::ethernet::MacAddr;
#[cfg(unix)]
pub use runtime::Watch;
pub use runtime::{Runtime, Timer, TokioRuntime};
pub use stack::Stack;
pub use tcp::{
    OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, TcpListener, TcpStream, WriteHalf,
};
pub use udp::UdpSocket;

/// What the pages for newcomers show compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
#[doc = include_str!("../../../README.zh-CN.md")]
struct Readme;
