//! Doing something in another network namespace.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::thread;

use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::failure::{Failure, Kind};

/// Runs `work` on a thread that has moved into a namespace: its name as `ip netns` has it, the number of a process, or a path.
///
/// A descriptor that is opened there works everywhere.
pub(crate) fn within<T: Send>(
    namespace: &str,
    work: impl FnOnce() -> T + Send,
) -> Result<T, Failure> {
    let path = path(namespace);
    let file = File::open(&path).map_err(|error| not_found(namespace, &path, &error))?;
    let on_thread = || {
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(|errno| not_entered(namespace, errno))?;
        Ok(work())
    };
    thread::scope(|scope| match scope.spawn(on_thread).join() {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

fn path(namespace: &str) -> PathBuf {
    if namespace.contains('/') {
        namespace.into()
    } else if !namespace.is_empty() && namespace.bytes().all(|octet| octet.is_ascii_digit()) {
        format!("/proc/{namespace}/ns/net").into()
    } else {
        Path::new("/run/netns").join(namespace)
    }
}

fn not_found(namespace: &str, path: &Path, error: &std::io::Error) -> Failure {
    let failure = Failure::new(
        Kind::Input,
        format!("there is no network namespace {namespace:?}"),
    )
    .because(format!("{}: {error}", path.display()));
    match namespace.contains('/') {
        true => failure.hint(
            "a name (`ip netns list`), the number of a process, or a path like /proc/1/ns/net",
        ),
        false => failure.hint(format!(
            "sudo ip netns add {namespace}, or the number of a process in the namespace"
        )),
    }
}

fn not_entered(namespace: &str, errno: Errno) -> Failure {
    let what = format!("cannot enter the network namespace {namespace:?}");
    match errno {
        Errno::PERM => Failure::new(Kind::Privilege, what)
            .because("that takes root or CAP_SYS_ADMIN")
            .hint(super::sudo_again()),
        Errno::INVAL => Failure::new(Kind::Input, what).because("it is no network namespace"),
        errno => Failure::new(Kind::Failed, what).because(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_have_names_numbers_and_paths() {
        assert_eq!(path("inner"), Path::new("/run/netns/inner"));
        assert_eq!(path("17"), Path::new("/proc/17/ns/net"));
        assert_eq!(path("/proc/1/ns/net"), Path::new("/proc/1/ns/net"));
    }

    #[test]
    fn a_namespace_that_is_none_is_told_apart_from_one_that_is_missing() {
        let missing = within("/nowhere/at/all", || ()).unwrap_err().render();
        assert!(
            missing.contains("there is no network namespace"),
            "{missing}"
        );
        let other = within(env!("CARGO_MANIFEST_DIR"), || ())
            .unwrap_err()
            .render();
        assert!(other.contains("cannot enter"), "{other}");
    }
}
