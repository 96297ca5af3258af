//! Tests in a network namespace of their own, with the kernel as the other end.

use std::io::Write;
use std::process::Command;
use std::thread;

/// Says so to the run of the test that is inside.
const INSIDE: &str = "HANDWAVE_TEST_IN_NAMESPACE";

/// Whether this is the run of the test inside a namespace of its own. If not, runs it there, in a process of its own, and fails as
/// it does; where that is not possible the test is skipped, and says so on standard error.
pub(crate) fn entered() -> bool {
    if std::env::var_os(INSIDE).is_some() {
        ip(&["link", "set", "dev", "lo", "up"]);
        return true;
    }
    let name = thread::current().name().unwrap_or_default().to_owned();
    if let Some(reason) = missing() {
        // Not eprintln!, which the test runner swallows when a test passes.
        let _ = writeln!(std::io::stderr(), "SKIPPED {name}: {reason}");
        return false;
    }
    let status = Command::new("unshare")
        .args(["--net", "--"])
        .arg(std::env::current_exe().unwrap())
        .args([name.as_str(), "--exact", "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .unwrap();
    assert!(
        status.success(),
        "{name} in a namespace of its own: {status}"
    );
    false
}

fn missing() -> Option<&'static str> {
    if !std::path::Path::new("/dev/net/tun").exists() {
        return Some("there is no /dev/net/tun");
    }
    if Command::new("ip").arg("-V").output().is_err() {
        return Some("there is no program `ip`");
    }
    match Command::new("unshare")
        .args(["--net", "--", "true"])
        .output()
    {
        Ok(tried) if tried.status.success() => None,
        Ok(_) => Some("no network namespace to be had: this needs root"),
        Err(_) => Some("there is no program `unshare`"),
    }
}

/// Runs `ip` in the namespace.
pub(crate) fn ip(arguments: &[&str]) {
    let status = Command::new("ip").args(arguments).status().unwrap();
    assert!(status.success(), "ip {arguments:?}: {status}");
}
