//! What a script is made of.
//!
//! Numbers are those of the script: sequence numbers are relative, times are microseconds, windows are raw. Nothing is resolved:
//! symbols are names, `...` is [`Expression::Ellipsis`].

use core::ops::Range;
use std::net::IpAddr;

/// A whole script.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Script {
    /// `--name=value` at the head.
    pub options: Vec<OptionLine>,
    /// Shell commands before the first event.
    pub setup: Vec<Command>,
    /// The time line.
    pub events: Vec<Event>,
}

/// One option at the head of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionLine {
    /// Without the dashes; `-D` is `define`.
    pub name: String,
    /// What follows the equals sign, without quotes.
    pub value: Option<String>,
    /// Where it stands.
    pub place: Place,
}

/// Where in the text something stands. Two places are always equal: where a thing stands is no part of what it is.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The octets of the text.
    pub span: Range<usize>,
}

impl PartialEq for Place {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Place {}

/// Something that happens, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When.
    pub time: Time,
    /// What.
    pub action: Action,
    /// Where it stands.
    pub place: Place,
}

/// When an event happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// `*`: whenever it happens.
    Any,
    /// `0.1`, `+.1`: then.
    At(Moment),
    /// `0~0.1`: some time between these.
    Within(Moment, Moment),
    /// `0...0.1`: a call that starts at the first and returns at the second.
    Blocking(Moment, Moment),
}

/// A point on the time line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Since the previous event (`+0.1`), not since the start.
    pub relative: bool,
    /// Microseconds.
    pub micros: i64,
}

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// A packet that is injected or expected.
    Packet(Packet),
    /// A system call.
    Call(Call),
    /// A shell command.
    Command(Command),
    /// Python.
    Code(Code),
}

/// A shell command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// What stands between the backticks.
    pub text: String,
    /// Where it stands.
    pub place: Place,
}

/// Statements in Python.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// What stands between `%{` and `}%`.
    pub text: String,
    /// Where it stands.
    pub place: Place,
}

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// `<`: the script sends it to the stack.
    Inbound,
    /// `>`: the stack has to send it.
    Outbound,
}

/// A packet as a script describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Which way it goes.
    pub direction: Direction,
    /// `sock(4)`: the connection of this descriptor rather than the current one.
    pub socket: Option<i64>,
    /// `[tos 0x10, ect0]`.
    pub ip: IpFields,
    /// `(1234 > 80)`.
    pub ports: Option<Ports>,
    /// What is in it.
    pub body: Body,
}

/// What a script says about the IP header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IpFields {
    /// The ECN field.
    pub ecn: Option<u8>,
    /// `ect01`: the ECN field says ECT(0) or ECT(1).
    pub any_ect: bool,
    /// The whole octet, ECN field included.
    pub tos: Option<u8>,
    /// TTL or hop limit.
    pub ttl: Option<u8>,
    /// The flow label of IPv6.
    pub flow_label: Option<u32>,
}

/// Explicit ends of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Where it comes from.
    pub source: PortEnd,
    /// Where it goes to.
    pub destination: PortEnd,
}

/// One end of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortEnd {
    /// The address, if it is not the usual one.
    pub address: Option<IpAddr>,
    /// The port.
    pub port: u16,
}

/// What a packet carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A TCP segment.
    Tcp(Segment),
    /// A UDP datagram with so many octets of data.
    Udp(u16),
    /// An ICMP message.
    Icmp(Icmp),
}

/// A TCP segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The control bits as in the header: FIN is bit 0, AE bit 8.
    pub flags: u16,
    /// The relative sequence number.
    pub seq: u32,
    /// Octets of text.
    pub len: u32,
    /// The relative acknowledgment number.
    pub ack: Option<u32>,
    /// The window field as on the wire.
    pub window: Option<u16>,
    /// The urgent pointer.
    pub urgent: Option<u16>,
    /// The options; `None` for `<...>`, which stands for any. A list that ends in [`TcpOption::Rest`] is the beginning of one.
    pub options: Option<Vec<TcpOption>>,
}

