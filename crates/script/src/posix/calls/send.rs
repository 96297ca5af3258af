//! `write`, `writev`, `send`, `sendto` and `sendmsg`.

use crate::posix::call::{Answer, Progress, Step};
use crate::posix::constants::{MSG_EOR, MSG_FASTOPEN, MSG_MORE, MSG_OOB, MSG_ZEROCOPY, POLLOUT};
use crate::posix::socket::{Association, Kind, State, errno_of_icmp};
use crate::posix::{Address, Errno, Fd, Posix};
use bytes::Bytes;
use handwave_stack::{ConnectionId, UdpSendError};
use handwave_tcp::{Instant, Phase, WriteOptions};
use std::net::SocketAddr;
use std::time::Duration;

impl Posix {
    pub(in crate::posix) fn try_send(
        &mut self,
        now: Instant,
        fd: Fd,
        (data, flags, to): (&[u8], i32, Option<Address>),
        progress: &mut Progress,
    ) -> Result<Step, Errno> {
        if let Some(pipe) = self.pipe_of(fd) {
            return self.write_pipe(pipe, data, progress);
        }
        let place = self.place_now(fd)?;
        let socket = self.socket_at(place)?;
        if socket.kind == Kind::Datagram {
            return self.send_datagram(now, place, data, (flags, to));
        }
        if flags & MSG_FASTOPEN != 0
            && let Some(step) = self.fast_open(now, fd, to, progress)?
        {
            return Ok(step);
        }
        let socket = self.socket_at(place)?;
        let (state, wait) = (socket.state, socket.send_timeout(flags));
        match self.phase_of(state) {
            Phase::Established | Phase::CloseWait => {}
            // What follows the FIN is refused; before the handshake is complete, a program waits for it.
            phase if progress.sent == 0 => {
                self.socket_at(place)?.take_error()?;
                return match phase {
                    Phase::SynSent | Phase::SynReceived => Ok(Step::Wait(wait, Err(Errno::EAGAIN))),
                    _ => Err(Errno::EPIPE),
                };
            }
            _ => return Ok(Answer::Count(progress.sent).into()),
        }
        let socket = self.socket_at(place)?;
        if socket.error.is_some() || socket.write_shut {
            if progress.sent > 0 {
                return Ok(Answer::Count(progress.sent).into());
            }
            socket.take_error()?;
            return Err(Errno::EPIPE);
        }
        let State::Open(id) = state else {
            return Err(Errno::EPIPE);
        };
        let zerocopy = flags & MSG_ZEROCOPY != 0 && socket.options.zerocopy;
        if zerocopy && !data.is_empty() && !socket.errors.has_room() {
            return Err(Errno::ENOBUFS);
        }
        if !progress.blocked || self.is_writable(place) {
            progress.sent += self.put_text(now, (place, id), &data[progress.sent..], flags)?;
        }
        if progress.sent == data.len() {
            self.mark(place, id, progress.sent, zerocopy);
            return Ok(Answer::Count(progress.sent).into());
        }
        progress.blocked = true;
        if progress.sent == 0 {
            return Ok(Step::Wait(wait, Err(Errno::EAGAIN)));
        }
        if wait == Some(Duration::ZERO) {
            self.mark(place, id, progress.sent, zerocopy);
        }
        Ok(Step::Wait(wait, Ok(Answer::Count(progress.sent))))
    }

    /// Notes what is to be told of the octets just written.
    fn mark(&mut self, place: usize, id: ConnectionId, count: usize, zerocopy: bool) {
        let unsent = self
            .stack
            .connection(id)
            .is_some_and(|connection| connection.info().notsent as usize > count);
        let Ok(socket) = self.socket_at(place) else {
            return;
        };
        let stamps = socket.options.timestamping;
        socket.errors.on_write(count, zerocopy, stamps, unsent);
        if socket.errors.has_marks() {
            self.marked.insert(place);
        }
    }

    /// `MSG_FASTOPEN` on a socket without a connection: opens one. There is no cookie of the peer's, so no text goes with the SYN.
    fn fast_open(
        &mut self,
        now: Instant,
        fd: Fd,
        to: Option<Address>,
        progress: &mut Progress,
    ) -> Result<Option<Step>, Errno> {
        let place = self.place(fd)?;
        if progress.begun && self.socket_at(place)?.association == Association::Connected {
            return Ok(None);
        }
        let to = to.ok_or(Errno::EINVAL)?;
        Ok(match self.try_connect(now, fd, to, progress)? {
            Step::Ready(Ok(_)) => None,
            step => Some(step),
        })
    }

