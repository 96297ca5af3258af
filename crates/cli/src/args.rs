//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use handwave_story::Language;

use crate::lab::Scenario;
use crate::units;

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
    #[command(long_about = LAB_ABOUT, after_long_help = LAB_EXAMPLES, after_help = LAB_SHORT)]
    Lab(LabArgs),
}

const LAB_ABOUT: &str = "\
Runs two complete TCP stacks on a virtual network, in virtual time and without any privilege, and tells what happens: \
every segment of the handshake and the close with both ends' states, the sum behind each ACK, and the reason. Data \
passes through for real: the program fails unless it arrives with the same SHA-256.

The same command with the same --seed gives the same packets, every time and everywhere.";

const LAB_SHORT: &str = "Scenarios and examples: handwave lab --help";

const LAB_EXAMPLES: &str = "\
Examples:
  handwave lab                                     16 MiB over a perfect path of 20 ms
  handwave lab --loss 2% --delay 40ms --seed 7     watch losses being repaired
  handwave lab teardown-3                          a close in three segments
  handwave lab lost-syn --lang zh-CN               一个丢失的 SYN
  handwave lab --file photo.jpg --pcap lab.pcapng  then open lab.pcapng in Wireshark
  handwave lab simultaneous-open --json | jq .story.steps

Exit codes: 0 the data arrived whole and the scenario ended as it should, 1 it did not, 2 usage, 3 bad input.";

/// `handwave lab`.
#[derive(clap::Args, Debug)]
pub(crate) struct LabArgs {
    /// What to play
    #[arg(value_enum, default_value_t = Scenario::Transfer, hide_default_value = true)]
    pub(crate) scenario: Scenario,

    #[command(flatten)]
    pub(crate) payload: PayloadArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// What is sent.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Data (scenario transfer)")]
pub(crate) struct PayloadArgs {
    /// Send this file
    #[arg(long, value_name = "PATH", conflicts_with_all = ["stdin", "size"])]
    pub(crate) file: Option<PathBuf>,
    /// Send what arrives on standard input
    #[arg(long, conflicts_with = "size")]
    pub(crate) stdin: bool,
    /// Send so many generated octets, such as 64KiB or 100MiB [default: 16MiB]
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    pub(crate) size: Option<u64>,
}

/// What the path does to packets.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Network (each direction)")]
pub(crate) struct NetworkArgs {
    /// Lose packets, such as 2%
    #[arg(long, value_name = "PERCENT", value_parser = units::percent, default_value = "0%")]
    pub(crate) loss: f64,
    /// Time from one end to the other, such as 20ms
    #[arg(long, value_name = "TIME", value_parser = units::time, default_value = "20ms")]
    pub(crate) delay: Duration,
    /// Vary the delay by up to so much, without changing the order
    #[arg(long, value_name = "TIME", value_parser = units::time, default_value = "0ms")]
    pub(crate) jitter: Duration,
    /// Limit the rate, such as 10mbit, with a queue of 100 ms in front [default: no limit]
    #[arg(long, value_name = "RATE", value_parser = units::rate)]
    pub(crate) rate: Option<u64>,
    /// Hold packets back so that later ones overtake them
    #[arg(long, value_name = "PERCENT", value_parser = units::percent, default_value = "0%")]
    pub(crate) reorder: f64,
    /// Deliver packets twice
    #[arg(long, value_name = "PERCENT", value_parser = units::percent, default_value = "0%")]
    pub(crate) duplicate: f64,
    /// Flip bits in packets
    #[arg(long, value_name = "PERCENT", value_parser = units::percent, default_value = "0%")]
    pub(crate) corrupt: f64,
    /// Largest packet in octets: 576 to 65535, and at least 1280 with --ipv6
    #[arg(long, value_name = "OCTETS", value_parser = clap::value_parser!(u16).range(576..), default_value_t = 1500)]
    pub(crate) mtu: u16,
    /// Use IPv6
    #[arg(long)]
    pub(crate) ipv6: bool,
    /// Seed of all chance: initial sequence numbers, losses, generated data
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub(crate) seed: u64,
}

/// What comes out.
#[derive(clap::Args, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Write what the client's interface sees to a pcapng file, with the story as comments
    #[arg(long, value_name = "FILE")]
    pub(crate) pcap: Option<PathBuf>,
    /// Write one JSON document instead of the picture
    #[arg(long)]
    pub(crate) json: bool,
    /// Show every segment, not only the telling ones
    #[arg(long)]
    pub(crate) all: bool,
    /// Arrows only, without the explanations under them
    #[arg(long)]
    pub(crate) brief: bool,
    /// Show both ends' variables after each segment: SND.UNA, SND.NXT, RCV.NXT, windows, cwnd
    #[arg(long)]
    pub(crate) vars: bool,
    /// Columns to draw in [default: the terminal's, at most 120]
    #[arg(long, value_name = "COLUMNS", value_parser = clap::value_parser!(u16).range(60..=400))]
    pub(crate) width: Option<u16>,
}
