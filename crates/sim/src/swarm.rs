//! The swarm: runs drawn from seeds, checked after every event.
//!
//! [`run`] plays one [`Plan`](crate::Plan) to its end and proves on the way that
//!
//! - each application reads exactly what the other wrote, in order, and all of it before the end of the stream;
//! - the variables of each connection keep the relations of RFC 9293 3.3.1, and no buffer exceeds its limit;
//! - somebody always has something due while anybody still waits;
//! - nobody who floods a host outgrows its tables or keeps an honest client from being served in the end;
//! - once the faults have stopped everything finishes, and nothing is left of it in the stacks;
//! - a connection gives up only if each try of the octet it was stuck at, or each answer, was lost.

mod app;
mod attack;
mod clock;
mod excuse;
mod failure;
mod flood;
mod invariants;
mod journal;
mod laws;
mod run;
mod talk;

pub use failure::Failure;
pub use run::{Report, RunError, run};

#[cfg(test)]
mod tests;
