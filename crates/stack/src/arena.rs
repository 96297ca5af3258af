//! Slots that are reused, each tenant with a generation of its own where a name may outlive its tenant ([`Arena`]), or without
//! ([`Slots`]).
//!
//! A slot is found by index in O(1). A generation is even while the slot is free and odd while it is taken, so a
//! handle of an earlier tenant never matches. Iteration goes in slot order: deterministic.

use alloc::vec::Vec;

/// A value or a link of the free list, which fits into what a value leaves unused.
#[derive(Debug)]
enum Slot<T> {
    Taken(T),
    Free { next: u32 },
}

/// The end of the free list.
const NONE: u32 = u32::MAX;

/// What a slot keeps from tenant to tenant.
pub(crate) trait Mark: Copy + Default {
    /// A tenant comes or goes.
    #[must_use]
    fn turned(self) -> Self;
}

/// Nothing: a slot takes what its tenant takes.
impl Mark for () {
    fn turned(self) {}
}

/// How often tenants have come and gone.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Generation(u32);

impl Mark for Generation {
    fn turned(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// A table of `T` with stable indices, and generations unless `M` is nothing.
#[derive(Debug)]
pub(crate) struct Arena<T, M = Generation> {
    slots: Vec<(M, Slot<T>)>,
    free: u32,
    len: usize,
}

/// A table of tenants that nobody names.
pub(crate) type Slots<T> = Arena<T, ()>;

impl<T, M> Default for Arena<T, M> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: NONE,
            len: 0,
        }
    }
}

impl<T, M: Mark> Arena<T, M> {
    /// Octets that a tenant takes.
    #[cfg(test)]
    pub(crate) const COST: usize = size_of::<(M, Slot<T>)>();

    /// An empty table with room for `capacity` tenants.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self {
            slots: Vec::with_capacity(capacity),
            ..Self::default()
        }
    }

    /// How many slots are taken.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many slots there are, taken or free.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Puts `value` into a free slot and returns which, and its mark.
    ///
    /// The caller keeps the number of tenants below its own limit, which is far below 2^31.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "owners limit the table to less than 2^31 tenants"
    )]
    fn put(&mut self, value: T) -> (u32, M) {
        self.len += 1;
        if let Some((mark, slot)) = self.slots.get_mut(self.free as usize)
            && let Slot::Free { next } = *slot
        {
            let index = self.free;
            self.free = next;
            *mark = mark.turned();
            *slot = Slot::Taken(value);
            return (index, *mark);
        }
        let index = self.slots.len() as u32;
        let mark = M::default().turned();
        self.slots.push((mark, Slot::Taken(value)));
        (index, mark)
    }

    /// Takes the tenant of `slot` out.
    pub(crate) fn remove(&mut self, slot: u32) -> Option<T> {
        let (mark, entry) = self.slots.get_mut(slot as usize)?;
        if matches!(entry, Slot::Free { .. }) {
            return None;
        }
        *mark = mark.turned();
        let old = core::mem::replace(entry, Slot::Free { next: self.free });
        self.free = slot;
        self.len -= 1;
        match old {
            Slot::Taken(value) => Some(value),
            Slot::Free { .. } => None,
        }
    }

    /// The tenant of `slot`, whoever it is.
    pub(crate) fn at(&self, slot: u32) -> Option<&T> {
        match self.slots.get(slot as usize) {
            Some((_, Slot::Taken(value))) => Some(value),
            _ => None,
        }
    }

    /// The tenant of `slot`, whoever it is, to change.
    pub(crate) fn at_mut(&mut self, slot: u32) -> Option<&mut T> {
        match self.slots.get_mut(slot as usize) {
            Some((_, Slot::Taken(value))) => Some(value),
            _ => None,
        }
    }

    /// All tenants in slot order with slots and marks.
    fn marked(&self) -> impl Iterator<Item = (u32, M, &T)> {
        (0u32..)
            .zip(&self.slots)
            .filter_map(|(index, (mark, slot))| match slot {
                Slot::Taken(value) => Some((index, *mark, value)),
                Slot::Free { .. } => None,
            })
    }
}

impl<T> Arena<T> {
    /// Puts `value` into a free slot and returns (slot, generation).
    pub(crate) fn insert(&mut self, value: T) -> (u32, u32) {
        let (slot, Generation(generation)) = self.put(value);
        (slot, generation)
    }

    /// The tenant of `slot` if it is the one of that generation.
    pub(crate) fn get(&self, slot: u32, generation: u32) -> Option<&T> {
        match self.slots.get(slot as usize) {
            Some((current, Slot::Taken(value))) if current.0 == generation => Some(value),
            _ => None,
        }
    }

    /// The tenant of `slot` if it is the one of that generation, to change.
    pub(crate) fn get_mut(&mut self, slot: u32, generation: u32) -> Option<&mut T> {
        match self.slots.get_mut(slot as usize) {
            Some((current, Slot::Taken(value))) if current.0 == generation => Some(value),
            _ => None,
        }
    }

    /// The generation of `slot`'s tenant.
    pub(crate) fn generation(&self, slot: u32) -> Option<u32> {
        match self.slots.get(slot as usize) {
            Some((generation, Slot::Taken(_))) => Some(generation.0),
            _ => None,
        }
    }

    /// All tenants in slot order, as (slot, generation, value). For snapshots and tests, not for packets.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, u32, &T)> {
        self.marked()
            .map(|(slot, generation, value)| (slot, generation.0, value))
    }
}

impl<T> Slots<T> {
    /// Puts `value` into a free slot and returns which.
    pub(crate) fn insert(&mut self, value: T) -> u32 {
        self.put(value).0
    }

    /// All tenants in slot order, with their slots. For snapshots and tests, not for packets.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.marked().map(|(slot, (), value)| (slot, value))
    }
}

#[cfg(test)]
mod tests {
    use super::{Arena, Slots};
    use alloc::boxed::Box;
    use alloc::vec::Vec;

    #[test]
    fn a_handle_never_names_the_next_tenant() {
        let mut arena: Arena<_> = Arena::default();
        let (first, first_generation) = arena.insert('a');
        assert_eq!(arena.get(first, first_generation), Some(&'a'));
        assert_eq!(arena.remove(first), Some('a'));
        assert_eq!(arena.remove(first), None);
        let (second, second_generation) = arena.insert('b');
        assert_eq!(first, second, "the slot is reused");
        assert_eq!(arena.get(first, first_generation), None);
        assert_eq!(arena.get(second, second_generation), Some(&'b'));
        assert_eq!(arena.len(), 1);
    }

    #[test]
    fn freed_slots_are_reused_before_the_table_grows() {
        let mut arena: Arena<_> = Arena::default();
        let slots: Vec<u32> = (0..4).map(|n| arena.insert(n).0).collect();
        arena.remove(slots[1]);
        arena.remove(slots[3]);
        assert_eq!(arena.insert(10).0, slots[3]);
        assert_eq!(arena.insert(11).0, slots[1]);
        assert_eq!(arena.insert(12).0, 4);
        let order: Vec<i32> = arena.iter().map(|(_, _, value)| *value).collect();
        assert_eq!(order, [0, 11, 2, 10, 12]);
    }

    #[test]
    fn slots_without_generations_take_what_their_tenants_take() {
        let mut slots: Slots<u32> = Slots::default();
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
        assert_eq!(Slots::<Box<u8>>::COST, size_of::<u64>() * 2);
    }
}
