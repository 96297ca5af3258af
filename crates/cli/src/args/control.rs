//! The switches of every command whose stack others may look into.

use std::path::PathBuf;

/// The control socket.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Control socket")]
pub(crate) struct ControlArgs {
    /// Where the socket is through which `handwave ss`, `stats` and `top` look in [default: one that they find by themselves, in $XDG_RUNTIME_DIR/handwave, /run/handwave or /tmp/handwave-UID]
    #[arg(long, value_name = "PATH")]
    pub(crate) control: Option<PathBuf>,
    /// No control socket
    #[arg(long, conflicts_with = "control")]
    pub(crate) no_control: bool,
}
