//! Commands as a shell cuts them: into lines, and lines into words.

/// One command.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// The words, quotes taken off.
    words: Vec<String>,
    /// The file that its output goes to.
    pub(super) writes_to: Option<String>,
    /// As it was written.
    pub(super) text: String,
}

impl Line {
    /// The program, without its folder, and its arguments; what runs another program is passed over, and so are assignments.
    pub(super) fn program(&self) -> Option<(&str, &[String])> {
        let passed_over = |word: &String| {
            matches!(
                word.as_str(),
                "sudo" | "bash" | "sh" | "python" | "python3" | "-e" | "-c"
            ) || word
                .split_once('=')
                .is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
        };
        let skipped = self
            .words
            .iter()
            .take_while(|word| passed_over(word))
            .count();
        let (program, arguments) = self.words[skipped..].split_first()?;
        Some((program.rsplit('/').next().unwrap_or_default(), arguments))
    }
}

/// The commands in `text`, each as its words.
pub(super) fn lines(text: &str) -> Vec<Line> {
    let joined = text.replace("\\\n", " ");
    let mut reader = Reader::default();
    let mut chars = joined.chars().peekable();
    while let Some(c) = chars.next() {
        match (reader.quote, c) {
            (Some(quote), c) if c == quote => reader.quote = None,
            (Some(_), c) => reader.push(c),
            (None, '"' | '\'') => {
                reader.quote = Some(c);
                reader.in_word = true;
            }
            (None, '#') if !reader.in_word => {
                while chars.peek().is_some_and(|c| *c != '\n') {
                    chars.next();
                }
            }
            (None, '\n' | ';' | '|' | '&') => {
                // `2>&1` and `&>file` are redirections, not ends.
                if c == '&' && (reader.redirects || chars.peek() == Some(&'>')) {
                    reader.word.clear();
                } else {
                    reader.end_line();
                }
            }
            (None, '>') => {
                if reader.word.chars().all(|c| c.is_ascii_digit()) {
                    reader.to_errors = reader.word == "2";
                    reader.word.clear();
                    reader.in_word = false;
                } else {
                    reader.end_word();
                }
                reader.redirects = true;
            }
            (None, c) if c.is_whitespace() => reader.end_word(),
            (None, c) => reader.push(c),
        }
        if !matches!(c, '\n') {
            reader.line.text.push(c);
        }
    }
    reader.end_line();
    reader.lines
}

#[derive(Default)]
struct Reader {
    lines: Vec<Line>,
    line: Line,
    word: String,
    in_word: bool,
    quote: Option<char>,
    /// The next word is a file.
    redirects: bool,
    to_errors: bool,
}

impl Reader {
    fn push(&mut self, c: char) {
        self.word.push(c);
        self.in_word = true;
    }

    fn end_word(&mut self) {
        if !self.in_word {
            return;
        }
        self.in_word = false;
        let word = std::mem::take(&mut self.word);
        if !self.redirects {
            self.line.words.push(word);
        } else if !self.to_errors {
            self.line.writes_to = Some(word);
        }
        self.redirects = false;
        self.to_errors = false;
    }

    fn end_line(&mut self) {
        self.end_word();
        let mut line = std::mem::take(&mut self.line);
        if !line.words.is_empty() {
            let ends = |c: char| c.is_whitespace() || matches!(c, ';' | '&' | '|');
            line.text = line.text.trim_matches(ends).to_owned();
            self.lines.push(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::lines;

    /// Each command with its file, one a line.
    fn cut(text: &str) -> String {
        let shown = lines(text).into_iter().map(|line| {
            let file = line
                .writes_to
                .map_or_else(String::new, |file| format!(" > {file}"));
            format!("{}{file}", line.words.join("|"))
        });
        shown.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn quotes_keep_words_together() {
        assert_eq!(
            cut("sysctl -q a.b=\"1 2 3\" 'c d'=4"),
            "sysctl|-q|a.b=1 2 3|c d=4"
        );
    }

    #[test]
    fn lines_end_at_newlines_semicolons_and_operators() {
        assert_eq!(
            cut("a 1; b \\\n 2 && c\n\n  # no\nd # no\n"),
            "a|1\nb|2\nc\nd"
        );
    }

    #[test]
    fn redirections_are_no_words() {
        assert_eq!(cut("a b > /dev/null 2>&1"), "a|b > /dev/null");
        assert_eq!(cut("a >/dev/null 2>/dev/null; c"), "a > /dev/null\nc");
        assert_eq!(cut("echo 1 > /proc/sys/x"), "echo|1 > /proc/sys/x");
    }

    #[test]
    fn the_program_is_behind_what_runs_it() {
        let of = |text: &str| {
            let line = lines(text).remove(0);
            line.program()
                .map(|(program, arguments)| (program.to_owned(), arguments.len()))
        };
        assert_eq!(of("sudo -c ../common/x.sh a"), Some(("x.sh".to_owned(), 1)));
        assert_eq!(of("LANG=C tc qdisc"), Some(("tc".to_owned(), 1)));
        assert_eq!(of("A=1"), None);
    }
}
