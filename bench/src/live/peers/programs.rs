//! Stacks in other languages, each a program of its own that this one builds from the sources in `bench/peers` and gives the TUN as
//! standard input.

use std::io::{self, BufRead};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::super::contestant::{
    CHARGEN, Contestant, DISCARD, ECHO, Mode, ONE_OCTET, Running, SERVER, client_tun,
};
use super::READY;

/// A program, and what it takes to have it.
struct Source {
    name: &'static str,
    /// What the file is called, and what is in it.
    file: (&'static str, &'static str),
    /// What to install on Debian.
    packages: &'static str,
    /// Builds a directory's source as the file that is named.
    build: fn(&Path, &Path) -> Command,
    /// Whether it is told what the TUN can do, because it can do with it.
    offloads: bool,
}

const GVISOR: Source = Source {
    name: "gVisor",
    file: ("main.go", include_str!("../../../peers/gvisor/main.go")),
    packages: "golang-go golang-gvisor-gvisor-dev",
    build: |source, program| {
        let mut go = Command::new("go");
        go.args(["build", "-o"]).arg(program).arg("main.go");
        go.current_dir(source)
            .envs([("GO111MODULE", "off"), ("GOPATH", "/usr/share/gocode")])
            .envs([("CGO_ENABLED", "0"), ("GOFLAGS", "")]);
        go
    },
    offloads: true,
};

const LWIP: Source = Source {
    name: "lwIP 2.1",
    file: ("main.c", include_str!("../../../peers/lwip/main.c")),
    packages: "gcc liblwip-dev",
    build: |source, program| {
        let mut compiler = Command::new("cc");
        compiler.args(["-O2", "-I/usr/include/lwip", "main.c", "-llwip", "-o"]);
        compiler.arg(program).current_dir(source);
        compiler
    },
    offloads: false,
};

/// Those that can be built here, for a mode; what cannot is told once.
pub(super) fn all(mode: Mode) -> impl Iterator<Item = Box<dyn Contestant>> {
    static BUILT: OnceLock<Vec<Program>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        [GVISOR, LWIP]
            .into_iter()
            .filter_map(Program::new)
            .collect()
    });
    let able = move |program: &&Program| mode == Mode::Plain || program.offloads;
    built
        .iter()
        .filter(able)
        .map(|program| Box::new(program.clone()) as _)
}

#[derive(Clone)]
struct Program {
    name: &'static str,
    path: PathBuf,
    offloads: bool,
}

impl Program {
    fn new(source: Source) -> Option<Self> {
        match source.build() {
            Ok(path) => Some(Self {
                name: source.name,
                path,
                offloads: source.offloads,
            }),
            Err(error) => {
                let Source { name, packages, .. } = source;
                eprintln!("SKIPPED {name}: {error}; on Debian it needs: apt install {packages}");
                None
            }
        }
    }
}

impl Source {
    /// Builds the program beside this one.
    fn build(&self) -> io::Result<PathBuf> {
        let own = std::env::current_exe()?;
        let (file, text) = self.file;
        let name = self.name.split(' ').next().unwrap_or(file);
        let directory = own.with_file_name("peers").join(name);
        std::fs::create_dir_all(&directory)?;
        std::fs::write(directory.join(file), text)?;
        let program = directory.join("peer");
        let done = (self.build)(&directory, &program).output()?;
        if done.status.success() {
            return Ok(program);
        }
        let said = String::from_utf8_lossy(&done.stderr);
        let line = said
            .lines()
            .find(|line| line.contains("error"))
            .or(said.lines().next());
        Err(io::Error::other(
            line.unwrap_or("it does not build").to_owned(),
        ))
    }
}

impl Contestant for Program {
    fn name(&self) -> &'static str {
        self.name
    }

    fn is_elsewhere(&self) -> bool {
        true
    }

    fn start(&self, mode: Mode) -> io::Result<Running> {
        let tun = client_tun(mode)?.as_fd().try_clone_to_owned()?;
        let mut command = Command::new(&self.path);
        if self.offloads {
            command.arg(mode.name());
        }
        let [a, b, c, d] = SERVER;
        command.arg(format!("{a}.{b}.{c}.{d}"));
        command.args([DISCARD, CHARGEN, ECHO, ONE_OCTET].map(|port| port.to_string()));
        serve(command.stdin(tun))
    }
}

/// Starts a program and waits until it says that it serves.
pub(super) fn serve(command: &mut Command) -> io::Result<Running> {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let said = child.stdout.take();
    let mut running = Running::default();
    running.children.push(child);
    let mut line = String::new();
    said.map_or(Ok(0), |said| io::BufReader::new(said).read_line(&mut line))?;
    match line.trim() {
        READY => Ok(running),
        _ => Err(io::Error::other("it did not start")),
    }
}
