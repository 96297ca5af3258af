//! Shell lines of scripts: those that are known change configuration, as they would on a host.
//!
//! Nothing is run. With `--allow-shell` a line that is not known is passed over, because what it would do to this machine cannot
//! reach a stack in virtual time; without it, such a line is an error, so that no script passes without what it asks for.

mod words;

use std::time::Duration;

use handwave_tcp::Config;

use crate::posix::{Posix, SysctlError};
use words::Line;

/// Helpers that set a host up as it is anyway; what they are passed as `NAME=VALUE` is set.
const HELPERS: &[&str] = &[
    "defaults.sh",
    "set_sysctls.py",
    "set_sysctls.sh",
    "tcp_reset.sh",
    "limits.sh",
];
/// Programs that change nothing a script can see.
const WITHOUT_EFFECT: &[&str] = &[
    "true", ":", "echo", "printf", "sleep", "sync", "modprobe", "ethtool", "nstat", "ss", "cat",
    "date", "set", "export", "cd", "ulimit",
];
/// Queueing disciplines that neither lose nor delay packets.
const HARMLESS_QUEUES: &[&str] = &[
    "fq",
    "fq_codel",
    "pfifo",
    "bfifo",
    "pfifo_fast",
    "noqueue",
    "mq",
];
/// What is not offered, and may therefore be switched off.
const MAY_BE_OFF: &[&str] = &[
    "tcp_ecn",
    "tcp_fastopen",
    "tcp_early_retrans",
    "tcp_recovery",
    "tcp_frto",
    "tcp_mtu_probing",
    "tcp_syncookies",
    "tcp_fack",
    "tcp_thin_linear_timeouts",
    "tcp_thin_dupack",
    "tcp_plb_enabled",
    "tcp_migrate_req",
];

/// Makes the settings that a shell command would make on a host: what scripts have between backticks, where it is known.
///
/// ```
/// use handwave_script::posix::{Environment, Posix};
/// use handwave_script::runner::carry_out_shell;
/// use handwave_tcp::{Instant, Profile};
///
/// let mut posix = Posix::new(Instant::ZERO, Environment::new(Profile::linux(), [])).unwrap();
/// carry_out_shell(&mut posix, "sysctl -q net.ipv4.tcp_sack=0").unwrap();
/// assert!(!posix.settings().connection.sack);
/// assert!(carry_out_shell(&mut posix, "rm -r /tmp/x").is_err());
/// ```
///
/// # Errors
///
/// Which command is not known, or which setting not possible. Those before it have been made.
pub fn carry_out_shell(posix: &mut Posix, text: &str) -> Result<(), String> {
    run(posix, text, false)
}

/// Runs the commands of one pair of backticks.
pub(super) fn run(posix: &mut Posix, text: &str, allow_shell: bool) -> Result<(), String> {
    for line in words::lines(text) {
        if let Err(wrong) = one(posix, &line)
            && !allow_shell
        {
            return Err(wrong);
        }
    }
    Ok(())
}

/// The MTU that the commands of one pair of backticks give to the interface, which has it from the start.
pub(super) fn mtu(text: &str) -> Option<u16> {
    words::lines(text)
        .iter()
        .filter_map(mtu_of_line)
        .next_back()
}

/// `ip link set dev tun0 mtu 1400`, `ifconfig tun0 mtu 1400`.
fn mtu_of_line(line: &Line) -> Option<u16> {
    let (program, arguments) = line.program()?;
    let sets_link = match program {
        "ip" => arguments.iter().any(|word| word == "link"),
        "ifconfig" => true,
        _ => false,
    };
    let after = || {
        let at = arguments.iter().position(|word| word == "mtu")?;
        arguments.get(at + 1)?.parse().ok()
    };
    sets_link.then(after).flatten()
}

