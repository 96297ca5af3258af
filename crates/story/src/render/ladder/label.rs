//! The arrow of a segment with its label: control bits, numbers, and what became of it.

use handwave_wire::TcpFlags;

use super::Pen;
use crate::lang::Label;
use crate::model::{Fate, SegmentStep, Side};
use crate::render::text::{Span, Style, width};

/// The label of a segment, cut to what fits on its arrow.
pub(super) struct Labelled {
    spans: Vec<Span>,
    /// The numbers, when they need a row of their own.
    pub(super) overflow: Option<String>,
}

impl Labelled {
    pub(super) fn new(step: &SegmentStep, pen: &Pen<'_>, whole: bool) -> Self {
        let again = step.resent > 0;
        let style = if again { Style::Again } else { Style::Flags };
        let mut spans = vec![Span {
            text: flags(step),
            style,
        }];
        if again {
            spans.push(Span {
                text: format!("({})", pen.language.label(Label::Again)),
                style: Style::Again,
            });
        }
        if !whole {
            spans.push(Span {
                text: format!("#{}", step.number),
                style: Style::Detail,
            });
        }
        let taken: usize = spans.iter().map(|span| width(&span.text) + 1).sum();
        // An arrow needs a shaft and a head, a lost one room for the word.
        let word = fate_label(step, pen).map_or(0, |label| width(&label) + 1);
        let room = pen.inner.saturating_sub(7 + taken + word);
        // The ACK of a segment with text tells least.
        let shortened = || (step.segment.len > 0).then(|| numbers(step, false));
        let fits = |text: &String| width(text) <= room;
        let full = numbers(step, true);
        let text = Some(full.clone())
            .filter(fits)
            .or_else(|| shortened().filter(fits));
        let overflow = text.is_none().then_some(full);
        spans.extend(text.map(|text| Span {
            text,
            style: Style::Numbers,
        }));
        Self { spans, overflow }
    }

    /// The arrow with the label on it, exactly as wide as the space between the lifelines.
    pub(super) fn arrow(
        &self,
        pen: &Pen<'_>,
        step: &SegmentStep,
        departs: bool,
        arrives: bool,
    ) -> Vec<Span> {
        let shaft = |text: String| Span {
            text,
            style: arrow_style(step),
        };
        let mut label = vec![plain(" ")];
        label.extend(
            self.spans
                .iter()
                .flat_map(|span| [span.clone(), plain(" ")]),
        );
        let taken: usize = label.iter().map(|span| width(&span.text)).sum();
        let rightwards = step.from == Side::A;
        let tail = if departs { "──" } else { "┄┄" };
        let end = match fate_label(step, pen) {
            Some(text) if departs => Span {
                text: format!("╳ {text}"),
                style: Style::Trouble,
            },
            _ if arrives => shaft(if rightwards { "▶" } else { "◀" }.to_owned()),
            _ => shaft("┄┄".to_owned()),
        };
        let end = if rightwards || end.style != Style::Trouble {
            end
        } else {
            let text = format!("{} ╳", end.text.trim_start_matches("╳ "));
            Span { text, ..end }
        };
        let rest = pen
            .inner
            .saturating_sub(taken + width(tail) + width(&end.text));
        // A segment that is lost stops half way.
        let stops = if matches!(step.fate, Fate::Lost | Fate::Corrupted) {
            rest / 3
        } else {
            0
        };
        let body = if departs || !arrives { "─" } else { "┄" };
        let body = shaft(body.repeat(rest - stops));
        let gap = plain(&" ".repeat(stops));
        let tail = shaft(tail.to_owned());
        if rightwards {
            [vec![tail], label, vec![body, end, gap]].concat()
        } else {
            [vec![gap, end, body], label, vec![tail]].concat()
        }
    }
}

pub(super) fn plain(text: &str) -> Span {
    Span {
        text: text.to_owned(),
        style: Style::Plain,
    }
}

fn arrow_style(step: &SegmentStep) -> Style {
    match step.fate {
        Fate::Arrived { .. } | Fate::InFlight if step.injected => Style::Trouble,
        Fate::Arrived { .. } | Fate::InFlight => Style::Arrow,
        Fate::Lost | Fate::Corrupted => Style::Trouble,
    }
}

fn fate_label(step: &SegmentStep, pen: &Pen<'_>) -> Option<String> {
    let label = match step.fate {
        Fate::Arrived { .. } => return None,
        Fate::Lost => Label::Lost,
        Fate::Corrupted => Label::Corrupted,
        Fate::InFlight => Label::InFlight,
    };
    Some(pen.language.label(label).to_owned())
}

/// The control bits by name, PSH left out: it tells a student nothing.
fn flags(step: &SegmentStep) -> String {
    const NAMES: [(TcpFlags, &str); 6] = [
        (TcpFlags::SYN, "SYN"),
        (TcpFlags::FIN, "FIN"),
        (TcpFlags::RST, "RST"),
        (TcpFlags::ACK, "ACK"),
        (TcpFlags::URG, "URG"),
        (TcpFlags::CWR, "CWR"),
    ];
    let names = NAMES.iter().filter(|(flag, _)| step.segment.has(*flag));
    let names: Vec<&str> = names.map(|(_, name)| *name).collect();
    names.join(" ")
}

fn numbers(step: &SegmentStep, with_ack: bool) -> String {
    let segment = &step.segment;
    let mut text = format!("SEQ={}", segment.seq);
    if let Some(ack) = segment.ack.filter(|_| with_ack) {
        text += &format!(" ACK={ack}");
    }
    if segment.len > 0 {
        text += &format!(" LEN={}", segment.len);
    }
    // The window is told where it matters: when it is shut.
    if segment.window == 0 && !segment.has(TcpFlags::RST) {
        text += " WIN=0";
    }
    text
}
