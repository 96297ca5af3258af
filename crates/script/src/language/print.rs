//! Scripts as text: what is printed parses to the same script again.

use core::fmt::{Display, Formatter, Result, Write as _};

use super::ast::{
    Action, Body, Call, CallResult, Code, Command, Direction, EcnCounter, Event, Expression, Field,
    Icmp, Integer, IpFields, Moment, OptionLine, Packet, PortEnd, Ports, Quoted, Script, Segment,
    TcpOption, Time,
};

/// What stands between the items of a list.
struct Separated<'a, T>(&'a [T], &'static str);

impl<T: Display> Display for Separated<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        for (index, item) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(self.1)?;
            }
            item.fmt(f)?;
        }
        Ok(())
    }
}

impl Display for Script {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        for option in &self.options {
            writeln!(f, "{option}")?;
        }
        for command in &self.setup {
            writeln!(f, "{command}")?;
        }
        for event in &self.events {
            writeln!(f, "{event}")?;
        }
        Ok(())
    }
}

impl Display for OptionLine {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "--{}", self.name)?;
        match &self.value {
            Some(value) if value.is_empty() || value.contains(char::is_whitespace) => {
                write!(f, "=\"{value}\"")
            }
            Some(value) => write!(f, "={value}"),
            None => Ok(()),
        }
    }
}

impl Display for Command {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "`{}`", self.text)
    }
}

impl Display for Code {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "%{{{}}}%", self.text)
    }
}

impl Display for Event {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{} {}", self.time, self.action)
    }
}

impl Display for Time {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Any => f.write_char('*'),
            Self::At(moment) => moment.fmt(f),
            Self::Within(start, end) => write!(f, "{start}~{end}"),
            Self::Blocking(start, end) => write!(f, "{start}...{end}"),
        }
    }
}

impl Display for Moment {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if self.relative {
            f.write_char('+')?;
        }
        write!(f, "{}", Seconds(self.micros))
    }
}

/// Microseconds as a decimal number of seconds.
pub(crate) struct Seconds(pub(crate) i64);

impl Display for Seconds {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if self.0 < 0 {
            f.write_char('-')?;
        }
        let micros = self.0.unsigned_abs();
        write!(f, "{}", micros / 1_000_000)?;
        match micros % 1_000_000 {
            0 => Ok(()),
            fraction => {
                let digits = format!("{fraction:06}");
                write!(f, ".{}", digits.trim_end_matches('0'))
            }
        }
    }
}

impl Display for Action {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Packet(packet) => packet.fmt(f),
            Self::Call(call) => call.fmt(f),
            Self::Command(command) => command.fmt(f),
            Self::Code(code) => code.fmt(f),
        }
    }
}

impl Display for Direction {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_char(match self {
            Self::Inbound => '<',
            Self::Outbound => '>',
        })
    }
}

impl Display for Packet {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        self.direction.fmt(f)?;
        if let Some(fd) = self.socket {
            write!(f, " sock({fd})")?;
        }
        if self.ip != IpFields::default() {
            write!(f, " {}", self.ip)?;
        }
        if let Some(ports) = &self.ports {
            write!(f, " {ports}")?;
        }
        match &self.body {
            Body::Tcp(segment) => write!(f, " {segment}"),
            Body::Udp(len) => write!(f, " udp ({len})"),
            Body::Icmp(icmp) => write!(f, " {icmp}"),
        }
    }
}

impl Display for IpFields {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let mut fields = Vec::new();
        if let Some(tos) = self.tos {
            fields.push(format!("tos {tos:#04x}"));
        }
        if let Some(ecn) = self.ecn {
            let marks = ["noecn", "ect1", "ect0", "ce"];
            fields.push(marks[usize::from(ecn & 3)].to_owned());
        }
        if self.any_ect {
            fields.push("ect01".to_owned());
        }
        if let Some(ttl) = self.ttl {
            fields.push(format!("ttl {ttl}"));
        }
        if let Some(label) = self.flow_label {
            fields.push(format!("flowlabel {label:#x}"));
        }
        write!(f, "[{}]", Separated(&fields, ", "))
    }
}

impl Display for Ports {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "({} > {})", self.source, self.destination)
    }
}

impl Display for PortEnd {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.address {
            Some(address) if address.is_ipv6() => write!(f, "[{address}]:{}", self.port),
            Some(address) => write!(f, "{address}:{}", self.port),
            None => write!(f, "{}", self.port),
        }
    }
}

