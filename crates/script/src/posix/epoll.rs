//! `epoll`: sets of descriptors, level and edge triggered.

use super::call::{Answer, Step};
use super::constants::{
    EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EPOLLERR, EPOLLET, EPOLLEXCLUSIVE, EPOLLHUP,
    EPOLLIN, EPOLLONESHOT, EPOLLOUT, EPOLLWAKEUP,
};
use super::files::File;
use super::{Errno, Fd, Posix};
use std::collections::VecDeque;
use std::time::Duration;

/// Bits that say how to report, not what.
const HOW: i32 = EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE | EPOLLWAKEUP;

/// What goes with `EPOLLEXCLUSIVE`.
const EXCLUSIVE_ALLOWS: i32 =
    EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;
/// Sets that may watch each other in a row.
const NESTED_MAX: usize = 4;

/// One epoll instance.
#[derive(Debug, Default)]
pub(super) struct Epoll {
    watched: Vec<Watch>,
    /// Descriptors that may have something to report, in the order in which they are looked at.
    ready: VecDeque<Fd>,
}

/// A descriptor and what is asked about it.
#[derive(Clone, Copy, Debug)]
struct Watch {
    fd: Fd,
    file: File,
    events: i32,
    data: u64,
}

impl Epoll {
    fn push(&mut self, fd: Fd) {
        if !self.ready.contains(&fd) {
            self.ready.push_back(fd);
        }
    }
}

impl Posix {
    /// `epoll_create`: a new instance.
    ///
    /// # Errors
    ///
    /// `EMFILE`.
    pub fn epoll_create(&mut self) -> Result<Fd, Errno> {
        let free = self.epolls.iter().position(Option::is_none);
        let place = free.unwrap_or(self.epolls.len());
        let fd = self.files.open(File::Epoll(place))?;
        if place == self.epolls.len() {
            self.epolls.push(None);
        }
        self.epolls[place] = Some(Epoll::default());
        Ok(fd)
    }

    /// `epoll_ctl`: adds a descriptor with the `EPOLL*` bits to report and the data to report them with, changes or removes it.
    ///
    /// # Errors
    ///
    /// `EBADF`, `EINVAL`, `EEXIST`, `ENOENT`, `EPERM` for what cannot be watched.
    pub fn epoll_ctl(
        &mut self,
        epoll: Fd,
        command: i32,
        fd: Fd,
        (events, data): (i32, u64),
    ) -> Result<(), Errno> {
        self.absorb_events();
        let (set, target) = (self.files.get(epoll)?, self.files.get(fd)?);
        let File::Epoll(set) = set else {
            return Err(Errno::EINVAL);
        };
        let place = set;
        if epoll == fd {
            return Err(Errno::EINVAL);
        }
        let nested = match target {
            File::Epoll(inner) => Some(inner),
            File::Zeros => return Err(Errno::EPERM),
            File::Socket(_) | File::Pipe(_) => None,
        };
        let adds = command == EPOLL_CTL_ADD;
        let exclusive = events & EPOLLEXCLUSIVE != 0;
        if exclusive
            && (command == EPOLL_CTL_MOD
                || (adds && (nested.is_some() || events & !EXCLUSIVE_ALLOWS != 0)))
        {
            return Err(Errno::EINVAL);
        }
        if adds && nested.is_some_and(|inner| self.reaches(inner, place, 0)) {
            return Err(Errno::ELOOP);
        }
        let set = self.epolls[set].as_mut().ok_or(Errno::EBADF)?;
        let known = set.watched.iter().position(|watch| watch.fd == fd);
        let watch = Watch {
            fd,
            file: target,
            events: events | EPOLLERR | EPOLLHUP,
            data,
        };
        match (command, known) {
            (EPOLL_CTL_ADD, Some(_)) => return Err(Errno::EEXIST),
            (EPOLL_CTL_ADD, None) => set.watched.push(watch),
            (EPOLL_CTL_MOD, Some(at)) if set.watched[at].events & EPOLLEXCLUSIVE != 0 => {
                return Err(Errno::EINVAL);
            }
            (EPOLL_CTL_MOD, Some(at)) => set.watched[at] = watch,
            (EPOLL_CTL_DEL, Some(at)) => {
                set.watched.remove(at);
                set.ready.retain(|ready| *ready != fd);
                return Ok(());
            }
            (EPOLL_CTL_MOD | EPOLL_CTL_DEL, None) => return Err(Errno::ENOENT),
            _ => return Err(Errno::EINVAL),
        }
        // What holds already is reported once, even to those that ask for edges.
        set.push(fd);
        self.wake_file(File::Epoll(place), 0);
        Ok(())
    }

