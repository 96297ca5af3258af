//! `pipe` and `splice`: octets that go from one descriptor to another without a buffer of the program's.

use super::call::{Answer, Progress, Received, Step};
use super::constants::{
    MSG_DONTWAIT, MSG_MORE, O_NONBLOCK, POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM,
    SPLICE_F_MORE, SPLICE_F_NONBLOCK,
};
use super::files::File;
use super::{Errno, Fd, Posix};
use handwave_tcp::Instant;
use std::collections::VecDeque;
use std::time::Duration;

/// Octets that a pipe holds, as `F_GETPIPE_SZ` tells by default.
const CAPACITY: usize = 65_536;

/// One end of a pipe, by the place of the pipe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PipeEnd {
    pub(super) place: usize,
    pub(super) writes: bool,
}

/// A pipe.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    octets: VecDeque<u8>,
    nonblocking: [bool; 2],
    /// Whether the end to read from, and that to write to, are open.
    open: [bool; 2],
}

impl Posix {
    /// `pipe2`: the end to read from and the end to write to.
    ///
    /// # Errors
    ///
    /// `EMFILE`, `EINVAL`.
    pub fn pipe(&mut self, flags: i32) -> Result<(Fd, Fd), Errno> {
        let nonblocking = flags & O_NONBLOCK != 0;
        let free = self.pipes.iter().position(Option::is_none);
        let place = free.unwrap_or(self.pipes.len());
        let end = |writes| File::Pipe(PipeEnd { place, writes });
        let reader = self.files.open(end(false))?;
        let writer = match self.files.open(end(true)) {
            Ok(writer) => writer,
            Err(errno) => {
                self.files.close(reader)?;
                return Err(errno);
            }
        };
        if place == self.pipes.len() {
            self.pipes.push(None);
        }
        self.pipes[place] = Some(Pipe {
            nonblocking: [nonblocking; 2],
            open: [true; 2],
            ..Pipe::default()
        });
        Ok((reader, writer))
    }

    /// `open`: a file that reads as zeros, whatever its name.
    ///
    /// # Errors
    ///
    /// `EMFILE`.
    pub fn open_zeros(&mut self) -> Result<Fd, Errno> {
        self.files.open(File::Zeros)
    }

    pub(super) fn pipe_of(&self, fd: Fd) -> Option<PipeEnd> {
        match self.files.get(fd) {
            Ok(File::Pipe(end)) => Some(end),
            _ => None,
        }
    }

    fn pipe_at(&mut self, end: PipeEnd) -> Result<&mut Pipe, Errno> {
        self.pipes
            .get_mut(end.place)
            .and_then(Option::as_mut)
            .ok_or(Errno::EBADF)
    }

    pub(super) fn pipe_bits(&self, end: PipeEnd) -> i32 {
        let Some(pipe) = self.pipes.get(end.place).and_then(Option::as_ref) else {
            return 0;
        };
        let [read, write] = pipe.open;
        let held = pipe.octets.len();
        match (end.writes, read, write) {
            (true, true, _) if held < CAPACITY => POLLOUT | POLLWRNORM,
            (true, true, _) => 0,
            (true, false, _) => POLLERR | POLLOUT | POLLWRNORM,
            (false, _, true) if held > 0 => POLLIN | POLLRDNORM,
            (false, _, true) => 0,
            (false, _, false) if held > 0 => POLLIN | POLLRDNORM | POLLHUP,
            (false, _, false) => POLLHUP,
        }
    }

    pub(super) fn set_pipe_nonblocking(&mut self, end: PipeEnd, on: bool) {
        if let Ok(pipe) = self.pipe_at(end) {
            pipe.nonblocking[usize::from(end.writes)] = on;
        }
    }

    pub(super) fn close_pipe(&mut self, end: PipeEnd) {
        if let Ok(pipe) = self.pipe_at(end) {
            pipe.open[usize::from(end.writes)] = false;
            if pipe.open == [false; 2] {
                self.pipes[end.place] = None;
            }
        }
    }

    fn pipe_wait(&mut self, end: PipeEnd, dont: bool) -> Result<Option<Duration>, Errno> {
        let pipe = self.pipe_at(end)?;
        let nonblocking = dont || pipe.nonblocking[usize::from(end.writes)];
        Ok(nonblocking.then_some(Duration::ZERO))
    }

