//! `-D NAME=VALUE`: words of a script that stand for something else.

/// A word and what to read in its place.
pub(super) type Define = (String, String);

/// `text` with every word of `defines` replaced, outside of comments, strings, shell commands and Python.
pub(super) fn expand(text: &str, defines: &[Define]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let len = opaque_len(rest).unwrap_or_else(|| {
            if is_word(first) {
                rest.find(|c| !is_word(c)).unwrap_or(rest.len())
            } else {
                first.len_utf8()
            }
        });
        let (piece, after) = rest.split_at(len);
        let meaning = defines.iter().rev().find(|(name, _)| name == piece);
        out.push_str(meaning.map_or(piece, |(_, value)| value));
        rest = after;
    }
    out
}

const fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// How long the piece at the front of `text` is in which no word means anything.
fn opaque_len(text: &str) -> Option<usize> {
    const KINDS: [(&str, &str); 7] = [
        ("/*", "*/"),
        ("//", "\n"),
        ("#", "\n"),
        ("\"", "\""),
        ("`", "`"),
        ("%{", "}%"),
        ("--", "\n"),
    ];
    let (open, close) = KINDS.iter().find(|(open, _)| text.starts_with(open))?;
    let inside = text.get(open.len()..)?;
    Some(match inside.find(close) {
        // The line's end belongs to what follows.
        Some(at) if *close == "\n" => open.len() + at,
        Some(at) => open.len() + at + close.len(),
        None => text.len(),
    })
}