    /// Whether the set at `from` watches the one at `to`, or one that does; sets nested too deeply count as such.
    fn reaches(&self, from: usize, to: usize, depth: usize) -> bool {
        if from == to || depth > NESTED_MAX {
            return true;
        }
        let Some(Some(set)) = self.epolls.get(from) else {
            return false;
        };
        set.watched.iter().any(|watch| match watch.file {
            File::Epoll(inner) => self.reaches(inner, to, depth + 1),
            File::Socket(_) | File::Pipe(_) | File::Zeros => false,
        })
    }

    pub(super) fn try_epoll_wait(
        &mut self,
        fd: Fd,
        max: usize,
        timeout: Option<Duration>,
    ) -> Result<Step, Errno> {
        let File::Epoll(place) = self.files.get(fd)? else {
            return Err(Errno::EINVAL);
        };
        if max == 0 {
            return Err(Errno::EINVAL);
        }
        let events = self.collect(place, max)?;
        let found = !events.is_empty();
        let answer = Ok(Answer::Events(events));
        Ok(if found {
            Step::Ready(answer)
        } else {
            Step::Wait(timeout, answer)
        })
    }

    fn collect(&mut self, place: usize, max: usize) -> Result<Vec<(i32, u64)>, Errno> {
        let candidates = {
            let set = self.epolls[place].as_mut().ok_or(Errno::EBADF)?;
            std::mem::take(&mut set.ready)
        };
        let mut events = Vec::new();
        let mut later = VecDeque::new();
        for fd in candidates {
            if events.len() == max {
                later.push_back(fd);
                continue;
            }
            let holds = self.readiness(fd).unwrap_or(0);
            let set = self.epolls[place].as_mut().ok_or(Errno::EBADF)?;
            let Some(watch) = set.watched.iter_mut().find(|watch| watch.fd == fd) else {
                continue;
            };
            let bits = holds & watch.events & !HOW;
            if bits == 0 {
                continue;
            }
            events.push((bits, watch.data));
            if watch.events & EPOLLONESHOT != 0 {
                watch.events &= HOW;
            } else if watch.events & EPOLLET == 0 {
                // What holds on is reported again.
                set.ready.push_back(fd);
            }
        }
        let set = self.epolls[place].as_mut().ok_or(Errno::EBADF)?;
        while let Some(fd) = later.pop_back() {
            set.ready.push_front(fd);
        }
        Ok(events)
    }

    /// Whether `epoll_wait` would find something.
    pub(super) fn has_events(&mut self, place: usize) -> bool {
        let Some(set) = self.epolls.get(place).and_then(Option::as_ref) else {
            return false;
        };
        let watched: Vec<Watch> = set
            .ready
            .iter()
            .filter_map(|fd| set.watched.iter().find(|watch| watch.fd == *fd))
            .copied()
            .collect();
        watched.into_iter().any(|watch| {
            self.readiness(watch.fd)
                .is_ok_and(|bits| bits & watch.events & !HOW != 0)
        })
    }

    /// Notes that something happened to the socket at `place`.
    pub(super) fn wake(&mut self, place: usize) {
        self.wake_file(File::Socket(place), 0);
    }

    /// The same of any file; sets that watch sets hear of it too.
    pub(super) fn wake_file(&mut self, file: File, depth: usize) {
        if depth > NESTED_MAX {
            return;
        }
        let mut woken = Vec::new();
        for (place, set) in self.epolls.iter_mut().enumerate() {
            let Some(set) = set else { continue };
            let watch = set.watched.iter().find(|watch| watch.file == file);
            if let Some(fd) = watch.map(|watch| watch.fd) {
                set.push(fd);
                woken.push(place);
            }
        }
        for place in woken {
            self.wake_file(File::Epoll(place), depth + 1);
        }
    }

    /// Takes a descriptor that was closed out of every set.
    pub(super) fn unwatch(&mut self, fd: Fd) {
        for set in self.epolls.iter_mut().flatten() {
            set.watched.retain(|watch| watch.fd != fd);
            set.ready.retain(|ready| *ready != fd);
        }
    }
}
