//! Who imports whom, and what the core crates may stand on.
//!
//! The table in `imports.toml` is compared with `cargo metadata`. The crates marked `core` must say `#![no_std]` and
//! `#![forbid(unsafe_code)]`, and nothing in their dependency tree may enable a feature `std` or be a crate without `no_std`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};
use serde::Deserialize;

use crate::finding::{Finding, line_of};

/// Where the table lives.
const TABLE: &str = "xtask/imports.toml";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    crates: BTreeMap<String, Entry>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// Crates of this workspace it may import.
    #[serde(default)]
    imports: BTreeSet<String>,
    /// Sans-IO: no std, no unsafe.
    #[serde(default)]
    core: bool,
    /// May import anything; may not be imported.
    #[serde(default)]
    leaf: bool,
}

/// A crate of the workspace, with what it imports from the workspace outside its tests.
#[derive(Debug)]
struct Member {
    name: String,
    /// Relative to the root.
    manifest: PathBuf,
    imports: BTreeSet<String>,
}

/// A package in the dependency tree of a core crate.
#[derive(Debug)]
struct Used {
    name: String,
    features: BTreeSet<String>,
    /// The text of its crate root.
    root: String,
}

pub(crate) fn run(root: &Path) -> Result<Vec<Finding>> {
    let text = fs::read_to_string(root.join(TABLE)).context(TABLE)?;
    let table: Table = toml::from_str(&text).context(TABLE)?;
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .other_options(vec!["--locked".into(), "--filter-platform".into(), host()?])
        .exec()
        .context("cargo metadata")?;
    let members = members(root, &metadata)?;
    let mut findings = check_imports(&table, &members, &|path| {
        fs::read_to_string(root.join(path)).unwrap_or_default()
    });
    for member in &members {
        if !table
            .crates
            .get(&member.name)
            .is_some_and(|entry| entry.core)
        {
            continue;
        }
        let crate_root = member.manifest.with_file_name("src/lib.rs");
        let text = fs::read_to_string(root.join(&crate_root))
            .with_context(|| crate_root.display().to_string())?;
        findings.extend(check_core_attributes(&crate_root, &text)?);
        findings.extend(check_core_tree(
            member,
            &tree(root, &member.name, &metadata)?,
        ));
    }
    Ok(findings)
}

fn members(root: &Path, metadata: &Metadata) -> Result<Vec<Member>> {
    let packages = metadata.workspace_packages();
    let names: BTreeSet<&str> = packages
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    let mut members = Vec::new();
    for package in &packages {
        let imports = package
            .dependencies
            .iter()
            .filter(|dependency| dependency.kind != DependencyKind::Development)
            .filter(|dependency| names.contains(dependency.name.as_str()))
            .map(|dependency| dependency.name.clone())
            .collect();
        let manifest = package
            .manifest_path
            .as_std_path()
            .strip_prefix(root)?
            .to_path_buf();
        members.push(Member {
            name: package.name.to_string(),
            manifest,
            imports,
        });
    }
    Ok(members)
}

/// The platform this runs on: what other platforms would need is not asked for.
fn host() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args(["--print", "host-tuple"])
        .output()
        .context("rustc")?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Compares each member's imports with the table. `read` gives the text of a manifest, to name the line.
