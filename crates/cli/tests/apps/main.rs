//! The well-known applications of TCP over `handwave serve --forward`, each with the client and the server that Debian ships.
//!
//! `cargo test -p handwave-cli --test apps` plays them all and prints which passed; `HANDWAVE_APPS=ssh,dns` plays only those. Each
//! one lives in namespaces of its own ([`support::world`]): its server listens on the loopback there, its client knows only the
//! address behind Handwave's TUN, and Handwave forwards to the server with the kernel's sockets. So every octet of the client's
//! side goes through our TCP or UDP, with the kernel's as the other end.
//!
//! As root on Debian missing programs are installed ([`support::packages`]), unless `HANDWAVE_APPS_INSTALL=0` forbids that. What
//! cannot be played is skipped, with its reason in the table.

mod dns;
mod ftp;
mod http;
mod mysql;
mod smtp;
mod ssh;
mod support;
mod telnet;
mod tftp;

use std::env;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use support::Outcome;
use support::packages::{self, Program, from, program};
use support::table::{Line, Verdict, draw};
use support::world::World;

/// An application, what it needs, and how it is played.
struct Application {
    name: &'static str,
    port: &'static str,
    server: &'static str,
    client: &'static str,
    programs: &'static [Program],
    play: fn(&mut World) -> Outcome,
}

/// What every world is made with.
const TOOLS: &[Program] = &[
    from("util-linux", "unshare"),
    from("util-linux", "nsenter"),
    from("coreutils", "timeout"),
    from("perl-base", "perl"),
    from("iproute2", "ip"),
];

const APPLICATIONS: [Application; 8] = [
    Application {
        name: "FTP, passive",
        port: "21/tcp",
        server: "vsftpd",
        client: "curl",
        programs: &[program("vsftpd"), program("curl")],
        play: ftp::play,
    },
    Application {
        name: "SSH",
        port: "22/tcp",
        server: "sshd",
        client: "ssh, scp",
        programs: &[
            from("openssh-server", "sshd"),
            from("openssh-client", "ssh"),
            from("openssh-client", "scp"),
            from("openssh-client", "ssh-keygen"),
        ],
        play: ssh::play,
    },
    Application {
        name: "TELNET",
        port: "23/tcp",
        server: "inetutils-telnetd",
        client: "inetutils-telnet",
        programs: &[
            from("inetutils-inetd", "inetutils-inetd"),
            from("inetutils-telnetd", "telnetd"),
            program("inetutils-telnet"),
        ],
        play: telnet::play,
    },
    Application {
        name: "SMTP",
        port: "25/tcp",
        server: "aiosmtpd",
        client: "swaks",
        programs: &[from("python3-aiosmtpd", "aiosmtpd"), program("swaks")],
        play: smtp::play,
    },
    Application {
        name: "DNS",
        port: "53/tcp+udp",
        server: "dnsmasq",
        client: "dig",
        programs: &[
            from("dnsmasq-base", "dnsmasq"),
            from("bind9-dnsutils", "dig"),
        ],
        play: dns::play,
    },
    Application {
        name: "TFTP",
        port: "69/udp",
        server: "tftpd-hpa",
        client: "tftp-hpa",
        programs: &[from("tftpd-hpa", "in.tftpd"), from("tftp-hpa", "tftp")],
        play: tftp::play,
    },
    Application {
        name: "HTTP",
        port: "80/tcp",
        server: "nginx",
        client: "curl, wrk",
        programs: &[program("nginx"), program("curl"), program("wrk")],
        play: http::play,
    },
    Application {
        name: "MySQL",
        port: "3306/tcp",
        server: "mariadbd",
        client: "mariadb",
        programs: &[
            from("mariadb-server-core", "mariadbd"),
            from("mariadb-server-core", "mariadb-install-db"),
            from("mariadb-client-core", "mariadb"),
        ],
        play: mysql::play,
    },
];

#[test]
fn the_well_known_applications_work_over_handwave() {
    let wanted = wanted();
    let groups: Vec<&[Program]> = [TOOLS]
        .into_iter()
        .chain(wanted.iter().map(|application| application.programs))
        .collect();
    let unable = unable();
    let because = match unable {
        Some(_) => None,
        None => packages::install(&groups),
    };
    let lines: Vec<Line> = wanted
        .into_iter()
        .map(|application| {
            let begun = Instant::now();
            let verdict = match unable {
                Some(reason) => Verdict::Skipped(reason.to_owned()),
                None => play(application, because.as_deref()),
            };
            line(application, verdict, begun.elapsed())
        })
        .collect();
    // Not eprintln!, which the test runner swallows when a test passes.
    let _ = std::io::stderr().write_all(draw(&lines).as_bytes());
    let failed: Vec<&str> = lines
        .iter()
        .filter(|line| matches!(line.verdict, Verdict::Failed(_)))
        .map(|line| line.application)
        .collect();
    assert!(failed.is_empty(), "these failed: {}", failed.join("; "));
}

/// All of them, or those whose names begin with what `HANDWAVE_APPS` lists.
fn wanted() -> Vec<&'static Application> {
    let names = env::var("HANDWAVE_APPS").unwrap_or_default().to_lowercase();
    let names: Vec<&str> = names.split(',').map(str::trim).collect();
    let is_named = |application: &&Application| {
        let name = application.name.to_lowercase();
        names.iter().any(|wanted| name.starts_with(wanted))
    };
    let wanted: Vec<_> = APPLICATIONS.iter().filter(is_named).collect();
    assert!(!wanted.is_empty(), "HANDWAVE_APPS names no application");
    wanted
}

/// Why this machine can play none of them.
fn unable() -> Option<&'static str> {
    let root = Path::new("/proc/self").metadata();
    if !root.is_ok_and(|process| process.uid() == 0) {
        Some("this needs root")
    } else if !Path::new("/dev/net/tun").exists() {
        Some("there is no /dev/net/tun")
    } else {
        None
    }
}

fn play(application: &Application, because: Option<&str>) -> Verdict {
    let programs = [TOOLS, application.programs].concat();
    if let Some(reason) = packages::missing(&programs, because) {
        return Verdict::Skipped(reason);
    }
    let mut world = match World::new() {
        Ok(world) => world,
        Err(reason) => return Verdict::Skipped(reason),
    };
    match (application.play)(&mut world) {
        Ok(()) => Verdict::Passed,
        Err(reason) => Verdict::Failed(reason + &world.last_words()),
    }
}

fn line(application: &Application, verdict: Verdict, took: Duration) -> Line {
    Line {
        application: application.name,
        port: application.port,
        server: application.server,
        client: application.client,
        verdict,
        took,
    }
}
