//! The events of a script, one after another.

use std::time::Duration;

use handwave_packet::PacketBuf;
use handwave_tcp::Instant;

use super::compare::{self, TimestampRule};
use super::connection::{Connection, timestamp_of};
use super::packet::{self, End};
use super::{Failure, HappeningKind, Host, Runner, Sent, python, shell};
use crate::language::ast::{
    Action, Body, Code, Command, Direction, Event, Moment, Packet, Place, PortEnd, Ports, Quoted,
    Segment, Time,
};
use crate::language::print::Seconds;

const SYN: u16 = 2;
const ACK: u16 = 16;
/// The port of the first peer; the next ones follow.
const PEER_PORT: u16 = 50_000;

/// The least time there is.
pub(super) const JUST_BEFORE: Duration = Duration::from_nanos(1);

/// When an event may happen.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: Instant,
    end: Instant,
}

impl<H: Host> Runner<H> {
    pub(super) fn event(&mut self, event: &Event) -> Result<(), Failure> {
        let outcome = self.event_itself(event);
        self.previous = self.now;
        outcome.map_err(|failure| self.located(failure, &event.place))
    }

    fn event_itself(&mut self, event: &Event) -> Result<(), Failure> {
        self.now = self.host.now(self.now);
        let span = match event.time {
            Time::Any => None,
            Time::At(moment) => Some(self.span(moment, moment)),
            Time::Within(start, end) => Some(self.span(start, end)),
            Time::Blocking(start, _) => Some(self.span(start, start)),
        };
        if let Action::Packet(wanted) = &event.action
            && wanted.direction == Direction::Outbound
        {
            return self.expect(wanted, span, &event.place);
        }
        let until = match event.time {
            Time::Blocking(_, end) => Some(self.instant(end)),
            _ => None,
        };
        if let Some(span) = span {
            // What is due at the moment of a packet comes after it: no host's timers are that sharp.
            let before = match event.action {
                Action::Packet(_) => JUST_BEFORE,
                _ => Duration::ZERO,
            };
            self.wait_for(span, before)?;
        }
        let done = match &event.action {
            Action::Packet(packet) => self.inject(packet, &event.place),
            Action::Call(call) => self.call(call, until, &event.place),
            Action::Command(command) => self.command(command),
            Action::Code(code) => self.code(code),
        };
        // A run may go on after what went wrong, and what was sent was sent now.
        done.and(self.settle())
    }

    fn span(&self, start: Moment, end: Moment) -> Span {
        Span {
            start: self.instant(start),
            end: self.instant(end),
        }
    }

    /// Waits for the moment of an event, and lets happen what is due `before` it or earlier.
    fn wait_for(&mut self, span: Span, before: Duration) -> Result<(), Failure> {
        self.advance(span.start.saturating_sub(before))?;
        self.now = self.host.now(span.start.max(self.now));
        let last = span.end.saturating_add(self.tolerance(span.end));
        if self.now > last {
            return Err(
                Failure::new("the script is late: what came before took too long")
                    .expected(format!("at {} s", Seconds(self.micros(span.start))))
                    .actual(format!("at {} s", Seconds(self.micros(self.now)))),
            );
        }
        Ok(())
    }

    pub(super) fn command(&mut self, command: &Command) -> Result<(), Failure> {
        let place = command.place.clone();
        self.note(Some(&place), HappeningKind::Check, command.to_string());
        let allow_shell = self.settings.allow_shell;
        if shell::mtu(&command.text).is_some_and(|mtu| mtu != self.settings.mtu) && !allow_shell {
            let message = "the MTU can only be set before the first event";
            return Err(self.located(Failure::new(message), &place));
        }
        self.host
            .command(&command.text, allow_shell)
            .map_err(|message| self.located(message.into(), &place))
    }

    fn code(&mut self, code: &Code) -> Result<(), Failure> {
        self.note(Some(&code.place), HappeningKind::Check, code.to_string());
        let information = self.information();
        self.python
            .run(&code.text, &information)
            .map_err(|error| failure_of(error, code))
    }

    // ----- packets of the peer -----

