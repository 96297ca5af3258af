//! Every way in which connections go on and end.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use crate::common::{
    Namespace, PATIENCE, Running, command, connect, directory_with_file, in_namespace, ip, octets,
    run, wait_until,
};

const ECHO: &str = "10.7.0.1:7";

fn server(services: &str) -> Running {
    Running::handwave(&format!("serve --addr 10.7.0.1/24 {services}"))
}

fn echo(stream: &mut TcpStream, text: &[u8]) {
    stream.write_all(text).unwrap();
    let mut back = vec![0; text.len()];
    stream.read_exact(&mut back).unwrap();
    assert!(back == text, "other octets came back");
}

#[test]
fn two_hundred_connections_at_once() {
    in_namespace(&[], || {
        let _server = server("--echo 7");
        let mut streams: Vec<_> = (0..200).map(|_| connect(ECHO)).collect();
        let text = octets(10_000);
        for stream in &mut streams {
            echo(stream, &text);
        }
        for stream in &mut streams {
            stream.shutdown(Shutdown::Write).unwrap();
        }
        for stream in &mut streams {
            assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0, "an end in order");
        }
    });
}

#[test]
fn a_half_closed_connection_gets_its_answer_and_a_closed_port_a_reset() {
    in_namespace(&[], || {
        let _server = server("--echo 7 --sink 9 --source 19 --http-hello 80");
        let mut stream = connect(ECHO);
        stream.write_all(b"the last words").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut back = String::new();
        stream.read_to_string(&mut back).unwrap();
        assert_eq!(back, "the last words");

        let mut sink = connect("10.7.0.1:9");
        sink.write_all(&octets(300_000)).unwrap();
        sink.shutdown(Shutdown::Write).unwrap();
        assert_eq!(sink.read(&mut [0; 1]).unwrap(), 0);

        let mut source = connect("10.7.0.1:19");
        source.read_exact(&mut vec![0; 1 << 20]).unwrap();
        source.shutdown(Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        source.read_to_end(&mut rest).unwrap();
        assert!(rest.iter().all(|octet| *octet == 0));

        let mut hello = connect("10.7.0.1:80");
        hello
            .write_all(b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n")
            .unwrap();
        hello.shutdown(Shutdown::Write).unwrap();
        let mut answers = String::new();
        hello.read_to_string(&mut answers).unwrap();
        let one = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!";
        assert_eq!(answers, one.repeat(2));

        let refused = TcpStream::connect("10.7.0.1:8").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn clients_that_are_killed_disturb_nobody() {
    in_namespace(&["curl"], || {
        let _server = server("--source 19 --echo 7");
        let mut other = connect(ECHO);
        for _ in 0..5 {
            let curl = "-sS --http0.9 -o /dev/null http://10.7.0.1:19/";
            let mut client = command("curl", curl).spawn().unwrap();
            thread::sleep(Duration::from_millis(100));
            // What has arrived and was not read makes the kernel reset the connection.
            client.kill().unwrap();
            client.wait().unwrap();
            echo(&mut other, b"still there");
        }
    });
}

#[test]
fn slow_readers_and_writers_and_those_that_pause_are_served() {
    in_namespace(&[], || {
        let _server = server("--echo 7 --source 19");
        let pausing = thread::spawn(|| {
            let mut stream = connect(ECHO);
            echo(&mut stream, b"before");
            thread::sleep(Duration::from_secs(10));
            echo(&mut stream, b"after");
        });
        let reading = thread::spawn(|| {
            // Its window closes in between.
            let mut stream = connect("10.7.0.1:19");
            for _ in 0..20 {
                thread::sleep(Duration::from_millis(100));
                stream.read_exact(&mut vec![0; 200_000]).unwrap();
            }
        });
        let mut writing = connect(ECHO);
        for octet in 0..50 {
            echo(&mut writing, &[octet]);
            thread::sleep(Duration::from_millis(20));
        }
        pausing.join().unwrap();
        reading.join().unwrap();
    });
}

#[test]
fn interrupts_close_in_order_and_leave_nothing_behind() {
    in_namespace(&[], || {
        for signal in ["INT", "TERM"] {
            let server = server("--echo 7");
            assert!(server.banner.contains(ECHO), "{}", server.banner);
            let mut stream = connect(ECHO);
            echo(&mut stream, b"hello");
            server.signal(signal);
            assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0, "a FIN, not a RST");
            drop(stream);
            assert_eq!(server.end(), (Some(0), String::new()));
            assert!(!ip("link").contains("hw0"));
        }
    });
}

#[test]
fn connections_that_do_not_close_are_reset_by_a_second_interrupt() {
    in_namespace(&[], || {
        let server = server("--echo 7");
        let mut stream = connect(ECHO);
        // Our handshake is over one segment earlier than the server's.
        echo(&mut stream, b"hello");
        server.signal("INT");
        assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
        server.signal("INT");
        let (code, errors) = server.end();
        assert_eq!(code, Some(0));
        assert!(errors.contains("1 connections did not close"), "{errors}");
        let mut last = Ok(0);
        for _ in 0..100 {
            last = stream.write(b"x");
            if last.is_err() {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
        // Both name the RST: to one who has read the FIN before, Linux calls it a broken pipe.
        let kind = last.unwrap_err().kind();
        assert!(
            [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe].contains(&kind),
            "{kind}"
        );
    });
}

/// The name by which a test finds itself, started again as another process.
const HELD: &str = "HANDWAVE_TEST_HOLDS";

/// Not a test of its own: what `a_test_that_is_killed_leaves_nothing_behind` starts, and kills.
#[test]
#[ignore = "started by `a_test_that_is_killed_leaves_nothing_behind`"]
fn held_until_killed() {
    let Some(report) = std::env::var_os(HELD) else {
        return;
    };
    in_namespace(&[], move || {
        let server = server("--echo 7");
        let far = Namespace::new();
        let text = format!("{} {}", server.id(), far.id());
        std::fs::write(&report, text).unwrap();
        thread::sleep(PATIENCE);
    });
}

#[test]
fn a_test_that_is_killed_leaves_nothing_behind() {
    in_namespace(&[], || {
        let directory = tempfile::tempdir().unwrap();
        let report = directory.path().join("report");
        let mut test = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "serve::held_until_killed"])
            .env(HELD, &report)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let started = || std::fs::read_to_string(&report).unwrap_or_default();
        wait_until("the test to start its programs", || started().contains(' '));
        test.kill().unwrap();
        test.wait().unwrap();
        for program in started().split(' ') {
            wait_until("what it has started to end", || is_gone(program));
        }
    });
}

/// Whether no such process runs; one that nobody has waited for yet does not.
fn is_gone(process: &str) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{process}/stat")) else {
        return true;
    };
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| rest.trim_start().starts_with('Z'))
}

#[test]
fn a_program_that_is_killed_leaves_no_interface() {
    in_namespace(&[], || {
        let server = server("--echo 7");
        let _stream = connect(ECHO);
        assert!(ip("link").contains("hw0"));
        server.signal("KILL");
        assert_eq!(server.end().0, None);
        assert!(!ip("link").contains("hw0"));
    });
}

#[test]
fn forwarding_reaches_the_backend_and_a_dead_one_is_a_reset_and_a_line() {
    in_namespace(&[], || {
        let backend = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = backend.local_addr().unwrap().port();
        let server = server(&format!(
            "--forward 80=127.0.0.1:{port} --forward 81=127.0.0.1:1"
        ));
        let mut client = connect("10.7.0.1:80");
        client.write_all(b"question").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let (mut inner, _) = backend.accept().unwrap();
        let mut text = String::new();
        inner.read_to_string(&mut text).unwrap();
        assert_eq!(text, "question");
        inner.write_all(b"answer").unwrap();
        drop(inner);
        text.clear();
        client.read_to_string(&mut text).unwrap();
        assert_eq!(text, "answer");

        // The reset may come before connect() has returned.
        let refused = TcpStream::connect("10.7.0.1:81").and_then(|mut stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.read(&mut [0; 1])
        });
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        server.signal("TERM");
        let (code, errors) = server.end();
        assert_eq!(code, Some(0));
        assert!(errors.contains("127.0.0.1:1 cannot be reached"), "{errors}");
    });
}

