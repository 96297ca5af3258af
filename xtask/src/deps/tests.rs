//! Each rule fails when it must, and passes when it may.

use super::*;

fn table() -> Table {
    toml::from_str(
        r#"
        [crates.low]
        [crates.high]
        imports = ["low"]
        [crates.tool]
        leaf = true
        "#,
    )
    .unwrap()
}

fn member(name: &str, imports: &[&str]) -> Member {
    Member {
        name: name.into(),
        manifest: format!("crates/{name}/Cargo.toml").into(),
        imports: imports.iter().map(|name| (*name).to_owned()).collect(),
    }
}

fn messages(members: &[Member]) -> Vec<String> {
    let manifest = |_: &Path| {
        "[package]\nname = \"x\"\n\n[dependencies]\nhigh = 1\nlow = 1\ntool = 1\n".to_owned()
    };
    check_imports(&table(), members, &manifest)
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn imports_in_the_table_pass() {
    let members = [
        member("low", &[]),
        member("high", &["low"]),
        member("tool", &["low", "high"]),
    ];
    assert_eq!(messages(&members), [""; 0]);
}

#[test]
fn an_import_against_the_grain_fails_at_its_line() {
    let members = [
        member("low", &["high"]),
        member("high", &[]),
        member("tool", &[]),
    ];
    assert_eq!(
        messages(&members),
        ["crates/low/Cargo.toml:5: low may not import high (see xtask/imports.toml)"]
    );
}

#[test]
fn nobody_imports_a_leaf() {
    let members = [
        member("low", &[]),
        member("high", &["tool"]),
        member("tool", &[]),
    ];
    assert_eq!(
        messages(&members),
        ["crates/high/Cargo.toml:7: high imports tool, which is a leaf"]
    );
}

#[test]
fn a_crate_without_an_entry_and_an_entry_without_a_crate_fail() {
    let members = [
        member("low", &[]),
        member("high", &[]),
        member("other", &[]),
    ];
    assert_eq!(
        messages(&members),
        [
            "crates/other/Cargo.toml:2: other has no entry in xtask/imports.toml",
            "xtask/imports.toml:1: tool is not a crate of this workspace",
        ]
    );
}

#[test]
fn a_core_crate_says_no_std_and_forbids_unsafe() {
    let check = |text: &str| {
        check_core_attributes(Path::new("lib.rs"), text)
            .unwrap()
            .len()
    };
    assert_eq!(check("//! Doc.\n#![no_std]\n#![forbid(unsafe_code)]\n"), 0);
    assert_eq!(check("#![no_std]\n#![deny(unsafe_code)]\n"), 1);
    assert_eq!(check("// #![no_std]\n#![forbid(unsafe_code)]\n"), 1);
    assert_eq!(check(""), 2);
}

#[test]
fn a_core_crate_stands_on_no_std_crates_only() {
    let used = |features: &[&str], root: &str| {
        let features = features.iter().map(|name| (*name).to_owned()).collect();
        [Used {
            name: "dep".into(),
            features,
            root: root.into(),
        }]
    };
    let core = member("low", &[]);
    assert_eq!(check_core_tree(&core, &used(&["alloc"], "#![no_std]")), []);
    assert_eq!(
        check_core_tree(
            &core,
            &used(&["std"], "#![cfg_attr(not(feature = \"std\"), no_std)]")
        )
        .len(),
        1
    );
    assert_eq!(check_core_tree(&core, &used(&[], "use std::fs;")).len(), 1);
}

#[test]
fn the_tree_is_read_without_repetition() {
    let text = "low v0.1.0 (path)|\nbytes v1.2.3|default,std\nbytes v1.2.3|default,std (*)\n";
    let names: Vec<(String, usize)> = parse_tree(text)
        .into_iter()
        .map(|(name, version, features)| (name + "@" + &version, features.len()))
        .collect();
    assert_eq!(
        names,
        [("bytes@1.2.3".to_owned(), 2), ("low@0.1.0".to_owned(), 0)]
    );
}

/// The workspace this test was built from keeps its own rules.
#[test]
fn this_workspace_passes() {
    assert_eq!(run(&crate::workspace_root()).unwrap(), []);
}
