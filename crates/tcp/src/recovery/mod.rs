//! Loss recovery: what is measured, what the peer holds, what is lost.
//!
//! - [`rtt`]: the round-trip time estimator and the retransmission timeout (RFC 6298).
//! - [`scoreboard`]: selective acknowledgments, the octets in flight and the next octet to repeat
//!   (RFC 6675, and RFC 6582 for a peer without SACK).
//!
//! When recovery begins and ends is decided by the connection, and what it does to the congestion window in
//! [`congestion`](crate::congestion).

pub(crate) mod flight;
pub(crate) mod repairs;
pub mod rtt;
pub mod scoreboard;

pub use rtt::{RttConfig, RttEstimator, RttVariation};
pub use scoreboard::{SackUpdate, Scoreboard};