    /// Whether less than `TCP_NOTSENT_LOWAT` waits to be sent.
    pub(in crate::posix) fn may_queue(&mut self, place: usize, id: ConnectionId) -> bool {
        let low_water = self
            .socket_at(place)
            .map_or(u32::MAX, |socket| socket.options.notsent_low_water);
        low_water == u32::MAX
            || self
                .stack
                .connection(id)
                .is_none_or(|connection| connection.info().notsent < low_water)
    }

    /// Writes as much of `data` as there is room for. Where the stack keeps writes in records, segments leave as each of them fills.
    fn put_text(
        &mut self,
        now: Instant,
        (place, id): (usize, ConnectionId),
        data: &[u8],
        flags: i32,
    ) -> Result<usize, Errno> {
        let unsent_max = self
            .socket_at(place)
            .map_or(u32::MAX, |socket| socket.options.notsent_low_water);
        let step = |posix: &Self| {
            let connection = posix.stack.connection(id);
            connection.and_then(|connection| connection.write_step(unsent_max))
        };
        if step(self).is_none() {
            return if self.may_queue(place, id) {
                self.write_once(now, id, data, flags)
            } else {
                Ok(0)
            };
        }
        let mut taken = 0;
        loop {
            let rest = &data[taken..];
            let room = step(self).unwrap_or(rest.len());
            if rest.len() <= room {
                return Ok(taken + self.write_once(now, id, rest, flags)?);
            }
            // The end of what was said to be one message comes with the last of it.
            let part_flags = (flags & MSG_OOB) | MSG_MORE;
            let written = match room {
                0 => 0,
                _ => self.write_once(now, id, &rest[..room], part_flags)?,
            };
            taken += written;
            if written == 0 || written < room {
                let _gone = self
                    .stack
                    .with_connection(now, id, |connection, _| connection.end_record());
                return Ok(taken);
            }
            // What leaves in between takes all of the window, small segments or not.
            let pushed = self.stack.with_connection(now, id, |connection, _| {
                connection.push();
                connection.pushes_record()
            });
            let all = pushed.unwrap_or(false);
            self.send_early(now, all);
        }
    }

    fn write_once(
        &mut self,
        now: Instant,
        id: ConnectionId,
        data: &[u8],
        flags: i32,
    ) -> Result<usize, Errno> {
        let taken = self
            .stack
            .with_connection(now, id, |connection, cx| {
                if flags & MSG_OOB != 0 {
                    connection.write_urgent(cx, data)
                } else {
                    let options = WriteOptions {
                        more: flags & MSG_MORE != 0,
                        ends_record: flags & MSG_EOR != 0,
                    };
                    connection.write_with(cx, data, options)
                }
            })
            .map_err(|_| Errno::EPIPE)?;
        taken.map_err(|_| Errno::EPIPE)
    }

    /// Whether a call that waits to write is woken.
    fn is_writable(&self, place: usize) -> bool {
        let socket = self.sockets.get(place).and_then(Option::as_ref);
        socket.is_none_or(|socket| self.bits_of(socket) & POLLOUT != 0)
    }

    fn send_datagram(
        &mut self,
        now: Instant,
        place: usize,
        data: &[u8],
        (flags, to): (i32, Option<Address>),
    ) -> Result<Step, Errno> {
        // A port is taken before anything is looked at.
        self.bind_datagram_anywhere(place)?;
        if data.len() > usize::from(u16::MAX) {
            return Err(Errno::EMSGSIZE);
        }
        if flags & MSG_OOB != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        let socket = self.socket_at(place)?;
        let domain = socket.domain;
        let named = match to {
            // IPv6 sockets send to IPv4 addresses as they are, too.
            Some(Address::Inet(to @ SocketAddr::V4(_))) if domain.is_ipv6() => Some(to.into()),
            Some(Address::Inet(to)) => Some(domain.on_wire(to)?),
            Some(Address::Unspecified) => return Err(Errno::EAFNOSUPPORT),
            None => None,
        };
        let peer = match socket.state {
            State::Udp(_, peer) => peer,
            _ => None,
        };
        let remote = named.or(peer).ok_or(Errno::EDESTADDRREQ)?;
        let socket = self.socket_at(place)?;
        socket.take_error()?;
        if socket.write_shut {
            return Err(Errno::EPIPE);
        }
        let State::Udp(id, _) = socket.state else {
            return Err(Errno::EINVAL);
        };
        self.stack
            .udp_send_to(now, id, remote, Bytes::copy_from_slice(data))
            .map_err(|error| match error {
                UdpSendError::NoRoute => Errno::ENETUNREACH,
                UdpSendError::TooLong => Errno::EMSGSIZE,
                UdpSendError::NoPort => Errno::EINVAL,
                UdpSendError::QueueFull => Errno::ENOBUFS,
                UdpSendError::Unreachable(why) => errno_of_icmp(why, remote.addr.is_ipv6()),
                _ => Errno::EBADF,
            })?;
        Ok(Answer::Count(data.len()).into())
    }
}
