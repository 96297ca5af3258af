//! Statements and expressions of the little Python, read by descent along Python's own precedence.

use std::fmt;

use super::Error;
use super::value::Value;

/// Statements, each with its line, from 0.
pub(super) type Block = Vec<(usize, Statement)>;

/// A statement.
#[derive(Debug)]
pub(super) enum Statement {
    Assert(Node, Option<Node>),
    Print(Vec<Node>),
    Assign(String, Node),
    Evaluate(Node),
    Pass,
    /// `if`, `elif`: the first whose condition is true; `else`.
    If(Vec<(Node, Block)>, Block),
    For(String, Node, Block),
}

/// An expression.
#[derive(Debug)]
pub(super) enum Node {
    Constant(Value),
    Name(String),
    Tuple(Vec<Self>),
    Unary(&'static str, Box<Self>),
    Binary(String, Box<Self>, Box<Self>),
    /// `a < b < c`.
    Chain(Box<Self>, Vec<(String, Self)>),
    /// `a if condition else b`.
    Choice(Box<[Self; 3]>),
    Call(String, Vec<Self>),
    /// `f'a {b:x}'`: texts, and values with how to write them.
    Format(Pieces),
    /// `'{} {}'.format(a, b)`.
    Fill(Box<Self>, Vec<Self>),
    /// `a[0]`.
    Item(Box<[Self; 2]>),
}

/// Texts, each with the value behind it and how that is written.
type Pieces = Vec<(String, Option<(Node, String)>)>;

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Number(String),
    Text(String),
    /// A text behind an `f`.
    Format(String),
    Name(String),
    Mark(&'static str),
    End,
}

const MARKS: [&str; 29] = [
    "**", "//", "<<", ">>", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "&", "|", "^", "~",
    "<", ">", "=", "(", ")", "[", "]", ",", ":", ".", "{", "}",
];

/// Operators by precedence, the loosest first.
const LEVELS: [&[&str]; 6] = [
    &["|"],
    &["^"],
    &["&"],
    &["<<", ">>"],
    &["+", "-"],
    &["*", "/", "//", "%"],
];

/// A line with everything that belongs to it.
struct Line {
    /// Where it begins, from 0.
    number: usize,
    indent: usize,
    text: String,
}

/// The statements of a block, each with its line, from 0.
pub(super) fn statements(code: &str) -> Result<Block, Error> {
    let lines = logical_lines(code);
    let mut at = 0;
    let found = block(&lines, &mut at)?;
    match lines.get(at) {
        Some(line) => Err(line.error("this line is not indented as the one before")),
        None => Ok(found),
    }
}

impl Line {
    fn error(&self, message: impl Into<String>) -> Error {
        Error {
            line: self.number,
            message: message.into(),
        }
    }

