//! SYN cookies: a handshake that leaves nothing behind until it is complete (RFC 4987 3.6).
//!
//! What a half-open record would hold is put into numbers that the client sends back: our ISS, and the timestamp of our
//! SYN+ACK if the client offered timestamps (RFC 7323).
//!
//! ```text
//!  ISS    31                             8   7   6   4 3   1  0
//!        +--------------------------------+-----+-----+-----+----+
//!        |        first MAC, 24 bits      | P   | MSS | WS  | S  |
//!        +--------------------------------+-----+-----+-----+----+
//!  TSval  31               14 13         6 5       2    1    0
//!        +-------------------+------------+---------+------+-----+
//!        |  clock >> 14, - 1 | second MAC |   WS    |  S   |  E  |
//!        +-------------------+------------+---------+------+-----+
//! ```
//!
//! P is the parity of the minute, MSS an index into [`MSS_TABLE`], WS in the ISS an index into a table of window scales rounded
//! down, WS in TSval the scale itself (15: none), S SACK-permitted, E whether the client offered ECN (RFC 3168). The ISS alone
//! makes a handshake complete; the timestamp refines it. So a path that strips timestamps costs precision, not the connection.
//!
//! **The odds of forging.** The first MAC is SipHash-2-4 over both endpoints, the client's ISN, the minute and the low eight
//! bits of the ISS. An ACK that guesses blindly, naming any option bits, is believed once in 2^24 tries; with timestamps once in
//! 2^32, but a forger need not send timestamps. Bits of the timestamp that were changed on the way go unnoticed once in
//! 2^8. [`ListenerConfig::blind_acks`](crate::ListenerConfig::blind_acks) limits the tries: beyond it only both MACs
//! together are believed. At its default of 10,000/s a forger gets one connection in 28 minutes on average.
//!
//! **Clocks.** The octets of TSval below its clock make it run behind by up to 33 seconds and never ahead, so that whatever the
//! connection sends later is newer to PAWS (RFC 7323 5). It says nothing about the round-trip time.

mod keys;

use core::net::IpAddr;
use core::time::Duration;

use handwave_wire::SeqNum;

pub use keys::{CookieKeys, SharedCookieKeys};

use crate::siphash::{Rest, SipKey, words_of};
use crate::time::Instant;
use crate::tuple::Tuple;

/// When a listener answers SYNs with cookies instead of keeping records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SynCookies {
    /// Never: SYNs that find the queue full are dropped.
    Off,
    /// While the SYN queue is full, or a source is over its unverified budget.
    #[default]
    OnOverflow,
    /// Always: no SYN makes a record.
    Always,
}

/// Segment sizes that a cookie can name; a client's own is rounded down to one of them.
pub const MSS_TABLE: [u16; 8] = [48, 536, 1220, 1360, 1400, 1440, 1460, 8960];
/// Window scales that the ISS can name, after 0 for "none"; a client's own is rounded down to one of them.
const SCALE_TABLE: [u8; 7] = [0, 2, 4, 6, 7, 8, 10];
/// What the four bits of TSval say when there is no window scale.
const NO_SCALE: u32 = 15;
/// Low bits of TSval that are not its clock.
const CLOCK_SHIFT: u32 = 14;
/// How far clocks of nodes that share keys may lie apart.
const SKEW: Duration = Duration::from_secs(4);

/// How long a cookie is good for at most: its own period and the next.
pub(super) const COOKIE_AGE_MAX: Duration = Duration::from_secs(2 * keys::PERIOD.as_secs());

/// What a client offered in its SYN, as far as a cookie remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) mss: u16,
    pub(super) window_scale: Option<u8>,
    pub(super) sack: bool,
    /// The SYN asked for ECN: ECE and CWR (RFC 3168 6.1.1).
    pub(super) ecn: bool,
}

/// A cookie: the numbers of a SYN+ACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cookie {
    pub(super) iss: SeqNum,
    /// TSval, if the client offered timestamps.
    pub(super) stamp: Option<u32>,
}

/// Makes the cookie that answers a SYN. `clock` is TSval as any other segment would carry it, if timestamps are agreed on.
///
/// `None` only if no key was handed in for this time.
pub(super) fn bake(
    keys: &mut CookieKeys,
    now: Instant,
    tuple: &Tuple,
    irs: SeqNum,
    offer: &Offer,
    clock: Option<u32>,
) -> Option<Cookie> {
    let period = keys.period(now);
    let key = keys.key(period)?;
    let low = pack(offer, period);
    let tag = tag(&key, tuple, irs, period, low);
    let stamp = clock.map(|clock| {
        let upper = (clock >> CLOCK_SHIFT).wrapping_sub(1);
        stamp(&key, tag, upper, pack_stamp(offer))
    });
    let iss = SeqNum::new(first_mac(tag) | low);
    Some(Cookie { iss, stamp })
}

