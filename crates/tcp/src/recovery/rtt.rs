//! The round-trip time estimator and the retransmission timeout it yields (RFC 6298).

use core::time::Duration;

/// The clock granularity `G` of RFC 6298: the variance term of the RTO is never below it [RFC6298-8].
///
/// Timestamps echo milliseconds and the timer wheel turns in milliseconds, so nothing finer is promised.
pub const CLOCK_GRANULARITY: Duration = Duration::from_millis(1);

/// The RTO that data starts with after a lost SYN (RFC 6298 5.7).
pub const RTO_AFTER_LOST_SYN: Duration = Duration::from_secs(3);

/// The bounds of the retransmission timeout.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RttConfig {
    /// The RTO until the first measurement (RFC 6298 2.1: one second).
    pub initial_rto: Duration,
    /// The least RTO (RFC 6298 2.4 recommends one second; Linux uses 200 ms).
    pub min_rto: Duration,
    /// The largest RTO, backoff included (RFC 6298 2.5: at least 60 seconds).
    pub max_rto: Duration,
    /// How the variation enters the RTO.
    pub variation: RttVariation,
}

/// How the variation of the round-trip time enters the RTO.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum RttVariation {
    /// Four times `RTTVAR`, smoothed over all measurements; the RTO itself is bounded below (RFC 6298).
    #[default]
    Smoothed,
    /// The largest deviation of each round trip, raised at once and lowered by a quarter for each round trip, never below the least
    /// RTO: so `RTO = SRTT + max(200 ms, ..)`, as Linux computes it.
    Windowed,
}

impl Default for RttConfig {
    fn default() -> Self {
        Self {
            initial_rto: Duration::from_secs(1),
            min_rto: Duration::from_secs(1),
            max_rto: Duration::from_secs(60),
            variation: RttVariation::Smoothed,
        }
    }
}

/// Smoothed round-trip time, its variation and the retransmission timeout (RFC 6298).
///
/// The caller obeys Karn's rule: no sample from a segment that was retransmitted, unless a timestamp echo says which
/// transmission was acknowledged. Bounds are kept in whole microseconds, and no span above 71 minutes is told apart.
///
/// ```
/// use core::time::Duration;
/// use handwave_tcp::recovery::{RttConfig, RttEstimator};
///
/// let mut rtt = RttEstimator::new(RttConfig::default());
/// assert_eq!(rtt.rto(), Duration::from_secs(1));
/// rtt.on_sample(Duration::from_millis(600));
/// // SRTT + 4 * RTTVAR = 600 + 4 * 300
/// assert_eq!(rtt.rto(), Duration::from_millis(1_800));
/// rtt.back_off();
/// assert_eq!(rtt.rto(), Duration::from_millis(3_600));
/// ```
#[derive(Clone, Debug)]
pub struct RttEstimator {
    /// `SRTT`, a fixed-point count of microseconds with [`FRACTION_BITS`] below the point.
    srtt: u64,
    /// `RTTVAR`, in the same unit.
    rttvar: u64,
    /// Smallest sample, microseconds; [`NO_SAMPLE`] until there is one.
    min_rtt: u32,
    initial_rto: u32,
    min_rto: u32,
    max_rto: u32,
    variation: RttVariation,
    /// The largest deviation in this round trip and the variation that counts, microseconds; [`RttVariation::Windowed`] only.
    round_max: u32,
    windowed: u32,
    /// How many times the RTO has been doubled since the last measurement.
    backoff: u8,
    /// A SYN was retransmitted: data starts with [`RTO_AFTER_LOST_SYN`].
    syn_lost: bool,
}

/// Enough for a gain of 1/8 spread over thousands of samples per round trip to keep moving by single microseconds.
const FRACTION_BITS: u32 = 20;
const NO_SAMPLE: u32 = u32::MAX;

impl RttEstimator {
    /// A number that says nothing: what it is made of is near afterwards.
    pub(crate) const fn glance(&self) -> u64 {
        self.srtt.wrapping_add(self.rttvar)
    }

    /// Starts without a measurement.
    #[must_use]
    pub fn new(config: RttConfig) -> Self {
        Self {
            srtt: 0,
            rttvar: 0,
            min_rtt: NO_SAMPLE,
            initial_rto: micros(config.initial_rto.max(CLOCK_GRANULARITY)),
            min_rto: micros(config.min_rto),
            max_rto: micros(config.max_rto.max(CLOCK_GRANULARITY)),
            variation: config.variation,
            round_max: 0,
            windowed: 0,
            backoff: 0,
            syn_lost: false,
        }
    }

