//! The library as packetdrill finds it: loaded at run time, its table filled, both sides of a connection played through it.
//!
//! Time is real here, since the library's is: these tests wait for what takes its time, and assert on order and content.
#![cfg(target_os = "linux")]
#![expect(unsafe_code, reason = "the other side of a C interface")]
#![expect(
    clippy::undocumented_unsafe_blocks,
    reason = "each call keeps the contract of the C function it names: live pointers, true lengths"
)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot unwrap has failed"
)]

use std::ffi::{CString, c_char, c_int, c_longlong, c_uint, c_ulong, c_void};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::{mem, ptr, thread};

use handwave_wire::ipv4::Ipv4Header;
use handwave_wire::{IpProtocol, SeqNum, TcpFlags, TcpHeader};
use libc::{
    AF_INET, EAGAIN, EBADF, ENOTCONN, ETIMEDOUT, F_GETFL, F_SETFL, FIONREAD, IPPROTO_TCP,
    O_NONBLOCK, POLLIN, POLLNVAL, SOCK_STREAM, SOL_SOCKET, SOL_TCP, epoll_event, iovec, msghdr,
    nfds_t, off_t, pollfd, size_t, sockaddr, sockaddr_in, socklen_t, ssize_t, timeval, timezone,
    useconds_t,
};

type User = *mut c_void;

/// The table as packetdrill declares it, `...` included.
#[repr(C)]
#[derive(Clone, Copy)]
struct Table {
    userdata: User,
    free: unsafe extern "C" fn(User),
    socket: unsafe extern "C" fn(User, c_int, c_int, c_int) -> c_int,
    bind: unsafe extern "C" fn(User, c_int, *const sockaddr, socklen_t) -> c_int,
    listen: unsafe extern "C" fn(User, c_int, c_int) -> c_int,
    accept: unsafe extern "C" fn(User, c_int, *mut sockaddr, *mut socklen_t) -> c_int,
    connect: unsafe extern "C" fn(User, c_int, *const sockaddr, socklen_t) -> c_int,
    read: unsafe extern "C" fn(User, c_int, *mut c_void, size_t) -> ssize_t,
    readv: unsafe extern "C" fn(User, c_int, *const iovec, c_int) -> ssize_t,
    recv: unsafe extern "C" fn(User, c_int, *mut c_void, size_t, c_int) -> ssize_t,
    recvfrom: unsafe extern "C" fn(
        User,
        c_int,
        *mut c_void,
        size_t,
        c_int,
        *mut sockaddr,
        *mut socklen_t,
    ) -> ssize_t,
    recvmsg: unsafe extern "C" fn(User, c_int, *mut msghdr, c_int) -> ssize_t,
    write: unsafe extern "C" fn(User, c_int, *const c_void, size_t) -> ssize_t,
    writev: unsafe extern "C" fn(User, c_int, *const iovec, c_int) -> ssize_t,
    send: unsafe extern "C" fn(User, c_int, *const c_void, size_t, c_int) -> ssize_t,
    sendto: unsafe extern "C" fn(
        User,
        c_int,
        *const c_void,
        size_t,
        c_int,
        *const sockaddr,
        socklen_t,
    ) -> ssize_t,
    sendmsg: unsafe extern "C" fn(User, c_int, *const msghdr, c_int) -> ssize_t,
    fcntl: unsafe extern "C" fn(User, c_int, c_int, ...) -> c_int,
    ioctl: unsafe extern "C" fn(User, c_int, c_ulong, ...) -> c_int,
    close: unsafe extern "C" fn(User, c_int) -> c_int,
    shutdown: unsafe extern "C" fn(User, c_int, c_int) -> c_int,
    getsockopt:
        unsafe extern "C" fn(User, c_int, c_int, c_int, *mut c_void, *mut socklen_t) -> c_int,
    setsockopt: unsafe extern "C" fn(User, c_int, c_int, c_int, *const c_void, socklen_t) -> c_int,
    poll: unsafe extern "C" fn(User, *mut pollfd, nfds_t, c_int) -> c_int,
    netdev_send: unsafe extern "C" fn(User, *const c_void, size_t) -> c_int,
    netdev_receive: unsafe extern "C" fn(User, *mut c_void, *mut size_t, *mut c_longlong) -> c_int,
    usleep: unsafe extern "C" fn(User, useconds_t) -> c_int,
    gettimeofday: unsafe extern "C" fn(User, *mut timeval, *mut timezone) -> c_int,
    epoll_create: unsafe extern "C" fn(User, c_int) -> c_int,
    epoll_ctl: unsafe extern "C" fn(User, c_int, c_int, c_int, *mut epoll_event) -> c_int,
    epoll_wait: unsafe extern "C" fn(User, c_int, *mut epoll_event, c_int, c_int) -> c_int,
    pipe: unsafe extern "C" fn(User, *mut c_int) -> c_int,
    splice:
        unsafe extern "C" fn(User, c_int, *mut off_t, c_int, *mut off_t, size_t, c_uint) -> ssize_t,
}

