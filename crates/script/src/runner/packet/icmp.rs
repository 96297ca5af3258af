//! ICMP messages by the names scripts use.

use handwave_wire::{IpProtocol, Sum};

use super::End;
use crate::language::ast::Icmp;

/// A message type: its name, its number, and its codes by name.
type Kind = (&'static str, u8, &'static [(&'static str, u8)]);

const UNREACHABLE: &[(&str, u8)] = &[
    ("net_unreachable", 0),
    ("host_unreachable", 1),
    ("protocol_unreachable", 2),
    ("port_unreachable", 3),
    ("frag_needed", 4),
    ("source_route_failed", 5),
    ("net_unknown", 6),
    ("host_unknown", 7),
    ("source_host_isolated", 8),
    ("net_prohibited", 9),
    ("host_prohibited", 10),
    ("net_unreachable_for_tos", 11),
    ("host_unreachable_for_tos", 12),
    ("packet_filtered", 13),
    ("admin_prohibited", 13),
    ("precedence_violation", 14),
    ("precedence_cutoff", 15),
];
const TIME_EXCEEDED: &[(&str, u8)] = &[("ttl", 0), ("hop_limit", 0), ("frag_time", 1)];

const IPV4: &[Kind] = &[
    ("echo_reply", 0, &[]),
    ("unreachable", 3, UNREACHABLE),
    ("source_quench", 4, &[]),
    (
        "redirect",
        5,
        &[("net", 0), ("host", 1), ("tos_net", 2), ("tos_host", 3)],
    ),
    ("echo_request", 8, &[]),
    ("time_exceeded", 11, TIME_EXCEEDED),
    ("parameter_problem", 12, &[]),
    ("timestamp_request", 13, &[]),
    ("timestamp_reply", 14, &[]),
];

const UNREACHABLE_V6: &[(&str, u8)] = &[
    ("no_route", 0),
    ("net_unreachable", 0),
    ("admin_prohibited", 1),
    ("not_neighbour", 2),
    ("beyond_scope", 2),
    ("address_unreachable", 3),
    ("addr_unreachable", 3),
    ("host_unreachable", 3),
    ("port_unreachable", 4),
    ("policy_fail", 5),
    ("reject_route", 6),
];

const IPV6: &[Kind] = &[
    ("unreachable", 1, UNREACHABLE_V6),
    ("packet_too_big", 2, &[]),
    ("time_exceeded", 3, TIME_EXCEEDED),
    (
        "parameter_problem",
        4,
        &[("header_field", 0), ("next_header", 1), ("option", 2)],
    ),
    ("echo_request", 128, &[]),
    ("echo_reply", 129, &[]),
];

/// A message with `quoted` in it, and its protocol.
pub(super) fn encode(
    icmp: &Icmp,
    ends: (End, End),
    quoted: &[u8],
) -> Result<(IpProtocol, Vec<u8>), String> {
    let is_ipv6 = ends.0.0.is_ipv6();
    let (kind, code) = numbers(icmp, is_ipv6)?;
    let mtu = icmp.mtu.unwrap_or(0);
    // RFC 1191 has 16 bits for the MTU, after 16 unused ones; RFC 4443 has 32.
    let word = match icmp.id {
        Some(id) => u32::from(id) << 16,
        None => mtu,
    };
    let mut octets = vec![kind, code, 0, 0];
    octets.extend(word.to_be_bytes());
    octets.extend_from_slice(quoted);
    let (protocol, sum) = if is_ipv6 {
        let sum = super::checksum(&octets, ends, IpProtocol::ICMPV6);
        (IpProtocol::ICMPV6, sum)
    } else {
        (IpProtocol::ICMP, Sum::default().add_bytes(&octets).finish())
    };
    octets[2..4].copy_from_slice(&sum.to_be_bytes());
    Ok((protocol, octets))
}

fn numbers(icmp: &Icmp, is_ipv6: bool) -> Result<(u8, u8), String> {
    let kinds = if is_ipv6 { IPV6 } else { IPV4 };
    // What is too big for the path is told with different words; a script may use either.
    if is_ipv6 && icmp.code.as_deref() == Some("frag_needed") {
        return Ok((2, 0));
    }
    let known = kinds.iter().find(|(name, ..)| *name == icmp.kind);
    let (_, kind, codes) = known.ok_or_else(|| {
        let names: Vec<&str> = kinds.iter().map(|(name, ..)| *name).collect();
        format!(
            "`{}` is no ICMP type; there are {}",
            icmp.kind,
            names.join(", ")
        )
    })?;
    let Some(code) = &icmp.code else {
        return Ok((*kind, 0));
    };
    let number = codes.iter().find(|(name, _)| name == code);
    let number = number.map(|(_, number)| *number).ok_or_else(|| {
        let names: Vec<&str> = codes.iter().map(|(name, _)| *name).collect();
        format!(
            "`{code}` is no code of `{}`; there are {}",
            icmp.kind,
            names.join(", ")
        )
    })?;
    Ok((*kind, number))
}

/// What a message says.
pub(super) fn decode(octets: &[u8], protocol: IpProtocol) -> Result<Icmp, String> {
    let kinds = match protocol {
        IpProtocol::ICMP => IPV4,
        IpProtocol::ICMPV6 => IPV6,
        other => return Err(format!("the stack sent a packet of protocol {other:?}")),
    };
    let [kind, code, _, _, w0, w1, w2, w3, ..] = octets else {
        return Err("the stack sent a malformed ICMP message".to_owned());
    };
    let known = kinds.iter().find(|(_, number, _)| number == kind);
    let (name, codes) = known.map_or((None, &[][..]), |(name, _, codes)| (Some(*name), *codes));
    let code_name = codes.iter().find(|(_, number)| number == code);
    let word = u32::from_be_bytes([*w0, *w1, *w2, *w3]);
    let name = name.map_or_else(|| format!("type_{kind}"), str::to_owned);
    let is_echo = name.starts_with("echo");
    let tells_mtu =
        code_name.is_some_and(|(name, _)| *name == "frag_needed") || name == "packet_too_big";
    Ok(Icmp {
        code: code_name.map(|(name, _)| (*name).to_owned()),
        mtu: tells_mtu.then_some(word),
        id: is_echo.then(|| u16::from_be_bytes([*w0, *w1])),
        quoted: None,
        kind: name,
    })
}

/// Whether two descriptions mean the same message.
pub(in crate::runner) fn is_same(wanted: &Icmp, got: &Icmp, is_ipv6: bool) -> bool {
    let code_matters = wanted.code.is_some();
    let same_numbers = match (numbers(wanted, is_ipv6), numbers(got, is_ipv6)) {
        (Ok((kind, code)), Ok((other, found))) => kind == other && (!code_matters || code == found),
        _ => false,
    };
    same_numbers
        && wanted.mtu.is_none_or(|mtu| got.mtu == Some(mtu))
        && wanted.id.is_none_or(|id| got.id == Some(id))
}
