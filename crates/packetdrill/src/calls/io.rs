//! Reading and writing, pipes and `splice`.
#![expect(unsafe_code, reason = "these are called from C")]

use std::ffi::{c_int, c_uint, c_void};
use std::ptr;

use handwave_script::posix::{Address, Answer, Errno, Fd, Op, Received};
use libc::{iovec, msghdr, off_t, size_t, sockaddr, socklen_t, ssize_t};

use super::sockets::{address, ours};
use super::{answer, count, from_kernel, world};
use crate::interface::UserData;
use crate::memory;
use crate::world::World;

// SAFETY of all functions here: packetdrill hands back the data pointer of the table, and pointers to what C's function of the
// same name takes, as long as it says.

/// The most that one `splice` moves.
const SPLICE_MAX: usize = 65_536;

fn receive(world: &World, fd: Fd, len: usize, flags: c_int) -> Result<Received, Errno> {
    match world.wait(Op::Receive { fd, len, flags })? {
        Answer::Received(received) => Ok(received),
        _ => Err(Errno::EIO),
    }
}

fn transmit(
    world: &World,
    fd: Fd,
    data: Vec<u8>,
    (flags, to): (c_int, Option<Address>),
) -> Result<i64, Errno> {
    let op = Op::Send {
        fd,
        data,
        flags,
        to,
    };
    Ok(world.wait(op)?.value())
}

pub(crate) unsafe extern "C" fn read(
    userdata: UserData,
    fd: c_int,
    buffer: *mut c_void,
    len: size_t,
) -> ssize_t {
    answer(|| {
        // SAFETY: as above.
        let world = unsafe { world(userdata) };
        let Some(socket) = world.socket(fd) else {
            // SAFETY: as above; the descriptor is the program's.
            return from_kernel(unsafe { libc::read(fd, buffer, len) } as i64);
        };
        let received = receive(&world, socket, len, 0)?;
        // SAFETY: as above.
        unsafe { memory::write(buffer, len, &received.data) }?;
        Ok(count(received.count))
    })
}

pub(crate) unsafe extern "C" fn readv(
    userdata: UserData,
    fd: c_int,
    buffers: *const iovec,
    n: c_int,
) -> ssize_t {
    answer(|| {
        // SAFETY: as above.
        let world = unsafe { world(userdata) };
        let socket = ours(&world, fd)?;
        let n = usize::try_from(n).map_err(|_| Errno::EINVAL)?;
        // SAFETY: as above.
        let buffers = unsafe { memory::buffers(buffers, n) }?;
        let received = receive(&world, socket, memory::room(&buffers), 0)?;
        // SAFETY: as above.
        unsafe { memory::scatter(&buffers, &received.data) }?;
        Ok(count(received.count))
    })
}

pub(crate) unsafe extern "C" fn recv(
    userdata: UserData,
    fd: c_int,
    buffer: *mut c_void,
    len: size_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: as above; nobody asks for the address.
    unsafe {
        recvfrom(
            userdata,
            fd,
            buffer,
            len,
            flags,
            ptr::null_mut(),
            ptr::null_mut(),
        )
    }
}

pub(crate) unsafe extern "C" fn recvfrom(
    userdata: UserData,
    fd: c_int,
    buffer: *mut c_void,
    len: size_t,
    flags: c_int,
    from: *mut sockaddr,
    from_len: *mut socklen_t,
) -> ssize_t {
    answer(|| {
        // SAFETY: as above.
        let world = unsafe { world(userdata) };
        let received = receive(&world, ours(&world, fd)?, len, flags)?;
        // SAFETY: as above.
        unsafe {
            memory::write(buffer, len, &received.data)?;
            memory::write_address(from, from_len, received.from)?;
        }
        Ok(count(received.count))
    })
}

pub(crate) unsafe extern "C" fn recvmsg(
    userdata: UserData,
    fd: c_int,
    message: *mut msghdr,
    flags: c_int,
) -> ssize_t {
    answer(|| {
        // SAFETY: as above.
        let (world, header) = unsafe { (world(userdata), memory::value(message)) };
        let (socket, header) = (ours(&world, fd)?, header.ok_or(Errno::EFAULT)?);
        // SAFETY: as above.
        let buffers = unsafe { memory::buffers(header.msg_iov, header.msg_iovlen) }?;
        let received = receive(&world, socket, memory::room(&buffers), flags)?;
        // SAFETY: as above.
        unsafe {
            memory::scatter(&buffers, &received.data)?;
            memory::finish_message(message, received.from, &received.control, received.flags)?;
        }
        Ok(count(received.count))
    })
}

