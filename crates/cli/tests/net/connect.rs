//! `handwave connect`, with the kernel as the server.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Stdio;
use std::thread;

use crate::common::{HANDWAVE, command, handwave, in_namespace, octets};

const ARGUMENTS: &str = "--addr 10.7.0.1/24 --addr fd07::1/64";

#[test]
fn the_kernel_as_server_gets_all_and_answers() {
    in_namespace(&[], || {
        let listener = TcpListener::bind("[::]:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (question, answer) = (octets(3 << 20), octets(2 << 20));
        let (expected, reply) = (question.clone(), answer.clone());
        let server = thread::spawn(move || {
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().unwrap();
                let mut got = Vec::new();
                stream.read_to_end(&mut got).unwrap();
                assert!(got == expected, "the server got other octets");
                stream.write_all(&reply).unwrap();
            }
        });
        for host in ["10.7.0.2", "[fd07::2]"] {
            let mut child = command(HANDWAVE, &format!("connect {host}:{port} {ARGUMENTS}"))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut stdin = child.stdin.take().unwrap();
            let question = question.clone();
            let writer = thread::spawn(move || stdin.write_all(&question).unwrap());
            let output = child.wait_with_output().unwrap();
            writer.join().unwrap();
            assert!(output.status.success());
            assert!(
                output.stdout == answer,
                "the client got other octets from {host}"
            );
        }
        server.join().unwrap();
    });
}

#[test]
fn a_refused_connection_is_a_failure_with_a_reason() {
    in_namespace(&[], || {
        let output = handwave(&format!("connect 10.7.0.2:9 {ARGUMENTS}"));
        assert_eq!(output.status.code(), Some(1));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains("refused"), "{errors}");
    });
}
