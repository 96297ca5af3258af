//! Scripts in the packetdrill language, run against the stack in virtual time.
//!
//! - [`language`]: the text of a script and what it says.
//! - [`posix`]: sockets as a POSIX program sees them, over a stack of ours.
//! - [`record`]: a captured connection as a script.
//! - [`runner`]: a script and a stack, in virtual time.
#![forbid(unsafe_code)]

pub mod language;
pub mod posix;
pub mod record;
pub mod runner;
