//! The `handwave` program: what a complete TCP looks like from the outside.
//!
//! Exit codes: 0 fine, 1 findings or failure, 2 usage, 3 bad input, 4 missing privilege. Every message says what happened,
//! why, and what to do about it; a reader that goes away (`| head`) ends the program in silence.
#![forbid(unsafe_code)]

// What opens a TUN interface, or looks into a program that did, is for Linux; the rest runs anywhere.
mod args;
#[cfg(target_os = "linux")]
mod connect;
#[cfg(target_os = "linux")]
mod control;
mod failure;
#[cfg(target_os = "linux")]
mod forward;
#[cfg(target_os = "linux")]
mod interface;
mod lab;
#[cfg(target_os = "linux")]
mod link;
#[cfg(target_os = "linux")]
mod live;
#[cfg(target_os = "linux")]
mod log;
#[cfg(target_os = "linux")]
mod metrics;
#[cfg(target_os = "linux")]
mod relay;
mod screen;
mod script;
#[cfg(target_os = "linux")]
mod serve;
#[cfg(target_os = "linux")]
mod ss;
#[cfg(target_os = "linux")]
mod stats;
#[cfg(target_os = "linux")]
mod streams;
#[cfg(target_os = "linux")]
mod top;
#[cfg(target_os = "linux")]
mod tun;
#[cfg(target_os = "linux")]
mod tuning;
mod units;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Args, Command};
use crate::failure::Failure;

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|info| {
        // Whatever went wrong is ours to repair, so say where without frightening anybody with a backtrace.
        let place = info
            .location()
            .map_or_else(String::new, |at| format!(" at {at}"));
        eprintln!(
            "handwave: this is a bug in handwave{place}: {}",
            panic_message(info)
        );
        eprintln!("  try: the same command with the same --seed shows it again; please report it");
    }));
    let args = Args::parse();
    let outcome = std::panic::catch_unwind(|| match &args.command {
        Command::Lab(lab) => lab::run(lab, &args.common),
        #[cfg(target_os = "linux")]
        Command::Serve(serve) => serve::run(serve, &args.common),
        #[cfg(target_os = "linux")]
        Command::Connect(connect) => connect::run(connect, &args.common),
        #[cfg(target_os = "linux")]
        Command::Forward(forward) => forward::run(forward, &args.common),
        #[cfg(target_os = "linux")]
        Command::Link(link) => link::run(link, &args.common),
        #[cfg(target_os = "linux")]
        Command::Ss(ss) => ss::run(ss, &args.common),
        #[cfg(target_os = "linux")]
        Command::Stats(stats) => stats::run(stats, &args.common),
        Command::Script(script) => script::run(script, &args.common),
        #[cfg(target_os = "linux")]
        Command::Top(top) => top::run(top, &args.common),
    });
    match outcome {
        Ok(Ok(code)) => code,
        Ok(Err(failure)) => report(&failure, &args),
        Err(_) => ExitCode::FAILURE,
    }
}

fn panic_message(info: &std::panic::PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_default()
}

fn report(failure: &Failure, args: &Args) -> ExitCode {
    if !failure.is_silent() {
        let mut stderr = anstream::AutoStream::new(std::io::stderr(), args.common.color.choice());
        // Nothing can be done about a standard error that is closed.
        let _ = std::io::Write::write_all(&mut stderr, failure.render().as_bytes());
    }
    failure.exit_code()
}
