//! Real descriptors that stand for sockets of the stack.
//!
//! packetdrill closes what a script leaves open with the C library's `close`, and mixes our descriptors with its own. So each
//! socket has an `eventfd` of its own: a number that nobody else has while it is open.

use std::collections::BTreeMap;
use std::os::fd::{IntoRawFd as _, RawFd};

use handwave_script::posix::{Errno, Fd};
use rustix::event::{EventfdFlags, eventfd};

/// Which real descriptor stands for which socket.
#[derive(Debug, Default)]
pub(crate) struct Descriptors {
    sockets: BTreeMap<RawFd, Fd>,
}

impl Descriptors {
    /// Opens a real descriptor for `socket`.
    ///
    /// Returns it with the socket that the same number stood for before, if any: somebody has closed that behind our back.
    pub(crate) fn open(&mut self, socket: Fd) -> Result<(RawFd, Option<Fd>), Errno> {
        let real = eventfd(0, EventfdFlags::CLOEXEC).map_err(|_| Errno::EMFILE)?;
        let real = real.into_raw_fd();
        Ok((real, self.sockets.insert(real, socket)))
    }

    /// The socket that `real` stands for.
    pub(crate) fn socket(&self, real: RawFd) -> Option<Fd> {
        self.sockets.get(&real).copied()
    }

    /// Forgets and closes `real`.
    pub(crate) fn close(&mut self, real: RawFd) {
        if self.sockets.remove(&real).is_some() {
            close(real);
        }
    }
}

#[expect(
    unsafe_code,
    reason = "the number may be stale by contract with packetdrill"
)]
fn close(real: RawFd) {
    // SAFETY: `close` touches no memory. The number is ours: the table forgets it in the same step.
    unsafe { libc::close(real) };
}
