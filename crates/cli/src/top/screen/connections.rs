//! The table of connections.

use handwave::control::protocol::{Order, Socket, State};
use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Cell, Row, Table, TableState};

use super::{BOLD, COLUMNS_WIDE, DIM, heading};
use crate::top::format::{count, fitted, micros, place};
use crate::top::model::{Mode, Model, ORDERS};
use crate::top::words::Words;

/// A column of numbers that connections can be ordered by.
struct Column {
    order: Order,
    name: &'static str,
    width: u16,
    look: fn(&Socket) -> Option<String>,
}

const COLUMNS: [Column; 7] = [
    Column {
        order: Order::Cwnd,
        name: "CWND",
        width: 7,
        look: |it| Some(count(it.info.as_ref()?.snd_cwnd.into())),
    },
    Column {
        order: Order::Rtt,
        name: "RTT",
        width: 7,
        look: |it| Some(micros(it.info.as_ref()?.rtt_us?)),
    },
    Column {
        order: Order::Retransmissions,
        name: "RETRANS",
        width: 8,
        look: |it| Some(count(it.info.as_ref()?.total_retrans.into())),
    },
    Column {
        order: Order::SendQ,
        name: "SEND-Q",
        width: 7,
        look: |it| it.info.as_ref().map(|_| count(it.send_q)),
    },
    Column {
        order: Order::RecvQ,
        name: "RECV-Q",
        width: 7,
        look: |it| it.info.as_ref().map(|_| count(it.recv_q)),
    },
    Column {
        order: Order::Acknowledged,
        name: "SENT",
        width: 7,
        look: |it| Some(count(it.info.as_ref()?.bytes_acked)),
    },
    Column {
        order: Order::Received,
        name: "RECEIVED",
        width: 9,
        look: |it| Some(count(it.info.as_ref()?.bytes_received)),
    },
];

/// Columns of the longest name of a state.
const STATE: u16 = 12;
/// Columns shown where there is little room.
const NARROW: usize = 3;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, model: &Model, words: &Words) {
    let (order, order_name) = ORDERS[model.order];
    let shown = model.connections();
    heading(frame, area, title(model, words, shown.len(), order_name));
    let area = Rect {
        y: area.y + 1,
        height: area.height.saturating_sub(1),
        ..area
    };
    if shown.is_empty() {
        let text = if model.sample.connections.is_empty() {
            words.none
        } else {
            words.no_match
        };
        frame.render_widget(Line::styled(text, DIM), area);
        return;
    }
    let columns = columns(area.width >= COLUMNS_WIDE, order);
    // Each column has one in front of it that stays empty.
    let taken: u16 = columns.iter().map(|column| column.width + 1).sum();
    let ends = usize::from(area.width.saturating_sub(taken + STATE + 2) / 2);
    let rows = shown.iter().map(|socket| row(socket, &columns, ends));
    let mut header = vec![
        Cell::from(words.local),
        Cell::from(words.peer),
        Cell::from(words.state),
    ];
    header.extend(columns.iter().map(|column| {
        let ordered = column.order == order;
        let mark = if ordered { "▼" } else { "" };
        let style = if ordered {
            BOLD.fg(Color::Yellow)
        } else {
            BOLD
        };
        right(format!("{mark}{}", column.name)).style(style)
    }));
    let mut widths = vec![
        Constraint::Fill(1),
        Constraint::Fill(1),
        Constraint::Length(STATE),
    ];
    widths.extend(
        columns
            .iter()
            .map(|column| Constraint::Length(column.width)),
    );
    let table = Table::new(rows, widths)
        .header(Row::new(header).style(BOLD))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::default().with_selected(model.selected_row());
    frame.render_stateful_widget(table, area, &mut state);
}

fn title<'a>(model: &'a Model, words: &'a Words, shown: usize, order: &str) -> Line<'a> {
    let all: u64 = model
        .states()
        .filter(|(state, _)| !matches!(state, State::Listen | State::TimeWait))
        .map(|(_, number)| number)
        .sum();
    let mut text = format!(
        "{}  {}/{}  {} {order}",
        words.connections,
        count(shown as u64),
        count(all),
        words.by
    );
    if !model.filter.is_empty() && model.mode != Mode::Filter {
        text.push_str(&format!("  {}: {}", words.filter, model.filter));
    }
    Line::from(text)
}

/// The columns there is room for, that of the order always among them.
fn columns(wide: bool, order: Order) -> Vec<&'static Column> {
    if wide {
        return COLUMNS.iter().collect();
    }
    let mut shown: Vec<_> = COLUMNS.iter().take(NARROW).collect();
    if let Some(ordered) = COLUMNS.iter().skip(NARROW).find(|it| it.order == order) {
        shown[0] = ordered;
    }
    shown
}

fn row<'a>(socket: &Socket, columns: &[&Column], ends: usize) -> Row<'a> {
    let state = match socket.state {
        State::Established => Style::new().fg(Color::Green),
        State::SynReceived | State::SynSent => Style::new().fg(Color::Yellow),
        _ => Style::new().fg(Color::Cyan),
    };
    let mut cells = vec![
        Cell::from(fitted(place(&socket.local), ends)),
        Cell::from(fitted(place(&socket.peer), ends)),
        Cell::from(socket.state.name()).style(state),
    ];
    cells.extend(columns.iter().map(|column| {
        let text = (column.look)(socket);
        let troubled = column.order == Order::Retransmissions
            && text.as_deref().is_some_and(|text| text != "0");
        let style = if troubled {
            Style::new().fg(Color::Yellow)
        } else {
            Style::new()
        };
        right(text.unwrap_or_else(|| "-".to_owned())).style(style)
    }));
    Row::new(cells)
}

fn right<'a>(text: String) -> Cell<'a> {
    Cell::from(Line::from(text).alignment(Alignment::Right))
}
