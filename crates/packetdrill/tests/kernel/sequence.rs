//! Sequences of socket calls as text, one call a line, and what comes of them as text too.
//!
//! Sockets have names. Addresses are `lo:P1`, `any:0`, `lo6:P2`, `any6:0`, `map:P1` (192.0.2.1 in IPv6), `foreign:P1`, `unspec`,
//! or `@NAME`, where the socket of that name is bound. `P1` to `P4` are ports that no other sequence uses.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use handwave_script::posix::Errno;
use handwave_script::posix::constants as c;

/// The one IPv4 address of both hosts that is not a loopback address.
pub(crate) const OWN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// A call, its arguments numbers.
#[derive(Clone, Debug)]
pub(crate) enum Sys {
    Socket(i32, i32, i32),
    Bind(i32, Option<SocketAddr>),
    Listen(i32, i32),
    Accept(i32, i32),
    Connect(i32, Option<SocketAddr>),
    Send(i32, Vec<u8>, i32, Option<SocketAddr>),
    Receive(i32, usize, i32, usize),
    Shutdown(i32, i32),
    Close(i32),
    Poll(i32, i32, i32),
    Set(i32, i32, i32, Vec<u8>),
    Get(i32, i32, i32, i32),
    Ioctl(i32, i32, i32),
    Fcntl(i32, i32, i32),
    Name(i32),
    Peer(i32),
    EpollCreate,
    EpollControl(i32, i32, i32, i32),
    EpollWait(i32, i32, i32),
    Pipe,
    Splice(i32, i32, usize, u32),
}

/// What a call returned: its number and what it stored, or the errno.
pub(crate) type Outcome = Result<Reply, i32>;

/// What a call that did not fail returned.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    pub(crate) value: i64,
    /// Descriptors, which have other numbers on the other host.
    pub(crate) opened: Vec<i32>,
    /// Where somebody is bound.
    pub(crate) address: Option<SocketAddr>,
    /// Bits of `poll` or pairs of `epoll`.
    pub(crate) bits: Vec<i32>,
    /// Octets.
    pub(crate) data: Vec<u8>,
    /// `msg_flags`.
    pub(crate) flags: i32,
    /// Level, type and octets of ancillary data.
    pub(crate) control: Vec<(i32, i32, Vec<u8>)>,
}

impl Reply {
    pub(crate) fn value(value: i64) -> Self {
        Self {
            value,
            ..Self::default()
        }
    }
}

/// Somebody who makes calls.
pub(crate) trait Host {
    fn run(&mut self, call: &Sys) -> Outcome;
    /// Lets milliseconds pass.
    fn wait(&mut self, millis: u64);
    /// Starts a call that may wait.
    fn begin(&mut self, call: Sys);
    /// What came of it; `None` if it still waits.
    fn end(&mut self) -> Option<Outcome>;
}

/// One sequence on one host.
pub(crate) struct Player<'a> {
    host: &'a mut dyn Host,
    names: BTreeMap<String, i32>,
    first_port: u16,
    letter: u8,
    transcript: Vec<String>,
}

/// Plays a sequence and returns a line for each call.
pub(crate) fn play(host: &mut dyn Host, text: &str, first_port: u16) -> Vec<String> {
    let mut player = Player {
        host,
        names: BTreeMap::new(),
        first_port,
        letter: 0,
        transcript: Vec::new(),
    };
    for line in text.split(['\n', ';']).map(str::trim) {
        if !line.is_empty() {
            player.line(line);
        }
    }
    let open: Vec<i32> = player.names.values().copied().collect();
    for fd in open {
        let _closed = player.host.run(&Sys::Close(fd));
    }
    player.transcript
}

