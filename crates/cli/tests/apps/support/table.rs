//! The table at the end: which application passed.

use std::fmt::Write as _;
use std::time::Duration;

/// What became of an application.
#[derive(Debug)]
pub(crate) enum Verdict {
    Passed,
    Failed(String),
    Skipped(String),
}

/// A line of the table.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) application: &'static str,
    pub(crate) port: &'static str,
    pub(crate) server: &'static str,
    pub(crate) client: &'static str,
    pub(crate) verdict: Verdict,
    pub(crate) took: Duration,
}

/// Draws the table; below it stands what went wrong.
pub(crate) fn draw(lines: &[Line]) -> String {
    let heads = ["application", "port", "server", "client"];
    let cells: Vec<[&str; 4]> = lines
        .iter()
        .map(|line| [line.application, line.port, line.server, line.client])
        .collect();
    let mut widths = heads.map(str::len);
    for row in &cells {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.len());
        }
    }
    let mut table = String::from("\n");
    let mut row = |cells: &[&str; 4], seconds: &str, verdict: &str| {
        for (cell, width) in cells.iter().zip(widths) {
            let _ = write!(table, "{cell:<width$}  ");
        }
        let _ = writeln!(table, "{seconds:>7}  {verdict}");
    };
    row(&heads, "seconds", "verdict");
    for (line, cells) in lines.iter().zip(&cells) {
        let seconds = format!("{:.1}", line.took.as_secs_f64());
        match &line.verdict {
            Verdict::Passed => row(cells, &seconds, "passed"),
            Verdict::Failed(_) => row(cells, &seconds, "FAILED, see below"),
            Verdict::Skipped(reason) => row(cells, "", &format!("SKIPPED: {reason}")),
        }
    }
    for line in lines {
        if let Verdict::Failed(reason) = &line.verdict {
            let _ = writeln!(table, "\n{} FAILED: {reason}", line.application);
        }
    }
    table
}
