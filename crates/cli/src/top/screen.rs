//! The picture: a title, listeners, SYNs over time beside who sends them, states, connections, and the keys.

mod connections;
mod detail;
mod listeners;

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Clear, Padding, Paragraph, Wrap};

use super::format::{clock, count};
use super::model::{Mode, Model};
use super::words::{self, Words};

/// The smallest terminal in which everything has its place.
const COLUMNS_MIN: u16 = 80;
const ROWS_MIN: u16 = 24;
/// From so many rows on there is room for more of everything, and some air.
const ROWS_ROOMY: u16 = 34;
/// From so many columns on, tables have all their columns.
const COLUMNS_WIDE: u16 = 110;

/// Headings of sections and of columns.
const BAR: Style = Style::new().fg(Color::Black).bg(Color::Cyan);
const DIM: Style = Style::new().add_modifier(Modifier::DIM);
const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const ALARM: Style = Style::new()
    .fg(Color::White)
    .bg(Color::Red)
    .add_modifier(Modifier::BOLD);

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, model: &Model) {
    let words = words::of(model.language);
    let area = frame.area();
    if area.width < COLUMNS_MIN || area.height < ROWS_MIN {
        return too_small(frame, area, model, words);
    }
    let roomy = area.height >= ROWS_ROOMY;
    let states = states(model, words, area.width);
    let rows = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
    let shown = listeners::rows(model, if roomy { 8 } else { 4 });
    let [title, listening, middle, states_area, table, footer] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(rows(shown) + 1),
        Constraint::Length(if roomy { 9 } else { 5 }),
        Constraint::Length(rows(states.len())),
        Constraint::Min(4),
        Constraint::Length(1),
    ])
    .spacing(u16::from(roomy))
    .areas(area);
    draw_title(frame, title, model, words);
    listeners::draw(frame, listening, model, words);
    listeners::draw_syns(frame, middle, model, words);
    frame.render_widget(Paragraph::new(states), states_area);
    connections::draw(frame, table, model, words);
    draw_keys(frame, footer, model, words);
    match model.mode {
        Mode::Detail => detail::draw(frame, area, model, words),
        Mode::Help => help(frame, area, words),
        Mode::Table | Mode::Filter => {}
    }
}

/// As high as this the picture has to be to show what there is, within reason.
pub(super) fn rows_wanted(model: &Model) -> u16 {
    let connections = u16::try_from(model.connections().len()).unwrap_or(u16::MAX);
    connections.clamp(0, 24).saturating_add(16).max(ROWS_MIN)
}

fn draw_title(frame: &mut Frame<'_>, area: Rect, model: &Model, words: &Words) {
    let summary = &model.sample.summary;
    let left = Line::from(vec![
        Span::styled("handwave top", BOLD),
        Span::raw(format!("  {}", model.program)),
        Span::styled(
            format!(
                "  {} {}, {} {}",
                words.process,
                model.pid,
                words.up,
                clock(summary.uptime_ms)
            ),
            DIM,
        ),
    ]);
    let right = match model.flooded_for() {
        Some(millis) => Line::styled(format!(" ▲ {} {} ", words.flood, clock(millis)), ALARM),
        None => Line::styled(format!("● {}", words.calm), Style::new().fg(Color::Green)),
    };
    frame.render_widget(left, area);
    frame.render_widget(right.alignment(Alignment::Right), area);
}

/// How many sockets are in which state, on as many lines as it takes.
fn states<'a>(model: &Model, words: &'a Words, columns: u16) -> Vec<Line<'a>> {
    let mut lines = vec![Line::from(Span::styled(words.states, BOLD))];
    let mut add = |spans: Vec<Span<'a>>| {
        let width: usize = spans.iter().map(Span::width).sum();
        if let Some(last) = lines
            .last_mut()
            .filter(|last| last.width() + width <= usize::from(columns))
        {
            last.spans.extend(spans);
        } else {
            let mut line = Line::from(" ".repeat(Line::from(words.states).width()));
            line.spans.extend(spans);
            lines.push(line);
        }
    };
    for (state, number) in model.states() {
        add(vec![
            Span::styled(format!("  {} ", state.name()), Style::new().fg(Color::Cyan)),
            Span::raw(count(number)),
        ]);
    }
    let summary = &model.sample.summary;
    let (held, hard) = (count(summary.memory_held), count(summary.memory_hard));
    add(vec![Span::styled(
        format!("  {} {held}/{hard}", words.memory),
        DIM,
    )]);
    lines.truncate(3);
    lines
}

fn draw_keys(frame: &mut Frame<'_>, area: Rect, model: &Model, words: &Words) {
    let keys = match model.mode {
        Mode::Filter => &words.keys_filter[..],
        Mode::Detail => &words.keys_detail,
        Mode::Table | Mode::Help => &words.keys,
    };
    let mut line = Line::default();
    if model.mode == Mode::Filter {
        line.push_span(Span::styled(format!("{}: ", words.filter), BOLD));
        line.push_span(Span::raw(format!("{}▏  ", model.filter)));
    }
    for (key, does) in keys {
        line.push_span(Span::styled(format!(" {key} "), BAR));
        line.push_span(Span::raw(format!(" {does}  ")));
    }
    frame.render_widget(line, area);
}

/// A heading that fills its line.
fn heading(frame: &mut Frame<'_>, area: Rect, line: Line<'_>) {
    frame.render_widget(line.style(BAR), Rect { height: 1, ..area });
}

/// A window in the middle.
fn window(frame: &mut Frame<'_>, area: Rect, title: String, columns: u16, rows: u16) -> Rect {
    let [area] = Layout::horizontal([Constraint::Length(columns.min(area.width))])
        .flex(ratatui::layout::Flex::Center)
        .areas(area);
    let [area] = Layout::vertical([Constraint::Length(rows.min(area.height))])
        .flex(ratatui::layout::Flex::Center)
        .areas(area);
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(Style::new().fg(Color::Cyan))
        .padding(Padding::horizontal(1))
        .title(Line::styled(format!(" {title} "), BOLD));
    let inner = block.inner(area);
    frame.render_widget(Clear, area);
    frame.render_widget(block, area);
    inner
}

fn help(frame: &mut Frame<'_>, area: Rect, words: &Words) {
    let lines: Vec<Line<'_>> = words.help.iter().copied().map(Line::raw).collect();
    let rows = u16::try_from(lines.len())
        .unwrap_or(u16::MAX)
        .saturating_add(2);
    let inner = window(frame, area, words.help_title.to_owned(), 74, rows);
    frame.render_widget(Paragraph::new(lines), inner);
}

/// What matters most, where there is no room for the rest.
fn too_small(frame: &mut Frame<'_>, area: Rect, model: &Model, words: &Words) {
    let syns = model.past.front().map_or(0, |past| past.syns);
    let alarm = match model.flooded_for() {
        Some(millis) => Line::styled(format!(" ▲ {} {} ", words.flood, clock(millis)), ALARM),
        None => Line::styled(format!("● {}", words.calm), Style::new().fg(Color::Green)),
    };
    let lines = vec![
        alarm,
        Line::raw(format!("{} SYN/s", count(syns))),
        Line::raw(format!("{} {} × {}", words.needs, area.width, area.height)),
        Line::raw(format!("q: {}", words.keys[0].1)),
    ];
    let text = Paragraph::new(lines)
        .alignment(Alignment::Center)
        .wrap(Wrap { trim: true });
    frame.render_widget(text, area);
}
