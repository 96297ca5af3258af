//! Values of a script as numbers, addresses and octets.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::language::ast::{Expression, Field};
use crate::posix::constants as c;
use crate::posix::{Address, Errno, OptionValue};

/// Largest buffer a script may ask for.
const OCTETS_MAX: i64 = 64 << 20;

/// The arguments of a call.
pub(super) struct Arguments<'a>(pub(super) &'a [Expression]);

impl Arguments<'_> {
    pub(super) fn integer(&self, index: usize) -> Result<i64, String> {
        match self.0.get(index) {
            Some(value) => integer(value),
            None => Err(format!("argument {} is missing", index + 1)),
        }
    }

    pub(super) fn int(&self, index: usize) -> Result<i32, String> {
        as_int(self.integer(index)?)
    }

    pub(super) fn int_or(&self, index: usize, otherwise: i32) -> Result<i32, String> {
        match self.0.get(index) {
            None | Some(Expression::Ellipsis) => Ok(otherwise),
            Some(_) => self.int(index),
        }
    }

    /// The octets of a buffer: a text, or zeros.
    pub(super) fn data(&self, buffer: usize, len: usize) -> Result<Vec<u8>, String> {
        let len = octets(self.integer(len)?)?;
        let mut data = match self.0.get(buffer) {
            Some(Expression::Text(text)) => text.clone().into_bytes(),
            _ => Vec::new(),
        };
        data.resize(len, 0);
        Ok(data)
    }
}

/// A length that is not absurd.
pub(super) fn octets(len: i64) -> Result<usize, String> {
    match usize::try_from(len) {
        Ok(fits) if len <= OCTETS_MAX => Ok(fits),
        _ => Err(format!(
            "a buffer of {len} octets; at most {OCTETS_MAX} are possible"
        )),
    }
}

/// A number as an `int`, with the sign bit where the number has bit 31.
pub(super) fn as_int(value: i64) -> Result<i32, String> {
    i32::try_from(value)
        .or_else(|_| u32::try_from(value).map(u32::cast_signed))
        .map_err(|_| format!("{value} does not fit into an int"))
}

/// Whether a pointer is none.
pub(super) fn is_null(value: &Expression) -> bool {
    matches!(value, Expression::Symbol(name) if name == "NULL") || *value == Expression::integer(0)
}

/// The number that `value` stands for.
pub(super) fn integer(value: &Expression) -> Result<i64, String> {
    match value {
        Expression::Integer(integer) => Ok(integer.value),
        Expression::Symbol(name) if name == "NULL" => Ok(0),
        Expression::Symbol(name) => c::by_name(name)
            .or_else(|| Errno::by_name(name).map(Errno::number))
            .map(|value| {
                if name.starts_with("EPOLL") {
                    i64::from(value.cast_unsigned())
                } else {
                    i64::from(value)
                }
            })
            .ok_or_else(|| format!("`{name}` is no constant that is known here")),
        Expression::Or(terms) => terms
            .iter()
            .try_fold(0, |all, term| Ok(all | integer(term)?)),
        Expression::Function(name, arguments) => match (name.as_str(), &arguments[..]) {
            ("htons" | "htonl" | "ntohs" | "ntohl", [only]) => integer(only),
            _ => Err(format!("`{name}` is no function that is known here")),
        },
        Expression::List(items) => match &items[..] {
            [only] => integer(only),
            _ => Err(format!("expected a number, found `{value}`")),
        },
        _ => Err(format!("expected a number, found `{value}`")),
    }
}

/// The named members of a structure.
pub(super) fn members(value: Option<&Expression>) -> Result<BTreeMap<&str, &Expression>, String> {
    let fields = match value {
        None => return Ok(BTreeMap::new()),
        Some(Expression::Structure(fields)) => fields,
        Some(Expression::List(items)) if items.len() == 1 => return members(items.first()),
        Some(other) => return Err(format!("expected a structure in braces, found `{other}`")),
    };
    let named = |field: &'_ Field| field.name.is_some();
    if let Some(nameless) = fields.iter().find(|field| !named(field)) {
        return Err(format!("the member `{}` has no name", nameless.value));
    }
    Ok(fields
        .iter()
        .filter_map(|field| Some((field.name.as_deref()?, &field.value)))
        .collect())
}

