//! What may be done without waiting: the bits of `poll`.

use super::call::{Answer, PollFd, Step};
use super::constants::{
    POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, POLLPRI, POLLRDHUP, POLLRDNORM, POLLWRBAND,
    POLLWRNORM,
};
use super::files::File;
use super::socket::{Kind, Socket, State};
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
            File::Socket(place) => {
                self.refresh(place);
                let socket = self.sockets.get(place).and_then(Option::as_ref);
                Ok(socket.map_or(0, |socket| self.bits_of(socket)))
            }
            File::Epoll(place) => Ok(if self.has_events(place) { READABLE } else { 0 }),
            File::Pipe(end) => Ok(self.pipe_bits(end)),
            File::Zeros => Ok(READABLE | WRITABLE),
        }
    }

    pub(super) fn bits_of(&self, socket: &Socket) -> i32 {
        if let State::Listening(id) = socket.state {
            let listener = self.stack.listener(id);
            let waits = listener.is_some_and(|listener| listener.waiting() > 0);
            return if waits { READABLE } else { 0 };
        }
        let mut bits = 0;
        let closed = socket.kind == Kind::Stream && self.phase_of(socket.state) == Phase::Closed;
        if closed || (socket.read_shut && socket.write_shut) {
            bits |= POLLHUP;
        }
        if socket.read_shut {
            bits |= READABLE | POLLRDHUP;
        }
        if socket.error.is_some() || socket.errors.has_notices() {
            bits |= POLLERR;
        }
        bits | match socket.state {
            _ if socket.kind == Kind::Datagram => self.datagram_bits(socket),
            State::Open(id) => self.connection_bits(socket, id),
            _ => WRITABLE,
        }
    }

    fn datagram_bits(&self, socket: &Socket) -> i32 {
        let waits = match socket.state {
            State::Udp(id, _) => self.stack.udp_waiting(id) > 0,
            _ => false,
        };
        WRITABLE | POLLWRBAND | if waits { READABLE } else { 0 }
    }

    fn connection_bits(&self, socket: &Socket, id: ConnectionId) -> i32 {
        let Some(connection) = self.stack.connection(id) else {
            return WRITABLE;
        };
        if matches!(connection.phase(), Phase::SynSent | Phase::SynReceived) {
            return 0;
        }
        let mut bits = 0;
        let (info, arrived) = (connection.info(), connection.receivable());
        let mark = self.mark_ahead(socket);
        let at_mark = mark.is_some_and(|mark| mark.offset == 0) && !socket.options.oob_inline;
        let target = socket.options.receive_low_water.max(1) + usize::from(at_mark);
        // A window too small for a whole segment is as much as will come.
        let shut_window = arrived > 0 && info.rcv_wnd_left <= u32::from(info.rcv_mss);
        if arrived >= target || shut_window {
            bits |= READABLE;
        }
        let (room, limit) = (connection.sendable(), connection.info().snd_buffer as usize);
        // Twice what waits has to be below the mark: a program is woken once for a good deal of room.
        let low_water = socket.options.notsent_low_water;
        let queues = u64::from(info.notsent) * 2 < u64::from(low_water);
        // As long as a third of the buffer is free, and for ever once nothing can be written.
        if socket.write_shut || (queues && room > 0 && room >= limit.saturating_sub(room) / 2) {
            bits |= WRITABLE;
        }
        if mark.is_some_and(|mark| mark.arrived && !mark.taken) {
            bits |= POLLPRI;
        }
        bits
    }
}
