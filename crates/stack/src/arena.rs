//! Slots that are reused, each tenant with a generation of its own.
//!
//! A slot is found by index in O(1). A generation is even while the slot is free and odd while it is taken, so a
//! handle of an earlier tenant never matches. Iteration goes in slot order: deterministic.

use alloc::vec::Vec;

/// A value or a link of the free list.
#[derive(Debug)]
enum Slot<T> {
    Taken(T),
    Free { next: u32 },
}

/// The end of the free list.
const NONE: u32 = u32::MAX;

/// A table of `T` with stable indices and generations.
#[derive(Debug)]
pub(crate) struct Arena<T> {
    slots: Vec<(u32, Slot<T>)>,
    free: u32,
    len: usize,
}

impl<T> Default for Arena<T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: NONE,
            len: 0,
        }
    }
}

impl<T> Arena<T> {
    /// Octets that a tenant takes.
    #[cfg(test)]
    pub(crate) const COST: usize = size_of::<(u32, Slot<T>)>();

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

    /// Puts `value` into a free slot and returns (slot, generation).
    ///
    /// The caller keeps the number of tenants below its own limit, which is far below 2^31.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "owners limit the table to less than 2^31 tenants"
    )]
    pub(crate) fn insert(&mut self, value: T) -> (u32, u32) {
        self.len += 1;
        if let Some((generation, slot)) = self.slots.get_mut(self.free as usize)
            && let Slot::Free { next } = *slot
        {
            let index = self.free;
            self.free = next;
            *generation = generation.wrapping_add(1);
            *slot = Slot::Taken(value);
            return (index, *generation);
        }
        let index = self.slots.len() as u32;
        self.slots.push((1, Slot::Taken(value)));
        (index, 1)
    }

    /// Takes the tenant of `slot` out.
    pub(crate) fn remove(&mut self, slot: u32) -> Option<T> {
        let (generation, entry) = self.slots.get_mut(slot as usize)?;
        if matches!(entry, Slot::Free { .. }) {
            return None;
        }
        *generation = generation.wrapping_add(1);
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

    /// The tenant of `slot` if it is the one of that generation.
    pub(crate) fn get(&self, slot: u32, generation: u32) -> Option<&T> {
        match self.slots.get(slot as usize) {
            Some((current, Slot::Taken(value))) if *current == generation => Some(value),
            _ => None,
        }
    }

    /// The tenant of `slot` if it is the one of that generation, to change.
    pub(crate) fn get_mut(&mut self, slot: u32, generation: u32) -> Option<&mut T> {
        match self.slots.get_mut(slot as usize) {
            Some((current, Slot::Taken(value))) if *current == generation => Some(value),
            _ => None,
        }
    }

    /// The generation of `slot`'s tenant.
    pub(crate) fn generation(&self, slot: u32) -> Option<u32> {
        match self.slots.get(slot as usize) {
            Some((generation, Slot::Taken(_))) => Some(*generation),
            _ => None,
        }
    }

    /// How many slots there are, taken or free.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// All tenants in slot order, as (slot, generation, value). For snapshots and tests, not for packets.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, u32, &T)> {
        (0u32..)
            .zip(&self.slots)
            .filter_map(|(index, (generation, slot))| match slot {
                Slot::Taken(value) => Some((index, *generation, value)),
                Slot::Free { .. } => None,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::Arena;
    use alloc::vec::Vec;

    #[test]
    fn a_handle_never_names_the_next_tenant() {
        let mut arena = Arena::default();
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
        let mut arena = Arena::default();
        let slots: Vec<u32> = (0..4).map(|n| arena.insert(n).0).collect();
        arena.remove(slots[1]);
        arena.remove(slots[3]);
        assert_eq!(arena.insert(10).0, slots[3]);
        assert_eq!(arena.insert(11).0, slots[1]);
        assert_eq!(arena.insert(12).0, 4);
        let order: Vec<i32> = arena.iter().map(|(_, _, value)| *value).collect();
        assert_eq!(order, [0, 11, 2, 10, 12]);
    }
}
