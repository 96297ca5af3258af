//! Socket options: what `setsockopt` takes and `getsockopt` tells, by level and name.

mod value;

pub use value::OptionValue;

use super::address::Domain;
use super::constants::*;
use super::socket::{Kind, Socket, State};
use super::tcp_info::LinuxTcpInfo;
use super::{Errno, Fd, Posix, Settings};
use handwave_tcp::congestion::Algorithm;
use handwave_tcp::{BufferSize, Config, Instant, KeepAlive, Phase, TcpInfo};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What `setsockopt` has set on one socket.
#[derive(Clone, PartialEq, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches, each an option of its own"
)]
pub(super) struct Options {
    /// What the connection is configured with.
    pub(super) connection: Config,
    pub(super) reuse_address: bool,
    pub(super) reuse_port: bool,
    pub(super) v6_only: bool,
    /// `SO_LINGER`, if it is on.
    pub(super) linger: Option<Duration>,
    pub(super) receive_timeout: Option<Duration>,
    pub(super) send_timeout: Option<Duration>,
    pub(super) receive_low_water: usize,
    pub(super) oob_inline: bool,
    pub(super) zerocopy: bool,
    /// Ancillary data says how much is left to read.
    pub(super) inq: bool,
    pub(super) keepalive: bool,
    pub(super) keepalive_times: KeepAlive,
    /// `SO_SNDBUF` was set; until then the buffer grows by itself.
    pub(super) send_buffer_set: bool,
    /// Limits of `SO_SNDBUF` and `SO_RCVBUF`, before doubling.
    pub(super) buffer_limits: (u32, u32),
    pub(super) notsent_low_water: u32,
    /// `TCP_DEFER_ACCEPT`, in retries of a SYN+ACK.
    pub(super) defer_accept: u8,
    /// `TCP_QUICKACK`, for a connection to come.
    pub(super) quick_ack: Option<bool>,
    /// Numbers that are kept, told again, and change nothing here.
    pub(super) kept: BTreeMap<(i32, i32), i32>,
}

impl Options {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            keepalive: settings.connection.keepalive.is_some(),
            keepalive_times: settings.keepalive,
            connection: settings.connection.clone(),
            send_buffer_set: false,
            buffer_limits: (settings.send_buffer_max, settings.receive_buffer_max),
            notsent_low_water: settings.notsent_low_water,
            defer_accept: 0,
            quick_ack: None,
            reuse_address: false,
            reuse_port: false,
            v6_only: false,
            linger: None,
            receive_timeout: None,
            send_timeout: None,
            receive_low_water: 1,
            oob_inline: false,
            zerocopy: false,
            inq: false,
            kept: BTreeMap::new(),
        }
    }

    /// The settings of a connection opened with these options.
    pub(super) fn config(&self) -> Arc<Config> {
        Arc::new(Config {
            keepalive: self.keepalive.then_some(self.keepalive_times),
            ..self.connection.clone()
        })
    }
}

/// What Linux tells of a send buffer that nobody has set.
const SEND_BUFFER_FIRST: i32 = 16_384;

/// Options that are kept and told again without effect, each with the value it has at first.
const KEPT: &[(i32, i32, i32)] = &[
    (SOL_SOCKET, SO_DEBUG, 0),
    (SOL_SOCKET, SO_DONTROUTE, 0),
    (SOL_SOCKET, SO_BROADCAST, 0),
    (SOL_SOCKET, SO_PRIORITY, 0),
    (SOL_SOCKET, SO_MARK, 0),
    (SOL_SOCKET, SO_TIMESTAMP, 0),
    (SOL_SOCKET, SO_TIMESTAMPNS, 0),
    (SOL_SOCKET, SO_BUSY_POLL, 0),
    (SOL_SOCKET, SO_MAX_PACING_RATE, -1),
    (SOL_IP, IP_RECVERR, 0),
    (SOL_IP, IP_RECVTOS, 0),
    (SOL_IP, IP_RECVTTL, 0),
    (SOL_IP, IP_MTU_DISCOVER, IP_PMTUDISC_WANT),
    (SOL_IP, IP_FREEBIND, 0),
    (SOL_IP, IP_TRANSPARENT, 0),
    (SOL_IP, IP_BIND_ADDRESS_NO_PORT, 0),
    (SOL_IPV6, IPV6_RECVERR, 0),
    (SOL_IPV6, IPV6_RECVTCLASS, 0),
    (SOL_IPV6, IPV6_MTU_DISCOVER, IP_PMTUDISC_WANT),
    (SOL_IPV6, IPV6_AUTOFLOWLABEL, 1),
    (SOL_TCP, TCP_THIN_LINEAR_TIMEOUTS, 0),
    (SOL_TCP, TCP_THIN_DUPACK, 0),
];

