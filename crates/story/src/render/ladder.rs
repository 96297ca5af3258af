//! The ladder: two lifelines, time running down, an arrow for every segment, and what it means underneath.
//!
//! ```text
//!                  client                                                    server
//!               CLOSED    │                                                  │ LISTEN
//!    0.000 ms SYN-SENT    ├── SYN  SEQ=X ────────────────────────────────────▶│ SYN-RECEIVED  20.000 ms
//! ```
//!
//! Time runs downwards on both lifelines. A segment is one row where nothing else happens at its destination while it is
//! on its way; otherwise departure and arrival have a row each, so that segments visibly cross.

mod label;
mod moments;

use std::cell::Cell;
use std::time::Duration;

use handwave_tcp::{Instant, Phase};

use self::label::{Labelled, plain};
use self::moments::{Moments, Row};
use super::text::{Line, Span, Style, width, wrap};
use crate::lang::{Language, Omitted};
use crate::model::{SegmentStep, Side, Step, Story, What};
use crate::quantity;
use crate::sentence::Sentence;

/// How a ladder is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ladder {
    /// Columns to use; less than 60 is taken as 60.
    pub width: usize,
    /// The language of the sentences.
    pub language: Language,
    /// Which steps are shown.
    pub detail: Detail,
    /// Whether sentences and sums stand under the arrows.
    pub explain: bool,
    /// Whether both ends' variables stand there too.
    pub vars: bool,
}

/// Which steps a picture shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// All of them.
    All,
    /// Opening, closing, and some of what goes wrong in between: the first lost segments with what follows from each.
    /// The rest is counted.
    Summary {
        /// How many losses, and how many other troubles, are shown.
        troubles_max: usize,
    },
}

/// A time takes this many columns, `999.999 ms`.
const TIME: usize = 10;
/// A state takes this many, `SYN-RECEIVED`.
const STATE: usize = 12;
/// Below this width the times move into the middle.
const WIDE: usize = 92;
const WIDTH_MIN: usize = 60;

impl Ladder {
    /// Draws the story.
    pub fn draw(&self, story: &Story) -> Vec<Line> {
        let width = self.width.max(WIDTH_MIN);
        let timed = width >= WIDE;
        let gutter = if timed {
            TIME + 1 + STATE + 1
        } else {
            STATE + 1
        };
        let pen = Pen {
            story,
            language: self.language,
            gutter,
            inner: width - 2 * gutter - 2,
            timed,
            vars: self.vars,
            loss_told: Cell::new(false),
        };
        let mut lines = pen.heading();
        let mut moments = Moments::new(story, self.detail);
        while let Some(row) = moments.next_row() {
            if self.explain || matches!(row, Row::Omitted(_)) {
                lines.push(pen.blank());
            }
            match row {
                Row::Segment {
                    step,
                    departs,
                    arrives,
                } => {
                    lines.extend(pen.segment(step, departs, arrives, self.explain));
                }
                Row::Local(step) => lines.push(pen.local(step)),
                Row::Omitted(omitted) => lines.extend(pen.omitted(&omitted)),
            }
        }
        lines.push(pen.blank());
        lines.push(pen.states([story.ends[0].last, story.ends[1].last]));
        lines
    }
}

/// What every row needs to know.
struct Pen<'a> {
    story: &'a Story,
    language: Language,
    /// Columns on each side of the lifelines.
    gutter: usize,
    /// Columns between the lifelines.
    inner: usize,
    /// Whether times stand in the gutters.
    timed: bool,
    /// Whether variables are shown.
    vars: bool,
    /// Whether it was said what a loss means.
    loss_told: Cell<bool>,
}

/// One row under construction: two gutters and what is between the lifelines.
struct Parts {
    gutters: [Option<Gutter>; 2],
    lifelines: [char; 2],
    inner: Vec<Span>,
}

/// What stands beside a lifeline.
struct Gutter {
    at: Option<Instant>,
    phase: Phase,
    entered: bool,
}

