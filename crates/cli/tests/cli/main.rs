//! The `handwave` program from the outside.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails as the test would"
)]

mod capture;
mod command_line;
mod common;
mod flood;
mod lab;
mod look;
mod script;
