//! `read`, `readv`, `recv`, `recvfrom` and `recvmsg`.

use crate::posix::call::{Answer, Control, Progress, Received, Step};
use crate::posix::constants::{MSG_ERRQUEUE, MSG_OOB, MSG_PEEK, MSG_TRUNC, MSG_WAITALL};
use crate::posix::socket::{Kind, State};
use crate::posix::{Errno, Fd, Posix};
use handwave_stack::ConnectionId;
use handwave_tcp::{Instant, Phase};

impl Posix {
    pub(in crate::posix) fn try_receive(
        &mut self,
        now: Instant,
        fd: Fd,
        len: usize,
        flags: i32,
        progress: &mut Progress,
    ) -> Result<Step, Errno> {
        let place = match self.pipe_of(fd) {
            Some(pipe) => return self.read_pipe(pipe, len),
            None => self.place_now(fd)?,
        };
        let socket = self.socket_at(place)?;
        if flags & MSG_ERRQUEUE != 0 {
            let ipv6 = socket.domain.is_ipv6();
            let notice = socket.errors.take(ipv6, socket.options.timestamping)?;
            return Ok(Answer::Received(notice).into());
        }
        if socket.kind == Kind::Datagram {
            return self.receive_datagram(place, len, flags);
        }
        if matches!(socket.state, State::Listening(_)) {
            return Err(Errno::ENOTCONN);
        }
        if flags & MSG_OOB != 0 {
            return self.receive_urgent(place, len, flags);
        }
        match socket.state {
            State::Open(id) => {
                let stopped = self.take_text(now, (place, id), len, flags, progress);
                self.receive_step(place, len, flags, progress, stopped)
            }
            _ => self.receive_step(place, len, flags, progress, false),
        }
    }

    /// The answer, or what to wait for; `stopped`: reading may not go on beyond the urgent mark.
    fn receive_step(
        &mut self,
        place: usize,
        len: usize,
        flags: i32,
        progress: &Progress,
        stopped: bool,
    ) -> Result<Step, Errno> {
        let state = self.socket_at(place)?.state;
        let closed = self.phase_of(state) == Phase::Closed;
        let socket = self.socket_at(place)?;
        let target = if flags & MSG_WAITALL == 0 {
            socket.options.receive_low_water.min(len)
        } else {
            len
        }
        .max(1);
        let taken = progress.received.len() + progress.discarded;
        let wait = socket.receive_timeout(flags);
        if taken > 0 {
            let over = socket.error.is_some() || socket.read_shut || closed;
            let answer = self.received(place, progress);
            return Ok(if stopped || over || taken >= target || taken == len {
                answer.into()
            } else {
                Step::Wait(wait, Ok(answer))
            });
        }
        if stopped {
            return Ok(self.received(place, progress).into());
        }
        if !socket.fin {
            socket.take_error()?;
            if !socket.read_shut && closed {
                return Err(Errno::ENOTCONN);
            }
        }
        if socket.fin || socket.read_shut {
            return Ok(self.received(place, progress).into());
        }
        Ok(Step::Wait(wait, Err(Errno::EAGAIN)))
    }

    /// The urgent octet, out of band.
    fn receive_urgent(&mut self, place: usize, len: usize, flags: i32) -> Result<Step, Errno> {
        let socket = self.socket_at(place)?;
        let (inline, shut, fin, state) = (
            socket.options.oob_inline,
            socket.read_shut,
            socket.fin,
            socket.state,
        );
        let State::Open(id) = state else {
            return Err(Errno::EINVAL);
        };
        let ahead = self.follow_mark(place, id);
        let Some(mark) = ahead.filter(|mark| !inline && !mark.taken) else {
            return Err(Errno::EINVAL);
        };
        let closed = self.phase_of(state) == Phase::Closed;
        if closed && !fin {
            return Err(Errno::ENOTCONN);
        }
        if !mark.arrived {
            let nothing = Answer::Received(Received::default());
            return if closed || shut {
                Ok(nothing.into())
            } else {
                Err(Errno::EAGAIN)
            };
        }
        let mut front = vec![0; mark.offset + 1];
        let _whole = self.stack.peek(id, &mut front);
        if flags & MSG_PEEK == 0 {
            self.socket_at(place)?.urgent.take();
        }
        let octet = front.pop().unwrap_or_default();
        Ok(Answer::Received(Received {
            count: len.min(1),
            data: if len > 0 && flags & MSG_TRUNC == 0 {
                vec![octet]
            } else {
                Vec::new()
            },
            flags: MSG_OOB | if len == 0 { MSG_TRUNC } else { 0 },
            ..Received::default()
        })
        .into())
    }