impl Parts {
    fn plain() -> Self {
        Self {
            gutters: [None, None],
            lifelines: ['│'; 2],
            inner: Vec::new(),
        }
    }
}

impl Pen<'_> {
    fn heading(&self) -> Vec<Line> {
        let ends = &self.story.ends;
        let columns = 2 * self.gutter + self.inner + 2;
        let both = |[left, right]: [String; 2], style: Style| {
            let mut line = Line::default();
            // What is wider than its gutter reaches inwards.
            line.pad_to((self.gutter - 1).saturating_sub(width(&left)));
            line.push(left, style);
            let start = (columns - self.gutter + 1).min(columns.saturating_sub(width(&right)));
            line.pad_to(start).push(right, style);
            line
        };
        let names = [0, 1].map(|i| self.language.role(ends[i].role).to_owned());
        let mut lines = vec![both(names, Style::Name)];
        lines.push(both(
            [0, 1].map(|i| ends[i].endpoint.to_string()),
            Style::Detail,
        ));
        let isn = |i: usize, side: Side| match ends[i].isn {
            Some(isn) => format!("{} = {}", side.letter(), isn.raw()),
            None => String::new(),
        };
        lines.push(both([isn(0, Side::A), isn(1, Side::B)], Style::Detail));
        lines.push(self.states([ends[0].first, ends[1].first]));
        lines
    }

    /// A row that shows nothing but both states.
    fn states(&self, phases: [Phase; 2]) -> Line {
        let mut parts = Parts::plain();
        parts.gutters = phases.map(|phase| {
            Some(Gutter {
                at: None,
                phase,
                entered: false,
            })
        });
        self.row(parts)
    }

    fn blank(&self) -> Line {
        self.row(Parts::plain())
    }

    fn row(&self, parts: Parts) -> Line {
        let [left, right] = parts.gutters;
        let mut line = Line::default();
        if let Some(gutter) = left {
            let state = format!("{:>STATE$} ", gutter.phase);
            if self.timed {
                line.push(format!("{:>TIME$} ", time(gutter.at)), Style::Time);
            }
            line.push(state, state_style(gutter.entered));
        }
        line.pad_to(self.gutter)
            .push(parts.lifelines[0], Style::Line);
        line.spans.extend(parts.inner);
        line.pad_to(self.gutter + 1 + self.inner)
            .push(parts.lifelines[1], Style::Line);
        if let Some(gutter) = right {
            line.push(
                format!(" {:<STATE$}", gutter.phase),
                state_style(gutter.entered),
            );
            if self.timed {
                line.push(format!(" {:>TIME$}", time(gutter.at)), Style::Time);
            }
        }
        line
    }

    /// Text between the lifelines, wrapped.
    fn note(&self, text: &str, style: Style) -> Vec<Line> {
        let lines = wrap(text, self.inner.saturating_sub(4)).into_iter();
        lines
            .map(|text| {
                let mut parts = Parts::plain();
                parts.inner = vec![plain("  "), Span { text, style }];
                self.row(parts)
            })
            .collect()
    }

    fn omitted(&self, omitted: &Omitted) -> Vec<Line> {
        let mut lines = Vec::new();
        let texts = self.language.omitted(omitted);
        for text in texts
            .iter()
            .flat_map(|text| wrap(text, self.inner.saturating_sub(2)))
        {
            let mut parts = Parts::plain();
            parts.lifelines = ['┊'; 2];
            let indent = (self.inner.saturating_sub(width(&text))) / 2;
            parts.inner = vec![
                plain(&" ".repeat(indent)),
                Span {
                    text,
                    style: Style::Omitted,
                },
            ];
            lines.push(self.row(parts));
        }
        lines
    }

    fn local(&self, step: &Step) -> Line {
        let What::Local(local) = &step.what else {
            return self.blank();
        };
        let mut parts = Parts::plain();
        let index = local.side.index();
        parts.gutters[index] = Some(Gutter {
            at: Some(step.at),
            phase: local.change.after,
            entered: local.change.is_change(),
        });
        parts.lifelines[index] = '●';
        let texts: Vec<String> = step
            .says
            .iter()
            .map(|says| says.text(self.language, self.story))
            .collect();
        let mut text = texts.join(" ");
        if width(&text) + 2 > self.inner {
            text = wrap(&text, self.inner - 3).swap_remove(0) + "…";
        }
        let indent = match local.side {
            Side::A => 1,
            Side::B => self.inner.saturating_sub(width(&text) + 1),
        };
        parts.inner = vec![
            plain(&" ".repeat(indent)),
            Span {
                text,
                style: Style::Local,
            },
        ];
        self.row(parts)
    }

    fn segment(&self, step: &Step, departs: bool, arrives: bool, explain: bool) -> Vec<Line> {
        let What::Segment(segment) = &step.what else {
            return Vec::new();
        };
        let mut parts = Parts::plain();
        let (from, to) = (segment.from.index(), segment.from.other().index());
        if departs {
            parts.lifelines[from] = if segment.from == Side::A {
                '├'
            } else {
                '┤'
            };
            parts.gutters[from] = segment.sender.map(|change| Gutter {
                at: Some(step.at),
                phase: change.after,
                entered: change.is_change(),
            });
        }
        if arrives {
            parts.gutters[to] = segment.receiver.map(|change| Gutter {
                at: segment.arrived_at(),
                phase: change.after,
                entered: change.is_change(),
            });
        }
        let label = Labelled::new(segment, self, departs && arrives);
        parts.inner = label.arrow(self, segment, departs, arrives);
        let mut lines = vec![self.row(parts)];
        if let Some(numbers) = label.overflow {
            lines.extend(self.note(&numbers, Style::Numbers));
        }
        if !self.timed {
            lines.extend(self.note(&journey(step, segment), Style::Time));
        }
        if explain {
            lines.extend(self.explanation(step, segment, departs, arrives));
        }
        if self.vars {
            let ends = [
                (departs, segment.from, segment.sender),
                (arrives, segment.from.other(), segment.receiver),
            ];
            for (_, side, change) in ends.into_iter().filter(|(here, ..)| *here) {
                if let Some(vars) = change.and_then(|change| change.vars) {
                    let name = self.language.role(self.story.end(side).role);
                    lines.extend(self.note(&format!("{name}: {vars}"), Style::Detail));
                }
            }
        }
        lines
    }

    fn explanation(
        &self,
        step: &Step,
        segment: &SegmentStep,
        departs: bool,
        arrives: bool,
    ) -> Vec<Line> {
        let mut lines = Vec::new();
        if let (true, Some(sum)) = (departs && advances(step), segment.arithmetic) {
            lines.extend(self.note(&sum.to_string(), Style::Arithmetic));
        }
        for says in &step.says {
            let here = if says.is_about_arrival() {
                arrives
            } else {
                departs
            };
            // Once is enough for what a loss means; the arrow says the rest.
            let known = *says == Sentence::Lost && self.loss_told.replace(true);
            if (here || segment.injected) && !known {
                lines.extend(self.note(&says.text(self.language, self.story), Style::Says));
            }
        }
        lines
    }
}

const fn state_style(entered: bool) -> Style {
    if entered {
        Style::StateEntered
    } else {
        Style::State
    }
}

/// Departure and arrival as one text, where the gutters have no room.
fn journey(step: &Step, segment: &SegmentStep) -> String {
    let sent = time(Some(step.at));
    match segment.arrived_at() {
        Some(at) => format!("{sent} → {}", time(Some(at))),
        None => sent,
    }
}

fn time(at: Option<Instant>) -> String {
    at.map_or_else(String::new, |at| {
        quantity::time(Duration::from_nanos(at.as_nanos()))
    })
}

/// Whether the sum behind the ACK is worth showing: where the sentence is about that ACK.
fn advances(step: &Step) -> bool {
    step.says.iter().any(Sentence::is_about_ack)
}

#[cfg(test)]
mod tests;
