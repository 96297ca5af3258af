//! What the program calls.

use super::{Author, Theme};

/// What a call is about.
#[derive(Clone, Copy, Debug)]
enum Calls {
    Write,
    SendWith,
    Read,
    ReadWith,
    Shutdown,
    Close,
    SetOption,
    GetOption,
    Poll,
    Queues,
    Connect,
    Listen,
    Accept,
}

/// Options and values that change what a connection does, or what it tells.
const OPTIONS: &[(&str, &str, &[i64])] = &[
    ("SOL_TCP", "TCP_NODELAY", &[0, 1]),
    ("SOL_TCP", "TCP_CORK", &[0, 1]),
    ("SOL_TCP", "TCP_MAXSEG", &[500, 1000, 87, 88, 40_000]),
    ("SOL_TCP", "TCP_QUICKACK", &[0, 1]),
    (
        "SOL_TCP",
        "TCP_WINDOW_CLAMP",
        &[0, 1, 1000, 20_000, 100_000],
    ),
    ("SOL_TCP", "TCP_NOTSENT_LOWAT", &[1, 1000, 10_000]),
    ("SOL_TCP", "TCP_USER_TIMEOUT", &[0, 400, 1000, 3000]),
    ("SOL_TCP", "TCP_KEEPIDLE", &[1, 2, 100]),
    ("SOL_TCP", "TCP_KEEPINTVL", &[1, 2]),
    ("SOL_TCP", "TCP_KEEPCNT", &[1, 3]),
    ("SOL_TCP", "TCP_LINGER2", &[-1, 0, 1, 100]),
    ("SOL_TCP", "TCP_SYNCNT", &[1, 3]),
    ("SOL_TCP", "TCP_INQ", &[0, 1]),
    ("SOL_TCP", "TCP_DEFER_ACCEPT", &[0, 1]),
    ("SOL_TCP", "TCP_THIN_LINEAR_TIMEOUTS", &[1]),
    ("SOL_SOCKET", "SO_RCVBUF", &[1000, 2304, 10_000, 100_000]),
    ("SOL_SOCKET", "SO_SNDBUF", &[1000, 4608, 20_000]),
    ("SOL_SOCKET", "SO_KEEPALIVE", &[0, 1]),
    ("SOL_SOCKET", "SO_RCVLOWAT", &[1, 100, 2000]),
    ("SOL_SOCKET", "SO_OOBINLINE", &[0, 1]),
    ("SOL_SOCKET", "SO_ZEROCOPY", &[1]),
    ("SOL_SOCKET", "SO_PRIORITY", &[1]),
    ("SOL_SOCKET", "SO_BUSY_POLL", &[0]),
];

/// Options that only tell.
const ASKED: &[(&str, &str)] = &[
    ("SOL_SOCKET", "SO_ERROR"),
    ("SOL_SOCKET", "SO_TYPE"),
    ("SOL_SOCKET", "SO_ACCEPTCONN"),
    ("SOL_SOCKET", "SO_RCVBUF"),
    ("SOL_SOCKET", "SO_SNDBUF"),
    ("SOL_SOCKET", "SO_PROTOCOL"),
    ("SOL_SOCKET", "SO_DOMAIN"),
    ("SOL_TCP", "TCP_MAXSEG"),
    ("SOL_TCP", "TCP_KEEPIDLE"),
    ("SOL_TCP", "TCP_QUICKACK"),
    ("SOL_TCP", "TCP_WINDOW_CLAMP"),
    ("SOL_TCP", "TCP_LINGER2"),
    ("SOL_TCP", "TCP_SYNCNT"),
    ("SOL_TCP", "TCP_DEFER_ACCEPT"),
    ("SOL_TCP", "TCP_NOTSENT_LOWAT"),
    ("SOL_TCP", "TCP_USER_TIMEOUT"),
    ("SOL_TCP", "TCP_REPAIR"),
    ("SOL_IP", "IP_MTU"),
    ("SOL_IP", "IP_TTL"),
    ("SOL_IP", "IP_TOS"),
];

impl Author {
    pub(super) fn program_acts(&mut self) {
        use Calls::*;
        if self.closed {
            // Others may still be asked.
            let call = self.random.pick(&[Accept, Poll]);
            self.call(call);
            return;
        }
        let call = match self.theme {
            Theme::Sending => self.random.pick(&[
                Write, Write, Write, SendWith, SendWith, SetOption, Shutdown, Queues, Poll,
                GetOption,
            ]),
            Theme::Receiving => self.random.pick(&[
                Read, Read, ReadWith, ReadWith, Poll, SetOption, Queues, GetOption,
            ]),
            Theme::Loss => self.random.pick(&[Write, Write, Write, Write, GetOption]),
            Theme::Windows => self
                .random
                .pick(&[Write, Write, Write, Read, SetOption, Poll, Queues]),
            Theme::Closing => self.random.pick(&[
                Shutdown, Shutdown, Close, Write, Read, ReadWith, Poll, GetOption, SetOption,
                Connect,
            ]),
            Theme::Options => self.random.pick(&[
                SetOption, SetOption, SetOption, GetOption, GetOption, Write, Read,
            ]),
            Theme::Handshake | Theme::Anything => self.random.pick(&[
                Write, Write, SendWith, Read, Read, ReadWith, Shutdown, Close, SetOption,
                GetOption, Poll, Queues, Connect, Listen,
            ]),
        };
        self.call(call);
    }

