//! `handwave lab flood`: a SYN flood in virtual time, and what each defence does to it.

mod battle;
mod defence;
mod report;
mod words;

use std::process::ExitCode;

use clap::ValueEnum as _;

pub(crate) use self::defence::Defence;
use crate::args::{Common, FloodArgs};
use crate::failure::Failure;
use crate::screen::Screen;

/// Runs the subcommand.
pub(super) fn run(args: &FloodArgs, common: &Common) -> Result<ExitCode, Failure> {
    let language = common.language();
    let mut screen = Screen::new(common.color.choice(), args.width);
    let defences = if args.compare {
        Defence::value_variants()
    } else {
        &[args.defence]
    };
    if !args.json {
        report::heading(&mut screen, args, language)?;
    }
    for &defence in defences {
        let outcome = battle::play(args, defence);
        if args.json {
            report::json(&mut screen, args, &outcome)?;
        } else {
            report::row(&mut screen, &outcome, language)?;
            if !args.compare {
                report::details(&mut screen, &outcome, language)?;
            }
        }
        screen.flush()?;
    }
    if !args.json {
        report::legend(&mut screen, language)?;
        screen.flush()?;
    }
    Ok(ExitCode::SUCCESS)
}