    pub(super) fn inject(&mut self, packet: &Packet, place: &Place) -> Result<(), Failure> {
        let index = self.connection_for(packet)?;
        let connection = &mut self.connections[index];
        let (source, destination) = ends(packet, connection.remote, connection.local);
        let mut live = packet.clone();
        if let Body::Tcp(segment) = &packet.body {
            live.body = Body::Tcp(connection.wire_segment(segment));
        }
        let quoted = match &packet.body {
            Body::Icmp(icmp) => match icmp.quoted {
                Some(quoted) => quote(connection, quoted)?,
                None => Vec::new(),
            },
            _ => Vec::new(),
        };
        let octets = packet::encode(&live, source, destination, &quoted)?;
        self.note(Some(place), HappeningKind::Inbound, bare(packet));
        self.host
            .handle_packet(self.now, PacketBuf::from_bytes(octets.into()));
        Ok(())
    }

    /// The connection a packet of the script belongs to; one from a peer that is not known yet gets a new one.
    fn connection_for(&mut self, packet: &Packet) -> Result<usize, Failure> {
        if let Some(fd) = packet.socket {
            let known = self
                .connections
                .iter()
                .position(|connection| connection.fd == Some(fd));
            return known.ok_or_else(|| Failure::new(format!("descriptor {fd} has no connection")));
        }
        if let Some(ports) = &packet.ports {
            let (peer, own) = match packet.direction {
                Direction::Inbound => (ports.source, ports.destination),
                Direction::Outbound => (ports.destination, ports.source),
            };
            let address = |end: PortEnd, usual| (end.address.unwrap_or(usual), end.port);
            let remote = address(peer, self.settings.remote_address());
            let local = address(own, self.settings.local_address());
            let known = self
                .connections
                .iter()
                .rposition(|connection| connection.remote == remote && connection.local == local);
            return Ok(known.unwrap_or_else(|| self.add_connection(local, remote)));
        }
        let opens =
            matches!(&packet.body, Body::Tcp(segment) if segment.flags & (SYN | ACK) == SYN);
        match self.current {
            Some(current) if !(self.listening && opens) => Ok(current),
            _ => {
                self.listening = false;
                let (local, remote) = self.usual_ends();
                let index = self.add_connection(local, remote);
                self.current = Some(index);
                Ok(index)
            }
        }
    }

    fn usual_ends(&self) -> (End, End) {
        let used = u16::try_from(self.connections.len()).unwrap_or(0);
        let local = (self.settings.local_address(), self.settings.bind_port);
        let remote = (self.settings.remote_address(), PEER_PORT.wrapping_add(used));
        (local, remote)
    }

    pub(super) fn add_connection(&mut self, local: End, remote: End) -> usize {
        self.connections.push(Connection::new(local, remote));
        self.connections.len() - 1
    }

    // ----- packets of the stack -----

    fn expect(
        &mut self,
        wanted: &Packet,
        span: Option<Span>,
        place: &Place,
    ) -> Result<(), Failure> {
        let last = match span {
            Some(span) => span.end.saturating_add(self.tolerance(span.end)),
            None => self.now.saturating_add(H::PATIENCE),
        };
        self.settle()?;
        self.advance_to_packet(last)?;
        let Some(sent) = self.sent.pop_front() else {
            self.now = self.host.now(self.now);
            return Err(self.no_packet(wanted, span));
        };
        let (at, segment_size) = (sent.at, sent.segment_size);
        let mut got = sent.packet?;
        self.leave_rest(wanted, &mut got, (at, segment_size));
        self.join_parts(wanted, &mut got, at);
        let Some(index) = self.owner(wanted, &got) else {
            return Err(self.mismatch(wanted, &got, vec!["no such connection".to_owned()]));
        };
        let got = self.in_script_numbers(index, wanted, got);
        self.note_sent(Some(place), at, bare(&got));
        let rule = self.timestamp_rule();
        let mut differences = compare::differences(wanted, &got, rule);
        if !self.connections[index].sends(&got) {
            differences.push("a packet of another connection".to_owned());
        }
        if let Some(span) = span {
            differences.extend(self.timing(span, at));
        }
        if differences.is_empty() {
            return Ok(());
        }
        Err(self.mismatch(wanted, &got, differences))
    }

