//! Standard output as a terminal or a pipe: width, colours, and a reader that may go away.

use std::io::{self, IsTerminal as _, Write};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Color, Style as Ansi};
use handwave_story::{Line, Style};

use crate::failure::Failure;

/// Wider pictures are harder to read, not easier.
const WIDTH_MAX: usize = 120;
/// What a pipe gets, so that what is read later looks like what was seen.
const WIDTH_PIPE: usize = 100;

/// Where the answer goes.
pub(crate) struct Screen {
    out: AutoStream<io::StdoutLock<'static>>,
    width: usize,
}

impl Screen {
    pub(crate) fn new(choice: ColorChoice, width: Option<u16>) -> Self {
        let stdout = io::stdout();
        let width = match (width, terminal_size::terminal_size()) {
            (Some(columns), _) => usize::from(columns),
            (None, Some((columns, _))) if stdout.is_terminal() => {
                usize::from(columns.0).min(WIDTH_MAX)
            }
            (None, _) => WIDTH_PIPE,
        };
        Self {
            out: AutoStream::new(stdout.lock(), choice),
            width,
        }
    }

    /// Columns to use.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Writes one line of a picture.
    pub(crate) fn line(&mut self, line: &Line) -> Result<(), Failure> {
        let last = line
            .spans
            .iter()
            .rposition(|span| !span.text.trim_end().is_empty());
        for (index, span) in line.spans.iter().enumerate() {
            if last.is_none_or(|last| index > last) {
                break;
            }
            let text = if Some(index) == last {
                span.text.trim_end()
            } else {
                &span.text
            };
            let ansi = ansi(span.style, text);
            write!(self.out, "{ansi}{text}{ansi:#}").map_err(|error| Failure::output(&error))?;
        }
        self.text("\n")
    }

    /// Writes text that is not styled.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.out
            .write_all(text.as_bytes())
            .map_err(|error| Failure::output(&error))
    }

    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(|error| Failure::output(&error))
    }
}

/// The colours of a picture. Only the sixteen of the terminal's own palette, so that they suit its background.
fn ansi(style: Style, text: &str) -> Ansi {
    let plain = Ansi::new();
    let color = |color: AnsiColor| plain.fg_color(Some(Color::Ansi(color)));
    match style {
        Style::Plain | Style::Says | Style::Numbers => plain,
        Style::Line | Style::Time | Style::Detail => plain.dimmed(),
        Style::Name => plain.bold(),
        Style::State => color(AnsiColor::Cyan).dimmed(),
        Style::StateEntered => color(AnsiColor::Cyan).bold(),
        Style::Arrow => color(AnsiColor::Blue),
        Style::Flags if text.contains("SYN") => color(AnsiColor::Green).bold(),
        Style::Flags if text.contains("FIN") => color(AnsiColor::Magenta).bold(),
        Style::Flags if text.contains("RST") => color(AnsiColor::Red).bold(),
        Style::Flags => plain.bold(),
        Style::Trouble => color(AnsiColor::Red),
        Style::Good => color(AnsiColor::Green).bold(),
        Style::Again => color(AnsiColor::Yellow).bold(),
        Style::Arithmetic => color(AnsiColor::Yellow),
        Style::Omitted => plain.dimmed().italic(),
        Style::Local => color(AnsiColor::Blue).bold(),
    }
}
