//! What the lab prints: the picture with its summary, or one JSON document.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::time::Duration;

use handwave_story::quantity;
use handwave_story::{
    Detail, Ladder, Language, Line, Story, Style, Weight, json as story_json, width, wrap,
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use super::payload::{Origin, Payload, hex};
use super::summary::{Sent, Summary};
use super::words::{Word, aside, look_at, stuck, title, word};
use crate::args::LabArgs;
use crate::failure::Failure;
use crate::screen::Screen;

/// A picture of a lossy transfer shows this many of its troubles; the rest is counted.
const TROUBLES_SHOWN: usize = 3;
/// Below this much data a bar would only flicker.
const PROGRESS_MIN: u64 = 4 << 20;

/// A bar that fills as data arrives; hidden unless somebody watches.
pub(crate) fn progress(args: &LabArgs, payload: &Payload, language: Language) -> ProgressBar {
    let watched = std::io::stderr().is_terminal() && payload.octets >= PROGRESS_MIN;
    if !watched || args.output.json {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(payload.octets), ProgressDrawTarget::stderr());
    let template = "{msg} {wide_bar:.blue} {binary_bytes}/{binary_total_bytes}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("━╸─"));
    }
    bar.with_message(word(language, Word::Sending))
}

/// Prints the picture.
pub(crate) fn text(
    screen: &mut Screen,
    args: &LabArgs,
    story: &Story,
    summary: &Summary,
    language: Language,
) -> Result<(), Failure> {
    let columns = screen.width();
    let mut heading = Line::default();
    heading.push(title(language, args.scenario), Style::Name);
    heading.push(format!("   {}", conditions(args, language)), Style::Detail);
    screen.line(&heading)?;
    for text in wrap(look_at(language, args.scenario), columns.min(100)) {
        screen.line(Line::default().push(text, Style::Says))?;
    }
    screen.text("\n")?;
    let detail = if args.output.all {
        Detail::All
    } else {
        Detail::Summary {
            troubles_max: TROUBLES_SHOWN,
        }
    };
    let ladder = Ladder {
        width: columns,
        language,
        detail,
        explain: !args.output.brief,
        vars: args.output.vars,
    };
    for line in ladder.draw(story) {
        screen.line(&line)?;
    }
    screen.text("\n")?;
    for line in outcome(summary, language) {
        screen.line(&line)?;
    }
    Ok(())
}

/// What the path does, as far as it does anything.
fn conditions(args: &LabArgs, language: Language) -> String {
    let network = &args.network;
    let mut parts = vec![format!(
        "{} {}",
        word(language, Word::Delay),
        short(network.path.delay)
    )];
    for (share, what) in [
        (network.path.loss, Word::Loss),
        (network.path.reorder, Word::Reordering),
        (network.path.duplicate, Word::Duplication),
        (network.path.corrupt, Word::Corruption),
    ] {
        if share > 0.0 {
            parts.push(format!("{} {} %", word(language, what), share * 100.0));
        }
    }
    if !network.path.jitter.is_zero() {
        parts.push(format!(
            "{} {}",
            word(language, Word::Jitter),
            short(network.path.jitter)
        ));
    }
    if let Some(rate) = network.path.rate {
        parts.push(bits(rate as f64 * 8.0));
    }
    parts.push(format!("MTU {}", network.mtu));
    parts.push(format!("{} {}", word(language, Word::Seed), network.seed));
    parts.join(" · ")
}

/// A span without zeros at its end: `20 ms`.
fn short(span: Duration) -> String {
    let text = quantity::time(span);
    let Some((number, unit)) = text.split_once(' ') else {
        return text;
    };
    format!(
        "{} {unit}",
        number.trim_end_matches('0').trim_end_matches('.')
    )
}

fn bits(rate: f64) -> String {
    let (value, unit) = match rate {
        rate if rate >= 1e9 => (rate / 1e9, "Gbit/s"),
        rate if rate >= 1e6 => (rate / 1e6, "Mbit/s"),
        rate if rate >= 1e3 => (rate / 1e3, "kbit/s"),
        rate => (rate, "bit/s"),
    };
    format!("{value:.1} {unit}")
}

