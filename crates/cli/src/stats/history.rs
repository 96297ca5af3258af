//! What was shown before, so that the next call shows what has changed since.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Kind};

/// Where the history is, if not beside the control sockets.
const VARIABLE: &str = "HANDWAVE_STATS_HISTORY";
const NAME: &str = "stats.history";
/// Programs that are remembered, the latest.
const PROGRAMS_MAX: usize = 16;
/// The longest history that is read, in octets.
const LENGTH_MAX: u64 = 1 << 20;

/// The counters of a program at one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    /// The path of its control socket.
    pub(super) control: String,
    pub(super) pid: u32,
    /// How long it had been running, in milliseconds.
    pub(super) uptime_ms: u64,
    pub(super) counters: BTreeMap<String, u64>,
}

impl Seen {
    fn is_of_same_program(&self, other: &Self) -> bool {
        self.control == other.control && self.pid == other.pid
    }
}

/// What was seen of each program last, the latest at the end.
#[derive(Debug)]
pub(super) struct History {
    path: io::Result<PathBuf>,
    seen: Vec<Seen>,
}

impl History {
    /// The history of this user.
    pub(super) fn open() -> Self {
        let path = match std::env::var_os(VARIABLE) {
            Some(path) => Ok(path.into()),
            None => handwave::control::directory().map(|directory| directory.join(NAME)),
        };
        Self::at(path)
    }

    fn at(path: io::Result<PathBuf>) -> Self {
        let seen = path.as_deref().map(read);
        Self {
            seen: seen.unwrap_or_default(),
            path,
        }
    }

    /// What was seen of the same run of this program before.
    pub(super) fn before(&self, now: &Seen) -> Option<&Seen> {
        let of_program = |it: &&Seen| it.is_of_same_program(now);
        let before = self.seen.iter().find(of_program);
        // One that has been running for less time has begun anew under the same number.
        before.filter(|it| it.uptime_ms <= now.uptime_ms)
    }

    pub(super) fn forget(&mut self, program: &Seen) {
        self.seen.retain(|it| !it.is_of_same_program(program));
    }

    /// Remembers what has been shown.
    pub(super) fn remember(mut self, now: Seen) -> Result<(), Failure> {
        self.forget(&now);
        self.seen.push(now);
        let first = self.seen.len().saturating_sub(PROGRAMS_MAX);
        let written = match &self.path {
            Ok(path) => write(path, &self.seen[first..]),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        };
        written.map_err(|error| {
            let failure = Failure::new(Kind::Failed, "cannot remember what was shown");
            failure
                .because(error)
                .hint("-s, and the next call shows the same again and more")
                .hint(format!(
                    "{VARIABLE}=FILE, in a directory that can be written to"
                ))
        })
    }
}

/// What cannot be read was never written, or by another version: the next call starts it anew.
fn read(path: &Path) -> Vec<Seen> {
    let Ok(file) = std::fs::File::open(path) else {
        return Vec::new();
    };
    let mut octets = Vec::new();
    match file.take(LENGTH_MAX).read_to_end(&mut octets) {
        Ok(_) => serde_json::from_slice(&octets).unwrap_or_default(),
        Err(_) => Vec::new(),
    }
}

/// In one step, so that nobody reads half of it.
fn write(path: &Path, seen: &[Seen]) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(&serde_json::to_vec(seen)?)?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(pid: u32, uptime_ms: u64) -> Seen {
        Seen {
            control: "/run/handwave/control.sock".to_owned(),
            pid,
            uptime_ms,
            counters: BTreeMap::from([("TcpInSegs".to_owned(), uptime_ms)]),
        }
    }

    #[test]
    fn each_program_has_its_own_and_a_new_run_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history");
        let open = || History::at(Ok(path.clone()));
        assert_eq!(open().before(&seen(1, 5)), None);
        open().remember(seen(1, 5)).unwrap();
        open().remember(seen(2, 6)).unwrap();
        assert_eq!(open().before(&seen(1, 9)), Some(&seen(1, 5)));
        assert_eq!(open().before(&seen(2, 9)), Some(&seen(2, 6)));
        assert_eq!(open().before(&seen(1, 4)), None, "it has begun anew");
        open().remember(seen(1, 4)).unwrap();
        assert_eq!(open().before(&seen(1, 4)), Some(&seen(1, 4)));
        let mut history = open();
        history.forget(&seen(1, 9));
        assert_eq!(history.before(&seen(1, 9)), None);

        for pid in 10..40 {
            open().remember(seen(pid, 1)).unwrap();
        }
        assert_eq!(open().seen.len(), PROGRAMS_MAX);
        assert_eq!(open().before(&seen(39, 2)), Some(&seen(39, 1)));
    }

    #[test]
    fn what_cannot_be_read_counts_as_nothing_and_what_cannot_be_written_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history");
        std::fs::write(&path, "[{\"pid\":").unwrap();
        let history = History::at(Ok(path.clone()));
        assert_eq!(history.before(&seen(1, 5)), None);
        history.remember(seen(1, 5)).unwrap();
        assert_eq!(History::at(Ok(path)).seen, [seen(1, 5)]);

        let nowhere = folder.path().join("missing/history");
        let failure = History::at(Ok(nowhere)).remember(seen(1, 5)).unwrap_err();
        assert!(failure.render().contains("cannot remember what was shown"));
    }
}
