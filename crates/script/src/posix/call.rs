//! Calls that may wait: what is asked for, what has been done of it, and the answer.

mod control;

pub use control::{Control, encode_address, encode_control};

use super::{Address, Errno, Fd, Posix};
use handwave_tcp::Instant;
use std::net::SocketAddr;
use std::task::Poll;
use std::time::Duration;

/// A call that may wait for the network or for time to pass.
#[derive(Clone, PartialEq, Debug)]
pub enum Op {
    /// `accept`, `accept4`: takes a connection off a listener's queue. Answers [`Answer::Accepted`].
    Accept {
        /// The listener.
        fd: Fd,
        /// `SOCK_NONBLOCK`, `SOCK_CLOEXEC`.
        flags: i32,
    },
    /// `connect`. Answers [`Answer::Done`].
    Connect {
        /// The socket.
        fd: Fd,
        /// The peer.
        to: Address,
    },
    /// `read`, `readv`, `recv`, `recvfrom`, `recvmsg`. Answers [`Answer::Received`].
    Receive {
        /// The socket.
        fd: Fd,
        /// Octets that the program's buffers hold.
        len: usize,
        /// `MSG_*`.
        flags: i32,
    },
    /// `write`, `writev`, `send`, `sendto`, `sendmsg`. Answers [`Answer::Count`].
    Send {
        /// The socket.
        fd: Fd,
        /// What is to be sent.
        data: Vec<u8>,
        /// `MSG_*`.
        flags: i32,
        /// Where to; sockets that are connected need not be told.
        to: Option<Address>,
    },
    /// `splice` between a pipe and a socket. Answers [`Answer::Count`].
    Splice {
        /// Where octets come from.
        from: Fd,
        /// Where they go.
        to: Fd,
        /// How many at most.
        len: usize,
        /// `SPLICE_F_*`.
        flags: i32,
    },
    /// `close`: waits only as long as `SO_LINGER` says. Answers [`Answer::Done`].
    Close {
        /// The descriptor.
        fd: Fd,
    },
    /// `epoll_wait`. Answers [`Answer::Events`].
    EpollWait {
        /// The epoll instance.
        fd: Fd,
        /// Most events to return.
        max: usize,
        /// How long to wait; `None` for ever.
        timeout: Option<Duration>,
    },
    /// `poll`. Answers [`Answer::Polled`].
    Poll {
        /// What is asked about.
        fds: Vec<PollFd>,
        /// How long to wait; `None` for ever.
        timeout: Option<Duration>,
    },
}

/// One descriptor of a `poll`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PollFd {
    /// The descriptor; a negative one is passed over.
    pub fd: Fd,
    /// `POLL*` bits asked for.
    pub events: i32,
    /// `POLL*` bits that hold.
    pub revents: i32,
}

/// What a call returns when it does not fail.
#[derive(Clone, PartialEq, Debug)]
pub enum Answer {
    /// 0.
    Done,
    /// So many octets.
    Count(usize),
    /// A descriptor, and who is at the other end.
    Accepted {
        /// The descriptor.
        fd: Fd,
        /// The peer.
        peer: SocketAddr,
    },
    /// What arrived.
    Received(Received),
    /// What `epoll_wait` found: `EPOLL*` bits, and the data given with the descriptor.
    Events(Vec<(i32, u64)>),
    /// The descriptors of a `poll`, and for how many of them something holds.
    Polled {
        /// The descriptors, `revents` filled in.
        fds: Vec<PollFd>,
        /// How many have a bit set.
        ready: usize,
    },
}

impl Answer {
    /// The integer that the C function returns; for received data the number of octets.
    #[must_use]
    pub fn value(&self) -> i64 {
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        match self {
            Self::Done => 0,
            Self::Count(n) => count(*n),
            Self::Accepted { fd, .. } => i64::from(*fd),
            Self::Received(received) => count(received.count),
            Self::Events(events) => count(events.len()),
            Self::Polled { ready, .. } => count(*ready),
        }
    }
}