impl Posix {
    /// `setsockopt`.
    ///
    /// # Errors
    ///
    /// `EBADF`, `ENOTSOCK`, `EINVAL` for values that do not fit, `ENOPROTOOPT` for options that are not offered.
    pub fn set_option(
        &mut self,
        now: Instant,
        fd: Fd,
        (level, name): (i32, i32),
        value: &OptionValue,
    ) -> Result<(), Errno> {
        let place = self.place(fd)?;
        let socket = self.socket_at(place)?;
        match level {
            SOL_SOCKET => set_socket_option(socket, name, value)?,
            SOL_IP => set_ip_option(socket, name, value)?,
            SOL_IPV6 => set_ipv6_option(socket, name, value)?,
            SOL_TCP if socket.kind == Kind::Stream => set_tcp_option(socket, name, value)?,
            _ => return Err(Errno::ENOPROTOOPT),
        }
        let (state, config) = (socket.state, socket.options.config());
        let quick_ack = socket.options.quick_ack.take();
        if let State::Open(id) = state {
            let _gone = self.stack.with_connection(now, id, |connection, cx| {
                if **connection.config() != *config {
                    connection.set_config(cx, config);
                }
                if let Some(on) = quick_ack {
                    connection.set_quick_ack(on);
                }
            });
        }
        Ok(())
    }

    /// `getsockopt`.
    ///
    /// # Errors
    ///
    /// `EBADF`, `ENOTSOCK`, `ENOPROTOOPT` for options that are not offered.
    pub fn option(&mut self, fd: Fd, level: i32, name: i32) -> Result<OptionValue, Errno> {
        self.absorb_events();
        let place = self.place(fd)?;
        let socket = self.socket_at(place)?;
        match level {
            SOL_SOCKET => socket_option(socket, name),
            SOL_IP => ip_option(socket, name),
            SOL_IPV6 => ipv6_option(socket, name),
            SOL_TCP if socket.kind == Kind::Stream => {
                let state = socket.state;
                match self.connection_option(state, name) {
                    Some(value) => Ok(value),
                    None => tcp_option(self.socket_at(place)?, name),
                }
            }
            _ => Err(Errno::ENOPROTOOPT),
        }
    }
}

impl Posix {
    /// The options that a connection knows better than its socket.
    fn connection_option(&self, state: State, name: i32) -> Option<OptionValue> {
        let info = match state {
            State::Open(id) => self.stack.connection(id)?.info(),
            State::Listening(id) => TcpInfo {
                phase: Phase::Listen,
                unacked: u32::try_from(self.stack.listener(id)?.waiting()).unwrap_or(u32::MAX),
                snd_mss: 1,
                ..TcpInfo::default()
            },
            State::Closed | State::Udp(..) => TcpInfo::default(),
        };
        match name {
            TCP_INFO => Some(OptionValue::Info(LinuxTcpInfo::new(&info, self.now))),
            TCP_QUICKACK => Some(OptionValue::Int(i32::from(!info.pingpong))),
            TCP_MAXSEG if matches!(state, State::Open(_)) && info.snd_mss > 0 => {
                Some(OptionValue::Int(i32::from(info.snd_mss)))
            }
            _ => None,
        }
    }
}

