//! System calls as a script makes them: any number for any argument, an errno for whatever goes wrong.
#![allow(
    unsafe_code,
    reason = "a script passes what a C program could pass, for which there are no safe functions"
)]

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::ptr::{from_mut, from_ref, null, null_mut};

use handwave_script::posix::{
    Address, Control, Errno, Fd, LinuxTcpInfo, OptionValue, PollFd, Received,
};
use libc::{c_int, c_void, socklen_t};

type Result<T> = std::result::Result<T, Errno>;

/// Room for ancillary data.
const CONTROL_LEN: usize = 1024;
/// The longest value of an option.
const OPTION_LEN: usize = 512;

/// The result of a call that returns -1 for an error.
fn checked(result: impl Into<i64>) -> Result<i64> {
    let result = result.into();
    if result >= 0 {
        return Ok(result);
    }
    let number = io::Error::last_os_error().raw_os_error().unwrap_or(0);
    Err(Errno::by_number(number).unwrap_or(Errno::EIO))
}

fn checked_int(result: c_int) -> Result<c_int> {
    checked(result).map(|value| c_int::try_from(value).unwrap_or(c_int::MAX))
}

fn len_of<T>() -> socklen_t {
    socklen_t::try_from(size_of::<T>()).unwrap_or(socklen_t::MAX)
}

/// An address as C has it.
struct RawAddress {
    storage: libc::sockaddr_storage,
    len: socklen_t,
}

impl RawAddress {
    fn empty() -> Self {
        Self {
            // SAFETY: all-zero octets are a valid `sockaddr_storage`.
            storage: unsafe { zeroed() },
            len: len_of::<libc::sockaddr_storage>(),
        }
    }

    fn new(address: Address) -> Self {
        let mut raw = Self::empty();
        match address {
            Address::Unspecified => {
                raw.storage.ss_family = libc::sa_family_t::try_from(libc::AF_UNSPEC).unwrap_or(0);
                raw.len = len_of::<libc::sockaddr_in>();
            }
            Address::Inet(SocketAddr::V4(v4)) => raw.put(libc::sockaddr_in {
                sin_family: libc::sa_family_t::try_from(libc::AF_INET).unwrap_or(0),
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr {
                    s_addr: u32::from_ne_bytes(v4.ip().octets()),
                },
                sin_zero: [0; 8],
            }),
            Address::Inet(SocketAddr::V6(v6)) => raw.put(libc::sockaddr_in6 {
                sin6_family: libc::sa_family_t::try_from(libc::AF_INET6).unwrap_or(0),
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: v6.flowinfo(),
                sin6_addr: libc::in6_addr {
                    s6_addr: v6.ip().octets(),
                },
                sin6_scope_id: v6.scope_id(),
            }),
        }
        raw
    }

    /// Stores one of the address structs, all of which fit and may stand where the storage stands.
    fn put<T: Copy>(&mut self, address: T) {
        assert!(size_of::<T>() <= size_of::<libc::sockaddr_storage>());
        // SAFETY: the storage is large enough, aligned for every address struct, and ours alone.
        unsafe { from_mut(&mut self.storage).cast::<T>().write(address) };
        self.len = len_of::<T>();
    }

    const fn pointer(&self) -> *const libc::sockaddr {
        from_ref(&self.storage).cast()
    }

    const fn pointer_mut(&mut self) -> *mut libc::sockaddr {
        from_mut(&mut self.storage).cast()
    }

    fn get(&self) -> Option<SocketAddr> {
        match c_int::from(self.storage.ss_family) {
            libc::AF_INET if self.len >= len_of::<libc::sockaddr_in>() => {
                // SAFETY: the family says which struct stands there, and the length that all of it does.
                let v4: libc::sockaddr_in =
                    unsafe { from_ref(&self.storage).cast::<libc::sockaddr_in>().read() };
                let ip = IpAddr::from(v4.sin_addr.s_addr.to_ne_bytes());
                match ip {
                    IpAddr::V4(ip) => Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into()),
                    IpAddr::V6(_) => None,
                }
            }
            libc::AF_INET6 if self.len >= len_of::<libc::sockaddr_in6>() => {
                // SAFETY: the family says which struct stands there, and the length that all of it does.
                let v6: libc::sockaddr_in6 =
                    unsafe { from_ref(&self.storage).cast::<libc::sockaddr_in6>().read() };
                let port = u16::from_be(v6.sin6_port);
                Some(
                    SocketAddrV6::new(
                        v6.sin6_addr.s6_addr.into(),
                        port,
                        v6.sin6_flowinfo,
                        v6.sin6_scope_id,
                    )
                    .into(),
                )
            }
            _ => None,
        }
    }
}

