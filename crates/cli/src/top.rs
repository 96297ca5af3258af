//! `handwave top`: a stack in another process on one screen, again and again.

mod format;
mod keys;
mod model;
mod poll;
mod screen;
mod terminal;
#[cfg(test)]
mod tests;
mod words;

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::Duration;

use crossterm::event::{self, Event};
use handwave::control::Client;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::Color;
use ratatui::{Frame, Terminal};

use self::keys::Outcome;
use self::model::Model;
use self::poll::Wish;
use self::terminal::Ours;
use crate::args::{Common, TopArgs};
use crate::control;
use crate::failure::{Failure, Kind};
use crate::live::Interrupts;
use crate::screen::Screen;

/// How long a key, a signal or an answer may have to wait for another of them.
const TICK: Duration = Duration::from_millis(50);

/// Runs the subcommand.
pub(crate) fn run(args: &TopArgs, common: &Common) -> Result<ExitCode, Failure> {
    let client = control::client(&args.look)?;
    let hello = client.hello();
    let model = Model::new(common.language(), hello.program.clone(), hello.pid);
    if args.once || !io::stdout().is_terminal() {
        return once(client, model, common);
    }
    let path = client.path().to_owned();
    let plain = common.color.choice() == anstream::ColorChoice::Never
        || (common.color.choice() == anstream::ColorChoice::Auto
            && std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()));
    let watched = Watched { model, plain, path };
    watched.run(client, args.interval)
}

/// One picture as text, as wide as the terminal and as high as it has to be.
fn once(mut client: Client, mut model: Model, common: &Common) -> Result<ExitCode, Failure> {
    let sample = poll::ask(&mut client, Wish::of(&model));
    model.take(sample.map_err(|error| control::lost(client.path(), &error))?);
    let mut screen = Screen::new(common.color.choice(), None);
    let columns = u16::try_from(screen.width()).unwrap_or(u16::MAX).max(80);
    let text = picture(&model, columns, screen::rows_wanted(&model));
    // The last line says what keys do, which nobody can press.
    let shown = text
        .trim_end()
        .rsplit_once('\n')
        .map_or("", |(shown, _)| shown);
    screen.text(&format!("{}\n", shown.trim_end()))?;
    screen.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// The picture as lines of text.
fn picture(model: &Model, columns: u16, rows: u16) -> String {
    let Ok(mut terminal) = Terminal::new(TestBackend::new(columns, rows));
    let Ok(_) = terminal.draw(|frame| screen::draw(frame, model));
    let buffer = terminal.backend().buffer();
    let lines = (0..rows).map(|row| text_of(buffer, row, columns));
    lines.map(|line| line + "\n").collect()
}

fn text_of(buffer: &Buffer, row: u16, columns: u16) -> String {
    let mut text = String::new();
    let mut column = 0;
    while column < columns {
        let symbol = buffer[(column, row)].symbol();
        text.push_str(symbol);
        // A wide character has the next cell as well.
        let width = ratatui::text::Span::raw(symbol).width().max(1);
        column += u16::try_from(width).unwrap_or(1);
    }
    text.trim_end().to_owned()
}

/// What is watched, and how it is shown.
struct Watched {
    model: Model,
    /// Without colours.
    plain: bool,
    path: PathBuf,
}

impl Watched {
    fn run(mut self, client: Client, interval: Duration) -> Result<ExitCode, Failure> {
        let failed =
            |error: io::Error| Failure::new(Kind::Failed, "cannot begin to watch").because(error);
        let interrupted = interrupts().map_err(failed)?;
        let (wish, wishes) = mpsc::channel();
        let (answer, answers) = mpsc::channel();
        poll::start(client, Wish::of(&self.model), interval, wishes, answer).map_err(failed)?;
        let mut ours = Ours::take().map_err(|error| cannot_draw(&error))?;
        let mut stale = true;
        loop {
            if stale {
                let drawn = ours.terminal.draw(|frame| self.draw(frame));
                drawn.map_err(|error| cannot_draw(&error))?;
                stale = false;
            }
            if event::poll(TICK).map_err(|error| cannot_draw(&error))? {
                let event = event::read().map_err(|error| cannot_draw(&error))?;
                stale = true;
                match self.handle(&event) {
                    Outcome::Draw => {}
                    // Whoever is no longer there to hear it has said so in the answers.
                    Outcome::Ask => drop(wish.send(Wish::of(&self.model))),
                    Outcome::Quit => return Ok(ExitCode::SUCCESS),
                }
            }
            match answers.try_recv() {
                Ok(Ok(sample)) => {
                    self.model.take(sample);
                    stale = true;
                }
                Ok(Err(error)) => return Err(control::lost(&self.path, &error)),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return Ok(ExitCode::FAILURE),
            }
            if interrupted.try_recv().is_ok() {
                return Ok(ExitCode::SUCCESS);
            }
        }
    }

    fn handle(&mut self, event: &Event) -> Outcome {
        match event {
            Event::Key(key) => keys::press(&mut self.model, *key),
            // Of another size, most likely.
            _ => Outcome::Draw,
        }
    }

    fn draw(&self, frame: &mut Frame<'_>) {
        screen::draw(frame, &self.model);
        if self.plain {
            for cell in &mut frame.buffer_mut().content {
                // What only a background sets apart is set apart without colours, too.
                if cell.bg != Color::Reset {
                    cell.modifier |= ratatui::style::Modifier::REVERSED;
                }
                (cell.fg, cell.bg) = (Color::Reset, Color::Reset);
            }
        }
    }
}

fn cannot_draw(error: &io::Error) -> Failure {
    Failure::new(Kind::Failed, "cannot draw on this terminal")
        .because(error)
        .hint("handwave top --once")
}

/// Tells when a signal asks for the end: the terminal has to be given back first.
fn interrupts() -> io::Result<Receiver<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut signals = runtime.block_on(async { Interrupts::new() })?;
    let (interrupt, interrupted) = mpsc::channel();
    let thread = thread::Builder::new().name("handwave-signals".to_owned());
    thread.spawn(move || {
        runtime.block_on(signals.next());
        // If nobody listens, the end has come already.
        let _ = interrupt.send(());
    })?;
    Ok(interrupted)
}
