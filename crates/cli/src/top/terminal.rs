//! The terminal while it is ours, and as it was afterwards, whatever ends the program.

use std::io::{self, Stdout};

use crossterm::cursor::Show;
use crossterm::execute;
use crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;

/// A terminal that is drawn on; given back when this is dropped.
pub(super) struct Ours {
    pub(super) terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Ours {
    pub(super) fn take() -> io::Result<Self> {
        // A message of a panic belongs on the screen that stays.
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            give_back();
            hook(info);
        }));
        enable_raw_mode()?;
        let entered = execute!(io::stdout(), EnterAlternateScreen)
            .and_then(|()| Terminal::new(CrosstermBackend::new(io::stdout())));
        match entered {
            Ok(terminal) => Ok(Self { terminal }),
            Err(error) => {
                give_back();
                Err(error)
            }
        }
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        give_back();
    }
}

/// As it was. Doing it twice does no harm; where it fails, the terminal is gone.
fn give_back() {
    let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
}
