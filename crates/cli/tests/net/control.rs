//! The control socket of a running program, and who looks into it.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{HANDWAVE, PATIENCE, Running, command, connect, handwave, in_namespace, run};

const SERVE: &str = "serve --addr 10.7.0.1/24 --echo 7";

/// A program whose control socket is where programs find it by themselves, in a directory of this test's own.
fn serve(runtime: &tempfile::TempDir, arguments: &str) -> Running {
    let mut serve = command(HANDWAVE, arguments);
    serve.env("XDG_RUNTIME_DIR", runtime.path());
    Running::start(serve)
}

/// The control sockets in such a directory.
fn sockets(runtime: &tempfile::TempDir) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(runtime.path().join("handwave"));
    let entries = entries.into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

#[test]
fn a_socket_is_there_while_the_program_runs_unless_it_is_not_wished() {
    in_namespace(&[], || {
        let runtime = tempfile::tempdir().unwrap();
        let server = serve(&runtime, SERVE);
        let there = sockets(&runtime);
        assert_eq!(there.len(), 1, "{there:?}");
        let mode = std::fs::metadata(&there[0]).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        server.signal("INT");
        assert_eq!(server.end(), (Some(0), String::new()));
        assert!(sockets(&runtime).is_empty());

        let _server = serve(&runtime, &format!("{SERVE} --no-control"));
        assert_eq!(sockets(&runtime).len(), 0);
    });
}

#[test]
fn a_path_that_cannot_be_had_is_an_error_only_where_it_was_asked_for() {
    in_namespace(&["sh", "mount"], || {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let with_path = format!("{SERVE} --control {}", path.display());
        let first = Running::handwave(&with_path);
        assert!(path.exists());
        let second = handwave(&with_path.replace("--echo", "--tun hw1 --echo"));
        let errors = String::from_utf8_lossy(&second.stderr);
        assert_eq!(second.status.code(), Some(1), "{errors}");
        for part in [
            "cannot open the control socket",
            "is in use",
            "handwave ss --control",
        ] {
            assert!(errors.contains(part), "{errors}");
        }
        drop(first);
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "precious").unwrap();
        let third = handwave(&with_path);
        let errors = String::from_utf8_lossy(&third.stderr);
        assert_eq!(third.status.code(), Some(2), "{errors}");
        assert!(errors.contains("is no socket"), "{errors}");
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");

        // Nothing can be written to where sockets are by themselves.
        let script = folder.path().join("run.sh");
        let text = format!(
            "mount -t tmpfs -o ro none /run && mount -t tmpfs -o ro none /tmp && exec {HANDWAVE} {SERVE}\n"
        );
        std::fs::write(&script, text).unwrap();
        let arguments = format!("--mount sh {}", script.display());
        let mut fourth = command("unshare", &arguments);
        fourth.env_remove("XDG_RUNTIME_DIR");
        let fourth = Running::start(fourth);
        fourth.signal("INT");
        let (code, errors) = fourth.end();
        assert_eq!(code, Some(0), "{errors}");
        let warning = "there is no control socket for `handwave ss`";
        assert!(errors.contains(warning), "{errors}");
    });
}

/// What a command that looks into that program prints.
fn look(runtime: &tempfile::TempDir, arguments: &str) -> String {
    let mut look = command(HANDWAVE, arguments);
    look.env("XDG_RUNTIME_DIR", runtime.path());
    let output = look.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{arguments}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// The addresses in some columns of lines, in order.
fn columns(text: &str, [a, b]: [usize; 2]) -> Vec<(String, String)> {
    let pair = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        (words[a].to_owned(), words[b].to_owned())
    };
    let mut pairs: Vec<_> = text.lines().map(pair).collect();
    pairs.sort();
    pairs
}

