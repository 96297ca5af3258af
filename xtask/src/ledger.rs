//! The ledger of RFC 9293's requirements: what is claimed, and the markers in code and tests that back it.
//!
//! RFC 9293 labels its requirements MUST-1 to MUST-69, SHLD-1 to SHLD-31, MAY-1 to MAY-18 and REC-1. Each has one entry in
//! `docs/rfc9293-ledger.toml`. A comment that holds a label in square brackets is a marker: in code it says "this does it", in
//! test code "this proves it". The check compares the two; `docs/rfc9293-ledger.md` is the same ledger as a page.

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
use markers::Marker;

const LEDGER: &str = "docs/rfc9293-ledger.toml";
const PAGE: &str = "docs/rfc9293-ledger.md";

/// How many labels of each kind RFC 9293 has, in the ledger's order.
const KINDS: [(&str, u32); 4] = [("MUST", 69), ("SHLD", 31), ("MAY", 18), ("REC", 1)];

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
    /// Section of RFC 9293.
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

/// All labels of RFC 9293, in the ledger's order.
fn labels() -> impl Iterator<Item = String> {
    KINDS
        .iter()
        .flat_map(|(kind, count)| (1..=*count).map(move |number| format!("{kind}-{number}")))
}

pub(crate) fn run(root: &Path) -> Result<Vec<Finding>> {
    let (text, ledger) = read(root)?;
    let markers = markers::find(&source::text_files(root)?)?;
    let mut findings = check(&text, &ledger, &markers);
    let page = fs::read_to_string(root.join(PAGE)).unwrap_or_default();
    if page != page::render(&ledger) {
        findings.push(Finding::new(
            PAGE,
            1,
            "out of date: run `cargo xtask ledger --report`",
        ));
    }
    Ok(findings)
}

/// Prints the ledger and writes its page.
pub(crate) fn report(root: &Path) -> Result<()> {
    let (_, ledger) = read(root)?;
    print!("{}", page::table(&ledger));
    fs::write(root.join(PAGE), page::render(&ledger)).context(PAGE)
}

/// Rewrites the `code` and `tests` lists of the ledger from the markers in the tree.
pub(crate) fn update(root: &Path) -> Result<()> {
    let (text, mut ledger) = read(root)?;
    let markers = markers::find(&source::text_files(root)?)?;
    for requirement in &mut ledger.requirements {
        requirement.code = marked(&markers, &requirement.label, false);
        requirement.tests = marked(&markers, &requirement.label, true);
    }
    let head: String = text
        .lines()
        .take_while(|line| line.starts_with('#'))
        .fold(String::new(), |head, line| head + line + "\n");
    fs::write(root.join(LEDGER), head + &write(&ledger)).context(LEDGER)
}

fn read(root: &Path) -> Result<(String, Ledger)> {
    let text = fs::read_to_string(root.join(LEDGER)).context(LEDGER)?;
    let ledger = toml::from_str(&text).context(LEDGER)?;
    Ok((text, ledger))
}

fn check(text: &str, ledger: &Ledger, markers: &[Marker]) -> Vec<Finding> {
    let mut findings = check_labels(text, ledger);
    let mut entries = BTreeMap::new();
    for requirement in &ledger.requirements {
        let line = line_of(text, &format!("label = \"{}\"", requirement.label));
        for message in check_claim(requirement, markers) {
            findings.push(Finding::new(
                LEDGER,
                line,
                format!("{}: {message}", requirement.label),
            ));
        }
        entries.insert(requirement.label.as_str(), requirement.status);
    }
    for marker in markers {
        let message = match entries.get(marker.label.as_str()) {
            Some(Status::Met | Status::MetInPart) => continue,
            Some(status) => format!(
                "[{}] is marked here, but the ledger says {}",
                marker.label,
                status.name()
            ),
            None => format!("[{}] is not a label of RFC 9293's ledger", marker.label),
        };
        findings.push(Finding::new(&marker.path, marker.line, message));
    }
    findings
}

/// Each of the 119 labels has one entry, in order, and there is no other.
fn check_labels(text: &str, ledger: &Ledger) -> Vec<Finding> {
    let mut findings = Vec::new();
    let known: Vec<String> = labels().collect();
    let mut last = None;
    for requirement in &ledger.requirements {
        let line = line_of(text, &format!("label = \"{}\"", requirement.label));
        let place = known.iter().position(|label| *label == requirement.label);
        match place {
            None => findings.push(Finding::new(
                LEDGER,
                line,
                format!("{} is not a label of RFC 9293", requirement.label),
            )),
            Some(_) if place <= last => {
                let message = format!("{} stands twice or out of order", requirement.label);
                findings.push(Finding::new(LEDGER, line, message));
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
            findings.push(Finding::new(LEDGER, 1, format!("{label} is missing")));
        }
    }
    findings
}

/// What is wrong with one entry, in the light of the markers.
fn check_claim(requirement: &Requirement, markers: &[Marker]) -> Vec<String> {
    let mut messages = Vec::new();
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
            "\n[[requirement]]\nlabel = {}\nsection = {}\ngloss = {}\nstatus = {}\n",
            text(&requirement.label),
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
