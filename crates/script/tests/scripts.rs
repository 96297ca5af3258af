//! Runs every script under the workspace's `tests/scripts`, and looks for empty cells in the grid of `segment_arrives`.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use handwave_script::runner::{Settings, Verdict, run};
use handwave_tcp::Profile;

use common::scripts;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scripts")
}

/// Why the script in `path` does not pass.
fn complaint(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).expect("a script is text");
    let name = path.strip_prefix(root()).unwrap_or(path).display();
    match run(&text, &Settings::new(Profile::linux())) {
        Ok(outcome) if outcome.verdict == Verdict::Passed => None,
        Ok(outcome) => Some(format!("{name}: {outcome}\n{}", outcome.ladder(4))),
        Err(wrong) => Some(wrong.render(&name.to_string(), false)),
    }
}

#[test]
fn every_script_passes() {
    let mut paths = Vec::new();
    scripts(&root(), &mut paths);
    assert!(paths.len() >= 400, "only {} scripts are there", paths.len());
    let complaints: Vec<String> = paths.iter().filter_map(|path| complaint(path)).collect();
    assert!(
        complaints.is_empty(),
        "{} of {} scripts fail:\n{}",
        complaints.len(),
        paths.len(),
        complaints.join("\n")
    );
}

/// What arrives, and where: RFC 9293 3.10.7's grid.
const EVENTS: [&str; 12] = [
    "syn",
    "syn_ack",
    "ack",
    "data",
    "fin",
    "rst",
    "illegal_flags",
    "out_of_window",
    "old_duplicate",
    "bad_ack",
    "urgent",
    "malformed_options",
];
const STATES: [&str; 11] = [
    "closed",
    "listen",
    "syn_sent",
    "syn_received",
    "established",
    "fin_wait_1",
    "fin_wait_2",
    "close_wait",
    "closing",
    "last_ack",
    "time_wait",
];

#[test]
fn every_cell_of_the_grid_holds_a_script_or_a_reason() {
    let grid = root().join("segment_arrives");
    let has_reason = |cell: &Path| {
        let reason = fs::read_to_string(cell.join("NOT-APPLICABLE"));
        reason.is_ok_and(|reason| !reason.trim().is_empty())
    };
    let is_empty = |cell: &PathBuf| {
        let mut found = Vec::new();
        if cell.is_dir() {
            scripts(cell, &mut found);
        }
        found.is_empty() && !has_reason(cell)
    };
    let cells = EVENTS
        .iter()
        .flat_map(|event| STATES.iter().map(move |state| format!("{event}-{state}")));
    let empty: Vec<PathBuf> = cells.map(|cell| grid.join(cell)).filter(is_empty).collect();
    assert!(
        empty.is_empty(),
        "cells without a script and without a reason in NOT-APPLICABLE: {empty:?}"
    );
}
