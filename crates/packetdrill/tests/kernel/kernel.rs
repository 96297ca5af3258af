//! The calls as this machine's kernel answers them, in a network namespace of the calling thread's own.
#![expect(unsafe_code, reason = "the system calls themselves")]
#![expect(
    clippy::undocumented_unsafe_blocks,
    reason = "each call passes pointers to values of this frame, with their lengths"
)]

use std::io::Error;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::ptr;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use super::sequence::{Host, OWN, Outcome, Reply, Sys};

/// This machine's kernel.
#[derive(Debug, Default)]
pub(crate) struct Kernel {
    pending: Option<Receiver<Outcome>>,
}

/// Gives the calling thread a network of its own: a loopback interface with our MTU and two addresses.
pub(crate) fn enter_namespace() -> Result<(), String> {
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        return Err(format!("no network namespace: {}", Error::last_os_error()));
    }
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0) };
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    let named = |request: &mut libc::ifreq, name: &str| {
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes().chain([0])) {
            *to = from.cast_signed();
        }
    };
    named(&mut request, "lo");
    request.ifr_ifru.ifru_flags = i16::try_from(libc::IFF_UP).map_err(|_| "flags")?;
    ioctl(fd, libc::SIOCSIFFLAGS, &request)?;
    request.ifr_ifru.ifru_mtu = 65_535;
    ioctl(fd, libc::SIOCSIFMTU, &request)?;
    named(&mut request, "lo:1");
    let (storage, _) = encode(SocketAddr::new(OWN.into(), 0));
    request.ifr_ifru.ifru_addr = unsafe { ptr::from_ref(&storage).cast::<libc::sockaddr>().read() };
    ioctl(fd, libc::SIOCSIFADDR, &request)?;
    unsafe { libc::close(fd) };
    std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 60999")
        .map_err(|error| format!("no port range: {error}"))
}

fn ioctl(fd: i32, request: libc::Ioctl, value: &libc::ifreq) -> Result<(), String> {
    match unsafe { libc::ioctl(fd, request, ptr::from_ref(value)) } {
        0 => Ok(()),
        _ => Err(format!("ioctl {request:#x}: {}", Error::last_os_error())),
    }
}

impl Host for Kernel {
    fn run(&mut self, call: &Sys) -> Outcome {
        run(call)
    }

    fn wait(&mut self, millis: u64) {
        thread::sleep(Duration::from_millis(millis));
    }

    fn begin(&mut self, call: Sys) {
        let (sender, receiver) = channel();
        thread::spawn(move || {
            let _nobody_waits = sender.send(run(&call));
        });
        self.pending = Some(receiver);
        // The thread has to be inside the call before anything else happens.
        thread::sleep(Duration::from_millis(30));
    }

    fn end(&mut self) -> Option<Outcome> {
        self.pending
            .take()?
            .recv_timeout(Duration::from_millis(300))
            .ok()
    }
}

fn result(value: i64) -> Result<i64, i32> {
    if value >= 0 {
        return Ok(value);
    }
    Err(Error::last_os_error().raw_os_error().unwrap_or(0))
}

fn plain(value: i32) -> Outcome {
    Ok(Reply::value(result(value.into())?))
}

fn opened(fd: i32) -> Outcome {
    let fd = result(fd.into())?;
    Ok(Reply {
        opened: vec![i32::try_from(fd).unwrap()],
        ..Reply::value(fd)
    })
}