    fn tokens(&self) -> Result<Vec<Token>, Error> {
        tokens(&self.text).map_err(|message| self.error(message))
    }
}

/// The statements from `at` on that are indented alike.
fn block(lines: &[Line], at: &mut usize) -> Result<Block, Error> {
    let mut found = Vec::new();
    let indent = lines.get(*at).map_or(0, |line| line.indent);
    while let Some(line) = lines.get(*at)
        && line.indent == indent
    {
        *at += 1;
        let tokens = line.tokens()?;
        let wrong = |message| line.error(message);
        match &tokens[..] {
            [Token::Name(word), head @ ..] if word == "if" => {
                let condition = header(head).map_err(wrong)?;
                let mut branches = vec![(condition.0, body(lines, at, line, condition.1)?)];
                let otherwise = alternatives(lines, at, indent, &mut branches)?;
                found.push((line.number, Statement::If(branches, otherwise)));
            }
            [
                Token::Name(word),
                Token::Name(name),
                Token::Name(of),
                head @ ..,
            ] if word == "for" && of == "in" => {
                let (values, rest) = header(head).map_err(wrong)?;
                let inside = body(lines, at, line, rest)?;
                found.push((line.number, Statement::For(name.clone(), values, inside)));
            }
            tokens => simple(tokens, line, &mut found)?,
        }
    }
    Ok(found)
}

/// `elif` and `else` behind an `if`.
fn alternatives(
    lines: &[Line],
    at: &mut usize,
    indent: usize,
    branches: &mut Vec<(Node, Block)>,
) -> Result<Block, Error> {
    while let Some(line) = lines.get(*at)
        && line.indent == indent
    {
        let tokens = line.tokens()?;
        match &tokens[..] {
            [Token::Name(word), head @ ..] if word == "elif" => {
                *at += 1;
                let (condition, rest) = header(head).map_err(|message| line.error(message))?;
                branches.push((condition, body(lines, at, line, rest)?));
            }
            [Token::Name(word), Token::Mark(":"), rest @ ..] if word == "else" => {
                *at += 1;
                return body(lines, at, line, rest);
            }
            _ => break,
        }
    }
    Ok(Vec::new())
}

/// An expression up to a colon, and what is behind that.
fn header(tokens: &[Token]) -> Result<(Node, &[Token]), String> {
    let mut reader = Reader { tokens, at: 0 };
    let value = reader.expression()?;
    reader.needs(":")?;
    Ok((value, &tokens[reader.at..]))
}

/// What belongs to the header in `line`: the rest of it, or the lines below that are indented more.
fn body(lines: &[Line], at: &mut usize, line: &Line, rest: &[Token]) -> Result<Block, Error> {
    if !rest.is_empty() {
        let mut found = Vec::new();
        simple(rest, line, &mut found)?;
        return Ok(found);
    }
    match lines.get(*at) {
        Some(next) if next.indent > line.indent => block(lines, at),
        _ => Err(line.error("there is nothing indented below this line")),
    }
}

/// Statements with semicolons between them.
fn simple(tokens: &[Token], line: &Line, found: &mut Block) -> Result<(), Error> {
    for tokens in tokens.split(|token| *token == Token::End) {
        if !tokens.is_empty() {
            let statement = statement(tokens).map_err(|message| line.error(message))?;
            found.push((line.number, statement));
        }
    }
    Ok(())
}

/// Lines, where a line that leaves brackets open goes on in the next. The first begins behind `%{` and is therefore indented like
/// the least of the others.
fn logical_lines(code: &str) -> Vec<Line> {
    let mut found: Vec<Line> = Vec::new();
    let mut open = 0_i32;
    for (number, text) in code.lines().enumerate() {
        let goes_on = open > 0 || found.last().is_some_and(|last| last.text.ends_with('\\'));
        let trimmed = text.trim();
        let depth = |c| match c {
            '(' | '[' => 1,
            ')' | ']' => -1,
            _ => 0,
        };
        open += text.chars().map(depth).sum::<i32>();
        match found.last_mut() {
            Some(last) if goes_on => {
                last.text = format!("{} {trimmed}", last.text.trim_end_matches('\\'));
            }
            _ if trimmed.is_empty() || trimmed.starts_with('#') => {}
            _ => found.push(Line {
                number,
                indent: text.len() - text.trim_start().len(),
                text: trimmed.to_owned(),
            }),
        }
    }
    if let Some((first, rest)) = found.split_first_mut()
        && first.number == 0
    {
        let least = rest.iter().map(|line| line.indent).min().unwrap_or(0);
        // The body of a first line that ends in a colon is the least indented, unless an `else` follows it.
        let body = rest.first().map_or(0, |line| line.indent);
        let is_above = first.text.ends_with(':') && body == least && body > 0;
        first.indent = if is_above { 0 } else { least };
    }
    found
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let len = match first {
            '#' => break,
            ';' => {
                found.push(Token::End);
                1
            }
            c if c.is_whitespace() => c.len_utf8(),
            '"' | '\'' => {
                let end = rest[1..].find(first).ok_or("a text without its end")?;
                found.push(Token::Text(rest[1..=end].to_owned()));
                end + 2
            }
            c if c.is_ascii_digit()
                || (c == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit())) =>
            {
                let len = number_len(rest);
                found.push(Token::Number(rest[..len].to_owned()));
                len
            }
            'f' if rest[1..].starts_with(['"', '\'']) => {
                let quote = &rest[1..2];
                let end = rest[2..].find(quote).ok_or("a text without its end")?;
                found.push(Token::Format(rest[2..2 + end].to_owned()));
                end + 3
            }
            c if c.is_alphabetic() || c == '_' => {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
                let len = end.unwrap_or(rest.len());
                found.push(Token::Name(rest[..len].to_owned()));
                len
            }
            other => {
                let mark = MARKS.into_iter().find(|mark| rest.starts_with(mark));
                let mark = mark.ok_or_else(|| format!("`{other}` means nothing here"))?;
                found.push(Token::Mark(mark));
                mark.len()
            }
        };
        rest = &rest[len..];
    }
    Ok(found)
}