    /// Takes one measurement and ends the backoff (RFC 6298 2.2 and 2.3) [RFC6298-2] [RFC6298-3].
    ///
    /// For a sender that measures about once per round trip. One that measures with each ACK calls
    /// [`on_sample_among`](Self::on_sample_among).
    pub fn on_sample(&mut self, rtt: Duration) {
        if self.variation == RttVariation::Windowed {
            return self.on_sample_in_round(rtt, false);
        }
        self.on_sample_among(rtt, 1);
    }

    /// Takes one of about `samples_per_rtt` measurements in this round trip (RFC 7323 appendix G) [RFC7323-19].
    ///
    /// With timestamps each ACK is a measurement. The gains of RFC 6298 are meant for one per round trip, so each is
    /// weighted down to keep the length of the memory. The expected number is `ceil(FlightSize / (2 * SMSS))`.
    pub fn on_sample_among(&mut self, rtt: Duration, samples_per_rtt: u32) {
        let sample_micros = micros(rtt).min(NO_SAMPLE - 1);
        let sample = u64::from(sample_micros) << FRACTION_BITS;
        if self.min_rtt == NO_SAMPLE {
            self.srtt = sample;
            self.rttvar = sample / 2;
        } else {
            let samples = u64::from(samples_per_rtt.max(1));
            // RTTVAR first: its update uses the SRTT from before this measurement.
            self.rttvar = approach(self.rttvar, self.srtt.abs_diff(sample), 4 * samples);
            self.srtt = approach(self.srtt, sample, 8 * samples);
        }
        self.min_rtt = self.min_rtt.min(sample_micros);
        self.backoff = 0;
    }

    /// Takes one measurement for [`RttVariation::Windowed`]; `round_over` when it is the first of a round trip.
    pub fn on_sample_in_round(&mut self, rtt: Duration, round_over: bool) {
        let sample = micros(rtt).clamp(1, NO_SAMPLE - 1);
        let first = self.min_rtt == NO_SAMPLE;
        self.min_rtt = self.min_rtt.min(sample);
        self.backoff = 0;
        if first {
            self.srtt = u64::from(sample) << FRACTION_BITS;
            self.rttvar = self.srtt / 2;
            self.windowed = self.min_rto.max(sample.saturating_mul(2));
            self.round_max = self.windowed;
            return;
        }
        let deviation = i64::from(sample) - whole_micros(self.srtt);
        self.srtt = self
            .srtt
            .saturating_add_signed((deviation << FRACTION_BITS) / 8)
            .max(1 << FRACTION_BITS);
        let mut excess = deviation.abs() - whole_micros(self.rttvar);
        if deviation < 0 && excess > 0 {
            // A round trip that has become shorter says little about variation.
            excess >>= 3;
        }
        self.rttvar = self
            .rttvar
            .saturating_add_signed((excess << FRACTION_BITS) / 4);
        let spread = u32::try_from((self.rttvar * 4) >> FRACTION_BITS).unwrap_or(u32::MAX);
        self.round_max = self.round_max.max(spread);
        self.windowed = self.windowed.max(self.round_max);
        if round_over {
            self.windowed -= self.windowed.saturating_sub(self.round_max) / 4;
            self.round_max = self.min_rto;
        }
    }

    /// The retransmission timeout, backoff applied, within the configured bounds.
    #[must_use]
    pub fn rto(&self) -> Duration {
        let max = u64::from(self.max_rto);
        let backed_off = self.base_rto() << self.backoff.min(31);
        Duration::from_micros(backed_off.min(max))
    }

    /// `SRTT + max(G, 4 * RTTVAR)`, at least the minimum; the initial RTO without a measurement. Microseconds.
    fn base_rto(&self) -> u64 {
        if self.min_rtt == NO_SAMPLE {
            return u64::from(self.initial_rto);
        }
        if self.variation == RttVariation::Windowed {
            return (self.srtt >> FRACTION_BITS) + u64::from(self.windowed);
        }
        let variance = (self.rttvar * 4) >> FRACTION_BITS;
        let granularity = u64::from(micros(CLOCK_GRANULARITY));
        let rto = (self.srtt >> FRACTION_BITS) + variance.max(granularity);
        rto.max(u64::from(self.min_rto)).min(u64::from(u32::MAX))
    }

    /// Doubles the RTO because the timer fired (RFC 6298 5.5).
    pub fn back_off(&mut self) {
        self.backoff = self.backoff.saturating_add(1);
    }

    /// Takes back one doubling; returns whether there was one.
    pub fn undo_backoff(&mut self) -> bool {
        let was = self.backoff;
        self.backoff = was.saturating_sub(1);
        was > 0
    }

    /// How many times the RTO has been doubled.
    #[must_use]
    pub fn backoff(&self) -> u8 {
        self.backoff
    }

