//! Handwave in virtual time: links with faults, hosts that run the real stack, and checks after every event.
//!
//! - [`Link`] is one direction of a path: delay, jitter, loss, duplication, reordering, corruption, rate, queue, MTU.
//! - [`World`] joins hosts, each a real [`Stack`](handwave_stack::Stack), by links under one virtual clock.
//! - [`Plan`] is a whole run drawn from one seed; [`swarm`] plays plans and checks them.
//! - [`Rng`] is the only source of chance.
//!
//! The binary plays plans by the thousand: `cargo run --release -p handwave-sim -- --seeds 2000`.
#![forbid(unsafe_code)]

mod link;
pub mod plan;
mod rng;
mod stream;
pub mod swarm;
pub mod world;

pub use link::{Delivery, Fate, Link, LinkConfig, LinkStats, Loss};
pub use plan::Plan;
pub use rng::Rng;
pub use stream::Stream;
pub use world::{Happening, HostId, World};