pub(crate) fn socket(domain: i32, kind: i32, protocol: i32) -> Result<Fd> {
    // SAFETY: takes three numbers and touches no memory.
    checked_int(unsafe { libc::socket(domain, kind, protocol) })
}

pub(crate) fn bind(fd: Fd, to: Address) -> Result<()> {
    let raw = RawAddress::new(to);
    // SAFETY: the pointer is to so many readable octets.
    checked(unsafe { libc::bind(fd, raw.pointer(), raw.len) }).map(drop)
}

pub(crate) fn listen(fd: Fd, backlog: i32) -> Result<()> {
    // SAFETY: takes two numbers and touches no memory.
    checked(unsafe { libc::listen(fd, backlog) }).map(drop)
}

pub(crate) fn connect(fd: Fd, to: Address) -> Result<()> {
    let raw = RawAddress::new(to);
    // SAFETY: the pointer is to so many readable octets.
    checked(unsafe { libc::connect(fd, raw.pointer(), raw.len) }).map(drop)
}

pub(crate) fn accept(fd: Fd, flags: i32) -> Result<(Fd, Option<SocketAddr>)> {
    let mut raw = RawAddress::empty();
    let mut len = raw.len;
    // SAFETY: the pointer is to `len` writable octets, and `len` is writable too.
    let result = unsafe { libc::accept4(fd, raw.pointer_mut(), &raw mut len, flags) };
    let accepted = checked_int(result)?;
    raw.len = len;
    Ok((accepted, raw.get()))
}

pub(crate) fn shutdown(fd: Fd, how: i32) -> Result<()> {
    // SAFETY: takes two numbers and touches no memory.
    checked(unsafe { libc::shutdown(fd, how) }).map(drop)
}

pub(crate) fn close(fd: Fd) -> Result<()> {
    // SAFETY: the caller passes descriptors that the script has opened, which nothing else here uses.
    checked(unsafe { libc::close(fd) }).map(drop)
}

pub(crate) fn send(fd: Fd, data: &[u8], flags: i32, to: Option<Address>) -> Result<usize> {
    let raw = to.map(RawAddress::new);
    let (pointer, len) = raw
        .as_ref()
        .map_or((null(), 0), |raw| (raw.pointer(), raw.len));
    // SAFETY: both pointers are to as many readable octets as the lengths behind them say; no address goes with length 0.
    let result = unsafe { libc::sendto(fd, data.as_ptr().cast(), data.len(), flags, pointer, len) };
    let sent = checked(i64::try_from(result).unwrap_or(-1))?;
    Ok(usize::try_from(sent).unwrap_or(0))
}

/// Ancillary data begins at addresses such as those of `size_t`.
#[repr(align(16))]
struct ControlRoom([u8; CONTROL_LEN]);

pub(crate) fn receive(fd: Fd, len: usize, flags: i32) -> Result<Received> {
    let mut data = vec![0_u8; len];
    let mut control = ControlRoom([0; CONTROL_LEN]);
    let mut name = RawAddress::empty();
    let mut vector = libc::iovec {
        iov_base: data.as_mut_ptr().cast(),
        iov_len: data.len(),
    };
    // SAFETY: all-zero octets are a valid `msghdr`: no name, no buffers, no control.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_name = name.pointer_mut().cast();
    message.msg_namelen = name.len;
    message.msg_iov = &raw mut vector;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = CONTROL_LEN;
    // SAFETY: every pointer of the message is to as many writable octets as the length beside it says.
    let result = unsafe { libc::recvmsg(fd, &raw mut message, flags) };
    let count = checked(i64::try_from(result).unwrap_or(-1))?;
    let count = usize::try_from(count).unwrap_or(0);
    data.truncate(count);
    name.len = message.msg_namelen;
    Ok(Received {
        count,
        data,
        from: (message.msg_namelen > 0).then(|| name.get()).flatten(),
        flags: message.msg_flags,
        control: controls(&message),
    })
}

