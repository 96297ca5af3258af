//! Text to [`Script`]: `packetdrill.pest` decides what is a script, and this module what its pieces are.

mod call;
mod packet;

use core::ops::Range;

use pest::Parser as _;
use pest::error::{ErrorVariant, InputLocation};
use pest::iterators::Pair as PestPair;

use super::ast::{Action, Code, Command, Event, Integer, Moment, OptionLine, Place, Script, Time};
use super::{Diagnostic, defines};
use grammar::{Grammar, Rule};

mod grammar {
    #[derive(pest_derive::Parser)]
    #[grammar = "language/packetdrill.pest"]
    pub(super) struct Grammar;
}

type Pair<'a> = PestPair<'a, Rule>;

/// What is wrong and where, before the text is at hand.
struct Wrong {
    span: Range<usize>,
    message: String,
    help: Option<String>,
}

impl Wrong {
    fn new(pair: &Pair<'_>, message: impl Into<String>) -> Self {
        Self {
            span: range(pair),
            message: message.into(),
            help: None,
        }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

type Parsed<T> = Result<T, Wrong>;

impl Script {
    /// Reads a script. Words named in `defines`, and in `-D` lines of the script itself, stand for their values.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with the text.
    pub fn parse(text: &str, defines: &[(String, String)]) -> Result<Self, Diagnostic> {
        let expanded;
        let mut all = own_defines(text);
        all.extend_from_slice(defines);
        let text = if all.is_empty() {
            text
        } else {
            expanded = defines::expand(text, &all);
            &expanded
        };
        let mut pairs =
            Grammar::parse(Rule::script, text).map_err(|error| diagnostic_of(text, &error))?;
        let mut script = Self::default();
        let mut lines = Lines::new(text);
        for pair in pairs.next().into_iter().flat_map(Pair::into_inner) {
            take(&mut script, &mut lines, pair).map_err(|wrong| Diagnostic {
                help: wrong.help,
                ..Diagnostic::new(text, wrong.span, wrong.message)
            })?;
        }
        Ok(script)
    }
}

fn take(script: &mut Script, lines: &mut Lines<'_>, pair: Pair<'_>) -> Parsed<()> {
    let place = lines.place(&pair);
    match pair.as_rule() {
        Rule::option_line => script.options.push(option_line(pair, place)),
        Rule::command => script.setup.push(command(pair, place)),
        Rule::event => script.events.push(event(pair, lines)?),
        _ => {}
    }
    Ok(())
}

/// The `-D` and `--define` lines at the head.
fn own_defines(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().map(str::trim);
    let head = lines.take_while(|line| {
        line.is_empty() || line.starts_with(['-', '#', '/']) || line.starts_with('*')
    });
    head.filter_map(|line| {
        let define = line
            .strip_prefix("-D")
            .or_else(|| line.strip_prefix("--define")?.strip_prefix(['=', ' ']))?;
        let (name, value) = define.trim().split_once('=')?;
        Some((name.trim().to_owned(), unquote(value.trim()).to_owned()))
    })
    .collect()
}

fn unquote(text: &str) -> &str {
    let inside = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    inside('"').or_else(|| inside('\'')).unwrap_or(text)
}

/// Finds lines for positions that come in order.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl<'a> Lines<'a> {
    const fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            line: 1,
        }
    }

    fn place(&mut self, pair: &Pair<'_>) -> Place {
        let span = range(pair);
        if span.start < self.at {
            *self = Self::new(self.text);
        }
        let between = self.text.get(self.at..span.start).unwrap_or_default();
        self.line += between.matches('\n').count();
        self.at = span.start;
        Place {
            line: self.line,
            span,
        }
    }
}

fn range(pair: &Pair<'_>) -> Range<usize> {
    let span = pair.as_span();
    let trimmed = span.as_str().trim_end().len();
    span.start()..span.start() + trimmed
}

fn option_line(pair: Pair<'_>, place: Place) -> OptionLine {
    let mut option = OptionLine {
        name: String::new(),
        value: None,
        place,
    };
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::define_name | Rule::long_define => "define".clone_into(&mut option.name),
            Rule::option_name => part.as_str().clone_into(&mut option.name),
            _ => option.value = Some(unquote(part.as_str()).to_owned()),
        }
    }
    option
}

fn command(pair: Pair<'_>, place: Place) -> Command {
    Command {
        text: inner_text(pair),
        place,
    }
}