fn set_socket_option(socket: &mut Socket, name: i32, value: &OptionValue) -> Result<(), Errno> {
    let options = &mut socket.options;
    match name {
        SO_REUSEADDR => options.reuse_address = value.flag()?,
        SO_REUSEPORT => options.reuse_port = value.flag()?,
        SO_KEEPALIVE => options.keepalive = value.flag()?,
        SO_OOBINLINE => options.oob_inline = value.flag()?,
        SO_SNDBUF | SO_SNDBUFFORCE => {
            options.send_buffer_set = true;
            let octets = doubled(value.int()?, options.buffer_limits.0, 4608);
            options.connection.send_buffer = BufferSize::fixed(octets);
        }
        SO_RCVBUF | SO_RCVBUFFORCE => {
            let octets = doubled(value.int()?, options.buffer_limits.1, 2304);
            let connection = &mut options.connection;
            // The scale need not express more than what was set.
            connection.window_scale_for = None;
            connection.receive_buffer = BufferSize::fixed(octets);
        }
        SO_LINGER => options.linger = value.linger()?,
        SO_RCVTIMEO => options.receive_timeout = value.timeout()?,
        SO_SNDTIMEO => options.send_timeout = value.timeout()?,
        SO_RCVLOWAT => {
            options.receive_low_water = usize::try_from(value.int()?).unwrap_or(usize::MAX).max(1);
        }
        SO_ZEROCOPY => match value.int()? {
            0 => options.zerocopy = false,
            1 => options.zerocopy = true,
            _ => return Err(Errno::EINVAL),
        },
        SO_TYPE | SO_PROTOCOL | SO_DOMAIN | SO_ERROR | SO_ACCEPTCONN | SO_SNDLOWAT => {
            return Err(Errno::ENOPROTOOPT);
        }
        _ => return keep(socket, SOL_SOCKET, name, value),
    }
    Ok(())
}

/// Buffers are accounted with their overhead: what is asked for is doubled, and never less than a floor.
fn doubled(asked: i32, most: u32, floor: u32) -> u32 {
    // A negative number is a large one to the kernel.
    asked.cast_unsigned().min(most).saturating_mul(2).max(floor)
}

fn socket_option(socket: &mut Socket, name: i32) -> Result<OptionValue, Errno> {
    let options = &socket.options;
    let flag = |on: bool| Ok(OptionValue::Int(i32::from(on)));
    let number = |n: u32| Ok(OptionValue::Int(i32::try_from(n).unwrap_or(i32::MAX)));
    match name {
        SO_REUSEADDR => flag(options.reuse_address),
        SO_REUSEPORT => flag(options.reuse_port),
        SO_KEEPALIVE => flag(options.keepalive),
        SO_OOBINLINE => flag(options.oob_inline),
        SO_ZEROCOPY => flag(options.zerocopy),
        SO_SNDBUF if options.send_buffer_set => number(options.connection.send_buffer.initial),
        SO_SNDBUF => Ok(OptionValue::Int(SEND_BUFFER_FIRST)),
        SO_RCVBUF => number(options.connection.receive_buffer.initial),
        SO_LINGER => Ok(OptionValue::Linger(options.linger)),
        SO_RCVTIMEO => Ok(OptionValue::Timeout(
            options.receive_timeout.unwrap_or_default(),
        )),
        SO_SNDTIMEO => Ok(OptionValue::Timeout(
            options.send_timeout.unwrap_or_default(),
        )),
        SO_RCVLOWAT => number(u32::try_from(options.receive_low_water).unwrap_or(u32::MAX)),
        SO_SNDLOWAT => number(1),
        SO_TYPE => Ok(OptionValue::Int(match socket.kind {
            Kind::Stream => SOCK_STREAM,
            Kind::Datagram => SOCK_DGRAM,
        })),
        SO_PROTOCOL => Ok(OptionValue::Int(match socket.kind {
            Kind::Stream => IPPROTO_TCP,
            Kind::Datagram => IPPROTO_UDP,
        })),
        SO_DOMAIN => Ok(OptionValue::Int(socket.domain.number())),
        SO_ACCEPTCONN => flag(matches!(socket.state, State::Listening(_))),
        SO_ERROR => {
            let errno = socket.error.take();
            Ok(OptionValue::Int(errno.map_or(0, Errno::number)))
        }
        _ => kept(socket, SOL_SOCKET, name),
    }
}

