//! The command line of `handwave stats`.

use super::LookArgs;

pub(super) const ABOUT: &str = "\
Shows the counters of a Handwave stack that runs in another process, as nstat shows the kernel's. A counter that Linux has, \
too, has the name and the meaning it has there. Shown is what has been counted since the last call, and how much of it a \
second; what was shown is remembered for each program.";

pub(super) const SHORT: &str = "Examples: handwave stats --help";

pub(super) const EXAMPLES: &str = "\
Examples:
  handwave stats                            what changed since the last call
  handwave stats -as 'TcpExtSyncookies*'    from the start, and nothing is remembered
  handwave stats -az --json                 every counter, for programs

Environment: HANDWAVE_STATS_HISTORY names the file in which is remembered what was shown [default: stats.history beside \
the control sockets of this user].

Exit codes: 0 fine, 1 failure, 2 usage, 4 another user's program.";

/// `handwave stats`.
#[derive(clap::Args, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub(crate) struct StatsArgs {
    /// Only counters with such names; * and ? stand for any characters and for any one
    #[arg(value_name = "PATTERN")]
    pub(crate) patterns: Vec<String>,
    /// From the start of the program, not since the last call
    #[arg(short, long = "ignore")]
    pub(crate) absolute: bool,
    /// Counters that are zero, too
    #[arg(short, long)]
    pub(crate) zeros: bool,
    /// Do not remember what is shown
    #[arg(short = 's', long)]
    pub(crate) noupdate: bool,
    /// Remember, but show nothing
    #[arg(short, long, conflicts_with = "noupdate")]
    pub(crate) nooutput: bool,
    /// Forget what was shown before
    #[arg(short, long)]
    pub(crate) reset: bool,
    /// JSON, in the form of nstat's: {"handwave":{NAME:NUMBER,...}}
    #[arg(short, long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) look: LookArgs,
}
