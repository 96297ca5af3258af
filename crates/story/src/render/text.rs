//! Lines of styled text, measured by what a terminal shows: a Chinese character takes two columns.

use std::fmt;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What a piece of text is, for the caller to give it a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Style {
    /// Nothing special.
    Plain,
    /// The lifelines and other lines that only guide the eye.
    Line,
    /// The name of an end.
    Name,
    /// An address, or an initial sequence number.
    Detail,
    /// A moment.
    Time,
    /// A state that stays.
    State,
    /// A state that was just entered.
    StateEntered,
    /// The arrow of a segment that arrives.
    Arrow,
    /// The control bits of a segment.
    Flags,
    /// The numbers of a segment.
    Numbers,
    /// Something that went wrong on the way.
    Trouble,
    /// Something that went as it should.
    Good,
    /// A segment that is sent again.
    Again,
    /// The sum behind an ACK.
    Arithmetic,
    /// A sentence.
    Says,
    /// What is left out.
    Omitted,
    /// Something inside one end: a call, a timer.
    Local,
}

/// Text of one style.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The text, without line breaks.
    pub text: String,
    /// What it is.
    pub style: Style,
}

/// One line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// Its pieces from left to right.
    pub spans: Vec<Span>,
}

impl Line {
    /// Appends text.
    pub fn push(&mut self, text: impl Into<String>, style: Style) -> &mut Self {
        let text = text.into();
        if !text.is_empty() {
            self.spans.push(Span { text, style });
        }
        self
    }

    /// Appends blanks up to a column.
    pub fn pad_to(&mut self, column: usize) -> &mut Self {
        let gap = column.saturating_sub(self.width());
        self.push(" ".repeat(gap), Style::Plain)
    }

    /// The columns it takes.
    pub fn width(&self) -> usize {
        self.spans.iter().map(|span| span.text.width()).sum()
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = self.spans.iter().map(|span| span.text.as_str()).collect();
        f.write_str(text.trim_end())
    }
}

/// The columns a text takes.
///
/// # Examples
///
/// ```
/// assert_eq!(handwave_story::width("握手 ACK"), 8);
/// ```
pub fn width(text: &str) -> usize {
    text.width()
}

/// Breaks a text into lines of at most `columns`, at blanks and between wide characters.
///
/// No line begins with a closing punctuation mark. A word longer than a line is cut.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in words(text) {
        let trimmed = word.trim_end_matches(' ');
        if used > 0 && used + trimmed.width() > columns {
            lines.push(std::mem::take(&mut line).trim_end().to_owned());
            used = 0;
        }
        for c in word.chars() {
            let wide = c.width().unwrap_or(0);
            if used + wide > columns.max(2) && c != ' ' {
                lines.push(std::mem::take(&mut line).trim_end().to_owned());
                used = 0;
            }
            line.push(c);
            used += wide;
        }
    }
    if !line.trim_end().is_empty() {
        lines.push(line.trim_end().to_owned());
    }
    lines
}

/// The pieces between which a line may break: words with the blanks after them, and single wide characters.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut previous: Option<char> = None;
    for c in text.chars() {
        let breaks = match previous {
            None => true,
            Some(before) => {
                !opens(before)
                    && !closes(c)
                    && c != ' '
                    && (before == ' ' || is_wide(before) || is_wide(c))
            }
        };
        match words.last_mut() {
            Some(word) if !breaks => word.push(c),
            _ => words.push(c.to_string()),
        }
        previous = Some(c);
    }
    words
}

fn is_wide(c: char) -> bool {
    c.width() == Some(2)
}

fn closes(c: char) -> bool {
    "，。；：、！？）》」』”’".contains(c)
}

fn opens(c: char) -> bool {
    "（《「『“‘".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_blanks_and_between_wide_characters() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("客户端请求", 6), ["客户端", "请求"]);
        assert_eq!(wrap("序号 X+1461 之后", 8), ["序号", "X+1461", "之后"]);
        assert_eq!(wrap("", 7), Vec::<String>::new());
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
    }

    #[test]
    fn no_line_begins_with_a_closing_mark() {
        assert_eq!(wrap("客户端，请求", 6), ["客户", "端，请", "求"]);
        assert_eq!(wrap("端（序号", 4), ["端", "（序", "号"]);
    }

    #[test]
    fn every_line_fits_and_nothing_is_lost() {
        let text = "TIME-WAIT 正是为此而设：客户端仍记得这个连接，再次确认 FIN，并重新开始计时。 The end, really.";
        for columns in 4..60 {
            let lines = wrap(text, columns);
            assert!(
                lines.iter().all(|line| width(line) <= columns),
                "{columns}: {lines:?}"
            );
            let squeeze = |text: &str| text.replace(' ', "");
            assert_eq!(squeeze(&lines.concat()), squeeze(text));
        }
    }

    #[test]
    fn lines_are_measured_in_columns() {
        let mut line = Line::default();
        line.push("客户端", Style::Name)
            .pad_to(10)
            .push("│", Style::Line);
        assert_eq!(line.width(), 11);
        assert_eq!(line.to_string(), "客户端    │");
    }
}
