//! The ledgers of what RFCs require: what is claimed, and the markers in code and tests that back it.
//!
//! RFC 9293 labels its requirements MUST-1 to MUST-69, SHLD-1 to SHLD-31, MAY-1 to MAY-18 and REC-1. Each has one entry in
//! `docs/rfc9293-ledger.toml`. Other RFCs label nothing: the ledger of RFC 7323, `docs/rfc7323-ledger.toml`, numbers what that
//! RFC asks `RFC7323-1` and so on, in the order of its sections, and says how strongly it asks.
//!
//! A comment that holds a label in square brackets is a marker: in code it says "this does it", in test code "this proves it". The
//! check compares the two; beside each ledger lies the same as a page.

mod book;
mod markers;
mod page;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::finding::{Finding, line_of};
use crate::source;
use book::Book;
use markers::Marker;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ledger {
    #[serde(default, rename = "requirement")]
    requirements: Vec<Requirement>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Requirement {
    label: String,
    /// How strongly it is asked, where the label does not say.
    #[serde(default)]
    level: Option<Level>,
    /// Section of the RFC.
    section: String,
    /// The requirement in our words.
    gloss: String,
    status: Status,
    /// Why it is not met in full, or where a default departs from it.
    #[serde(default)]
    notes: String,
    /// Files with a marker outside tests.
    #[serde(default)]
    code: BTreeSet<String>,
    /// Files with a marker in test code.
    #[serde(default)]
    tests: BTreeSet<String>,
}

/// How strongly an RFC asks (RFC 2119).
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "UPPERCASE")]
enum Level {
    Must,
    Should,
    May,
}

impl Level {
    const ALL: [Self; 3] = [Self::Must, Self::Should, Self::May];

    fn name(self) -> &'static str {
        match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
            Self::May => "MAY",
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
enum Status {
    /// Done and proven.
    Met,
    /// Done for some cases; the notes say which.
    MetInPart,
    /// Not done; the notes say why.
    NotMet,
    /// Asks nothing of this implementation; the notes say why.
    NotApplicable,
}

impl Status {
    const ALL: [Self; 4] = [
        Self::Met,
        Self::MetInPart,
        Self::NotMet,
        Self::NotApplicable,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::MetInPart => "met-in-part",
            Self::NotMet => "not-met",
            Self::NotApplicable => "not-applicable",
        }
    }
}

/// A ledger as it lies in the tree.
#[derive(Debug)]
struct Shelved {
    book: Book,
    text: String,
    ledger: Ledger,
}

pub(crate) fn run(root: &Path) -> Result<Vec<Finding>> {
    let markers = markers::find(&source::text_files(root)?)?;
    let shelf = read(root)?;
    let mut findings = Vec::new();
    for Shelved { book, text, ledger } in &shelf {
        findings.extend(check(book, text, ledger, &markers));
        let page = fs::read_to_string(root.join(book.page())).unwrap_or_default();
        if page != page::render(book, ledger) {
            findings.push(Finding::new(
                book.page(),
                1,
                "out of date: run `cargo xtask ledger --report`",
            ));
        }
    }
    let labels = shelf
        .iter()
        .flat_map(|shelved| &shelved.ledger.requirements);
    findings.extend(check_markers(
        &labels
            .map(|requirement| (requirement.label.as_str(), requirement.status))
            .collect(),
        &markers,
    ));
    Ok(findings)
}

/// Prints the ledgers and writes their pages.
pub(crate) fn report(root: &Path) -> Result<()> {
    for Shelved { book, ledger, .. } in read(root)? {
        println!("{}\n", book.title());
        println!("{}", page::table(&ledger));
        fs::write(root.join(book.page()), page::render(&book, &ledger)).context(book.page())?;
    }
    Ok(())
}

/// Rewrites the `code` and `tests` lists of the ledgers from the markers in the tree.
pub(crate) fn update(root: &Path) -> Result<()> {
    let markers = markers::find(&source::text_files(root)?)?;
    for shelved in read(root)? {
        let Shelved {
            book,
            text,
            mut ledger,
        } = shelved;
        for requirement in &mut ledger.requirements {
            requirement.code = marked(&markers, &requirement.label, false);
            requirement.tests = marked(&markers, &requirement.label, true);
        }
        let head: String = text
            .lines()
            .take_while(|line| line.starts_with('#'))
            .fold(String::new(), |head, line| head + line + "\n");
        fs::write(root.join(book.ledger()), head + &write(&ledger)).context(book.ledger())?;
    }
    Ok(())
}

fn read(root: &Path) -> Result<Vec<Shelved>> {
    let books = book::find(root)?.into_iter().map(|book| {
        let text = fs::read_to_string(root.join(book.ledger())).with_context(|| book.ledger())?;
        let ledger = toml::from_str(&text).with_context(|| book.ledger())?;
        Ok(Shelved { book, text, ledger })
    });
    books.collect()
}

