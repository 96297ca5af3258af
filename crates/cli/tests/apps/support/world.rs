//! A machine of its own for one application: network, mounts and processes in private namespaces.
//!
//! The first process of the namespaces reads from a pipe that the test holds. When the test lets go of it, by intent or because it
//! was killed, that process ends; with it the kernel ends every other process in there, and the network and the files go too.

use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::packages::PATH;

/// Where things are kept, as the programs inside see it. It lies in memory and goes with the world.
pub(crate) const FOLDER: &str = "/run/apps";

/// The account that servers ask for, inside only.
pub(crate) const GUEST: &str = "guest";
pub(crate) const PASSWORD: &str = "shake-then-wave";

/// Seconds that one command may take, on a machine however busy.
const COMMAND_SECONDS: &str = "60";

/// How long a server may take until it listens.
const START: Duration = Duration::from_secs(40);

/// Makes the world from the inside, and then stays until standard input ends.
///
/// `/run` and `/var/log` are the world's own, so that servers with opinions on where their files belong touch nothing of the
/// machine's; the account stands in copies of the files that hold accounts.
const GENESIS: &str = r#"
set -e
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=755 tmpfs /var/log
mkdir -p /run/apps/log /run/apps/home /run/sshd /run/vsftpd/empty /var/log/nginx
cd /run/apps
mkdir etc
cp -p /etc/passwd /etc/group /etc/shadow etc
sed -i "/^$1:/d" etc/passwd etc/group etc/shadow
hash=$(perl -e 'print crypt($ARGV[0], "\$6\$handwave\$")' "$2")
echo "$1:x:61793:61793::/run/apps/home:/bin/sh" >>etc/passwd
echo "$1:x:61793:" >>etc/group
echo "$1:$hash:19000:0:99999:7:::" >>etc/shadow
for file in passwd group shadow; do mount --bind etc/$file /etc/$file; done
chown $1: home
ip link set dev lo up
echo made
exec cat
"#;

/// The namespaces, and what runs in them. Dropped, all of it is gone.
#[derive(Debug)]
pub(crate) struct World {
    keeper: Child,
    /// The first process inside, by its number outside.
    first: u32,
    daemons: Vec<Daemon>,
}

#[derive(Debug)]
struct Daemon {
    name: String,
    process: Child,
}