    fn call(&mut self, call: Calls) {
        let fd = self.fd;
        match call {
            Calls::Write | Calls::SendWith => self.write(matches!(call, Calls::SendWith)),
            Calls::Read => {
                let len = self.random.pick(&[1, 100, 1000, 5000, 100_000]);
                self.line(&format!("read({fd}, ..., {len}) = 0"));
            }
            Calls::ReadWith => {
                let len = self.random.pick(&[0, 1, 100, 5000]);
                let flags = self.random.pick(&[
                    "MSG_PEEK",
                    "MSG_OOB",
                    "MSG_TRUNC",
                    "MSG_DONTWAIT",
                    "MSG_PEEK|MSG_TRUNC",
                    "MSG_ERRQUEUE",
                ]);
                let text = if self.random.chance(50) {
                    format!("recv({fd}, ..., {len}, {flags}) = 0")
                } else {
                    format!(
                        "recvmsg({fd}, {{msg_name(...)=..., msg_iov(1)=[{{..., {len}}}], msg_flags=0, msg_control=[]}}, {flags}) = 0"
                    )
                };
                self.line(&text);
            }
            Calls::Shutdown => {
                let how = self
                    .random
                    .pick(&["SHUT_WR", "SHUT_WR", "SHUT_RD", "SHUT_RDWR"]);
                self.shut |= how != "SHUT_RD";
                self.line(&format!("shutdown({fd}, {how}) = 0"));
            }
            Calls::Close => self.close(),
            Calls::SetOption => {
                let text = self.option(fd);
                self.line(&text);
            }
            Calls::GetOption => {
                let (level, name) = self.random.pick(ASKED);
                self.line(&format!("getsockopt({fd}, {level}, {name}, ..., [4]) = 0"));
            }
            Calls::Poll => {
                let fd = self.random.pick(&[3, fd, fd, fd]);
                let events =
                    self.random
                        .pick(&["POLLIN|POLLOUT|POLLRDHUP|POLLPRI", "POLLIN", "POLLOUT"]);
                self.line(&format!(
                    "poll([{{fd={fd}, events={events}, revents=0}}], 1, 0) = 0"
                ));
            }
            Calls::Queues => self.ask_queues(),
            Calls::Connect => self.line(&format!("connect({fd}, ..., ...) = 0")),
            Calls::Listen => self.line(&format!("listen({fd}, 1) = 0")),
            Calls::Accept => self.line("accept(4, ..., ...) = 5"),
        }
    }

    fn ask_queues(&mut self) {
        let fd = self.fd;
        let request = self
            .random
            .pick(&["SIOCINQ", "SIOCOUTQ", "SIOCOUTQNSD", "SIOCATMARK"]);
        self.line(&format!("ioctl({fd}, {request}, [0]) = 0"));
    }

    fn close(&mut self) {
        let fd = self.fd;
        if self.random.chance(20) {
            self.after(
                0,
                &format!("setsockopt({fd}, SOL_SOCKET, SO_LINGER, {{onoff=1, linger=0}}, 8) = 0"),
            );
        }
        self.closed = true;
        self.line(&format!("close({fd}) = 0"));
    }

    fn write(&mut self, with_flags: bool) {
        let fd = self.fd;
        let mss = self.mss;
        let len = self.random.pick(&[
            1,
            10,
            100,
            500,
            1000,
            mss,
            1500,
            2 * mss,
            5 * mss,
            10 * mss,
            20 * mss,
        ]);
        if !self.shut {
            self.written += len;
        }
        let text = if with_flags {
            let flags = self.random.pick(&[
                "MSG_MORE",
                "MSG_MORE",
                "MSG_EOR",
                "MSG_OOB",
                "MSG_DONTWAIT",
                "MSG_NOSIGNAL",
                "MSG_ZEROCOPY",
            ]);
            format!("send({fd}, ..., {len}, {flags}) = {len}")
        } else {
            format!("write({fd}, ..., {len}) = {len}")
        };
        self.line(&text);
    }

    fn option(&mut self, fd: u32) -> String {
        let (level, name, values) = self.random.pick(OPTIONS);
        let value = self.random.pick(values);
        format!("setsockopt({fd}, {level}, {name}, [{value}], 4) = 0")
    }

    /// Options set before the connection is opened.
    pub(super) fn early_options(&mut self, fd: u32) {
        let count = match self.theme {
            Theme::Options => self.random.between(1, 3),
            Theme::Windows => 1,
            _ => u32::from(self.random.chance(10)),
        };
        for _ in 0..count {
            let text = if self.theme == Theme::Windows && self.random.chance(70) {
                let (name, value) = self.random.pick(&[
                    ("SO_RCVBUF", 1000),
                    ("SO_RCVBUF", 3000),
                    ("SO_RCVBUF", 20_000),
                    ("SO_RCVBUF", 500_000),
                    ("SO_SNDBUF", 10_000),
                ]);
                format!("setsockopt({fd}, SOL_SOCKET, {name}, [{value}], 4) = 0")
            } else {
                self.option(fd)
            };
            self.after(0, &text);
        }
    }
}