    /// What the connection's numbers are, and the script's names for them, become known with each packet.
    fn in_script_numbers(&mut self, index: usize, wanted: &Packet, got: Packet) -> Packet {
        let connection = &mut self.connections[index];
        let (Body::Tcp(live), Body::Tcp(said)) = (&got.body, &wanted.body) else {
            return got;
        };
        if connection.local.1 == 0
            && let Some(ports) = got.ports
        {
            connection.local.1 = ports.source.port;
        }
        if let (Some(live), Some(said)) = (timestamp_of(live), timestamp_of(said)) {
            // Where values are compared, the first timestamp alone is a name.
            let is_name = self.settings.timestamp_tick.is_none() || !connection.knows_timestamps();
            connection.learn_timestamp(said, live, is_name);
        }
        let segment = connection.script_segment(live, said);
        Packet {
            body: Body::Tcp(segment),
            ..got
        }
    }

    fn timestamp_rule(&self) -> TimestampRule {
        match self.settings.timestamp_tick {
            None => TimestampRule::Any,
            Some(tick) => {
                let ticks = self.settings.tolerance.as_micros() / tick.as_micros().max(1);
                TimestampRule::Within(u32::try_from(ticks).unwrap_or(u32::MAX))
            }
        }
    }

    /// Of a packet that stands for several segments only those are taken that are wanted; the others come next.
    fn leave_rest(
        &mut self,
        wanted: &Packet,
        got: &mut Packet,
        (at, segment_size): (Instant, Option<u16>),
    ) {
        let (Body::Tcp(whole), Body::Tcp(segment)) = (&wanted.body, &got.body) else {
            return;
        };
        let Some(size) = segment_size.map(u32::from).filter(|&size| size > 0) else {
            return;
        };
        if whole.len == 0 || whole.len >= segment.len || !whole.len.is_multiple_of(size) {
            return;
        }
        let rest = compare::cut(got, whole.len);
        self.sent.push_front(Sent {
            at,
            packet: Ok(rest),
            segment_size,
        });
    }

    /// A packet shorter than what is wanted takes up those that go on with it.
    fn join_parts(&mut self, wanted: &Packet, got: &mut Packet, at: Instant) {
        let Body::Tcp(whole) = &wanted.body else {
            return;
        };
        let len = |packet: &Packet| match &packet.body {
            Body::Tcp(segment) => segment.len,
            _ => 0,
        };
        while len(got) < whole.len
            && let Some(Sent {
                at: next_at,
                packet: Ok(next),
                ..
            }) = self.sent.front()
            && *next_at == at
            && len(got) + len(next) <= whole.len
            && compare::continues(got, next)
        {
            compare::join(got, next);
            self.sent.pop_front();
        }
    }

    /// The connection a packet of the stack is taken to belong to.
    fn owner(&mut self, wanted: &Packet, got: &Packet) -> Option<usize> {
        if wanted.socket.is_some() || wanted.ports.is_some() {
            return self.connection_for(wanted).ok();
        }
        let by_ends = self
            .connections
            .iter()
            .rposition(|connection| connection.sends(got));
        self.current.or(by_ends)
    }

    fn timing(&self, span: Span, at: Instant) -> Option<String> {
        let tolerance = self.tolerance(span.end);
        let early = span.start.saturating_since(at) > tolerance;
        let late = at.saturating_since(span.end) > tolerance;
        let time = |at| Seconds(self.micros(at));
        (early || late).then(|| {
            let when = if span.start == span.end {
                format!("{} s", time(span.start))
            } else {
                format!("{} to {} s", time(span.start), time(span.end))
            };
            let word = if early { "early" } else { "late" };
            format!(
                "time: expected at {when}, got at {} s, too {word}",
                time(at)
            )
        })
    }

    fn mismatch(&self, wanted: &Packet, got: &Packet, differences: Vec<String>) -> Failure {
        Failure {
            differences,
            ..Failure::new("another packet than expected")
                .expected(wanted)
                .actual(bare_outbound(wanted, got))
        }
    }