pub(crate) unsafe extern "C" fn write(
    userdata: UserData,
    fd: c_int,
    buffer: *const c_void,
    len: size_t,
) -> ssize_t {
    answer(|| {
        // SAFETY: as above.
        let world = unsafe { world(userdata) };
        let Some(socket) = world.socket(fd) else {
            // SAFETY: as above; the descriptor is the program's.
            return from_kernel(unsafe { libc::write(fd, buffer, len) } as i64);
        };
        // SAFETY: as above.
        let data = unsafe { memory::read(buffer, len) }?;
        transmit(&world, socket, data, (0, None))
    })
}

pub(crate) unsafe extern "C" fn writev(
    userdata: UserData,
    fd: c_int,
    buffers: *const iovec,
    n: c_int,
) -> ssize_t {
    answer(|| {
        // SAFETY: as above.
        let world = unsafe { world(userdata) };
        let socket = ours(&world, fd)?;
        let n = usize::try_from(n).map_err(|_| Errno::EINVAL)?;
        // SAFETY: as above.
        let data = unsafe { memory::gather(&memory::buffers(buffers, n)?) }?;
        transmit(&world, socket, data, (0, None))
    })
}

pub(crate) unsafe extern "C" fn send(
    userdata: UserData,
    fd: c_int,
    buffer: *const c_void,
    len: size_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: as above; there is no address.
    unsafe { sendto(userdata, fd, buffer, len, flags, ptr::null(), 0) }
}

pub(crate) unsafe extern "C" fn sendto(
    userdata: UserData,
    fd: c_int,
    buffer: *const c_void,
    len: size_t,
    flags: c_int,
    to: *const sockaddr,
    to_len: socklen_t,
) -> ssize_t {
    answer(|| {
        // SAFETY: as above.
        let (world, data) = unsafe { (world(userdata), memory::read(buffer, len)?) };
        let to = match to.is_null() {
            true => None,
            // SAFETY: as above.
            false => Some(unsafe { address(to, to_len) }?),
        };
        transmit(&world, ours(&world, fd)?, data, (flags, to))
    })
}

pub(crate) unsafe extern "C" fn sendmsg(
    userdata: UserData,
    fd: c_int,
    message: *const msghdr,
    flags: c_int,
) -> ssize_t {
    answer(|| {
        // SAFETY: as above.
        let (world, header) = unsafe { (world(userdata), memory::value(message)) };
        let (socket, header) = (ours(&world, fd)?, header.ok_or(Errno::EFAULT)?);
        // SAFETY: as above.
        let data = unsafe { memory::gather(&memory::buffers(header.msg_iov, header.msg_iovlen)?) }?;
        let to = match header.msg_name.is_null() {
            true => None,
            // SAFETY: as above.
            false => Some(unsafe { address(header.msg_name.cast(), header.msg_namelen) }?),
        };
        transmit(&world, socket, data, (flags, to))
    })
}

pub(crate) unsafe extern "C" fn pipe(_userdata: UserData, ends: *mut c_int) -> c_int {
    // SAFETY: as above: room for two descriptors.
    answer(|| from_kernel(i64::from(unsafe { libc::pipe(ends) })))
}

/// Moves octets between a socket of ours and one of the program's pipes.
pub(crate) unsafe extern "C" fn splice(
    userdata: UserData,
    from: c_int,
    from_at: *mut off_t,
    to: c_int,
    to_at: *mut off_t,
    len: size_t,
    flags: c_uint,
) -> ssize_t {
    answer(|| {
        // SAFETY: as above.
        let world = unsafe { world(userdata) };
        let len = len.min(SPLICE_MAX);
        match (world.socket(from), world.socket(to)) {
            (Some(_), Some(_)) => Err(Errno::EINVAL),
            (Some(socket), None) => {
                let received = receive(&world, socket, len, splice_flags(flags))?;
                let data = received.data;
                // SAFETY: our own octets.
                from_kernel(unsafe { libc::write(to, data.as_ptr().cast(), data.len()) } as i64)
            }
            (None, Some(socket)) => {
                let mut data = vec![0; len];
                // SAFETY: our own octets.
                let n = unsafe { libc::read(from, data.as_mut_ptr().cast(), data.len()) };
                let n = from_kernel(n as i64)?;
                data.truncate(usize::try_from(n).unwrap_or(0));
                transmit(&world, socket, data, (splice_flags(flags), None))
            }
            (None, None) => {
                // SAFETY: as above; both descriptors are the program's.
                from_kernel(unsafe { libc::splice(from, from_at, to, to_at, len, flags) } as i64)
            }
        }
    })
}

/// The flags of `send` and `recv` that mean what those of `splice` mean.
fn splice_flags(flags: c_uint) -> c_int {
    if flags & libc::SPLICE_F_NONBLOCK == 0 {
        0
    } else {
        libc::MSG_DONTWAIT
    }
}
