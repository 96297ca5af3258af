//! Tidiness that neither rustfmt nor clippy sees: sizes, module docs, leftovers, paths of one machine, whitespace.
//!
//! The limits and the forbidden words are data, in `tidy.toml`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens as _;
use serde::Deserialize;
use syn::visit::{self, Visit};

use crate::finding::Finding;
use crate::source::{self, RustFile, TextFile};

/// Where the limits live. The file names the forbidden words, so it is the one file they are not looked for in.
const RULES: &str = "xtask/tidy.toml";

/// Files others wrote, word for word or by machine.
const NOT_OURS: [&str; 3] = ["Cargo.lock", "LICENSE-APACHE", "LICENSE-MIT"];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    /// The most lines a source file may have.
    source_lines: usize,
    /// The most lines a file of tests may have.
    test_lines: usize,
    /// The most lines of code a function may have; blank lines and comments are free.
    function_lines: usize,
    /// The widest line of prose. Tables are free.
    prose_columns: usize,
    forbidden: Vec<Forbidden>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Forbidden {
    texts: Vec<String>,
    reason: String,
}

pub(crate) fn run(root: &Path) -> Result<Vec<Finding>> {
    let rules: Rules =
        toml::from_str(&fs::read_to_string(root.join(RULES)).context(RULES)?).context(RULES)?;
    check(&rules, &source::text_files(root)?)
}

fn check(rules: &Rules, files: &[TextFile]) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for file in files {
        check_text(rules, file, &mut findings);
    }
    for rust in source::rust_files(files)? {
        check_rust(rules, &rust, &mut findings);
    }
    findings.sort();
    Ok(findings)
}

/// What holds for any text file.
fn check_text(rules: &Rules, file: &TextFile, findings: &mut Vec<Finding>) {
    let name = file.path.to_string_lossy();
    if NOT_OURS.contains(&name.as_ref()) || name == RULES || file.extension() == "snap" {
        return;
    }
    for (index, line) in file.text.lines().enumerate() {
        let mut report =
            |message: String| findings.push(Finding::new(&file.path, index + 1, message));
        if line.ends_with([' ', '\t']) {
            report("whitespace at the end of the line".to_owned());
        }
        if file.extension() == "md"
            && !line.starts_with('|')
            && line.chars().count() > rules.prose_columns
        {
            report(format!(
                "a line of prose wider than {} columns",
                rules.prose_columns
            ));
        }
        for Forbidden { texts, reason } in &rules.forbidden {
            for text in texts.iter().filter(|text| stands_alone(line, text)) {
                report(format!("`{text}`: {reason}"));
            }
        }
    }
    if !file.text.is_empty() && !file.text.ends_with('\n') {
        findings.push(Finding::new(
            &file.path,
            file.text.lines().count(),
            "no newline at the end of the file",
        ));
    }
}

/// Whether `text` occurs in `line` other than as the tail of a longer word or path.
fn stands_alone(line: &str, text: &str) -> bool {
    line.match_indices(text).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        before.is_none_or(|before| !before.is_alphanumeric() && !"._-/".contains(before))
    })
}

/// What holds for a Rust file.
fn check_rust(rules: &Rules, rust: &RustFile<'_>, findings: &mut Vec<Finding>) {
    let path = &rust.file.path;
    let lines = rust.file.text.lines().count();
    let (limit, what) = if rust.is_test {
        (rules.test_lines, "a file of tests")
    } else {
        (rules.source_lines, "a source file")
    };
    if lines > limit {
        findings.push(Finding::new(
            path,
            limit + 1,
            format!("{what} of {lines} lines; at most {limit}"),
        ));
    }
    let documented = rust
        .syntax
        .attrs
        .iter()
        .any(|attribute| attribute.path().is_ident("doc"));
    if !documented && !rust.is_test {
        findings.push(Finding::new(path, 1, "no module doc: say what lives here"));
    }
    let mut functions = Functions {
        limit: rules.function_lines,
        path,
        findings,
    };
    functions.visit_file(&rust.syntax);
}

/// Measures each function with a body.
struct Functions<'a> {
    limit: usize,
    path: &'a Path,
    findings: &'a mut Vec<Finding>,
}

impl Functions<'_> {
    fn measure(&mut self, name: &syn::Ident, block: &syn::Block, attributes: &[syn::Attribute]) {
        let excused = attributes.iter().any(|attribute| {
            attribute.path().is_ident("expect")
                && matches!(&attribute.meta, syn::Meta::List(list) if list.tokens.to_string().contains("too_many_lines"))
        });
        let lines = code_lines(block);
        if lines > self.limit && !excused {
            let message = format!(
                "fn {name} has {lines} lines of code; at most {}",
                self.limit
            );
            self.findings
                .push(Finding::new(self.path, name.span().start().line, message));
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.measure(&function.sig.ident, &function.block, &function.attrs);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.measure(&function.sig.ident, &function.block, &function.attrs);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.measure(&function.sig.ident, block, &function.attrs);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

/// The lines between the braces of `block` that hold a token. Comments are no tokens.
fn code_lines(block: &syn::Block) -> usize {
    let mut lines = BTreeSet::new();
    for statement in &block.stmts {
        collect_lines(statement.to_token_stream(), &mut lines);
    }
    lines.len()
}

fn collect_lines(tokens: TokenStream, lines: &mut BTreeSet<usize>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                lines.insert(group.span_open().start().line);
                lines.insert(group.span_close().end().line);
                collect_lines(group.stream(), lines);
            }
            TokenTree::Literal(literal) => {
                lines.extend(literal.span().start().line..=literal.span().end().line)
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) => {
                lines.insert(token.span().start().line);
            }
        }
    }
}

#[cfg(test)]
mod tests;
