//! Socket options: what `setsockopt` takes and `getsockopt` tells, by level and name.

mod ip_level;
mod numbers;
mod octets;
mod socket_level;
mod tcp_level;
mod value;

pub use value::OptionValue;

use super::constants::{
    IP_MTU, IP_RECVERR, IPV6_MTU, IPV6_RECVERR, SO_ERROR, SO_SNDBUF, SOL_IP, SOL_IPV6, SOL_SOCKET,
    SOL_TCP, TCP_DEFER_ACCEPT, TCP_NODELAY, TCP_TIMESTAMP,
};
use super::socket::{Kind, State};
use super::system::acknowledged;
use super::{Errno, Fd, Posix, Settings};
use handwave_stack::ConnectionId;
use handwave_tcp::{Config, Instant, KeepAlive, Phase};
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
    /// `SO_RCVBUF` was set.
    pub(super) receive_buffer_set: bool,
    /// Limits of `SO_SNDBUF` and `SO_RCVBUF`, before doubling.
    pub(super) buffer_limits: (u32, u32),
    /// Octets not sent from which on no more are taken.
    pub(super) notsent_low_water: u32,
    /// The same, as the system has it.
    pub(super) notsent_usual: u32,
    /// `TCP_LINGER2` as given; 0: the system's.
    pub(super) linger2: i32,
    /// FIN-WAIT-2 as the system limits it.
    pub(super) fin_wait2_usual: Duration,
    /// `TCP_FASTOPEN_KEY`.
    pub(super) fast_open_key: Vec<u8>,
    /// `SO_TIMESTAMPING`: `SOF_TIMESTAMPING_*`.
    pub(super) timestamping: i32,
    /// `net.core.somaxconn`.
    pub(super) backlog_max: u32,
    /// `TCP_DEFER_ACCEPT`, in retries of a SYN+ACK.
    pub(super) defer_accept: u8,
    /// `TCP_QUICKACK`, for a connection to come.
    pub(super) quick_ack: Option<bool>,
    /// The same, as it is told until there is a connection.
    pub(super) quick_ack_first: bool,
    /// Numbers that are kept and told again.
    pub(super) kept: BTreeMap<(i32, i32), i32>,
}

impl Options {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            keepalive: settings.connection.keepalive.is_some(),
            keepalive_times: settings.keepalive,
            connection: settings.connection.clone(),
            send_buffer_set: false,
            receive_buffer_set: false,
            buffer_limits: (settings.send_buffer_max, settings.receive_buffer_max),
            notsent_low_water: settings.notsent_low_water,
            notsent_usual: settings.notsent_low_water,
            linger2: 0,
            fin_wait2_usual: settings.connection.fin_wait2_timeout,
            fast_open_key: Vec::new(),
            timestamping: 0,
            backlog_max: settings.backlog_max,
            defer_accept: 0,
            quick_ack: None,
            quick_ack_first: true,
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

    /// What the receive buffer can grow to.
    pub(super) fn largest_receive_buffer(&self) -> u32 {
        let fixed = self.connection.receive_buffer.limit();
        match self.connection.window_scale_for {
            Some(most) if !self.receive_buffer_set => most.max(fixed),
            _ => fixed,
        }
    }

    /// Whether `bind` takes addresses that are not the host's (`IP_FREEBIND`, `IP_TRANSPARENT`).
    pub(super) fn binds_anywhere(&self) -> bool {
        numbers::binds_anywhere(&self.kept)
    }

    /// Whether ICMP errors are told at once, although the connection goes on (`IP_RECVERR`).
    pub(super) fn reports_icmp(&self) -> bool {
        let is_on = |name| self.kept.get(&name).is_some_and(|value| *value != 0);
        is_on((SOL_IP, IP_RECVERR)) || is_on((SOL_IPV6, IPV6_RECVERR))
    }