/// The ancillary data that `recvmsg` has stored.
fn controls(message: &libc::msghdr) -> Vec<Control> {
    let mut found = Vec::new();
    // SAFETY: the control buffer and its length are those that `recvmsg` has filled in.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !header.is_null() {
        // SAFETY: not null, so it is to a whole header within the control buffer.
        let item = unsafe { header.read() };
        // SAFETY: as above; the data begin behind the header.
        let data = unsafe { libc::CMSG_DATA(header) };
        match (item.cmsg_level, item.cmsg_type) {
            (libc::SOL_TCP, libc::TCP_INQ) => {
                // SAFETY: the kernel stores an int under this name.
                let octets = unsafe { data.cast::<c_int>().read_unaligned() };
                found.push(Control::Inq(octets));
            }
            (level @ (libc::SOL_IP | libc::SOL_IPV6), libc::IP_RECVERR | libc::IPV6_RECVERR) => {
                // SAFETY: the kernel stores this struct under these names.
                let error = unsafe { data.cast::<libc::sock_extended_err>().read_unaligned() };
                found.push(Control::Error {
                    ipv6: level == libc::SOL_IPV6,
                    errno: error.ee_errno.cast_signed(),
                    origin: error.ee_origin,
                    kind: error.ee_type,
                    code: error.ee_code,
                    info: error.ee_info,
                    data: error.ee_data,
                    offender: None,
                });
            }
            _ => {}
        }
        // SAFETY: both belong to the message that `recvmsg` has filled in.
        header = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
    found
}

/// `read` of something that is no socket.
pub(crate) fn read(fd: Fd, len: usize) -> Result<Vec<u8>> {
    let mut data = vec![0_u8; len];
    // SAFETY: the pointer is to so many writable octets.
    let result = unsafe { libc::read(fd, data.as_mut_ptr().cast(), data.len()) };
    let count = checked(i64::try_from(result).unwrap_or(-1))?;
    data.truncate(usize::try_from(count).unwrap_or(0));
    Ok(data)
}

pub(crate) fn option(fd: Fd, level: i32, name: i32) -> Result<OptionValue> {
    let mut value = [0_u8; OPTION_LEN];
    let mut len = len_of::<[u8; OPTION_LEN]>();
    // SAFETY: the pointer is to `len` writable octets, and `len` is writable too.
    let result = unsafe {
        libc::getsockopt(
            fd,
            level,
            name,
            value.as_mut_ptr().cast::<c_void>(),
            &raw mut len,
        )
    };
    checked(result)?;
    let len = usize::try_from(len).unwrap_or(0);
    let octets = value.get(..len).unwrap_or(&value);
    if (level, name) == (libc::SOL_TCP, libc::TCP_INFO) {
        return Ok(OptionValue::Info(LinuxTcpInfo::decode(octets)));
    }
    let has_no_form = level == libc::SOL_TCP && len > 4 && name != libc::TCP_CONGESTION;
    if has_no_form {
        return Ok(OptionValue::Octets(octets.to_vec()));
    }
    OptionValue::decode(level, name, octets)
}

pub(crate) fn set_option(fd: Fd, name: (i32, i32), value: &OptionValue) -> Result<()> {
    set_option_octets(fd, name, &value.encode())
}

pub(crate) fn pipe(flags: i32) -> Result<(Fd, Fd)> {
    let mut ends = [0; 2];
    // SAFETY: the pointer is to two writable ints.
    checked_int(unsafe { libc::pipe2(ends.as_mut_ptr(), flags) })?;
    Ok((ends[0], ends[1]))
}

pub(crate) fn open_zeros() -> Result<Fd> {
    // SAFETY: the name is a C string.
    checked_int(unsafe { libc::open(c"/dev/zero".as_ptr(), libc::O_RDONLY) })
}

pub(crate) fn splice(from: Fd, to: Fd, len: usize, flags: i32) -> Result<usize> {
    let (no_offset, flags) = (null_mut(), flags.cast_unsigned());
    // SAFETY: no offsets are named, so no memory is touched.
    let moved = unsafe { libc::splice(from, no_offset, to, no_offset, len, flags) };
    let moved = checked(i64::try_from(moved).unwrap_or(-1))?;
    Ok(usize::try_from(moved).unwrap_or(0))
}

pub(crate) fn set_option_octets(fd: Fd, (level, name): (i32, i32), octets: &[u8]) -> Result<()> {
    let len = socklen_t::try_from(octets.len()).unwrap_or(0);
    // SAFETY: the pointer is to so many readable octets.
    checked(unsafe { libc::setsockopt(fd, level, name, octets.as_ptr().cast(), len) }).map(drop)
}

