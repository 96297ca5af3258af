//! `SOL_TCP`.

use super::numbers;
use super::value::OptionValue;
use crate::posix::constants::*;
use crate::posix::socket::{Socket, State};
use crate::posix::tcp_info::LinuxTcpInfo;
use crate::posix::{Errno, Posix};
use handwave_tcp::Phase;
use handwave_tcp::congestion::Algorithm;
use std::time::Duration;

/// Octets of one key of `TCP_FASTOPEN_KEY`; two may be given, the second for cookies made before.
const FAST_OPEN_KEY: usize = 16;

impl Posix {
    /// The options that a connection knows better than its socket.
    pub(super) fn connection_option(
        &self,
        state: State,
        asked_mss: bool,
        name: i32,
    ) -> Option<OptionValue> {
        let info = match state {
            State::Open(id) => self.stack.connection(id)?.info(),
            State::Listening(id) => {
                let listener = self.stack.listener(id)?;
                // One more may wait than the backlog says.
                let backlog = listener.limits().accept_queue_max.saturating_sub(1);
                let told = LinuxTcpInfo::listening(listener.waiting(), backlog);
                return (name == TCP_INFO).then_some(OptionValue::Info(told));
            }
            State::Closed | State::Udp(..) => {
                let told = LinuxTcpInfo::closed();
                return (name == TCP_INFO).then_some(OptionValue::Info(told));
            }
        };
        let at_rest = self.phase_of(state) == Phase::Closed;
        match name {
            TCP_INFO => Some(OptionValue::Info(LinuxTcpInfo::new(&info, self.now))),
            TCP_WINDOW_CLAMP => {
                let State::Open(id) = state else {
                    return None;
                };
                let clamp = self.stack.connection(id)?.window_clamp()?;
                Some(OptionValue::Int(i32::try_from(clamp).unwrap_or(i32::MAX)))
            }
            TCP_QUICKACK => Some(OptionValue::Int(i32::from(!info.pingpong))),
            TCP_MAXSEG if info.snd_mss > 0 && !(at_rest && asked_mss) => {
                Some(OptionValue::Int(i32::from(info.snd_mss)))
            }
            // Before the peer has said anything, the least that everybody takes, less what options need.
            TCP_MAXSEG if !(at_rest && asked_mss) => {
                let State::Open(id) = state else {
                    return None;
                };
                let config = self.stack.connection(id)?.config();
                let options = if config.timestamps { 12 } else { 0 };
                Some(OptionValue::Int(536 - options))
            }
            _ => None,
        }
    }
}