    fn no_packet(&mut self, wanted: &Packet, span: Option<Span>) -> Failure {
        let failed_at = self.now;
        let deadline = span.map(|span| span.end);
        // What would have come later explains more than that nothing came.
        let later = self.advance_to_packet(self.now.saturating_add(H::CURIOSITY));
        let next = match (later, self.sent.front()) {
            (Ok(()), Some(sent)) => {
                let time = Seconds(self.micros(sent.at));
                match &sent.packet {
                    Ok(packet) => format!("nothing; the next packet leaves at {time} s: {packet}"),
                    Err(wrong) => format!("nothing; at {time} s {wrong}"),
                }
            }
            _ => "nothing, and nothing would come later".to_owned(),
        };
        self.now = failed_at;
        let when = deadline.map_or_else(String::new, |at| {
            format!(" by {} s", Seconds(self.micros(at)))
        });
        Failure::new(format!("the stack has sent no packet{when}"))
            .expected(wanted)
            .actual(next)
    }

    pub(super) fn note_sent(&mut self, place: Option<&Place>, at: Instant, text: String) {
        let now = self.now;
        self.now = at;
        self.note(place, HappeningKind::Outbound, text);
        self.now = now;
    }

    /// What is still on its way when a run has failed goes into the trace too.
    pub(super) fn note_untaken(&mut self) {
        let left: Vec<Sent> = self.sent.drain(..).take(8).collect();
        for sent in left {
            let text = match sent.packet {
                Ok(packet) => bare(&self.roughly_in_script_numbers(packet)),
                Err(wrong) => wrong,
            };
            let now = self.now;
            self.now = sent.at;
            self.note(None, HappeningKind::Outbound, text);
            self.now = now;
        }
    }

    fn roughly_in_script_numbers(&mut self, packet: Packet) -> Packet {
        let owner = self
            .connections
            .iter()
            .rposition(|connection| connection.sends(&packet));
        match (&packet.body, owner) {
            (Body::Tcp(live), Some(index)) => Packet {
                body: Body::Tcp(self.connections[index].script_segment(live, live)),
                ..packet
            },
            _ => packet,
        }
    }
}

fn failure_of(error: python::Error, code: &Code) -> Failure {
    Failure {
        place: Place {
            line: code.place.line + error.line,
            span: code.place.span.clone(),
        },
        micros: 0,
        ..Failure::new(error.message)
    }
}

/// A packet without what the script has left to the runner.
fn bare(packet: &Packet) -> String {
    let mut short = packet.clone();
    short.ports = None;
    short.ip = crate::language::ast::IpFields::default();
    short.to_string()
}

/// What came, with those IP fields that the script has asked about.
fn bare_outbound(wanted: &Packet, got: &Packet) -> String {
    let mut short = got.clone();
    if wanted.ports.is_none() {
        short.ports = None;
    }
    let asks_ecn = wanted.ip.ecn.is_some() || wanted.ip.any_ect;
    short.ip.ecn = short.ip.ecn.filter(|_| asks_ecn);
    short.ip.tos = short.ip.tos.filter(|_| wanted.ip.tos.is_some());
    short.ip.ttl = short.ip.ttl.filter(|_| wanted.ip.ttl.is_some());
    short.ip.flow_label = short
        .ip
        .flow_label
        .filter(|_| wanted.ip.flow_label.is_some());
    short.to_string()
}

/// Where an inbound packet comes from and goes to.
fn ends(packet: &Packet, remote: End, local: End) -> (End, End) {
    match packet.ports {
        Some(Ports {
            source,
            destination,
        }) => (
            (source.address.unwrap_or(remote.0), source.port),
            (destination.address.unwrap_or(local.0), destination.port),
        ),
        None => (remote, local),
    }
}

/// The front of a packet of ours, as an ICMP error quotes it: the IP header and 64 bits (RFC 792).
fn quote(connection: &Connection, quoted: Quoted) -> Result<Vec<u8>, Failure> {
    let body = match quoted {
        Quoted::Udp(len) => Body::Udp(len),
        Quoted::Tcp { seq, len } => Body::Tcp(Segment {
            flags: ACK,
            seq: connection.quoted_on_wire(seq),
            len,
            ack: Some(0),
            window: Some(0),
            urgent: None,
            options: None,
        }),
    };
    let packet = Packet {
        direction: Direction::Outbound,
        socket: None,
        ip: crate::language::ast::IpFields::default(),
        ports: None,
        body,
    };
    let mut octets = packet::encode(&packet, connection.local, connection.remote, &[])?;
    let ip_len = if connection.local.0.is_ipv6() { 40 } else { 20 };
    octets.truncate(ip_len + 8);
    Ok(octets)
}
