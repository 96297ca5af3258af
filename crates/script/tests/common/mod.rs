//! What more than one test of this crate needs.

use std::fs;
use std::path::{Path, PathBuf};

/// Adds the scripts under `folder`, in order.
pub(crate) fn scripts(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).expect("a folder of scripts can be read");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a folder of scripts can be read").path())
        .collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            scripts(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "pkt") {
            found.push(path);
        }
    }
}