/// Checks the numbers that an ACK brings back and returns what its client once offered; `None` if they are forged or stale.
pub(super) fn taste(
    keys: &mut CookieKeys,
    now: Instant,
    tuple: &Tuple,
    irs: SeqNum,
    cookie: &Cookie,
) -> Option<Offer> {
    let iss = cookie.iss.raw();
    let low = iss & 0xff;
    for period in candidates(keys, now, low) {
        let Some(key) = keys.key(period) else {
            continue;
        };
        let tag = tag(&key, tuple, irs, period, low);
        if first_mac(tag) != iss & !0xff {
            continue;
        }
        return match cookie.stamp {
            None => Some(unpack(low)),
            Some(value) => {
                let options = value & 0x3f;
                let genuine = stamp(&key, tag, value >> CLOCK_SHIFT, options);
                (genuine == value).then(|| unpack_stamp(low, options))
            }
        };
    }
    None
}

/// The periods that a cookie with these low bits can be from. Nearly always one: the parity says whether the current or the
/// last; within [`SKEW`] of the next it may also be that of a node whose clock is ahead.
fn candidates(keys: &CookieKeys, now: Instant, low: u32) -> impl Iterator<Item = u64> + use<> {
    let current = keys.period(now);
    let same_parity = current & 1 == u64::from(low >> 7 & 1);
    let latest = if same_parity {
        Some(current)
    } else {
        current.checked_sub(1)
    };
    let next_is_near = keys.since_period_began(now) + SKEW >= keys::PERIOD;
    let early = (!same_parity && keys.is_shared() && next_is_near).then_some(current + 1);
    latest.into_iter().chain(early)
}

/// The low eight bits of the ISS.
fn pack(offer: &Offer, period: u64) -> u32 {
    let at_most = |limit: &&u16| **limit <= offer.mss;
    let mss = MSS_TABLE.iter().take_while(at_most).count().max(1) - 1;
    let scale = offer.window_scale.map_or(0, |scale| {
        SCALE_TABLE.iter().take_while(|&&s| s <= scale).count()
    });
    let parity = u32::from(period & 1 == 1);
    parity << 7 | index(mss) << 4 | index(scale) << 1 | u32::from(offer.sack)
}

fn unpack(low: u32) -> Offer {
    let scale = (low >> 1 & 7).checked_sub(1);
    Offer {
        mss: MSS_TABLE[(low >> 4 & 7) as usize],
        window_scale: scale.and_then(|scale| SCALE_TABLE.get(scale as usize).copied()),
        sack: low & 1 == 1,
        ecn: false,
    }
}

/// The low six bits of TSval.
fn pack_stamp(offer: &Offer) -> u32 {
    let scale = offer
        .window_scale
        .map_or(NO_SCALE, |scale| u32::from(scale.min(14)));
    scale << 2 | u32::from(offer.sack) << 1 | u32::from(offer.ecn)
}

fn unpack_stamp(low: u32, options: u32) -> Offer {
    let scale = options >> 2;
    Offer {
        window_scale: u8::try_from(scale).ok().filter(|_| scale != NO_SCALE),
        sack: options & 2 != 0,
        ecn: options & 1 != 0,
        ..unpack(low)
    }
}

/// A keyed hash of all that must not be changed. The first MAC shows 24 of its bits.
fn tag(key: &SipKey, tuple: &Tuple, irs: SeqNum, period: u64, low: u32) -> u64 {
    let (local, remote) = (&tuple.local, &tuple.remote);
    let ports = u64::from(local.port) << 48 | u64::from(remote.port) << 32;
    let numbers = [ports | u64::from(irs.raw()), period << 8 | u64::from(low)];
    match (local.addr, remote.addr) {
        (IpAddr::V4(here), IpAddr::V4(there)) => {
            let addresses = u64::from(here.to_bits()) << 32 | u64::from(there.to_bits());
            key.hash24([numbers[0], numbers[1], addresses], Rest::NONE)
        }
        (here, there) => {
            let ([a, b], [c, d]) = (words_of(here), words_of(there));
            key.hash24([numbers[0], numbers[1], a, b, c, d], Rest::NONE)
        }
    }
}

/// The upper 24 bits of the ISS.
#[expect(clippy::cast_possible_truncation, reason = "24 bits of the hash")]
const fn first_mac(tag: u64) -> u32 {
    (tag as u32) << 8
}

/// TSval from its clock and its options: the second MAC covers both, and through the whole tag all that the first does. It shows
/// 8 bits, so fewer rounds than those of the tag are enough.
fn stamp(key: &SipKey, tag: u64, upper: u32, options: u32) -> u32 {
    let clock = upper << CLOCK_SHIFT;
    #[expect(clippy::cast_possible_truncation, reason = "8 bits of the hash")]
    let mac = key.hash13([tag], Rest::four(clock | options)) as u32 & 0xff;
    clock | mac << 6 | options
}

/// A place in a table of eight.
fn index(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(0)
}

#[cfg(test)]
mod tests;