fn run(call: &Sys) -> Outcome {
    match call {
        Sys::Socket(domain, kind, protocol) => {
            opened(unsafe { libc::socket(*domain, *kind, *protocol) })
        }
        Sys::Bind(fd, at) => {
            let (storage, len) = at.map_or_else(unspecified, encode);
            plain(unsafe { libc::bind(*fd, ptr::from_ref(&storage).cast(), len) })
        }
        Sys::Listen(fd, backlog) => plain(unsafe { libc::listen(*fd, *backlog) }),
        Sys::Connect(fd, to) => {
            let (storage, len) = to.map_or_else(unspecified, encode);
            plain(unsafe { libc::connect(*fd, ptr::from_ref(&storage).cast(), len) })
        }
        Sys::Accept(fd, flags) => with_address(|address, len| {
            let fd = unsafe { libc::accept4(*fd, address, len, *flags) };
            opened(fd)
        }),
        Sys::Name(fd) => {
            with_address(|address, len| plain(unsafe { libc::getsockname(*fd, address, len) }))
        }
        Sys::Peer(fd) => {
            with_address(|address, len| plain(unsafe { libc::getpeername(*fd, address, len) }))
        }
        Sys::Send(fd, data, flags, to) => {
            let (storage, len) = to.map_or_else(unspecified, encode);
            let (to, len) = match to {
                Some(_) => (ptr::from_ref(&storage).cast(), len),
                None => (ptr::null(), 0),
            };
            let flags = flags | libc::MSG_NOSIGNAL;
            let sent =
                unsafe { libc::sendto(*fd, data.as_ptr().cast(), data.len(), flags, to, len) };
            Ok(Reply::value(result(sent as i64)?))
        }
        Sys::Receive(fd, len, flags, room) => receive(*fd, *len, *flags, *room),
        Sys::Shutdown(fd, how) => plain(unsafe { libc::shutdown(*fd, *how) }),
        Sys::Close(fd) => plain(unsafe { libc::close(*fd) }),
        Sys::Poll(fd, events, timeout) => {
            let mut entry = libc::pollfd {
                fd: *fd,
                events: i16::try_from(*events).unwrap(),
                revents: 0,
            };
            let value = result(unsafe { libc::poll(&raw mut entry, 1, *timeout) }.into())?;
            Ok(Reply {
                bits: vec![entry.revents.into()],
                ..Reply::value(value)
            })
        }
        other => run_other(other),
    }
}

fn run_other(call: &Sys) -> Outcome {
    match call {
        Sys::Set(fd, level, name, value) => {
            let len = u32::try_from(value.len()).unwrap();
            plain(unsafe { libc::setsockopt(*fd, *level, *name, value.as_ptr().cast(), len) })
        }
        Sys::Get(fd, level, name, room) => {
            let mut octets = vec![0xee_u8; 1024];
            let mut len = room.cast_unsigned();
            let value = unsafe {
                libc::getsockopt(*fd, *level, *name, octets.as_mut_ptr().cast(), &raw mut len)
            };
            let value = result(value.into())?;
            octets.truncate(len as usize);
            Ok(Reply {
                data: octets,
                ..Reply::value(value)
            })
        }
        Sys::Ioctl(fd, request, argument) => {
            let mut value = *argument;
            result(unsafe { libc::ioctl(*fd, *request as libc::Ioctl, &raw mut value) }.into())?;
            Ok(Reply::value(value.into()))
        }
        Sys::Fcntl(fd, command, argument) => {
            plain(unsafe { libc::fcntl(*fd, *command, *argument) })
        }
        Sys::EpollCreate => opened(unsafe { libc::epoll_create(1) }),
        Sys::EpollControl(epoll, command, fd, events) => {
            let mut event = libc::epoll_event {
                events: events.cast_unsigned(),
                u64: 7,
            };
            plain(unsafe { libc::epoll_ctl(*epoll, *command, *fd, &raw mut event) })
        }
        Sys::EpollWait(epoll, most, timeout) => {
            let mut events = [libc::epoll_event { events: 0, u64: 0 }; 16];
            let found = unsafe { libc::epoll_wait(*epoll, events.as_mut_ptr(), *most, *timeout) };
            let found = result(found.into())?;
            let bits = events[..usize::try_from(found).unwrap()].iter();
            Ok(Reply {
                bits: bits.map(|event| event.events.cast_signed()).collect(),
                ..Reply::value(found)
            })
        }
        Sys::Pipe => {
            let mut ends = [0; 2];
            let value = result(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_NONBLOCK) }.into())?;
            Ok(Reply {
                opened: ends.to_vec(),
                ..Reply::value(value)
            })
        }
        Sys::Splice(from, to, len, flags) => {
            let moved =
                unsafe { libc::splice(*from, ptr::null_mut(), *to, ptr::null_mut(), *len, *flags) };
            Ok(Reply::value(result(moved as i64)?))
        }
        _ => Err(libc::ENOSYS),
    }
}

