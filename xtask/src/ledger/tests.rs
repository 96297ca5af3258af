//! The ledger check fails when it must.

use super::*;

const BOOK: Book = Book::of(9293);

/// A complete ledger in which every label has `status`.
fn full(status: Status) -> Ledger {
    let requirements = BOOK
        .labels(0)
        .into_iter()
        .map(|label| Requirement {
            label,
            level: None,
            section: "3.1".into(),
            gloss: "Says something".into(),
            status,
            notes: if status == Status::Met {
                String::new()
            } else {
                "A reason".into()
            },
            code: BTreeSet::new(),
            tests: BTreeSet::new(),
        })
        .collect();
    Ledger { requirements }
}

fn marker(label: &str, path: &str, in_test: bool) -> Marker {
    Marker {
        label: label.into(),
        path: path.into(),
        line: 7,
        in_test,
    }
}

fn messages(ledger: &Ledger, markers: &[Marker]) -> Vec<String> {
    let entries = ledger
        .requirements
        .iter()
        .map(|requirement| (requirement.label.as_str(), requirement.status));
    check(&BOOK, &write(ledger), ledger, markers)
        .iter()
        .chain(&check_markers(&entries.collect(), markers))
        .map(ToString::to_string)
        .collect()
}

/// A ledger in which MUST-2 has `status` and the lists that go with `markers`.
fn with_must_2(status: Status, markers: &[Marker]) -> Ledger {
    let mut ledger = full(Status::NotMet);
    ledger.requirements[1].status = status;
    ledger.requirements[1].code = marked(markers, "MUST-2", false);
    ledger.requirements[1].tests = marked(markers, "MUST-2", true);
    ledger
}

#[test]
fn there_are_119_labels() {
    let labels = BOOK.labels(0);
    assert_eq!(labels.len(), 119);
    assert_eq!(
        (labels[0].as_str(), labels[118].as_str()),
        ("MUST-1", "REC-1")
    );
}

#[test]
fn a_backed_claim_passes() {
    let markers = [
        marker("MUST-2", "crates/a/src/lib.rs", false),
        marker("MUST-2", "crates/a/tests/b.rs", true),
    ];
    assert_eq!(
        messages(&with_must_2(Status::Met, &markers), &markers),
        [""; 0]
    );
}

#[test]
fn a_claim_without_code_or_without_test_fails() {
    let code = [marker("MUST-2", "crates/a/src/lib.rs", false)];
    let found = messages(&with_must_2(Status::Met, &code), &code);
    assert_eq!(
        found,
        ["docs/rfc9293-ledger.toml:10: MUST-2: claimed met, but no test carries its marker"]
    );

    let test = [marker("MUST-2", "crates/a/tests/b.rs", true)];
    let found = messages(&with_must_2(Status::Met, &test), &test);
    assert_eq!(
        found,
        ["docs/rfc9293-ledger.toml:10: MUST-2: claimed met, but no code carries its marker"]
    );
    let found = messages(&with_must_2(Status::MetInPart, &test), &test);
    assert_eq!(
        found,
        [
            "docs/rfc9293-ledger.toml:10: MUST-2: claimed met in part, but no code carries its marker"
        ]
    );
}

#[test]
fn a_marker_whose_label_is_not_met_or_not_known_fails() {
    let markers = [
        marker("MUST-2", "crates/a/src/lib.rs", false),
        marker("MUST-70", "crates/a/src/lib.rs", false),
    ];
    let ledger = with_must_2(Status::NotMet, &markers);
    assert_eq!(
        messages(&ledger, &markers),
        [
            "crates/a/src/lib.rs:7: [MUST-2] is marked here, but the ledger says not-met",
            "crates/a/src/lib.rs:7: [MUST-70] is not a label of any ledger",
        ]
    );
}

#[test]
fn lists_and_markers_agree_both_ways() {
    let markers = [
        marker("MUST-2", "crates/a/src/lib.rs", false),
        marker("MUST-2", "crates/a/tests/b.rs", true),
    ];
    let mut ledger = with_must_2(Status::Met, &markers);
    ledger.requirements[1].code = ["crates/a/src/gone.rs".to_owned()].into();
    let found = messages(&ledger, &markers);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].ends_with("code names crates/a/src/gone.rs, which carries no such marker"),
        "{found:?}"
    );
    assert!(
        found[1].contains("code does not name crates/a/src/lib.rs"),
        "{found:?}"
    );
}

