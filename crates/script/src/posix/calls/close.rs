//! `close` and `shutdown`.

use crate::posix::call::{Answer, Progress, Step};
use crate::posix::constants::{SHUT_RD, SHUT_RDWR, SHUT_WR};
use crate::posix::files::File;
use crate::posix::socket::{Association, Kind, State};
use crate::posix::{Errno, Fd, Posix};
use handwave_tcp::{Instant, Phase};
use std::time::Duration;

impl Posix {
    /// `shutdown`: no more reading, no more writing, or neither.
    ///
    /// # Errors
    ///
    /// `EBADF`, `ENOTSOCK`, `EINVAL`, `ENOTCONN`.
    pub fn shutdown(&mut self, now: Instant, fd: Fd, how: i32) -> Result<(), Errno> {
        let place = self.place_now(fd)?;
        let (read, write) = match how {
            SHUT_RD => (true, false),
            SHUT_WR => (false, true),
            SHUT_RDWR => (true, true),
            _ => return Err(Errno::EINVAL),
        };
        let state = self.socket_at(place)?.state;
        let phase = self.phase_of(state);
        let socket = self.socket_at(place)?;
        if socket.association == Association::Connecting {
            socket.association = match phase {
                Phase::SynSent | Phase::SynReceived | Phase::Closed => Association::Disconnecting,
                _ => Association::Connected,
            };
        }
        match (state, phase) {
            (State::Listening(_), _) if !read => return Ok(()),
            (State::Listening(_), _) | (_, Phase::SynSent) => {
                self.disconnect(now, place);
                return Ok(());
            }
            _ => {}
        }
        let socket = self.socket_at(place)?;
        socket.read_shut |= read;
        socket.write_shut |= write;
        match state {
            State::Udp(_, Some(_)) => Ok(()),
            State::Open(id) if phase != Phase::Closed => {
                if read {
                    self.stack.stop_reading(now, id);
                }
                if write {
                    self.stack.close(now, id);
                }
                self.wake(place);
                Ok(())
            }
            _ => Err(Errno::ENOTCONN),
        }
    }

    pub(in crate::posix) fn try_close(
        &mut self,
        now: Instant,
        fd: Fd,
        progress: &mut Progress,
    ) -> Result<Step, Errno> {
        if let Some(place) = progress.lingers {
            return Ok(self.linger(now, place));
        }
        let place = match self.files.close(fd)? {
            File::Socket(place) => place,
            File::Epoll(place) => {
                self.epolls[place] = None;
                return Ok(Answer::Done.into());
            }
            File::Zeros => return Ok(Answer::Done.into()),
            File::Pipe(end) => {
                self.close_pipe(end);
                return Ok(Answer::Done.into());
            }
        };
        self.unwatch(fd);
        let socket = self.socket_at(place)?;
        let (state, linger) = (socket.state, socket.options.linger);
        match state {
            State::Listening(id) => self.stack.close_listener(now, id),
            State::Udp(id, _) => self.stack.udp_close(id),
            State::Open(id) if linger == Some(Duration::ZERO) => self.stack.abort(now, id),
            State::Open(id) if linger.is_some() && self.receivable(id) == 0 => {
                self.stack.close(now, id);
                progress.lingers = Some(place);
                return Ok(self.linger(now, place));
            }
            State::Open(id) => self.stack.release(now, id),
            State::Closed => {}
        }
        self.forget(place);
        Ok(Answer::Done.into())
    }

    /// Waits until the peer has acknowledged everything, or for as long as `SO_LINGER` says; then lets go.
    fn linger(&mut self, now: Instant, place: usize) -> Step {
        let Ok(socket) = self.socket_at(place) else {
            return Answer::Done.into();
        };
        let (state, limit, started) = (
            socket.state,
            socket.options.linger.unwrap_or_default(),
            socket.lingers_since.get_or_insert(now).to_owned(),
        );
        debug_assert!(socket.kind == Kind::Stream, "only connections linger");
        let owes = matches!(
            self.phase_of(state),
            Phase::FinWait1 | Phase::Closing | Phase::LastAck
        );
        if owes && now - started < limit {
            return Step::Wait(Some(limit), Ok(Answer::Done));
        }
        if let State::Open(id) = state {
            self.stack.release(now, id);
        }
        self.forget(place);
        Answer::Done.into()
    }
}
