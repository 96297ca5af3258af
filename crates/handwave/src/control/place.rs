//! Where control sockets are: a directory of this user's own, one socket for each process, found by both sides alike.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;

const SUFFIX: &str = ".sock";

/// The directories in which control sockets of this user are looked for, in order of preference.
///
/// `$XDG_RUNTIME_DIR/handwave` where that is set; `/run/handwave` for root; `/tmp/handwave-UID` where there is nothing
/// better. A server makes the first that it can; a client looks into all.
#[must_use]
pub fn directories() -> Vec<PathBuf> {
    let uid = rustix::process::geteuid();
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let runtime = runtime.filter(|path| path.is_absolute());
    let mut found: Vec<_> = runtime
        .map(|path| path.join("handwave"))
        .into_iter()
        .collect();
    if uid.is_root() {
        found.push("/run/handwave".into());
    }
    found.push(format!("/tmp/handwave-{}", uid.as_raw()).into());
    found
}

/// Every socket in the [`directories`] of this user, whether or not somebody answers there, by name.
#[must_use]
pub fn candidates() -> Vec<PathBuf> {
    let is_socket = |path: &PathBuf| {
        let named = path.to_str().is_some_and(|name| name.ends_with(SUFFIX));
        named && fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket())
    };
    let mut found = Vec::new();
    for directory in directories() {
        // Whoever can write there could have put his own socket into it.
        if is_safe(&directory).is_err() {
            continue;
        }
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let mut here: Vec<_> = entries
            .map(|entry| entry.path())
            .filter(is_socket)
            .collect();
        here.sort();
        found.extend(here);
    }
    found
}

/// The first of the [`directories`] that can be used, made if it is not there: only this user can write to it.
///
/// # Errors
///
/// Why the last of them cannot be used.
pub fn directory() -> io::Result<PathBuf> {
    let mut reason = io::Error::from(io::ErrorKind::NotFound);
    for directory in directories() {
        match make_directory(&directory) {
            Ok(()) => return Ok(directory),
            Err(error) => reason = error,
        }
    }
    Err(reason)
}

/// A path for this process in the first directory that can be used; sockets of processes that are gone are removed from
/// it.
pub(super) fn default_path() -> io::Result<PathBuf> {
    let directory = directory()?;
    remove_stale(&directory);
    Ok(free_name(&directory))
}

/// One process may hold several stacks.
fn free_name(directory: &Path) -> PathBuf {
    let pid = std::process::id();
    let first = directory.join(format!("{pid}{SUFFIX}"));
    let more = (2..).map(|n| directory.join(format!("{pid}-{n}{SUFFIX}")));
    let mut names = std::iter::once(first.clone()).chain(more);
    names.find(|path| !path.exists()).unwrap_or(first)
}

fn make_directory(path: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => is_safe(path),
    }
}

/// Whether only this user can put anything into the directory.
fn is_safe(path: &Path) -> io::Result<()> {
    let meta = fs::symlink_metadata(path)?;
    let ours = meta.uid() == rustix::process::geteuid().as_raw();
    if meta.is_dir() && ours && meta.mode() & 0o022 == 0 {
        return Ok(());
    }
    let why = format!(
        "{} is no directory that only this user can write to",
        path.display()
    );
    Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
}

fn remove_stale(directory: &Path) {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        let is_ours = path.to_str().is_some_and(|name| name.ends_with(SUFFIX));
        if is_ours && matches!(occupant(&path), Ok(Occupant::Stale)) {
            let _ = fs::remove_file(path);
        }
    }
}

/// Who has a path.
enum Occupant {
    Nobody,
    /// A socket whose process is gone.
    Stale,
    /// A socket at which somebody listens.
    Live,
    /// Something that is no socket.
    Foreign,
}

fn occupant(path: &Path) -> io::Result<Occupant> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Occupant::Nobody),
        Err(error) => return Err(error),
        Ok(meta) if !meta.file_type().is_socket() => return Ok(Occupant::Foreign),
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(_) => Ok(Occupant::Live),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(Occupant::Stale),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Occupant::Nobody),
        // Its queue is full, or it is another user's.
        Err(_) => Ok(Occupant::Live),
    }
}

/// Listens at `path`, open to nobody but this user, in the place of a socket whose process is gone.
///
/// # Errors
///
/// [`AddrInUse`](io::ErrorKind::AddrInUse) if somebody listens there, [`AlreadyExists`](io::ErrorKind::AlreadyExists) if
/// it is no socket, and what the operating system says.
pub(super) fn bind(path: &Path) -> io::Result<UnixListener> {
    let refuse = |kind, why: &str| Err(io::Error::new(kind, format!("{} {why}", path.display())));
    match occupant(path)? {
        Occupant::Nobody | Occupant::Stale => {}
        Occupant::Live => return refuse(io::ErrorKind::AddrInUse, "is in use"),
        Occupant::Foreign => return refuse(io::ErrorKind::AlreadyExists, "is no socket"),
    }
    // A socket is made with the permissions of the umask. So it is made where nobody else can reach it, and moved when
    // its permissions are right; the move also replaces a stale one in one step.
    let private = path.with_extension(format!("{}.new", std::process::id()));
    let _ = fs::remove_dir_all(&private);
    fs::DirBuilder::new().mode(0o700).create(&private)?;
    let listener = bind_inside(&private.join("s"), path);
    let _ = fs::remove_dir_all(&private);
    listener
}

fn bind_inside(inside: &Path, path: &Path) -> io::Result<UnixListener> {
    let listener = UnixListener::bind(inside)?;
    rustix::fs::chmod(inside, Mode::RUSR | Mode::WUSR)?;
    fs::rename(inside, path)?;
    Ok(listener)
}