/// What stands between the marks.
fn inner_text(pair: Pair<'_>) -> String {
    pair.into_inner()
        .next()
        .map_or_else(String::new, |text| text.as_str().to_owned())
}

fn event(pair: Pair<'_>, lines: &mut Lines<'_>) -> Parsed<Event> {
    let mut event = Event {
        time: Time::Any,
        action: Action::Code(Code {
            text: String::new(),
            place: Place::default(),
        }),
        place: lines.place(&pair),
    };
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::time => event.time = time(part)?,
            Rule::packet => event.action = Action::Packet(packet::packet(part)?),
            Rule::call => {
                let blocking = matches!(event.time, Time::Blocking(..));
                event.action = Action::Call(call::call(part, blocking)?);
            }
            Rule::command => {
                let place = lines.place(&part);
                event.action = Action::Command(command(part, place));
            }
            Rule::code => {
                let place = lines.place(&part);
                event.action = Action::Code(Code {
                    text: inner_text(part),
                    place,
                });
            }
            _ => {}
        }
    }
    if let (Time::Blocking(..), false) = (event.time, matches!(event.action, Action::Call(_))) {
        return Err(Wrong {
            span: event.place.span,
            message: "only a system call can take a time range with `...`".to_owned(),
            help: Some("a packet or a check takes `~`, as in `+.1~+.2`".to_owned()),
        });
    }
    Ok(event)
}

fn time(pair: Pair<'_>) -> Parsed<Time> {
    let mut moments = Vec::new();
    let mut blocking = false;
    let whole = pair.clone();
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::moment => moments.push(moment(&part)?),
            Rule::range_mark => blocking = part.as_str() == "...",
            _ => return Ok(Time::Any),
        }
    }
    let [start, end] = match moments[..] {
        [only] => return Ok(Time::At(only)),
        [start, end] => [start, end],
        _ => return Ok(Time::Any),
    };
    // `+0~.1` means what `+0~+.1` does.
    let end = Moment {
        relative: start.relative,
        ..end
    };
    if end.micros < start.micros {
        return Err(Wrong::new(&whole, "the time range ends before it begins"));
    }
    Ok(if blocking {
        Time::Blocking(start, end)
    } else {
        Time::Within(start, end)
    })
}

