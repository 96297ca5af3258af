//! TCP sequence numbers.

use core::fmt;
use core::ops::{Add, AddAssign, Sub, SubAssign};

/// A TCP sequence number: a point on a circle of 2^32 (RFC 9293 3.4).
///
/// There is no `Ord`, because order on a circle is not transitive. Two numbers less than 2^31 apart compare as expected
/// across the wrap; two that are exactly 2^31 apart are neither [`before`](Self::before) nor [`after`](Self::after) each
/// other, so that no pair is ever both.
///
/// # Examples
///
/// ```
/// use handwave_wire::SeqNum;
///
/// let una = SeqNum::new(u32::MAX - 1);
/// let nxt = una + 10;
/// assert_eq!(nxt, SeqNum::new(8));
/// assert!(una.before(nxt));
/// assert_eq!(nxt.since(una), 10);
/// assert!(SeqNum::new(3).in_window(una, 10));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SeqNum(u32);

impl SeqNum {
    /// Makes a sequence number from the 32 bits of a header field.
    #[must_use]
    pub const fn new(raw: u32) -> Self {
        Self(raw)
    }

    /// The 32 bits of the header field.
    #[must_use]
    pub const fn raw(self) -> u32 {
        self.0
    }

    /// `self < other`: `other` lies 1 to 2^31 - 1 octets further on.
    #[must_use]
    pub const fn before(self, other: Self) -> bool {
        other.0.wrapping_sub(self.0).cast_signed() > 0
    }

    /// `self <= other`: `other` lies 0 to 2^31 - 1 octets further on.
    #[must_use]
    pub const fn at_or_before(self, other: Self) -> bool {
        other.0.wrapping_sub(self.0).cast_signed() >= 0
    }

    /// `self > other`: the mirror of [`before`](Self::before).
    #[must_use]
    pub const fn after(self, other: Self) -> bool {
        other.before(self)
    }

    /// `self >= other`: the mirror of [`at_or_before`](Self::at_or_before).
    #[must_use]
    pub const fn at_or_after(self, other: Self) -> bool {
        other.at_or_before(self)
    }

    /// Counts the octets from `earlier` to `self`, modulo 2^32.
    ///
    /// If `earlier` is in truth the later one the result is huge, not negative: compare first where that can happen.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }

    /// Whether `self` is one of the `len` numbers from `start` on: `start <= self < start + len`.
    ///
    /// An empty window contains nothing. Unlike the comparisons this is exact for every `len`.
    #[must_use]
    pub const fn in_window(self, start: Self, len: u32) -> bool {
        self.since(start) < len
    }

    /// The later of the two; `self` if neither is.
    #[must_use]
    pub const fn later(self, other: Self) -> Self {
        if self.before(other) { other } else { self }
    }

    /// The earlier of the two; `self` if neither is.
    #[must_use]
    pub const fn earlier_of(self, other: Self) -> Self {
        if other.before(self) { other } else { self }
    }
}

impl Add<u32> for SeqNum {
    type Output = Self;

    fn add(self, octets: u32) -> Self {
        Self(self.0.wrapping_add(octets))
    }
}

impl AddAssign<u32> for SeqNum {
    fn add_assign(&mut self, octets: u32) {
        self.0 = self.0.wrapping_add(octets);
    }
}

impl Sub<u32> for SeqNum {
    type Output = Self;

    fn sub(self, octets: u32) -> Self {
        Self(self.0.wrapping_sub(octets))
    }
}

impl SubAssign<u32> for SeqNum {
    fn sub_assign(&mut self, octets: u32) {
        self.0 = self.0.wrapping_sub(octets);
    }
}

impl fmt::Debug for SeqNum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for SeqNum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::format;

    const HALF: u32 = 1 << 31;

    #[test]
    fn order_crosses_the_wrap() {
        let last = SeqNum::new(u32::MAX);
        let first = SeqNum::new(0);
        assert!(last.before(first) && first.after(last));
        assert!(!first.before(last) && !last.after(first));
        assert_eq!(first.since(last), 1);
        assert_eq!(last + 1, first);
        assert_eq!(first - 1, last);
        assert_eq!(last.later(first), first);
        assert_eq!(last.earlier_of(first), last);
    }

    #[test]
    fn opposite_points_are_unordered() {
        let (a, b) = (SeqNum::new(7), SeqNum::new(7 + HALF));
        for (x, y) in [(a, b), (b, a)] {
            assert!(!x.before(y) && !x.after(y) && !x.at_or_before(y) && !x.at_or_after(y));
            assert_eq!((x.later(y), x.earlier_of(y)), (x, x));
        }
    }

    #[test]
    fn windows_are_half_open() {
        let start = SeqNum::new(u32::MAX - 1);
        assert!(!start.in_window(start, 0));
        assert!(start.in_window(start, 1));
        assert!(SeqNum::new(1).in_window(start, 4));
        assert!(!SeqNum::new(2).in_window(start, 4));
        assert!(!(start - 1).in_window(start, u32::MAX));
        assert!((start - 2).in_window(start, u32::MAX));
    }

    #[test]
    fn prints_the_plain_number() {
        assert_eq!(
            format!("{} {:?}", SeqNum::new(42), SeqNum::new(42)),
            "42 42"
        );
    }

    /// Distances with the interesting ones (none, one, around half, minus one) made likely.
    fn distance() -> impl Strategy<Value = u32> {
        prop_oneof![
            any::<u32>(),
            0..3u32,
            HALF - 2..HALF + 3,
            u32::MAX - 2..=u32::MAX
        ]
    }

    proptest! {
        #[test]
        fn at_most_one_order_holds(a in any::<u32>(), d in distance()) {
            let (x, y) = (SeqNum::new(a), SeqNum::new(a) + d);
            let holds = [x == y, x.before(y), x.after(y)];
            let expected = usize::from(d != HALF);
            prop_assert_eq!(holds.iter().filter(|h| **h).count(), expected);
            prop_assert_eq!(x.before(y), (1..HALF).contains(&d));
            prop_assert_eq!(x.at_or_before(y), x == y || x.before(y));
            prop_assert_eq!(x.at_or_after(y), x == y || x.after(y));
            prop_assert_eq!(x.before(y), y.after(x));
        }

        #[test]
        fn addition_and_distance_are_inverse(a in any::<u32>(), d in distance()) {
            let x = SeqNum::new(a);
            prop_assert_eq!((x + d).since(x), d);
            prop_assert_eq!((x + d) - d, x);
            let mut y = x;
            y += d;
            y -= d;
            prop_assert_eq!(y, x);
        }

        #[test]
        fn order_does_not_depend_on_the_origin(a in any::<u32>(), d in distance(), by in any::<u32>()) {
            let (x, y) = (SeqNum::new(a), SeqNum::new(a) + d);
            prop_assert_eq!(x.before(y), (x + by).before(y + by));
            prop_assert_eq!(x.later(y) + by, (x + by).later(y + by));
        }

        #[test]
        fn order_is_transitive_within_half_a_circle(a in any::<u32>(), d in 1..HALF / 2, e in 1..HALF / 2) {
            let x = SeqNum::new(a);
            prop_assert!(x.before(x + d) && (x + d).before(x + d + e) && x.before(x + d + e));
        }

        #[test]
        fn window_agrees_with_the_comparisons(a in any::<u32>(), len in 0..HALF, d in distance()) {
            let start = SeqNum::new(a);
            let seq = start + d;
            let compared = start.at_or_before(seq) && seq.before(start + len);
            prop_assert_eq!(seq.in_window(start, len), compared);
        }
    }
}
