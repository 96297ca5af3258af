//! TELNET (RFC 854): inetutils-telnetd behind inetd, and inetutils-telnet, which somebody types at.
//!
//! What is typed and what is answered crosses a terminal on the server's side, in pieces of a few octets, after both ends have
//! negotiated options.

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::handwave::{self, ADDRESS};
use crate::support::world::{FOLDER, GUEST, PASSWORD, Protocol, World};
use crate::support::{Outcome, contains};

/// How long the other side may be silent.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many lines a long answer has.
const LINES: usize = 5_000;

pub(crate) fn play(world: &mut World) -> Outcome {
    let service = b"127.0.0.1:23 stream tcp nowait root /usr/sbin/telnetd telnetd\n";
    let configuration = world.write("inetd.conf", service)?;
    world.start("inetd", &["inetutils-inetd", "-d", &configuration])?;
    world.wait_for_port(Protocol::Tcp, 23)?;
    handwave::serve(world, &["23=127.0.0.1:23"])?;

    let mut talk = Talk::begin(world.converse(&["inetutils-telnet", ADDRESS])?)?;
    talk.wait_for("login: ")?;
    talk.type_line(GUEST)?;
    talk.wait_for("Password: ")?;
    talk.type_line(PASSWORD)?;
    // The shell computes the answers, so that the terminal's echo of the question is not taken for one.
    talk.wait_for("$ ")?;
    talk.type_line("echo I am $(id -un), at home in $PWD, $((6 * 7))")?;
    talk.wait_for(&format!("I am {GUEST}, at home in {FOLDER}/home, 42"))?;
    talk.type_line(&format!("seq -f 'line %g' {LINES}; echo all $((1 + 1))"))?;
    let answer = talk.wait_for("all 2")?;
    let lines = (1..=LINES).fold(String::new(), |lines, n| lines + &format!("line {n}\r\n"));
    contains("the long answer", &answer, &lines)?;
    talk.type_line("echo typed >typed; exit")?;
    talk.wait_for_end()?;
    contains(
        "what was typed",
        &String::from_utf8_lossy(&world.read("home/typed")?),
        "typed",
    )
}

/// A program that is typed at.
struct Talk {
    child: Child,
    keys: ChildStdin,
    screen: Receiver<Vec<u8>>,
    /// What has been shown and not yet been waited for.
    shown: String,
}

impl Talk {
    fn begin(mut child: Child) -> Result<Self, String> {
        let keys = child.stdin.take().ok_or("no standard input")?;
        let mut stdout = child.stdout.take().ok_or("no standard output")?;
        let (sender, screen) = mpsc::channel();
        thread::spawn(move || {
            let mut piece = [0; 4_096];
            while let Ok(len @ 1..) = stdout.read(&mut piece) {
                if sender.send(piece[..len].to_vec()).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            child,
            keys,
            screen,
            shown: String::new(),
        })
    }

    fn type_line(&mut self, line: &str) -> Outcome {
        self.keys
            .write_all(format!("{line}\n").as_bytes())
            .and_then(|()| self.keys.flush())
            .map_err(|error| format!("`{line}` cannot be typed: {error}"))
    }

    /// Returns what is shown up to a text, and with it.
    fn wait_for(&mut self, text: &str) -> Result<String, String> {
        loop {
            if let Some(at) = self.shown.find(text) {
                let rest = self.shown.split_off(at + text.len());
                return Ok(std::mem::replace(&mut self.shown, rest));
            }
            let Ok(piece) = self.screen.recv_timeout(PATIENCE) else {
                return Err(format!("`{text}` was not shown, but:\n{}", self.shown));
            };
            self.shown += &String::from_utf8_lossy(&piece);
        }
    }

    /// Waits until the program has ended because the server closed.
    fn wait_for_end(mut self) -> Outcome {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Ok(Some(_)) = self.child.try_wait() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err("the client did not end after the server's end".to_owned())
    }
}
