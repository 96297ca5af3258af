//! The labelled requirements of RFC 9293 that show between one connection and its peer, each proven by a scripted peer.
//!
//! Every test names the labels it proves; `cargo xtask ledger` collects them. What belongs to the network layer (addresses, checksums,
//! ICMP on the wire) is proven in the stack's tests.
#![expect(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]

mod acknowledging;
mod buffers;
mod closing;
mod failing;
mod harness;
mod joined;
mod keepalive;
mod linux_windows;
mod opening;
mod pacing;
mod repair;
mod sending;
mod urgent;
mod windows;
