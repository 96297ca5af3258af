//! The table of functions, in packetdrill's order, and the entry point that fills it.

use std::ffi::{CStr, c_char, c_int, c_longlong, c_uint, c_ulong, c_void};
use std::sync::Arc;

use libc::{
    epoll_event, iovec, msghdr, nfds_t, off_t, pollfd, size_t, sockaddr, socklen_t, ssize_t,
    timeval, timezone, useconds_t,
};

use crate::calls::{clock, io, options, polling, sockets, wire};
use crate::flags::Flags;
use crate::hook;
use crate::world::World;

/// What each function gets first: the data pointer of the table.
pub(crate) type UserData = *mut c_void;

/// `struct packetdrill_interface`: a data pointer and 32 functions.
///
/// `fcntl` and `ioctl` are variadic in C. Their callers pass one more argument at most, and pass it where a function of
/// fixed arity looks for it, on x86-64 and on 64-bit Arm alike.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct PacketdrillInterface {
    userdata: UserData,
    free: unsafe extern "C" fn(UserData),
    socket: unsafe extern "C" fn(UserData, c_int, c_int, c_int) -> c_int,
    bind: unsafe extern "C" fn(UserData, c_int, *const sockaddr, socklen_t) -> c_int,
    listen: unsafe extern "C" fn(UserData, c_int, c_int) -> c_int,
    accept: unsafe extern "C" fn(UserData, c_int, *mut sockaddr, *mut socklen_t) -> c_int,
    connect: unsafe extern "C" fn(UserData, c_int, *const sockaddr, socklen_t) -> c_int,
    read: unsafe extern "C" fn(UserData, c_int, *mut c_void, size_t) -> ssize_t,
    readv: unsafe extern "C" fn(UserData, c_int, *const iovec, c_int) -> ssize_t,
    recv: unsafe extern "C" fn(UserData, c_int, *mut c_void, size_t, c_int) -> ssize_t,
    recvfrom: unsafe extern "C" fn(
        UserData,
        c_int,
        *mut c_void,
        size_t,
        c_int,
        *mut sockaddr,
        *mut socklen_t,
    ) -> ssize_t,
    recvmsg: unsafe extern "C" fn(UserData, c_int, *mut msghdr, c_int) -> ssize_t,
    write: unsafe extern "C" fn(UserData, c_int, *const c_void, size_t) -> ssize_t,
    writev: unsafe extern "C" fn(UserData, c_int, *const iovec, c_int) -> ssize_t,
    send: unsafe extern "C" fn(UserData, c_int, *const c_void, size_t, c_int) -> ssize_t,
    sendto: unsafe extern "C" fn(
        UserData,
        c_int,
        *const c_void,
        size_t,
        c_int,
        *const sockaddr,
        socklen_t,
    ) -> ssize_t,
    sendmsg: unsafe extern "C" fn(UserData, c_int, *const msghdr, c_int) -> ssize_t,
    fcntl: unsafe extern "C" fn(UserData, c_int, c_int, c_ulong) -> c_int,
    ioctl: unsafe extern "C" fn(UserData, c_int, c_ulong, *mut c_int) -> c_int,
    close: unsafe extern "C" fn(UserData, c_int) -> c_int,
    shutdown: unsafe extern "C" fn(UserData, c_int, c_int) -> c_int,
    getsockopt:
        unsafe extern "C" fn(UserData, c_int, c_int, c_int, *mut c_void, *mut socklen_t) -> c_int,
    setsockopt:
        unsafe extern "C" fn(UserData, c_int, c_int, c_int, *const c_void, socklen_t) -> c_int,
    poll: unsafe extern "C" fn(UserData, *mut pollfd, nfds_t, c_int) -> c_int,
    netdev_send: unsafe extern "C" fn(UserData, *const c_void, size_t) -> c_int,
    netdev_receive:
        unsafe extern "C" fn(UserData, *mut c_void, *mut size_t, *mut c_longlong) -> c_int,
    usleep: unsafe extern "C" fn(UserData, useconds_t) -> c_int,
    gettimeofday: unsafe extern "C" fn(UserData, *mut timeval, *mut timezone) -> c_int,
    epoll_create: unsafe extern "C" fn(UserData, c_int) -> c_int,
    epoll_ctl: unsafe extern "C" fn(UserData, c_int, c_int, c_int, *mut epoll_event) -> c_int,
    epoll_wait: unsafe extern "C" fn(UserData, c_int, *mut epoll_event, c_int, c_int) -> c_int,
    pipe: unsafe extern "C" fn(UserData, *mut c_int) -> c_int,
    splice: unsafe extern "C" fn(
        UserData,
        c_int,
        *mut off_t,
        c_int,
        *mut off_t,
        size_t,
        c_uint,
    ) -> ssize_t,
}

/// Starts a stack with the settings in `flags` and fills the table at `interface`.
///
/// C gives no way to say that the settings are wrong: the process ends with exit code 3, and a line that says why.
///
/// # Safety
///
/// `flags` is null or a C string; `interface` has room for a [`PacketdrillInterface`].
#[expect(unsafe_code, reason = "the symbol that packetdrill looks up")]
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn packetdrill_interface_init(
    flags: *const c_char,
    interface: *mut PacketdrillInterface,
) {
    let text = if flags.is_null() {
        String::new()
    } else {
        // SAFETY: not null, so a C string by contract.
        let text = unsafe { CStr::from_ptr(flags) };
        text.to_string_lossy().into_owned()
    };
    let world = match Flags::parse(&text).and_then(World::start) {
        Ok(world) => world,
        Err(why) => {
            eprintln!("handwave: --so_flags={text}: {why}");
            std::process::exit(3);
        }
    };
    hook::register(&world);
    let table = table(Arc::into_raw(world).cast_mut().cast());
    // SAFETY: the caller has room for the table there.
    unsafe { interface.write(table) };
}

fn table(userdata: UserData) -> PacketdrillInterface {
    PacketdrillInterface {
        userdata,
        free: wire::free,
        socket: sockets::socket,
        bind: sockets::bind,
        listen: sockets::listen,
        accept: sockets::accept,
        connect: sockets::connect,
        read: io::read,
        readv: io::readv,
        recv: io::recv,
        recvfrom: io::recvfrom,
        recvmsg: io::recvmsg,
        write: io::write,
        writev: io::writev,
        send: io::send,
        sendto: io::sendto,
        sendmsg: io::sendmsg,
        fcntl: options::fcntl,
        ioctl: options::ioctl,
        close: sockets::close,
        shutdown: sockets::shutdown,
        getsockopt: options::getsockopt,
        setsockopt: options::setsockopt,
        poll: polling::poll,
        netdev_send: wire::netdev_send,
        netdev_receive: wire::netdev_receive,
        usleep: clock::usleep,
        gettimeofday: clock::gettimeofday,
        epoll_create: polling::epoll_create,
        epoll_ctl: polling::epoll_ctl,
        epoll_wait: polling::epoll_wait,
        pipe: io::pipe,
        splice: io::splice,
    }
}
