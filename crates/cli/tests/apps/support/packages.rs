//! Gets what an application needs from Debian, and leaves the machine otherwise as it was.
//!
//! A package that brings a server would start it, and have it started at every boot. Here it does neither: apt runs in a mount and
//! PID namespace of its own, where the programs that start and enable services do nothing, and where whatever was started all the
//! same goes with the last of apt.

use std::env;
use std::fmt::Write as _;
use std::fs::{File, create_dir_all};
use std::path::Path;
use std::process::{Command, Stdio};

/// Where Debian keeps programs. Nothing else is searched, so that a row is about Debian's program and no other of its name.
pub(crate) const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// Seconds that fetching packages may take, and that unpacking and configuring them may take.
const FETCH_SECONDS: &str = "180";
const INSTALL_SECONDS: &str = "300";

/// Hides what starts and enables services, then runs apt-get with the arguments given.
const WITHOUT_SERVICES: &str = r#"
set -e
for program in invoke-rc.d update-rc.d deb-systemd-invoke deb-systemd-helper; do
    for folder in /usr/sbin /usr/bin; do
        if [ -e $folder/$program ]; then mount --bind /bin/true $folder/$program; fi
    done
done
if [ -d /run/systemd ]; then mount -t tmpfs tmpfs /run/systemd; fi
exec "$@"
"#;

/// A program and the package that has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
}

/// Says that a row needs a program of a package of the same name.
pub(crate) const fn program(name: &'static str) -> Program {
    from(name, name)
}

/// Says that a row needs a program of a package.
pub(crate) const fn from(package: &'static str, name: &'static str) -> Program {
    Program { name, package }
}

impl Program {
    fn is_here(&self) -> bool {
        PATH.split(':')
            .any(|folder| Path::new(folder).join(self.name).exists())
    }
}

/// What keeps an application from being played, or `None` if all its programs are here.
pub(crate) fn missing(programs: &[Program], because: Option<&str>) -> Option<String> {
    let mut reason = String::new();
    for program in programs.iter().filter(|program| !program.is_here()) {
        let separator = if reason.is_empty() { "no " } else { ", no " };
        let Program { name, package } = program;
        let _ = write!(reason, "{separator}{name} (package {package})");
    }
    if let (false, Some(because)) = (reason.is_empty(), because) {
        let _ = write!(reason, "; {because}");
    }
    (!reason.is_empty()).then_some(reason)
}

/// Installs what is missing of each group, and returns why not all of it, if so.
///
/// All groups at once is quickest. If that fails, each group is tried alone, for one package that cannot be had keeps the others
/// of its command away. Nothing that is installed is ever removed to make room.
pub(crate) fn install(groups: &[&[Program]]) -> Option<String> {
    let groups: Vec<Vec<&str>> = groups
        .iter()
        .map(|group| {
            let absent = group.iter().filter(|program| !program.is_here());
            absent.map(|program| program.package).collect()
        })
        .filter(|packages: &Vec<&str>| !packages.is_empty())
        .collect();
    if groups.is_empty() {
        return None;
    }
    if let Some(reason) = forbidden() {
        return Some(reason.to_owned());
    }
    let _lock = match lock() {
        Ok(lock) => lock,
        Err(error) => return Some(format!("no lock for apt-get: {error}")),
    };
    let all: Vec<&str> = groups.concat();
    if apt_install(&all).is_ok() || (update().is_ok() && apt_install(&all).is_ok()) {
        return None;
    }
    let mut reason = None;
    for packages in groups {
        if let Err(error) = apt_install(&packages) {
            reason = Some(error);
        }
    }
    reason
}

/// Why this test may not install anything.
fn forbidden() -> Option<&'static str> {
    if env::var_os("HANDWAVE_APPS_INSTALL").is_some_and(|value| value == "0") {
        Some("HANDWAVE_APPS_INSTALL=0 forbids to install it")
    } else if !Path::new("/etc/debian_version").exists() || !from("apt", "apt-get").is_here() {
        Some("only on Debian does this test install it")
    } else {
        None
    }
}

/// One test at a time asks apt; the lock goes with the file.
fn lock() -> std::io::Result<File> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    create_dir_all(folder)?;
    let file = File::create(folder.join("apt-get.lock"))?;
    file.lock()?;
    Ok(file)
}

fn update() -> Result<(), String> {
    apt_get(FETCH_SECONDS, &["update"])
}

/// Fetches first: a time limit that ends a download does no harm, one that ends dpkg would leave packages half installed.
fn apt_install(packages: &[&str]) -> Result<(), String> {
    let arguments = ["install", "--no-install-recommends", "--no-remove"];
    let fetch = [&arguments[..], &["--download-only"], packages].concat();
    apt_get(FETCH_SECONDS, &fetch)?;
    apt_get(INSTALL_SECONDS, &[&arguments[..], packages].concat())
}

fn apt_get(seconds: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("unshare")
        .args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .args(["sh", "-c", WITHOUT_SERVICES, "sh"])
        .args(["timeout", seconds, "apt-get", "--quiet=2", "--assume-yes"])
        .args(["-o", "DPkg::Lock::Timeout=120"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("unshare: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let last = errors.lines().last().unwrap_or("no word why");
    Err(format!("apt-get {}: {last}", arguments.join(" ")))
}
