//! Runs every script under the workspace's `tests/scripts`, and looks for empty cells in the grid of `segment_arrives`.

use std::fs;
use std::path::{Path, PathBuf};

use handwave_script::runner::{Settings, Verdict, run};
use handwave_tcp::Profile;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scripts")
}

/// The scripts under `folder`, in order.
fn scripts(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            scripts(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "pkt") {
            found.push(path);
        }
    }
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
        scripts(cell, &mut found);
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
