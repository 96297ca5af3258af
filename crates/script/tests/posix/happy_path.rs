//! One conversation from `socket` to `close`.

use crate::harness::{Side, Wire, address, server_address};
use handwave_script::posix::constants::{
    AF_INET, AF_INET6, POLLHUP, POLLIN, POLLOUT, POLLRDHUP, SHUT_WR, SO_ERROR, SOCK_STREAM,
    SOL_SOCKET,
};
use handwave_script::posix::{Answer, Call, Errno, Op, OptionValue};
use handwave_tcp::Instant;
use std::task::Poll;
use std::time::Duration;

#[test]
fn a_conversation_of_calls_that_wait() {
    let mut wire = Wire::new();
    let listener = wire.server.socket(AF_INET, SOCK_STREAM, 0).unwrap();
    let any = address("0.0.0.0:8080");
    wire.server.bind(listener, any.into()).unwrap();
    wire.server.listen(listener, 1).unwrap();
    let mut accept = Call::new(Op::Accept {
        fd: listener,
        flags: 0,
    });
    assert_eq!(wire.attempt(Side::Server, &mut accept), Poll::Pending);

    let client = wire.client.socket(AF_INET, SOCK_STREAM, 0).unwrap();
    let mut connect = Call::new(Op::Connect {
        fd: client,
        to: server_address().into(),
    });
    assert_eq!(wire.attempt(Side::Client, &mut connect), Poll::Pending);
    assert_eq!(
        wire.attempt(Side::Client, &mut connect),
        Poll::Ready(Ok(Answer::Done))
    );
    let Poll::Ready(Ok(Answer::Accepted { fd: server, peer })) =
        wire.attempt(Side::Server, &mut accept)
    else {
        panic!("nobody to accept");
    };
    assert_eq!(wire.client.local_name(client), Ok(peer));
    assert_eq!(wire.client.peer_name(client), Ok(server_address()));

    let mut read = Call::new(Op::Receive {
        fd: server,
        len: 100,
        flags: 0,
    });
    assert_eq!(wire.attempt(Side::Server, &mut read), Poll::Pending);
    assert_eq!(
        wire.send(Side::Client, client, b"hello"),
        Ok(Answer::Count(5))
    );
    let Poll::Ready(Ok(Answer::Received(text))) = wire.attempt(Side::Server, &mut read) else {
        panic!("nothing to read");
    };
    assert_eq!(text.data, b"hello");

    wire.client.shutdown(wire.now, client, SHUT_WR).unwrap();
    wire.carry();
    assert_eq!(
        wire.server.readiness(server).unwrap() & (POLLIN | POLLOUT | POLLHUP | POLLRDHUP),
        POLLIN | POLLOUT | POLLRDHUP
    );
    assert_eq!(wire.receive(Side::Server, server, 100), Ok(Vec::new()));
    wire.close(Side::Server, server);
    assert_eq!(wire.receive(Side::Client, client, 100), Ok(Vec::new()));
    wire.close(Side::Client, client);
    wire.pass(Duration::from_secs(61));
    assert_eq!(wire.client.stack().sockets().count(), 0);
}

#[test]
fn a_write_larger_than_the_buffer_waits_for_the_reader() {
    let mut wire = Wire::new();
    let (_, client, server) = wire.connected();
    wire.client.fcntl(client, 4, 0).unwrap();
    let data: Vec<u8> = (0..2_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    let mut write = Call::new(Op::Send {
        fd: client,
        data: data.clone(),
        flags: 0,
        to: None,
    });
    let mut got = Vec::new();
    let result = loop {
        let result = wire.attempt(Side::Client, &mut write);
        while let Ok(text) = wire.receive(Side::Server, server, 65_536) {
            got.extend(text);
        }
        if let Poll::Ready(result) = result {
            break result;
        }
        wire.pass(Duration::from_millis(50));
        assert!(wire.now < Instant::from_secs(60), "no end in sight");
    };
    assert_eq!(result, Ok(Answer::Count(data.len())));
    while got.len() < data.len() {
        wire.pass(Duration::from_millis(50));
        got.extend(wire.receive(Side::Server, server, 65_536).unwrap());
    }
    assert!(got == data);
}

#[test]
fn nobody_listens() {
    let mut wire = Wire::new();
    let client = wire.socket(Side::Client);
    let connect = Op::Connect {
        fd: client,
        to: server_address().into(),
    };
    assert_eq!(
        wire.call(Side::Client, connect.clone()),
        Err(Errno::EINPROGRESS)
    );
    let error = wire.client.option(client, SOL_SOCKET, SO_ERROR);
    assert_eq!(error, Ok(OptionValue::Int(Errno::ECONNREFUSED.number())));
    assert_eq!(wire.call(Side::Client, connect), Err(Errno::ECONNABORTED));
}

#[test]
fn ipv4_in_ipv6_clothes() {
    let mut wire = Wire::new();
    let listener = wire.server.socket(AF_INET6, SOCK_STREAM, 0).unwrap();
    wire.server
        .bind(listener, address("[::]:8080").into())
        .unwrap();
    wire.server.listen(listener, 1).unwrap();
    let client = wire.client.socket(AF_INET6, SOCK_STREAM, 0).unwrap();
    let mut connect = Call::new(Op::Connect {
        fd: client,
        to: address("[::ffff:192.0.2.2]:8080").into(),
    });
    assert_eq!(wire.attempt(Side::Client, &mut connect), Poll::Pending);
    let accept = Op::Accept {
        fd: listener,
        flags: 0,
    };
    let Ok(Answer::Accepted { peer, .. }) = wire.call(Side::Server, accept) else {
        panic!("nobody to accept");
    };
    assert_eq!(
        wire.client.local_name(client).unwrap().ip().to_string(),
        "::ffff:192.0.2.1"
    );
    assert_eq!(peer.ip().to_string(), "::ffff:192.0.2.1");
}
