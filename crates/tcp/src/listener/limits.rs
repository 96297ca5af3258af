//! What one source may take of a listener, and who is exempt or shut out.
//!
//! Two kinds of evidence are kept apart. A SYN proves nothing: its source address may be anybody's. So a source that is over its
//! *unverified* budget (SYN rate, half-open records) is answered with cookies, which cost the owner of the address nothing.
//! A completed handshake proves that the source receives what is sent to it. So refusal rests on that: the number
//! of connections established, and their rate.

use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

use crate::rate::RateLimit;

/// Limits of one listener on its sources, by prefix of their addresses. By default there are none.
///
/// ```
/// use handwave_tcp::{Limits, ListenerConfig, RateLimit};
///
/// let limits = Limits {
///     syn_rate: Some(RateLimit { per_second: 50, burst: 100 }),
///     established_max: Some(200),
///     deny: vec!["198.51.100.0/24".parse()?],
///     allow: vec!["198.51.100.7".parse()?],
///     ..Limits::default()
/// };
/// let config = ListenerConfig { limits, ..ListenerConfig::default() };
/// # Ok::<(), handwave_tcp::BadPrefix>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bits of an IPv4 address that make two sources one.
    pub prefix_v4: u8,
    /// Bits of an IPv6 address that make two sources one.
    pub prefix_v6: u8,
    /// SYNs of one prefix. Unverified.
    pub syn_rate: Option<RateLimit>,
    /// Half-open records of one prefix. Unverified.
    pub half_open_max: Option<u32>,
    /// SYNs of all prefixes together. Unverified.
    pub syn_rate_total: Option<RateLimit>,
    /// What becomes of a SYN over an unverified budget.
    pub unverified: Unverified,
    /// Connections of one prefix that are established or closing. Verified.
    pub established_max: Option<u32>,
    /// Handshakes that one prefix completes. Verified.
    pub established_rate: Option<RateLimit>,
    /// Connections of all prefixes together that are established or closing. Verified.
    pub established_total_max: Option<u32>,
    /// What becomes of a SYN or a last ACK over a verified budget, or of a denied source.
    pub refusal: Refusal,
    /// Sources that no limit holds for. The longest prefix in `allow` and `deny` that fits decides, `deny` among equals.
    pub allow: Vec<SourcePrefix>,
    /// Sources that are refused.
    pub deny: Vec<SourcePrefix>,
    /// Prefixes for which budgets are kept at a time, rounded up to a power of two.
    pub sources_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            prefix_v4: 32,
            prefix_v6: 64,
            syn_rate: None,
            half_open_max: None,
            syn_rate_total: None,
            unverified: Unverified::default(),
            established_max: None,
            established_rate: None,
            established_total_max: None,
            refusal: Refusal::default(),
            allow: Vec::new(),
            deny: Vec::new(),
            sources_max: 1 << 14,
        }
    }
}

impl Limits {
    /// Whether budgets of single prefixes are kept at all.
    pub(super) const fn keeps_budgets(&self) -> bool {
        self.syn_rate.is_some()
            || self.half_open_max.is_some()
            || self.established_max.is_some()
            || self.established_rate.is_some()
    }

    /// Whether anything is counted, so that listeners of several shards have to count together.
    pub(super) const fn keeps_count(&self) -> bool {
        self.keeps_budgets()
            || self.syn_rate_total.is_some()
            || self.established_total_max.is_some()
    }

    /// Whether somebody has to say when connections end: see
    /// [`Listener::on_connection_ended`](crate::Listener::on_connection_ended).
    #[must_use]
    pub const fn counts_connections(&self) -> bool {
        self.established_max.is_some() || self.established_total_max.is_some()
    }

    /// The prefix that `addr` belongs to, as 128 bits; IPv4 addresses are mapped into IPv6.
    pub(super) fn prefix_of(&self, addr: IpAddr) -> u128 {
        match addr {
            IpAddr::V4(_) => masked(addr, self.prefix_v4),
            IpAddr::V6(_) => masked(addr, self.prefix_v6),
        }
    }

