//! Packets.

use std::net::IpAddr;

use super::{Pair, Parsed, Rule, Wrong, field, integer};
use crate::language::ast::{
    Body, Direction, EcnCounter, Icmp, IpFields, Packet, PortEnd, Ports, Quoted, Segment, TcpOption,
};

const FIN: u16 = 1;
const SYN: u16 = 2;

pub(super) fn packet(pair: Pair<'_>) -> Parsed<Packet> {
    let mut packet = Packet {
        direction: Direction::Inbound,
        socket: None,
        ip: IpFields::default(),
        ports: None,
        body: Body::Udp(0),
    };
    let mut about = None;
    let whole = pair.clone();
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::direction if part.as_str() == ">" => packet.direction = Direction::Outbound,
            Rule::socket_reference => packet.socket = Some(field(&only(part)?, "a descriptor")?),
            Rule::quoted => about = Some(quoted(part)?),
            Rule::ip_fields => packet.ip = ip_fields(part)?,
            Rule::ports => packet.ports = Some(ports(part)?),
            Rule::tcp => packet.body = Body::Tcp(segment(part, packet.direction)?),
            Rule::udp => packet.body = Body::Udp(udp(part)?),
            Rule::icmp => packet.body = Body::Icmp(icmp(part)?),
            Rule::tunnel => {
                return Err(Wrong::new(
                    &part,
                    "tunnels (IP in IP, GRE, MPLS) are not supported",
                ));
            }
            Rule::other_protocol => {
                return Err(Wrong::new(
                    &part,
                    "this protocol is not supported; there are TCP, UDP and ICMP",
                ));
            }
            _ => {}
        }
    }
    if packet.direction == Direction::Inbound && packet.ip.any_ect {
        return Err(
            Wrong::new(&whole, "an inbound packet has one ECN mark").help("say `ect0` or `ect1`")
        );
    }
    match (&mut packet.body, about) {
        (_, None) => {}
        (Body::Icmp(icmp), Some(about)) if icmp.quoted.is_none() => icmp.quoted = Some(about),
        _ => {
            return Err(Wrong::new(
                &whole,
                "only an ICMP message quotes a packet, and only one",
            ));
        }
    }
    Ok(packet)
}

fn only(pair: Pair<'_>) -> Parsed<Pair<'_>> {
    let empty = Wrong::new(&pair, "nothing where something was expected");
    pair.into_inner().next().ok_or(empty)
}

fn ip_fields(pair: Pair<'_>) -> Parsed<IpFields> {
    let mut fields = IpFields::default();
    for part in pair.into_inner().flat_map(Pair::into_inner) {
        match part.as_rule() {
            Rule::ecn_mark if part.as_str() == "ect01" => fields.any_ect = true,
            Rule::ecn_mark => {
                fields.ecn = Some(match part.as_str() {
                    "ect1" => 1,
                    "ect0" => 2,
                    "ce" => 3,
                    _ => 0,
                });
            }
            Rule::tos => fields.tos = Some(field(&only(part)?, "the TOS octet")?),
            Rule::ttl => fields.ttl = Some(field(&only(part)?, "a TTL")?),
            _ => {
                let number = only(part)?;
                let label: u32 = field(&number, "a flow label")?;
                if label >> 20 != 0 {
                    return Err(Wrong::new(&number, "a flow label has 20 bits"));
                }
                fields.flow_label = Some(label);
            }
        }
    }
    Ok(fields)
}

fn ports(pair: Pair<'_>) -> Parsed<Ports> {
    let whole = pair.clone();
    let mut ends = pair.into_inner().map(port_end);
    match (ends.next(), ends.next()) {
        (Some(source), Some(destination)) => Ok(Ports {
            source: source?,
            destination: destination?,
        }),
        _ => Err(Wrong::new(&whole, "expected two ports")),
    }
}

fn port_end(pair: Pair<'_>) -> Parsed<PortEnd> {
    let mut end = PortEnd {
        address: None,
        port: 0,
    };
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::address => {
                let text = part.as_str().trim_matches(['[', ']']);
                let address: IpAddr = text
                    .parse()
                    .map_err(|_| Wrong::new(&part, format!("`{text}` is no IP address")))?;
                end.address = Some(address);
            }
            _ => end.port = field(&part, "a port")?,
        }
    }
    Ok(end)
}

