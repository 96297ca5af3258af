//! The defences, and what each sets.

use clap::ValueEnum;
use handwave_stack::ListenerConfig;
use handwave_tcp::{Limits, RateLimit, SynCookies, Unverified};

/// A defence against a SYN flood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Defence {
    /// A SYN queue of 1,024 and five retries of each SYN+ACK
    Nothing,
    /// A SYN queue of 16,384
    BiggerQueue,
    /// One retry of a SYN+ACK instead of five
    FewerRetries,
    /// No more than 10 SYNs a second from one /24
    SourceLimits,
    /// SYN cookies as soon as the queue is full: the library's default
    Cookies,
    /// Two servers behind a balancer, each with a queue of 1,024
    TwoNodes,
    /// Two servers that share their cookie keys, so that either completes what the other began, with limits and short patience
    All,
}

impl Defence {
    /// The name on the command line and in JSON.
    pub(crate) fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// How many servers stand behind the address.
    pub(crate) const fn nodes(self) -> usize {
        match self {
            Self::TwoNodes | Self::All => 2,
            _ => 1,
        }
    }

    /// Whether SYNs are routed apart from what follows them, so that nodes complete each other's handshakes.
    pub(crate) fn syns_apart(self) -> bool {
        self == Self::All
    }

    /// How its listeners are configured.
    pub(crate) fn listener(self) -> ListenerConfig {
        let plain = ListenerConfig {
            syn_queue_max: 1_024,
            accept_queue_max: 4_096,
            cookies: SynCookies::Off,
            ..ListenerConfig::default()
        };
        let limits = |unverified| Limits {
            prefix_v4: 24,
            syn_rate: Some(RateLimit {
                per_second: 10,
                burst: 20,
            }),
            unverified,
            ..Limits::default()
        };
        match self {
            Self::Nothing | Self::TwoNodes => plain,
            Self::BiggerQueue => ListenerConfig {
                syn_queue_max: 16_384,
                ..plain
            },
            Self::FewerRetries => ListenerConfig {
                synack_retries: 1,
                ..plain
            },
            Self::SourceLimits => ListenerConfig {
                limits: limits(Unverified::Refuse),
                ..plain
            },
            Self::Cookies => ListenerConfig {
                cookies: SynCookies::OnOverflow,
                ..plain
            },
            Self::All => ListenerConfig {
                synack_retries: 1,
                limits: limits(Unverified::Cookie),
                cookies: SynCookies::Always,
                ..plain
            },
        }
    }
}
