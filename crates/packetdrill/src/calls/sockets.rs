//! Opening, connecting and closing sockets.
#![expect(unsafe_code, reason = "these are called from C")]

use std::ffi::c_int;

use handwave_script::posix::{Address, Answer, Errno, Fd, Op};
use libc::{sockaddr, socklen_t};

use super::{answer, from_kernel, world};
use crate::interface::UserData;
use crate::memory;
use crate::world::World;

// SAFETY of all functions here: packetdrill hands back the data pointer of the table, and pointers to what C's function of the
// same name takes.

/// The socket of a descriptor that has to be one of ours.
pub(super) fn ours(world: &World, fd: c_int) -> Result<Fd, Errno> {
    world.socket(fd).ok_or(Errno::EBADF)
}

/// The address at `address`.
///
/// # Safety
///
/// `len` octets can be read there.
pub(super) unsafe fn address(address: *const sockaddr, len: socklen_t) -> Result<Address, Errno> {
    // SAFETY: by contract.
    let octets = unsafe { memory::read(address.cast(), len as usize) }?;
    memory::decode_address(&octets)
}

pub(crate) unsafe extern "C" fn socket(
    userdata: UserData,
    domain: c_int,
    kind: c_int,
    protocol: c_int,
) -> c_int {
    answer(|| {
        // SAFETY: as above.
        let world = unsafe { world(userdata) };
        let socket = world.call(|inner, _| inner.posix.socket(domain, kind, protocol))?;
        world.open(socket).map(i64::from)
    })
}

pub(crate) unsafe extern "C" fn bind(
    userdata: UserData,
    fd: c_int,
    to: *const sockaddr,
    len: socklen_t,
) -> c_int {
    answer(|| {
        // SAFETY: as above.
        let (world, address) = unsafe { (world(userdata), address(to, len)?) };
        let socket = ours(&world, fd)?;
        world.call(|inner, _| inner.posix.bind(socket, address))?;
        Ok(0)
    })
}

pub(crate) unsafe extern "C" fn listen(userdata: UserData, fd: c_int, backlog: c_int) -> c_int {
    answer(|| {
        // SAFETY: as above.
        let world = unsafe { world(userdata) };
        let socket = ours(&world, fd)?;
        world.call(|inner, _| inner.posix.listen(socket, backlog))?;
        Ok(0)
    })
}

pub(crate) unsafe extern "C" fn accept(
    userdata: UserData,
    fd: c_int,
    from: *mut sockaddr,
    len: *mut socklen_t,
) -> c_int {
    answer(|| {
        // SAFETY: as above.
        let world = unsafe { world(userdata) };
        let listener = ours(&world, fd)?;
        let op = Op::Accept {
            fd: listener,
            flags: 0,
        };
        let Answer::Accepted { fd: socket, peer } = world.wait(op)? else {
            return Err(Errno::EIO);
        };
        // SAFETY: as above.
        unsafe { memory::write_address(from, len, Some(peer)) }?;
        world.open(socket).map(i64::from)
    })
}

pub(crate) unsafe extern "C" fn connect(
    userdata: UserData,
    fd: c_int,
    to: *const sockaddr,
    len: socklen_t,
) -> c_int {
    answer(|| {
        // SAFETY: as above.
        let (world, to) = unsafe { (world(userdata), address(to, len)?) };
        let socket = ours(&world, fd)?;
        Ok(world.wait(Op::Connect { fd: socket, to })?.value())
    })
}

pub(crate) unsafe extern "C" fn close(userdata: UserData, fd: c_int) -> c_int {
    answer(|| {
        // SAFETY: as above.
        let world = unsafe { world(userdata) };
        match world.socket(fd) {
            Some(socket) => Ok(world.close(fd, socket)?.value()),
            // SAFETY: `close` touches no memory; the descriptor is the program's.
            None => from_kernel(i64::from(unsafe { libc::close(fd) })),
        }
    })
}

pub(crate) unsafe extern "C" fn shutdown(userdata: UserData, fd: c_int, how: c_int) -> c_int {
    answer(|| {
        // SAFETY: as above.
        let world = unsafe { world(userdata) };
        let socket = ours(&world, fd)?;
        world.call(|inner, now| inner.posix.shutdown(now, socket, how))?;
        Ok(0)
    })
}
