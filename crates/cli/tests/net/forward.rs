//! `handwave forward`: clients in one namespace, servers in another.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, UdpSocket};
use std::thread;

use crate::common::{Namespace, PATIENCE, Running, command, in_namespace, ip};

#[test]
fn flows_are_remade_and_refusals_passed_on() {
    in_namespace(&["curl", "python3"], || {
        ip("addr add 192.0.2.1/32 dev lo");
        ip("route add unreachable 198.51.100.0/24");
        let inner = Namespace::new();
        let forwarder = Running::handwave(&format!(
            "forward --tun hw0@{} --addr 10.7.0.1/24",
            inner.id()
        ));
        inner.run("ip", "route add default dev hw0");

        let listener = TcpListener::bind("192.0.2.1:80").unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1_000]).unwrap();
            stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nhello").unwrap();
        });
        assert_eq!(
            inner.run("curl", "-sS --max-time 60 http://192.0.2.1/"),
            "hello"
        );
        server.join().unwrap();

        for (url, reason) in [
            ("http://192.0.2.1:81/", "refused"),
            ("http://198.51.100.1/", "route"),
        ] {
            let script = format!("-sSv --max-time 60 {url}");
            let output = inner.command("curl", &script).output().unwrap();
            let errors = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(7), "{errors}");
            assert!(errors.contains(reason), "{url}: {errors}");
        }

        // As TFTP does it: the answer comes from a fresh port, and the client goes on there.
        let asked = UdpSocket::bind("192.0.2.1:69").unwrap();
        asked.set_read_timeout(Some(PATIENCE)).unwrap();
        let server = thread::spawn(move || {
            let (_, client) = asked.recv_from(&mut [0; 100]).unwrap();
            let fresh = UdpSocket::bind("192.0.2.1:0").unwrap();
            fresh.set_read_timeout(Some(PATIENCE)).unwrap();
            fresh.send_to(b"data", client).unwrap();
            fresh.recv_from(&mut [0; 100]).unwrap();
            fresh.send_to(b"more", client).unwrap();
        });
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("client.py");
        let text = "import socket\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.settimeout(60)\n\
                    s.sendto(b'read',('192.0.2.1',69)); d,a=s.recvfrom(9); s.sendto(b'ack',a); e,b=s.recvfrom(9)\n\
                    print(d,e,a==b)\n";
        std::fs::write(&script, text).unwrap();
        let said = inner.run("python3", &script.display().to_string());
        assert_eq!(said.trim(), "b'data' b'more' True");
        server.join().unwrap();

        forwarder.signal("TERM");
        assert_eq!(forwarder.end(), (Some(0), String::new()));
    });
}

#[test]
fn flows_of_our_own_that_come_back_are_refused() {
    in_namespace(&["curl"], || {
        let forwarder = Running::handwave("forward --addr 10.7.0.1/24");
        ip("route add 192.0.2.0/24 dev hw0");
        let output = command("curl", "-sS --max-time 60 http://192.0.2.1/")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(7), "no connection");
        forwarder.signal("TERM");
        let (code, errors) = forwarder.end();
        assert_eq!(code, Some(0));
        assert!(errors.contains("our own connection came back"), "{errors}");
    });
}
