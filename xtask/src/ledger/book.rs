//! Which ledgers there are: one for each RFC that has a file `docs/rfcN-ledger.toml`.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// The folder of the ledgers.
const FOLDER: &str = "docs";
/// The RFC that labels its requirements itself.
const LABELLED: u32 = 9293;
/// How many labels of each kind that RFC has, in the ledger's order.
pub(super) const KINDS: [(&str, u32); 4] = [("MUST", 69), ("SHLD", 31), ("MAY", 18), ("REC", 1)];

/// The ledger of one RFC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Book {
    rfc: u32,
}

/// The ledgers in the tree, RFC 9293's first.
pub(super) fn find(root: &Path) -> Result<Vec<Book>> {
    let mut books = Vec::new();
    for entry in fs::read_dir(root.join(FOLDER)).context(FOLDER)? {
        let name = entry?.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_prefix("rfc")?.strip_suffix("-ledger.toml"));
        if let Some(rfc) = number.and_then(|number| number.parse().ok()) {
            books.push(Book { rfc });
        }
    }
    books.sort_by_key(|book| (book.rfc != LABELLED, book.rfc));
    Ok(books)
}

impl Book {
    #[cfg(test)]
    pub(super) const fn of(rfc: u32) -> Self {
        Self { rfc }
    }

    pub(super) fn title(self) -> String {
        format!("RFC {}", self.rfc)
    }

    /// Where the ledger is, from the root.
    pub(super) fn ledger(self) -> String {
        format!("{FOLDER}/{}", self.ledger_name())
    }

    pub(super) fn ledger_name(self) -> String {
        format!("rfc{}-ledger.toml", self.rfc)
    }

    /// Where its page is, from the root.
    pub(super) fn page(self) -> String {
        format!("{FOLDER}/rfc{}-ledger.md", self.rfc)
    }

    /// Whether a label tells a MUST from a SHOULD.
    pub(super) const fn labels_say_how_strongly(self) -> bool {
        self.rfc == LABELLED
    }

    /// The labels that the ledger has to have, in order, if it has `entries` entries.
    pub(super) fn labels(self, entries: usize) -> Vec<String> {
        if self.rfc != LABELLED {
            return (1..=entries)
                .map(|number| format!("RFC{}-{number}", self.rfc))
                .collect();
        }
        KINDS
            .iter()
            .flat_map(|(kind, count)| (1..=*count).map(move |number| format!("{kind}-{number}")))
            .collect()
    }
}

/// Whether `kind` in `[kind-n]` is one that some ledger could have.
pub(super) fn is_kind(kind: &str) -> bool {
    let of_an_rfc = |kind: &str| {
        kind.strip_prefix("RFC").is_some_and(|number| {
            !number.is_empty() && number.bytes().all(|octet| octet.is_ascii_digit())
        })
    };
    KINDS.iter().any(|(name, _)| *name == kind) || of_an_rfc(kind)
}
