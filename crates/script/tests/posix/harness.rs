//! Two programs, each on a host of its own, and the wire between them, in virtual time.

use handwave_packet::PacketBuf;
use handwave_script::posix::constants::{AF_INET, SOCK_NONBLOCK, SOCK_STREAM};
use handwave_script::posix::{Answer, Call, Environment, Errno, Fd, Op, Posix};
use handwave_tcp::{Instant, Profile};
use std::net::{IpAddr, SocketAddr};
use std::task::Poll;
use std::time::Duration;

pub(crate) const SERVER: &str = "192.0.2.2";
pub(crate) const PORT: u16 = 8080;

/// Two programs on one wire.
pub(crate) struct Wire {
    pub(crate) now: Instant,
    pub(crate) client: Posix,
    pub(crate) server: Posix,
    /// Nothing gets through.
    pub(crate) cut: bool,
    /// One packet in ten is lost, as this number decides; none if it is 0.
    pub(crate) luck: u64,
    /// Every packet that left, in order.
    pub(crate) log: Vec<Packet>,
}

/// One packet on the wire, as far as the tests look at it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Packet {
    pub(crate) at: Instant,
    pub(crate) side: Side,
    pub(crate) flags: String,
    pub(crate) window: u16,
    pub(crate) text: usize,
    pub(crate) options: Vec<u8>,
}

impl Packet {
    fn read(at: Instant, side: Side, packet: &PacketBuf) -> Self {
        let octets = packet.to_vec();
        let ip = if octets[0] >> 4 == 4 { 20 } else { 40 };
        let segment = &octets[ip..];
        let header = usize::from(segment[12] >> 4) * 4;
        let letters = [(2, 'S'), (1, 'F'), (4, 'R'), (8, 'P'), (16, '.')];
        let set = |(bit, letter): (u8, char)| (segment[13] & bit != 0).then_some(letter);
        Self {
            at,
            side,
            flags: letters.into_iter().filter_map(set).collect(),
            window: u16::from_be_bytes([segment[14], segment[15]]),
            text: segment.len() - header,
            options: segment[20..header].to_vec(),
        }
    }
}

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    Client,
    Server,
}

pub(crate) fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(crate) fn server_address() -> SocketAddr {
    SocketAddr::new(SERVER.parse().unwrap(), PORT)
}

impl Wire {
    pub(crate) fn new() -> Self {
        let host = |v4: &str, v6: &str| {
            let addresses: [IpAddr; 2] = [v4.parse().unwrap(), v6.parse().unwrap()];
            Posix::new(Instant::ZERO, Environment::new(Profile::linux(), addresses)).unwrap()
        };
        Self {
            now: Instant::ZERO,
            client: host("192.0.2.1", "2001:db8::1"),
            server: host(SERVER, "2001:db8::2"),
            cut: false,
            luck: 0,
            log: Vec::new(),
        }
    }

    pub(crate) fn host(&mut self, side: Side) -> &mut Posix {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    /// Carries packets both ways until nobody has any.
    pub(crate) fn carry(&mut self) {
        loop {
            let mut quiet = true;
            while let Some(packet) = self.client.poll_transmit(self.now) {
                quiet = false;
                self.log.push(Packet::read(self.now, Side::Client, &packet));
                if !self.cut && !self.is_lost() {
                    self.server.handle_packet(self.now, packet);
                }
            }
            while let Some(packet) = self.server.poll_transmit(self.now) {
                quiet = false;
                self.log.push(Packet::read(self.now, Side::Server, &packet));
                if !self.cut && !self.is_lost() {
                    self.client.handle_packet(self.now, packet);
                }
            }
            if quiet {
                return;
            }
        }
    }

    fn is_lost(&mut self) -> bool {
        if self.luck == 0 {
            return false;
        }
        // A linear congruential generator: the same losses for the same number.
        self.luck = self
            .luck
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.luck >> 33).is_multiple_of(10)
    }

