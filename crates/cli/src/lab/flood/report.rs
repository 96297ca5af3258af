//! The table of a flood, and its JSON lines.

use std::time::Duration;

use handwave_story::{Language, Line, Style};
use serde_json::json;

use super::battle::Outcome;
use super::words::{self, pick};
use crate::args::FloodArgs;
use crate::failure::Failure;
use crate::screen::Screen;

/// Where columns end that are aligned to the right: served, p50, p99, memory, SYN+ACKs.
const ENDS: [usize; 5] = [24, 33, 42, 52, 62];
/// Where the sparkline begins.
const SPARKLINE: usize = 64;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// What is played, and the head of the table.
pub(super) fn heading(
    screen: &mut Screen,
    args: &FloodArgs,
    language: Language,
) -> Result<(), Failure> {
    let mut title = Line::default();
    title.push(pick(language, "A SYN flood", "SYN 洪水"), Style::Name);
    screen.line(&title)?;
    screen.line(Line::default().push(words::heading(language, args), Style::Plain))?;
    screen.text("\n")?;
    let [name, ends @ .., queue] = words::columns(language);
    let mut head = Line::default();
    head.push(name, Style::Detail);
    for (title, end) in ends.into_iter().zip(ENDS) {
        right(&mut head, title, end, Style::Detail);
    }
    head.pad_to(SPARKLINE).push(queue, Style::Detail);
    screen.line(&head)
}

/// One defence.
pub(super) fn row(
    screen: &mut Screen,
    outcome: &Outcome,
    language: Language,
) -> Result<(), Failure> {
    let mut line = Line::default();
    line.push(words::defence(language, outcome.defence), Style::Name);
    let percent = outcome.served_all() * 100 / outcome.clients.max(1);
    let style = match percent {
        99.. => Style::Good,
        ..50 => Style::Trouble,
        _ => Style::Again,
    };
    right(&mut line, &format!("{percent} %"), ENDS[0], style);
    let connect = |percent| {
        outcome
            .connect(percent)
            .map_or_else(|| "-".to_owned(), time)
    };
    let cells = [
        connect(50),
        connect(99),
        memory(outcome.memory_max),
        grouped(outcome.syn_acks()),
    ];
    for (cell, end) in cells.iter().zip(&ENDS[1..]) {
        right(&mut line, cell, *end, Style::Plain);
    }
    let columns = screen.width().saturating_sub(SPARKLINE).clamp(8, 56);
    line.pad_to(SPARKLINE)
        .push(sparkline(outcome, columns), Style::Arrow);
    screen.line(&line)
}

/// What is known of a single battle beyond its row.
pub(super) fn details(
    screen: &mut Screen,
    outcome: &Outcome,
    language: Language,
) -> Result<(), Failure> {
    screen.text("\n")?;
    let noticed = match (outcome.noticed_after, language) {
        (Some(after), Language::English) => {
            format!("The detector called it a flood after {}.", time(after))
        }
        (Some(after), Language::SimplifiedChinese) => {
            format!("检测器在 {} 后判定为洪水。", time(after))
        }
        (None, _) => pick(
            language,
            "The detector saw nothing unusual.",
            "检测器未发现异常。",
        )
        .to_owned(),
    };
    screen.line(Line::default().push(noticed, Style::Plain))?;
    let sources = match (&outcome.top, language) {
        (Some(top), Language::English) => format!(
            "The busiest source, true or forged: {} with {} SYN/s.",
            top.prefix,
            whole(top.syns_per_second)
        ),
        (Some(top), Language::SimplifiedChinese) => format!(
            "最活跃的来源（可能系伪造）：{}，每秒 {} 个 SYN。",
            top.prefix,
            whole(top.syns_per_second)
        ),
        (None, _) => pick(
            language,
            "No source stands out: the addresses are forged at random.",
            "没有突出的来源：源地址是随机伪造的。",
        )
        .to_owned(),
    };
    screen.line(Line::default().push(sources, Style::Plain))?;
    screen.text("\n")?;
    for (name, value) in outcome.counters.iter().filter(|(_, value)| *value > 0) {
        let mut line = Line::default();
        line.push(format!("  {name}"), Style::Detail);
        right(&mut line, &grouped(value), 44, Style::Plain);
        screen.line(&line)?;
    }
    Ok(())
}