fn segment(pair: Pair<'_>, direction: Direction) -> Parsed<Segment> {
    let mut segment = Segment {
        flags: 0,
        seq: 0,
        len: 0,
        ack: None,
        window: None,
        urgent: None,
        options: Some(Vec::new()),
    };
    let whole = pair.clone();
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::flags => segment.flags = flags(&part)?,
            Rule::sequence => (segment.seq, segment.len) = sequence(part)?,
            Rule::ack => segment.ack = Some(field(&only(part)?, "an acknowledgment number")?),
            Rule::window => segment.window = Some(field(&only(part)?, "the window field")?),
            Rule::urgent => segment.urgent = Some(field(&only(part)?, "the urgent pointer")?),
            _ => segment.options = options(part, direction)?,
        }
    }
    if direction == Direction::Inbound && segment.window.is_none() {
        return Err(Wrong::new(&whole, "an inbound segment needs a window")
            .help("add `win 65535`, or what the peer would offer"));
    }
    Ok(segment)
}

fn flags(pair: &Pair<'_>) -> Parsed<u16> {
    let mut bits = 0;
    for letter in pair.as_str().chars() {
        let bit = match letter {
            'F' => FIN,
            'S' => SYN,
            'R' => 4,
            'P' => 8,
            '.' => 16,
            'U' => 32,
            'E' => 64,
            'W' => 128,
            'A' => 256,
            '-' => 0,
            // The three bits of the ACE counter, AE first.
            digit => (u16::try_from(digit.to_digit(8).unwrap_or(0)).unwrap_or(0)) << 6,
        };
        if bits & bit != 0 {
            return Err(Wrong::new(pair, format!("flag `{letter}` stands twice")));
        }
        bits |= bit;
    }
    Ok(bits)
}

/// Where a segment begins, and its length.
fn sequence(pair: Pair<'_>) -> Parsed<(u32, u32)> {
    let whole = pair.clone();
    let mut numbers = pair.into_inner();
    let mut next = || match numbers.next() {
        Some(number) => field::<u32>(&number, "a sequence number"),
        None => Err(Wrong::new(&whole, "expected three numbers")),
    };
    let (start, end, len) = (next()?, next()?, next()?);
    if len > 65_535 {
        return Err(Wrong::new(&whole, "a packet holds at most 65,535 octets"));
    }
    if end.wrapping_sub(start) != len {
        let (end, wanted) = (end, start.wrapping_add(len));
        return Err(Wrong::new(
            &whole,
            format!("{len} octets from {start} end at {wanted}, not {end}"),
        )
        .help("SYN and FIN do not count here"));
    }
    Ok((start, len))
}

fn options(pair: Pair<'_>, direction: Direction) -> Parsed<Option<Vec<TcpOption>>> {
    let mut options = Vec::new();
    let whole = pair.clone();
    for part in pair.into_inner() {
        if part.as_rule() == Rule::tcp_option {
            options.push(tcp_option(only(part)?)?);
        }
    }
    if direction == Direction::Inbound && options.contains(&TcpOption::Rest) {
        return Err(Wrong::new(
            &whole,
            "an inbound segment cannot have any options it likes",
        )
        .help("name the options, or leave them out"));
    }
    let any = options == [TcpOption::Rest];
    Ok((!any).then_some(options))
}

fn tcp_option(pair: Pair<'_>) -> Parsed<TcpOption> {
    Ok(match pair.as_rule() {
        Rule::mss => TcpOption::Mss(field(&only(pair)?, "an MSS")?),
        Rule::wscale => TcpOption::WindowScale(field(&only(pair)?, "a window scale")?),
        Rule::sack_permitted => TcpOption::SackPermitted,
        Rule::sack => TcpOption::Sack(pair.into_inner().map(block).collect::<Parsed<_>>()?),
        Rule::timestamps => {
            let (value, echo) = two(pair, "a timestamp")?;
            TcpOption::Timestamps { value, echo }
        }
        Rule::fast_open => TcpOption::FastOpen(octets(pair)?),
        Rule::fast_open_experimental => TcpOption::FastOpenExperimental(octets(pair)?),
        Rule::md5 => TcpOption::Md5(octets(pair)?),
        Rule::accurate_ecn => accurate_ecn(pair)?,
        Rule::ellipsis => TcpOption::Rest,
        Rule::raw_option => TcpOption::Raw(octets(pair)?),
        Rule::eol => TcpOption::End,
        _ => TcpOption::Nop,
    })
}