fn number_len(text: &str) -> usize {
    let mut previous = ' ';
    let is_hexadecimal = text.starts_with("0x");
    let end = text.find(|c: char| {
        let sign = matches!(c, '+' | '-') && matches!(previous, 'e' | 'E') && !is_hexadecimal;
        previous = c;
        !(c.is_ascii_alphanumeric() || c == '.' || c == '_' || sign)
    });
    end.unwrap_or(text.len())
}

fn statement(tokens: &[Token]) -> Result<Statement, String> {
    let mut reader = Reader { tokens, at: 0 };
    let statement = match tokens {
        [Token::Name(name), ..] if name == "assert" => {
            reader.at = 1;
            let condition = reader.expression()?;
            let message = reader.takes(",").then(|| reader.expression()).transpose()?;
            Statement::Assert(condition, message)
        }
        [Token::Name(name), ..] if name == "print" => {
            reader.at = 1;
            let values = if reader.is_done() {
                Vec::new()
            } else {
                reader.items()?
            };
            Statement::Print(match <[Node; 1]>::try_from(values) {
                Ok([Node::Tuple(values)]) => values,
                Ok([only]) => vec![only],
                Err(values) => values,
            })
        }
        [Token::Name(name)] if name == "pass" => return Ok(Statement::Pass),
        [Token::Name(name), Token::Mark("="), ..] => {
            reader.at = 2;
            Statement::Assign(name.clone(), reader.expression()?)
        }
        // `a += 1` is `a = a + 1`.
        [
            Token::Name(name),
            Token::Mark(operator),
            Token::Mark("="),
            ..,
        ] if LEVELS.iter().any(|level| level.contains(operator)) => {
            reader.at = 3;
            let value = reader.expression()?;
            Statement::Assign(
                name.clone(),
                binary(operator, Node::Name(name.clone()), value),
            )
        }
        [Token::Name(name), ..]
            if matches!(
                name.as_str(),
                "elif" | "else" | "while" | "def" | "import" | "from" | "class" | "try"
            ) =>
        {
            return Err(format!("`{name}` is more Python than is understood here"));
        }
        _ => Statement::Evaluate(reader.expression()?),
    };
    if reader.is_done() {
        Ok(statement)
    } else {
        Err(format!("{} was not expected", reader.here()))
    }
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
}