/// A TCP option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TcpOption {
    /// `eol`.
    End,
    /// `nop`.
    Nop,
    /// `mss 1460`.
    Mss(u16),
    /// `wscale 7`.
    WindowScale(u8),
    /// `sackOK`.
    SackPermitted,
    /// `sack 1:1001 2001:3001`.
    Sack(Vec<(u32, u32)>),
    /// `TS val 100 ecr 0`.
    Timestamps {
        /// TSval.
        value: u32,
        /// TSecr.
        echo: u32,
    },
    /// `FO 0102030405060708`; without a cookie, a request for one.
    FastOpen(Vec<u8>),
    /// `FOEXP 0102030405060708`: the same in the experimental option.
    FastOpenExperimental(Vec<u8>),
    /// `md5 00112233445566778899aabbccddeeff`.
    Md5(Vec<u8>),
    /// `ECN e0b 1 ceb 0 e1b 1`: the counters of accurate ECN, each with its name, in the order of the option (RFC 9768 3.2.3).
    AccurateEcn(Vec<(EcnCounter, u32)>),
    /// `raw 4b04dead`: octets as they are, an unknown or malformed option.
    Raw(Vec<u8>),
    /// `...` among others: any number of options.
    Rest,
}

/// A counter of octets by their ECN mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EcnCounter {
    /// `e0b`: marked ECT(0).
    Ect0,
    /// `ceb`: marked CE.
    Ce,
    /// `e1b`: marked ECT(1).
    Ect1,
}

/// An ICMP message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Icmp {
    /// The type, such as `unreachable`.
    pub kind: String,
    /// The code, such as `frag_needed`.
    pub code: Option<String>,
    /// The MTU of the next hop.
    pub mtu: Option<u32>,
    /// The identifier of an echo.
    pub id: Option<u16>,
    /// The packet it is about.
    pub quoted: Option<Quoted>,
}

/// The packet an ICMP error quotes: one that the stack has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quoted {
    /// A TCP segment.
    Tcp {
        /// The relative sequence number.
        seq: u32,
        /// Octets of text.
        len: u32,
    },
    /// A UDP datagram with so many octets of data.
    Udp(u16),
}

/// A system call.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Its name.
    pub name: String,
    /// What it is passed.
    pub arguments: Vec<Expression>,
    /// What it returns.
    pub result: CallResult,
    /// The errno it sets.
    pub errno: Option<String>,
    /// What stands in brackets after the result, a comment.
    pub note: Option<String>,
}

/// What a call returns.
#[derive(Clone, Debug, PartialEq)]
pub enum CallResult {
    /// `?`: anything.
    Unknown,
    /// This.
    Exactly(Expression),
    /// Something between these.
    Between(Expression, Expression),
}

/// A value in a system call.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// `...`: whatever is right.
    Ellipsis,
    /// A number.
    Integer(Integer),
    /// A constant's name.
    Symbol(String),
    /// A text.
    Text(String),
    /// `A|B`.
    Or(Vec<Self>),
    /// `[a, b]`.
    List(Vec<Self>),
    /// `{name=a, b}`.
    Structure(Vec<Field>),
    /// `htons(80)`.
    Function(String, Vec<Self>),
}

/// A number and whether it was written in base 16.
#[derive(Clone, Copy, Debug)]
pub struct Integer {
    /// The number.
    pub value: i64,
    /// Written as `0x10`.
    pub is_hexadecimal: bool,
}

impl PartialEq for Integer {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Expression {
    /// A number.
    #[must_use]
    pub const fn integer(value: i64) -> Self {
        Self::Integer(Integer {
            value,
            is_hexadecimal: false,
        })
    }
}

/// A member of a structure.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name, if it is given.
    pub name: Option<String>,
    /// The length in brackets after the name: `msg_iov(2)=`.
    pub size: Option<Expression>,
    /// Its value.
    pub value: Expression,
}