pub(super) fn set(
    socket: &mut Socket,
    phase: Phase,
    name: i32,
    value: &OptionValue,
) -> Result<(), Errno> {
    let at_rest = matches!(phase, Phase::Closed | Phase::Listen);
    let options = &mut socket.options;
    match name {
        TCP_NODELAY => options.connection.nagle = !value.flag()?,
        TCP_CORK => options.connection.cork = value.flag()?,
        TCP_QUICKACK => {
            options.quick_ack = Some(value.flag()?);
            options.quick_ack_first = value.flag()?;
        }
        TCP_NOTSENT_LOWAT => {
            let asked = value.int()?.cast_unsigned();
            options.notsent_low_water = if asked == 0 {
                options.notsent_usual
            } else {
                asked
            };
            return numbers::keep(&mut options.kept, (SOL_TCP, name), value);
        }
        TCP_CONGESTION => {
            let OptionValue::Name(name) = value else {
                return Err(Errno::EINVAL);
            };
            options.connection.congestion = Algorithm::parse(name).ok_or(Errno::ENOENT)?;
        }
        TCP_DEFER_ACCEPT => options.defer_accept = retries_in(value.int()?),
        TCP_WINDOW_CLAMP => {
            options.connection.window_clamp = match value.int()? {
                0 if phase != Phase::Closed => return Err(Errno::EINVAL),
                0 => None,
                n => Some(n.max(1152).cast_unsigned()),
            };
        }
        TCP_MAXSEG => match value.int()? {
            0 => options.connection.mss_max = None,
            mss => {
                let mss = u16::try_from(mss)
                    .ok()
                    .filter(|mss| (88..=32_767).contains(mss));
                options.connection.mss_max = Some(mss.ok_or(Errno::EINVAL)?);
            }
        },
        TCP_INQ => match value.int()? {
            0 => options.inq = false,
            1 => options.inq = true,
            _ => return Err(Errno::EINVAL),
        },
        TCP_KEEPIDLE | TCP_KEEPINTVL | TCP_KEEPCNT | TCP_USER_TIMEOUT | TCP_RTO_MAX_MS
        | TCP_SYNCNT | TCP_LINGER2 => return set_patience(socket, name, value),
        TCP_FASTOPEN | TCP_FASTOPEN_NO_COOKIE | TCP_FASTOPEN_CONNECT | TCP_FASTOPEN_KEY => {
            return set_fast_open(socket, at_rest, phase, (name, value));
        }
        // There is none but plain TCP.
        TCP_ULP => return Err(Errno::ENOENT),
        TCP_THIN_DUPACK => match value.int()? {
            0 | 1 => {}
            _ => return Err(Errno::EINVAL),
        },
        _ => return numbers::keep(&mut options.kept, (SOL_TCP, name), value),
    }
    Ok(())
}

/// How long a connection waits for what.
fn set_patience(socket: &mut Socket, name: i32, value: &OptionValue) -> Result<(), Errno> {
    let options = &mut socket.options;
    match name {
        TCP_KEEPIDLE => options.keepalive_times.idle = seconds(value)?,
        TCP_KEEPINTVL => options.keepalive_times.interval = seconds(value)?,
        TCP_KEEPCNT => options.keepalive_times.probes = counted(value)?,
        TCP_USER_TIMEOUT => {
            let millis = u64::try_from(value.int()?).map_err(|_| Errno::EINVAL)?;
            options.connection.user_timeout = (millis > 0).then(|| Duration::from_millis(millis));
        }
        TCP_RTO_MAX_MS => match value.int()? {
            millis @ 1_000..=120_000 => {
                let limit = Duration::from_millis(u64::from(millis.unsigned_abs()));
                options.connection.rto_max = limit;
            }
            _ => return Err(Errno::EINVAL),
        },
        TCP_SYNCNT => options.connection.syn_retries = Some(counted(value)?),
        _ => {
            let seconds = value.int()?;
            options.linger2 = seconds.clamp(-1, 120);
            options.connection.fin_wait2_timeout = match seconds {
                0 => options.fin_wait2_usual,
                n if n < 0 => Duration::ZERO,
                n => Duration::from_secs(u64::from(n.unsigned_abs()).min(120)),
            };
        }
    }
    Ok(())
}

/// Fast Open is offered as far as asking goes: no cookie is ever known, so text waits for the handshake.
fn set_fast_open(
    socket: &mut Socket,
    at_rest: bool,
    phase: Phase,
    (name, value): (i32, &OptionValue),
) -> Result<(), Errno> {
    let options = &mut socket.options;
    if name == TCP_FASTOPEN_KEY {
        let OptionValue::Octets(key) = value else {
            return Err(Errno::EINVAL);
        };
        if ![FAST_OPEN_KEY, 2 * FAST_OPEN_KEY].contains(&key.len()) {
            return Err(Errno::EINVAL);
        }
        key.clone_into(&mut options.fast_open_key);
        return Ok(());
    }
    let asked = value.int()?;
    let allowed = match name {
        TCP_FASTOPEN_CONNECT => phase == Phase::Closed,
        _ => at_rest,
    };
    if !allowed {
        return Err(Errno::EINVAL);
    }
    let most = i32::try_from(options.backlog_max).unwrap_or(i32::MAX);
    let asked = if name == TCP_FASTOPEN {
        asked.min(most)
    } else {
        asked
    };
    numbers::keep(&mut options.kept, (SOL_TCP, name), &OptionValue::Int(asked))
}

