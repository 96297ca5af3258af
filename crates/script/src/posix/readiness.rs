//! What may be done without waiting: the bits of `poll`.

use super::call::{Answer, PollFd, Step};
use super::constants::{
    POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, POLLPRI, POLLRDHUP, POLLRDNORM, POLLWRNORM,
};
use super::files::File;
use super::socket::{Socket, State};
use super::{Errno, Fd, Posix};
use handwave_stack::ConnectionId;
use handwave_tcp::Phase;
use std::time::Duration;

const READABLE: i32 = POLLIN | POLLRDNORM;
const WRITABLE: i32 = POLLOUT | POLLWRNORM;
/// Bits that are told whether or not they are asked for.
const ALWAYS: i32 = POLLERR | POLLHUP;

impl Posix {
    pub(super) fn try_poll(&mut self, fds: &[PollFd], timeout: Option<Duration>) -> Step {
        let mut fds = fds.to_vec();
        for asked in &mut fds {
            asked.revents = if asked.fd < 0 {
                0
            } else {
                self.readiness(asked.fd)
                    .map_or(POLLNVAL, |bits| bits & (asked.events | ALWAYS))
            };
        }
        let ready = fds.iter().filter(|asked| asked.revents != 0).count();
        let answer = Ok(Answer::Polled { fds, ready });
        if ready > 0 {
            return Step::Ready(answer);
        }
        Step::Wait(timeout, answer)
    }

    /// Every `POLL*` bit that holds for a descriptor.
    ///
    /// # Errors
    ///
    /// `EBADF`.
    pub fn readiness(&mut self, fd: Fd) -> Result<i32, Errno> {
        self.absorb_events();
        match self.files.get(fd)? {
            File::Socket(place) => Ok(self
                .sockets
                .get(place)
                .and_then(Option::as_ref)
                .map_or(0, |socket| self.socket_bits(socket))),
            File::Epoll(place) => Ok(if self.has_events(place) { READABLE } else { 0 }),
        }
    }

    fn socket_bits(&self, socket: &Socket) -> i32 {
        let mut bits = match socket.state {
            State::Listening(id) => {
                let waits = self
                    .stack
                    .listener(id)
                    .is_some_and(|listener| listener.waiting() > 0);
                return if waits { READABLE } else { 0 };
            }
            State::Udp(..) => 0,
            State::Closed => WRITABLE | POLLHUP,
            State::Open(id) => self.connection_bits(socket, id),
        };
        if socket.read_shut && socket.write_shut {
            bits |= POLLHUP;
        }
        if socket.read_shut {
            bits |= READABLE | POLLRDHUP;
        }
        if socket.error.is_some() {
            bits |= POLLERR;
        }
        bits
    }

    fn connection_bits(&self, socket: &Socket, id: ConnectionId) -> i32 {
        let Some(connection) = self.stack.connection(id) else {
            return POLLHUP;
        };
        let mut bits = 0;
        match connection.phase() {
            Phase::SynSent | Phase::SynReceived => return 0,
            Phase::Closed => bits |= POLLHUP,
            _ => {}
        }
        if connection.receivable() > 0 {
            bits |= READABLE;
        }
        let (room, limit) = (connection.sendable(), connection.info().snd_buffer as usize);
        let low_water = socket.options.notsent_low_water;
        let queues = low_water == u32::MAX || connection.info().notsent < low_water;
        // As long as a third of the buffer is free, and for ever once nothing can be written.
        if socket.write_shut || (queues && room > 0 && room >= limit.saturating_sub(room) / 2) {
            bits |= WRITABLE;
        }
        if connection.urgent_pending() > 0 {
            bits |= POLLPRI;
        }
        bits
    }
}