    /// Moves text that has arrived into the call; whether reading must stop here: at the urgent mark, or at a buffer of no octets.
    fn take_text(
        &mut self,
        now: Instant,
        (place, id): (usize, ConnectionId),
        len: usize,
        flags: i32,
        progress: &mut Progress,
    ) -> bool {
        if flags & MSG_PEEK != 0 {
            return self.peek_text((place, id), len, progress);
        }
        loop {
            let taken = progress.received.len() + progress.discarded;
            let arrived = self.receivable(id);
            let mark = self.follow_mark(place, id);
            let Ok(socket) = self.socket_at(place) else {
                return true;
            };
            let inline = socket.options.oob_inline;
            let mut limit = arrived.min(len - taken);
            match mark {
                Some(mark) if mark.offset > 0 => limit = limit.min(mark.offset),
                Some(_) if taken > 0 => return true,
                Some(_) if !inline && arrived > 0 => {
                    let mut octet = [0];
                    let skipped = self.stack.read(now, id, &mut octet).unwrap_or(0);
                    if let Ok(socket) = self.socket_at(place) {
                        socket.urgent.advance(skipped);
                    }
                    if skipped > 0 {
                        continue;
                    }
                }
                _ => {}
            }
            if limit == 0 {
                return len == 0 && arrived > 0;
            }
            let mut buffer = vec![0; limit];
            let read = self.stack.read(now, id, &mut buffer).unwrap_or(0);
            if read == 0 {
                return false;
            }
            if let Ok(socket) = self.socket_at(place) {
                socket.urgent.advance(read);
            }
            if flags & MSG_TRUNC == 0 {
                progress.received.extend_from_slice(&buffer[..read]);
            } else {
                progress.discarded += read;
            }
        }
    }

    /// Looks at text that has arrived, as far as the urgent mark.
    fn peek_text(
        &mut self,
        (place, id): (usize, ConnectionId),
        len: usize,
        progress: &mut Progress,
    ) -> bool {
        let arrived = self.receivable(id);
        let mark = self.follow_mark(place, id);
        let inline = self
            .socket_at(place)
            .is_ok_and(|socket| socket.options.oob_inline);
        let skipped = usize::from(mark.is_some_and(|mark| mark.offset == 0 && !inline));
        let limit = match mark {
            Some(mark) if mark.offset > 0 => len.min(mark.offset),
            _ => len,
        };
        let mut buffer = vec![0; (limit + skipped).min(arrived)];
        let taken = self.stack.peek(id, &mut buffer);
        buffer.truncate(taken);
        progress.received = buffer.split_off(skipped.min(taken));
        limit < len && progress.received.len() == limit || (len == 0 && arrived > 0)
    }

    /// Octets that can be read from a connection.
    pub(in crate::posix) fn receivable(&self, id: ConnectionId) -> usize {
        self.stack
            .connection(id)
            .map_or(0, handwave_tcp::Connection::receivable)
    }

    fn received(&mut self, place: usize, progress: &Progress) -> Answer {
        let mut control = Vec::new();
        if let Ok(socket) = self.socket_at(place)
            && socket.options.inq
        {
            let (state, fin) = (socket.state, socket.fin);
            let left = match state {
                State::Open(id) => self.receivable(id),
                _ => 0,
            };
            // An empty queue says 1 once the peer's FIN has come: there is an end to be read.
            let inq = if left == 0 && fin { 1 } else { left };
            control.push(Control::Inq(i32::try_from(inq).unwrap_or(i32::MAX)));
        }
        Answer::Received(Received {
            count: progress.received.len() + progress.discarded,
            data: progress.received.clone(),
            control,
            ..Received::default()
        })
    }

    fn receive_datagram(&mut self, place: usize, len: usize, flags: i32) -> Result<Step, Errno> {
        let socket = self.socket_at(place)?;
        let wait = socket.receive_timeout(flags);
        socket.take_error()?;
        let (domain, state) = (socket.domain, socket.state);
        if let State::Udp(id, peer) = state {
            while let Some(datagram) = self.stack.udp_recv_from(id) {
                if peer.is_some_and(|peer| peer != datagram.source) {
                    continue;
                }
                let mut data = datagram.payload.to_vec();
                let whole = data.len();
                data.truncate(len);
                let cut = whole > len;
                return Ok(Answer::Received(Received {
                    count: if flags & MSG_TRUNC != 0 {
                        whole
                    } else {
                        data.len()
                    },
                    data,
                    from: Some(domain.to_program(datagram.source)),
                    flags: if cut { MSG_TRUNC } else { 0 },
                    control: Vec::new(),
                })
                .into());
            }
        }
        let may_wait = wait.is_none_or(|limit| !limit.is_zero());
        if may_wait && self.socket_at(place)?.read_shut {
            return Ok(Answer::Received(Received::default()).into());
        }
        Ok(Step::Wait(wait, Err(Errno::EAGAIN)))
    }
}
