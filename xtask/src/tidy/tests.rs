//! Each rule fails when it must.

use super::*;

fn rules() -> Rules {
    toml::from_str(
        r#"
        source_lines = 8
        test_lines = 12
        function_lines = 2
        prose_columns = 20
        [[forbidden]]
        texts = ["LATER", "/box/"]
        reason = "not here"
        "#,
    )
    .unwrap()
}

fn messages(path: &str, text: &str) -> Vec<String> {
    let files = [TextFile {
        path: path.into(),
        text: text.into(),
    }];
    check(&rules(), &files)
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn a_tidy_file_passes() {
    assert_eq!(
        messages(
            "src/a.rs",
            "//! Doc.\n\nfn f() {\n    // why\n\n    g();\n    h();\n}\n"
        ),
        [""; 0]
    );
}

#[test]
fn files_have_a_limit_and_tests_a_wider_one() {
    let text = "//! Doc.\n".to_owned() + &"\n".repeat(8);
    assert_eq!(
        messages("src/a.rs", &text),
        ["src/a.rs:9: a source file of 9 lines; at most 8"]
    );
    assert_eq!(messages("tests/a.rs", &text), [""; 0]);
    let text = "\n".repeat(13);
    assert_eq!(
        messages("src/tests.rs", &text),
        ["src/tests.rs:13: a file of tests of 13 lines; at most 12"]
    );
}

#[test]
fn long_functions_fail_wherever_they_stand() {
    let body = "{\n    a();\n    b();\n    c();\n}\n";
    for (head, tail) in [
        ("", ""),
        ("impl X {\n", "}\n"),
        ("trait X {\n", "}\n"),
        ("fn g() {\n", "}\n"),
    ] {
        let text = format!("//! Doc.\n{head}fn f() {body}{tail}");
        let found = messages("src/a.rs", &text);
        assert!(
            found
                .iter()
                .any(|message| message.ends_with("fn f has 3 lines of code; at most 2")),
            "{found:?}"
        );
    }
}

#[test]
fn an_expected_lint_excuses_a_long_function() {
    let text = "//! D.\n#[expect(clippy::too_many_lines, reason = \"a table\")]\nfn f() {\n    a();\n    b();\n    c();\n}\n";
    assert_eq!(messages("src/a.rs", text), [""; 0]);
}

#[test]
fn a_source_file_says_what_it_is_for() {
    assert_eq!(
        messages("src/a.rs", "fn f() {}\n"),
        ["src/a.rs:1: no module doc: say what lives here"]
    );
}

#[test]
fn forbidden_words_fail_where_they_stand_alone() {
    assert_eq!(
        messages("a.toml", "# LATER: more\n"),
        ["a.toml:1: `LATER`: not here"]
    );
    assert_eq!(
        messages("a.sh", "cd /box/x\n"),
        ["a.sh:1: `/box/`: not here"]
    );
    assert_eq!(
        messages("a.sh", "cd crates/box/x; echo TRANSLATER\n"),
        [""; 0]
    );
}

#[test]
fn whitespace_wide_prose_and_a_missing_newline_fail() {
    assert_eq!(
        messages("a.sh", "a \n"),
        ["a.sh:1: whitespace at the end of the line"]
    );
    assert_eq!(
        messages("a.md", "twenty columns and more\n"),
        ["a.md:1: a line of prose wider than 20 columns"]
    );
    assert_eq!(messages("a.md", "| twenty columns and more |\n"), [""; 0]);
    assert_eq!(
        messages("a.sh", "a\nb"),
        ["a.sh:2: no newline at the end of the file"]
    );
}

/// The tree this test was built from is tidy.
#[test]
fn this_workspace_passes() {
    assert_eq!(run(&crate::workspace_root()).unwrap(), []);
}
