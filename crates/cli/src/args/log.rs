//! The switch that says what to log.

use tracing::level_filters::LevelFilter;

/// What a program that runs for long tells on standard error.
#[derive(clap::Args, Debug)]
pub(crate) struct LogArgs {
    /// What to log on standard error: off, error, warn, info (a line for each connection) or debug
    #[arg(long = "log", value_name = "LEVEL", value_parser = level, default_value = "warn", help_heading = "Output")]
    pub(crate) level: LevelFilter,
}

fn level(text: &str) -> Result<LevelFilter, String> {
    text.parse()
        .map_err(|_| "use off, error, warn, info or debug".to_owned())
}