fn moment(pair: &Pair<'_>) -> Parsed<Moment> {
    let text = pair.as_str();
    let digits = text.strip_prefix('+').unwrap_or(text);
    let (seconds, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let seconds: i64 = if seconds.is_empty() {
        0
    } else {
        seconds
            .parse()
            .ok()
            .filter(|seconds| *seconds <= 1_000_000_000)
            .ok_or_else(|| Wrong::new(pair, "a time of more than a billion seconds"))?
    };
    let micros = fraction
        .bytes()
        .chain(core::iter::repeat(b'0'))
        .take(6)
        .fold(0, |micros, digit| micros * 10 + i64::from(digit - b'0'));
    Ok(Moment {
        relative: text.starts_with('+'),
        micros: seconds * 1_000_000 + micros,
    })
}

fn integer(pair: &Pair<'_>) -> Parsed<Integer> {
    let text = pair.as_str();
    let hexadecimal = text.strip_prefix("0x");
    let value = match hexadecimal {
        Some(digits) => i64::from_str_radix(digits, 16),
        None if text.len() > 1 && text.starts_with('0') => i64::from_str_radix(text, 8),
        None => text.parse(),
    };
    match value {
        Ok(value) => Ok(Integer {
            value,
            is_hexadecimal: hexadecimal.is_some(),
        }),
        Err(_) => Err(Wrong::new(
            pair,
            format!("`{text}` is no number that fits in 64 bits"),
        )),
    }
}

/// A number that its field has room for.
fn field<T: TryFrom<i64>>(pair: &Pair<'_>, what: &str) -> Parsed<T> {
    let value = integer(pair)?.value;
    T::try_from(value).map_err(|_| Wrong::new(pair, format!("{value} does not fit into {what}")))
}

fn diagnostic_of(text: &str, error: &pest::error::Error<Rule>) -> Diagnostic {
    let at = match error.location {
        InputLocation::Pos(at) => at..at,
        InputLocation::Span((start, end)) => start..end,
    };
    // What is missing at the end is missing behind the last word, not below the last line.
    let end = text.trim_end().len();
    let at = if at.start > end { end..end } else { at };
    let mut expected: Vec<&str> = match &error.variant {
        ErrorVariant::ParsingError { positives, .. } => positives
            .iter()
            .filter(|rule| !matches!(rule, Rule::tunnel | Rule::other_protocol))
            .map(word_for)
            .collect(),
        ErrorVariant::CustomError { message } => {
            return Diagnostic::new(text, at, message.as_str());
        }
    };
    expected.sort_unstable();
    expected.dedup();
    let expected = match expected[..] {
        [] => "something else".to_owned(),
        [only] => only.to_owned(),
        [ref most @ .., last] => format!("{} or {last}", most.join(", ")),
    };
    let rest = text.get(at.start..).unwrap_or_default();
    let found = rest.split_whitespace().next();
    let found = match found {
        Some(_) if rest.starts_with(['\n', '\r']) => "the end of the line".to_owned(),
        Some(word) => format!("`{}`", word.chars().take(24).collect::<String>()),
        None => "the end of the script".to_owned(),
    };
    Diagnostic::new(text, at, format!("expected {expected}, found {found}"))
}

/// How messages name what the grammar asks for.
fn word_for(rule: &Rule) -> &'static str {
    match rule {
        Rule::EOI => "the end of the script",
        Rule::closing => "`)`",
        Rule::equals => "`=` and a result",
        Rule::options_end => "`>`",
        Rule::option_line => "an option such as `--mtu=1500`",
        Rule::option_name | Rule::define_name | Rule::long_define => "the name of an option",
        Rule::option_value => "the value of the option",
        Rule::script | Rule::event => "an event, beginning with its time",
        Rule::time | Rule::any_time | Rule::moment | Rule::decimal | Rule::plus => {
            "a time such as `+.1`"
        }
        Rule::range_mark => "`~` or `...`",
        Rule::packet | Rule::direction => "a packet beginning with `<` or `>`",
        Rule::socket_reference => "`sock(N)`",
        Rule::ip_fields | Rule::ip_field => "IP fields such as `[ect0]`",
        Rule::ecn_mark => "`ect0`, `ect1`, `ce` or `noecn`",
        Rule::ports | Rule::port_end | Rule::address => "ports such as `(1234 > 80)`",
        Rule::tcp | Rule::flags | Rule::control_bit => "TCP flags such as `S.`",
        Rule::sequence => "sequence numbers such as `1:1001(1000)`",
        Rule::ack => "`ack N`",
        Rule::window => "`win N`",
        Rule::urgent => "`urg N`",
        Rule::options => "options such as `<mss 1460,sackOK>`",
        Rule::udp | Rule::quoted_udp => "`udp (N)`",
        Rule::icmp => "`icmp TYPE CODE`",
        Rule::icmp_word => "an ICMP type or code",
        Rule::icmp_mtu => "`mtu N`",
        Rule::icmp_id => "`id N`",
        Rule::quoted => "a quoted packet such as `[1:1001(1000)]`",
        other => word_for_part(*other),
    }
}

/// The same for calls, values and TCP options.
fn word_for_part(rule: Rule) -> &'static str {
    match rule {
        Rule::call | Rule::call_name => "a system call",
        Rule::arguments => "arguments",
        Rule::call_result | Rule::unknown_result => "a result",
        Rule::errno => "an errno",
        Rule::note | Rule::note_text => "a note in brackets",
        Rule::command | Rule::command_text => "a shell command in backticks",
        Rule::code | Rule::code_text => "code between `%{` and `}%`",
        Rule::integer | Rule::tos | Rule::ttl | Rule::flow_label => "a number",
        Rule::name | Rule::field_name | Rule::field | Rule::function_name => "a name",
        Rule::cookie | Rule::hex_octets => "hexadecimal digits",
        Rule::ecn_counter | Rule::ecn_counter_name => "a counter such as `e0b 1`",
        Rule::sack_block => "a block such as `1:1001`",
        Rule::tcp_option
        | Rule::mss
        | Rule::wscale
        | Rule::sack_permitted
        | Rule::sack
        | Rule::timestamps
        | Rule::fast_open
        | Rule::fast_open_experimental
        | Rule::accurate_ecn
        | Rule::md5
        | Rule::nop
        | Rule::eol
        | Rule::raw_option => {
            "a TCP option (mss, wscale, sackOK, sack, TS, nop, eol, FO, FOEXP, ECN, md5, raw)"
        }
        Rule::expression
        | Rule::ellipsis
        | Rule::list
        | Rule::structure
        | Rule::field_size
        | Rule::string
        | Rule::string_text
        | Rule::function
        | Rule::symbol
        | Rule::signed => "a value",
        _ => "a token",
    }
}
