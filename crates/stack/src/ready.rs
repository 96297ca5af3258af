//! The ready list: who has something to do, each at most once, in the order of arrival.
//!
//! An intrusive queue over keys `0..2^32-1`, eight octets a key, O(1) to add, to rotate and to take out. Draining it
//! costs what there is to do, however many sockets exist.

use alloc::vec::Vec;

const NONE: u32 = u32::MAX;
/// `prev` of a key that is not on the list.
const ABSENT: u32 = u32::MAX - 1;

/// A queue of distinct keys.
#[derive(Debug)]
pub(crate) struct ReadyList {
    links: Vec<(u32, u32)>,
    first: u32,
    last: u32,
}

impl Default for ReadyList {
    fn default() -> Self {
        Self {
            links: Vec::new(),
            first: NONE,
            last: NONE,
        }
    }
}

impl ReadyList {
    /// Keys that there is made room for at a time.
    const STEP: usize = 64;
    /// Octets that a key takes.
    #[cfg(test)]
    pub(crate) const COST: usize = size_of::<(u32, u32)>();

    /// An empty list with room for the keys below `capacity`.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self {
            links: Vec::with_capacity(capacity),
            ..Self::default()
        }
    }

    /// Adds `key` at the end unless it is on the list.
    #[inline]
    pub(crate) fn push(&mut self, key: u32) {
        match self.links.get(key as usize) {
            Some(&(ABSENT, _)) => self.append(key),
            Some(_) => {}
            None => self.grow(key),
        }
    }

    #[cold]
    fn grow(&mut self, key: u32) {
        let keys = (key as usize + 1).next_multiple_of(Self::STEP);
        self.links.resize(keys, (ABSENT, NONE));
        self.append(key);
    }

    /// Adds a key that is not on the list, for which there is room.
    fn append(&mut self, key: u32) {
        self.links[key as usize] = (self.last, NONE);
        match self.last {
            NONE => self.first = key,
            last => self.links[last as usize].1 = key,
        }
        self.last = key;
    }

    /// Looks at a key, to have it near.
    pub(crate) fn glance(&self, key: u32) -> u32 {
        self.links.get(key as usize).map_or(0, |(prev, _)| *prev)
    }

    /// The key at the front.
    pub(crate) fn front(&self) -> Option<u32> {
        (self.first != NONE).then_some(self.first)
    }

    /// Takes the key at the front.
    pub(crate) fn pop(&mut self) -> Option<u32> {
        let key = self.front()?;
        self.remove(key);
        Some(key)
    }

    /// Takes `key` out wherever it is.
    #[inline]
    pub(crate) fn remove(&mut self, key: u32) {
        match self.links.get(key as usize) {
            None | Some(&(ABSENT, _)) => {}
            Some(&(prev, next)) => self.unlink(key, (prev, next)),
        }
    }

    fn unlink(&mut self, key: u32, (prev, next): (u32, u32)) {
        self.links[key as usize] = (ABSENT, NONE);
        match prev {
            NONE => self.first = next,
            prev => self.links[prev as usize].1 = next,
        }
        match next {
            NONE => self.last = prev,
            next => self.links[next as usize].0 = prev,
        }
    }

    /// Moves the key at the front to the end: the next one's turn.
    pub(crate) fn rotate(&mut self) {
        if let Some(key) = self.pop() {
            self.push(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ReadyList;
    use alloc::collections::VecDeque;
    use proptest::prelude::*;

    #[test]
    fn a_key_is_listed_once() {
        let mut list = ReadyList::default();
        for key in [5, 2, 5, 9, 2] {
            list.push(key);
        }
        assert_eq!(
            [list.pop(), list.pop(), list.pop(), list.pop()],
            [Some(5), Some(2), Some(9), None]
        );
    }

    #[test]
    fn the_front_gives_way() {
        let mut list = ReadyList::default();
        list.push(1);
        list.push(2);
        list.rotate();
        assert_eq!((list.pop(), list.pop()), (Some(2), Some(1)));
        list.rotate();
        assert_eq!(list.pop(), None);
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_queue(steps in proptest::collection::vec((0u8..4, 0u32..8), 0..200)) {
            let mut list = ReadyList::default();
            let mut model: VecDeque<u32> = VecDeque::new();
            for (step, key) in steps {
                match step {
                    0 => {
                        list.push(key);
                        if !model.contains(&key) {
                            model.push_back(key);
                        }
                    }
                    1 => {
                        list.remove(key);
                        model.retain(|other| *other != key);
                    }
                    2 => {
                        list.rotate();
                        if !model.is_empty() {
                            model.rotate_left(1);
                        }
                    }
                    _ => prop_assert_eq!(list.pop(), model.pop_front()),
                }
                prop_assert_eq!(list.front(), model.front().copied());
            }
        }
    }
}
