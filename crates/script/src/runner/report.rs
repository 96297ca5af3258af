//! How a run ended, and what happened in it.

use std::fmt;

use crate::language::ast::Place;
use crate::language::print::Seconds;

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Whether the script passed.
    pub verdict: Verdict,
    /// What happened, in order.
    pub trace: Vec<Happening>,
    /// What went wrong and was allowed to, by `--non_fatal`.
    pub warnings: Vec<Failure>,
    /// What `print` printed.
    pub printed: Vec<String>,
}

/// Whether a script passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything was as the script says.
    Passed,
    /// The first thing that was not.
    Failed(Box<Failure>),
}

/// The first thing that was not as a script says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// The event's place in the script.
    pub place: Place,
    /// When it happened, in microseconds of the script's time.
    pub micros: i64,
    /// What went wrong, in one line.
    pub message: String,
    /// What the script expects.
    pub expected: Option<Box<str>>,
    /// What came instead.
    pub actual: Option<Box<str>>,
    /// The single differences.
    pub differences: Vec<String>,
}

impl Failure {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            ..Self::default()
        }
    }

    pub(super) fn expected(mut self, expected: impl ToString) -> Self {
        self.expected = Some(expected.to_string().into());
        self
    }

    pub(super) fn actual(mut self, actual: impl ToString) -> Self {
        self.actual = Some(actual.to_string().into());
        self
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self::new(message)
    }
}

/// Something that happened in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// When, in microseconds of the script's time.
    pub micros: i64,
    /// The line of the script it belongs to; `None` for what no event has asked for.
    pub line: Option<usize>,
    /// What kind of thing.
    pub kind: HappeningKind,
    /// What happened.
    pub text: String,
}

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HappeningKind {
    /// A system call returned, or began to wait.
    Call,
    /// A packet was handed to the stack.
    Inbound,
    /// The stack sent a packet.
    Outbound,
    /// A shell command or Python.
    Check,
}

impl Outcome {
    pub(crate) fn failed_at_once(message: String) -> Self {
        Self {
            verdict: Verdict::Failed(Box::new(Failure::new(message))),
            trace: Vec::new(),
            warnings: Vec::new(),
            printed: Vec::new(),
        }
    }

    /// The failure, if there is one.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        match &self.verdict {
            Verdict::Passed => None,
            Verdict::Failed(failure) => Some(failure),
        }
    }

    /// The last `count` things that happened, as a ladder: the script on the left, the stack on the right.
    #[must_use]
    pub fn ladder(&self, count: usize) -> String {
        let first = self.trace.len().saturating_sub(count);
        let mut lines = String::new();
        if first > 0 {
            lines += &format!("      ... {first} earlier\n");
        }
        for happening in &self.trace[first..] {
            let line = happening
                .line
                .map_or_else(String::new, |line| line.to_string());
            let time = Seconds(happening.micros).to_string();
            let text = &happening.text;
            lines += &match happening.kind {
                HappeningKind::Call => format!("{time:>12} {line:>5}  {text}\n"),
                HappeningKind::Inbound => format!("{time:>12} {line:>5}  |---> {text}\n"),
                HappeningKind::Outbound => format!("{time:>12} {line:>5}  |<--- {text}\n"),
                HappeningKind::Check => format!("{time:>12} {line:>5}  {text}\n"),
            };
        }
        lines
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.verdict {
            Verdict::Passed => f.write_str("passed"),
            Verdict::Failed(failure) => write!(f, "line {}: {failure}", failure.place.line),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {} s: {}", Seconds(self.micros), self.message)?;
        if let Some(expected) = &self.expected {
            write!(f, "\n  expected: {expected}")?;
        }
        if let Some(actual) = &self.actual {
            write!(f, "\n  actual:   {actual}")?;
        }
        for difference in &self.differences {
            write!(f, "\n    {difference}")?;
        }
        Ok(())
    }
}
