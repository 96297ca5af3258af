//! The command line: what all commands understand here, each command's own in a file of its own.

#[cfg(target_os = "linux")]
mod connect;
#[cfg(target_os = "linux")]
mod control;
#[cfg(target_os = "linux")]
mod defence;
mod flood;
#[cfg(target_os = "linux")]
mod forward;
mod lab;
#[cfg(target_os = "linux")]
mod link;
#[cfg(target_os = "linux")]
mod log;
#[cfg(target_os = "linux")]
mod look;
#[cfg(target_os = "linux")]
mod metrics;
mod packet;
mod path;
#[cfg(target_os = "linux")]
mod place;
mod script;
#[cfg(target_os = "linux")]
mod serve;
#[cfg(target_os = "linux")]
mod ss;
#[cfg(target_os = "linux")]
mod stats;
#[cfg(target_os = "linux")]
mod top;
#[cfg(target_os = "linux")]
mod tun;

#[cfg(target_os = "linux")]
pub(crate) use connect::ConnectArgs;
#[cfg(target_os = "linux")]
pub(crate) use control::ControlArgs;
pub(crate) use flood::{FloodArgs, Spoof};
#[cfg(target_os = "linux")]
pub(crate) use forward::ForwardArgs;
pub(crate) use lab::{LabArgs, LabCommand, NetworkArgs, PayloadArgs};
#[cfg(target_os = "linux")]
pub(crate) use link::LinkArgs;
#[cfg(target_os = "linux")]
pub(crate) use log::LogArgs;
#[cfg(target_os = "linux")]
pub(crate) use look::LookArgs;
#[cfg(target_os = "linux")]
pub(crate) use metrics::MetricsArgs;
pub(crate) use packet::PacketArgs;
pub(crate) use path::PathArgs;
#[cfg(target_os = "linux")]
pub(crate) use place::{HostPort, Port};
pub(crate) use script::{RecordSide, ScriptArgs};
#[cfg(target_os = "linux")]
pub(crate) use serve::{Backend, Protocol, ServeArgs, ServedDirectory};
#[cfg(target_os = "linux")]
pub(crate) use ss::SsArgs;
#[cfg(target_os = "linux")]
pub(crate) use stats::StatsArgs;
#[cfg(target_os = "linux")]
pub(crate) use top::TopArgs;
#[cfg(target_os = "linux")]
pub(crate) use tun::{BusyPoll, InterfaceName, OffloadArg, TunArgs};

use clap::{Parser, Subcommand, ValueEnum};
use handwave_story::Language;

const AFTER_HELP: &str = "\
Exit codes: 0 fine, 1 findings or failure, 2 usage, 3 bad input, 4 missing privilege.";

/// TCP without the hand-waving: run it, watch it, understand it.
#[derive(Parser, Debug)]
#[command(name = "handwave", version, after_help = AFTER_HELP)]
#[command(disable_help_subcommand = true, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command understands.
#[derive(clap::Args, Debug)]
pub(crate) struct Common {
    /// Language of explanations: en or zh-CN [default: what LANG asks for]
    #[arg(long, global = true, value_name = "LANG", help_heading = "Output")]
    lang: Option<Language>,
    #[command(flatten)]
    pub(crate) color: Color,
}

impl Common {
    /// The language asked for, or else that of the locale.
    pub(crate) fn language(&self) -> Language {
        let from_locale = || {
            let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
            let locale = set("LC_ALL")
                .or_else(|| set("LC_MESSAGES"))
                .or_else(|| set("LANG"));
            locale.map_or_else(Language::default, |locale| Language::from_locale(&locale))
        };
        self.lang.unwrap_or_else(from_locale)
    }
}

/// Whether to use colours.
#[derive(clap::Args, Debug)]
pub(crate) struct Color {
    /// When to use colours [default: on a terminal, unless NO_COLOR is set]
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "always",
        help_heading = "Output"
    )]
    color: Option<When>,
    /// The same as --color=never
    #[arg(long, global = true, conflicts_with = "color", help_heading = "Output")]
    no_color: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum When {
    Auto,
    Always,
    Never,
}

impl Color {
    pub(crate) fn choice(&self) -> anstream::ColorChoice {
        match self.color {
            _ if self.no_color => anstream::ColorChoice::Never,
            Some(When::Always) => anstream::ColorChoice::AlwaysAnsi,
            Some(When::Never) => anstream::ColorChoice::Never,
            Some(When::Auto) | None => anstream::ColorChoice::Auto,
        }
    }
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Run two stacks on a virtual network and tell what happens, segment by segment
    #[command(long_about = lab::ABOUT, after_long_help = lab::EXAMPLES, after_help = lab::SHORT)]
    Lab(LabArgs),
    #[cfg(target_os = "linux")]
    /// Serve files, echoes and more to real programs over a TUN interface (root or CAP_NET_ADMIN)
    #[command(long_about = serve::ABOUT, after_long_help = serve::EXAMPLES, after_help = serve::SHORT)]
    Serve(Box<ServeArgs>),
    #[cfg(target_os = "linux")]
    /// Connect to a server and copy standard input and output, as nc does, over a TUN interface
    #[command(long_about = connect::ABOUT, after_long_help = connect::EXAMPLES, after_help = connect::SHORT)]
    Connect(ConnectArgs),
    #[cfg(target_os = "linux")]
    /// Re-make every flow that enters a TUN interface with the sockets of the host
    #[command(long_about = forward::ABOUT, after_long_help = forward::EXAMPLES, after_help = forward::SHORT)]
    Forward(ForwardArgs),
    #[cfg(target_os = "linux")]
    /// Join two TUN interfaces by a path with delay, loss, a rate and a queue
    #[command(long_about = link::ABOUT, after_long_help = link::EXAMPLES, after_help = link::SHORT)]
    Link(LinkArgs),
    #[cfg(target_os = "linux")]
    /// Show the sockets of a running program, as ss and netstat do
    #[command(long_about = ss::ABOUT, after_long_help = ss::EXAMPLES, after_help = ss::SHORT)]
    Ss(SsArgs),
    #[cfg(target_os = "linux")]
    /// Show what a running program has counted, as nstat does
    #[command(long_about = stats::ABOUT, after_long_help = stats::EXAMPLES, after_help = stats::SHORT)]
    Stats(StatsArgs),
    #[cfg(target_os = "linux")]
    /// Watch the stack of a running program on one screen: listeners, floods, connections
    #[command(long_about = top::ABOUT, after_long_help = top::EXAMPLES, after_help = top::SHORT)]
    Top(TopArgs),
    /// Run scripts in the packetdrill language against the stack, in virtual time
    #[command(long_about = script::ABOUT, after_long_help = script::EXAMPLES, after_help = script::SHORT)]
    Script(ScriptArgs),
}
