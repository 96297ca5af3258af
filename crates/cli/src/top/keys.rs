//! What the keys do.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::model::{Mode, Model, ORDERS};

/// The longest filter, in characters.
const FILTER_MAX: usize = 64;
/// Rows that PgUp and PgDn go.
const PAGE: isize = 10;

/// What follows from a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing, or nothing but another picture.
    Draw,
    /// Other connections are needed.
    Ask,
    Quit,
}

pub(super) fn press(model: &mut Model, key: KeyEvent) -> Outcome {
    if key.kind == KeyEventKind::Release {
        return Outcome::Draw;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c') => Outcome::Quit,
            _ => Outcome::Draw,
        };
    }
    match model.mode {
        Mode::Filter => typed(model, key.code),
        Mode::Table | Mode::Detail => in_table(model, key.code),
        Mode::Help => {
            model.mode = Mode::Table;
            match key.code {
                KeyCode::Char('q') => Outcome::Quit,
                _ => Outcome::Draw,
            }
        }
    }
}

fn in_table(model: &mut Model, key: KeyCode) -> Outcome {
    match key {
        KeyCode::Char('q') => return Outcome::Quit,
        KeyCode::Esc if model.mode == Mode::Detail => model.mode = Mode::Table,
        KeyCode::Esc if !model.filter.is_empty() => {
            model.filter.clear();
            return Outcome::Ask;
        }
        KeyCode::Esc => return Outcome::Quit,
        KeyCode::Char('?' | 'h') | KeyCode::F(1) => model.mode = Mode::Help,
        KeyCode::Char('/') => model.mode = Mode::Filter,
        KeyCode::Char('s') => return sort(model, 1),
        KeyCode::Char('S') => return sort(model, ORDERS.len() - 1),
        KeyCode::Enter if model.mode == Mode::Detail => model.mode = Mode::Table,
        KeyCode::Enter => {
            if model.selected_row().is_none() {
                model.select_by(1);
            }
            if model.selected_row().is_some() {
                model.mode = Mode::Detail;
            }
        }
        KeyCode::Down | KeyCode::Char('j') => model.select_by(1),
        KeyCode::Up | KeyCode::Char('k') => model.select_by(-1),
        KeyCode::PageDown => model.select_by(PAGE),
        KeyCode::PageUp => model.select_by(-PAGE),
        KeyCode::Home => model.select_by(isize::MIN),
        KeyCode::End => model.select_by(isize::MAX),
        _ => {}
    }
    Outcome::Draw
}

fn sort(model: &mut Model, step: usize) -> Outcome {
    model.order = (model.order + step) % ORDERS.len();
    Outcome::Ask
}

fn typed(model: &mut Model, key: KeyCode) -> Outcome {
    match key {
        KeyCode::Enter => model.mode = Mode::Table,
        KeyCode::Esc => {
            model.mode = Mode::Table;
            model.filter.clear();
        }
        KeyCode::Backspace => {
            model.filter.pop();
        }
        KeyCode::Char(c) if model.filter.chars().count() < FILTER_MAX => model.filter.push(c),
        _ => return Outcome::Draw,
    }
    Outcome::Ask
}
