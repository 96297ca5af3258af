//! What is known of a script before it is played: whom it is about, how long it takes, why Linux differs.

use std::time::Duration;

use handwave_script::language::Script;
use handwave_script::language::ast::{Moment, Time};

/// What stands in front of the reason in the comment that says why Linux does something else.
const REASON: &str = "// Linux differs:";

/// What is known of a script.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The profile it asks for; `None`: any.
    pub(crate) profile: Option<String>,
    /// How long it takes at most, if everything happens when it should.
    pub(crate) length: Duration,
    /// Why Linux does something else, in the script's words.
    pub(crate) reason: Option<String>,
}

impl Plan {
    /// Reads `text`; says what is wrong with it if it is no script.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let script = Script::parse(text, &[]).map_err(|wrong| wrong.to_string())?;
        let profile = script
            .options
            .iter()
            .find(|option| option.name == "profile")
            .and_then(|option| option.value.clone());
        Ok(Self {
            profile,
            length: length(&script),
            reason: reason(text),
        })
    }
}

fn length(script: &Script) -> Duration {
    let (mut now, mut longest) = (Duration::ZERO, Duration::ZERO);
    for event in &script.events {
        let after = |moment: Moment| {
            let span = Duration::from_micros(moment.micros.unsigned_abs());
            if moment.relative { now + span } else { span }
        };
        let (next, end) = match event.time {
            Time::Any => (now, now),
            Time::At(at) => (after(at), after(at)),
            Time::Within(start, end) => (after(end), after(start).max(after(end))),
            Time::Blocking(start, end) => (after(start), after(end)),
        };
        now = next;
        longest = longest.max(end);
    }
    longest
}

/// The comment with the reason; it goes on for as long as comments follow.
fn reason(text: &str) -> Option<String> {
    let mut lines = text.lines().skip_while(|line| !line.starts_with(REASON));
    let first = lines.next()?.strip_prefix(REASON)?.trim();
    let more = lines
        .map_while(|line| line.strip_prefix("//"))
        .map(str::trim);
    let words: Vec<&str> = std::iter::once(first).chain(more).collect();
    Some(words.join(" "))
}
