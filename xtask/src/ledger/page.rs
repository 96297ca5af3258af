//! A ledger as a table for the terminal and as a Markdown page.

use std::fmt::Write as _;

use super::book::{Book, KINDS};
use super::{Ledger, Level, Requirement, Status};

/// One line per requirement, then the counts.
pub(super) fn table(ledger: &Ledger) -> String {
    let mut out = String::new();
    for requirement in &ledger.requirements {
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{:10} {:6} {:11} {:14} {} code, {} tests  {}",
            requirement.label,
            requirement.level.map_or("", Level::name),
            requirement.section,
            requirement.status.name(),
            requirement.code.len(),
            requirement.tests.len(),
            requirement.gloss,
        );
    }
    out.push('\n');
    out.push_str(&counts(ledger));
    out
}

/// The page that lies beside the ledger.
pub(super) fn render(book: &Book, ledger: &Ledger) -> String {
    let title = book.title();
    let mut out = format!("# The {title} ledger\n\n");
    out.push_str(&if book.labels_say_how_strongly() {
        format!("Every requirement {title} labels, what Handwave claims about it, the code that does it and the test that proves it.\n")
    } else {
        format!("What {title} asks, numbered by us, what Handwave claims about it, the code that does it and the test that proves it.\n")
    });
    let _ = write!(
        out,
        "Written by `cargo xtask ledger --report` from `{}`; `cargo xtask ledger` fails when a claim and the\n\
         markers in code and tests disagree, or when this page is out of date.\n\n",
        book.ledger_name()
    );
    out.push_str(&counts(ledger));
    out.push_str("\n| Label | Section | Requirement | Status | Code | Tests | Notes |\n|---|---|---|---|---|---|---|\n");
    for requirement in &ledger.requirements {
        let links = |paths: &std::collections::BTreeSet<String>| {
            let links: Vec<String> = paths
                .iter()
                .map(|path| format!("[{}](../{path})", short(path)))
                .collect();
            links.join("<br>")
        };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} |",
            requirement.label,
            requirement.section,
            match requirement.level {
                Some(level) => format!("{}: {}", level.name(), cell(&requirement.gloss)),
                None => cell(&requirement.gloss),
            },
            requirement.status.name(),
            links(&requirement.code),
            links(&requirement.tests),
            cell(&requirement.notes),
        );
    }
    out
}

/// How many labels of each kind have each status.
fn counts(ledger: &Ledger) -> String {
    let mut out = String::from("| |");
    for status in Status::ALL {
        let _ = write!(out, " {} |", status.name());
    }
    out.push_str(" all |\n|---|---|---|---|---|---|\n");
    let mut row = |name: &str, belongs: &dyn Fn(&Requirement) -> bool| {
        let statuses: Vec<Status> = ledger
            .requirements
            .iter()
            .filter(|requirement| belongs(requirement))
            .map(|requirement| requirement.status)
            .collect();
        let _ = write!(out, "| {name} |");
        for status in Status::ALL {
            let _ = write!(
                out,
                " {} |",
                statuses.iter().filter(|found| **found == status).count()
            );
        }
        let _ = writeln!(out, " {} |", statuses.len());
    };
    if ledger
        .requirements
        .iter()
        .any(|requirement| requirement.level.is_some())
    {
        for level in Level::ALL {
            row(level.name(), &|requirement| {
                requirement.level == Some(level)
            });
        }
    } else {
        for (kind, _) in KINDS {
            row(kind, &|requirement| {
                requirement.label.split('-').next() == Some(kind)
            });
        }
    }
    row("all", &|_| true);
    out
}

/// A path as a reader wants it: without the folders every path has.
fn short(path: &str) -> String {
    path.trim_start_matches("crates/").replace("/src/", "/")
}

/// Text that cannot end a table cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
