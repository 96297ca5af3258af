//! A network namespace for the calling thread, and for the threads and programs it starts from there on.

use rustix::thread::UnshareFlags;

/// Moves the calling thread into a new network namespace, which goes when its last thread and descriptor have gone.
#[expect(
    deprecated,
    reason = "deprecated for the sake of flags that concern descriptors; the other function is unsafe"
)]
pub(super) fn enter() -> std::io::Result<()> {
    Ok(rustix::thread::unshare(UnshareFlags::NEWNET)?)
}
