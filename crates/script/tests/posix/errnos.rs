//! The errno of each call in each state, as programs see it on Linux.
//!
//! The same calls were made of a Linux 6.18 kernel over its loopback interface, and answered so.

use crate::harness::{PORT, Side, Wire, address, server_address};
use handwave_script::posix::constants::{
    AF_INET, AF_INET6, POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDHUP, SHUT_RD, SHUT_RDWR, SHUT_WR,
    SO_LINGER, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM, SOL_SOCKET, SOL_TCP, TCP_MD5SIG,
};
use handwave_script::posix::{Address, Answer, Errno, Op, OptionValue};
use std::time::Duration;

const BITS: i32 = POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDHUP;

#[test]
fn a_fresh_socket() {
    let mut wire = Wire::new();
    let fd = wire.socket(Side::Client);
    assert_eq!(wire.receive(Side::Client, fd, 10), Err(Errno::ENOTCONN));
    assert_eq!(wire.send(Side::Client, fd, b"x"), Err(Errno::EPIPE));
    assert_eq!(wire.client.peer_name(fd), Err(Errno::ENOTCONN));
    assert_eq!(
        wire.client.shutdown(wire.now, fd, SHUT_WR),
        Err(Errno::ENOTCONN)
    );
    let accept = Op::Accept { fd, flags: 0 };
    assert_eq!(wire.call(Side::Client, accept), Err(Errno::EINVAL));
    assert_eq!(wire.client.readiness(99), Err(Errno::EBADF));
}

#[test]
fn sockets_that_do_not_exist() {
    let mut wire = Wire::new();
    for (domain, kind, protocol, errno) in [
        (1, SOCK_STREAM, 0, Errno::EAFNOSUPPORT),
        (AF_INET, SOCK_RAW, 0, Errno::EPROTONOSUPPORT),
        (AF_INET, SOCK_STREAM, 17, Errno::EPROTONOSUPPORT),
        (AF_INET, 77, 0, Errno::EINVAL),
    ] {
        assert_eq!(wire.client.socket(domain, kind, protocol), Err(errno));
    }
}

#[test]
fn addresses_that_cannot_be_bound() {
    let mut wire = Wire::new();
    let _listener = wire.listener();
    let any = |port| address(&format!("0.0.0.0:{port}")).into();
    let fd = wire.socket(Side::Server);
    assert_eq!(wire.server.bind(fd, any(PORT)), Err(Errno::EADDRINUSE));
    let foreign = address("198.51.100.1:80").into();
    assert_eq!(wire.server.bind(fd, foreign), Err(Errno::EADDRNOTAVAIL));
    let v6 = address("[::]:80").into();
    assert_eq!(wire.server.bind(fd, v6), Err(Errno::EAFNOSUPPORT));
    assert_eq!(wire.server.bind(fd, any(81)), Ok(()));
    assert_eq!(wire.server.bind(fd, any(82)), Err(Errno::EINVAL), "bound");
}

#[test]
fn an_opening_connection() {
    let mut wire = Wire::new();
    wire.cut = true;
    let fd = wire.socket(Side::Client);
    let to = server_address().into();
    let connect = Op::Connect { fd, to };
    assert_eq!(
        wire.call(Side::Client, connect.clone()),
        Err(Errno::EINPROGRESS)
    );
    assert_eq!(wire.call(Side::Client, connect), Err(Errno::EALREADY));
    assert_eq!(wire.receive(Side::Client, fd, 10), Err(Errno::EAGAIN));
    assert_eq!(wire.send(Side::Client, fd, b"x"), Err(Errno::EAGAIN));
    assert_eq!(wire.client.peer_name(fd), Err(Errno::ENOTCONN));
    assert_eq!(wire.client.readiness(fd).unwrap() & BITS, 0);
    wire.pass(Duration::from_secs(300));
    assert_eq!(
        wire.client.readiness(fd).unwrap() & (POLLERR | POLLHUP),
        POLLERR | POLLHUP
    );
    assert_eq!(wire.receive(Side::Client, fd, 10), Err(Errno::ETIMEDOUT));
}