/// The lines under the picture.
fn outcome(summary: &Summary, language: Language) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(why) = &summary.stuck {
        lines.push(verdict(false, &stuck(language, why)));
    } else if let Some(sent) = &summary.sent {
        lines.extend(data(sent, language));
    } else {
        lines.push(verdict(true, word(language, Word::Played)));
    }
    let mut table = Table { language, lines };
    if let Some(goodput) = summary.goodput_bits() {
        let took = quantity::time(summary.took);
        table.row(Word::Goodput, &format!("{} ({took})", bits(goodput)));
    }
    table.row(Word::Segments, &segments(summary, language));
    if let (Some(max), true) = (summary.cwnd_max(), summary.goodput_bits().is_some()) {
        let course = course(&summary.cwnd, max);
        table.row(
            Word::Cwnd,
            &format!("{course}  max {}", quantity::octets(max.into())),
        );
    }
    if let Some(info) = &summary.info {
        let time = |span: Option<Duration>| span.map_or_else(|| "-".to_owned(), quantity::time);
        table.row(
            Word::Rtt,
            &format!("srtt {}, min {}", time(info.rtt), time(info.min_rtt)),
        );
    }
    let times = format!(
        "{} {}, {} {}",
        word(language, Word::Virtual),
        quantity::time(summary.virtual_time),
        word(language, Word::Wall),
        quantity::time(summary.wall)
    );
    table.row(Word::Time, &times);
    table.lines
}

/// Values as bars of eight heights.
fn course(values: &[u32], max: u32) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let bar = |value: &u32| {
        let height = u64::from(*value) * 8 / (u64::from(max) + 1);
        BARS[usize::try_from(height).unwrap_or(0).min(7)]
    };
    values.iter().map(bar).collect()
}

fn segments(summary: &Summary, language: Language) -> String {
    let [a, b] = summary.segments.map(quantity::number);
    let mut text = format!("→ {a}  ← {b}");
    for (n, what) in [
        (summary.resent, Word::Resent),
        (summary.lost, Word::Lost),
        (summary.corrupted, Word::Corrupted),
        (summary.copies, Word::Copies),
    ] {
        if n > 0 {
            let _ = write!(text, "  {} {}", word(language, what), quantity::number(n));
        }
    }
    text
}

fn data(sent: &Sent, language: Language) -> Vec<Line> {
    let what = match &sent.origin {
        Origin::Generated => word(language, Word::GeneratedData).to_owned(),
        Origin::File(name) => name.clone(),
        Origin::Stdin => word(language, Word::StandardInput).to_owned(),
    };
    let octets = quantity::octets(sent.octets);
    if sent.is_whole() {
        let text = word(language, Word::Arrived).to_owned() + &aside(language, &what, &octets);
        let mut hash = Line::default();
        hash.push(format!("  SHA-256 {}", hex(&sent.received)), Style::Detail);
        return vec![verdict(true, &text), hash];
    }
    let received = quantity::octets(sent.received_octets);
    let shares = format!("{received} / {octets}");
    let text = word(language, Word::NotArrived).to_owned() + &aside(language, &what, &shares);
    let line = |text: String| {
        let mut line = Line::default();
        line.push(text, Style::Detail);
        line
    };
    vec![
        verdict(false, &text),
        line(format!("  SHA-256 → {}", hex(&sent.hash))),
        line(format!("  SHA-256 ← {}", hex(&sent.received))),
    ]
}

fn verdict(fine: bool, text: &str) -> Line {
    let mut line = Line::default();
    if fine {
        line.push("✔ ", Style::Good);
    } else {
        line.push("✘ ", Style::Trouble);
    }
    line.push(text, Style::Name);
    line
}

/// Rows with a name in front.
struct Table {
    language: Language,
    lines: Vec<Line>,
}

impl Table {
    fn row(&mut self, name: Word, text: &str) {
        const NAME: usize = 14;
        let name = word(self.language, name);
        let mut line = Line::default();
        line.push(format!("  {name}"), Style::Detail);
        line.push(
            " ".repeat(NAME.saturating_sub(width(name) + 2)),
            Style::Plain,
        );
        line.push(text, Style::Plain);
        self.lines.push(line);
    }
}

/// Prints the document.
pub(crate) fn json(
    screen: &mut Screen,
    args: &LabArgs,
    story: &Story,
    summary: &Summary,
    language: Language,
) -> Result<(), Failure> {
    let network = &args.network;
    let mut told = story.clone();
    if !args.output.all {
        told.steps.retain(|step| step.weight > Weight::Bulk);
    }
    let document = json!({
        "handwave": env!("CARGO_PKG_VERSION"),
        "scenario": args.scenario.name(),
        "network": {
            "delay_ns": u64::try_from(network.path.delay.as_nanos()).unwrap_or(u64::MAX),
            "jitter_ns": u64::try_from(network.path.jitter.as_nanos()).unwrap_or(u64::MAX),
            "loss": network.path.loss,
            "reorder": network.path.reorder,
            "duplicate": network.path.duplicate,
            "corrupt": network.path.corrupt,
            "rate_bytes_per_second": network.path.rate,
            "mtu": network.mtu,
            "ipv6": network.ipv6,
            "seed": network.seed,
        },
        "result": summary.to_json(),
        "steps_left_out": story.steps.len() - told.steps.len(),
        "story": story_json(&told, language),
    });
    screen.text(&format!("{document:#}\n"))
}
