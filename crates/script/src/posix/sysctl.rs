//! Linux's names for settings: `net.ipv4.tcp_*`, `net.core.*`, and what each sets.

use super::Settings;
use handwave_tcp::congestion::Algorithm;
use handwave_tcp::{BufferSize, Profile};
use std::fmt;
use std::time::Duration;

/// Why a setting was not taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SysctlError {
    /// No setting of this name is known.
    Unknown(String),
    /// The value does not fit; says what was expected.
    BadValue {
        /// The setting.
        name: String,
        /// The value given.
        value: String,
        /// What it should have been.
        expected: &'static str,
    },
}

impl fmt::Display for SysctlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(f, "no setting {name:?} is known"),
            Self::BadValue {
                name,
                value,
                expected,
            } => write!(f, "{name}={value}: expected {expected}"),
        }
    }
}

impl std::error::Error for SysctlError {}

/// Takes a value; names what was expected if it does not fit.
type Setter = fn(&mut Settings, &str) -> Result<(), &'static str>;

/// Every name, without the part before the last dot.
const TABLE: &[(&str, Setter)] = &[
    ("tcp_timestamps", |to, v| {
        flag(v, &mut to.connection.timestamps)
    }),
    ("tcp_sack", |to, v| flag(v, &mut to.connection.sack)),
    ("tcp_window_scaling", |to, v| {
        flag(v, &mut to.connection.window_scaling)
    }),
    ("tcp_rmem", |to, v| {
        let [_, initial, most] = triple(v)?;
        to.connection.receive_buffer = BufferSize::growing(initial, most);
        to.connection.window_scale_for = Some(most.max(to.receive_buffer_max));
        Ok(())
    }),
    ("tcp_wmem", |to, v| {
        let [_, _, most] = triple(v)?;
        // What comes before the handshake is of no account: the first congestion window gives more than tcp_wmem[1].
        to.connection.send_buffer = BufferSize {
            max: most,
            ..Profile::linux().connection.send_buffer
        }
        .at_most(most);
        Ok(())
    }),
    ("tcp_syn_retries", |to, v| {
        to.connection.syn_retries = Some(number(v)?);
        Ok(())
    }),
    ("tcp_syn_linear_timeouts", |to, v| {
        to.connection.syn_linear_timeouts = number(v)?;
        Ok(())
    }),
    ("tcp_synack_retries", |to, v| {
        to.listener.synack_retries = number(v)?;
        Ok(())
    }),
    ("tcp_retries1", |to, v| {
        to.connection.r1 = number(v)?;
        Ok(())
    }),
    ("tcp_retries2", |to, v| {
        to.connection.r2 = retries(number(v)?, to.connection.rto_max);
        Ok(())
    }),
    ("tcp_orphan_retries", |to, v| {
        let retries: u8 = number(v)?;
        // None stands for Linux's own choice.
        to.connection.orphan_retries = if retries == 0 { 8 } else { retries };
        Ok(())
    }),
    ("tcp_fin_timeout", |to, v| {
        to.connection.fin_wait2_timeout = Duration::from_secs(number(v)?);
        Ok(())
    }),
    ("tcp_keepalive_time", |to, v| {
        to.keepalive.idle = Duration::from_secs(number(v)?);
        Ok(())
    }),
    ("tcp_keepalive_intvl", |to, v| {
        to.keepalive.interval = Duration::from_secs(number(v)?);
        Ok(())
    }),
    ("tcp_keepalive_probes", |to, v| {
        to.keepalive.probes = number(v)?;
        Ok(())
    }),
    ("tcp_rto_min_us", |to, v| {
        to.connection.rto_min = Duration::from_micros(number(v)?);
        Ok(())
    }),
    ("tcp_rto_max_ms", |to, v| {
        to.connection.rto_max = Duration::from_millis(number(v)?);
        to.connection.persist_max = to.connection.rto_max;
        Ok(())
    }),
    ("tcp_rfc1337", |to, v| {
        flag(v, &mut to.connection.time_wait_ignores_rst)
    }),
    ("tcp_abort_on_overflow", |to, v| {
        flag(v, &mut to.listener.reset_on_overflow)
    }),
    ("tcp_max_syn_backlog", |to, v| {
        to.listener.syn_queue_max = number(v)?;
        Ok(())
    }),
    ("tcp_slow_start_after_idle", |to, v| {
        flag(v, &mut to.connection.restart_after_idle)
    }),
    ("tcp_early_retrans", |to, v| {
        let mode: u8 = number(v)?;
        to.connection.tail_loss_probe = mode >= 3;
        Ok(())
    }),
    ("tcp_congestion_control", |to, v| {
        to.connection.congestion = Algorithm::parse(v).ok_or("a congestion control")?;
        Ok(())
    }),
    ("tcp_notsent_lowat", |to, v| {
        to.notsent_low_water = number(v)?;
        Ok(())
    }),
    ("tcp_invalid_ratelimit", |to, v| {
        to.connection.challenge_interval = Duration::from_millis(number(v)?);
        Ok(())
    }),
    ("somaxconn", |to, v| {
        to.backlog_max = number(v)?;
        Ok(())
    }),
    ("rmem_max", |to, v| {
        to.receive_buffer_max = number(v)?;
        Ok(())
    }),
    ("wmem_max", |to, v| {
        to.send_buffer_max = number(v)?;
        Ok(())
    }),
    ("ip_default_ttl", |to, v| {
        to.connection.hop_limit = number(v)?;
        Ok(())
    }),
];

