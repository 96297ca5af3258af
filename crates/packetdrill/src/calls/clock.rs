//! Time: `usleep` and `gettimeofday`.
#![expect(unsafe_code, reason = "these are called from C")]

use std::ffi::c_int;
use std::time::Duration;

use libc::{timeval, timezone, useconds_t};

use super::{answer, world};
use crate::interface::UserData;
use crate::memory;

// SAFETY of all functions here: packetdrill hands back the data pointer of the table, and pointers to what C's function of the
// same name takes.

pub(crate) unsafe extern "C" fn usleep(_userdata: UserData, micros: useconds_t) -> c_int {
    std::thread::sleep(Duration::from_micros(u64::from(micros)));
    0
}

pub(crate) unsafe extern "C" fn gettimeofday(
    userdata: UserData,
    tv: *mut timeval,
    _tz: *mut timezone,
) -> c_int {
    answer(|| {
        // SAFETY: as above.
        let now = unsafe { world(userdata) }.gettimeofday();
        let value = timeval {
            tv_sec: i64::try_from(now.as_secs()).unwrap_or(i64::MAX),
            tv_usec: i64::from(now.subsec_micros()),
        };
        // SAFETY: as above.
        unsafe { memory::set(tv, value) };
        Ok(0)
    })
}
