//! `handwave-interop-script FILE|DIR...`: plays scripts against the Linux kernel, in real time, and says where it and they differ.
//!
//! With `--compare` nothing is expected: what a script does is done on Linux and on our stack in virtual time, and what came of it is
//! compared. `--random 1..500` writes such scripts itself.
//!
//! Each script has a process, a network namespace and a TUN device of its own. What it expects is compared by the same code that
//! compares what our stack does in virtual time, so that a difference is one of the two stacks.

#[cfg(target_os = "linux")]
mod compare;
#[cfg(target_os = "linux")]
mod generate;
#[cfg(target_os = "linux")]
mod kernel;
#[cfg(target_os = "linux")]
mod plan;
#[cfg(target_os = "linux")]
mod play;
#[cfg(target_os = "linux")]
mod report;
#[cfg(target_os = "linux")]
mod shell;
#[cfg(target_os = "linux")]
mod sys;
#[cfg(target_os = "linux")]
mod transcript;

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    play::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!("error: scripts are played against the Linux kernel, which is not here");
    ExitCode::from(4)
}