    /// Ends the backoff without a measurement: the peer acknowledged something new.
    ///
    /// The handshake calls it as well when it completes; that is where a lost SYN takes effect
    /// ([`on_syn_retransmitted`](Self::on_syn_retransmitted)).
    pub fn reset_backoff(&mut self) {
        self.backoff = 0;
        self.apply_lost_syn();
    }

    /// Notes that the timer fired waiting for the ACK of a SYN (RFC 6298 5.7) [RFC6298-16].
    ///
    /// Call it after [`back_off`](Self::back_off) when the SYN is sent again, or once when the handshake has completed.
    /// The SYN itself keeps backing off from the initial RTO; from the next [`reset_backoff`](Self::reset_backoff) on,
    /// data uses three seconds until there is a measurement.
    pub fn on_syn_retransmitted(&mut self) {
        self.syn_lost = self.min_rtt == NO_SAMPLE;
        if self.backoff == 0 {
            self.apply_lost_syn();
        }
    }

    fn apply_lost_syn(&mut self) {
        if self.syn_lost {
            self.initial_rto = self.initial_rto.max(micros(RTO_AFTER_LOST_SYN));
            self.syn_lost = false;
        }
    }

    /// The smoothed round-trip time, `SRTT`; `None` before the first measurement.
    #[must_use]
    pub fn srtt(&self) -> Option<Duration> {
        self.measured(self.srtt)
    }

    /// The round-trip time variation, `RTTVAR`; `None` before the first measurement.
    #[must_use]
    pub fn rttvar(&self) -> Option<Duration> {
        self.measured(self.rttvar)
    }

    /// The smallest measurement; `None` before the first.
    #[must_use]
    pub fn min_rtt(&self) -> Option<Duration> {
        (self.min_rtt != NO_SAMPLE).then(|| Duration::from_micros(u64::from(self.min_rtt)))
    }

    fn measured(&self, fixed_point: u64) -> Option<Duration> {
        (self.min_rtt != NO_SAMPLE).then(|| Duration::from_micros(fixed_point >> FRACTION_BITS))
    }
}

/// A fixed-point count of microseconds without what is below the point.
fn whole_micros(fixed_point: u64) -> i64 {
    i64::try_from(fixed_point >> FRACTION_BITS).unwrap_or(i64::MAX)
}

/// Moves `from` towards `to` by one `divisor`-th of the distance.
fn approach(from: u64, to: u64, divisor: u64) -> u64 {
    let step = from.abs_diff(to) / divisor;
    if to >= from { from + step } else { from - step }
}

