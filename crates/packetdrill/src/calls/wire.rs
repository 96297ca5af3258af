//! The wire: `netdev_send`, `netdev_receive`, and the end of it all, `free`.
#![expect(unsafe_code, reason = "these are called from C")]

use std::ffi::{c_int, c_longlong, c_void};
use std::sync::Arc;

use handwave_script::posix::Errno;
use libc::size_t;

use super::{answer, world};
use crate::interface::UserData;
use crate::memory;
use crate::world::World;

// SAFETY of all functions here: packetdrill hands back the data pointer of the table, and buffers that are as long as it says.

/// Ends the stack. The data pointer is not valid afterwards.
pub(crate) unsafe extern "C" fn free(userdata: UserData) {
    // SAFETY: as above; this gives back the count that `init` took.
    let world = unsafe { Arc::from_raw(userdata.cast_const().cast::<World>()) };
    world.stop();
}

/// One IP packet from the wire.
pub(crate) unsafe extern "C" fn netdev_send(
    userdata: UserData,
    packet: *const c_void,
    len: size_t,
) -> c_int {
    answer(|| {
        // SAFETY: as above.
        let (world, packet) = unsafe { (world(userdata), memory::read(packet, len)?) };
        world.netdev_send(&packet);
        Ok(0)
    })
}

/// The next packet that the stack has sent, and when it left, in microseconds on the clock of `gettimeofday`.
pub(crate) unsafe extern "C" fn netdev_receive(
    userdata: UserData,
    packet: *mut c_void,
    len: *mut size_t,
    micros: *mut c_longlong,
) -> c_int {
    answer(|| {
        // SAFETY: as above.
        let (world, room) = unsafe { (world(userdata), memory::value(len)) };
        let room = room.ok_or(Errno::EFAULT)?;
        let (time_of_day, octets) = world.netdev_receive().ok_or(Errno::ETIMEDOUT)?;
        let time_of_day = c_longlong::try_from(time_of_day.as_micros()).unwrap_or(c_longlong::MAX);
        // SAFETY: as above.
        unsafe {
            let written = memory::write(packet, room, &octets)?;
            memory::set(len, written);
            memory::set(micros, time_of_day);
        }
        Ok(0)
    })
}