/// What the columns mean.
pub(super) fn legend(screen: &mut Screen, language: Language) -> Result<(), Failure> {
    screen.text("\n")?;
    for text in words::legend(language) {
        screen.line(Line::default().push(*text, Style::Detail))?;
    }
    Ok(())
}

/// One battle as a JSON object in one line. Keys are never translated; times in milliseconds, memory in octets.
pub(super) fn json(
    screen: &mut Screen,
    args: &FloodArgs,
    outcome: &Outcome,
) -> Result<(), Failure> {
    let millis = |span: Duration| span.as_secs_f64() * 1e3;
    let counters: serde_json::Map<String, serde_json::Value> = outcome
        .counters
        .iter()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    let spoof = clap::ValueEnum::to_possible_value(&args.spoof);
    let object = json!({
        "defence": outcome.defence.name(),
        "served": outcome.served_all(),
        "clients": outcome.clients,
        "served_client_first": outcome.served[0],
        "served_server_first": outcome.served[1],
        "connect_p50_ms": outcome.connect(50).map(millis),
        "connect_p99_ms": outcome.connect(99).map(millis),
        "memory_bytes": outcome.memory_max,
        "syn_acks": outcome.syn_acks(),
        "backscatter": outcome.backscatter,
        "attack_syns": outcome.attack_syns,
        "rate": args.rate,
        "spoof": spoof.as_ref().map(clap::builder::PossibleValue::get_name),
        "duration_ms": millis(args.duration),
        "seed": args.seed,
        "noticed_after_ms": outcome.noticed_after.map(millis),
        "top_source": outcome.top.map(|top| top.prefix.to_string()),
        "queue_max": outcome.queue_max,
        "queue_peak": outcome.depths.iter().max(),
        "queue_depths": sampled(&outcome.depths, 100),
        "counters": counters,
    });
    screen.text(&format!("{object}\n"))
}

/// Appends text that ends at a column.
fn right(line: &mut Line, text: &str, end: usize, style: Style) {
    let width = Line::default().push(text, style).width();
    line.pad_to(end.saturating_sub(width)).push(text, style);
}

/// The depths of the queues, the largest of each stretch of time; full height is the limit.
fn sparkline(outcome: &Outcome, columns: usize) -> String {
    let limit = outcome.queue_max.max(1);
    let bar = |depth: usize| match (depth * BARS.len()).div_ceil(limit).min(BARS.len()) {
        0 => ' ',
        height => BARS[height - 1],
    };
    sampled(&outcome.depths, columns)
        .into_iter()
        .map(bar)
        .collect()
}

/// At most `count` numbers for many: the largest of each stretch.
fn sampled(depths: &[usize], count: usize) -> Vec<usize> {
    let stretch = depths.len().div_ceil(count).max(1);
    let largest = |chunk: &[usize]| chunk.iter().copied().max().unwrap_or(0);
    depths.chunks(stretch).map(largest).collect()
}

fn time(span: Duration) -> String {
    if span < Duration::from_secs(1) {
        format!("{:.0} ms", span.as_secs_f64() * 1e3)
    } else {
        format!("{:.2} s", span.as_secs_f64())
    }
}

fn memory(octets: usize) -> String {
    match octets {
        0..1024 => format!("{octets} B"),
        1024..1_048_576 => format!("{} KiB", octets.div_ceil(1024)),
        _ => format!("{:.1} MiB", octets as f64 / 1_048_576.0),
    }
}

fn whole(number: f64) -> String {
    format!("{number:.0}")
}

/// A number with its thousands apart.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