#[test]
fn uploads_stay_inside_and_an_interface_that_exists_stays_as_it_is() {
    in_namespace(&["curl"], || {
        ip("tuntap add dev hw0 mode tun");
        ip("addr add 10.7.0.9/24 dev hw0");
        ip("link set dev hw0 mtu 1400 up");
        let (served, file) = directory_with_file(1_000);
        let server = server(&format!("--http 80={}", served.path().display()));
        let put = |path: &str| {
            let options = "-sS --path-as-is -o /dev/null -w %{http_code}";
            let arguments = format!("{options} -T {} http://10.7.0.1/{path}", file.display());
            run("curl", &arguments)
        };
        assert_eq!(put("new"), "201");
        assert_eq!(put("new"), "204");
        assert_eq!(put("../escaped"), "400");
        assert_eq!(put("%2e%2e/escaped"), "400");
        assert_eq!(put("none/new"), "409");
        server.signal("TERM");
        assert_eq!(server.end().0, Some(0));
        let link = ip("addr show dev hw0");
        assert!(
            link.contains("10.7.0.9/24") && link.contains("mtu 1400"),
            "{link}"
        );
    });
}

#[test]
fn sources_that_are_denied_are_refused_unless_a_longer_prefix_allows_them() {
    in_namespace(&[], || {
        let _server = server(
            "--echo 7 --deny 10.7.0.0/24 --refuse-with-reset --allow 10.7.0.3 --syn-cookies always",
        );
        let refused = TcpStream::connect(ECHO).err().map(|error| error.kind());
        assert_eq!(refused, Some(ErrorKind::ConnectionRefused));
        ip("addr add 10.7.0.3/24 dev hw0");
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = socket.unwrap();
        let address = |text: &str| text.parse::<std::net::SocketAddr>().unwrap().into();
        socket.bind(&address("10.7.0.3:0")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.connect(&address(ECHO)).unwrap();
        echo(&mut socket.into(), b"by a cookie");
    });
}
