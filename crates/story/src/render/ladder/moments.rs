//! The order of rows: two columns of moments, merged so that time runs downwards in both.

use std::collections::VecDeque;

use handwave_tcp::Instant;

use super::Detail;
use crate::lang::Omitted;
use crate::model::{Fate, Number, SegmentStep, Side, Step, Story, Weight, What};
use crate::sentence::Sentence;

/// A row of the picture.
pub(super) enum Row<'a> {
    /// A segment leaves, arrives, or does both in one row.
    Segment {
        step: &'a Step,
        departs: bool,
        arrives: bool,
    },
    /// Something inside one end.
    Local(&'a Step),
    /// Steps that are not shown.
    Omitted(Omitted),
}

/// The moments of both sides that are still to be drawn.
pub(super) struct Moments<'a> {
    columns: [VecDeque<Moment<'a>>; 2],
    omitted: Gap,
}

struct Moment<'a> {
    at: Instant,
    order: usize,
    step: &'a Step,
    kind: Kind,
    shown: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Departs,
    Arrives,
    Local,
}

/// Decides which steps are shown.
struct Choice {
    detail: Detail,
    /// The numbers of lost segments that are shown: what follows from them is shown too.
    losses: Vec<Number>,
    /// Other troubles that are shown.
    others: usize,
}

impl Choice {
    const fn new(detail: Detail) -> Self {
        Self {
            detail,
            losses: Vec::new(),
            others: 0,
        }
    }

    fn shows(&mut self, step: &Step) -> bool {
        let troubles_max = match self.detail {
            Detail::All => return true,
            Detail::Summary { troubles_max } => troubles_max,
        };
        let What::Segment(segment) = &step.what else {
            return true;
        };
        let seq = segment.segment.seq;
        let vanished = matches!(segment.fate, Fate::Lost | Fate::Corrupted);
        match step.weight {
            Weight::Key => true,
            Weight::Bulk => false,
            Weight::Notable if vanished && segment.segment.len > 0 => {
                if self.losses.len() < troubles_max && !self.losses.contains(&seq) {
                    self.losses.push(seq);
                }
                self.losses.contains(&seq)
            }
            Weight::Notable if segment.resent > 0 => self.losses.contains(&seq),
            Weight::Notable => {
                let missing = step.says.iter().find_map(|says| match says {
                    Sentence::OutOfOrder {
                        expected: missing, ..
                    }
                    | Sentence::AckStays { ack: missing, .. } => Some(*missing),
                    _ => None,
                });
                if let Some(missing) = missing {
                    return self.losses.contains(&missing);
                }
                self.others += 1;
                self.others <= troubles_max
            }
        }
    }
}

/// What was passed over since the last row.
#[derive(Default)]
struct Gap {
    omitted: Omitted,
    first: Option<Instant>,
}

impl<'a> Moments<'a> {
    pub(super) fn new(story: &'a Story, detail: Detail) -> Self {
        let mut columns = [Vec::new(), Vec::new()];
        let mut choice = Choice::new(detail);
        for step in &story.steps {
            let shown = choice.shows(step);
            let mut add = |side: Side, at: Instant, kind: Kind| {
                // What leaves no entry found no connection: it came after the last one that did.
                let order = step.order[side.index()].unwrap_or(usize::MAX);
                columns[side.index()].push(Moment {
                    at,
                    order,
                    step,
                    kind,
                    shown,
                });
            };
            match &step.what {
                What::Local(local) => add(local.side, step.at, Kind::Local),
                What::Segment(segment) => {
                    if !segment.injected {
                        add(segment.from, step.at, Kind::Departs);
                    }
                    if let Fate::Arrived { at, .. } = segment.fate {
                        add(segment.from.other(), at, Kind::Arrives);
                    }
                }
            }
        }
        let columns = columns.map(|mut column| {
            column.sort_by_key(|moment| (moment.at, moment.order));
            VecDeque::from(column)
        });
        Self {
            columns,
            omitted: Gap::default(),
        }
    }

    /// The next row from the top.
    pub(super) fn next_row(&mut self) -> Option<Row<'a>> {
        self.pass_over();
        let next = self
            .columns
            .iter()
            .filter_map(|column| Some(column.front()?.at))
            .min();
        if let Some(omitted) = self.omitted.take(next) {
            return Some(Row::Omitted(omitted));
        }
        let side = self.earlier();
        let moment = self.columns[side.index()].pop_front()?;
        Some(match moment.kind {
            Kind::Local => Row::Local(moment.step),
            Kind::Arrives => Row::Segment {
                step: moment.step,
                departs: false,
                arrives: true,
            },
            Kind::Departs => {
                let arrives = self.arrives_next(&moment, side.other());
                let never = !matches!(
                    &moment.step.what,
                    What::Segment(segment) if segment.arrived_at().is_some()
                );
                Row::Segment {
                    step: moment.step,
                    departs: true,
                    arrives: arrives || never,
                }
            }
        })
    }

    /// Takes the segment's arrival off its column, if nothing that is shown happens there before.
    fn arrives_next(&mut self, departure: &Moment<'a>, to: Side) -> bool {
        let column = &mut self.columns[to.index()];
        let hidden = column.iter().take_while(|moment| !moment.shown).count();
        let arrives = column.get(hidden).is_some_and(|next| {
            next.kind == Kind::Arrives && std::ptr::eq(next.step, departure.step)
        });
        if arrives {
            for moment in column.drain(..=hidden).take(hidden) {
                self.omitted.add(&moment);
            }
        }
        arrives
    }

    /// Takes what is not shown off both columns, as far as it precedes the next row.
    fn pass_over(&mut self) {
        loop {
            let column = &mut self.columns[self.earlier().index()];
            match column.pop_front() {
                Some(moment) if !moment.shown => self.omitted.add(&moment),
                Some(moment) => return column.push_front(moment),
                None => return,
            }
        }
    }

    /// The side whose next moment comes first; departures win, so that arrows start before they end.
    fn earlier(&self) -> Side {
        let [a, b] = self.columns.each_ref().map(|column| {
            column
                .front()
                .map(|next| (next.at, next.kind == Kind::Arrives))
        });
        match (a, b) {
            (Some(a), Some(b)) if b < a => Side::B,
            (None, Some(_)) => Side::B,
            _ => Side::A,
        }
    }
}

impl Gap {
    fn add(&mut self, moment: &Moment<'_>) {
        self.first = Some(self.first.map_or(moment.at, |first| first.min(moment.at)));
        let What::Segment(segment) = &moment.step.what else {
            return;
        };
        if moment.kind == Kind::Departs {
            self.count(segment);
        }
    }

    fn count(&mut self, segment: &SegmentStep) {
        let from = segment.from.index();
        let omitted = &mut self.omitted;
        if segment.segment.len > 0 {
            omitted.data[from] += 1;
            omitted.octets[from] += u64::from(segment.segment.len);
        } else {
            omitted.acks[from] += 1;
        }
        omitted.repeated += u64::from(segment.resent > 0);
        omitted.lost += u64::from(matches!(segment.fate, Fate::Lost | Fate::Corrupted));
    }

    /// Hands out what was counted since the last row, if anything was.
    fn take(&mut self, until: Option<Instant>) -> Option<Omitted> {
        if self.omitted == Omitted::default() {
            return None;
        }
        let gap = std::mem::take(self);
        let span = until
            .zip(gap.first)
            .map_or_else(Default::default, |(end, start)| end - start);
        Some(Omitted {
            span,
            ..gap.omitted
        })
    }
}