#[test]
fn what_ss_shows_is_what_the_kernel_at_the_other_end_shows() {
    in_namespace(&["ss"], || {
        let runtime = tempfile::tempdir().unwrap();
        let _server = serve(
            &runtime,
            "serve --addr 10.7.0.1/24 --echo 7 --http-hello 80",
        );
        // The first program of this user that is found may be another.
        let path = sockets(&runtime).remove(0);
        let ss = |arguments: &str| {
            let control = path.display();
            look(&runtime, &format!("{arguments} --control {control}"))
        };
        let listening = "\
State  Recv-Q Send-Q Local Address:Port Peer Address:Port Process
LISTEN 0      128                *:7               *:*
LISTEN 0      128                *:80              *:*
";
        assert_eq!(ss("ss -ltn"), listening);
        assert_eq!(ss("ss -4ltn").lines().count(), 1);

        let mut streams: Vec<_> = (0..20).map(|_| connect("10.7.0.1:7")).collect();
        for stream in &mut streams {
            stream.write_all(b"hello").unwrap();
            stream.read_exact(&mut [0; 5]).unwrap();
        }
        let ours = ss("ss -Htan state established");
        let theirs = run("ss", "-Htn state established");
        assert_eq!(columns(&ours, [2, 3]).len(), 20, "{ours}");
        assert_eq!(columns(&ours, [2, 3]), columns(&theirs, [3, 2]));
        let port = streams[0].local_addr().unwrap().port();
        let one = ss(&format!("ss -Htnie dst 10.7.0.2:{port} and sport = :echo"));
        let bytes = one.contains("bytes_acked:5 bytes_received:5");
        assert!(bytes && one.contains(" mss:1448"), "{one}");
        assert_eq!(one.lines().count(), 2, "{one}");
        assert_eq!(ss("ss -Htn dst 10.8.0.0/16"), "");

        let netstat = ss("ss --netstat -n");
        let established = netstat.lines().filter(|it| it.ends_with("ESTABLISHED"));
        let established: String = established.map(|line| format!("{line}\n")).collect();
        assert_eq!(columns(&established, [3, 4]), columns(&theirs, [3, 2]));

        let summary = ss("ss -s");
        assert!(summary.contains("TCP:   22 (estab 20,"), "{summary}");
        let stats = ss("stats -s");
        let opened = stats.lines().find(|it| it.starts_with("TcpPassiveOpens "));
        let words: Vec<_> = opened.unwrap().split_whitespace().collect();
        assert_eq!(words[1], "20", "{stats}");
    });
}

/// A connection from an address that nobody has: the SYN arrives, and the SYN+ACK reaches nobody.
fn half_open(from: &str) -> socket2::Socket {
    use socket2::{Domain, Socket, Type};

    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_ip_transparent_v4(true).unwrap();
    let from: SocketAddr = from.parse().unwrap();
    socket.bind(&from.into()).unwrap();
    socket.set_nonblocking(true).unwrap();
    let to: SocketAddr = "10.7.0.1:7".parse().unwrap();
    let error = socket.connect(&to.into()).unwrap_err();
    assert_eq!(
        error.raw_os_error(),
        Some(rustix::io::Errno::INPROGRESS.raw_os_error())
    );
    socket
}

#[test]
fn half_open_connections_are_counted_as_netstat_counts_them() {
    in_namespace(&[], || {
        let runtime = tempfile::tempdir().unwrap();
        let _server = serve(&runtime, SERVE);
        let path = sockets(&runtime).remove(0);
        let ss = |arguments: &str| {
            let control = path.display();
            look(&runtime, &format!("{arguments} --control {control}"))
        };
        let addresses = ["10.7.0.77:1000", "10.7.0.78:1000", "192.0.2.1:1000"];
        let _opening: Vec<_> = addresses.map(half_open).into();
        let start = Instant::now();
        let shown = loop {
            let shown = ss("ss -Htn state syn-recv");
            if shown.lines().count() == addresses.len() {
                break shown;
            }
            assert!(start.elapsed() < PATIENCE, "{shown}");
            thread::sleep(Duration::from_millis(20));
        };
        let theirs: Vec<_> = columns(&shown, [3, 2]);
        let expected = addresses.map(|it| (it.to_owned(), "10.7.0.1:7".to_owned()));
        assert_eq!(theirs, expected);
        let netstat = ss("ss --netstat -n");
        let counted = netstat.lines().filter(|it| it.contains("SYN_RECV"));
        assert_eq!(counted.count(), addresses.len(), "{netstat}");
        let summary = ss("ss -s");
        assert!(summary.contains("Half-open: 3 of 1024"), "{summary}");
        let timer = ss("ss -Htno state syn-recv dst 10.7.0.77");
        assert!(timer.contains("timer:(on,"), "{timer}");
        assert_eq!(
            ss("ss -Htn state syn-recv dst 10.0.0.0/8").lines().count(),
            2
        );
    });
}

#[test]
fn another_user_is_told_whose_it_is() {
    in_namespace(&[], || {
        // Everything but the socket itself is open to everybody.
        let open = std::fs::Permissions::from_mode(0o755);
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), open.clone()).unwrap();
        let program = folder.path().join("handwave");
        std::fs::copy(HANDWAVE, &program).unwrap();
        std::fs::set_permissions(&program, open).unwrap();
        let path = folder.path().join("control.sock");
        let _server = Running::handwave(&format!("{SERVE} --control {}", path.display()));
        for what in ["ss", "stats"] {
            let arguments = format!(
                "--reuid=65534 --regid=65534 --clear-groups {} {what} --control {}",
                program.display(),
                path.display()
            );
            let output = command("setpriv", &arguments).output().unwrap();
            let errors = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(4), "{errors}");
            assert!(errors.contains("another user's"), "{errors}");
        }
    });
}
