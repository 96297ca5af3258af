//! Looking into a program: a stack in this process, without a driver that turns, and `ss` and `stats` in others.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

use handwave::control::{Control, ControlOptions};
use handwave::{ConnectOptions, Driver, ListenerConfig, Stack, StackConfig, device};
use handwave_tcp::{Endpoint, Instant};

use crate::common::handwave;

/// A stack that stays as it is, and its control socket.
struct Program {
    stack: Stack,
    _driver: Driver,
    control: Control,
}

impl Program {
    fn new(directory: &Path, name: &str) -> Self {
        let (device, _peer) = device::pair(1_500, 64);
        let config = StackConfig {
            connections_max: 200_000,
            ..StackConfig::default()
        };
        let stack = Stack::builder().device(device).config(config);
        let (stack, driver) = stack.address([10, 0, 0, 2], 24).build().unwrap();
        let options = ControlOptions {
            path: Some(directory.join(format!("{name}.sock"))),
            program: name.to_owned(),
        };
        Self {
            control: Control::open(&stack, options).unwrap(),
            stack,
            _driver: driver,
        }
    }

    fn listen(&self, port: u16) {
        let config = ListenerConfig::default();
        let listening = self.stack.with(|stack| stack.listen(port, config));
        listening.unwrap();
    }

    /// So many connections in SYN-SENT.
    fn connect(&self, count: u32) {
        self.stack.with(|stack| {
            for n in 0..count {
                let port = u16::try_from(1 + n % 1_000).unwrap();
                let host = u8::try_from(3 + n / 50_000).unwrap();
                let to = Endpoint::new([10, 0, 0, host].into(), port);
                let options = ConnectOptions::default();
                stack.connect(Instant::ZERO, to, options).unwrap();
            }
        });
    }
}

/// A command that finds its programs in this directory; and, as there is no other place that all users have, also those
/// that this user happens to run.
fn looking(runtime: &tempfile::TempDir, arguments: &str) -> Command {
    let arguments: Vec<_> = arguments.split_whitespace().collect();
    let mut command = handwave(&arguments);
    command
        .env("XDG_RUNTIME_DIR", runtime.path())
        .env("HANDWAVE_STATS_HISTORY", runtime.path().join("history"));
    command
}

/// Exit code, standard output and standard error.
fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.output().unwrap();
    let text = |octets| String::from_utf8(octets).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// What a command that has to succeed prints.
fn stdout(command: &mut Command) -> String {
    let (code, stdout, stderr) = run(command);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{command:?}");
    stdout
}

#[tokio::test]
async fn of_several_programs_one_has_to_be_chosen() {
    let runtime = tempfile::tempdir().unwrap();
    let directory = runtime.path().join("handwave");
    let made = std::fs::DirBuilder::new().mode(0o700).create(&directory);
    made.unwrap();
    let (one, other) = (
        Program::new(&directory, "one"),
        Program::new(&directory, "other"),
    );
    one.listen(80);
    other.listen(443);
    let (code, _, errors) = run(&mut looking(&runtime, "ss -ltn"));
    assert_eq!(code, Some(2), "{errors}");
    for program in [&one, &other] {
        let hint = format!("try: --control {}", program.control.path().display());
        assert!(errors.contains(&hint), "{errors}");
    }
    assert!(errors.contains("(other, process"), "{errors}");
    let chosen = format!("ss -Hltn --control {}", other.control.path().display());
    let shown = stdout(&mut looking(&runtime, &chosen));
    assert_eq!(shown, "LISTEN 0 128 *:443 *:*\n");
}

#[test]
fn a_program_that_is_gone_is_told() {
    let runtime = tempfile::tempdir().unwrap();
    let missing = runtime.path().join("missing.sock");
    let stale = runtime.path().join("stale.sock");
    drop(UnixListener::bind(&stale).unwrap());
    let foreign = runtime.path().join("foreign.sock");
    let listener = UnixListener::bind(&foreign).unwrap();
    let speaks = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        client.write_all(b"220 mail.example.org\r\n").unwrap();
    });
    for (path, reason) in [
        (missing, "there is no such socket"),
        (stale, "its process has ended"),
        (foreign, "no control socket of handwave"),
    ] {
        for command in ["ss", "stats"] {
            let wish = format!("{command} --control {}", path.display());
            let (code, _, errors) = run(&mut looking(&runtime, &wish));
            assert_eq!(code, Some(1), "{errors}");
            let what = "cannot look into the program at";
            assert!(errors.contains(what), "{errors}");
            if command == "ss" {
                assert!(errors.contains(reason), "{errors}");
            }
        }
    }
    speaks.join().unwrap();
}

