//! A namespace for each test, and programs that do not outlive it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::UnshareFlags;

/// Longer than anything here takes, on a machine however busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
pub(crate) const HANDWAVE: &str = env!("CARGO_BIN_EXE_handwave");

/// Runs a test on a thread in a network namespace of its own, or says why not.
pub(crate) fn in_namespace(programs: &[&str], test: impl FnOnce() + Send + 'static) {
    let name = thread::current().name().unwrap_or_default().to_owned();
    let needed = ["ip", "setpriv", "unshare", "nsenter"];
    let missing = if !rustix::process::geteuid().is_root() {
        Some("this needs root".to_owned())
    } else if !Path::new("/dev/net/tun").exists() {
        Some("there is no /dev/net/tun".to_owned())
    } else {
        let all = needed.iter().chain(programs);
        let found = |program: &&&str| Command::new(program).arg("--version").output().is_err();
        all.filter(found)
            .map(|program| format!("there is no program `{program}`"))
            .next()
    };
    if let Some(reason) = missing {
        return skip(&name, &reason);
    }
    let inner = name.clone();
    let run = move || {
        #[expect(
            deprecated,
            reason = "NEWNET concerns no descriptor; the other function is unsafe for the sake of other flags"
        )]
        if let Err(error) = rustix::thread::unshare(UnshareFlags::NEWNET) {
            return skip(&inner, &format!("no network namespace to be had: {error}"));
        }
        ip("link set dev lo up");
        test();
    };
    let thread = thread::Builder::new().name(name).spawn(run).unwrap();
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn skip(test: &str, reason: &str) {
    // Not eprintln!, which the test runner swallows when a test passes.
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {reason}");
}

/// A program that is killed when this thread ends.
pub(crate) fn command(program: &str, arguments: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", program]);
    command
        .args(arguments.split_whitespace())
        .stdin(Stdio::null());
    for name in ["LC_ALL", "LC_MESSAGES", "LANG", "NO_COLOR"] {
        command.env_remove(name);
    }
    command
}

/// Runs a program that has to succeed, and returns what it prints.
pub(crate) fn run(program: &str, arguments: &str) -> String {
    let output = command(program, arguments).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {arguments}: {}\n{stderr}",
        output.status
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn ip(arguments: &str) -> String {
    run("ip", arguments)
}

/// Runs the program to its end.
pub(crate) fn handwave(arguments: &str) -> Output {
    command(HANDWAVE, arguments).output().unwrap()
}

/// A program that goes on until it is told to end.
pub(crate) struct Running {
    child: Child,
    /// What it has printed until it was ready.
    pub(crate) banner: String,
}

impl Running {
    /// Starts the program and waits for it to be ready.
    pub(crate) fn handwave(arguments: &str) -> Self {
        Self::start(command(HANDWAVE, arguments))
    }

    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut banner = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        while !banner.contains("Ctrl-C") {
            if lines.read_line(&mut banner).unwrap() == 0 {
                let mut errors = String::new();
                let _ = child.stderr.take().unwrap().read_to_string(&mut errors);
                panic!("{command:?} ended early:\n{banner}{errors}");
            }
        }
        // Kept open, so that what is printed at the end has somewhere to go.
        thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        Self { child, banner }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        run("kill", &format!("-{name} {}", self.child.id()));
    }

    /// Waits for the end; returns the exit code and what went to standard error.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let mut status = None;
        wait_until("the program to end", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        let mut errors = String::new();
        let _ = self
            .child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut errors);
        (status.unwrap().code(), errors)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Another namespace, held by a process.
pub(crate) struct Namespace(Child);

impl Namespace {
    pub(crate) fn new() -> Self {
        let child = command("unshare", "--net sleep 300").spawn().unwrap();
        let namespace = Self(child);
        let ours = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
        let theirs = || std::fs::read_link(format!("/proc/{}/ns/net", namespace.id())).unwrap();
        wait_until("a second namespace", || theirs() != ours);
        namespace.run("ip", "link set dev lo up");
        namespace
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn command(&self, program: &str, arguments: &str) -> Command {
        command(
            "nsenter",
            &format!("-t {} -n {program} {arguments}", self.id()),
        )
    }

    pub(crate) fn run(&self, program: &str, arguments: &str) -> String {
        run(
            "nsenter",
            &format!("-t {} -n {program} {arguments}", self.id()),
        )
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for something that another process does.
pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A connection on which nothing waits for ever.
pub(crate) fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Octets that do not repeat soon.
pub(crate) fn octets(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = std::iter::repeat_with(move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    });
    next.take(len).collect()
}

pub(crate) fn sha256(path: &Path) -> String {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(std::fs::read(path).unwrap());
    format!("{digest:x}")
}

/// A directory with a file of so many octets called `file`.
pub(crate) fn directory_with_file(len: usize) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, octets(len)).unwrap();
    (directory, file)
}
