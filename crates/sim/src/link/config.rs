//! What a link does to its packets.

use core::fmt;
use core::time::Duration;

/// The conditions on a [`Link`](crate::Link). The default is a perfect one: no delay, no loss, no limit.
///
/// Probabilities are per packet, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkConfig {
    /// From the last octet sent to arrival.
    pub delay: Duration,
    /// Added to the delay, evenly from zero to this, without changing the order.
    pub jitter: Duration,
    /// Which packets vanish.
    pub loss: Loss,
    /// How likely a packet arrives a second time.
    pub duplicate: f64,
    /// How likely a packet is held back so that later ones overtake it.
    pub reorder: f64,
    /// How long such a packet is held back.
    pub reorder_delay: Duration,
    /// How likely a packet arrives with some bits flipped, in a way that the Internet checksum always notices.
    pub corrupt: f64,
    /// How fast octets leave the queue; unlimited if absent.
    pub rate_bytes_per_second: Option<u64>,
    /// Octets that may wait in front of the wire (matters only with a rate).
    pub queue_limit: usize,
    /// The largest IP packet carried, in octets.
    pub mtu: usize,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: Loss::None,
            duplicate: 0.0,
            reorder: 0.0,
            reorder_delay: Duration::ZERO,
            corrupt: 0.0,
            rate_bytes_per_second: None,
            queue_limit: usize::MAX,
            mtu: 65_535,
        }
    }
}

impl LinkConfig {
    /// The same path without its faults: delay, jitter, rate, queue and MTU stay.
    #[must_use]
    pub const fn without_faults(self) -> Self {
        Self {
            loss: Loss::None,
            duplicate: 0.0,
            reorder: 0.0,
            corrupt: 0.0,
            ..self
        }
    }
}

/// Which packets vanish.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Loss {
    /// None.
    #[default]
    None,
    /// Each with this probability, independently.
    Random(f64),
    /// In bursts: the chain of Gilbert and Elliott, which walks between a good and a bad state.
    Bursts {
        /// How likely a packet starts a burst.
        enter: f64,
        /// How likely a packet in a burst ends it.
        leave: f64,
        /// Loss in a burst.
        loss_inside: f64,
        /// Loss outside bursts.
        loss_outside: f64,
    },
}

impl Loss {
    /// The share of packets lost in the long run.
    #[must_use]
    pub fn average(&self) -> f64 {
        match *self {
            Self::None => 0.0,
            Self::Random(probability) => probability,
            Self::Bursts {
                enter,
                leave,
                loss_inside,
                loss_outside,
            } => {
                let total = enter + leave;
                let inside = if total > 0.0 { enter / total } else { 0.0 };
                inside * loss_inside + (1.0 - inside) * loss_outside
            }
        }
    }
}

impl fmt::Display for LinkConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "delay {:?} + {:?}, {}",
            self.delay, self.jitter, self.loss
        )?;
        write!(
            f,
            ", duplicate {:.3}, corrupt {:.3}",
            self.duplicate, self.corrupt
        )?;
        write!(
            f,
            ", reorder {:.3} by {:?}",
            self.reorder, self.reorder_delay
        )?;
        if let Some(rate) = self.rate_bytes_per_second {
            write!(
                f,
                ", {rate} octets/s behind a queue of {}",
                self.queue_limit
            )?;
        }
        write!(f, ", MTU {}", self.mtu)
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("no loss"),
            Self::Random(probability) => write!(f, "loss {probability:.3}"),
            Self::Bursts { .. } => write!(f, "loss {:.3} in bursts", self.average()),
        }
    }
}