    pub(super) fn read_pipe(&mut self, end: PipeEnd, len: usize) -> Result<Step, Errno> {
        let wait = self.pipe_wait(end, false)?;
        let pipe = self.pipe_at(end)?;
        if end.writes {
            return Err(Errno::EBADF);
        }
        let n = pipe.octets.len().min(len);
        if n == 0 && len > 0 && pipe.open[1] {
            return Ok(Step::Wait(wait, Err(Errno::EAGAIN)));
        }
        let data: Vec<u8> = pipe.octets.drain(..n).collect();
        Ok(Answer::Received(Received {
            count: n,
            data,
            ..Received::default()
        })
        .into())
    }

    pub(super) fn write_pipe(
        &mut self,
        end: PipeEnd,
        data: &[u8],
        progress: &mut Progress,
    ) -> Result<Step, Errno> {
        let wait = self.pipe_wait(end, false)?;
        let pipe = self.pipe_at(end)?;
        if !end.writes {
            return Err(Errno::EBADF);
        }
        if !pipe.open[0] {
            return Err(Errno::EPIPE);
        }
        let rest = &data[progress.sent..];
        let n = rest.len().min(CAPACITY - pipe.octets.len());
        pipe.octets.extend(&rest[..n]);
        progress.sent += n;
        let answer = Answer::Count(progress.sent);
        if progress.sent == data.len() {
            return Ok(answer.into());
        }
        Ok(Step::Wait(
            wait,
            if progress.sent > 0 {
                Ok(answer)
            } else {
                Err(Errno::EAGAIN)
            },
        ))
    }

    /// Moves octets between a pipe and a socket.
    pub(super) fn try_splice(
        &mut self,
        now: Instant,
        (from, to): (Fd, Fd),
        len: usize,
        flags: i32,
    ) -> Result<Step, Errno> {
        let (source, sink) = (self.files.get(from)?, self.files.get(to)?);
        let dont = flags & SPLICE_F_NONBLOCK != 0;
        if len == 0 {
            return Ok(Answer::Count(0).into());
        }
        match (source, sink) {
            (File::Socket(_), File::Pipe(end)) if end.writes => {
                self.splice_in(now, from, end, len, dont)
            }
            (File::Pipe(end), File::Socket(_)) if !end.writes => {
                self.splice_out(now, (end, to), len, flags)
            }
            // The other end of a pipe is none to read from or write to.
            (File::Pipe(end), _) if end.writes => Err(Errno::EBADF),
            (_, File::Pipe(end)) if !end.writes => Err(Errno::EBADF),
            _ => Err(Errno::EINVAL),
        }
    }

    fn splice_in(
        &mut self,
        now: Instant,
        from: Fd,
        end: PipeEnd,
        len: usize,
        dont: bool,
    ) -> Result<Step, Errno> {
        let wait = self.pipe_wait(end, dont)?;
        let pipe = self.pipe_at(end)?;
        if !pipe.open[0] {
            return Err(Errno::EPIPE);
        }
        let room = CAPACITY - pipe.octets.len();
        if room == 0 {
            return Ok(Step::Wait(wait, Err(Errno::EAGAIN)));
        }
        let flags = if dont { MSG_DONTWAIT } else { 0 };
        let mut progress = Progress::default();
        match self.try_receive(now, from, len.min(room), flags, &mut progress)? {
            Step::Ready(Ok(Answer::Received(received))) => {
                self.pipe_at(end)?.octets.extend(&received.data);
                Ok(Answer::Count(received.count).into())
            }
            other => Ok(other),
        }
    }

    fn splice_out(
        &mut self,
        now: Instant,
        (end, to): (PipeEnd, Fd),
        len: usize,
        flags: i32,
    ) -> Result<Step, Errno> {
        let dont = flags & SPLICE_F_NONBLOCK != 0;
        let wait = self.pipe_wait(end, dont)?;
        let pipe = self.pipe_at(end)?;
        let n = pipe.octets.len().min(len);
        if n == 0 {
            return Ok(if pipe.open[1] {
                Step::Wait(wait, Err(Errno::EAGAIN))
            } else {
                Answer::Count(0).into()
            });
        }
        let data: Vec<u8> = pipe.octets.iter().take(n).copied().collect();
        let more = if flags & SPLICE_F_MORE != 0 {
            MSG_MORE
        } else {
            0
        };
        let mut progress = Progress::default();
        let step = self.try_send(
            now,
            to,
            (&data, more | if dont { MSG_DONTWAIT } else { 0 }, None),
            &mut progress,
        )?;
        self.pipe_at(end)?.octets.drain(..progress.sent);
        Ok(match step {
            Step::Wait(..) if progress.sent > 0 => Answer::Count(progress.sent).into(),
            step => step,
        })
    }
}