#[test]
fn a_label_that_is_missing_twice_or_unknown_fails() {
    let mut ledger = full(Status::NotMet);
    ledger.requirements.remove(4);
    let again = ledger.requirements[0].clone();
    ledger.requirements.insert(1, again);
    ledger.requirements[117].label = "MAY-19".into();
    let found = messages(&ledger, &[]);
    let says = |text: &str| found.iter().any(|message| message.ends_with(text));
    assert!(says("MUST-5 is missing"), "{found:?}");
    assert!(says("MUST-1 stands twice or out of order"), "{found:?}");
    assert!(says("MAY-19 is not a label of RFC 9293"), "{found:?}");
}

#[test]
fn what_is_not_met_needs_a_reason() {
    let mut ledger = full(Status::NotMet);
    ledger.requirements[0].notes.clear();
    assert_eq!(
        messages(&ledger, &[]),
        ["docs/rfc9293-ledger.toml:3: MUST-1: not-met, but the notes do not say why"]
    );
}

#[test]
fn the_ledger_survives_being_written() {
    let mut ledger = full(Status::MetInPart);
    ledger.requirements[3].gloss = "With \"quotes\" | and a bar".into();
    ledger.requirements[3].code = ["crates/a/src/lib.rs".to_owned()].into();
    let again: Ledger = toml::from_str(&write(&ledger)).unwrap();
    assert_eq!(write(&again), write(&ledger));
    assert_eq!(again.requirements[3].gloss, ledger.requirements[3].gloss);
    assert!(page::render(&BOOK, &ledger).contains("With \"quotes\" \\| and a bar"));
}

#[test]
fn update_report_and_check_agree_on_a_tree() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir_all(root.join("docs")).unwrap();
    fs::create_dir_all(root.join("crates/a/src")).unwrap();
    fs::create_dir_all(root.join("crates/a/tests")).unwrap();
    fs::write(
        root.join("crates/a/src/lib.rs"),
        "/// Does it [MUST-2].\npub fn f() {}\n",
    )
    .unwrap();
    fs::write(root.join("crates/a/tests/b.rs"), "// [MUST-2]\n").unwrap();
    let ledger = with_must_2(Status::Met, &[]);
    fs::write(
        root.join(BOOK.ledger()),
        "# A head.\n".to_owned() + &write(&ledger),
    )
    .unwrap();

    let before = run(root).unwrap();
    assert_eq!(
        before.len(),
        3,
        "two unnamed files and a page that is not there: {before:?}"
    );
    update(root).unwrap();
    report(root).unwrap();
    assert_eq!(run(root).unwrap(), []);
    assert!(
        fs::read_to_string(root.join(BOOK.ledger()))
            .unwrap()
            .starts_with("# A head.\n\n[[requirement]]\n")
    );

    fs::write(root.join(BOOK.page()), "stale").unwrap();
    assert_eq!(run(root).unwrap().len(), 1);
}

#[test]
fn other_ledgers_number_their_requirements_and_say_how_strongly() {
    let book = Book::of(7323);
    let mut requirement = full(Status::NotMet).requirements[0].clone();
    requirement.label = "RFC7323-1".into();
    requirement.level = Some(Level::Should);
    let mut ledger = Ledger {
        requirements: vec![requirement.clone(), requirement],
    };
    ledger.requirements[1].label = "RFC7323-3".into();
    ledger.requirements[1].level = None;
    let found: Vec<String> = check(&book, &write(&ledger), &ledger, &[])
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        found,
        [
            "docs/rfc7323-ledger.toml:11: RFC7323-3 is not a label of RFC 7323",
            "docs/rfc7323-ledger.toml:1: RFC7323-2 is missing",
            "docs/rfc7323-ledger.toml:11: RFC7323-3: has no level",
        ]
    );
    let again: Ledger = toml::from_str(&write(&ledger)).unwrap();
    assert_eq!(again.requirements[0].level, Some(Level::Should));
    assert!(page::render(&book, &ledger).contains("| SHOULD: Says something |"));
}

/// The ledgers this test was built with are true.
#[test]
fn this_workspace_passes() {
    assert_eq!(run(&crate::workspace_root()).unwrap(), []);
}
