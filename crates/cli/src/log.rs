//! Lines on standard error about what happens while a program runs: one for each noteworthy thing, by level.

use std::io::{self, IsTerminal as _};

use anstream::ColorChoice;
use tracing_subscriber::filter::LevelFilter;

use crate::args::Color;

/// Begins to log on standard error. Only the first call counts.
pub(crate) fn begin(level: LevelFilter, color: &Color) {
    let colored = match color.choice() {
        ColorChoice::Never => false,
        ColorChoice::Auto => io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        _ => true,
    };
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(io::stderr)
        .with_ansi(colored)
        .with_target(false)
        .without_time()
        .finish();
    // Fails if there is one already, which then goes on.
    let _ = tracing::subscriber::set_global_default(subscriber);
}
