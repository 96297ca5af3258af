//! Failures as a user sees them: what happened, why, and what to do about it.

use std::fmt::Write as _;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};

/// What the exit code tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Something did not work, or a check found something.
    Failed,
    /// The command line asks for something impossible.
    Usage,
    /// A file or stream cannot be used.
    Input,
    /// The system does not let this user do it.
    #[cfg_attr(
        not(target_os = "linux"),
        expect(dead_code, reason = "what runs anywhere needs no privilege")
    )]
    Privilege,
    /// Reading stopped at the other end of our output; nobody is left to tell.
    BrokenPipe,
}

/// Why a command ended early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    kind: Kind,
    what: String,
    why: Option<String>,
    hints: Vec<String>,
}

impl Failure {
    pub(crate) fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            why: None,
            hints: Vec::new(),
        }
    }

    pub(crate) fn because(mut self, why: impl ToString) -> Self {
        self.why = Some(why.to_string());
        self
    }

    /// Adds a way out; the first is the best.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Writing our output failed.
    pub(crate) fn output(error: &std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::new(Kind::BrokenPipe, "");
        }
        Self::new(Kind::Failed, "cannot write the output").because(error)
    }

    pub(crate) fn is_silent(&self) -> bool {
        self.kind == Kind::BrokenPipe
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self.kind {
            Kind::BrokenPipe => 0,
            Kind::Failed => 1,
            Kind::Usage => 2,
            Kind::Input => 3,
            Kind::Privilege => 4,
        })
    }

    /// The message in colour; whoever prints it strips that where it is not wanted.
    pub(crate) fn render(&self) -> String {
        let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
        let bold = Style::new().bold();
        let mut text = format!("{red}handwave:{red:#} {bold}{}{bold:#}\n", self.what);
        if let Some(why) = &self.why {
            let _ = writeln!(text, "  {bold}why:{bold:#} {why}");
        }
        for hint in &self.hints {
            let _ = writeln!(text, "  {bold}try:{bold:#} {hint}");
        }
        text
    }
}
