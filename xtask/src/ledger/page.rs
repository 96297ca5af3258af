//! The ledger as a table for the terminal and as a Markdown page.

use std::fmt::Write as _;

use super::{KINDS, Ledger, Status};

/// One line per requirement, then the counts.
pub(super) fn table(ledger: &Ledger) -> String {
    let mut out = String::new();
    for requirement in &ledger.requirements {
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{:8} {:11} {:14} {} code, {} tests  {}",
            requirement.label,
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

/// The page `docs/rfc9293-ledger.md`.
pub(super) fn render(ledger: &Ledger) -> String {
    let mut out = String::from(
        "# The RFC 9293 ledger\n\n\
         Every requirement RFC 9293 labels, what Handwave claims about it, the code that does it and the test that proves it.\n\
         Written by `cargo xtask ledger --report` from `rfc9293-ledger.toml`; `cargo xtask ledger` fails when a claim and the\n\
         markers in code and tests disagree, or when this page is out of date.\n\n",
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
            cell(&requirement.gloss),
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
    let mut row = |name: &str, belongs: &dyn Fn(&str) -> bool| {
        let statuses: Vec<Status> = ledger
            .requirements
            .iter()
            .filter(|requirement| belongs(&requirement.label))
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
    for (kind, _) in KINDS {
        row(kind, &|label| label.split('-').next() == Some(kind));
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
