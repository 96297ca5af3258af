//! Numbers that a fuzzer decides: the interface of `crates/handwave/tests/common/dice.rs` over octets.

/// Octets, and ones behind their end: whatever is drawn ends soon.
pub(crate) struct Dice(std::vec::IntoIter<u8>);

impl Dice {
    pub(crate) fn new(octets: &[u8]) -> Self {
        Self(octets.to_vec().into_iter())
    }

    fn octets(&mut self, count: usize) -> u64 {
        (0..count).fold(0, |number, _| number << 8 | u64::from(self.0.next().unwrap_or(1)))
    }

    /// Below `end`, which is not zero; of no more octets than that takes.
    pub(crate) fn below<N: TryInto<u64> + TryFrom<u64>>(&mut self, end: N) -> N {
        let end = end.try_into().ok().expect("no number is negative");
        let count = match end {
            0..=0x100 => 1,
            0x101..=0x1_0000 => 2,
            _ => 4,
        };
        let number = N::try_from(self.octets(count) % end);
        number.ok().expect("a number below one of its kind")
    }

    pub(crate) fn one_in(&mut self, count: u32) -> bool {
        self.below(count) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, these: &[T]) -> T {
        these[self.below(these.len())]
    }
}
