//! The value of a socket option, and its octets in memory.

use crate::posix::constants::{
    IP_FREEBIND, IP_MINTTL, IP_TRANSPARENT, IPV6_AUTOFLOWLABEL, IPV6_DONTFRAG, SO_LINGER,
    SO_RCVTIMEO, SO_SNDTIMEO, SOL_IP, SOL_IPV6, SOL_SOCKET, SOL_TCP, TCP_CONGESTION,
    TCP_FASTOPEN_KEY, TCP_ULP,
};
use crate::posix::{Errno, LinuxTcpInfo};
use std::time::Duration;

/// What is passed to `setsockopt` or comes from `getsockopt`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OptionValue {
    /// An `int`.
    Int(i32),
    /// `struct linger`; `None` when it is off.
    Linger(Option<Duration>),
    /// `struct timeval`; zero stands for no limit.
    Timeout(Duration),
    /// A name, such as that of a congestion control.
    Name(String),
    /// `struct tcp_info`.
    Info(LinuxTcpInfo),
    /// Octets that have no form of their own here.
    Octets(Vec<u8>),
}

impl OptionValue {
    /// Reads the value of an option from memory.
    ///
    /// # Errors
    ///
    /// `EINVAL` when there are too few octets.
    pub fn decode(level: i32, name: i32, octets: &[u8]) -> Result<Self, Errno> {
        match (level, name) {
            (SOL_SOCKET, SO_LINGER) => {
                let (on, seconds) = (int_at(octets, 0)?, int_at(octets, 4)?);
                let seconds = u64::try_from(seconds).unwrap_or(u64::from(u32::MAX));
                Ok(Self::Linger(
                    (on != 0).then(|| Duration::from_secs(seconds)),
                ))
            }
            (SOL_SOCKET, SO_RCVTIMEO | SO_SNDTIMEO) => {
                let (seconds, micros) = (long_at(octets, 0)?, long_at(octets, 8)?);
                let micros = u32::try_from(micros)
                    .ok()
                    .filter(|micros| *micros < 1_000_000)
                    .ok_or(Errno::EDOM)?;
                match u64::try_from(seconds) {
                    Ok(seconds) => Ok(Self::Timeout(Duration::new(seconds, micros * 1_000))),
                    // A time before now: nothing is waited for.
                    Err(_) => Ok(Self::Octets(octets.to_vec())),
                }
            }
            (SOL_TCP, TCP_FASTOPEN_KEY) => Ok(Self::Octets(octets.to_vec())),
            (SOL_TCP, TCP_CONGESTION | TCP_ULP) if octets.is_empty() => Err(Errno::EINVAL),
            (SOL_TCP, TCP_CONGESTION | TCP_ULP) => {
                let len = octets
                    .iter()
                    .position(|octet| *octet == 0)
                    .unwrap_or(octets.len());
                let name = std::str::from_utf8(&octets[..len]).map_err(|_| Errno::ENOENT)?;
                Ok(Self::Name(name.to_owned()))
            }
            // One octet is enough for options of IP, and for most none is.
            (SOL_IP, _) if octets.len() < 4 => match octets.first() {
                Some(octet) => Ok(Self::Int(i32::from(*octet))),
                None if matches!(name, IP_FREEBIND | IP_TRANSPARENT | IP_MINTTL) => {
                    Err(Errno::EINVAL)
                }
                None => Ok(Self::Int(0)),
            },
            (SOL_IPV6, IPV6_DONTFRAG | IPV6_AUTOFLOWLABEL) if octets.len() < 4 => Ok(Self::Int(0)),
            _ => Ok(Self::Int(int_at(octets, 0)?)),
        }
    }

    /// The octets that `getsockopt` stores.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Int(n) => n.to_ne_bytes().to_vec(),
            Self::Linger(limit) => {
                let on = i32::from(limit.is_some());
                let seconds = limit.unwrap_or_default().as_secs();
                let seconds = i32::try_from(seconds).unwrap_or(i32::MAX);
                [on.to_ne_bytes(), seconds.to_ne_bytes()].concat()
            }
            Self::Timeout(limit) => [
                limit.as_secs().to_ne_bytes(),
                u64::from(limit.subsec_micros()).to_ne_bytes(),
            ]
            .concat(),
            Self::Name(name) => {
                let mut octets = name.as_bytes().to_vec();
                octets.resize(octets.len().max(16), 0);
                octets
            }
            Self::Info(info) => info.encode(),
            Self::Octets(octets) => octets.clone(),
        }
    }

    pub(super) fn int(&self) -> Result<i32, Errno> {
        match self {
            Self::Int(n) => Ok(*n),
            Self::Octets(octets) => int_at(octets, 0),
            Self::Linger(_) | Self::Timeout(_) | Self::Name(_) | Self::Info(_) => {
                Err(Errno::EINVAL)
            }
        }
    }

    pub(super) fn flag(&self) -> Result<bool, Errno> {
        Ok(self.int()? != 0)
    }

    pub(super) fn linger(&self) -> Result<Option<Duration>, Errno> {
        match self {
            Self::Linger(limit) => Ok(*limit),
            _ => Err(Errno::EINVAL),
        }
    }

    pub(super) fn timeout(&self) -> Result<Option<Duration>, Errno> {
        match self {
            Self::Timeout(limit) => Ok((!limit.is_zero()).then_some(*limit)),
            Self::Octets(_) => Ok(Some(Duration::ZERO)),
            _ => Err(Errno::EINVAL),
        }
    }
}

fn int_at(octets: &[u8], at: usize) -> Result<i32, Errno> {
    let word = octets.get(at..).and_then(|rest| rest.first_chunk());
    word.map(|word| i32::from_ne_bytes(*word))
        .ok_or(Errno::EINVAL)
}

fn long_at(octets: &[u8], at: usize) -> Result<i64, Errno> {
    let word = octets.get(at..).and_then(|rest| rest.first_chunk());
    word.map(|word| i64::from_ne_bytes(*word))
        .ok_or(Errno::EINVAL)
}