/// The octets that a list of buffers has in all: `[{..., 10}, {..., 20}]`.
pub(super) fn vector_len(value: Option<&Expression>) -> Result<i64, String> {
    let Some(Expression::List(items)) = value else {
        return Err("expected a list of buffers such as [{..., 1000}]".to_owned());
    };
    let mut all = 0_i64;
    for item in items {
        let Expression::Structure(fields) = item else {
            return Err(format!(
                "expected a buffer such as {{..., 1000}}, found `{item}`"
            ));
        };
        let len = fields
            .iter()
            .find(|field| field.name.as_deref() == Some("iov_len"))
            .or(fields.get(1))
            .ok_or("a buffer has a length")?;
        all = all.saturating_add(integer(&len.value)?);
    }
    Ok(all)
}

/// A socket address: `...` stands for `usual`.
pub(super) fn address(value: Option<&Expression>, usual: Address) -> Result<Address, String> {
    let members = match value {
        None | Some(Expression::Ellipsis) => return Ok(usual),
        Some(value) => members(Some(value))?,
    };
    let number = |name: &str| members.get(name).map(|value| integer(value)).transpose();
    let family = number("sa_family")?.unwrap_or(i64::from(c::AF_INET));
    if family == i64::from(c::AF_UNSPEC) {
        return Ok(Address::Unspecified);
    }
    let port = number("sin_port")?.or(number("sin6_port")?).unwrap_or(0);
    let port = u16::try_from(port).map_err(|_| format!("{port} is no port"))?;
    let ip = match ["sin_addr", "sin6_addr"]
        .into_iter()
        .find_map(|name| members.get(name))
    {
        None | Some(Expression::Ellipsis) => match (&usual, family) {
            (Address::Inet(usual), _) => usual.ip(),
            (Address::Unspecified, _) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        },
        Some(value) => ip_address(value, family)?,
    };
    Ok(Address::Inet(SocketAddr::new(ip, port)))
}

fn ip_address(value: &Expression, family: i64) -> Result<IpAddr, String> {
    let text = match value {
        Expression::Function(_, arguments) => {
            arguments.iter().find_map(|argument| match argument {
                Expression::Text(text) => Some(text),
                _ => None,
            })
        }
        Expression::Text(text) => Some(text),
        Expression::Symbol(name) if name == "INADDR_ANY" => {
            return Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        }
        Expression::Symbol(name) if name == "in6addr_any" => {
            return Ok(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        }
        Expression::Integer(integer) if family == i64::from(c::AF_INET) => {
            let bits = u32::try_from(integer.value).map_err(|_| "an address has 32 bits")?;
            return Ok(IpAddr::V4(Ipv4Addr::from_bits(bits)));
        }
        _ => None,
    };
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| format!("`{value}` is no IP address"))
}

/// The value passed to `setsockopt`.
pub(super) fn option_value(
    value: Option<&Expression>,
    level: i32,
    name: i32,
) -> Result<OptionValue, String> {
    let Some(value) = value else {
        return Err("setsockopt needs a value such as [1]".to_owned());
    };
    match value {
        Expression::Text(text) => Ok(OptionValue::Name(text.clone())),
        Expression::List(items)
            if matches!(&items[..], [Expression::Text(_) | Expression::Structure(_)]) =>
        {
            option_value(items.first(), level, name)
        }
        Expression::Structure(_) => structure_value(value, level, name),
        _ => Ok(OptionValue::Int(as_int(integer(value)?)?)),
    }
}

fn structure_value(value: &Expression, level: i32, name: i32) -> Result<OptionValue, String> {
    let members = members(Some(value))?;
    let number = |names: [&str; 2]| {
        let member = names.into_iter().find_map(|name| members.get(name));
        member.map_or(Ok(0), |value| integer(value))
    };
    match (level, name) {
        (c::SOL_SOCKET, c::SO_LINGER) => {
            let (on, seconds) = (
                number(["onoff", "l_onoff"])?,
                number(["linger", "l_linger"])?,
            );
            let seconds = u64::try_from(seconds).unwrap_or(0);
            Ok(OptionValue::Linger(
                (on != 0).then(|| Duration::from_secs(seconds)),
            ))
        }
        (c::SOL_SOCKET, c::SO_RCVTIMEO | c::SO_SNDTIMEO) => {
            let (seconds, micros) = (number(["tv_sec", "sec"])?, number(["tv_usec", "usec"])?);
            let span = Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
                + Duration::from_micros(u64::try_from(micros).unwrap_or(0));
            Ok(OptionValue::Timeout(span))
        }
        _ => Err(format!("this option takes no structure such as `{value}`")),
    }
}
