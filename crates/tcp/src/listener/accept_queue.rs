//! Established connections that wait for the application.

use alloc::collections::VecDeque;

/// A bounded queue of the owner's names for connections, oldest first.
#[derive(Debug)]
pub(super) struct AcceptQueue {
    names: VecDeque<u64>,
    max: usize,
}

impl AcceptQueue {
    pub(super) const fn new(max: usize) -> Self {
        Self {
            names: VecDeque::new(),
            max,
        }
    }

    pub(super) const fn set_max(&mut self, max: usize) {
        self.max = max;
    }

    pub(super) fn is_full(&self) -> bool {
        self.names.len() >= self.max
    }

    pub(super) fn push(&mut self, name: u64) {
        self.names.push_back(name);
    }

    pub(super) fn pop(&mut self) -> Option<u64> {
        self.names.pop_front()
    }

    /// Octets of memory that the names take.
    pub(super) fn memory(&self) -> usize {
        self.names.capacity() * size_of::<u64>()
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }
}
