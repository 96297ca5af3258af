//! The switches that say what a path does to packets, and the link they describe.

use std::time::Duration;

use handwave_sim::{LinkConfig, Loss};

use crate::units;

/// What happens to packets on their way, in each direction.
#[derive(clap::Args, Debug)]
pub(crate) struct PathArgs {
    /// Lose packets, such as 2%
    #[arg(long, value_name = "PERCENT", value_parser = units::percent, default_value = "0%")]
    pub(crate) loss: f64,
    /// Time from one end to the other, such as 20ms
    #[arg(long, value_name = "TIME", value_parser = units::time, default_value = "20ms")]
    pub(crate) delay: Duration,
    /// Vary the delay by up to so much, without changing the order
    #[arg(long, value_name = "TIME", value_parser = units::time, default_value = "0ms")]
    pub(crate) jitter: Duration,
    /// Limit the rate, such as 10mbit, with a queue of 100 ms in front [default: no limit]
    #[arg(long, value_name = "RATE", value_parser = units::rate)]
    pub(crate) rate: Option<u64>,
    /// Hold packets back so that later ones overtake them
    #[arg(long, value_name = "PERCENT", value_parser = units::percent, default_value = "0%")]
    pub(crate) reorder: f64,
    /// Deliver packets twice
    #[arg(long, value_name = "PERCENT", value_parser = units::percent, default_value = "0%")]
    pub(crate) duplicate: f64,
    /// Flip bits in packets
    #[arg(long, value_name = "PERCENT", value_parser = units::percent, default_value = "0%")]
    pub(crate) corrupt: f64,
}

impl PathArgs {
    /// The link of this path, for packets of up to `mtu` octets. `queue` is how many octets may wait where there is a rate.
    pub(crate) fn link(&self, mtu: u16, queue: Option<usize>) -> LinkConfig {
        LinkConfig {
            delay: self.delay,
            jitter: self.jitter,
            loss: if self.loss > 0.0 {
                Loss::Random(self.loss)
            } else {
                Loss::None
            },
            duplicate: self.duplicate,
            reorder: self.reorder,
            // Long enough for the packets of a window to overtake, short enough to beat a timeout.
            reorder_delay: (self.delay / 2).max(Duration::from_millis(1)),
            corrupt: self.corrupt,
            rate_bytes_per_second: self.rate,
            queue_limit: queue
                .or_else(|| self.rate.map(queue_of))
                .unwrap_or(usize::MAX),
            mtu: usize::from(mtu),
        }
    }
}

/// 100 ms, but room for the largest packet.
fn queue_of(rate: u64) -> usize {
    const QUEUE_MIN: usize = 64 * 1024;
    usize::try_from(rate / 10)
        .unwrap_or(usize::MAX)
        .max(QUEUE_MIN)
}