fn one(posix: &mut Posix, line: &Line) -> Result<(), String> {
    let unknown = || {
        format!(
            "the command `{}` is not known here; --allow-shell passes over such commands",
            line.text
        )
    };
    let Some((program, arguments)) = line.program() else {
        return Ok(());
    };
    if let Some(path) = line.writes_to.as_deref().and_then(setting) {
        // `echo 1 > /proc/sys/net/ipv4/tcp_sack`.
        return sysctl(posix, path, &arguments.join(" "));
    }
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    match program {
        "sysctl" => sysctls(posix, arguments),
        "ip" if has("route") => route(posix, arguments).ok_or_else(unknown),
        // The interface has its MTU from the start.
        "ip" | "ifconfig" if mtu_of_line(line).is_some() => Ok(()),
        "ip" if has("link") && (has("up") || has("qlen") || has("txqueuelen")) => Ok(()),
        // Nothing is remembered from one connection to the next.
        "ip" if has("tcp_metrics") || has("tcpmetrics") => Ok(()),
        "tc" if has("qdisc") => {
            let removes = has("del") || has("show");
            let harmless = HARMLESS_QUEUES.iter().any(|queue| has(queue));
            (removes || harmless).then_some(()).ok_or_else(unknown)
        }
        _ if WITHOUT_EFFECT.contains(&program) => Ok(()),
        _ if HELPERS.contains(&program) => {
            let pairs = arguments.iter().filter_map(|pair| pair.split_once('='));
            pairs
                .into_iter()
                .try_for_each(|(path, value)| sysctl(posix, path, value))
        }
        _ => Err(unknown()),
    }
}

/// The setting behind a path below `/proc/sys`.
fn setting(path: &str) -> Option<&str> {
    path.strip_prefix("/proc/sys/")
}

/// `name=value`, `name = value`, and several of them.
fn sysctls(posix: &mut Posix, arguments: &[String]) -> Result<(), String> {
    let mut words = arguments.iter().filter(|word| !word.starts_with('-'));
    while let Some(word) = words.next() {
        let (name, value) = match word.split_once('=') {
            Some((name, "")) => (name, words.next().map_or("", String::as_str)),
            Some(pair) => pair,
            None => match words.clone().next() {
                Some(equals) if equals == "=" => {
                    words.next();
                    (word.as_str(), words.next().map_or("", String::as_str))
                }
                Some(value) if value.starts_with('=') => {
                    words.next();
                    (word.as_str(), &value[1..])
                }
                // Only asked for.
                _ => continue,
            },
        };
        sysctl(posix, name, value)?;
    }
    Ok(())
}

fn sysctl(posix: &mut Posix, path: &str, value: &str) -> Result<(), String> {
    let name = path.rsplit(['.', '/']).next().unwrap_or_default();
    let settings = posix.settings_mut();
    match settings.sysctl(name, value) {
        Ok(_) => Ok(()),
        Err(SysctlError::Unknown(_)) => match (MAY_BE_OFF.contains(&name), value.trim()) {
            (true, "0") => Ok(()),
            (true, _) => Err(format!(
                "`{path}` is not offered and can only be 0; --allow-shell passes over it"
            )),
            _ => Err(format!(
                "the setting `{path}` is not offered; --allow-shell passes over it"
            )),
        },
        Err(wrong) => Err(wrong.to_string()),
    }
}

/// `ip route replace ... initcwnd 10`.
fn route(posix: &mut Posix, arguments: &[String]) -> Option<()> {
    let after = |name: &str| {
        let at = arguments.iter().position(|word| word == name)?;
        arguments.get(at + 1).map(String::as_str)
    };
    let config = &mut posix.settings_mut().connection;
    if let Some(segments) = after("initcwnd") {
        config.initial_window = segments.parse().ok()?;
    }
    if let Some(span) = after("rto_min") {
        config.rto_min = span_of(span)?;
    }
    if let Some(mss) = after("advmss") {
        config.mss_max = Some(mss.parse().ok()?);
    }
    if let Some(algorithm) = after("congctl") {
        congestion(config, algorithm)?;
    }
    // Each known word with a value has the word behind it, whatever that is.
    let strange = ["mtu", "initrwnd", "quickack", "features", "window"];
    (!strange.iter().any(|word| after(word).is_some())).then_some(())
}

fn congestion(config: &mut Config, name: &str) -> Option<()> {
    config.congestion = handwave_tcp::congestion::Algorithm::parse(name)?;
    Some(())
}

/// `5ms`, `1s`, or milliseconds.
fn span_of(text: &str) -> Option<Duration> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let count: u64 = number.parse().ok()?;
    match &text[number.len()..] {
        "" | "ms" => Some(Duration::from_millis(count)),
        "s" => Some(Duration::from_secs(count)),
        "us" => Some(Duration::from_micros(count)),
        _ => None,
    }
}
