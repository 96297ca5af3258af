//! The project's own checks, run as `cargo xtask <check>`.
//!
//! Each check reads the tree, reports what it finds as `file:line: message` and fails if it found anything. The rules
//! themselves are data where they can be: `imports.toml` and `tidy.toml` beside this crate, `docs/rfc*-ledger.toml`.

mod deps;
mod finding;
mod ledger;
mod source;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

use finding::Finding;

/// The project's own checks.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Compare what each crate imports with xtask/imports.toml, and keep the core free of std and unsafe.
    Deps,
    /// Check docs/rfc*-ledger.toml against the markers in code and tests.
    Ledger {
        /// Print the ledgers as tables and write them to docs/rfc*-ledger.md.
        #[arg(long)]
        report: bool,
        /// Rewrite the `code` and `tests` lists from the markers found, then check.
        #[arg(long)]
        update: bool,
    },
    /// Check file and function sizes, module docs, leftovers, machine paths and whitespace.
    Tidy,
    /// Run every check.
    Check,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments.task, &workspace_root()) {
        Ok(findings) if findings.is_empty() => ExitCode::SUCCESS,
        Ok(findings) => {
            for finding in &findings {
                eprintln!("{finding}");
            }
            eprintln!("xtask: {} finding(s)", findings.len());
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: &Task, root: &Path) -> Result<Vec<Finding>> {
    match task {
        Task::Deps => deps::run(root).context("deps"),
        Task::Ledger { report, update } => {
            if *update {
                ledger::update(root).context("ledger --update")?;
            }
            if *report {
                ledger::report(root).context("ledger --report")?;
            }
            ledger::run(root).context("ledger")
        }
        Task::Tidy => tidy::run(root).context("tidy"),
        Task::Check => {
            let mut findings = deps::run(root).context("deps")?;
            findings.extend(ledger::run(root).context("ledger")?);
            findings.extend(tidy::run(root).context("tidy")?);
            Ok(findings)
        }
    }
}

/// The folder above this crate, as it was when the crate was built.
fn workspace_root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}