fn check(book: &Book, text: &str, ledger: &Ledger, markers: &[Marker]) -> Vec<Finding> {
    let mut findings = check_labels(book, text, ledger);
    for requirement in &ledger.requirements {
        let line = line_of(text, &format!("label = \"{}\"", requirement.label));
        for message in check_claim(book, requirement, markers) {
            findings.push(Finding::new(
                book.ledger(),
                line,
                format!("{}: {message}", requirement.label),
            ));
        }
    }
    findings
}

/// Each marker is one of a requirement that some ledger claims.
fn check_markers(entries: &BTreeMap<&str, Status>, markers: &[Marker]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for marker in markers {
        let message = match entries.get(marker.label.as_str()) {
            Some(Status::Met | Status::MetInPart) => continue,
            Some(status) => format!(
                "[{}] is marked here, but the ledger says {}",
                marker.label,
                status.name()
            ),
            None => format!("[{}] is not a label of any ledger", marker.label),
        };
        findings.push(Finding::new(&marker.path, marker.line, message));
    }
    findings
}

/// Each label has one entry, in order, and there is no other.
fn check_labels(book: &Book, text: &str, ledger: &Ledger) -> Vec<Finding> {
    let mut findings = Vec::new();
    let known = book.labels(ledger.requirements.len());
    let mut last = None;
    for requirement in &ledger.requirements {
        let line = line_of(text, &format!("label = \"{}\"", requirement.label));
        let place = known.iter().position(|label| *label == requirement.label);
        match place {
            None => findings.push(Finding::new(
                book.ledger(),
                line,
                format!("{} is not a label of {}", requirement.label, book.title()),
            )),
            Some(_) if place <= last => {
                let message = format!("{} stands twice or out of order", requirement.label);
                findings.push(Finding::new(book.ledger(), line, message));
            }
            Some(_) => last = place,
        }
    }
    for label in &known {
        if !ledger
            .requirements
            .iter()
            .any(|requirement| requirement.label == *label)
        {
            findings.push(Finding::new(
                book.ledger(),
                1,
                format!("{label} is missing"),
            ));
        }
    }
    findings
}

/// What is wrong with one entry, in the light of the markers.
fn check_claim(book: &Book, requirement: &Requirement, markers: &[Marker]) -> Vec<String> {
    let mut messages = Vec::new();
    if requirement.level.is_some() == book.labels_say_how_strongly() {
        messages.push(match requirement.level {
            Some(_) => "has a level, which its label says".to_owned(),
            None => "has no level".to_owned(),
        });
    }
    let code = marked(markers, &requirement.label, false);
    let tests = marked(markers, &requirement.label, true);
    if requirement.status == Status::Met {
        if code.is_empty() {
            messages.push("claimed met, but no code carries its marker".to_owned());
        }
        if tests.is_empty() {
            messages.push("claimed met, but no test carries its marker".to_owned());
        }
    } else if requirement.notes.trim().is_empty() {
        messages.push(format!(
            "{}, but the notes do not say why",
            requirement.status.name()
        ));
    }
    if requirement.status == Status::MetInPart && code.is_empty() {
        messages.push("claimed met in part, but no code carries its marker".to_owned());
    }
    for (list, listed, found) in [
        ("code", &requirement.code, &code),
        ("tests", &requirement.tests, &tests),
    ] {
        for path in listed.difference(found) {
            messages.push(format!("{list} names {path}, which carries no such marker"));
        }
        for path in found.difference(listed) {
            messages.push(format!(
                "{list} does not name {path}: run `cargo xtask ledger --update`"
            ));
        }
    }
    for (name, value) in [
        ("section", &requirement.section),
        ("gloss", &requirement.gloss),
    ] {
        if value.trim().is_empty() {
            messages.push(format!("{name} is empty"));
        }
    }
    messages
}

/// The files that carry the marker of `label`, in test code or outside it.
fn marked(markers: &[Marker], label: &str, in_test: bool) -> BTreeSet<String> {
    markers
        .iter()
        .filter(|marker| marker.label == label && marker.in_test == in_test)
        .map(|marker| marker.path.display().to_string())
        .collect()
}

/// The ledger as TOML, in the layout of the file.
fn write(ledger: &Ledger) -> String {
    let mut out = String::new();
    for requirement in &ledger.requirements {
        let text = |value: &str| toml::Value::String(value.to_owned()).to_string();
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            "\n[[requirement]]\nlabel = {}\n{}section = {}\ngloss = {}\nstatus = {}\n",
            text(&requirement.label),
            requirement.level.map_or_else(String::new, |level| format!(
                "level = {}\n",
                text(level.name())
            )),
            text(&requirement.section),
            text(&requirement.gloss),
            text(requirement.status.name()),
        );
        if !requirement.notes.is_empty() {
            let _ = writeln!(out, "notes = {}", text(&requirement.notes));
        }
        for (name, paths) in [("code", &requirement.code), ("tests", &requirement.tests)] {
            if !paths.is_empty() {
                let paths: Vec<String> = paths.iter().map(|path| text(path)).collect();
                let _ = writeln!(out, "{name} = [{}]", paths.join(", "));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests;
