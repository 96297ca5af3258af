//! What a script expects of a packet against what the stack sent, field by field.

use std::fmt::Display;

use super::packet;
use crate::language::ast::{Body, Packet, Segment, TcpOption};

const ACK: u16 = 16;
const PUSH: u16 = 8;
const FIN: u16 = 1;

/// How timestamps of the stack are checked.
#[derive(Clone, Copy, Debug)]
pub(super) enum TimestampRule {
    /// The script's are names.
    Any,
    /// They have to be so close to what the script says.
    Within(u32),
}

/// Every field in which `got` is not what `wanted` says, in words.
pub(super) fn differences(wanted: &Packet, got: &Packet, rule: TimestampRule) -> Vec<String> {
    let mut found = Differences(Vec::new());
    found.unless_given("ECN field", wanted.ip.ecn, got.ip.ecn);
    if wanted.ip.any_ect && !matches!(got.ip.ecn, Some(1 | 2)) {
        let got = got.ip.ecn.unwrap_or(0);
        found
            .0
            .push(format!("ECN field: expected 1 or 2, got {got}"));
    }
    found.unless_given("TOS", wanted.ip.tos, got.ip.tos);
    found.unless_given("TTL", wanted.ip.ttl, got.ip.ttl);
    found.unless_given("flow label", wanted.ip.flow_label, got.ip.flow_label);
    if let (Some(wanted), Some(got)) = (&wanted.ports, &got.ports) {
        found.unless_same("source port", wanted.source.port, got.source.port);
        found.unless_same(
            "destination port",
            wanted.destination.port,
            got.destination.port,
        );
        let (source, destination) = (wanted.source.address, wanted.destination.address);
        if source.is_some_and(|address| Some(address) != got.source.address)
            || destination.is_some_and(|address| Some(address) != got.destination.address)
        {
            found
                .0
                .push(format!("addresses: expected {wanted}, got {got}"));
        }
    }
    let is_ipv6 = got.ip.flow_label.is_some();
    match (&wanted.body, &got.body) {
        (Body::Tcp(wanted), Body::Tcp(got)) => segments(&mut found, wanted, got, rule),
        (Body::Udp(wanted), Body::Udp(got)) => found.unless_same("length", wanted, got),
        (Body::Icmp(wanted), Body::Icmp(got)) if packet::is_same_icmp(wanted, got, is_ipv6) => {}
        (Body::Icmp(wanted), Body::Icmp(got)) => found.unless_same("message", wanted, got),
        _ => found.0.push("another protocol".to_owned()),
    }
    found.0
}

struct Differences(Vec<String>);

impl Differences {
    fn unless_same<T: Display + PartialEq>(&mut self, field: &str, wanted: T, got: T) {
        if wanted != got {
            self.0
                .push(format!("{field}: expected {wanted}, got {got}"));
        }
    }

    fn unless_given<T: Display + PartialEq>(
        &mut self,
        field: &str,
        wanted: Option<T>,
        got: Option<T>,
    ) {
        match (wanted, got) {
            (Some(wanted), Some(got)) => self.unless_same(field, wanted, got),
            (Some(wanted), None) => self.0.push(format!("{field}: expected {wanted}, got none")),
            (None, _) => {}
        }
    }
}

fn segments(found: &mut Differences, wanted: &Segment, got: &Segment, rule: TimestampRule) {
    let flags = |segment: &Segment| {
        let bare = Segment {
            seq: 0,
            len: 0,
            ack: None,
            window: None,
            urgent: None,
            options: None,
            ..segment.clone()
        };
        let text = bare.to_string();
        text.split(' ').next().unwrap_or_default().to_owned()
    };
    found.unless_same("flags", flags(wanted), flags(got));
    found.unless_same("sequence number", wanted.seq, got.seq);
    found.unless_same("length", wanted.len, got.len);
    if wanted.flags & got.flags & ACK != 0 || wanted.ack.is_some() {
        // Who leaves the number out says 0.
        found.unless_given(
            "acknowledgment number",
            Some(wanted.ack.unwrap_or(0)),
            got.ack,
        );
    }
    found.unless_given("window", wanted.window, got.window);
    found.unless_given("urgent pointer", wanted.urgent, got.urgent);
    let (Some(wanted), Some(got)) = (&wanted.options, &got.options) else {
        return;
    };
    if !are_same_options(wanted, got, rule) {
        found.0.push(format!(
            "options: expected <{}>, got <{}>",
            list(wanted),
            list(got)
        ));
    }
}

fn list(options: &[TcpOption]) -> String {
    let texts: Vec<String> = options.iter().map(TcpOption::to_string).collect();
    texts.join(",")
}

/// Whether a list is as wanted, where `...` stands for any number of options.
fn are_same_options(wanted: &[TcpOption], got: &[TcpOption], rule: TimestampRule) -> bool {
    match (wanted, got) {
        ([], got) => got.is_empty(),
        ([TcpOption::Rest, wanted @ ..], got) => {
            (0..=got.len()).any(|skipped| are_same_options(wanted, &got[skipped..], rule))
        }
        ([first, wanted @ ..], [second, got @ ..]) => {
            is_same_option(first, second, rule) && are_same_options(wanted, got, rule)
        }
        (_, []) => false,
    }
}

fn is_same_option(wanted: &TcpOption, got: &TcpOption, rule: TimestampRule) -> bool {
    match (wanted, got) {
        (
            TcpOption::Timestamps { value, echo },
            TcpOption::Timestamps {
                value: got,
                echo: got_echo,
            },
        ) => {
            let value_is_right = match rule {
                TimestampRule::Any => true,
                TimestampRule::Within(tolerance) => {
                    let ahead = got.wrapping_sub(*value);
                    ahead.min(ahead.wrapping_neg()) <= tolerance
                }
            };
            value_is_right && echo == got_echo
        }
        _ => wanted == got,
    }
}

/// Whether `next` goes on where `first` ends, as parts of one segment that was cut for the link: the script may name the
/// whole, as a capture above segmentation offload shows it.
pub(super) fn continues(first: &Packet, next: &Packet) -> bool {
    let (Body::Tcp(a), Body::Tcp(b)) = (&first.body, &next.body) else {
        return false;
    };
    let ends = |packet: &Packet| packet.ports;
    ends(first) == ends(next)
        && first.ip == next.ip
        && a.len > 0
        && b.len > 0
        && a.seq.wrapping_add(a.len) == b.seq
        && (a.ack, a.window, a.urgent) == (b.ack, b.window, b.urgent)
        && a.options == b.options
        && a.flags & (PUSH | FIN) == 0
        && a.flags == b.flags & !(PUSH | FIN)
}

/// Cuts a TCP segment behind `len` octets of text and returns the rest: the first part neither pushes nor ends.
pub(super) fn cut(first: &mut Packet, len: u32) -> Packet {
    let mut rest = first.clone();
    if let (Body::Tcp(a), Body::Tcp(b)) = (&mut first.body, &mut rest.body) {
        a.flags &= !(PUSH | FIN);
        b.seq = b.seq.wrapping_add(len);
        b.len -= len;
        a.len = len;
    }
    rest
}

/// Joins `next` to `first`, which it [`continues`].
pub(super) fn join(first: &mut Packet, next: &Packet) {
    if let (Body::Tcp(a), Body::Tcp(b)) = (&mut first.body, &next.body) {
        a.len += b.len;
        a.flags |= b.flags;
    }
}
