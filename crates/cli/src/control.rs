//! The control socket of a program that runs: opened where others find it, and found.

mod find;

pub(crate) use find::{client, lost};

use std::io;
use std::path::Path;

use handwave::Stack;
use handwave::control::{Control, ControlOptions};

use crate::args::{ControlArgs, InterfaceName};
use crate::failure::{Failure, Kind};

/// Which control socket a command is to have.
#[derive(Debug)]
pub(crate) struct Wish<'a> {
    command: &'static str,
    args: &'a ControlArgs,
}

impl<'a> Wish<'a> {
    pub(crate) fn new(command: &'static str, args: &'a ControlArgs) -> Self {
        Self { command, args }
    }

    /// Opens it. Where nobody asked for a certain one, a program goes on without, and says so.
    pub(crate) fn open(
        &self,
        stack: &Stack,
        tun: &InterfaceName,
    ) -> Result<Option<Control>, Failure> {
        if self.args.no_control {
            return Ok(None);
        }
        let options = ControlOptions {
            path: self.args.control.clone(),
            // With the interface, which tells one of several from the others.
            program: format!("{} on {tun}", self.command),
        };
        match (Control::open(stack, options), &self.args.control) {
            (Ok(control), _) => {
                tracing::info!("control socket: {}", control.path().display());
                Ok(Some(control))
            }
            (Err(error), Some(path)) => Err(cannot_open(path, &error)),
            (Err(error), None) => {
                tracing::warn!(
                    "there is no control socket for `handwave ss`: {error} (--control PATH puts it elsewhere, --no-control does without)"
                );
                Ok(None)
            }
        }
    }
}

fn cannot_open(path: &Path, error: &io::Error) -> Failure {
    let kind = match error.kind() {
        io::ErrorKind::PermissionDenied => Kind::Privilege,
        io::ErrorKind::AlreadyExists | io::ErrorKind::InvalidInput => Kind::Usage,
        _ => Kind::Failed,
    };
    let place = path.display();
    let failure =
        Failure::new(kind, format!("cannot open the control socket {place}")).because(error);
    let failure = match error.kind() {
        io::ErrorKind::AddrInUse => failure.hint(format!(
            "handwave ss --control {place}   (shows who has it)"
        )),
        io::ErrorKind::NotFound => failure.hint("a path in a directory that exists"),
        _ => failure,
    };
    failure
        .hint("another path for --control")
        .hint("without --control, for a place that `handwave ss` finds by itself")
}
