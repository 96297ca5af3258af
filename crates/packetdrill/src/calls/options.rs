//! Options and controls: `getsockopt`, `setsockopt`, `fcntl`, `ioctl`.
#![expect(unsafe_code, reason = "these are called from C")]

use std::ffi::{c_int, c_ulong, c_void};

use handwave_script::posix::Errno;
use handwave_script::posix::constants::FIONBIO;
use libc::socklen_t;

use super::sockets::ours;
use super::{answer, from_kernel, world};
use crate::interface::UserData;
use crate::memory;

// SAFETY of all functions here: packetdrill hands back the data pointer of the table, and pointers to what C's function of the
// same name takes.

pub(crate) unsafe extern "C" fn getsockopt(
    userdata: UserData,
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    len: *mut socklen_t,
) -> c_int {
    answer(|| {
        // SAFETY: as above.
        let (world, room) = unsafe { (world(userdata), memory::value(len)) };
        let (socket, room) = (ours(&world, fd)?, room.ok_or(Errno::EFAULT)?);
        let room = room.cast_signed();
        let octets =
            world.call(|inner, _| inner.posix.option_octets(socket, (level, name), room))?;
        // SAFETY: as above.
        unsafe {
            let written = memory::write(value, octets.len(), &octets)?;
            memory::set(len, socklen_t::try_from(written).unwrap_or(0));
        }
        Ok(0)
    })
}

pub(crate) unsafe extern "C" fn setsockopt(
    userdata: UserData,
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    len: socklen_t,
) -> c_int {
    answer(|| {
        // SAFETY: as above.
        let world = unsafe { world(userdata) };
        let socket = ours(&world, fd)?;
        // The kernel refuses a negative length before it looks at the pointer.
        let len = usize::try_from(len.cast_signed()).map_err(|_| Errno::EINVAL)?;
        // SAFETY: as above.
        let octets = unsafe { memory::read(value, len) }?;
        world.call(|inner, now| {
            inner
                .posix
                .set_option_octets(now, socket, (level, name), &octets)
        })?;
        Ok(0)
    })
}

pub(crate) unsafe extern "C" fn fcntl(
    userdata: UserData,
    fd: c_int,
    command: c_int,
    argument: c_ulong,
) -> c_int {
    answer(|| {
        // SAFETY: as above.
        let world = unsafe { world(userdata) };
        let Some(socket) = world.socket(fd) else {
            // SAFETY: as above; the descriptor is the program's.
            return from_kernel(i64::from(unsafe { libc::fcntl(fd, command, argument) }));
        };
        let argument = i32::try_from(argument & 0x7fff_ffff).unwrap_or(0);
        let value = world.call(|inner, _| inner.posix.fcntl(socket, command, argument))?;
        Ok(i64::from(value))
    })
}

pub(crate) unsafe extern "C" fn ioctl(
    userdata: UserData,
    fd: c_int,
    request: c_ulong,
    argument: *mut c_int,
) -> c_int {
    answer(|| {
        // SAFETY: as above.
        let world = unsafe { world(userdata) };
        let Some(socket) = world.socket(fd) else {
            // SAFETY: as above; the descriptor is the program's.
            return from_kernel(i64::from(unsafe { libc::ioctl(fd, request, argument) }));
        };
        let request = i32::try_from(request).map_err(|_| Errno::ENOTTY)?;
        // SAFETY: as above: requests for sockets take a pointer to an int.
        let asked = unsafe { memory::value(argument) }.ok_or(Errno::EFAULT)?;
        let told = world.call(|inner, _| inner.posix.ioctl(socket, request, asked))?;
        if request != FIONBIO {
            // SAFETY: as above.
            unsafe { memory::set(argument, told) };
        }
        Ok(0)
    })
}