fn accurate_ecn(pair: Pair<'_>) -> Parsed<TcpOption> {
    let whole = pair.clone();
    let mut counters = Vec::new();
    for part in pair.into_inner() {
        let (mut counter, mut octets) = (EcnCounter::Ce, 0);
        for part in part.into_inner() {
            match part.as_str() {
                "e0b" => counter = EcnCounter::Ect0,
                "ceb" => counter = EcnCounter::Ce,
                "e1b" => counter = EcnCounter::Ect1,
                _ => octets = field(&part, "a counter")?,
            }
        }
        if octets >> 24 != 0 {
            return Err(Wrong::new(&whole, "a counter of accurate ECN has 24 bits"));
        }
        counters.push((counter, octets));
    }
    let order = [EcnCounter::Ect0, EcnCounter::Ce, EcnCounter::Ect1];
    let names = || counters.iter().map(|(counter, _)| *counter);
    let is_order = |order: &[EcnCounter]| names().zip(order).all(|(name, wanted)| name == *wanted);
    let reverse = [EcnCounter::Ect1, EcnCounter::Ce, EcnCounter::Ect0];
    if counters.len() > 3 || !(is_order(&order) || is_order(&reverse)) {
        return Err(Wrong::new(
            &whole,
            "the counters stand as `e0b ceb e1b` or `e1b ceb e0b`",
        ));
    }
    Ok(TcpOption::AccurateEcn(counters))
}

fn block(pair: Pair<'_>) -> Parsed<(u32, u32)> {
    two(pair, "a sequence number")
}

fn two(pair: Pair<'_>, what: &str) -> Parsed<(u32, u32)> {
    let whole = pair.clone();
    let mut numbers = pair.into_inner();
    match (numbers.next(), numbers.next()) {
        (Some(first), Some(second)) => Ok((field(&first, what)?, field(&second, what)?)),
        _ => Err(Wrong::new(&whole, "expected two numbers")),
    }
}

/// The octets of a cookie, or none.
fn octets(pair: Pair<'_>) -> Parsed<Vec<u8>> {
    let Some(digits) = pair.into_inner().next() else {
        return Ok(Vec::new());
    };
    let text = digits.as_str();
    let text = text.strip_prefix("0x").unwrap_or(text);
    if text.len() % 2 != 0 {
        return Err(Wrong::new(&digits, "an octet has two hexadecimal digits"));
    }
    let octet = |at| u8::from_str_radix(&text[at..at + 2], 16);
    (0..text.len())
        .step_by(2)
        .map(octet)
        .collect::<Result<_, _>>()
        .map_err(|_| Wrong::new(&digits, "expected hexadecimal digits"))
}

fn udp(pair: Pair<'_>) -> Parsed<u16> {
    let whole = pair.clone();
    match pair.into_inner().last() {
        Some(len) => field(&len, "a datagram"),
        None => Err(Wrong::new(&whole, "expected a length")),
    }
}

fn icmp(pair: Pair<'_>) -> Parsed<Icmp> {
    let mut words = Vec::new();
    let mut icmp = Icmp {
        kind: String::new(),
        code: None,
        mtu: None,
        id: None,
        quoted: None,
    };
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::icmp_word => words.push(part.as_str().to_owned()),
            Rule::icmp_mtu => icmp.mtu = Some(field(&only(part)?, "an MTU")?),
            Rule::icmp_id => icmp.id = Some(field(&only(part)?, "an identifier")?),
            _ => icmp.quoted = Some(quoted(part)?),
        }
    }
    let mut words = words.into_iter();
    icmp.kind = words.next().unwrap_or_default();
    icmp.code = words.next();
    Ok(icmp)
}

fn quoted(pair: Pair<'_>) -> Parsed<Quoted> {
    let inside = only(pair)?;
    match inside.as_rule() {
        Rule::sequence => {
            let (seq, len) = sequence(inside)?;
            Ok(Quoted::Tcp { seq, len })
        }
        _ => {
            let number = only(inside)?;
            let value = integer(&number)?.value;
            u16::try_from(value)
                .map(Quoted::Udp)
                .map_err(|_| Wrong::new(&number, "a datagram holds at most 65,535 octets"))
        }
    }
}
