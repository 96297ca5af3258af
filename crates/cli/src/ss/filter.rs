//! Which sockets are shown: ss's states and expressions, read from the words of the command line.

use std::net::IpAddr;

use handwave::control::protocol::{Netid, Place, Socket};

use super::services::Services;
use super::states::States;

/// Expressions within each other.
const DEPTH_MAX: usize = 64;

/// A condition that sockets meet or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Any,
    Not(Box<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    /// The address lies in a network, and the port is this one, where they are given.
    Host(Side, Option<Network>, Option<u16>),
    Port(Side, Compare, u16),
}

/// Whose address or port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Local,
    Peer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// The addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Network {
    addr: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether an address lies in it; any address does only if it holds them all.
    fn contains(self, addr: Option<IpAddr>) -> bool {
        let shared = |ours: u128, theirs: u128, width: u32| {
            let rest = width - u32::from(self.prefix);
            // Shifted by all its bits, nothing is left to differ in.
            (ours ^ theirs).checked_shr(rest).unwrap_or(0) == 0
        };
        match (self.addr, addr) {
            (_, None) => self.prefix == 0,
            (IpAddr::V4(ours), Some(IpAddr::V4(theirs))) => {
                shared(ours.to_bits().into(), theirs.to_bits().into(), 32)
            }
            (IpAddr::V6(ours), Some(IpAddr::V6(theirs))) => {
                shared(ours.to_bits(), theirs.to_bits(), 128)
            }
            _ => false,
        }
    }
}

impl Condition {
    pub(super) fn holds(&self, socket: &Socket) -> bool {
        match self {
            Self::Any => true,
            Self::Not(inner) => !inner.holds(socket),
            Self::And(a, b) => a.holds(socket) && b.holds(socket),
            Self::Or(a, b) => a.holds(socket) || b.holds(socket),
            Self::Host(side, network, port) => {
                let place = side.of(socket);
                network.is_none_or(|network| network.contains(place.addr))
                    && port.is_none_or(|port| port == place.port)
            }
            Self::Port(side, compare, port) => {
                let ours = side.of(socket).port;
                match compare {
                    Compare::Equal => ours == *port,
                    Compare::NotEqual => ours != *port,
                    Compare::Less => ours < *port,
                    Compare::LessOrEqual => ours <= *port,
                    Compare::Greater => ours > *port,
                    Compare::GreaterOrEqual => ours >= *port,
                }
            }
        }
    }
}

impl Side {
    fn of(self, socket: &Socket) -> Place {
        match self {
            Self::Local => socket.local,
            Self::Peer => socket.peer,
        }
    }
}

/// States and a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filter {
    /// If any were named.
    pub(super) states: Option<States>,
    pub(super) condition: Condition,
}

impl Filter {
    /// Reads a filter; what is wrong with it is said in words.
    pub(super) fn parse(words: &[String], services: &Services) -> Result<Self, String> {
        let text = words.join(" ");
        let mut parser = Parser {
            tokens: tokens(&text),
            next: 0,
            depth: 0,
            services,
        };
        let states = parser.states()?;
        let condition = match parser.peek() {
            None => Condition::Any,
            Some(_) => parser.either()?,
        };
        match parser.peek() {
            None => Ok(Self { states, condition }),
            Some(token) => Err(format!("nothing can follow here, but \"{token}\" does")),
        }
    }
}

/// Words, parentheses and operators.
fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = match rest.as_bytes() {
            [b'!' | b'<' | b'>' | b'=', b'=', ..] | [b'&', b'&', ..] | [b'|', b'|', ..] => 2,
            [b'!' | b'<' | b'>' | b'=' | b'&' | b'|' | b'(' | b')', ..] => 1,
            _ => rest
                .find(|c: char| c.is_whitespace() || "!<>=&|()".contains(c))
                .unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at(end);
        tokens.push(token);
        rest = after.trim_start();
    }
    tokens
}

