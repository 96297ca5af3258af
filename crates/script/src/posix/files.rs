//! The table of descriptors.

use super::Errno;
use super::pipes::PipeEnd;
use std::collections::BTreeSet;

/// A file descriptor.
pub type Fd = i32;

/// The first descriptor handed out: a program comes with three.
const FIRST: usize = 3;
/// Descriptors at a time, as `RLIMIT_NOFILE` has it by default.
const FILES_MAX: usize = 1024;

/// What a descriptor stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum File {
    /// A socket, by its place in the table of sockets.
    Socket(usize),
    /// An epoll instance, by its place.
    Epoll(usize),
    /// A file of zeros.
    Zeros,
    /// An end of a pipe.
    Pipe(PipeEnd),
}

/// Descriptors and what they stand for; the lowest free one is handed out.
#[derive(Debug, Default)]
pub(super) struct Files {
    open: Vec<Option<File>>,
    close_on_exec: BTreeSet<Fd>,
}

impl Files {
    /// Hands out the lowest free descriptor.
    pub(super) fn open(&mut self, file: File) -> Result<Fd, Errno> {
        let place = self
            .open
            .iter()
            .position(Option::is_none)
            .unwrap_or(self.open.len());
        if place + FIRST >= FILES_MAX {
            return Err(Errno::EMFILE);
        }
        if place == self.open.len() {
            self.open.push(None);
        }
        self.open[place] = Some(file);
        Fd::try_from(place + FIRST).map_err(|_| Errno::EMFILE)
    }

    /// `FD_CLOEXEC`, which is told again.
    pub(super) fn set_close_on_exec(&mut self, fd: Fd, on: bool) {
        if on {
            self.close_on_exec.insert(fd);
        } else {
            self.close_on_exec.remove(&fd);
        }
    }

    pub(super) fn closes_on_exec(&self, fd: Fd) -> bool {
        self.close_on_exec.contains(&fd)
    }

    pub(super) fn get(&self, fd: Fd) -> Result<File, Errno> {
        let place = usize::try_from(fd)
            .ok()
            .and_then(|fd| fd.checked_sub(FIRST));
        place
            .and_then(|place| self.open.get(place).copied().flatten())
            .ok_or(Errno::EBADF)
    }

    pub(super) fn close(&mut self, fd: Fd) -> Result<File, Errno> {
        let file = self.get(fd)?;
        self.close_on_exec.remove(&fd);
        if let Some(place) = usize::try_from(fd)
            .ok()
            .and_then(|fd| fd.checked_sub(FIRST))
        {
            self.open[place] = None;
        }
        Ok(file)
    }
}
