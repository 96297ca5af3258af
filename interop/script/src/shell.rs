//! Shell lines of scripts, in the namespace of the script.
//!
//! Settings of the network go where `sysctl` would put them; what sets up addresses and routes is run. Everything else would
//! reach beyond the namespace and is run only if that is allowed.

use std::fs;
use std::process::Command;

/// Programs that touch the namespace only, or nothing.
const HARMLESS: &[&str] = &["ip", "ss", "nstat", "true", "sleep", "echo", "tc"];

/// Where Linux keeps the congestion control of new sockets; a namespace may not set it to all that there are.
const CONGESTION: &str = "net/ipv4/tcp_congestion_control";

/// Runs the commands of one pair of backticks; returns the congestion control that they choose.
pub(crate) fn run(text: &str, allow_shell: bool) -> Result<Option<String>, String> {
    let mut congestion = None;
    let joined = text.replace("\\\n", " ");
    for line in joined.split(['\n', ';']).flat_map(|line| line.split("&&")) {
        let line = line.split(" #").next().unwrap_or_default().trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        congestion = one(line, allow_shell)?.or(congestion);
    }
    Ok(congestion)
}

fn one(line: &str, allow_shell: bool) -> Result<Option<String>, String> {
    let mut words = line.split_whitespace();
    match words.next() {
        Some("sysctl") => sysctls(line),
        Some(name) if allow_shell || HARMLESS.contains(&name) => program(line).map(|()| None),
        _ => Err(format!(
            "the command `{line}` may reach beyond the namespace; --allow-shell runs it"
        )),
    }
}

/// `sysctl -q net.ipv4.a=1 net.ipv4.b="1 2 3"`.
fn sysctls(line: &str) -> Result<Option<String>, String> {
    let words: Vec<&str> = line
        .split_whitespace()
        .skip(1)
        .filter(|word| !word.starts_with('-') && !word.contains(">/dev/null"))
        .collect();
    let mut pairs: Vec<(String, String)> = Vec::new();
    for word in words.join(" ").replace(" = ", "=").split(' ') {
        match (word.split_once('='), pairs.last_mut()) {
            (Some((name, value)), _) => pairs.push((name.to_owned(), value.to_owned())),
            (None, Some((_, value))) => {
                value.push(' ');
                value.push_str(word);
            }
            (None, None) => return Err(format!("`{line}` sets nothing")),
        }
    }
    let mut congestion = None;
    for (name, value) in pairs {
        let value = value.trim_matches(['"', '\'']);
        let path = name.replace('.', "/");
        if path == CONGESTION {
            congestion = Some(value.to_owned());
        } else {
            set(&path, value)?;
        }
    }
    Ok(congestion)
}

/// Writes a setting of the network, which belongs to the namespace.
pub(crate) fn set(path: &str, value: &str) -> Result<(), String> {
    if !path.starts_with("net/") || path.contains("..") {
        return Err(format!("the setting {path} is not one of the network"));
    }
    let path = format!("/proc/sys/{path}");
    fs::write(&path, value).map_err(|error| format!("{path}: {error}"))
}

/// Runs a program and waits for it.
pub(crate) fn program(line: &str) -> Result<(), String> {
    let output = Command::new("sh")
        .args(["-c", line])
        .output()
        .map_err(|error| format!("`{line}`: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("`{line}` failed: {}", said.trim()))
}