/// Settings of Linux that change nothing that a stack of this kind has, or whose usual value is what happens here anyway.
const WITHOUT_EFFECT: &[&str] = &[
    "tcp_autocorking",
    "tcp_available_congestion_control",
    "tcp_allowed_congestion_control",
    "tcp_mem",
    "tcp_moderate_rcvbuf",
    "tcp_no_metrics_save",
    "tcp_min_tso_segs",
    "tcp_tso_win_divisor",
    "tcp_pacing_ss_ratio",
    "tcp_pacing_ca_ratio",
    "tcp_limit_output_bytes",
    "tcp_challenge_ack_limit",
    "tcp_tw_reuse",
    "tcp_max_tw_buckets",
    "tcp_max_orphans",
    "tcp_adv_win_scale",
    "tcp_app_win",
    "tcp_stdurg",
    "tcp_retrans_collapse",
    "tcp_dsack",
    "tcp_min_snd_mss",
    "tcp_base_mss",
    "tcp_mtu_probing",
    "tcp_probe_interval",
    "tcp_probe_threshold",
    "tcp_workaround_signed_windows",
    "optmem_max",
    "netdev_max_backlog",
    "route.flush",
];

impl Settings {
    /// Sets what Linux calls `name`, such as `net.ipv4.tcp_syn_retries`; sockets opened later begin with it.
    ///
    /// The part before the last dot or slash may be left out. Returns whether the setting has an effect here: some of Linux's change
    /// nothing that this stack has.
    ///
    /// # Errors
    ///
    /// [`SysctlError`] for names that are not known and values that do not fit; nothing is changed then.
    ///
    /// ```
    /// use handwave_script::posix::Settings;
    /// use handwave_tcp::Profile;
    ///
    /// let mut settings = Settings::new(Profile::linux());
    /// settings.sysctl("net.ipv4.tcp_timestamps", "0")?;
    /// settings.sysctl("net.ipv4.tcp_rmem", "4096 131072 6291456")?;
    /// assert!(!settings.connection.timestamps);
    /// assert!(settings.sysctl("net.ipv4.tcp_telepathy", "1").is_err());
    /// # Ok::<(), handwave_script::posix::SysctlError>(())
    /// ```
    pub fn sysctl(&mut self, name: &str, value: &str) -> Result<bool, SysctlError> {
        let short = name.trim().rsplit(['.', '/']).next().unwrap_or_default();
        let value = value.trim();
        let known = TABLE.iter().find(|(known, _)| *known == short);
        if let Some((_, set)) = known {
            return match set(self, value) {
                Ok(()) => Ok(true),
                Err(expected) => Err(SysctlError::BadValue {
                    name: name.to_owned(),
                    value: value.to_owned(),
                    expected,
                }),
            };
        }
        if WITHOUT_EFFECT.contains(&short) {
            return Ok(false);
        }
        Err(SysctlError::Unknown(name.to_owned()))
    }
}

fn number<T: std::str::FromStr>(value: &str) -> Result<T, &'static str> {
    value.parse().map_err(|_| "a number in range")
}

fn flag(value: &str, to: &mut bool) -> Result<(), &'static str> {
    let number: u32 = number(value)?;
    *to = number != 0;
    Ok(())
}

fn triple(value: &str) -> Result<[u32; 3], &'static str> {
    let numbers: Vec<u32> = value
        .split([' ', '\t', ','])
        .filter(|part| !part.is_empty())
        .filter_map(|part| part.parse().ok())
        .collect();
    numbers
        .try_into()
        .map_err(|_| "three numbers: least, initial, most")
}

/// How long so many retries take at the least RTO, doubling up to the largest.
fn retries(count: u8, rto_max: Duration) -> Duration {
    let mut rto = Duration::from_millis(200);
    let mut sum = Duration::ZERO;
    for _ in 0..=count {
        sum += rto;
        rto = (rto * 2).min(rto_max);
    }
    sum
}