impl Player<'_> {
    fn line(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let outcome = match words[..] {
            ["wait", millis] => {
                self.host.wait(millis.parse().unwrap());
                return;
            }
            ["begin", ..] => {
                let (call, _) = self.call(&words[1..]);
                self.host.begin(call);
                return;
            }
            ["end"] => match self.host.end() {
                Some(outcome) => outcome,
                None => return self.transcript.push(format!("{line}: waits")),
            },
            // Without a line of its own: what it returns is another case's matter.
            ["quiet", ..] => {
                let (call, _) = self.call(&words[1..]);
                let _outcome = self.host.run(&call);
                return;
            }
            _ => {
                let (call, names) = self.call(&words);
                let outcome = self.host.run(&call);
                if let Ok(reply) = &outcome {
                    for (name, fd) in names.iter().zip(&reply.opened) {
                        self.names.insert(name.clone(), *fd);
                    }
                }
                outcome
            }
        };
        let mut text = self.show(&outcome);
        if let Ok(reply) = &outcome
            && words[0].starts_with("get")
        {
            // Both have a path of their own, with segments of its size.
            let of_path = ["TCP_MAXSEG", "IP_MTU", "IPV6_MTU"].contains(&words[3]);
            let number = reply
                .data
                .first_chunk()
                .map(|word| i32::from_ne_bytes(*word));
            if words[0] == "getlen" {
                text = format!("{} octets", reply.data.len());
            } else if of_path && number.is_some_and(|number| number > 1_400) {
                "that of the path".clone_into(&mut text);
            }
        }
        self.transcript.push(format!("{line}: {text}"));
    }

    /// A call that opens descriptors, and their names.
    fn opening(&self, words: &[&str]) -> Option<(Sys, Vec<String>)> {
        let fd = |at: usize| descriptor(&self.names, words[at]);
        let num = |at: usize| words.get(at).map_or(0, |word| number(word));
        let (call, name) = match words[0] {
            "socket" => {
                let waits = words.get(3) == Some(&"block");
                let kind = num(2) | if waits { 0 } else { c::SOCK_NONBLOCK };
                (Sys::Socket(num(1), kind, 0), words.last()?)
            }
            "rawsocket" => (Sys::Socket(num(1), num(2), num(3)), words.get(4)?),
            "accept" => (Sys::Accept(fd(1), c::SOCK_NONBLOCK), words.get(2)?),
            "accept4" => (Sys::Accept(fd(1), num(3)), words.get(2)?),
            "epoll" => (Sys::EpollCreate, words.get(1)?),
            "pipe" => {
                let ends = words[1..3].iter().map(ToString::to_string);
                return Some((Sys::Pipe, ends.collect()));
            }
            _ => return None,
        };
        Some((call, vec![(*name).to_owned()]))
    }

    /// The call a line stands for, and the names of the descriptors it opens.
    fn call(&mut self, words: &[&str]) -> (Sys, Vec<String>) {
        if let Some(opening) = self.opening(words) {
            return opening;
        }
        let known = self.names.clone();
        let fd = |at: usize| descriptor(&known, words[at]);
        let num = |at: usize| words.get(at).map_or(0, |word| number(word));
        let call = match words[0] {
            "bind" => Sys::Bind(fd(1), self.address(words[2])),
            "listen" => Sys::Listen(fd(1), num(2)),
            "connect" => Sys::Connect(fd(1), self.address(words[2])),
            "send" => Sys::Send(fd(1), self.letters(num(2)), num(3), None),
            "sendto" => {
                let to = self.address(words[4]);
                Sys::Send(fd(1), self.letters(num(2)), num(3), to)
            }
            "recv" => Sys::Receive(fd(1), usize::try_from(num(2)).unwrap(), num(3), 0),
            "recvmsg" => {
                let room = usize::try_from(num(4)).unwrap();
                Sys::Receive(fd(1), usize::try_from(num(2)).unwrap(), num(3), room)
            }
            "shutdown" => Sys::Shutdown(fd(1), num(2)),
            "close" => {
                let fd = fd(1);
                self.names.remove(words[1]);
                Sys::Close(fd)
            }
            "poll" => Sys::Poll(fd(1), ALL_BITS, words.get(2).map_or(0, |word| number(word))),
            "pollfor" => Sys::Poll(fd(1), num(2), 0),
            "set" => Sys::Set(fd(1), num(2), num(3), octets(words[4])),
            "get" | "getlen" => Sys::Get(
                fd(1),
                num(2),
                num(3),
                words.get(4).map_or(4, |word| number(word)),
            ),
            "ioctl" => Sys::Ioctl(fd(1), num(2), num(3)),
            "fcntl" => Sys::Fcntl(fd(1), num(2), num(3)),
            "name" => Sys::Name(fd(1)),
            "peer" => Sys::Peer(fd(1)),
            "ctl" => Sys::EpollControl(fd(1), num(2), fd(3), num(4)),
            "events" => Sys::EpollWait(fd(1), num(2), num(3)),
            "splice" => Sys::Splice(
                fd(1),
                fd(2),
                usize::try_from(num(3)).unwrap(),
                num(4).cast_unsigned(),
            ),
            other => panic!("no call {other}"),
        };
        (call, Vec::new())
    }

    /// The next letters of the alphabet, over and over: what arrives tells where it comes from.
    fn letters(&mut self, count: i32) -> Vec<u8> {
        (0..count)
            .map(|_| {
                self.letter = (self.letter + 1) % 26;
                b'a' + (self.letter + 25) % 26
            })
            .collect()
    }

    fn address(&mut self, word: &str) -> Option<SocketAddr> {
        if let Some(name) = word.strip_prefix('@') {
            let named = self
                .host
                .run(&Sys::Name(descriptor(&self.names, name)))
                .ok()?
                .address?;
            let ip = match named.ip() {
                IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(OWN),
                IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
                ip => ip,
            };
            return Some(SocketAddr::new(ip, named.port()));
        }
        let (host, port) = word.split_once(':')?;
        let ip = match host {
            "lo" => IpAddr::V4(OWN),
            "any" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            "lo6" => IpAddr::V6(Ipv6Addr::LOCALHOST),
            "any6" => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            "map" => IpAddr::V6(OWN.to_ipv6_mapped()),
            "mapany" => IpAddr::V6(Ipv4Addr::UNSPECIFIED.to_ipv6_mapped()),
            "foreign" => IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)),
            "multicast" => IpAddr::V4(Ipv4Addr::new(224, 0, 0, 1)),
            "broadcast" => IpAddr::V4(Ipv4Addr::BROADCAST),
            other => panic!("no address {other}"),
        };
        let port = match port.strip_prefix('P') {
            Some(index) => self.first_port + index.parse::<u16>().unwrap(),
            None => port.parse().unwrap(),
        };
        Some(SocketAddr::new(ip, port))
    }

    /// What came of a call, without what differs from host to host: descriptors and ports that were chosen.
    fn show(&self, outcome: &Outcome) -> String {
        let reply = match outcome {
            Err(errno) => {
                let known = Errno::by_number(*errno);
                return known
                    .map_or_else(|| format!("errno {errno}"), |errno| errno.name().to_owned());
            }
            Ok(reply) => reply,
        };
        let mut text = if reply.opened.is_empty() {
            reply.value.to_string()
        } else {
            "opened".to_owned()
        };
        if let Some(address) = reply.address {
            let own = self.first_port..self.first_port + 8;
            let port = match address.port() {
                0 => "0".to_owned(),
                port if own.contains(&port) => format!("P{}", port - self.first_port),
                _ => "chosen".to_owned(),
            };
            text += &format!(" {} {port}", address.ip());
        }
        for bits in &reply.bits {
            text += &format!(" {bits:#x}");
        }
        if !reply.data.is_empty() {
            text += &format!(" {}", short(&reply.data));
        }
        if reply.flags != 0 {
            text += &format!(" flags {:#x}", reply.flags);
        }
        for (level, kind, data) in &reply.control {
            // What time it is no two hosts agree on.
            if (*level, *kind) == (c::SOL_SOCKET, c::SCM_TIMESTAMPING) {
                text += &format!(" [{level} {kind} {} octets]", data.len());
                continue;
            }
            text += &format!(" [{level} {kind} {}]", short(data));
        }
        text
    }
}