/// Whole microseconds, at most `u32::MAX`.
fn micros(span: Duration) -> u32 {
    u32::try_from(span.as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::{RTO_AFTER_LOST_SYN, RttConfig, RttEstimator};
    use core::time::Duration;
    use proptest::prelude::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn fine() -> RttConfig {
        RttConfig {
            min_rto: ms(0),
            ..RttConfig::default()
        }
    }

    #[test]
    fn is_small() {
        assert!(size_of::<RttEstimator>() <= 48);
    }

    #[test]
    fn rfc6298_2_1_starts_at_the_initial_rto() {
        // [RFC6298-1]
        let mut rtt = RttEstimator::new(RttConfig::default());
        assert_eq!(
            (rtt.srtt(), rtt.rttvar(), rtt.min_rtt()),
            (None, None, None)
        );
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(rtt.rto(), Duration::from_secs(seconds));
            rtt.back_off();
        }
    }

    #[test]
    fn rfc6298_2_5_the_maximum_bounds_any_backoff() {
        // [RFC6298-5]
        let mut rtt = RttEstimator::new(RttConfig::default());
        rtt.on_sample(Duration::from_secs(u64::MAX));
        for _ in 0..300 {
            rtt.back_off();
            assert_eq!(rtt.rto(), Duration::from_secs(60));
        }
        assert_eq!(rtt.backoff(), u8::MAX);
    }

    #[test]
    fn rfc6298_2_2_and_2_3_follow_the_arithmetic() {
        // [RFC6298-2] [RFC6298-3]
        let mut rtt = RttEstimator::new(fine());
        // sample, SRTT, RTTVAR, RTO in microseconds, worked by hand
        let table = [
            (100_000, 100_000, 50_000, 300_000),
            (100_000, 100_000, 37_500, 250_000),
            (180_000, 110_000, 48_125, 302_500),
            (30_000, 100_000, 56_093, 324_375),
        ];
        for (sample, srtt, rttvar, rto) in table {
            rtt.on_sample(Duration::from_micros(sample));
            assert_eq!(rtt.srtt(), Some(Duration::from_micros(srtt)));
            assert_eq!(rtt.rttvar(), Some(Duration::from_micros(rttvar)));
            assert_eq!(rtt.rto(), Duration::from_micros(rto));
        }
        assert_eq!(rtt.min_rtt(), Some(ms(30)));
    }

    #[test]
    fn rfc6298_2_4_rounds_up_to_the_minimum() {
        // [RFC6298-4]
        let mut rtt = RttEstimator::new(RttConfig::default());
        rtt.on_sample(ms(10));
        assert_eq!(rtt.rto(), Duration::from_secs(1));
    }

    #[test]
    fn rfc6298_4_variance_term_is_at_least_the_granularity() {
        // [RFC6298-8]
        let mut rtt = RttEstimator::new(fine());
        for _ in 0..200 {
            rtt.on_sample(ms(100));
        }
        assert_eq!(rtt.rto(), ms(101));
    }

    #[test]
    fn rfc6298_5_a_sample_collapses_the_backoff() {
        let mut rtt = RttEstimator::new(fine());
        rtt.on_sample(ms(100));
        rtt.back_off();
        rtt.back_off();
        assert_eq!((rtt.backoff(), rtt.rto()), (2, ms(1_200)));
        rtt.on_sample(ms(100));
        assert_eq!((rtt.backoff(), rtt.rto()), (0, ms(250)));
    }

    #[test]
    fn rfc6298_5_7_data_after_a_lost_syn_starts_at_three_seconds() {
        // [RFC6298-16]
        let mut rtt = RttEstimator::new(RttConfig::default());
        rtt.back_off();
        rtt.on_syn_retransmitted();
        assert_eq!(
            rtt.rto(),
            Duration::from_secs(2),
            "the SYN keeps its own schedule"
        );
        rtt.reset_backoff();
        assert_eq!(rtt.rto(), RTO_AFTER_LOST_SYN);
        rtt.back_off();
        assert_eq!(rtt.rto(), RTO_AFTER_LOST_SYN * 2);
        rtt.on_sample(ms(10));
        assert_eq!(rtt.rto(), Duration::from_secs(1));
    }

    #[test]
    fn rfc6298_5_7_may_be_told_when_the_handshake_completes() {
        let mut rtt = RttEstimator::new(RttConfig::default());
        rtt.on_syn_retransmitted();
        assert_eq!(rtt.rto(), RTO_AFTER_LOST_SYN);
        // A timestamp told the transmissions apart: the measurement stands.
        let mut rtt = RttEstimator::new(RttConfig::default());
        rtt.back_off();
        rtt.on_syn_retransmitted();
        rtt.on_sample(ms(400));
        rtt.reset_backoff();
        assert_eq!(rtt.rto(), ms(1_200));
    }

    #[test]
    fn rfc7323_g_many_samples_remember_as_long_as_one() {
        // [RFC7323-19]
        let mut once = RttEstimator::new(fine());
        let mut often = RttEstimator::new(fine());
        once.on_sample(ms(100));
        often.on_sample(ms(100));
        for _ in 0..4 {
            once.on_sample(ms(200));
            for _ in 0..1_000 {
                often.on_sample_among(ms(200), 1_000);
            }
        }
        let (once, often) = (once.srtt().unwrap(), often.srtt().unwrap());
        assert!(once.abs_diff(often) < ms(3), "{once:?} {often:?}");
        // Taken at full gain, 4 000 samples would have forgotten the first.
        assert!(often < ms(145), "{often:?}");
    }

    proptest! {
        #[test]
        fn stays_within_bounds(samples in prop::collection::vec((0_u64..1 << 34, 0_u32..5_000, 0_u8..40), 1..50)) {
            let config = RttConfig { initial_rto: ms(1_000), min_rto: ms(200), max_rto: ms(120_000), ..RttConfig::default() };
            let mut rtt = RttEstimator::new(config);
            let mut low = u64::MAX;
            let mut high = 0;
            for (sample, weight, backoffs) in samples {
                rtt.on_sample_among(Duration::from_micros(sample), weight);
                let sample = sample.min(u64::from(u32::MAX) - 1);
                low = low.min(sample);
                high = high.max(sample);
                prop_assert_eq!(rtt.min_rtt(), Some(Duration::from_micros(low)));
                let srtt = rtt.srtt().unwrap();
                prop_assert!(srtt >= Duration::from_micros(low) && srtt <= Duration::from_micros(high));
                let mut before = rtt.rto();
                prop_assert!(before >= config.min_rto && before <= config.max_rto);
                prop_assert!(before >= srtt.min(config.max_rto));
                for _ in 0..backoffs {
                    rtt.back_off();
                    prop_assert_eq!(rtt.rto(), (before * 2).min(config.max_rto));
                    before = rtt.rto();
                }
            }
        }
    }
}