    /// A prefix as it is shown.
    pub(super) fn shown(&self, prefix: u128) -> SourcePrefix {
        let addr = core::net::Ipv6Addr::from_bits(prefix);
        match addr.to_ipv4_mapped() {
            Some(addr) => SourcePrefix::new(addr.into(), self.prefix_v4),
            None => SourcePrefix::new(addr.into(), self.prefix_v6),
        }
    }
}

/// What becomes of a SYN whose source is over an unverified budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unverified {
    /// A cookie answers it, so that whoever owns the address gets through; dropped if cookies are off.
    #[default]
    Cookie,
    /// It is refused, although the owner of the address may have nothing to do with it.
    Refuse,
}

/// How to refuse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Refusal {
    /// In silence: the client tries for as long as it likes.
    #[default]
    Drop,
    /// With a RST: the client learns at once.
    Reset,
}

/// Addresses that share their first bits.
///
/// ```
/// use handwave_tcp::SourcePrefix;
///
/// let prefix: SourcePrefix = "10.1.2.3/8".parse()?;
/// assert_eq!(prefix.to_string(), "10.0.0.0/8");
/// assert!(prefix.contains([10, 9, 9, 9].into()) && !prefix.contains([11, 0, 0, 0].into()));
/// assert_eq!("2001:db8::1".parse::<SourcePrefix>()?.to_string(), "2001:db8::1/128");
/// # Ok::<(), handwave_tcp::BadPrefix>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourcePrefix {
    addr: IpAddr,
    len: u8,
}

impl SourcePrefix {
    /// The first `len` bits of `addr`; no more than it has.
    #[must_use]
    pub fn new(addr: IpAddr, len: u8) -> Self {
        let (len, bits) = match addr {
            IpAddr::V4(_) => (len.min(32), masked(addr, len)),
            IpAddr::V6(_) => (len.min(128), masked(addr, len)),
        };
        let network = core::net::Ipv6Addr::from_bits(bits);
        let addr = match addr {
            #[expect(clippy::cast_possible_truncation, reason = "the IPv4 half")]
            IpAddr::V4(_) => core::net::Ipv4Addr::from_bits(bits as u32).into(),
            IpAddr::V6(_) => network.into(),
        };
        Self { addr, len }
    }

    /// The first address.
    #[must_use]
    pub const fn network(&self) -> IpAddr {
        self.addr
    }

    /// How many bits are shared.
    #[must_use]
    pub const fn prefix_len(&self) -> u8 {
        self.len
    }

    /// Whether `addr` is one of these.
    #[must_use]
    pub fn contains(&self, addr: IpAddr) -> bool {
        addr.is_ipv4() == self.addr.is_ipv4() && Self::new(addr, self.len) == *self
    }
}

impl fmt::Display for SourcePrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.len)
    }
}

impl fmt::Debug for SourcePrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text names no prefix: `ADDRESS` or `ADDRESS/BITS` was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadPrefix;

impl fmt::Display for BadPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a prefix: expected ADDRESS or ADDRESS/BITS, such as 10.0.0.0/8")
    }
}

impl core::error::Error for BadPrefix {}

impl FromStr for SourcePrefix {
    type Err = BadPrefix;

    fn from_str(text: &str) -> Result<Self, BadPrefix> {
        let (addr, len) = text
            .split_once('/')
            .map_or((text, None), |(a, l)| (a, Some(l)));
        let addr: IpAddr = addr.parse().map_err(|_| BadPrefix)?;
        let most = if addr.is_ipv4() { 32 } else { 128 };
        let len = len.map_or(Ok(most), |len| len.parse().map_err(|_| BadPrefix))?;
        if len > most {
            return Err(BadPrefix);
        }
        Ok(Self::new(addr, len))
    }
}

/// The first `len` bits of an address, in the 128 bits that both IP versions share.
fn masked(addr: IpAddr, len: u8) -> u128 {
    let (bits, len) = match addr {
        IpAddr::V4(addr) => (addr.to_ipv6_mapped().to_bits(), 96 + u32::from(len.min(32))),
        IpAddr::V6(addr) => (addr.to_bits(), u32::from(len.min(128))),
    };
    bits & u128::MAX.checked_shl(128 - len).unwrap_or(0)
}

/// The lists of a listener, arranged for looking up: one look for each length that occurs.
#[derive(Debug)]
pub(super) struct Access {
    /// Sorted by length, longest first, then by network.
    entries: Vec<(u8, u128, Standing)>,
    /// The lengths that occur, longest first.
    lens: Vec<u8>,
}

