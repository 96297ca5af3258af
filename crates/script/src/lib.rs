//! Scripts in the packetdrill language, run against the stack in virtual time.
//!
//! - [`posix`]: sockets as a POSIX program sees them, over a stack of ours.
#![forbid(unsafe_code)]

pub mod posix;