impl Display for Segment {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let mut flags: String = ['S', 'F', 'R', 'P', 'U', 'E', 'W', 'A', '.']
            .into_iter()
            .zip([2, 1, 4, 8, 32, 64, 128, 256, 16])
            .filter(|(_, bit)| self.flags & bit != 0)
            .map(|(letter, _)| letter)
            .collect();
        if flags.is_empty() {
            flags.push('-');
        }
        let end = self.seq.wrapping_add(self.len);
        write!(f, "{flags} {}:{end}({})", self.seq, self.len)?;
        if let Some(ack) = self.ack {
            write!(f, " ack {ack}")?;
        }
        if let Some(window) = self.window {
            write!(f, " win {window}")?;
        }
        if let Some(urgent) = self.urgent {
            write!(f, " urg {urgent}")?;
        }
        match &self.options {
            None => f.write_str(" <...>"),
            Some(options) if options.is_empty() => Ok(()),
            Some(options) => write!(f, " <{}>", Separated(options, ",")),
        }
    }
}

impl Display for TcpOption {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let with_octets = |f: &mut Formatter<'_>, name, octets: &[u8]| {
            f.write_str(name)?;
            if !octets.is_empty() {
                f.write_char(' ')?;
            }
            octets.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
        };
        match self {
            Self::End => f.write_str("eol"),
            Self::Nop => f.write_str("nop"),
            Self::Mss(mss) => write!(f, "mss {mss}"),
            Self::WindowScale(shift) => write!(f, "wscale {shift}"),
            Self::SackPermitted => f.write_str("sackOK"),
            Self::Sack(blocks) => {
                f.write_str("sack")?;
                let mut blocks = blocks.iter();
                blocks.try_for_each(|(start, end)| write!(f, " {start}:{end}"))
            }
            Self::Timestamps { value, echo } => write!(f, "TS val {value} ecr {echo}"),
            Self::FastOpen(cookie) => with_octets(f, "FO", cookie),
            Self::FastOpenExperimental(cookie) => with_octets(f, "FOEXP", cookie),
            Self::Md5(digest) => with_octets(f, "md5", digest),
            Self::AccurateEcn(counters) => {
                f.write_str("ECN")?;
                counters.iter().try_for_each(|(counter, octets)| {
                    let name = match counter {
                        EcnCounter::Ect0 => "e0b",
                        EcnCounter::Ce => "ceb",
                        EcnCounter::Ect1 => "e1b",
                    };
                    write!(f, " {name} {octets}")
                })
            }
            Self::Rest => f.write_str("..."),
            Self::Raw(octets) => with_octets(f, "raw", octets),
        }
    }
}

impl Display for Icmp {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "icmp {}", self.kind)?;
        if let Some(code) = &self.code {
            write!(f, " {code}")?;
        }
        if let Some(mtu) = self.mtu {
            write!(f, " mtu {mtu}")?;
        }
        if let Some(id) = self.id {
            write!(f, " id {id}")?;
        }
        match self.quoted {
            Some(Quoted::Tcp { seq, len }) => {
                write!(f, " [{seq}:{}({len})]", seq.wrapping_add(len))
            }
            Some(Quoted::Udp(len)) => write!(f, " [udp ({len})]"),
            None => Ok(()),
        }
    }
}

impl Display for Call {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let arguments = Separated(&self.arguments, ", ");
        write!(f, "{}({arguments}) = {}", self.name, self.result)?;
        if let Some(errno) = &self.errno {
            write!(f, " {errno}")?;
        }
        match &self.note {
            Some(note) => write!(f, " ({note})"),
            None => Ok(()),
        }
    }
}

impl Display for CallResult {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Unknown => f.write_char('?'),
            Self::Exactly(value) => value.fmt(f),
            Self::Between(least, most) => write!(f, "{least}...{most}"),
        }
    }
}

impl Display for Expression {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Ellipsis => f.write_str("..."),
            Self::Integer(integer) => integer.fmt(f),
            Self::Symbol(name) => f.write_str(name),
            Self::Text(text) => write_quoted(f, text),
            Self::Or(terms) => Separated(terms, "|").fmt(f),
            Self::List(items) => write!(f, "[{}]", Separated(items, ", ")),
            Self::Structure(fields) => write!(f, "{{{}}}", Separated(fields, ", ")),
            Self::Function(name, arguments) => {
                write!(f, "{name}({})", Separated(arguments, ", "))
            }
        }
    }
}

impl Display for Integer {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if self.is_hexadecimal {
            write!(f, "{:#x}", self.value)
        } else {
            write!(f, "{}", self.value)
        }
    }
}

impl Display for Field {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if let Some(name) = &self.name {
            f.write_str(name)?;
            if let Some(size) = &self.size {
                write!(f, "({size})")?;
            }
            f.write_char('=')?;
        }
        self.value.fmt(f)
    }
}

fn write_quoted(f: &mut Formatter<'_>, text: &str) -> Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            '\0' => f.write_str("\\0")?,
            other => f.write_char(other)?,
        }
    }
    f.write_char('"')
}