/// What `recvmsg` fills in.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Received {
    /// The return value: octets received, or (with `MSG_TRUNC`) that there were.
    pub count: usize,
    /// The octets.
    pub data: Vec<u8>,
    /// Who sent them, if the protocol says.
    pub from: Option<SocketAddr>,
    /// `msg_flags`.
    pub flags: i32,
    /// Ancillary data.
    pub control: Vec<Control>,
}

/// A call under way.
#[derive(Debug)]
pub struct Call {
    op: Op,
    progress: Progress,
    started: Option<Instant>,
    deadline: Option<Instant>,
}

/// What a call has done before it has to wait.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Octets sent.
    pub(super) sent: usize,
    /// What was received.
    pub(super) received: Vec<u8>,
    /// Octets received and thrown away.
    pub(super) discarded: usize,
    /// The descriptor is closed, and the call lingers over this socket.
    pub(super) lingers: Option<usize>,
    /// The call has asked for its connection.
    pub(super) begun: bool,
    /// The call waits for a socket that can be written to.
    pub(super) blocked: bool,
}

/// How an attempt went.
#[derive(Debug)]
pub(super) enum Step {
    /// The call is over.
    Ready(Result<Answer, Errno>),
    /// The call waits, for so long (`None`: for ever; zero: not at all), and then ends so.
    Wait(Option<Duration>, Result<Answer, Errno>),
}

impl From<Errno> for Step {
    fn from(errno: Errno) -> Self {
        Self::Ready(Err(errno))
    }
}

impl From<Answer> for Step {
    fn from(answer: Answer) -> Self {
        Self::Ready(Ok(answer))
    }
}

impl Call {
    /// A call that has not been attempted yet.
    #[must_use]
    pub fn new(op: Op) -> Self {
        Self {
            op,
            progress: Progress::default(),
            started: None,
            deadline: None,
        }
    }

    /// What is asked for.
    #[must_use]
    pub const fn op(&self) -> &Op {
        &self.op
    }

    /// Tries to carry the call out at `now`.
    ///
    /// [`Poll::Pending`]: try again after whatever happens next to `posix`, and at [`deadline`](Self::deadline). After
    /// [`Poll::Ready`] the call is over and must not be attempted again. Drain [`Posix::poll_transmit`] after each attempt.
    pub fn attempt(&mut self, posix: &mut Posix, now: Instant) -> Poll<Result<Answer, Errno>> {
        let started = *self.started.get_or_insert(now);
        posix.now = posix.now.max(now);
        posix.absorb_events();
        match posix.attempt(now, &self.op, &mut self.progress) {
            Step::Ready(result) => Poll::Ready(result),
            Step::Wait(limit, otherwise) => {
                self.deadline = limit.map(|limit| started + limit);
                if self.deadline.is_some_and(|deadline| deadline <= now) {
                    return Poll::Ready(otherwise);
                }
                Poll::Pending
            }
        }
    }

    /// When the call gives up waiting; known after the first attempt.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
}

impl Posix {
    fn attempt(&mut self, now: Instant, op: &Op, progress: &mut Progress) -> Step {
        let step = match op {
            Op::Accept { fd, flags } => self.try_accept(*fd, *flags),
            Op::Connect { fd, to } => self.try_connect(now, *fd, *to, progress),
            Op::Receive { fd, len, flags } => self.try_receive(now, *fd, *len, *flags, progress),
            Op::Send {
                fd,
                data,
                flags,
                to,
            } => self.try_send(now, *fd, (data, *flags, *to), progress),
            Op::Splice {
                from,
                to,
                len,
                flags,
            } => self.try_splice(now, (*from, *to), *len, *flags),
            Op::Close { fd } => self.try_close(now, *fd, progress),
            Op::EpollWait { fd, max, timeout } => self.try_epoll_wait(*fd, *max, *timeout),
            Op::Poll { fds, timeout } => Ok(self.try_poll(fds, *timeout)),
        };
        step.unwrap_or_else(Step::from)
    }
}
