//! What a server does against floods: each of a listener's defences, by name.

use clap::ValueEnum;
use handwave::ListenerConfig;
use handwave_tcp::{RateLimit, Refusal, SourcePrefix, SynCookies};

/// How the listeners defend themselves.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Under attack (for each listener)")]
pub(crate) struct DefenceArgs {
    /// When SYNs are answered with cookies, which take no memory, instead of half-open records: off, overflow (of the SYN queue) or always [default: overflow]
    #[arg(long, value_enum, value_name = "WHEN", hide_possible_values = true)]
    syn_cookies: Option<Cookies>,
    /// Half-open connections, whose SYN+ACK is not acknowledged yet [default: 1024]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(..=1 << 24))]
    syn_backlog: Option<u32>,
    /// How often a SYN+ACK is sent again before the half-open connection is forgotten [default: 5]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8))]
    synack_retries: Option<u8>,
    /// SYNs a second of one source before it is answered with cookies: an IPv4 address, or an IPv6 /64
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    syn_rate: Option<u32>,
    /// Half-open connections of one source before it is answered with cookies
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    half_open_per_source: Option<u32>,
    /// Connections of one source before more are refused
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    connections_per_source: Option<u32>,
    /// Sources that no limit holds for, such as 10.0.0.0/8; repeatable, and the longest prefix of --allow and --deny decides
    #[arg(long, value_name = "CIDR")]
    allow: Vec<SourcePrefix>,
    /// Sources that are refused; repeatable
    #[arg(long, value_name = "CIDR")]
    deny: Vec<SourcePrefix>,
    /// Refuse with a RST instead of silence
    #[arg(long)]
    refuse_with_reset: bool,
}

/// When there are cookies.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Cookies {
    Off,
    Overflow,
    Always,
}

impl DefenceArgs {
    /// Puts what was asked for into the settings of listeners.
    pub(crate) fn apply(&self, listener: &mut ListenerConfig) {
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        match self.syn_cookies {
            Some(Cookies::Off) => listener.cookies = SynCookies::Off,
            Some(Cookies::Overflow) => listener.cookies = SynCookies::OnOverflow,
            Some(Cookies::Always) => listener.cookies = SynCookies::Always,
            None => {}
        }
        if let Some(number) = self.syn_backlog {
            listener.syn_queue_max = count(number);
        }
        if let Some(number) = self.synack_retries {
            listener.synack_retries = number;
        }
        let limits = &mut listener.limits;
        limits.syn_rate = self.syn_rate.map(|per_second| RateLimit {
            per_second,
            burst: per_second.saturating_mul(2),
        });
        limits.half_open_max = self.half_open_per_source;
        limits.established_max = self.connections_per_source;
        limits.allow.clone_from(&self.allow);
        limits.deny.clone_from(&self.deny);
        if self.refuse_with_reset {
            limits.refusal = Refusal::Reset;
        }
    }
}
