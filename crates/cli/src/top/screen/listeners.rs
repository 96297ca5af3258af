//! Listeners with their queues, SYNs over time, and who sends them.

use handwave::control::protocol::{Flood, Queues, Socket};
use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, RenderDirection, Row, Sparkline, SparklineBar, Table};

use super::{ALARM, BAR, COLUMNS_WIDE, DIM, heading};
use crate::top::format::{bar, clock, count, fitted, place};
use crate::top::model::Model;
use crate::top::words::Words;

/// So many SYNs a second fill the graph at least, so that a few look like few.
const SCALE_MIN: u64 = 100;

/// How many rows the listeners take, a line that says how many are left out among them.
pub(super) fn rows(model: &Model, max: usize) -> usize {
    model.listeners().len().clamp(1, max)
}

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, model: &Model, words: &Words) {
    let wide = area.width >= COLUMNS_WIDE;
    let listeners = model.listeners();
    let room = usize::from(area.height.saturating_sub(1));
    let left_out = listeners.len().saturating_sub(room);
    let shown = if left_out > 0 { room - 1 } else { room };
    let columns = Columns::of(wide);
    let mut rows: Vec<Row<'_>> = listeners
        .iter()
        .take(shown)
        .map(|(socket, queues)| row(socket, queues, &columns))
        .collect();
    if left_out > 0 {
        let text = format!("+{} {}", left_out + 1, words.more);
        rows.push(Row::new([Cell::from(text)]).style(DIM));
    }
    if listeners.is_empty() {
        rows.push(Row::new([Cell::from(words.none)]).style(DIM));
    }
    let mut header = vec![
        Cell::from(words.listeners),
        Cell::from(words.syn_queue),
        Cell::from(words.accept_queue),
        right("SYN/s".to_owned()),
        right(words.cookies.to_owned()),
    ];
    if wide {
        header.push(right(words.failed.to_owned()));
        header.push(right(words.lost.to_owned()));
    }
    header.push(right(words.detector.to_owned()));
    let table = Table::new(rows, columns.widths()).header(Row::new(header).style(BAR));
    frame.render_widget(table, area);
}

/// How wide what is.
struct Columns {
    wide: bool,
    place: u16,
    syn_bar: usize,
    accept_bar: usize,
}

impl Columns {
    const fn of(wide: bool) -> Self {
        if wide {
            Self {
                wide,
                place: 24,
                syn_bar: 14,
                accept_bar: 10,
            }
        } else {
            Self {
                wide,
                place: 18,
                syn_bar: 8,
                accept_bar: 6,
            }
        }
    }

    fn widths(&self) -> Vec<Constraint> {
        let gauge = |bar: usize| Constraint::Length(u16::try_from(bar).unwrap_or(0) + 12);
        let mut widths = vec![
            Constraint::Fill(1),
            gauge(self.syn_bar),
            gauge(self.accept_bar),
            Constraint::Length(6),
            Constraint::Length(9),
        ];
        if self.wide {
            widths.extend([Constraint::Length(6), Constraint::Length(6)]);
        }
        widths.push(Constraint::Length(7));
        widths
    }
}

fn row<'a>(socket: &Socket, queues: &Queues, columns: &Columns) -> Row<'a> {
    let rates = &queues.rates;
    let at = fitted(place(&socket.local), usize::from(columns.place));
    let mut cells = vec![
        Cell::from(at),
        gauge(queues.syn_queue, queues.syn_queue_max, columns.syn_bar),
        gauge(
            queues.accept_queue,
            queues.accept_queue_max,
            columns.accept_bar,
        ),
        right(count(rates.syns.into())),
        right(count(rates.cookies_sent.into())),
    ];
    if columns.wide {
        cells.push(right(count(rates.cookies_failed.into())));
        cells.push(right(count(rates.drops.into())));
    }
    cells.push(match queues.flood {
        Flood::Calm => right("-".to_owned()).style(DIM),
        Flood::Flooded { for_ms } => right(clock(for_ms)).style(ALARM),
    });
    Row::new(cells)
}

/// A bar with its numbers, in the colour of its pressure.
fn gauge<'a>(value: u64, max: u64, columns: usize) -> Cell<'a> {
    let percent = value.saturating_mul(100) / max.max(1);
    let color = match percent {
        0..50 => Color::Green,
        50..80 => Color::Yellow,
        _ => Color::Red,
    };
    let (on, off) = bar(value, max, columns);
    Cell::from(Line::from(vec![
        Span::styled(on, Style::new().fg(color)),
        Span::styled(off, DIM),
        Span::raw(format!(" {}/{}", count(value), count(max))),
    ]))
}

fn right<'a>(text: String) -> Cell<'a> {
    Cell::from(Line::from(text).alignment(Alignment::Right))
}

/// SYNs over time on the left, the fastest sources on the right.
pub(super) fn draw_syns(frame: &mut Frame<'_>, area: Rect, model: &Model, words: &Words) {
    let [left, right] = Layout::horizontal([Constraint::Fill(5), Constraint::Fill(4)]).areas(area);
    let shown = model.past.iter().take(usize::from(left.width));
    let (now, peak) = (
        model.past.front().map_or(0, |past| past.syns),
        shown
            .clone()
            .map(|past| past.syns)
            .max()
            .unwrap_or_default(),
    );
    let title = format!(
        "SYN/s  {} {}  {} {}",
        words.now,
        count(now),
        words.peak,
        count(peak)
    );
    heading(frame, left, Line::from(title));
    let bars = shown.map(|past| {
        let color = if past.flooded {
            Color::Red
        } else {
            Color::Green
        };
        SparklineBar::from(past.syns).style(Style::new().fg(color))
    });
    let sparkline = Sparkline::default()
        .direction(RenderDirection::RightToLeft)
        .max(peak.max(SCALE_MIN))
        .data(bars.collect::<Vec<_>>());
    frame.render_widget(sparkline, below(left));
    draw_sources(frame, right, model, words);
}

fn draw_sources(frame: &mut Frame<'_>, area: Rect, model: &Model, words: &Words) {
    let title = Line::from(format!(" {}  {}", words.sources, words.sources_note));
    heading(frame, area, title);
    let sources = model.top_sources();
    let list = below(area);
    let fastest = sources.first().map_or(1.0, |source| source.syns_per_second);
    let rows = sources.iter().take(usize::from(list.height)).map(|source| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "rates are small and never negative, and a cast saturates"
        )]
        let whole = |rate: f64| rate.round() as u64;
        let share = bar(
            whole(source.syns_per_second * 64.0),
            whole(fastest * 64.0),
            6,
        );
        Row::new([
            Cell::from(format!(" {}", fitted(source.prefix.clone(), 21))),
            right(count(whole(source.syns_per_second).max(1))),
            Cell::from(Span::styled(share.0, Style::new().fg(Color::Magenta))),
        ])
    });
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(6),
        Constraint::Length(6),
    ];
    if sources.is_empty() {
        let none = Line::styled(format!(" {}", words.none), DIM);
        frame.render_widget(none, list);
    } else {
        frame.render_widget(Table::new(rows, widths), list);
    }
}

/// All but the heading.
fn below(area: Rect) -> Rect {
    Rect {
        y: area.y + 1,
        height: area.height.saturating_sub(1),
        ..area
    }
}
