//! How many a second, and how many at once.

use core::time::Duration;

use crate::time::Instant;

/// A sustained rate and a burst.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RateLimit {
    /// Sustained rate.
    pub per_second: u32,
    /// How many may come at once after a quiet time.
    pub burst: u32,
}

/// A token bucket in eight octets: the moment at which it is full again (the generic cell rate algorithm).
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Bucket(Instant);

impl Bucket {
    /// Takes a token if there is one.
    pub(crate) fn take(&mut self, limit: &RateLimit, now: Instant) -> bool {
        if limit.per_second == 0 {
            return false;
        }
        let token = Duration::from_secs(1) / limit.per_second;
        let full_at = self.0.max(now) + token;
        if full_at - now > token.saturating_mul(limit.burst) {
            return false;
        }
        self.0 = full_at;
        true
    }

    /// Whether [`take`](Self::take) would give one.
    pub(crate) fn has(&self, limit: &RateLimit, now: Instant) -> bool {
        let mut copy = *self;
        copy.take(limit, now)
    }

    /// Whether it is full, so that forgetting it would change nothing.
    pub(crate) fn is_full(&self, now: Instant) -> bool {
        self.0 <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_a_burst_and_then_the_rate() {
        let limit = RateLimit {
            per_second: 100,
            burst: 20,
        };
        let mut bucket = Bucket::default();
        let mut taken = |millis| {
            let now = Instant::from_millis(millis);
            (0..1_000).filter(|_| bucket.take(&limit, now)).count()
        };
        assert_eq!((taken(0), taken(50), taken(60_000)), (20, 5, 20));
        assert!(!bucket.is_full(Instant::from_millis(60_199)));
        assert!(bucket.is_full(Instant::from_millis(60_200)));
    }

    #[test]
    fn a_limit_of_zero_gives_nothing() {
        let (mut bucket, now) = (Bucket::default(), Instant::from_secs(9));
        for (per_second, burst) in [(0, 10), (10, 0)] {
            assert!(!bucket.take(&RateLimit { per_second, burst }, now));
        }
    }
}