impl World {
    /// Makes one. This needs root.
    pub(crate) fn new() -> Result<Self, String> {
        let mut keeper = Command::new("unshare")
            .args(["--net", "--mount", "--pid", "--mount-proc"])
            .args(["--fork", "--kill-child"])
            .args(["sh", "-c", GENESIS, "sh", GUEST, PASSWORD])
            .env("PATH", PATH)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("unshare: {error}"))?;
        let mut word = String::new();
        if let Some(stdout) = keeper.stdout.take() {
            let _ = BufReader::new(stdout).read_line(&mut word);
        }
        if word != "made\n" {
            let _ = keeper.kill();
            let output = keeper
                .wait_with_output()
                .map_err(|error| error.to_string())?;
            let errors = String::from_utf8_lossy(&output.stderr);
            return Err(format!("no namespaces to be had: {}", errors.trim()));
        }
        let outer = keeper.id();
        let children = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children"))
            .map_err(|error| format!("the children of unshare: {error}"))?;
        let first = children
            .trim()
            .parse()
            .map_err(|error| format!("one child of unshare, not `{children}`: {error}"))?;
        Ok(Self {
            keeper,
            first,
            daemons: Vec::new(),
        })
    }

    /// A file of [`FOLDER`], as it is reached from outside.
    pub(crate) fn outside(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{FOLDER}/{name}", self.first))
    }

    /// Writes a file into [`FOLDER`] and returns its path inside.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> Result<String, String> {
        let path = self.outside(name);
        let written = match path.parent() {
            Some(parent) => fs::create_dir_all(parent).and_then(|()| fs::write(&path, content)),
            None => fs::write(&path, content),
        };
        written.map_err(|error| format!("{name} cannot be written: {error}"))?;
        Ok(format!("{FOLDER}/{name}"))
    }

    /// Reads a file of [`FOLDER`].
    pub(crate) fn read(&self, name: &str) -> Result<Vec<u8>, String> {
        fs::read(self.outside(name)).map_err(|error| format!("{name} cannot be read: {error}"))
    }

    /// A command that runs inside, in [`FOLDER`].
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--target={}", self.first))
            .args(["--net", "--mount", "--pid"])
            .arg(format!("--wdns={FOLDER}"))
            .args(arguments)
            .env_clear()
            .env("PATH", PATH)
            .env("HOME", FOLDER)
            .env("LC_ALL", "C.UTF-8")
            .env("TERM", "dumb")
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its successful end and returns what it printed.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let printed = self.feed(arguments, b"")?;
        Ok(String::from_utf8_lossy(&printed).into_owned())
    }

    /// Runs a command that reads `input`, to its successful end, and returns what it printed.
    pub(crate) fn feed(&self, arguments: &[&str], input: &[u8]) -> Result<Vec<u8>, String> {
        let limited = [&["timeout", "--signal=KILL", COMMAND_SECONDS], arguments].concat();
        let mut child = self
            .command(&limited)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("nsenter: {error}"))?;
        let stdin = child.stdin.take();
        let output = thread::scope(|scope| {
            scope.spawn(move || {
                // A program that ends before it has read all is judged by its exit status.
                let _ = stdin.map(|mut pipe| pipe.write_all(input));
            });
            child.wait_with_output()
        });
        let output = output.map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(format!(
            "`{}` ended with {}: {} {}",
            arguments.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stdout).trim(),
            String::from_utf8_lossy(&output.stderr).trim()
        ))
    }

    /// Starts an interactive command and holds the ends of its pipes.
    pub(crate) fn converse(&self, arguments: &[&str]) -> Result<Child, String> {
        let limited = [&["timeout", "--signal=KILL", COMMAND_SECONDS], arguments].concat();
        self.command(&limited)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("nsenter: {error}"))
    }

    /// Starts a server; what it says is kept for [`last_words`](Self::last_words).
    pub(crate) fn start(&mut self, name: &str, arguments: &[&str]) -> Result<(), String> {
        let log = fs::File::create(self.outside(&format!("log/{name}")))
            .map_err(|error| format!("the log of {name}: {error}"))?;
        let errors = log.try_clone().map_err(|error| error.to_string())?;
        let process = self
            .command(arguments)
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(|error| format!("nsenter: {error}"))?;
        let name = name.to_owned();
        self.daemons.push(Daemon { name, process });
        Ok(())
    }

    /// Waits until somebody listens on a port.
    pub(crate) fn wait_for_port(&mut self, protocol: Protocol, port: u16) -> Result<(), String> {
        self.wait_until(&format!("anybody listens on port {port}"), |world| {
            world.listens(protocol, port)
        })
    }

    /// Waits until something holds, as long as no daemon has failed.
    pub(crate) fn wait_until(
        &mut self,
        what: &str,
        holds: impl Fn(&Self) -> bool,
    ) -> Result<(), String> {
        let begun = Instant::now();
        while !holds(self) {
            for Daemon { name, process } in &mut self.daemons {
                // A server that has gone to the background ends here with 0.
                if let Ok(Some(status)) = process.try_wait()
                    && !status.success()
                {
                    return Err(format!("{name} ended with {status} before {what}"));
                }
            }
            if begun.elapsed() > START {
                return Err(format!("{} s went by before {what}", START.as_secs()));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Whether a socket waits for peers, by the kernel's own tables.
    fn listens(&self, protocol: Protocol, port: u16) -> bool {
        let (tables, state) = match protocol {
            Protocol::Tcp => (["tcp", "tcp6"], "0A"),
            Protocol::Udp => (["udp", "udp6"], "07"),
        };
        let port = format!(":{port:04X}");
        tables.iter().any(|table| {
            let table = fs::read_to_string(format!("/proc/{}/net/{table}", self.first));
            table.unwrap_or_default().lines().any(|line| {
                let mut fields = line.split_whitespace().skip(1);
                fields.next().is_some_and(|local| local.ends_with(&port))
                    && fields.nth(1) == Some(state)
            })
        })
    }

    /// The end of what each daemon said, for the report of a failure.
    pub(crate) fn last_words(&self) -> String {
        let mut words = String::new();
        for Daemon { name, .. } in &self.daemons {
            let log = self.read(&format!("log/{name}")).unwrap_or_default();
            let log = String::from_utf8_lossy(&log).into_owned();
            let lines: Vec<&str> = log.lines().collect();
            for line in lines.iter().rev().take(12).rev() {
                words += &format!("\n      {name}: {line}");
            }
        }
        words
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Its child, the first process inside, goes with it, and everything inside goes with that.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
        for Daemon { process, .. } in &mut self.daemons {
            let _ = process.wait();
        }
    }
}

/// What a port belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Protocol {
    Tcp,
    Udp,
}
