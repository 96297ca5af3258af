//! The switch of every command that looks into a program that runs.

use std::path::PathBuf;

/// Into which program to look.
#[derive(clap::Args, Debug)]
pub(crate) struct LookArgs {
    /// The control socket of the program to look into [default: that of the one program of this user that has one]
    #[arg(long, value_name = "PATH", help_heading = "Program")]
    pub(crate) control: Option<PathBuf>,
}