/// How a source stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Allowed,
    Denied,
}

impl Access {
    pub(super) fn new(limits: &Limits) -> Self {
        let entry = |prefix: &SourcePrefix, standing| {
            let len = if prefix.addr.is_ipv4() { 96 } else { 0 } + prefix.len;
            (len, masked(prefix.addr, prefix.len), standing)
        };
        let denied = limits
            .deny
            .iter()
            .map(|prefix| entry(prefix, Standing::Denied));
        let allowed = limits
            .allow
            .iter()
            .map(|prefix| entry(prefix, Standing::Allowed));
        let mut entries: Vec<_> = denied.chain(allowed).collect();
        // Stable: a denied prefix stays before the same one allowed, which then goes.
        entries.sort_by(|a, b| (b.0, a.1).cmp(&(a.0, b.1)));
        entries.dedup_by_key(|entry| (entry.0, entry.1));
        let mut lens: Vec<u8> = entries.iter().map(|entry| entry.0).collect();
        lens.dedup();
        Self { entries, lens }
    }

    /// What the longest prefix that fits says of `addr`.
    pub(super) fn standing(&self, addr: IpAddr) -> Option<Standing> {
        if self.entries.is_empty() {
            return None;
        }
        let bits = masked(addr, 128);
        let least = if addr.is_ipv4() { 96 } else { 0 };
        let fitting = self.lens.iter().filter(|len| **len >= least);
        fitting
            .filter_map(|&len| {
                let network = bits & u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0);
                let place = self
                    .entries
                    .binary_search_by(|entry| (len, entry.1).cmp(&(entry.0, network)));
                place.ok().and_then(|place| self.entries.get(place))
            })
            .map(|entry| entry.2)
            .next()
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    fn prefixes(texts: &[&str]) -> Vec<SourcePrefix> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn the_longest_prefix_decides_and_deny_among_equals() {
        let access = Access::new(&Limits {
            allow: prefixes(&["10.1.0.0/16", "2001:db8::/48", "192.0.2.1", "10.9.9.9"]),
            deny: prefixes(&["10.0.0.0/8", "10.1.2.0/24", "2001:db8::/32", "192.0.2.1"]),
            ..Limits::default()
        });
        let standing = |addr: &str| access.standing(addr.parse().unwrap());
        assert_eq!(standing("10.2.0.1"), Some(Standing::Denied));
        assert_eq!(standing("10.1.0.1"), Some(Standing::Allowed));
        assert_eq!(standing("10.1.2.3"), Some(Standing::Denied));
        assert_eq!(standing("10.9.9.9"), Some(Standing::Allowed));
        assert_eq!(standing("192.0.2.1"), Some(Standing::Denied));
        assert_eq!(standing("2001:db8::5"), Some(Standing::Allowed));
        assert_eq!(standing("2001:db8:1::5"), Some(Standing::Denied));
        assert_eq!(standing("203.0.113.1"), None);
        let all = Access::new(&Limits {
            deny: prefixes(&["0.0.0.0/0"]),
            ..Limits::default()
        });
        assert_eq!(all.standing([1, 2, 3, 4].into()), Some(Standing::Denied));
        assert_eq!(
            all.standing("2001:db8::1".parse().unwrap()),
            None,
            "the other version"
        );
    }

    #[test]
    fn prefixes_are_read_and_written() {
        for bad in ["", "10.0.0.0/33", "::/129", "10.0.0.0/", "host"] {
            assert_eq!(bad.parse::<SourcePrefix>(), Err(BadPrefix), "{bad}");
        }
        for good in ["10.0.0.0/8", "0.0.0.0/0", "::/0", "2001:db8::/32"] {
            assert_eq!(good.parse::<SourcePrefix>().unwrap().to_string(), good);
        }
        let limits = Limits::default();
        let shown = |addr: &str| {
            limits
                .shown(limits.prefix_of(addr.parse().unwrap()))
                .to_string()
        };
        assert_eq!(shown("192.0.2.9"), "192.0.2.9/32");
        assert_eq!(shown("2001:db8::1:2:3:4"), "2001:db8::/64");
    }
}