    /// The settings of a connection opened with these options.
    pub(super) fn config(&self) -> Arc<Config> {
        Arc::new(Config {
            keepalive: self.keepalive.then_some(self.keepalive_times),
            ..self.connection.clone()
        })
    }
}

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
        let place = self.place_now(fd)?;
        let state = self.socket_at(place)?.state;
        let phase = self.phase_of(state);
        let acknowledged = match state {
            State::Open(id) => {
                let written = self.socket_at(place)?.errors.written();
                let connection = self.stack.connection(id);
                connection.map(|connection| acknowledged(connection, written))
            }
            _ => None,
        };
        let socket = self.socket_at(place)?;
        match level {
            SOL_SOCKET => socket_level::set(socket, phase, acknowledged, (name, value))?,
            SOL_IP => ip_level::set_v4(socket, name, value)?,
            SOL_IPV6 => ip_level::set_v6(socket, name, value)?,
            SOL_TCP if socket.kind == Kind::Stream => {
                tcp_level::set(socket, phase, name, value)?;
            }
            _ => return Err(Errno::ENOPROTOOPT),
        }
        let (config, deferral) = (socket.options.config(), socket.options.defer_accept);
        let quick_ack = socket.options.quick_ack.take();
        // Asking for no delay sends what there is, corked or not, however often it was asked before.
        let pushes = (level, name) == (SOL_TCP, TCP_NODELAY) && !socket.options.connection.nagle;
        match state {
            State::Open(id) => {
                let _gone = self.stack.with_connection(now, id, |connection, cx| {
                    if **connection.config() != *config {
                        connection.set_config(cx, config);
                    }
                    if let Some(on) = quick_ack {
                        connection.set_quick_ack(on);
                    }
                    if pushes {
                        connection.push();
                    }
                });
            }
            State::Listening(id) if (level, name) == (SOL_TCP, TCP_DEFER_ACCEPT) => {
                let most = self
                    .stack
                    .listener(id)
                    .map_or(0, |listener| listener.limits().accept_queue_max);
                self.stack.set_listener_limits(id, most, deferral);
            }
            _ => {}
        }
        Ok(())
    }

    /// `getsockopt`.
    ///
    /// # Errors
    ///
    /// `EBADF`, `ENOTSOCK`, `ENOPROTOOPT` and `EOPNOTSUPP` for options that are not offered, `ENOTCONN` for those that only a
    /// connection has.
    pub fn option(&mut self, fd: Fd, level: i32, name: i32) -> Result<OptionValue, Errno> {
        let place = self.place_now(fd)?;
        let socket = self.socket_at(place)?;
        if (level, name) == (SOL_SOCKET, SO_ERROR)
            && socket.error.is_none()
            && let State::Open(id) = socket.state
            && let Some(errno) = self.take_soft_error(id)
        {
            return Ok(OptionValue::Int(errno.number()));
        }
        let socket = self.socket_at(place)?;
        if (level, name) == (SOL_SOCKET, SO_SNDBUF)
            && !socket.options.send_buffer_set
            && let State::Open(id) = socket.state
            && let Some(buffer) = self.grown_send_buffer(id)
        {
            return Ok(OptionValue::Int(buffer));
        }
        if (level, name) == (SOL_TCP, TCP_TIMESTAMP) && self.socket_at(place)?.kind == Kind::Stream
        {
            // What timestamps count from is nobody's matter: each connection has its own offset.
            let millis = self.now.as_millis() & 0x7fff_ffff;
            return Ok(OptionValue::Int(i32::try_from(millis).unwrap_or(0)));
        }
        let socket = self.socket_at(place)?;
        let asked_mss = socket.options.connection.mss_max.is_some();
        let (state, kind, ipv6) = (socket.state, socket.kind, socket.domain.is_ipv6());
        match level {
            SOL_SOCKET => socket_level::get(socket, name),
            SOL_TCP if kind == Kind::Stream => match self.connection_option(state, asked_mss, name)
            {
                Some(value) => Ok(value),
                None => tcp_level::get(self.socket_at(place)?, name),
            },
            SOL_IP if name == IP_MTU => self.path_mtu(state),
            SOL_IPV6 if ipv6 && name == IPV6_MTU => self.path_mtu(state),
            SOL_IP => ip_level::get_v4(socket, name),
            SOL_IPV6 if ipv6 => ip_level::get_v6(socket, name),
            _ if ipv6 => Err(Errno::ENOPROTOOPT),
            _ => Err(Errno::EOPNOTSUPP),
        }
    }

    /// What the send buffer of a connection has come to, once its peer is known.
    fn grown_send_buffer(&self, id: ConnectionId) -> Option<i32> {
        let connection = self.stack.connection(id)?;
        let known = !matches!(connection.phase(), Phase::SynSent | Phase::Closed);
        let octets = connection.info().snd_buffer;
        known.then(|| i32::try_from(octets).unwrap_or(i32::MAX))
    }

    /// `IP_MTU`: only a socket with a peer has a path.
    fn path_mtu(&self, state: State) -> Result<OptionValue, Errno> {
        let of_interface = || {
            let interface = self.stack.interface(self.interface);
            interface.map_or(0, |interface| u32::from(interface.mtu))
        };
        let mtu: u32 = match state {
            State::Open(id) => {
                let connection = self.stack.connection(id).ok_or(Errno::ENOTCONN)?;
                match u32::from(connection.info().pmtu) {
                    0 => of_interface(),
                    known => known,
                }
            }
            State::Udp(_, Some(_)) => of_interface(),
            State::Closed | State::Listening(_) | State::Udp(_, None) => {
                return Err(Errno::ENOTCONN);
            }
        };
        Ok(OptionValue::Int(i32::try_from(mtu).unwrap_or(i32::MAX)))
    }
}
