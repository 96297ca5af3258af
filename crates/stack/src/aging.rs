//! A map that knows the age of its entries, so that the oldest can be forgotten in O(1).
//!
//! What the bounded caches of this crate stand on: path MTUs, fragments, neighbours. Entries live in an arena; a hash
//! table finds them by key and an intrusive list keeps them in the order in which they were last renewed.

use crate::arena::Arena;
use crate::keyed::Key;
use crate::ready::ReadyList;
use core::hash::Hash;
use hashbrown::HashMap;

/// A keyed table in order of renewal.
#[derive(Debug)]
pub(crate) struct AgingMap<K, V> {
    slots: HashMap<K, u32, Key>,
    entries: Arena<(K, V)>,
    order: ReadyList,
}

impl<K: Copy + Eq + Hash, V> AgingMap<K, V> {
    pub(crate) fn new(key: Key) -> Self {
        Self {
            slots: HashMap::with_hasher(key),
            entries: Arena::default(),
            order: ReadyList::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        let slot = *self.slots.get(key)?;
        self.entries.at(slot).map(|(_, value)| value)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let slot = *self.slots.get(key)?;
        self.entries.at_mut(slot).map(|(_, value)| value)
    }

    /// The slot of an entry: a small number that stays the same while the entry lives.
    pub(crate) fn slot_of(&self, key: &K) -> Option<u32> {
        self.slots.get(key).copied()
    }

    /// The key of the entry in a slot.
    pub(crate) fn key_at(&self, slot: u32) -> Option<K> {
        self.entries.at(slot).map(|(key, _)| *key)
    }

    /// Puts `value` in, as the youngest; returns its slot.
    pub(crate) fn insert(&mut self, key: K, value: V) -> u32 {
        let slot = match self.slots.get(&key) {
            Some(slot) => *slot,
            None => {
                let (slot, _) = self.entries.insert((key, value));
                self.slots.insert(key, slot);
                self.order.push(slot);
                return slot;
            }
        };
        if let Some(entry) = self.entries.at_mut(slot) {
            entry.1 = value;
        }
        self.renew(slot);
        slot
    }

    /// Makes the entry in `slot` the youngest.
    pub(crate) fn renew(&mut self, slot: u32) {
        self.order.remove(slot);
        self.order.push(slot);
    }

    /// The oldest entry.
    pub(crate) fn oldest(&self) -> Option<(K, &V)> {
        self.entries
            .at(self.order.front()?)
            .map(|(key, value)| (*key, value))
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let slot = self.slots.remove(key)?;
        self.order.remove(slot);
        self.entries.remove(slot).map(|(_, value)| value)
    }

    /// Takes the oldest entry out.
    pub(crate) fn pop_oldest(&mut self) -> Option<(K, V)> {
        let key = self.oldest()?.0;
        self.remove(&key).map(|value| (key, value))
    }
}

#[cfg(test)]
mod tests {
    use super::AgingMap;
    use crate::keyed::Key;

    #[test]
    fn the_oldest_is_the_one_renewed_longest_ago() {
        let mut map = AgingMap::new(Key::derive(&[0; 16], b"test"));
        for (key, value) in [(1, 'a'), (2, 'b'), (3, 'c')] {
            map.insert(key, value);
        }
        map.insert(1, 'd');
        let slot = map.slot_of(&2).unwrap();
        map.renew(slot);
        assert_eq!(map.key_at(slot), Some(2));
        assert_eq!(map.oldest(), Some((3, &'c')));
        assert_eq!(map.remove(&3), Some('c'));
        assert_eq!(map.remove(&3), None);
        assert_eq!(map.pop_oldest(), Some((1, 'd')));
        assert_eq!(map.get(&2), Some(&'b'));
        assert_eq!(map.pop_oldest(), Some((2, 'b')));
        assert_eq!((map.pop_oldest(), map.len()), (None, 0));
    }
}