fn receive(fd: i32, len: usize, flags: i32, room: usize) -> Outcome {
    let mut data = vec![0_u8; len];
    let mut control = vec![0_u64; room.div_ceil(8)];
    let mut buffer = libc::iovec {
        iov_base: data.as_mut_ptr().cast(),
        iov_len: len,
    };
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &raw mut buffer;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = room;
    let count = result(unsafe { libc::recvmsg(fd, &raw mut message, flags) } as i64)?;
    data.truncate(usize::try_from(count).unwrap());
    if flags & libc::MSG_TRUNC != 0 {
        data.clear();
    }
    let mut items = Vec::new();
    let mut item = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    while !item.is_null() {
        let header = unsafe { item.read() };
        let len = header.cmsg_len - size_of::<libc::cmsghdr>();
        let octets = unsafe { std::slice::from_raw_parts(libc::CMSG_DATA(item), len) };
        items.push((header.cmsg_level, header.cmsg_type, octets.to_vec()));
        item = unsafe { libc::CMSG_NXTHDR(&raw const message, item) };
    }
    Ok(Reply {
        data,
        flags: message.msg_flags,
        control: items,
        ..Reply::value(count)
    })
}

fn unspecified() -> (libc::sockaddr_storage, u32) {
    (unsafe { mem::zeroed() }, 16)
}

fn encode(address: SocketAddr) -> (libc::sockaddr_storage, u32) {
    let mut storage: libc::sockaddr_storage = unsafe { mem::zeroed() };
    match address.ip() {
        IpAddr::V4(ip) => {
            let inet = libc::sockaddr_in {
                sin_family: libc::AF_INET as u16,
                sin_port: address.port().to_be(),
                sin_addr: libc::in_addr {
                    s_addr: u32::from_ne_bytes(ip.octets()),
                },
                sin_zero: [0; 8],
            };
            unsafe {
                ptr::from_mut(&mut storage)
                    .cast::<libc::sockaddr_in>()
                    .write(inet)
            };
            (storage, 16)
        }
        IpAddr::V6(ip) => {
            let inet6 = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as u16,
                sin6_port: address.port().to_be(),
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr {
                    s6_addr: ip.octets(),
                },
                sin6_scope_id: 0,
            };
            unsafe {
                ptr::from_mut(&mut storage)
                    .cast::<libc::sockaddr_in6>()
                    .write(inet6)
            };
            (storage, 28)
        }
    }
}

fn with_address(call: impl FnOnce(*mut libc::sockaddr, *mut u32) -> Outcome) -> Outcome {
    let (mut storage, _) = unspecified();
    let mut len = 128;
    let reply = call(ptr::from_mut(&mut storage).cast(), &raw mut len)?;
    let address = match i32::from(storage.ss_family) {
        libc::AF_INET => {
            let inet = unsafe { ptr::from_ref(&storage).cast::<libc::sockaddr_in>().read() };
            let ip = IpAddr::from(inet.sin_addr.s_addr.to_ne_bytes());
            Some(SocketAddr::new(ip, u16::from_be(inet.sin_port)))
        }
        libc::AF_INET6 => {
            let inet6 = unsafe { ptr::from_ref(&storage).cast::<libc::sockaddr_in6>().read() };
            let ip = IpAddr::from(inet6.sin6_addr.s6_addr);
            Some(SocketAddr::new(ip, u16::from_be(inet6.sin6_port)))
        }
        _ => None,
    };
    Ok(Reply { address, ..reply })
}