type Init = unsafe extern "C" fn(*const c_char, *mut Table);
type GetSockOpt = unsafe extern "C" fn(c_int, c_int, c_int, *mut c_void, *mut socklen_t) -> c_int;

/// A table, and the library it leads into.
struct Drill {
    table: Table,
    library: libloading::Library,
}

// The data pointer may be used from any thread, as packetdrill does.
unsafe impl Send for Drill {}
unsafe impl Sync for Drill {}

impl Drop for Drill {
    fn drop(&mut self) {
        unsafe { (self.table.free)(self.table.userdata) };
    }
}

const LOCAL: [u8; 4] = [192, 168, 44, 55];
const REMOTE: [u8; 4] = [192, 0, 2, 1];
const PORT: u16 = 8080;
const PEER_PORT: u16 = 40_000;

/// The library lies beside the folder of this test.
fn library() -> PathBuf {
    let name = "libhandwave_packetdrill.so";
    let mut folder = std::env::current_exe().unwrap();
    while folder.pop() {
        let path = folder.join(name);
        if path.exists() {
            return path;
        }
    }
    panic!("there is no {name} above this test");
}

fn load(flags: &str) -> Arc<Drill> {
    unsafe {
        let library = libloading::Library::new(library()).unwrap();
        let init: libloading::Symbol<'_, Init> =
            library.get(b"packetdrill_interface_init").unwrap();
        let mut table = mem::MaybeUninit::<Table>::zeroed();
        init(CString::new(flags).unwrap().as_ptr(), table.as_mut_ptr());
        let table = table.assume_init();
        Arc::new(Drill { table, library })
    }
}

fn errno() -> c_int {
    std::io::Error::last_os_error().raw_os_error().unwrap()
}

fn address(addr: [u8; 4], port: u16) -> sockaddr_in {
    sockaddr_in {
        sin_family: u16::try_from(AF_INET).unwrap(),
        sin_port: port.to_be(),
        sin_addr: libc::in_addr {
            s_addr: u32::from_ne_bytes(addr),
        },
        sin_zero: [0; 8],
    }
}

const ADDRESS_LEN: socklen_t = 16;

impl Drill {
    fn user(&self) -> User {
        self.table.userdata
    }

    fn stream(&self) -> c_int {
        let fd = unsafe { (self.table.socket)(self.user(), AF_INET, SOCK_STREAM, IPPROTO_TCP) };
        assert!(fd > 2, "{}", errno());
        fd
    }

    fn listener(&self) -> c_int {
        let fd = self.stream();
        let any = address([0; 4], PORT);
        unsafe {
            assert_eq!(
                (self.table.bind)(self.user(), fd, (&raw const any).cast(), ADDRESS_LEN),
                0
            );
            assert_eq!((self.table.listen)(self.user(), fd, 1), 0);
        }
        fd
    }

    fn write(&self, fd: c_int, data: &[u8]) -> ssize_t {
        unsafe { (self.table.write)(self.user(), fd, data.as_ptr().cast(), data.len()) }
    }

    fn read(&self, fd: c_int) -> Result<Vec<u8>, c_int> {
        let mut data = vec![0; 100];
        let n = unsafe { (self.table.read)(self.user(), fd, data.as_mut_ptr().cast(), data.len()) };
        let n = usize::try_from(n).map_err(|_| errno())?;
        data.truncate(n);
        Ok(data)
    }

    fn micros(&self) -> i64 {
        let mut now: timeval = unsafe { mem::zeroed() };
        unsafe { (self.table.gettimeofday)(self.user(), &raw mut now, ptr::null_mut()) };
        now.tv_sec * 1_000_000 + now.tv_usec
    }