fn set_ip_option(socket: &mut Socket, name: i32, value: &OptionValue) -> Result<(), Errno> {
    let connection = &mut socket.options.connection;
    match name {
        // The two low bits are the congestion mark, which belongs to TCP.
        IP_TOS => connection.dscp = (value.int()? & 0xff).cast_unsigned().to_le_bytes()[0] >> 2,
        IP_TTL => {
            connection.hop_limit = match value.int()? {
                -1 => 64,
                ttl => u8::try_from(ttl)
                    .ok()
                    .filter(|ttl| *ttl > 0)
                    .ok_or(Errno::EINVAL)?,
            }
        }
        IP_MTU_DISCOVER if !(0..=5).contains(&value.int()?) => return Err(Errno::EINVAL),
        _ => return keep(socket, SOL_IP, name, value),
    }
    Ok(())
}

fn ip_option(socket: &Socket, name: i32) -> Result<OptionValue, Errno> {
    match name {
        IP_TOS => Ok(OptionValue::Int(
            i32::from(socket.options.connection.dscp) << 2,
        )),
        IP_TTL => Ok(OptionValue::Int(i32::from(
            socket.options.connection.hop_limit,
        ))),
        _ => kept(socket, SOL_IP, name),
    }
}

fn set_ipv6_option(socket: &mut Socket, name: i32, value: &OptionValue) -> Result<(), Errno> {
    if socket.domain != Domain::Inet6 {
        return Err(Errno::ENOPROTOOPT);
    }
    match name {
        IPV6_V6ONLY if socket.local.is_some() => return Err(Errno::EINVAL),
        IPV6_V6ONLY => socket.options.v6_only = value.flag()?,
        IPV6_TCLASS => match value.int()? {
            -1 => socket.options.connection.dscp = 0,
            class => {
                let class = u8::try_from(class).map_err(|_| Errno::EINVAL)?;
                socket.options.connection.dscp = class >> 2;
            }
        },
        IPV6_UNICAST_HOPS => {
            socket.options.connection.hop_limit = match value.int()? {
                -1 => 64,
                hops => u8::try_from(hops).map_err(|_| Errno::EINVAL)?,
            }
        }
        _ => return keep(socket, SOL_IPV6, name, value),
    }
    Ok(())
}

fn ipv6_option(socket: &Socket, name: i32) -> Result<OptionValue, Errno> {
    if socket.domain != Domain::Inet6 {
        return Err(Errno::ENOPROTOOPT);
    }
    let connection = &socket.options.connection;
    match name {
        IPV6_V6ONLY => Ok(OptionValue::Int(i32::from(socket.options.v6_only))),
        IPV6_TCLASS => Ok(OptionValue::Int(i32::from(connection.dscp) << 2)),
        IPV6_UNICAST_HOPS => Ok(OptionValue::Int(i32::from(connection.hop_limit))),
        _ => kept(socket, SOL_IPV6, name),
    }
}