    /// What a side has sent since the log was cleared: flags and octets of text.
    pub(crate) fn sent(&self, side: Side) -> Vec<(&str, usize)> {
        let packets = self.log.iter().filter(|packet| packet.side == side);
        packets
            .map(|packet| (packet.flags.as_str(), packet.text))
            .collect()
    }

    /// Lets `span` pass, timer by timer.
    pub(crate) fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            self.carry();
            let due = [self.client.poll_timeout(), self.server.poll_timeout()];
            let next = due.into_iter().flatten().min().filter(|due| *due <= end);
            self.now = next.unwrap_or(end).max(self.now);
            if next.is_none() {
                return;
            }
            self.client.handle_timeout(self.now);
            self.server.handle_timeout(self.now);
        }
    }

    /// Attempts a call once, and carries what comes of it.
    pub(crate) fn attempt(&mut self, side: Side, call: &mut Call) -> Poll<Result<Answer, Errno>> {
        let now = self.now;
        let result = call.attempt(self.host(side), now);
        self.carry();
        result
    }

    /// Makes a call that must not wait.
    #[track_caller]
    pub(crate) fn call(&mut self, side: Side, op: Op) -> Result<Answer, Errno> {
        match self.attempt(side, &mut Call::new(op)) {
            Poll::Ready(result) => result,
            Poll::Pending => panic!("the call waits"),
        }
    }

    pub(crate) fn send(&mut self, side: Side, fd: Fd, data: &[u8]) -> Result<Answer, Errno> {
        self.send_with(side, fd, data, 0)
    }

    pub(crate) fn send_with(
        &mut self,
        side: Side,
        fd: Fd,
        data: &[u8],
        flags: i32,
    ) -> Result<Answer, Errno> {
        let op = Op::Send {
            fd,
            data: data.to_vec(),
            flags,
            to: None,
        };
        self.call(side, op)
    }

    #[track_caller]
    pub(crate) fn receive(&mut self, side: Side, fd: Fd, len: usize) -> Result<Vec<u8>, Errno> {
        self.receive_with(side, fd, len, 0)
    }

    #[track_caller]
    pub(crate) fn receive_with(
        &mut self,
        side: Side,
        fd: Fd,
        len: usize,
        flags: i32,
    ) -> Result<Vec<u8>, Errno> {
        match self.call(side, Op::Receive { fd, len, flags })? {
            Answer::Received(received) => Ok(received.data),
            other => panic!("received {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn close(&mut self, side: Side, fd: Fd) {
        assert_eq!(self.call(side, Op::Close { fd }), Ok(Answer::Done));
    }

    /// A stream socket that does not wait.
    pub(crate) fn socket(&mut self, side: Side) -> Fd {
        self.host(side)
            .socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)
            .unwrap()
    }

    /// A socket of the server's that listens.
    pub(crate) fn listener(&mut self) -> Fd {
        let fd = self.socket(Side::Server);
        let any = address("0.0.0.0:8080");
        self.server.bind(fd, any.into()).unwrap();
        self.server.listen(fd, 16).unwrap();
        fd
    }

    /// A connection: the listener, the client's descriptor and the server's. None of them waits.
    pub(crate) fn connected(&mut self) -> (Fd, Fd, Fd) {
        let listener = self.listener();
        let client = self.socket(Side::Client);
        let connect = Op::Connect {
            fd: client,
            to: server_address().into(),
        };
        assert_eq!(
            self.call(Side::Client, connect.clone()),
            Err(Errno::EINPROGRESS)
        );
        assert_eq!(self.call(Side::Client, connect), Ok(Answer::Done));
        let accept = Op::Accept {
            fd: listener,
            flags: SOCK_NONBLOCK,
        };
        let Ok(Answer::Accepted { fd, .. }) = self.call(Side::Server, accept) else {
            panic!("nobody to accept");
        };
        (listener, client, fd)
    }
}
