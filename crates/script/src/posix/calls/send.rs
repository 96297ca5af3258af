//! `write`, `writev`, `send`, `sendto` and `sendmsg`.

use crate::posix::call::{Answer, Progress, Step};
use crate::posix::constants::{MSG_EOR, MSG_MORE, MSG_OOB};
use crate::posix::socket::{Kind, State, errno_of_icmp};
use crate::posix::{Address, Errno, Fd, Posix};
use bytes::Bytes;
use handwave_stack::{ConnectionId, UdpSendError};
use handwave_tcp::{Instant, Phase, WriteOptions};

impl Posix {
    pub(in crate::posix) fn try_send(
        &mut self,
        now: Instant,
        fd: Fd,
        (data, flags, to): (&[u8], i32, Option<Address>),
        progress: &mut Progress,
    ) -> Result<Step, Errno> {
        let place = self.place(fd)?;
        let socket = self.socket_at(place)?;
        if socket.kind == Kind::Datagram {
            return self.send_datagram(now, place, data, to);
        }
        let sent = progress.sent;
        let partial = |errno| {
            if sent > 0 {
                Ok(Answer::Count(sent))
            } else {
                Err(errno)
            }
        };
        if let Some(errno) = socket.error.take_if(|_| sent == 0) {
            return Err(errno);
        }
        let (state, wait, shut) = (
            socket.state,
            socket.send_timeout(flags),
            socket.write_shut || socket.error.is_some(),
        );
        let State::Open(id) = state else {
            return partial(Errno::EPIPE).map(Step::from);
        };
        if shut {
            return partial(Errno::EPIPE).map(Step::from);
        }
        if matches!(self.phase_of(state), Phase::SynSent | Phase::SynReceived) {
            return Ok(Step::Wait(wait, Err(Errno::EAGAIN)));
        }
        if self.may_queue(place, id) {
            progress.sent += self.put_text(now, id, &data[sent..], flags)?;
        }
        if progress.sent == data.len() {
            return Ok(Answer::Count(progress.sent).into());
        }
        let otherwise = if progress.sent > 0 {
            Ok(Answer::Count(progress.sent))
        } else {
            Err(Errno::EAGAIN)
        };
        Ok(Step::Wait(wait, otherwise))
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

    fn put_text(
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

    fn send_datagram(
        &mut self,
        now: Instant,
        place: usize,
        data: &[u8],
        to: Option<Address>,
    ) -> Result<Step, Errno> {
        let socket = self.socket_at(place)?;
        socket.take_error()?;
        if socket.write_shut {
            return Err(Errno::EPIPE);
        }
        let domain = socket.domain;
        let named = match to {
            Some(Address::Inet(to)) => Some(domain.on_wire(to)?),
            Some(Address::Unspecified) => return Err(Errno::EAFNOSUPPORT),
            None => None,
        };
        let peer = match socket.state {
            State::Udp(_, peer) => peer,
            _ => None,
        };
        let remote = named.or(peer).ok_or(Errno::EDESTADDRREQ)?;
        self.bind_datagram_anywhere(place)?;
        let State::Udp(id, _) = self.socket_at(place)?.state else {
            return Err(Errno::EINVAL);
        };
        self.stack
            .udp_send_to(now, id, remote, Bytes::copy_from_slice(data))
            .map_err(|error| match error {
                UdpSendError::NoRoute => Errno::ENETUNREACH,
                UdpSendError::TooLong => Errno::EMSGSIZE,
                UdpSendError::NoPort => Errno::EINVAL,
                UdpSendError::QueueFull => Errno::ENOBUFS,
                UdpSendError::Unreachable(why) => errno_of_icmp(why),
                _ => Errno::EBADF,
            })?;
        Ok(Answer::Count(data.len()).into())
    }
}
