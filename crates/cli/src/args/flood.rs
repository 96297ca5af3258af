//! The command line of `handwave lab flood`.

use std::time::Duration;

use clap::ValueEnum;

use crate::lab::Defence;
use crate::units;

pub(super) const ABOUT: &str = "\
Floods a server with SYNs that nobody means, in virtual time and without any privilege, while honest clients try to get through. \
Half of the clients speak first, as in HTTP; half wait for the server to speak first, as in SMTP. Every packet is \
handled by the real stack: what is shown is what it did.

With --compare each defence meets the same flood: the same seed, the same clients at the same moments.";

pub(super) const EXAMPLES: &str = "\
Examples:
  handwave lab flood                               no defence: see the queue fill up
  handwave lab flood --compare                     each defence against the same flood
  handwave lab flood --compare --spoof honest      the attacker forges the clients' own addresses
  handwave lab flood --defence cookies --rate 50000
  handwave lab flood --compare --json | jq -c '[.defence, .served, .clients]'

Exit codes: 0 played, 2 usage.";

/// `handwave lab flood`.
#[derive(clap::Args, Debug)]
pub(crate) struct FloodArgs {
    /// Play all defences, one after the other
    #[arg(long, conflicts_with = "defence")]
    pub(crate) compare: bool,
    /// The defence to play
    #[arg(long, value_enum, value_name = "NAME", default_value_t = Defence::Nothing)]
    pub(crate) defence: Defence,
    /// SYNs that the attacker sends each second
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(0..=1_000_000), default_value_t = 10_000)]
    pub(crate) rate: u32,
    /// Honest clients, each of which tries once
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=8_000), default_value_t = 200)]
    pub(crate) clients: u32,
    /// Whose addresses the attacker forges
    #[arg(long, value_enum, value_name = "WHOSE", default_value_t = Spoof::Random)]
    pub(crate) spoof: Spoof,
    /// How long the flood lasts; the first second is quiet
    #[arg(long = "for", value_name = "TIME", value_parser = units::time, default_value = "10s")]
    pub(crate) duration: Duration,
    /// Time from a client to the server, such as 20ms
    #[arg(long, value_name = "TIME", value_parser = units::time, default_value = "20ms")]
    pub(crate) delay: Duration,
    /// Lose packets of honest clients and to them, such as 1%
    #[arg(long, value_name = "PERCENT", value_parser = units::percent, default_value = "0%")]
    pub(crate) loss: f64,
    /// Seed of all chance
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Write one JSON object a line for each defence instead of the table
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
    /// Columns to draw in [default: the terminal's, at most 120]
    #[arg(long, help_heading = "Output", value_name = "COLUMNS", value_parser = clap::value_parser!(u16).range(60..=400))]
    pub(crate) width: Option<u16>,
}

/// Whose addresses an attacker forges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Spoof {
    /// Any address of the Internet, another for each SYN
    Random,
    /// Any address of one network (a /24)
    Prefix,
    /// One address
    Single,
    /// Exactly the honest clients' addresses
    Honest,
}
