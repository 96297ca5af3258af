//! The functions of the table.
//!
//! Each reads what C passes, calls into the [`World`], and returns a value, or -1 with `errno` set. A descriptor that is none of
//! ours belongs to the program, and its call goes to the kernel.

pub(crate) mod clock;
pub(crate) mod io;
pub(crate) mod options;
pub(crate) mod polling;
pub(crate) mod sockets;
pub(crate) mod wire;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use handwave_script::posix::Errno;

use crate::interface::UserData;
use crate::world::World;

/// The stack that the data pointer of the table stands for.
///
/// # Safety
///
/// `userdata` is what the table was filled with, and has not been freed.
#[expect(unsafe_code, reason = "the data pointer comes back from C")]
unsafe fn world(userdata: UserData) -> Arc<World> {
    let world = userdata.cast_const().cast::<World>();
    // SAFETY: the pointer came out of `Arc::into_raw`, and the count it stands for is given back in `free` only.
    unsafe {
        Arc::increment_strong_count(world);
        Arc::from_raw(world)
    }
}

/// Makes a call and returns its result as C expects it; a bug of ours is an `EIO`, not the end of the program.
fn answer<T: TryFrom<i64> + From<i8>>(call: impl FnOnce() -> Result<i64, Errno>) -> T {
    let result = catch_unwind(AssertUnwindSafe(call)).unwrap_or(Err(Errno::EIO));
    let value = result.and_then(|value| T::try_from(value).map_err(|_| Errno::EOVERFLOW));
    value.unwrap_or_else(|errno| {
        set_errno(errno);
        T::from(-1)
    })
}

#[expect(unsafe_code, reason = "errno is C's")]
fn set_errno(errno: Errno) {
    // SAFETY: the pointer is to this thread's `errno`, for as long as the thread runs.
    unsafe { *libc::__errno_location() = errno.number() };
}

/// What the kernel answered: the value, or the `errno` it has set.
fn from_kernel(value: i64) -> Result<i64, Errno> {
    if value >= 0 {
        return Ok(value);
    }
    let number = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
    Err(Errno::by_number(number).unwrap_or(Errno::EIO))
}

/// A length as the return value of a call.
fn count(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}
