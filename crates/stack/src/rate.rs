//! A token bucket for answers that anyone can provoke: ICMP messages and resets to closed ports.

use crate::keyed::Random;
use core::time::Duration;
pub(crate) use handwave_tcp::RateLimit;

use handwave_tcp::Instant;

/// A bucket that fills at a steady rate.
///
/// What is left of a full bucket tells an off-path attacker how many answers others drew from it (the side channel of
/// CVE-2020-25705), so each refill after a quiet time leaves out a random few.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    limit: RateLimit,
    /// Billionths of a token.
    level: u64,
    filled_at: Instant,
    random: Random,
}

const TOKEN: u64 = 1_000_000_000;

impl TokenBucket {
    pub(crate) fn new(limit: RateLimit, now: Instant, random: Random) -> Self {
        let level = u64::from(limit.burst) * TOKEN;
        Self {
            limit,
            level,
            filled_at: now,
            random,
        }
    }

    /// Takes a token if there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        self.fill(now);
        if self.level < TOKEN {
            return false;
        }
        self.level -= TOKEN;
        true
    }

    fn fill(&mut self, now: Instant) {
        let full = u64::from(self.limit.burst) * TOKEN;
        let spent: Duration = now - self.filled_at;
        if spent.is_zero() {
            return;
        }
        self.filled_at = now;
        let nanos = u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX);
        let filled = self
            .level
            .saturating_add(nanos.saturating_mul(u64::from(self.limit.per_second)));
        // The few that a full bucket lacks: at most a quarter of it.
        let missing = u64::from(self.random.below(self.limit.burst.min(16) / 4 + 1)) * TOKEN;
        self.level = if filled >= full {
            self.level.max(full - missing)
        } else {
            filled
        };
    }
}

#[cfg(test)]
mod tests {
    use super::{RateLimit, TokenBucket};
    use crate::keyed::Random;
    use handwave_tcp::Instant;

    fn taken(bucket: &mut TokenBucket, now: Instant) -> usize {
        (0..1_000).filter(|_| bucket.take(now)).count()
    }

    #[test]
    fn gives_a_burst_and_then_the_rate() {
        let limit = RateLimit {
            per_second: 100,
            burst: 20,
        };
        let mut bucket = TokenBucket::new(limit, Instant::ZERO, Random::new(1));
        assert_eq!(taken(&mut bucket, Instant::ZERO), 20);
        assert_eq!(taken(&mut bucket, Instant::from_millis(50)), 5);
        let refilled = taken(&mut bucket, Instant::from_secs(60));
        assert!((15..=20).contains(&refilled), "{refilled} of a burst of 20");
    }

    #[test]
    fn what_is_left_of_a_full_bucket_varies() {
        let limit = RateLimit {
            per_second: 1_000,
            burst: 50,
        };
        let mut bucket = TokenBucket::new(limit, Instant::ZERO, Random::new(1));
        let counts: alloc::collections::BTreeSet<usize> = (1..50)
            .map(|second| taken(&mut bucket, Instant::from_secs(second)))
            .collect();
        assert!(counts.len() > 1, "always {counts:?}");
    }

    #[test]
    fn a_limit_of_zero_gives_nothing() {
        let mut bucket = TokenBucket::new(
            RateLimit {
                per_second: 0,
                burst: 0,
            },
            Instant::ZERO,
            Random::new(1),
        );
        assert!(!bucket.take(Instant::from_secs(100)));
    }
}
