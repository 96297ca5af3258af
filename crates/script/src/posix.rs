//! Sockets as a POSIX program sees them: descriptors, calls and errnos over a [`Stack`](handwave_stack::Stack).
//!
//! [`Posix`] is one process and the kernel under it, without a clock and without threads. Calls that return at once are methods
//! ([`Posix::socket`], [`Posix::bind`], ..); calls that may wait are [`Call`]s: a value that is attempted, and attempted again after
//! packets have arrived or time has passed, until it is ready. So the same sockets serve a script in virtual time, which attempts
//! what waits after each event, and a program in real time, whose thread sleeps between attempts.
//!
//! ```
//! use std::task::Poll;
//! use handwave_script::posix::constants::{AF_INET, SOCK_STREAM};
//! use handwave_script::posix::{Answer, Call, Environment, Errno, Op, Posix};
//! use handwave_tcp::{Instant, Profile};
//!
//! let now = Instant::ZERO;
//! let mut posix = Posix::new(now, Environment::new(Profile::linux(), ["192.0.2.1".parse().unwrap()]))?;
//! let fd = posix.socket(AF_INET, SOCK_STREAM, 0)?;
//! posix.bind(fd, "0.0.0.0:8080".parse::<std::net::SocketAddr>().unwrap().into())?;
//! posix.listen(fd, 1)?;
//!
//! let mut accept = Call::new(Op::Accept { fd, flags: 0 });
//! assert_eq!(accept.attempt(&mut posix, now), Poll::Pending, "nobody has connected yet");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What Linux does is the measure: an errno, a poll bit or a segment that differs from Linux's is an error here.

pub mod constants;

mod address;
mod call;
mod calls;
mod epoll;
mod errno;
mod error_queue;
mod files;
mod options;
mod pipes;
mod readiness;
mod socket;
mod sysctl;
mod system;
mod tcp_info;
mod urgent;

pub use address::Address;
pub use call::{Answer, Call, Control, Op, PollFd, Received, encode_address, encode_control};
pub use errno::Errno;
pub use files::Fd;
pub use options::OptionValue;
pub use sysctl::SysctlError;
pub(crate) use system::finished;
pub use system::{Environment, Posix, Settings};
pub use tcp_info::LinuxTcpInfo;
