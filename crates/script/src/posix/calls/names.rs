//! `getsockname`, `getpeername`, `fcntl` and `ioctl`.

use crate::posix::constants::{
    F_GETFD, F_GETFL, F_SETFD, F_SETFL, FD_CLOEXEC, FIONBIO, O_NONBLOCK, O_RDWR, SIOCATMARK,
    SIOCINQ, SIOCOUTQ, SIOCOUTQNSD,
};
use crate::posix::files::File;
use crate::posix::socket::{Association, Kind, Socket, State};
use crate::posix::{Errno, Fd, Posix};
use handwave_tcp::{Endpoint, Phase};
use std::net::SocketAddr;

impl Posix {
    /// `getsockname`.
    ///
    /// # Errors
    ///
    /// `EBADF`, `ENOTSOCK`.
    pub fn local_name(&mut self, fd: Fd) -> Result<SocketAddr, Errno> {
        let socket = self.socket_of(fd)?;
        let any = Endpoint::new(socket.domain.any(), 0);
        Ok(socket.domain.to_program(socket.local.unwrap_or(any)))
    }

    /// `getpeername`.
    ///
    /// # Errors
    ///
    /// `EBADF`, `ENOTSOCK`, `ENOTCONN`.
    pub fn peer_name(&mut self, fd: Fd) -> Result<SocketAddr, Errno> {
        let place = self.place_now(fd)?;
        let socket = self.socket_at(place)?;
        let (domain, state) = (socket.domain, socket.state);
        match state {
            State::Udp(_, Some(peer)) => Ok(domain.to_program(peer)),
            State::Open(id) if !matches!(self.phase_of(state), Phase::Closed | Phase::SynSent) => {
                let connection = self.stack.connection(id).ok_or(Errno::ENOTCONN)?;
                Ok(domain.to_program(connection.tuple().remote))
            }
            State::Open(_) | State::Udp(..) | State::Closed | State::Listening(_) => {
                Err(Errno::ENOTCONN)
            }
        }
    }

    /// `fcntl` with `F_GETFL`, `F_SETFL`, `F_GETFD` or `F_SETFD`.
    ///
    /// # Errors
    ///
    /// `EBADF`, `EINVAL`.
    pub fn fcntl(&mut self, fd: Fd, command: i32, argument: i32) -> Result<i32, Errno> {
        let file = self.files.get(fd)?;
        match command {
            F_GETFL => {
                let nonblocking = self.socket_of(fd).is_ok_and(|socket| socket.nonblocking);
                Ok(O_RDWR | if nonblocking { O_NONBLOCK } else { 0 })
            }
            F_SETFL => {
                let nonblocking = argument & O_NONBLOCK != 0;
                if let File::Pipe(end) = file {
                    self.set_pipe_nonblocking(end, nonblocking);
                } else if let Ok(socket) = self.socket_of(fd) {
                    socket.nonblocking = nonblocking;
                }
                Ok(0)
            }
            F_GETFD => Ok(i32::from(self.files.closes_on_exec(fd))),
            F_SETFD => {
                let on = argument & FD_CLOEXEC != 0;
                self.files.set_close_on_exec(fd, on);
                Ok(0)
            }
            _ => Err(Errno::EINVAL),
        }
    }

    /// `ioctl`: returns what the kernel would store through the pointer, or takes what `FIONBIO` finds there.
    ///
    /// # Errors
    ///
    /// `EBADF`, `EINVAL` when the state does not allow it, `ENOTTY` when the request is not known.
    pub fn ioctl(&mut self, fd: Fd, request: i32, argument: i32) -> Result<i32, Errno> {
        let place = self.place_now(fd)?;
        let socket = self.socket_at(place)?;
        match request {
            FIONBIO => {
                socket.nonblocking = argument != 0;
                Ok(argument)
            }
            SIOCINQ | SIOCOUTQ | SIOCOUTQNSD | SIOCATMARK => {
                let socket = self.sockets.get(place).and_then(Option::as_ref);
                self.queue_length(socket.ok_or(Errno::EBADF)?, request)
            }
            _ => Err(Errno::ENOTTY),
        }
    }

    fn queue_length(&self, socket: &Socket, request: i32) -> Result<i32, Errno> {
        let number = |n: usize| Ok(i32::try_from(n).unwrap_or(i32::MAX));
        if socket.kind == Kind::Datagram {
            return match (request, socket.state) {
                (SIOCINQ, State::Udp(id, _)) => number(self.stack.udp_next_len(id).unwrap_or(0)),
                (SIOCINQ | SIOCOUTQ, _) => Ok(0),
                _ => Err(Errno::ENOTTY),
            };
        }
        if request == SIOCATMARK {
            let mark = self.mark_ahead(socket);
            return Ok(i32::from(mark.is_some_and(|mark| mark.offset == 0)));
        }
        let id = match socket.state {
            State::Listening(_) => return Err(Errno::EINVAL),
            State::Closed | State::Udp(..) => return Ok(0),
            State::Open(id) => id,
        };
        let connection = self.stack.connection(id).ok_or(Errno::EBADF)?;
        if matches!(connection.phase(), Phase::SynSent | Phase::SynReceived) {
            return Ok(0);
        }
        let (info, arrived) = (connection.info(), connection.receivable());
        // A FIN that waits takes one place.
        let open = connection.phase() != Phase::Closed;
        let fin = u32::from(open && connection.is_closing() && !connection.fin_sent());
        // So does the SYN of a connection that has failed.
        let syn = u32::from(!open && socket.association == Association::Connecting);
        match request {
            SIOCINQ => {
                let mark = self.mark_ahead(socket).filter(|mark| mark.arrived);
                number(match mark {
                    Some(mark) if !socket.options.oob_inline => mark.offset,
                    _ => arrived,
                })
            }
            SIOCOUTQ => number((info.unacked + info.notsent + fin + syn) as usize),
            _ => number((info.notsent + fin) as usize),
        }
    }
}