pub(crate) fn local_name(fd: Fd) -> Result<SocketAddr> {
    let mut raw = RawAddress::empty();
    let mut len = raw.len;
    // SAFETY: the pointer is to `len` writable octets, and `len` is writable too.
    checked(unsafe { libc::getsockname(fd, raw.pointer_mut(), &raw mut len) })?;
    raw.len = len;
    raw.get().ok_or(Errno::EAFNOSUPPORT)
}

pub(crate) fn peer_name(fd: Fd) -> Result<SocketAddr> {
    let mut raw = RawAddress::empty();
    let mut len = raw.len;
    // SAFETY: the pointer is to `len` writable octets, and `len` is writable too.
    checked(unsafe { libc::getpeername(fd, raw.pointer_mut(), &raw mut len) })?;
    raw.len = len;
    raw.get().ok_or(Errno::EAFNOSUPPORT)
}

pub(crate) fn fcntl(fd: Fd, command: i32, argument: i32) -> Result<i32> {
    // SAFETY: the commands that scripts know take a number; one that took a pointer would find none there.
    checked_int(unsafe { libc::fcntl(fd, command, argument) })
}

pub(crate) fn ioctl(fd: Fd, request: i32, argument: i32) -> Result<i32> {
    let mut stored = argument;
    let request = libc::c_ulong::from(request.cast_unsigned());
    // SAFETY: the requests that scripts know read or store an int.
    checked(unsafe { libc::ioctl(fd, request, &raw mut stored) })?;
    Ok(stored)
}

pub(crate) fn poll(fds: &[PollFd], timeout: i32) -> Result<(Vec<PollFd>, usize)> {
    let short = |bits: i32| i16::try_from(bits).unwrap_or(0);
    let mut raw: Vec<libc::pollfd> = fds
        .iter()
        .map(|fd| libc::pollfd {
            fd: fd.fd,
            events: short(fd.events),
            revents: 0,
        })
        .collect();
    let count = libc::nfds_t::try_from(raw.len()).unwrap_or(0);
    // SAFETY: the pointer is to so many writable structs.
    let ready = checked_int(unsafe { libc::poll(raw.as_mut_ptr(), count, timeout) })?;
    let answered = fds.iter().zip(&raw).map(|(fd, raw)| PollFd {
        revents: raw.revents.into(),
        ..*fd
    });
    Ok((answered.collect(), usize::try_from(ready).unwrap_or(0)))
}

pub(crate) fn epoll_create() -> Result<Fd> {
    // SAFETY: takes a number and touches no memory.
    checked_int(unsafe { libc::epoll_create1(0) })
}

pub(crate) fn epoll_ctl(epoll: Fd, command: i32, fd: Fd, (events, data): (i32, u64)) -> Result<()> {
    let mut event = libc::epoll_event {
        events: events.cast_unsigned(),
        u64: data,
    };
    // SAFETY: the pointer is to a readable event.
    checked(unsafe { libc::epoll_ctl(epoll, command, fd, &raw mut event) }).map(drop)
}

pub(crate) fn epoll_wait(epoll: Fd, max: usize, timeout: i32) -> Result<Vec<(i32, u64)>> {
    let mut events = vec![libc::epoll_event { events: 0, u64: 0 }; max];
    let most = c_int::try_from(max).unwrap_or(c_int::MAX);
    let pointer = if max == 0 {
        null_mut()
    } else {
        events.as_mut_ptr()
    };
    // SAFETY: the pointer is to `max` writable events.
    let ready = checked_int(unsafe { libc::epoll_wait(epoll, pointer, most, timeout) })?;
    events.truncate(usize::try_from(ready).unwrap_or(0));
    Ok(events
        .iter()
        .map(|event| (event.events.cast_signed(), event.u64))
        .collect())
}

/// Puts this thread, and those it starts, in front of all that do not ask for the same; whether that was allowed.
pub(crate) fn hurry() -> bool {
    let priority = libc::sched_param { sched_priority: 10 };
    // SAFETY: the pointer is to a readable struct; 0 means this thread.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const priority) };
    result == 0
}

/// Gives this thread, and those it starts from here on, a network namespace of its own.
pub(crate) fn leave_network() -> Result<()> {
    // SAFETY: takes a number; what changes is which network later calls of this thread see.
    checked(unsafe { libc::unshare(libc::CLONE_NEWNET) }).map(drop)
}
