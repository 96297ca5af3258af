//! Options that are numbers, kept and told again: what they are at first, and which values they take.

use super::value::OptionValue;
use crate::posix::Errno;
use crate::posix::constants::*;
use std::collections::BTreeMap;

/// Which values an option takes.
#[derive(Clone, Copy, Debug)]
enum Takes {
    /// On, whatever is not 0.
    Flag,
    Any,
    /// These, and others are invalid.
    Range(i32, i32),
    /// None: it is only told.
    Nothing,
    /// Any, and none changes it.
    Ignored,
}

use Takes::{Any, Flag, Ignored, Nothing, Range};

/// Level, name, what it is at first, what it takes. Most change nothing here; some are looked at elsewhere.
const TABLE: &[(i32, i32, i32, Takes)] = &[
    (SOL_SOCKET, SO_DEBUG, 0, Flag),
    (SOL_SOCKET, SO_DONTROUTE, 0, Flag),
    (SOL_SOCKET, SO_BROADCAST, 0, Flag),
    (SOL_SOCKET, SO_NO_CHECK, 0, Flag),
    (SOL_SOCKET, SO_PRIORITY, 0, Any),
    (SOL_SOCKET, SO_BSDCOMPAT, 0, Ignored),
    (SOL_SOCKET, SO_MARK, 0, Any),
    (SOL_SOCKET, SO_TIMESTAMP, 0, Flag),
    (SOL_SOCKET, SO_TIMESTAMPNS, 0, Flag),
    (SOL_SOCKET, SO_RXQ_OVFL, 0, Flag),
    (SOL_SOCKET, SO_SELECT_ERR_QUEUE, 0, Flag),
    (SOL_SOCKET, SO_BUSY_POLL, 0, Range(0, i32::MAX)),
    (SOL_SOCKET, SO_MAX_PACING_RATE, -1, Any),
    (SOL_SOCKET, SO_INCOMING_CPU, -1, Any),
    (SOL_IP, IP_PKTINFO, 0, Flag),
    (SOL_IP, IP_MTU_DISCOVER, IP_PMTUDISC_WANT, Range(0, 5)),
    (SOL_IP, IP_RECVERR, 0, Flag),
    (SOL_IP, IP_RECVTTL, 0, Flag),
    (SOL_IP, IP_RECVTOS, 0, Flag),
    (SOL_IP, IP_FREEBIND, 0, Flag),
    (SOL_IP, IP_TRANSPARENT, 0, Flag),
    (SOL_IP, IP_MINTTL, 0, Range(0, 255)),
    (SOL_IP, IP_BIND_ADDRESS_NO_PORT, 0, Flag),
    (SOL_IP, IP_RECVERR_RFC4884, 0, Range(0, 1)),
    (SOL_IPV6, IPV6_MTU_DISCOVER, IP_PMTUDISC_WANT, Range(0, 5)),
    (SOL_IPV6, IPV6_RECVERR, 0, Flag),
    (SOL_IPV6, IPV6_RECVPKTINFO, 0, Flag),
    (SOL_IPV6, IPV6_RECVHOPLIMIT, 0, Flag),
    (SOL_IPV6, IPV6_DONTFRAG, 0, Flag),
    (SOL_IPV6, IPV6_RECVTCLASS, 0, Flag),
    (SOL_IPV6, IPV6_AUTOFLOWLABEL, 1, Flag),
    (SOL_IPV6, IPV6_MINHOPCOUNT, 0, Range(0, 255)),
    (SOL_IPV6, IPV6_FREEBIND, 0, Flag),
    (SOL_TCP, TCP_THIN_LINEAR_TIMEOUTS, 0, Range(0, 1)),
    (SOL_TCP, TCP_SAVE_SYN, 0, Range(0, 2)),
    (SOL_TCP, TCP_FASTOPEN, 0, Range(0, i32::MAX)),
    (SOL_TCP, TCP_FASTOPEN_CONNECT, 0, Range(0, 1)),
    (SOL_TCP, TCP_FASTOPEN_NO_COOKIE, 0, Range(0, 1)),
    (SOL_TCP, TCP_NOTSENT_LOWAT, 0, Any),
    (SOL_TCP, TCP_IS_MPTCP, 0, Nothing),
];

fn find(level: i32, name: i32) -> Result<(i32, Takes), Errno> {
    let known = TABLE
        .iter()
        .find(|(of, option, ..)| (*of, *option) == (level, name));
    known
        .map(|(_, _, at_first, takes)| (*at_first, *takes))
        .ok_or(Errno::ENOPROTOOPT)
}

/// Keeps a number.
pub(super) fn keep(
    kept: &mut BTreeMap<(i32, i32), i32>,
    (level, name): (i32, i32),
    value: &OptionValue,
) -> Result<(), Errno> {
    let (_, takes) = find(level, name)?;
    let value = value.int()?;
    let value = match takes {
        Any => value,
        Flag => i32::from(value != 0),
        Range(least, most) if (least..=most).contains(&value) => value,
        Range(..) => return Err(Errno::EINVAL),
        Ignored => return Ok(()),
        Nothing => return Err(Errno::ENOPROTOOPT),
    };
    kept.insert((level, name), value);
    Ok(())
}

/// Tells a number.
pub(super) fn kept(
    kept: &BTreeMap<(i32, i32), i32>,
    level: i32,
    name: i32,
) -> Result<OptionValue, Errno> {
    let (at_first, _) = find(level, name)?;
    let value = kept.get(&(level, name));
    Ok(OptionValue::Int(*value.unwrap_or(&at_first)))
}

/// Whether `bind` takes addresses that are not the host's.
pub(super) fn binds_anywhere(kept: &BTreeMap<(i32, i32), i32>) -> bool {
    [
        (SOL_IP, IP_FREEBIND),
        (SOL_IP, IP_TRANSPARENT),
        (SOL_IPV6, IPV6_FREEBIND),
    ]
    .iter()
    .any(|option| kept.get(option).is_some_and(|value| *value != 0))
}
