//! Waiting for several sockets: `poll` and `epoll`.
#![expect(unsafe_code, reason = "these are called from C")]

use std::ffi::c_int;
use std::time::Duration;

use handwave_script::posix::{Answer, Errno, Op, PollFd};
use libc::{epoll_event, nfds_t, pollfd};

use super::sockets::ours;
use super::{answer, count, world};
use crate::interface::UserData;
use crate::memory;

// SAFETY of all functions here: packetdrill hands back the data pointer of the table, and pointers to what C's function of the
// same name takes.

/// Descriptors that one `poll` takes.
const POLL_MAX: usize = 1024;

/// Milliseconds, negative for ever.
fn timeout(millis: c_int) -> Option<Duration> {
    u64::try_from(millis).ok().map(Duration::from_millis)
}

pub(crate) unsafe extern "C" fn poll(
    userdata: UserData,
    fds: *mut pollfd,
    n: nfds_t,
    millis: c_int,
) -> c_int {
    answer(|| {
        // SAFETY: as above.
        let world = unsafe { world(userdata) };
        let n = usize::try_from(n).ok().filter(|&n| n <= POLL_MAX);
        let mut theirs = Vec::new();
        for at in 0..n.ok_or(Errno::EINVAL)? {
            // SAFETY: as above: `at` is below the number of structures.
            theirs.push(unsafe { memory::value(fds.wrapping_add(at)) }.ok_or(Errno::EFAULT)?);
        }
        // A descriptor that is none of ours is passed on as one that does not exist.
        let named = |fd: c_int| match world.socket(fd) {
            Some(socket) => socket,
            None if fd < 0 => fd,
            None => c_int::MAX,
        };
        let asked = theirs.iter().map(|entry| PollFd {
            fd: named(entry.fd),
            events: i32::from(entry.events),
            revents: 0,
        });
        let op = Op::Poll {
            fds: asked.collect(),
            timeout: timeout(millis),
        };
        let Answer::Polled { fds: found, ready } = world.wait(op)? else {
            return Err(Errno::EIO);
        };
        for (at, (entry, found)) in theirs.iter_mut().zip(found).enumerate() {
            entry.revents = i16::try_from(found.revents).unwrap_or(0);
            // SAFETY: as above.
            unsafe { memory::set(fds.wrapping_add(at), *entry) };
        }
        Ok(count(ready))
    })
}

pub(crate) unsafe extern "C" fn epoll_create(userdata: UserData, size: c_int) -> c_int {
    answer(|| {
        // SAFETY: as above.
        let world = unsafe { world(userdata) };
        if size <= 0 {
            return Err(Errno::EINVAL);
        }
        let epoll = world.call(|inner, _| inner.posix.epoll_create())?;
        world.open(epoll).map(i64::from)
    })
}

pub(crate) unsafe extern "C" fn epoll_ctl(
    userdata: UserData,
    epoll: c_int,
    command: c_int,
    fd: c_int,
    event: *mut epoll_event,
) -> c_int {
    answer(|| {
        // SAFETY: as above.
        let (world, event) = unsafe { (world(userdata), memory::value(event)) };
        let (epoll, socket) = (ours(&world, epoll)?, ours(&world, fd)?);
        let wanted = event.map_or((0, 0), |event| (event.events.cast_signed(), event.u64));
        world.call(|inner, _| inner.posix.epoll_ctl(epoll, command, socket, wanted))?;
        Ok(0)
    })
}

pub(crate) unsafe extern "C" fn epoll_wait(
    userdata: UserData,
    epoll: c_int,
    events: *mut epoll_event,
    max: c_int,
    millis: c_int,
) -> c_int {
    answer(|| {
        // SAFETY: as above.
        let world = unsafe { world(userdata) };
        let op = Op::EpollWait {
            fd: ours(&world, epoll)?,
            max: usize::try_from(max).map_err(|_| Errno::EINVAL)?,
            timeout: timeout(millis),
        };
        let Answer::Events(found) = world.wait(op)? else {
            return Err(Errno::EIO);
        };
        for (at, (bits, data)) in found.iter().enumerate() {
            let event = epoll_event {
                events: bits.cast_unsigned(),
                u64: *data,
            };
            // SAFETY: as above: at most `max` events were found.
            unsafe { memory::set(events.wrapping_add(at), event) };
        }
        Ok(count(found.len()))
    })
}
