//! `handwave script`.

use std::path::PathBuf;

use clap::ValueEnum;

pub(super) const ABOUT: &str = "\
Runs scripts in the packetdrill language against the stack in virtual time: system calls, packets that are injected (<) \
and packets that are expected (>). No privilege, no network, the same result each time.

A directory stands for every *.pkt file under it, and its folders are counted.

With --record, writes a script instead: from a captured connection, with the system calls guessed and the script run, \
so that it passes wherever the capture tells enough.";

pub(super) const SHORT: &str = "Examples: handwave script --help";

pub(super) const EXAMPLES: &str = "\
Examples:
  handwave script tests/scripts                 every script, counted by folder
  handwave script --trace handshake.pkt         with what happened around the failing line
  handwave script --json tests/scripts | jq .   for programs
  handwave script --profile handwave a.pkt      as the RFCs have it, not as Linux does
  handwave script -D MSS=1460 a.pkt             the word MSS stands for 1460
  handwave script --record lab.pcapng -o a.pkt  a captured connection as a script

Exit codes: 0 all passed, 1 some failed (also a recorded one), 2 usage, 3 some are no scripts or cannot be read.";

/// `handwave script`.
#[derive(clap::Args, Debug)]
pub(crate) struct ScriptArgs {
    /// Scripts, and directories of scripts
    #[arg(required_unless_present = "record", value_name = "FILE|DIR")]
    pub(crate) paths: Vec<PathBuf>,
    /// Scripts to run at a time [default: one for each processor]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: Option<u16>,
    /// Whose defaults the stack has
    #[arg(long, value_enum, default_value_t = ScriptProfile::Linux)]
    pub(crate) profile: ScriptProfile,
    /// Let a word of the scripts stand for something else
    #[arg(short = 'D', long = "define", value_name = "NAME=VALUE", value_parser = definition)]
    pub(crate) defines: Vec<(String, String)>,
    /// Pass over shell commands that are not known, instead of failing at them
    #[arg(long)]
    pub(crate) allow_shell: bool,
    /// Write a script from a connection in a pcap or pcapng file
    #[arg(long, value_name = "CAPTURE", conflicts_with_all = ["paths", "json"], help_heading = "Recording")]
    pub(crate) record: Option<PathBuf>,
    /// The end whose program and stack the script is about
    #[arg(long, value_enum, default_value_t = RecordSide::Client, requires = "record", help_heading = "Recording")]
    pub(crate) side: RecordSide,
    /// The connection, counted from 0, if there are several
    #[arg(
        long,
        value_name = "NUMBER",
        requires = "record",
        help_heading = "Recording"
    )]
    pub(crate) stream: Option<usize>,
    /// Write the script to this file instead of standard output
    #[arg(
        short,
        long,
        value_name = "FILE",
        requires = "record",
        help_heading = "Recording"
    )]
    pub(crate) output: Option<PathBuf>,
    /// Show what happened around the line that failed
    #[arg(long, help_heading = "Output")]
    pub(crate) trace: bool,
    /// Write one JSON document
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}

/// An end of a connection.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum RecordSide {
    /// The one that opened it
    Client,
    /// The other one
    Server,
}

/// A set of defaults.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ScriptProfile {
    /// What Linux does
    Linux,
    /// What FreeBSD does
    Freebsd,
    /// What the RFCs say
    Handwave,
}

impl ScriptProfile {
    /// The name in the library.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Linux => "linux",
            Self::Freebsd => "freebsd",
            Self::Handwave => "handwave",
        }
    }
}

fn definition(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}