    /// Puts a segment of the peer's on the wire.
    fn inject(&self, header: TcpHeader, text: &[u8]) {
        let header = TcpHeader {
            source_port: PEER_PORT,
            destination_port: PORT,
            ..header
        };
        let (from, to) = (Ipv4Addr::from(REMOTE), Ipv4Addr::from(LOCAL));
        let tcp_len = header.header_len() + text.len();
        let mut packet = vec![0; Ipv4Header::LEN + tcp_len];
        let ip = Ipv4Header {
            payload_len: u16::try_from(tcp_len).unwrap(),
            ..Ipv4Header::new(from, to, IpProtocol::TCP)
        };
        ip.emit(&mut packet);
        let segment = &mut packet[Ipv4Header::LEN..];
        segment[header.header_len()..].copy_from_slice(text);
        header.emit(segment);
        let sum = checksum(from, to, segment);
        segment[16..18].copy_from_slice(&sum.to_be_bytes());
        let sent =
            unsafe { (self.table.netdev_send)(self.user(), packet.as_ptr().cast(), packet.len()) };
        assert_eq!(sent, 0);
    }

    /// The next segment that the stack sends: when, the header's octets that matter, and the text.
    fn sniff(&self) -> Result<(i64, Sniffed), c_int> {
        let mut packet = vec![0_u8; 2_000];
        let mut len = packet.len();
        let mut micros = 0;
        let got = unsafe {
            (self.table.netdev_receive)(
                self.user(),
                packet.as_mut_ptr().cast(),
                &raw mut len,
                &raw mut micros,
            )
        };
        if got != 0 {
            return Err(errno());
        }
        packet.truncate(len);
        assert_eq!(packet[12..16], LOCAL, "the address that the peer wrote to");
        let tcp = &packet[20..];
        let word = |at: usize| u32::from_be_bytes(tcp[at..at + 4].try_into().unwrap());
        let sniffed = Sniffed {
            seq: word(4),
            ack: word(8),
            flags: tcp[13],
            text: tcp[usize::from(tcp[12] >> 4) * 4..].to_vec(),
        };
        Ok((micros, sniffed))
    }

    /// Completes a handshake in which the peer is the client; its text begins at 1, the stack's at the number returned.
    fn handshake(&self) -> u32 {
        self.inject(segment(0, 0, TcpFlags::SYN), b"");
        let (_, syn_ack) = self.sniff().unwrap();
        assert_eq!((syn_ack.flags, syn_ack.ack), (0x12, 1));
        let next = syn_ack.seq.wrapping_add(1);
        self.inject(segment(1, next, TcpFlags::ACK), b"");
        next
    }