#[test]
fn a_connection_that_stands() {
    let mut wire = Wire::new();
    let (listener, client, _) = wire.connected();
    let to = server_address().into();
    let connect = Op::Connect { fd: client, to };
    assert_eq!(wire.call(Side::Client, connect), Err(Errno::EISCONN));
    assert_eq!(wire.receive(Side::Client, client, 10), Err(Errno::EAGAIN));
    assert_eq!(wire.client.readiness(client).unwrap() & BITS, POLLOUT);
    assert_eq!(wire.client.listen(client, 1), Err(Errno::EINVAL));
    let connect = Op::Connect { fd: listener, to };
    assert_eq!(wire.call(Side::Server, connect), Err(Errno::EISCONN));
    assert_eq!(wire.send(Side::Server, listener, b"x"), Err(Errno::EPIPE));
    let got = wire.receive(Side::Server, listener, 10);
    assert_eq!(got, Err(Errno::ENOTCONN));
}

#[test]
fn after_a_reset_the_error_is_told_once() {
    let mut wire = Wire::new();
    let (_, client, server) = wire.connected();
    let hard = OptionValue::Linger(Some(Duration::ZERO));
    wire.server
        .set_option(wire.now, server, (SOL_SOCKET, SO_LINGER), &hard)
        .unwrap();
    wire.send(Side::Server, server, b"last words").unwrap();
    wire.close(Side::Server, server);
    assert_eq!(
        wire.client.readiness(client).unwrap() & BITS,
        POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDHUP
    );
    let last = wire.receive(Side::Client, client, 100);
    assert_eq!(last, Ok(b"last words".to_vec()));
    assert_eq!(
        wire.receive(Side::Client, client, 9),
        Err(Errno::ECONNRESET)
    );
    assert_eq!(wire.receive(Side::Client, client, 9), Ok(Vec::new()));
    assert_eq!(wire.send(Side::Client, client, b"x"), Err(Errno::EPIPE));
    assert_eq!(wire.client.peer_name(client), Err(Errno::ENOTCONN));
}

#[test]
fn what_was_not_read_resets_the_peer() {
    let mut wire = Wire::new();
    let (_, client, server) = wire.connected();
    wire.send(Side::Client, client, b"unread").unwrap();
    wire.close(Side::Server, server);
    assert_eq!(
        wire.send(Side::Client, client, b"x"),
        Err(Errno::ECONNRESET)
    );
    assert_eq!(wire.send(Side::Client, client, b"x"), Err(Errno::EPIPE));
}

#[test]
fn halves_that_are_shut() {
    let mut wire = Wire::new();
    let (_, client, server) = wire.connected();
    assert_eq!(
        wire.client.shutdown(wire.now, client, 9),
        Err(Errno::EINVAL)
    );
    wire.client.shutdown(wire.now, client, SHUT_WR).unwrap();
    wire.carry();
    assert_eq!(wire.send(Side::Client, client, b"x"), Err(Errno::EPIPE));
    wire.send(Side::Server, server, b"still heard").unwrap();
    let heard = wire.receive(Side::Client, client, 100);
    assert_eq!(heard, Ok(b"still heard".to_vec()));
    wire.server.shutdown(wire.now, server, SHUT_RD).unwrap();
    assert_eq!(wire.receive(Side::Server, server, 9), Ok(Vec::new()));
    wire.server.shutdown(wire.now, server, SHUT_RDWR).unwrap();
    wire.carry();
    assert_eq!(
        wire.server.shutdown(wire.now, server, SHUT_RDWR),
        Err(Errno::ENOTCONN)
    );
}

#[test]
fn datagrams_and_options_that_are_not_offered() {
    let mut wire = Wire::new();
    let fd = wire.client.socket(AF_INET6, SOCK_DGRAM, 0).unwrap();
    assert_eq!(wire.send(Side::Client, fd, b"x"), Err(Errno::EDESTADDRREQ));
    assert_eq!(wire.client.listen(fd, 1), Err(Errno::EOPNOTSUPP));
    let send = Op::Send {
        fd,
        data: vec![0; 70_000],
        flags: 0,
        to: Some(Address::Inet(address("[2001:db8::2]:53"))),
    };
    assert_eq!(wire.call(Side::Client, send), Err(Errno::EMSGSIZE));
    let stream = wire.socket(Side::Client);
    let md5 = wire.client.option(stream, SOL_TCP, TCP_MD5SIG);
    assert_eq!(md5, Err(Errno::ENOPROTOOPT));
    let close = Op::Close { fd };
    assert_eq!(wire.call(Side::Client, close.clone()), Ok(Answer::Done));
    assert_eq!(wire.call(Side::Client, close), Err(Errno::EBADF));
}
