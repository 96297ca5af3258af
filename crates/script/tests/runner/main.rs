//! What the runner makes of scripts: the ones that pass, and above all those that must not.
#![expect(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]

#[path = "../common/mod.rs"]
mod common;
mod harness;
mod matching;
mod mutations;
mod options;
mod shell;
