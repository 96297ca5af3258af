//! The command line of `handwave lab`.

use std::path::PathBuf;

use super::PathArgs;
use crate::lab::Scenario;
use crate::units;

pub(super) const ABOUT: &str = "\
Runs two complete TCP stacks on a virtual network, in virtual time and without any privilege, and tells what happens: \
every segment of the handshake and the close with both ends' states, the sum behind each ACK, and the reason. Data \
passes through for real: the program fails unless it arrives with the same SHA-256.

The same command with the same --seed gives the same packets, every time and everywhere.";

pub(super) const SHORT: &str = "Scenarios and examples: handwave lab --help";

pub(super) const EXAMPLES: &str = "\
Examples:
  handwave lab                                     16 MiB over a perfect path of 20 ms
  handwave lab --loss 2% --delay 40ms --seed 7     watch losses being repaired
  handwave lab teardown-3                          a close in three segments
  handwave lab lost-syn --lang zh-CN               一个丢失的 SYN
  handwave lab --file photo.jpg --pcap lab.pcapng  then open lab.pcapng in Wireshark
  handwave lab flood --compare                     a SYN flood against each defence
  handwave lab simultaneous-open --json | jq .story.steps

Exit codes: 0 the data arrived whole and the scenario ended as it should, 1 it did not, 2 usage, 3 bad input.";

/// `handwave lab`.
#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct LabArgs {
    #[command(subcommand)]
    pub(crate) command: Option<LabCommand>,
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

/// What is a world of its own.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum LabCommand {
    /// Flood a server with SYNs and see whether honest clients get through
    #[command(long_about = super::flood::ABOUT, after_long_help = super::flood::EXAMPLES)]
    Flood(super::FloodArgs),
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
    #[command(flatten)]
    pub(crate) path: PathArgs,
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
