//! Handwave in virtual time: links with faults, hosts that run the real stack, and checks after every event.
//!
//! - [`Link`] is one direction of a path: delay, jitter, loss, duplication, reordering, corruption, rate, queue, MTU.
//! - [`Rng`] is the only source of chance; one seed decides a whole run.
#![forbid(unsafe_code)]

mod link;
mod rng;

pub use link::{Delivery, Fate, Link, LinkConfig, LinkStats, Loss};
pub use rng::Rng;