impl Reader<'_> {
    fn is_done(&self) -> bool {
        self.at >= self.tokens.len()
    }

    fn here(&self) -> String {
        match self.tokens.get(self.at) {
            Some(Token::Number(text) | Token::Name(text)) => format!("`{text}`"),
            Some(Token::Text(text) | Token::Format(text)) => format!("`'{text}'`"),
            Some(Token::Mark(mark)) => format!("`{mark}`"),
            Some(Token::End) | None => "the end of the line".to_owned(),
        }
    }

    fn takes(&mut self, word: &str) -> bool {
        let is = match self.tokens.get(self.at) {
            Some(Token::Mark(mark)) => *mark == word,
            Some(Token::Name(name)) => name == word,
            _ => false,
        };
        self.at += usize::from(is);
        is
    }

    fn needs(&mut self, word: &str) -> Result<(), String> {
        if self.takes(word) {
            return Ok(());
        }
        Err(format!("expected `{word}`, found {}", self.here()))
    }

    fn items(&mut self) -> Result<Vec<Node>, String> {
        let mut items = vec![self.expression()?];
        while self.takes(",") {
            items.push(self.expression()?);
        }
        Ok(items)
    }

    fn expression(&mut self) -> Result<Node, String> {
        let value = self.or()?;
        if !self.takes("if") {
            return Ok(value);
        }
        let condition = self.or()?;
        self.needs("else")?;
        let otherwise = self.expression()?;
        Ok(Node::Choice(Box::new([condition, value, otherwise])))
    }

    fn or(&mut self) -> Result<Node, String> {
        let mut left = self.and()?;
        while self.takes("or") {
            left = binary("or", left, self.and()?);
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Node, String> {
        let mut left = self.not()?;
        while self.takes("and") {
            left = binary("and", left, self.not()?);
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Node, String> {
        if self.takes("not") {
            return Ok(Node::Unary("not", Box::new(self.not()?)));
        }
        let first = self.level(0)?;
        let mut rest = Vec::new();
        while let Some(operator) = self.comparison()? {
            rest.push((operator, self.level(0)?));
        }
        if rest.is_empty() {
            return Ok(first);
        }
        Ok(Node::Chain(Box::new(first), rest))
    }

    fn comparison(&mut self) -> Result<Option<String>, String> {
        for mark in ["==", "!=", "<=", ">=", "<", ">", "in"] {
            if self.takes(mark) {
                return Ok(Some(mark.to_owned()));
            }
        }
        if self.takes("is") {
            let word = if self.takes("not") { "is not" } else { "is" };
            return Ok(Some(word.to_owned()));
        }
        if self.takes("not") {
            self.needs("in")?;
            return Ok(Some("not in".to_owned()));
        }
        Ok(None)
    }

    fn level(&mut self, level: usize) -> Result<Node, String> {
        let Some(operators) = LEVELS.get(level) else {
            return self.unary();
        };
        let mut left = self.level(level + 1)?;
        while let Some(operator) = operators.iter().find(|operator| self.takes(operator)) {
            left = binary(operator, left, self.level(level + 1)?);
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Node, String> {
        for operator in ["-", "+", "~"] {
            if self.takes(operator) {
                return Ok(Node::Unary(operator, Box::new(self.unary()?)));
            }
        }
        let mut base = self.atom()?;
        loop {
            if self.takes(".") {
                self.needs("format")?;
                self.needs("(")?;
                base = Node::Fill(Box::new(base), self.closed_by(")")?);
            } else if self.takes("[") {
                let index = self.expression()?;
                self.needs("]")?;
                base = Node::Item(Box::new([base, index]));
            } else {
                break;
            }
        }
        if self.takes("**") {
            return Ok(binary("**", base, self.unary()?));
        }
        Ok(base)
    }

    fn atom(&mut self) -> Result<Node, String> {
        let here = self.here();
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        match token {
            Some(Token::Number(text)) => number(&text).map(Node::Constant),
            Some(Token::Text(text)) => Ok(Node::Constant(Value::Text(text))),
            Some(Token::Format(text)) => format_pieces(&text).map(Node::Format),
            Some(Token::Name(name)) => match name.as_str() {
                "True" => Ok(Node::Constant(Value::Bool(true))),
                "False" => Ok(Node::Constant(Value::Bool(false))),
                "None" => Ok(Node::Constant(Value::None)),
                "and" | "or" | "not" | "if" | "else" | "in" | "is" | "assert" | "print"
                | "lambda" => Err(format!("expected a value, found `{name}`")),
                _ if self.takes("(") => Ok(Node::Call(name, self.closed_by(")")?)),
                _ => Ok(Node::Name(name)),
            },
            Some(Token::Mark("(")) => {
                let before = self.at;
                let mut items = self.closed_by(")")?;
                let comma = self.tokens[before..self.at - 1].last() == Some(&Token::Mark(","));
                match items.pop() {
                    Some(only) if items.is_empty() && !comma => Ok(only),
                    Some(last) => {
                        items.push(last);
                        Ok(Node::Tuple(items))
                    }
                    None => Ok(Node::Tuple(items)),
                }
            }
            Some(Token::Mark("[")) => Ok(Node::Tuple(self.closed_by("]")?)),
            _ => Err(format!("expected a value, found {here}")),
        }
    }

    fn closed_by(&mut self, end: &str) -> Result<Vec<Node>, String> {
        let mut items = Vec::new();
        while !self.takes(end) {
            items.push(self.expression()?);
            if !self.takes(",") {
                self.needs(end)?;
                break;
            }
        }
        Ok(items)
    }
}

/// Texts, and the values in braces behind them.
fn format_pieces(text: &str) -> Result<Pieces, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (inside, behind) = after.split_once('}').ok_or("a `{` without its `}`")?;
        let (value, how) = inside.split_once(':').unwrap_or((inside, ""));
        // `{a=}` shows the name too.
        let (value, shown) = match value.strip_suffix('=') {
            Some(name) => (name, format!("{before}{value}")),
            None => (value, before.to_owned()),
        };
        let tokens = tokens(value)?;
        let mut reader = Reader {
            tokens: &tokens,
            at: 0,
        };
        let node = reader.expression()?;
        if !reader.is_done() {
            return Err(format!("{} was not expected", reader.here()));
        }
        pieces.push((shown, Some((node, how.to_owned()))));
        rest = behind;
    }
    pieces.push((rest.to_owned(), None));
    Ok(pieces)
}

fn binary(operator: &str, left: Node, right: Node) -> Node {
    Node::Binary(operator.to_owned(), Box::new(left), Box::new(right))
}

fn number(text: &str) -> Result<Value, String> {
    let digits = text.replace('_', "");
    let whole = match digits.strip_prefix("0x") {
        Some(digits) => i128::from_str_radix(digits, 16).ok(),
        None => digits.parse().ok(),
    };
    let value = whole
        .map(Value::Int)
        .or_else(|| digits.parse().ok().map(Value::Float));
    value.ok_or_else(|| format!("`{text}` is no number"))
}

impl Node {
    pub(super) fn evaluate(
        &self,
        look_up: &dyn Fn(&str) -> Option<Value>,
    ) -> Result<Value, String> {
        let all = |nodes: &[Self]| {
            nodes
                .iter()
                .map(|node| node.evaluate(look_up))
                .collect::<Result<Vec<_>, _>>()
        };
        match self {
            Self::Constant(value) => Ok(value.clone()),
            Self::Name(name) => look_up(name).ok_or_else(|| match name.strip_prefix("tcpi_") {
                Some(_) => {
                    format!("`{name}` is not known: no connection that offers TCP_INFO has it")
                }
                None => format!("`{name}` has no value"),
            }),
            Self::Tuple(items) => Ok(Value::Tuple(all(items)?)),
            Self::Unary(operator, value) => value.evaluate(look_up)?.unary(operator),
            Self::Binary(operator, left, right) => {
                let left = left.evaluate(look_up)?;
                match (operator.as_str(), left.is_true()) {
                    ("or", true) | ("and", false) => Ok(left),
                    ("or" | "and", _) => right.evaluate(look_up),
                    _ => left.with(operator, &right.evaluate(look_up)?),
                }
            }
            Self::Chain(first, rest) => {
                let mut left = first.evaluate(look_up)?;
                for (operator, right) in rest {
                    let right = right.evaluate(look_up)?;
                    if !left.compared(operator, &right)? {
                        return Ok(Value::Bool(false));
                    }
                    left = right;
                }
                Ok(Value::Bool(true))
            }
            Self::Choice(parts) => {
                let [condition, value, otherwise] = &**parts;
                if condition.evaluate(look_up)?.is_true() {
                    value.evaluate(look_up)
                } else {
                    otherwise.evaluate(look_up)
                }
            }
            Self::Call(name, arguments) => Value::call(name, &all(arguments)?),
            Self::Format(pieces) => {
                let mut text = String::new();
                for (before, value) in pieces {
                    text += before;
                    if let Some((value, how)) = value {
                        text += &value.evaluate(look_up)?.formatted(how)?;
                    }
                }
                Ok(Value::Text(text))
            }
            Self::Fill(text, arguments) => match text.evaluate(look_up)? {
                Value::Text(text) => Value::filled(&text, &all(arguments)?),
                _ => Err("only a text has `format`".to_owned()),
            },
            Self::Item(parts) => {
                let [list, index] = &**parts;
                list.evaluate(look_up)?.item(&index.evaluate(look_up)?)
            }
        }
    }

    /// The names in this expression.
    pub(super) fn names<'a>(&'a self, found: &mut Vec<&'a str>) {
        match self {
            Self::Constant(_) => {}
            Self::Name(name) => found.push(name),
            Self::Tuple(items) | Self::Call(_, items) => {
                items.iter().for_each(|item| item.names(found))
            }
            Self::Unary(_, value) => value.names(found),
            Self::Binary(_, left, right) => {
                left.names(found);
                right.names(found);
            }
            Self::Chain(first, rest) => {
                first.names(found);
                rest.iter().for_each(|(_, value)| value.names(found));
            }
            Self::Choice(parts) => parts.iter().for_each(|part| part.names(found)),
            Self::Item(parts) => parts.iter().for_each(|part| part.names(found)),
            Self::Format(pieces) => {
                let values = pieces.iter().filter_map(|(_, value)| value.as_ref());
                values.for_each(|(value, _)| value.names(found));
            }
            Self::Fill(_, values) => values.iter().for_each(|value| value.names(found)),
        }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |items: &[Self]| {
            let texts: Vec<String> = items.iter().map(Self::to_string).collect();
            texts.join(", ")
        };
        match self {
            Self::Constant(Value::Text(text)) => write!(f, "'{text}'"),
            Self::Constant(value) => value.fmt(f),
            Self::Name(name) => f.write_str(name),
            Self::Tuple(items) => write!(f, "({})", list(items)),
            Self::Unary("not", value) => write!(f, "not {value}"),
            Self::Unary(operator, value) => write!(f, "{operator}{value}"),
            Self::Binary(operator, left, right) => write!(f, "{left} {operator} {right}"),
            Self::Chain(first, rest) => {
                first.fmt(f)?;
                rest.iter()
                    .try_for_each(|(operator, value)| write!(f, " {operator} {value}"))
            }
            Self::Choice(parts) => write!(f, "{} if {} else {}", parts[1], parts[0], parts[2]),
            Self::Call(name, arguments) => write!(f, "{name}({})", list(arguments)),
            Self::Format(pieces) => {
                let value = |(text, value): &(String, Option<(Self, String)>)| match value {
                    Some((value, _)) => format!("{text}{{{value}}}"),
                    None => text.clone(),
                };
                let pieces: Vec<String> = pieces.iter().map(value).collect();
                write!(f, "f'{}'", pieces.concat())
            }
            Self::Fill(text, arguments) => write!(f, "{text}.format({})", list(arguments)),
            Self::Item(parts) => write!(f, "{}[{}]", parts[0], parts[1]),
        }
    }
}