fn check_imports(
    table: &Table,
    members: &[Member],
    read: &dyn Fn(&Path) -> String,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for member in members {
        let manifest = read(&member.manifest);
        let mut report = |needle: &str, message: String| {
            findings.push(Finding::new(
                &member.manifest,
                line_of(&manifest, needle),
                message,
            ));
        };
        let Some(entry) = table.crates.get(&member.name) else {
            report("name =", format!("{} has no entry in {TABLE}", member.name));
            continue;
        };
        for import in &member.imports {
            let imports_a_leaf = table
                .crates
                .get(import)
                .is_some_and(|imported| imported.leaf);
            if imports_a_leaf {
                report(
                    import,
                    format!("{} imports {import}, which is a leaf", member.name),
                );
            } else if !entry.leaf && !entry.imports.contains(import) {
                report(
                    import,
                    format!("{} may not import {import} (see {TABLE})", member.name),
                );
            }
        }
    }
    let known: BTreeSet<&str> = members.iter().map(|member| member.name.as_str()).collect();
    for (name, entry) in &table.crates {
        for stale in entry
            .imports
            .iter()
            .chain([name])
            .filter(|name| !known.contains(name.as_str()))
        {
            findings.push(Finding::new(
                TABLE,
                1,
                format!("{stale} is not a crate of this workspace"),
            ));
        }
    }
    findings
}

/// The crate root of a core crate says `#![no_std]` and `#![forbid(unsafe_code)]`.
fn check_core_attributes(path: &Path, text: &str) -> Result<Vec<Finding>> {
    let syntax = syn::parse_file(text).with_context(|| path.display().to_string())?;
    let mut findings = Vec::new();
    if !syntax
        .attrs
        .iter()
        .any(|attribute| attribute.path().is_ident("no_std"))
    {
        findings.push(Finding::new(path, 1, "a core crate must say #![no_std]"));
    }
    let forbids_unsafe = syntax.attrs.iter().any(|attribute| {
        attribute.path().is_ident("forbid")
            && attribute
                .parse_args::<syn::Path>()
                .is_ok_and(|lint| lint.is_ident("unsafe_code"))
    });
    if !forbids_unsafe {
        findings.push(Finding::new(
            path,
            1,
            "a core crate must say #![forbid(unsafe_code)]",
        ));
    }
    Ok(findings)
}

/// Nothing a core crate stands on enables `std` or does without `no_std`.
fn check_core_tree(member: &Member, tree: &[Used]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for used in tree {
        if used.features.contains("std") {
            let message = format!(
                "{} brings in {} with its feature std",
                member.name, used.name
            );
            findings.push(Finding::new(&member.manifest, 1, message));
        }
        if !used.root.contains("no_std") {
            let message = format!(
                "{} brings in {}, which is not a no_std crate",
                member.name, used.name
            );
            findings.push(Finding::new(&member.manifest, 1, message));
        }
    }
    findings
}

/// The dependency tree of one crate alone, so that what other crates switch on does not show.
fn tree(root: &Path, name: &str, metadata: &Metadata) -> Result<Vec<Used>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(root)
        .args([
            "tree",
            "--locked",
            "--edges",
            "normal,no-proc-macro",
            "--prefix",
            "none",
            "--no-dedupe",
        ])
        .args(["--package", name, "--format", "{p}|{f}"])
        .output()
        .context("cargo tree")?;
    ensure!(
        output.status.success(),
        "cargo tree: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut tree = Vec::new();
    for (name, version, features) in parse_tree(&String::from_utf8(output.stdout)?) {
        let root = metadata
            .packages
            .iter()
            .find(|package| package.name == name && package.version.to_string() == version)
            .and_then(|package| package.targets.iter().find(|target| target.is_lib()))
            .with_context(|| format!("no library in {name} {version}"))?;
        let root = fs::read_to_string(&root.src_path)?;
        tree.push(Used {
            name,
            features,
            root,
        });
    }
    Ok(tree)
}

/// Reads lines such as `bytes v1.12.2|default,std` into name, version and features, each once.
fn parse_tree(text: &str) -> BTreeSet<(String, String, BTreeSet<String>)> {
    text.lines()
        .filter_map(|line| {
            let (package, features) = line.split_once('|')?;
            let mut words = package.split(' ');
            let name = words.next()?.to_owned();
            let version = words.next()?.trim_start_matches('v').to_owned();
            let features = features
                .trim_end_matches(" (*)")
                .split(',')
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect();
            Some((name, version, features))
        })
        .collect()
}

#[cfg(test)]
mod tests;