fn set_tcp_option(socket: &mut Socket, name: i32, value: &OptionValue) -> Result<(), Errno> {
    let options = &mut socket.options;
    let seconds = |value: &OptionValue| match value.int()? {
        n @ 1..=32_767 => Ok(Duration::from_secs(u64::from(n.unsigned_abs()))),
        _ => Err(Errno::EINVAL),
    };
    match name {
        TCP_NODELAY => options.connection.nagle = !value.flag()?,
        TCP_CORK => options.connection.cork = value.flag()?,
        TCP_QUICKACK => options.quick_ack = Some(value.flag()?),
        TCP_NOTSENT_LOWAT => options.notsent_low_water = value.int()?.cast_unsigned(),
        TCP_CONGESTION => {
            let OptionValue::Name(name) = value else {
                return Err(Errno::EINVAL);
            };
            options.connection.congestion = Algorithm::parse(name).ok_or(Errno::ENOENT)?;
        }
        TCP_DEFER_ACCEPT => options.defer_accept = retries_in(value.int()?),
        TCP_SYNCNT => match value.int()? {
            n @ 1..=127 => options.connection.syn_retries = u8::try_from(n).ok(),
            _ => return Err(Errno::EINVAL),
        },
        TCP_LINGER2 => {
            options.connection.fin_wait2_timeout = match value.int()? {
                n if n < 0 => Duration::ZERO,
                n => Duration::from_secs(u64::from(n.unsigned_abs()).min(120)),
            };
        }
        TCP_WINDOW_CLAMP => {
            options.connection.window_clamp = match value.int()? {
                0 if socket.state != State::Closed => return Err(Errno::EINVAL),
                0 => None,
                n => Some(n.cast_unsigned().max(1152)),
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
        TCP_KEEPIDLE => options.keepalive_times.idle = seconds(value)?,
        TCP_KEEPINTVL => options.keepalive_times.interval = seconds(value)?,
        TCP_KEEPCNT => {
            options.keepalive_times.probes = match value.int()? {
                n @ 1..=127 => u8::try_from(n).map_err(|_| Errno::EINVAL)?,
                _ => return Err(Errno::EINVAL),
            };
        }
        TCP_USER_TIMEOUT => {
            let millis = u64::try_from(value.int()?).map_err(|_| Errno::EINVAL)?;
            options.connection.user_timeout = (millis > 0).then(|| Duration::from_millis(millis));
        }
        TCP_INQ => match value.int()? {
            0 => options.inq = false,
            1 => options.inq = true,
            _ => return Err(Errno::EINVAL),
        },
        _ => return keep(socket, SOL_TCP, name, value),
    }
    Ok(())
}

fn tcp_option(socket: &Socket, name: i32) -> Result<OptionValue, Errno> {
    let options = &socket.options;
    let seconds = |span: Duration| {
        Ok(OptionValue::Int(
            i32::try_from(span.as_secs()).unwrap_or(i32::MAX),
        ))
    };
    match name {
        TCP_NODELAY => Ok(OptionValue::Int(i32::from(!options.connection.nagle))),
        TCP_CORK => Ok(OptionValue::Int(i32::from(options.connection.cork))),
        TCP_NOTSENT_LOWAT => Ok(OptionValue::Int(options.notsent_low_water.cast_signed())),
        TCP_CONGESTION => Ok(OptionValue::Name(
            options.connection.congestion.name().to_owned(),
        )),
        TCP_DEFER_ACCEPT => Ok(OptionValue::Int(seconds_of(options.defer_accept))),
        TCP_SYNCNT => Ok(OptionValue::Int(i32::from(
            options.connection.syn_retries.unwrap_or(6),
        ))),
        TCP_LINGER2 => seconds(options.connection.fin_wait2_timeout),
        TCP_WINDOW_CLAMP => Ok(OptionValue::Int(
            options
                .connection
                .window_clamp
                .map_or(0, |clamp| i32::try_from(clamp).unwrap_or(i32::MAX)),
        )),
        TCP_MAXSEG => Ok(OptionValue::Int(i32::from(
            options.connection.mss_max.unwrap_or(536),
        ))),
        TCP_KEEPIDLE => seconds(options.keepalive_times.idle),
        TCP_KEEPINTVL => seconds(options.keepalive_times.interval),
        TCP_KEEPCNT => Ok(OptionValue::Int(i32::from(options.keepalive_times.probes))),
        TCP_USER_TIMEOUT => Ok(OptionValue::Int(
            options.connection.user_timeout.map_or(0, |limit| {
                i32::try_from(limit.as_millis()).unwrap_or(i32::MAX)
            }),
        )),
        TCP_INQ => Ok(OptionValue::Int(i32::from(options.inq))),
        _ => kept(socket, SOL_TCP, name),
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

/// Keeps a number that changes nothing here.
fn keep(socket: &mut Socket, level: i32, name: i32, value: &OptionValue) -> Result<(), Errno> {
    let known = KEPT
        .iter()
        .any(|(of, option, _)| (*of, *option) == (level, name));
    if !known {
        return Err(Errno::ENOPROTOOPT);
    }
    socket.options.kept.insert((level, name), value.int()?);
    Ok(())
}

fn kept(socket: &Socket, level: i32, name: i32) -> Result<OptionValue, Errno> {
    let known = KEPT
        .iter()
        .find(|(of, option, _)| (*of, *option) == (level, name));
    let (_, _, at_first) = known.ok_or(Errno::ENOPROTOOPT)?;
    let value = socket.options.kept.get(&(level, name));
    Ok(OptionValue::Int(*value.unwrap_or(at_first)))
}
