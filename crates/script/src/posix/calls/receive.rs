//! `read`, `readv`, `recv`, `recvfrom` and `recvmsg`.

use crate::posix::call::{Answer, Control, Progress, Received, Step};
use crate::posix::constants::{MSG_ERRQUEUE, MSG_OOB, MSG_PEEK, MSG_TRUNC, MSG_WAITALL};
use crate::posix::socket::{Kind, State, errno_of_icmp};
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
        let place = self.place(fd)?;
        let socket = self.socket_at(place)?;
        if flags & MSG_ERRQUEUE != 0 {
            return Err(Errno::EAGAIN);
        }
        if socket.kind == Kind::Datagram {
            return self.receive_datagram(place, len, flags);
        }
        if flags & MSG_OOB != 0 {
            return Err(Errno::EINVAL);
        }
        match socket.state {
            State::Open(id) => self.receive_stream(now, (place, id), len, flags, progress),
            State::Listening(_) | State::Udp(..) => Err(Errno::ENOTCONN),
            State::Closed => {
                socket.take_error()?;
                if socket.read_shut {
                    return Ok(Answer::Received(Received::default()).into());
                }
                Err(Errno::ENOTCONN)
            }
        }
    }

    fn receive_stream(
        &mut self,
        now: Instant,
        (place, id): (usize, ConnectionId),
        len: usize,
        flags: i32,
        progress: &mut Progress,
    ) -> Result<Step, Errno> {
        let lowat = self.socket_at(place)?.options.receive_low_water;
        let target = if flags & MSG_WAITALL != 0 {
            len
        } else {
            lowat.clamp(1, len.max(1))
        };
        self.take_text(now, id, len, flags, progress);
        let taken = progress.received.len() + progress.discarded;
        let answer = self.received(place, id, progress);
        if taken >= target && (taken > 0 || len == 0) {
            return Ok(answer);
        }
        let phase = self.phase_of(State::Open(id));
        let socket = self.socket_at(place)?;
        let over = socket.error.is_some() || socket.read_shut || phase == Phase::Closed;
        let wait = socket.receive_timeout(flags);
        if taken > 0 {
            return Ok(match answer {
                Step::Ready(result) if !over => Step::Wait(wait, result),
                answer => answer,
            });
        }
        socket.take_error()?;
        if over {
            return Ok(Answer::Received(Received::default()).into());
        }
        Ok(Step::Wait(wait, Err(Errno::EAGAIN)))
    }

    /// Moves text that has arrived into the call.
    fn take_text(
        &mut self,
        now: Instant,
        id: ConnectionId,
        len: usize,
        flags: i32,
        progress: &mut Progress,
    ) {
        let room = len - progress.received.len() - progress.discarded;
        let mut buffer = vec![0; room.min(self.receivable(id))];
        if flags & MSG_PEEK != 0 {
            progress.received.clear();
            let mut buffer = vec![0; len.min(self.receivable(id))];
            let taken = self.stack.peek(id, &mut buffer);
            buffer.truncate(taken);
            progress.received = buffer;
            return;
        }
        if buffer.is_empty() {
            return;
        }
        let taken = self.stack.read(now, id, &mut buffer).unwrap_or(0);
        if flags & MSG_TRUNC != 0 {
            progress.discarded += taken;
        } else {
            progress.received.extend_from_slice(&buffer[..taken]);
        }
    }

    /// Octets that can be read from a connection.
    pub(in crate::posix) fn receivable(&self, id: ConnectionId) -> usize {
        self.stack
            .connection(id)
            .map_or(0, handwave_tcp::Connection::receivable)
    }

    fn received(&mut self, place: usize, id: ConnectionId, progress: &Progress) -> Step {
        let left = self.receivable(id);
        let Ok(socket) = self.socket_at(place) else {
            return Errno::EBADF.into();
        };
        let mut control = Vec::new();
        if socket.options.inq {
            // An empty queue says 1 once the peer's FIN has come: there is an end to be read.
            let inq = if left == 0 && socket.read_shut {
                1
            } else {
                left
            };
            control.push(Control::Inq(i32::try_from(inq).unwrap_or(i32::MAX)));
        }
        Answer::Received(Received {
            count: progress.received.len() + progress.discarded,
            data: progress.received.clone(),
            control,
            ..Received::default()
        })
        .into()
    }

    fn receive_datagram(&mut self, place: usize, len: usize, flags: i32) -> Result<Step, Errno> {
        let socket = self.socket_at(place)?;
        let wait = socket.receive_timeout(flags);
        socket.take_error()?;
        if socket.read_shut {
            return Ok(Answer::Received(Received::default()).into());
        }
        let (domain, peer) = (socket.domain, socket.state);
        let State::Udp(id, peer) = peer else {
            return Ok(Step::Wait(wait, Err(Errno::EAGAIN)));
        };
        if let Some(why) = self.stack.udp_take_error(id).filter(|_| peer.is_some()) {
            return Err(errno_of_icmp(why));
        }
        loop {
            let Some(datagram) = self.stack.udp_recv_from(id) else {
                return Ok(Step::Wait(wait, Err(Errno::EAGAIN)));
            };
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
}
