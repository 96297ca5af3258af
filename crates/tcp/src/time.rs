//! Time as the core sees it: a count of nanoseconds that the caller passes in.
//!
//! Nothing in this crate reads a clock. Each input carries an [`Instant`] measured from a start that the caller
//! chooses (the stack's creation, the simulator's zero). Spans are [`core::time::Duration`].
//!
//! Arithmetic saturates at both ends. A count of `u64` nanoseconds lasts 584 years, so saturation is
//! reached only by sentinels such as [`Instant::MAX`].

use core::fmt;
use core::num::NonZero;
use core::ops::{Add, AddAssign, Sub};
use core::time::Duration;

/// A point in time: nanoseconds since a start that the caller chooses.
///
/// ```
/// use core::time::Duration;
/// use handwave_tcp::time::Instant;
///
/// let sent = Instant::from_millis(1_500);
/// let acked = sent + Duration::from_millis(40);
/// assert_eq!(acked - sent, Duration::from_millis(40));
/// // A clock that steps back gives an empty span, never a panic.
/// assert_eq!(sent - acked, Duration::ZERO);
/// assert_eq!(acked.to_string(), "1.540000000");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(
    /// Nanoseconds and one, so that `Option<Instant>` takes eight octets.
    NonZero<u64>,
);

impl Instant {
    /// The start of the caller's clock.
    pub const ZERO: Self = Self(NonZero::<u64>::MIN);
    /// The last representable point: later than anything that happens.
    pub const MAX: Self = Self(NonZero::<u64>::MAX);

    /// The point `nanos` nanoseconds after the start, at most [`Instant::MAX`].
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(NonZero::<u64>::MIN.saturating_add(nanos))
    }

    /// The point `micros` microseconds after the start.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self::from_nanos(micros.saturating_mul(1_000))
    }

    /// The point `millis` milliseconds after the start.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self::from_nanos(millis.saturating_mul(1_000_000))
    }

    /// The point `secs` seconds after the start.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self::from_nanos(secs.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds since the start.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0.get() - 1
    }

    /// Whole microseconds since the start.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.as_nanos() / 1_000
    }

    /// Whole milliseconds since the start.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.as_nanos() / 1_000_000
    }

    /// Whole seconds since the start.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.as_nanos() / 1_000_000_000
    }

    /// The span from `earlier` to `self`; `None` if `earlier` is in fact later.
    #[must_use]
    pub const fn checked_since(self, earlier: Self) -> Option<Duration> {
        match self.0.get().checked_sub(earlier.0.get()) {
            Some(nanos) => Some(Duration::from_nanos(nanos)),
            None => None,
        }
    }

    /// The span from `earlier` to `self`; zero if `earlier` is in fact later.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.get().saturating_sub(earlier.0.get()))
    }

    /// Whether `span` has passed since `earlier`: what `self - earlier >= span` says, in one comparison of nanoseconds.
    #[inline]
    pub(crate) const fn is_after(self, earlier: Self, span: Duration) -> bool {
        let nanos = span.as_secs().saturating_mul(1_000_000_000);
        let span = nanos.saturating_add(span.subsec_nanos() as u64);
        self.0.get().saturating_sub(earlier.0.get()) >= span
    }

    /// The point `span` later; `None` if it is not representable.
    #[must_use]
    pub fn checked_add(self, span: Duration) -> Option<Self> {
        let nanos = u64::try_from(span.as_nanos()).ok()?;
        self.0.checked_add(nanos).map(Self)
    }

    /// The point `span` later, at most [`Instant::MAX`].
    #[must_use]
    pub fn saturating_add(self, span: Duration) -> Self {
        self.checked_add(span).unwrap_or(Self::MAX)
    }

    /// The point `span` earlier, at least [`Instant::ZERO`].
    #[must_use]
    pub fn saturating_sub(self, span: Duration) -> Self {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        Self::from_nanos(self.as_nanos().saturating_sub(nanos))
    }
}

/// The start of the caller's clock.
impl Default for Instant {
    fn default() -> Self {
        Self::ZERO
    }
}

/// Saturates at [`Instant::MAX`].
impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        self.saturating_add(span)
    }
}

/// Saturates at [`Instant::MAX`].
impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, span: Duration) {
        *self = self.saturating_add(span);
    }
}

/// Saturates at [`Instant::ZERO`].
impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, span: Duration) -> Self {
        self.saturating_sub(span)
    }
}

/// The span between two points; zero if the right-hand side is later.
impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.saturating_since(earlier)
    }
}

/// Prints seconds since the start, with nanoseconds.
impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{:09}",
            self.as_secs(),
            self.as_nanos() % 1_000_000_000
        )
    }
}

/// Prints as [`Display`](fmt::Display) does, so that a failing assertion reads like a trace.
impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::Instant;
    use alloc::string::ToString;
    use core::time::Duration;

    #[test]
    fn units_convert() {
        assert_eq!(Instant::from_secs(2), Instant::from_millis(2_000));
        assert_eq!(Instant::from_millis(2), Instant::from_micros(2_000));
        assert_eq!(Instant::from_micros(2), Instant::from_nanos(2_000));
        let t = Instant::from_nanos(3_004_005_006);
        assert_eq!(
            (t.as_secs(), t.as_millis(), t.as_micros()),
            (3, 3_004, 3_004_005)
        );
        assert_eq!(t.to_string(), "3.004005006");
    }

    #[test]
    fn none_takes_no_room() {
        assert_eq!(size_of::<Option<Instant>>(), size_of::<u64>());
        assert_eq!(Instant::ZERO.as_nanos(), 0);
        assert_eq!(Instant::from_nanos(u64::MAX), Instant::MAX);
    }

    #[test]
    fn what_has_passed_is_what_the_difference_says() {
        let spans = [0, 1, 999_999_999, 1_000_000_000, 3_000_000_007].map(Duration::from_nanos);
        let t = Instant::from_nanos(5_000_000_123);
        for span in spans.into_iter().chain([Duration::MAX]) {
            for near in [0, 1, 2] {
                let now =
                    t + span.saturating_sub(Duration::from_nanos(1)) + Duration::from_nanos(near);
                assert_eq!(now.is_after(t, span), now - t >= span, "{span:?} + {near}");
            }
            assert_eq!(Instant::ZERO.is_after(t, span), span.is_zero());
        }
    }

    #[test]
    fn arithmetic_saturates() {
        let t = Instant::from_secs(1);
        assert_eq!(t - Duration::from_secs(2), Instant::ZERO);
        assert_eq!(t + Duration::MAX, Instant::MAX);
        assert_eq!(Instant::from_secs(u64::MAX), Instant::MAX);
        assert_eq!(t.checked_add(Duration::MAX), None);
        assert_eq!(Instant::MAX.checked_add(Duration::from_nanos(1)), None);
        assert_eq!(t.checked_since(Instant::from_secs(2)), None);
        assert_eq!(t - Instant::from_secs(2), Duration::ZERO);
        assert_eq!(Instant::from_secs(3) - t, Duration::from_secs(2));
        let mut later = t;
        later += Duration::from_millis(5);
        assert_eq!(later, Instant::from_millis(1_005));
    }
}