struct Parser<'a> {
    tokens: Vec<&'a str>,
    next: usize,
    depth: usize,
    services: &'a Services,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.tokens.get(self.next).copied()
    }

    fn take(&mut self, wanted: &str) -> Result<&'a str, String> {
        let after = match self.next.checked_sub(1) {
            Some(last) => format!("after \"{}\"", self.tokens[last]),
            None => "at the beginning".to_owned(),
        };
        let token = self
            .peek()
            .ok_or_else(|| format!("{after} {wanted} is missing"))?;
        self.next += 1;
        Ok(token)
    }

    fn take_if(&mut self, any_of: &[&str]) -> bool {
        let found = self.peek().is_some_and(|token| any_of.contains(&token));
        self.next += usize::from(found);
        found
    }

    /// `state X`, `exclude Y`, any number of them.
    fn states(&mut self) -> Result<Option<States>, String> {
        let mut states = None;
        loop {
            let include = match self.peek() {
                Some("state") => true,
                Some("exclude" | "excl") => false,
                _ => return Ok(states),
            };
            self.next += 1;
            let name = self.take("the name of a state")?;
            let group = States::named(name).ok_or_else(|| {
                format!(
                    "\"{name}\" is no state: they are established, syn-sent, syn-recv, fin-wait-1, fin-wait-2, \
                     time-wait, closed, close-wait, last-ack, listening, closing, all, connected, synchronized, \
                     bucket and big"
                )
            })?;
            states = Some(match include {
                true => states.unwrap_or(States::NONE).with(group),
                false => states.unwrap_or(States::ALL).without(group),
            });
        }
    }

    fn either(&mut self) -> Result<Condition, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!(
                "more than {DEPTH_MAX} expressions are within each other"
            ));
        }
        let mut condition = self.all()?;
        while self.take_if(&["or", "|", "||"]) {
            condition = Condition::Or(Box::new(condition), Box::new(self.all()?));
        }
        self.depth -= 1;
        Ok(condition)
    }

    /// Conditions side by side must all hold, whether there is an `and` between them or not.
    fn all(&mut self) -> Result<Condition, String> {
        let mut condition = self.one()?;
        loop {
            let and = self.take_if(&["and", "&", "&&"]);
            if !and && matches!(self.peek(), None | Some("or" | "|" | "||" | ")")) {
                return Ok(condition);
            }
            condition = Condition::And(Box::new(condition), Box::new(self.one()?));
        }
    }

    fn one(&mut self) -> Result<Condition, String> {
        let token = self.take("a condition")?;
        match token {
            "!" | "not" => {
                self.depth += 1;
                if self.depth > DEPTH_MAX {
                    return Err(format!("more than {DEPTH_MAX} negations follow each other"));
                }
                let inner = self.one()?;
                self.depth -= 1;
                Ok(Condition::Not(Box::new(inner)))
            }
            "(" => {
                let inner = self.either()?;
                match self.take("a closing parenthesis")? {
                    ")" => Ok(inner),
                    other => Err(format!("\")\" is missing before \"{other}\"")),
                }
            }
            "src" => self.host(Side::Local),
            "dst" => self.host(Side::Peer),
            "sport" => self.port(Side::Local),
            "dport" => self.port(Side::Peer),
            "state" | "exclude" | "excl" => Err(format!("\"{token}\" has to come first")),
            other => Err(format!(
                "\"{other}\" is no condition: they are src, dst, sport, dport, not and parentheses"
            )),
        }
    }

    fn compare(&mut self) -> Option<Compare> {
        let compare = match self.peek()? {
            "=" | "==" | "eq" => Compare::Equal,
            "!=" | "ne" | "neq" => Compare::NotEqual,
            "<" | "lt" => Compare::Less,
            "<=" | "le" | "leq" => Compare::LessOrEqual,
            ">" | "gt" => Compare::Greater,
            ">=" | "ge" | "geq" => Compare::GreaterOrEqual,
            _ => return None,
        };
        self.next += 1;
        Some(compare)
    }

    fn port(&mut self, side: Side) -> Result<Condition, String> {
        let compare = self.compare().unwrap_or(Compare::Equal);
        let word = self.take("a port, such as :80,")?;
        let port = self.number(word.strip_prefix(':').unwrap_or(word))?;
        Ok(Condition::Port(side, compare, port))
    }

    fn number(&self, word: &str) -> Result<u16, String> {
        let number = word.parse().ok();
        number
            .or_else(|| self.services.port(word))
            .ok_or_else(|| format!("\"{word}\" is no port: 0 to 65535, or a name in /etc/services"))
    }

    fn host(&mut self, side: Side) -> Result<Condition, String> {
        let negate = match self.compare() {
            None | Some(Compare::Equal) => false,
            Some(Compare::NotEqual) => true,
            Some(_) => return Err("addresses are equal or not, and nothing else".to_owned()),
        };
        let word = self.take("an address, such as 10.0.0.0/8,")?;
        let (network, port) = split(word);
        let network = match network {
            "" | "*" => None,
            text => Some(network_of(text)?),
        };
        let port = match port {
            None | Some("*") => None,
            Some(text) => Some(self.number(text)?),
        };
        let host = Condition::Host(side, network, port);
        Ok(match negate {
            true => Condition::Not(Box::new(host)),
            false => host,
        })
    }
}

/// The network and the port of `10.0.0.0/8:80`, `[::1]:80`, `::1`, `:80` and the like.
fn split(word: &str) -> (&str, Option<&str>) {
    // A bare IPv6 address has no port.
    if !word.starts_with('[') && word.matches(':').count() > 1 {
        return (word, None);
    }
    let from = word.find(']').unwrap_or(0);
    match word[from..].rfind(':') {
        Some(colon) => (&word[..from + colon], Some(&word[from + colon + 1..])),
        None => (word, None),
    }
}

fn network_of(text: &str) -> Result<Network, String> {
    let form = || {
        format!(
            "\"{text}\" is no address: write it like 10.0.0.0/8, 10.0.0.1:80 or [2001:db8::]/32"
        )
    };
    let (addr, prefix) = match text.split_once('/') {
        Some((addr, prefix)) => (addr, Some(prefix)),
        None => (text, None),
    };
    let bare = addr.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let addr: IpAddr = bare.unwrap_or(addr).parse().map_err(|_| form())?;
    let width = if addr.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        Some(text) => text.parse().map_err(|_| form())?,
        None => width,
    };
    if prefix > width {
        return Err(format!("a prefix of {addr} is at most {width} bits long"));
    }
    Ok(Network { addr, prefix })
}

/// Whether a socket is IPv6. One on any address takes both families and counts as IPv6, as the kernel's do.
pub(super) fn is_ipv6(socket: &Socket) -> bool {
    socket.local.addr.is_none_or(|addr| addr.is_ipv6())
}

/// The protocols to show, in the order of ss.
pub(super) fn netids(tcp: bool, udp: bool) -> &'static [Netid] {
    match (tcp, udp) {
        (true, false) => &[Netid::Tcp],
        (false, true) => &[Netid::Udp],
        _ => &[Netid::Udp, Netid::Tcp],
    }
}

#[cfg(test)]
mod tests;
