//! What is wrong with a script, where, and what was expected.

use core::fmt;
use core::ops::Range;

use ariadne::{Config, IndexType, Label, Report, ReportKind, Source};

/// One thing that is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong: `expected a time, a packet or a system call`.
    pub message: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The octets of the text it is about.
    pub span: Range<usize>,
    /// What could be done about it.
    pub help: Option<String>,
    /// The text, with definitions put in.
    pub text: String,
}

impl Diagnostic {
    /// Something wrong with `span` of `text`.
    #[must_use]
    pub fn new(text: &str, span: Range<usize>, message: impl Into<String>) -> Self {
        let before = text.get(..span.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self {
            message: message.into(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            span,
            help: None,
            text: text.to_owned(),
        }
    }

    /// Adds what could be done about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The message with an excerpt of the text that calls itself `file`.
    #[must_use]
    pub fn render(&self, file: &str, colour: bool) -> String {
        let end = self.span.end.max(self.span.start + 1).min(self.text.len());
        let span = self.span.start.min(end)..end;
        let mut report = Report::build(ReportKind::Error, (file, span.clone()))
            .with_config(
                Config::default()
                    .with_color(colour)
                    .with_index_type(IndexType::Byte),
            )
            .with_message(&self.message)
            .with_label(Label::new((file, span)).with_message("here"));
        if let Some(help) = &self.help {
            report = report.with_help(help);
        }
        let mut out = Vec::new();
        match report
            .finish()
            .write((file, Source::from(&self.text)), &mut out)
        {
            Ok(()) => String::from_utf8_lossy(&out).into_owned(),
            Err(_) => format!("{file}:{self}\n"),
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

impl core::error::Error for Diagnostic {}
