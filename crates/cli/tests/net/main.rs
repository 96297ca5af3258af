//! The program with the Linux kernel at the other end of its TUN interface.
//!
//! Each test has network namespaces of its own. Everything it starts dies with the thread that started it, and the namespaces
//! and interfaces with that, even if the test itself is killed. Without root, TUN or a program, tests are skipped and say so.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails as the test would"
)]

mod common;
mod connect;
mod control;
mod errors;
mod forward;
mod link;
mod metrics;
mod packet;
mod readme;
mod serve;
mod transfers;
mod wire;
