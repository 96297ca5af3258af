//! Descriptors of the script and those of the process under it.

use std::collections::BTreeMap;

use crate::posix::Fd;

/// Which descriptor of the process a number in the script stands for.
///
/// A script gives numbers to what `socket` and its like return; the process has its own.
#[derive(Debug, Default)]
pub(super) struct Descriptors(BTreeMap<i64, Fd>);

impl Descriptors {
    /// Gives a number to a descriptor.
    pub(super) fn learn(&mut self, script: i64, fd: Fd) {
        self.0.insert(script, fd);
    }

    /// The descriptor behind a number; one that the script has no name for stands for itself, so that calls on it fail as they
    /// should.
    pub(super) fn live(&self, script: i64) -> Fd {
        let itself = || match Fd::try_from(script) {
            // What is free in the process may be taken under another name, so it must not be reached by this one.
            Ok(fd) if self.0.values().all(|live| *live != fd) => fd,
            _ => -1,
        };
        self.0.get(&script).copied().unwrap_or_else(itself)
    }

    /// The number of a descriptor.
    pub(super) fn script(&self, fd: Fd) -> i64 {
        let known = self.0.iter().find(|(_, live)| **live == fd);
        known.map_or(i64::from(fd), |(script, _)| *script)
    }

    /// The descriptor with the highest number.
    pub(super) fn newest(&self) -> Option<Fd> {
        self.0.values().next_back().copied()
    }

    /// The number is free again.
    pub(super) fn forget(&mut self, script: i64) {
        self.0.remove(&script);
    }
}
