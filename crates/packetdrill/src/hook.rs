//! `getsockopt` for programs that do not ask through the table.
//!
//! packetdrill reads `TCP_INFO` for its assertions with the C library's `getsockopt`, on the descriptor it was handed. With
//! `LD_PRELOAD=libhandwave_packetdrill.so` this function stands in front of that one: it answers for descriptors that are
//! sockets of ours and passes all others on to the kernel.
#![expect(unsafe_code, reason = "this is called from C")]

use std::ffi::{c_int, c_void};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use libc::socklen_t;

use crate::calls::options;
use crate::world::World;

/// The stacks there are.
static WORLDS: Mutex<Vec<Weak<World>>> = Mutex::new(Vec::new());

/// Lets the hook answer for the sockets of `world`.
pub(crate) fn register(world: &Arc<World>) {
    let mut worlds = WORLDS.lock().unwrap_or_else(PoisonError::into_inner);
    worlds.retain(|known| known.strong_count() > 0);
    worlds.push(Arc::downgrade(world));
}

/// The stack that `fd` is a socket of.
fn owner(fd: c_int) -> Option<Arc<World>> {
    let worlds = WORLDS.lock().unwrap_or_else(PoisonError::into_inner);
    let mut alive = worlds.iter().filter_map(Weak::upgrade);
    alive.find(|world| world.socket(fd).is_some())
}

/// The C library's function of this name, for sockets of ours too.
///
/// # Safety
///
/// As in C: `len` can be read and written, and as many octets as it says can be written at `value`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn getsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    len: *mut socklen_t,
) -> c_int {
    if let Some(world) = owner(fd) {
        let userdata = Arc::as_ptr(&world).cast_mut().cast();
        // SAFETY: by contract; `world` is alive until this returns.
        return unsafe { options::getsockopt(userdata, fd, level, name, value, len) };
    }
    // SAFETY: by contract. The system call itself, because the library's function of this name is the one we are in.
    let answer = unsafe { libc::syscall(libc::SYS_getsockopt, fd, level, name, value, len) };
    c_int::try_from(answer).unwrap_or(-1)
}
