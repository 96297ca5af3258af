//! `getsockname`, `getpeername`, `fcntl` and `ioctl`.

use crate::posix::constants::{
    F_GETFD, F_GETFL, F_SETFD, F_SETFL, FIONBIO, O_NONBLOCK, O_RDWR, SIOCATMARK, SIOCINQ, SIOCOUTQ,
    SIOCOUTQNSD,
};
use crate::posix::socket::State;
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
        let local = socket.local.unwrap_or(any);
        if local.addr.is_unspecified() {
            return Ok(SocketAddr::new(socket.domain.any(), local.port));
        }
        Ok(socket.domain.to_program(local))
    }

    /// `getpeername`.
    ///
    /// # Errors
    ///
    /// `EBADF`, `ENOTSOCK`, `ENOTCONN`.
    pub fn peer_name(&mut self, fd: Fd) -> Result<SocketAddr, Errno> {
        self.absorb_events();
        let socket = self.socket_of(fd)?;
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
        self.files.get(fd)?;
        match command {
            F_GETFL => {
                let nonblocking = self.socket_of(fd).is_ok_and(|socket| socket.nonblocking);
                Ok(O_RDWR | if nonblocking { O_NONBLOCK } else { 0 })
            }
            F_SETFL => {
                if let Ok(socket) = self.socket_of(fd) {
                    socket.nonblocking = argument & O_NONBLOCK != 0;
                }
                Ok(0)
            }
            F_GETFD | F_SETFD => Ok(0),
            _ => Err(Errno::EINVAL),
        }
    }

    /// `ioctl`: returns what the kernel would store through the pointer, or takes what `FIONBIO` finds there.
    ///
    /// # Errors
    ///
    /// `EBADF`, `EINVAL` when the state does not allow it, `ENOTTY` when the request is not known.
    pub fn ioctl(&mut self, fd: Fd, request: i32, argument: i32) -> Result<i32, Errno> {
        self.absorb_events();
        let socket = self.socket_of(fd)?;
        let state = socket.state;
        match request {
            FIONBIO => {
                socket.nonblocking = argument != 0;
                Ok(argument)
            }
            SIOCINQ | SIOCOUTQ | SIOCOUTQNSD | SIOCATMARK => self.queue_length(state, request),
            _ => Err(Errno::ENOTTY),
        }
    }

    fn queue_length(&self, state: State, request: i32) -> Result<i32, Errno> {
        let id = match state {
            State::Listening(_) => return Err(Errno::EINVAL),
            State::Closed | State::Udp(..) => return Ok(0),
            State::Open(id) => id,
        };
        let connection = self.stack.connection(id).ok_or(Errno::EBADF)?;
        if matches!(connection.phase(), Phase::SynSent | Phase::SynReceived) {
            return Ok(0);
        }
        let info = connection.info();
        Ok(match request {
            SIOCINQ => i32::try_from(connection.receivable()).unwrap_or(i32::MAX),
            SIOCOUTQ => i32::try_from(info.unacked + info.notsent).unwrap_or(i32::MAX),
            SIOCOUTQNSD => i32::try_from(info.notsent).unwrap_or(i32::MAX),
            _ => i32::from(connection.urgent_pending() == 0),
        })
    }
}