    fn accept(&self, listener: c_int) -> c_int {
        let mut peer = address([0; 4], 0);
        let mut len = ADDRESS_LEN;
        let fd = unsafe {
            (self.table.accept)(self.user(), listener, (&raw mut peer).cast(), &raw mut len)
        };
        assert!(fd > 2, "{}", errno());
        assert_eq!(len, ADDRESS_LEN);
        assert_eq!(
            (peer.sin_addr.s_addr.to_ne_bytes(), peer.sin_port.to_be()),
            (REMOTE, PEER_PORT)
        );
        fd
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Sniffed {
    seq: u32,
    ack: u32,
    flags: u8,
    text: Vec<u8>,
}

fn segment(seq: u32, ack: u32, flags: TcpFlags) -> TcpHeader {
    TcpHeader {
        seq: SeqNum::new(seq),
        ack: SeqNum::new(ack),
        flags,
        window: 1_000,
        ..TcpHeader::default()
    }
}

fn checksum(from: Ipv4Addr, to: Ipv4Addr, segment: &[u8]) -> u16 {
    let len = u16::try_from(segment.len()).unwrap().to_be_bytes();
    let pseudo = [&from.octets()[..], &to.octets(), &[0, 6], &len, segment].concat();
    handwave_wire::checksum::internet_checksum(&pseudo)
}

#[test]
fn a_connection_from_its_handshake_to_its_end() {
    let drill = load("profile=linux");
    let listener = drill.listener();
    let next = drill.handshake();
    let fd = drill.accept(listener);

    drill.inject(segment(1, next, TcpFlags::ACK | TcpFlags::PSH), b"hello");
    assert_eq!(drill.read(fd).unwrap(), b"hello");
    assert_eq!(drill.write(fd, b"goodbye"), 7);
    let (_, ack_or_text) = drill.sniff().unwrap();
    let text = if ack_or_text.text.is_empty() {
        drill.sniff().unwrap().1
    } else {
        ack_or_text
    };
    assert_eq!(
        (text.seq, text.ack, &text.text[..]),
        (next, 6, &b"goodbye"[..])
    );

    drill.inject(segment(6, next + 7, TcpFlags::ACK), b"");
    assert_eq!(unsafe { (drill.table.close)(drill.user(), fd) }, 0);
    let (_, fin) = drill.sniff().unwrap();
    assert_eq!((fin.seq, fin.flags & 0x11), (next + 7, 0x11));
    assert_eq!(drill.read(fd), Err(EBADF));
    assert_eq!(unsafe { (drill.table.close)(drill.user(), listener) }, 0);
}

#[test]
fn calls_that_wait_are_woken_from_the_wire() {
    let drill = load("");
    let listener = drill.listener();
    let other = Arc::clone(&drill);
    let waiting = thread::spawn(move || {
        let fd = other.accept(listener);
        (fd, other.read(fd))
    });
    let next = drill.handshake();
    drill.inject(segment(1, next, TcpFlags::ACK | TcpFlags::PSH), b"woken");
    let (fd, read) = waiting.join().unwrap();
    assert_eq!(read.unwrap(), b"woken");

    let mut flags = unsafe { (drill.table.fcntl)(drill.user(), fd, F_GETFL) };
    flags |= O_NONBLOCK;
    assert_eq!(
        unsafe { (drill.table.fcntl)(drill.user(), fd, F_SETFL, flags) },
        0
    );
    assert_eq!(drill.read(fd), Err(EAGAIN));
    drill.inject(segment(6, next, TcpFlags::ACK | TcpFlags::PSH), b"more");
    let mut left: c_int = -1;
    let asked = unsafe { (drill.table.ioctl)(drill.user(), fd, FIONREAD, &raw mut left) };
    assert_eq!((asked, left), (0, 4));
}

#[test]
fn time_passes_while_nobody_calls() {
    let drill = load("seed=1");
    let _listener = drill.listener();
    let before = drill.micros();
    drill.inject(segment(0, 0, TcpFlags::SYN), b"");
    let (first, syn_ack) = drill.sniff().unwrap();
    let (second, again) = drill.sniff().unwrap();
    assert_eq!(syn_ack, again, "the SYN+ACK is sent again");
    assert!(before <= first && second <= drill.micros());
    let gap = second - first;
    assert!(
        gap >= 1_000_000,
        "one RTO lies between them, and not {gap} us"
    );
}

#[test]
fn a_wire_that_stays_silent_is_given_up() {
    let drill = load("receive_timeout=0");
    assert_eq!(drill.sniff(), Err(ETIMEDOUT));
}

#[test]
fn polls_and_options_speak_c() {
    let drill = load("");
    let listener = drill.listener();
    let next = drill.handshake();
    let mut fds = [listener, 1_000, -1].map(|fd| pollfd {
        fd,
        events: POLLIN,
        revents: 0,
    });
    let ready = unsafe { (drill.table.poll)(drill.user(), fds.as_mut_ptr(), 3, 0) };
    assert_eq!(ready, 2);
    assert_eq!(fds.map(|entry| entry.revents), [POLLIN, POLLNVAL, 0]);
    let fd = drill.accept(listener);

    let epoll = unsafe { (drill.table.epoll_create)(drill.user(), 1) };
    let mut wanted = epoll_event {
        events: 1,
        u64: 0xfeed,
    };
    let added = unsafe {
        (drill.table.epoll_ctl)(
            drill.user(),
            epoll,
            libc::EPOLL_CTL_ADD,
            fd,
            &raw mut wanted,
        )
    };
    assert_eq!(added, 0);
    drill.inject(segment(1, next, TcpFlags::ACK | TcpFlags::PSH), b"x");
    let mut found = [epoll_event { events: 0, u64: 0 }; 4];
    let n = unsafe { (drill.table.epoll_wait)(drill.user(), epoll, found.as_mut_ptr(), 4, 1_000) };
    assert_eq!((n, found[0].u64), (1, 0xfeed));

    let hook: libloading::Symbol<'_, GetSockOpt> =
        unsafe { drill.library.get(b"getsockopt") }.unwrap();
    // `struct tcp_info` begins with the state: 1 is ESTABLISHED.
    let (mut info, mut len): ([u8; 104], socklen_t) = ([0; 104], 104);
    let at = info.as_mut_ptr().cast();
    let told = unsafe { hook(fd, SOL_TCP, libc::TCP_INFO, at, &raw mut len) };
    assert_eq!((told, info[0], len), (0, 1, 104));

    let (mut mss, mut len): (c_int, socklen_t) = (0, 4);
    let at = (&raw mut mss).cast();
    let told = unsafe { hook(fd, SOL_TCP, libc::TCP_MAXSEG, at, &raw mut len) };
    // Half of the window that the peer offers, as Linux has it.
    assert_eq!((told, mss), (0, 500), "the socket is ours, and we answer");

    let mut kind: c_int = 0;
    let mut len = 4;
    let at = (&raw mut kind).cast();
    let asked = unsafe {
        (drill.table.getsockopt)(
            drill.user(),
            fd,
            SOL_SOCKET,
            libc::SO_TYPE,
            at,
            &raw mut len,
        )
    };
    assert_eq!((asked, kind, len), (0, SOCK_STREAM, 4));
}

#[test]
fn the_hook_leaves_other_sockets_to_the_kernel() {
    let drill = load("");
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let fd = std::os::fd::AsRawFd::as_raw_fd(&socket);
    let hook: libloading::Symbol<'_, GetSockOpt> =
        unsafe { drill.library.get(b"getsockopt") }.unwrap();
    let mut kind: c_int = 0;
    let mut len = 4;
    let told = unsafe {
        hook(
            fd,
            SOL_SOCKET,
            libc::SO_TYPE,
            (&raw mut kind).cast(),
            &raw mut len,
        )
    };
    assert_eq!((told, kind), (0, libc::SOCK_DGRAM));
}

#[test]
fn errors_arrive_as_errno() {
    let drill = load("");
    assert_eq!(drill.read(999), Err(EBADF));
    let fd = drill.stream();
    assert_eq!(drill.read(fd), Err(ENOTCONN));
    let bad = unsafe { (drill.table.socket)(drill.user(), 99, SOCK_STREAM, 0) };
    assert_eq!((bad, errno()), (-1, libc::EAFNOSUPPORT));
}

#[test]
fn octets_are_spliced_through_a_pipe() {
    let drill = load("");
    let listener = drill.listener();
    let next = drill.handshake();
    let fd = drill.accept(listener);
    let mut ends = [0; 2];
    assert_eq!(
        unsafe { (drill.table.pipe)(drill.user(), ends.as_mut_ptr()) },
        0
    );
    drill.inject(segment(1, next, TcpFlags::ACK | TcpFlags::PSH), b"echo");
    let splice = |from, to| unsafe {
        (drill.table.splice)(
            drill.user(),
            from,
            ptr::null_mut(),
            to,
            ptr::null_mut(),
            100,
            0,
        )
    };
    assert_eq!(splice(fd, ends[1]), 4);
    assert_eq!(splice(ends[0], fd), 4);
    let text = loop {
        let (_, sniffed) = drill.sniff().unwrap();
        if !sniffed.text.is_empty() {
            break sniffed.text;
        }
    };
    assert_eq!(text, b"echo");
}

#[test]
fn shell_lines_that_are_known_reach_the_stack_and_others_the_shell() {
    type System = unsafe extern "C" fn(*const c_char) -> c_int;
    let run = |drill: &Drill, line: &str| unsafe {
        let system: libloading::Symbol<'_, System> = drill.library.get(b"system").unwrap();
        system(CString::new(line).unwrap().as_ptr())
    };
    let buffer = |drill: &Drill| {
        let (fd, mut value, mut len): (_, c_int, socklen_t) = (drill.stream(), 0, 4);
        let (pointer, name) = ((&raw mut value).cast(), libc::SO_RCVBUF);
        let result = unsafe {
            (drill.table.getsockopt)(drill.user(), fd, SOL_SOCKET, name, pointer, &raw mut len)
        };
        assert_eq!(result, 0);
        value
    };
    let drill = load("profile=linux");
    assert_ne!(buffer(&drill), 131_000);
    let line = "sysctl -q net.ipv4.tcp_rmem=\"4096 131000 33554432\"";
    assert_eq!(run(&drill, line), 0);
    assert_eq!(buffer(&drill), 131_000);
    // packetdrill runs the first lines before it asks for a stack.
    assert_eq!(buffer(&load("profile=linux")), 131_000);
    assert_eq!(run(&drill, "exit 7"), 7 << 8);
    assert_eq!(
        run(
            &drill,
            "sysctl -q net.ipv4.tcp_rmem=\"4096 131072 33554432\""
        ),
        0
    );
}