/// A descriptor by its name, or as a number; one that nobody has where the name is not known.
fn descriptor(names: &BTreeMap<String, i32>, name: &str) -> i32 {
    match name.parse() {
        Ok(literal) => literal,
        Err(_) => *names.get(name).unwrap_or(&9_999),
    }
}

const ALL_BITS: i32 = c::POLLIN
    | c::POLLPRI
    | c::POLLOUT
    | c::POLLRDNORM
    | c::POLLRDBAND
    | c::POLLWRNORM
    | c::POLLWRBAND
    | c::POLLRDHUP;

/// Letters as they are, other octets in base 16; long ones by their ends.
fn short(octets: &[u8]) -> String {
    let all = |octets: &[u8]| match octets.iter().all(u8::is_ascii_lowercase) {
        true => String::from_utf8_lossy(octets).into_owned(),
        false => octets.iter().map(|octet| format!("{octet:02x}")).collect(),
    };
    if octets.len() <= 64 {
        return all(octets);
    }
    format!(
        "{}..{}",
        all(&octets[..8]),
        all(&octets[octets.len() - 8..])
    )
}

/// `A|B`, where each is a name or a number.
fn number(word: &str) -> i32 {
    word.split('|')
        .map(|part| {
            let known = c::by_name(part);
            known
                .or_else(|| part.parse().ok())
                .unwrap_or_else(|| panic!("no number {part}"))
        })
        .fold(0, |all, part| all | part)
}

/// An `int`, several (`1,2`), longs (`L1,2`), a text (`"reno`), or so many octets (`x2`).
fn octets(word: &str) -> Vec<u8> {
    if let Some(text) = word.strip_prefix('"') {
        return text.as_bytes().to_vec();
    }
    if let Some(len) = word.strip_prefix('x') {
        return vec![1; len.parse().unwrap()];
    }
    if let Some(longs) = word.strip_prefix('L') {
        let longs = longs.split(',').map(|long| long.parse::<i64>().unwrap());
        return longs.flat_map(i64::to_ne_bytes).collect();
    }
    word.split(',')
        .flat_map(|int| number(int).to_ne_bytes())
        .collect()
}