/// Seconds of a keep-alive timer.
fn seconds(value: &OptionValue) -> Result<Duration, Errno> {
    match value.int()? {
        n @ 1..=32_767 => Ok(Duration::from_secs(u64::from(n.unsigned_abs()))),
        _ => Err(Errno::EINVAL),
    }
}

/// A count of 1 to 127.
fn counted(value: &OptionValue) -> Result<u8, Errno> {
    let count = u8::try_from(value.int()?).ok();
    count.filter(|n| (1..=127).contains(n)).ok_or(Errno::EINVAL)
}

pub(super) fn get(socket: &Socket, name: i32) -> Result<OptionValue, Errno> {
    let options = &socket.options;
    let number = |n: i32| Ok(OptionValue::Int(n));
    let seconds = |span: Duration| number(i32::try_from(span.as_secs()).unwrap_or(i32::MAX));
    let millis = |span: Duration| number(i32::try_from(span.as_millis()).unwrap_or(i32::MAX));
    match name {
        TCP_NODELAY => number(i32::from(!options.connection.nagle)),
        TCP_CORK => number(i32::from(options.connection.cork)),
        TCP_CONGESTION => Ok(OptionValue::Name(
            options.connection.congestion.name().to_owned(),
        )),
        TCP_ULP | TCP_SAVED_SYN => Ok(OptionValue::Octets(Vec::new())),
        TCP_FASTOPEN_KEY => Ok(OptionValue::Octets(options.fast_open_key.clone())),
        TCP_THIN_DUPACK | TCP_REPAIR => number(0),
        TCP_QUICKACK => number(i32::from(options.quick_ack_first)),
        TCP_DEFER_ACCEPT => number(seconds_of(options.defer_accept)),
        TCP_SYNCNT => number(i32::from(options.connection.syn_retries.unwrap_or(6))),
        TCP_LINGER2 if options.linger2 < 0 => number(options.linger2),
        TCP_LINGER2 => seconds(options.connection.fin_wait2_timeout),
        TCP_WINDOW_CLAMP => {
            let clamp = options.connection.window_clamp.unwrap_or(0);
            number(i32::try_from(clamp).unwrap_or(i32::MAX))
        }
        TCP_MAXSEG => number(i32::from(options.connection.mss_max.unwrap_or(536))),
        TCP_KEEPIDLE => seconds(options.keepalive_times.idle),
        TCP_KEEPINTVL => seconds(options.keepalive_times.interval),
        TCP_KEEPCNT => number(i32::from(options.keepalive_times.probes)),
        TCP_USER_TIMEOUT => millis(options.connection.user_timeout.unwrap_or_default()),
        TCP_RTO_MAX_MS => millis(options.connection.rto_max),
        TCP_INQ => number(i32::from(options.inq)),
        _ => numbers::kept(&options.kept, SOL_TCP, name),
    }
}

/// Retries of a SYN+ACK that fit into so many seconds, as Linux counts them: at 1, 3, 7, .. s.
fn retries_in(seconds: i32) -> u8 {
    let (mut retries, mut timeout, mut period) = (0_u8, 1_i64, 1_i64);
    if seconds > 0 {
        retries = 1;
        while i64::from(seconds) > period && retries < u8::MAX {
            retries += 1;
            timeout = (timeout * 2).min(120);
            period += timeout;
        }
    }
    retries
}

/// The seconds that so many retries take.
fn seconds_of(retries: u8) -> i32 {
    let (mut timeout, mut period) = (1, i32::from(retries > 0));
    for _ in 1..retries {
        timeout = (timeout * 2).min(120);
        period += timeout;
    }
    period
}
