//! What comes in, in the RFC's own order: calls of the application (RFC 9293 3.10.1 to 3.10.6), segments (3.10.7),
//! timeouts (3.10.8) and ICMP errors (3.9.2.2). Handlers change variables and set intents; they build no segments.

pub(crate) mod calls;
pub(crate) mod icmp;
mod open;
pub(crate) mod segment_arrives;
pub(crate) mod timeouts;
