//! Slots that are reused, for tenants that nobody names: where a name may outlive its tenant, see [`arena`](crate::arena).
//!
//! A slot takes what its tenant takes. Iteration goes in slot order: deterministic.

use alloc::vec::Vec;

/// A value or a link of the free list, which fits into what a value leaves unused.
#[derive(Debug)]
enum Slot<T> {
    Taken(T),
    Free { next: u32 },
}

/// The end of the free list.
const NONE: u32 = u32::MAX;

/// A table of `T` with stable indices.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    slots: Vec<Slot<T>>,
    free: u32,
    len: usize,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: NONE,
            len: 0,
        }
    }
}

impl<T> Slots<T> {
    /// Octets that a tenant takes.
    #[cfg(test)]
    pub(crate) const COST: usize = size_of::<Slot<T>>();

    /// How many slots are taken.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many slots there are, taken or free.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Puts `value` into a free slot and returns which.
    ///
    /// The caller keeps the number of tenants below its own limit, which is far below 2^31.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "owners limit the table to less than 2^31 tenants"
    )]
    pub(crate) fn insert(&mut self, value: T) -> u32 {
        self.len += 1;
        if let Some(slot) = self.slots.get_mut(self.free as usize)
            && let Slot::Free { next } = *slot
        {
            *slot = Slot::Taken(value);
            return core::mem::replace(&mut self.free, next);
        }
        self.slots.push(Slot::Taken(value));
        self.slots.len() as u32 - 1
    }

    /// Takes the tenant of `slot` out.
    pub(crate) fn remove(&mut self, slot: u32) -> Option<T> {
        let place = self.slots.get_mut(slot as usize)?;
        if matches!(place, Slot::Free { .. }) {
            return None;
        }
        let old = core::mem::replace(place, Slot::Free { next: self.free });
        self.free = slot;
        self.len -= 1;
        match old {
            Slot::Taken(value) => Some(value),
            Slot::Free { .. } => None,
        }
    }

    /// The tenant of `slot`.
    pub(crate) fn at(&self, slot: u32) -> Option<&T> {
        match self.slots.get(slot as usize) {
            Some(Slot::Taken(value)) => Some(value),
            _ => None,
        }
    }

    /// The same, to change it.
    pub(crate) fn at_mut(&mut self, slot: u32) -> Option<&mut T> {
        match self.slots.get_mut(slot as usize) {
            Some(Slot::Taken(value)) => Some(value),
            _ => None,
        }
    }

    /// All tenants in slot order, with their slots. For snapshots and tests, not for packets.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0u32..)
            .zip(&self.slots)
            .filter_map(|(index, slot)| match slot {
                Slot::Taken(value) => Some((index, value)),
                Slot::Free { .. } => None,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::Slots;
    use alloc::vec::Vec;

    #[test]
    fn freed_slots_are_reused_before_the_table_grows() {
        let mut slots = Slots::default();
        for n in 0..4 {
            assert_eq!(slots.insert(n), n);
        }
        assert_eq!((slots.remove(1), slots.remove(3)), (Some(1), Some(3)));
        assert_eq!(slots.remove(3), None);
        assert_eq!(slots.at(3), None);
        assert_eq!(slots.len(), 2);
        assert_eq!([10, 11, 12].map(|n| slots.insert(n)), [3, 1, 4]);
        let order: Vec<(u32, u32)> = slots.iter().map(|(slot, n)| (slot, *n)).collect();
        assert_eq!(order, [(0, 0), (1, 11), (2, 2), (3, 10), (4, 12)]);
        assert_eq!(slots.slots(), 5);
    }
}