#[test]
fn a_filter_that_cannot_be_read_is_explained_before_anybody_is_asked() {
    let runtime = tempfile::tempdir().unwrap();
    let (code, _, errors) = run(&mut looking(&runtime, "ss state half-open"));
    assert_eq!(code, Some(2), "{errors}");
    for part in ["\"state half-open\" cannot be read", "syn-recv", "try:"] {
        assert!(errors.contains(part), "{errors}");
    }
}

#[tokio::test]
async fn stats_show_what_is_new() {
    let runtime = tempfile::tempdir().unwrap();
    let program = Program::new(runtime.path(), "counting");
    let path = program.control.path().display();
    let stats = |switches: &str| {
        let wish = format!("stats --control {path} {switches}");
        stdout(&mut looking(&runtime, &wish))
    };
    program.connect(3);
    let opened = |text: &str| {
        let line = text.lines().find(|it| it.starts_with("TcpActiveOpens"));
        let value = line.map(|it| it.split_whitespace().nth(1).unwrap().to_owned());
        value.unwrap_or_default()
    };
    assert_eq!(opened(&stats("-s")), "3");
    let first = stats("");
    assert!(first.starts_with("#counting (process "), "{first}");
    assert_eq!(opened(&first), "3", "-s remembers nothing");
    assert!(!first.contains("TcpExtSyncookiesSent"), "{first}");
    assert_eq!(opened(&stats("")), "");
    assert!(stats("-z").contains("TcpExtSyncookiesSent"));
    program.connect(2);
    assert_eq!(opened(&stats("-sa")), "5");
    assert_eq!(stats("-n"), "");
    assert_eq!(opened(&stats("-s")), "");
    assert_eq!(opened(&stats("-r")), "5");
    let json = stats("-a --json TcpActive* TcpExtSyncookies?ent -z");
    assert_eq!(
        json,
        "{\"handwave\":{\"TcpActiveOpens\":5,\"TcpExtSyncookiesSent\":0}}\n"
    );
}

#[tokio::test]
async fn the_cookies_are_told_where_lines_are_not_counted() {
    let runtime = tempfile::tempdir().unwrap();
    let program = Program::new(runtime.path(), "server");
    program.listen(80);
    let path = program.control.path().display();
    let (code, lines, note) = run(&mut looking(
        &runtime,
        &format!("ss --netstat -ant --control {path}"),
    ));
    assert_eq!(code, Some(0), "{note}");
    assert_eq!(
        lines.lines().count(),
        3,
        "two of titles, one socket:\n{lines}"
    );
    assert!(note.contains("SYN cookies"), "{note}");
    let summary = stdout(&mut looking(&runtime, &format!("ss -s --control {path}")));
    assert!(summary.contains("SYN cookies"), "{summary}");
    let json = stdout(&mut looking(
        &runtime,
        &format!("ss -s --json --control {path}"),
    ));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["states"]["LISTEN"], 1);
}

/// Most memory that a process has used, in KiB.
fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|it| it.strip_prefix("VmHWM:"));
    let number = line.unwrap().split_whitespace().next().unwrap();
    number.parse().unwrap()
}

#[tokio::test]
async fn a_hundred_thousand_sockets_take_no_more_memory_than_a_few() {
    const ALL: usize = 100_000;
    let runtime = tempfile::tempdir().unwrap();
    let program = Program::new(runtime.path(), "crowded");
    program.connect(u32::try_from(ALL).unwrap());
    for form in ["-tanoi", "--netstat -tan"] {
        let wish = format!("ss {form} --control {}", program.control.path().display());
        let mut child = looking(&runtime, &wish)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut sockets = lines.by_ref().filter(|line| {
            let line = line.as_ref().unwrap();
            line.contains("SYN") && !line.starts_with('\t')
        });
        let mut seen = sockets.by_ref().take(ALL / 20).count();
        // It waits for us to read on.
        let early = peak(child.id());
        seen += sockets.by_ref().take(ALL * 9 / 10).count();
        let late = peak(child.id());
        seen += sockets.count();
        assert_eq!(seen, ALL, "{form}");
        assert!(child.wait().unwrap().success());
        assert!(
            late < early + 4_096,
            "{form}: {early} KiB after a few, {late} KiB after most"
        );
    }
}
