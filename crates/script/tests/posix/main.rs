//! The POSIX sockets: two programs on one wire, and what each call answers in each state.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod errnos;
mod happy_path;
mod harness;
mod linux;
