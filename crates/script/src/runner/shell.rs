//! Shell lines of scripts: those that are known change configuration, as they would on a host.
//!
//! Nothing is run. With `--allow-shell` a line that is not known is passed over, because what it would do to this machine cannot
//! reach a stack in virtual time; without it, such a line is an error, so that no script passes without what it asks for.

use std::time::Duration;

use handwave_tcp::Config;

use crate::posix::Posix;

/// Helpers that set a host up as it is anyway.
const HELPERS: &[&str] = &["defaults.sh", "set_sysctls.py", "tcp_reset.sh", "limits.sh"];
/// Settings that Linux offers and that change nothing a script of ours can see.
const WITHOUT_EFFECT: &[&str] = &[
    "tcp_mem",
    "tcp_no_metrics_save",
    "tcp_max_orphans",
    "tcp_max_tw_buckets",
    "tcp_low_latency",
    "ip_forward",
    "ip_local_port_range",
    "tcp_moderate_rcvbuf",
    "optmem_max",
    "tcp_autocorking",
    "tcp_tw_reuse",
];

/// Runs the commands of one pair of backticks.
pub(super) fn run(posix: &mut Posix, text: &str, allow_shell: bool) -> Result<(), String> {
    let joined = text.replace("\\\n", " ");
    for line in joined.split(['\n', ';']).flat_map(|line| line.split("&&")) {
        let line = line.split(" #").next().unwrap_or_default().trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Err(wrong) = one(posix, line)
            && !allow_shell
        {
            return Err(wrong);
        }
    }
    Ok(())
}

fn one(posix: &mut Posix, line: &str) -> Result<(), String> {
    let mut words: Vec<&str> = line
        .split_whitespace()
        .filter(|word| !word.contains(">/dev/null"))
        .collect();
    if words.first() == Some(&"sudo") {
        words.remove(0);
    }
    let unknown = || {
        format!("the command `{line}` is not known here; --allow-shell passes over such commands")
    };
    let Some((program, arguments)) = words.split_first() else {
        return Ok(());
    };
    let program = program.rsplit('/').next().unwrap_or_default();
    match program {
        "sysctl" => sysctls(posix, arguments),
        "ip" if arguments.contains(&"route") => route(posix, arguments).ok_or_else(unknown),
        "true" | "sleep" | "echo" | "modprobe" => Ok(()),
        "sync" => Ok(()),
        _ if HELPERS.contains(&program) => {
            arguments
                .iter()
                .try_for_each(|pair| match pair.split_once('=') {
                    Some((path, value)) => sysctl(posix, path, value),
                    None => Ok(()),
                })
        }
        _ => Err(unknown()),
    }
}

fn sysctls(posix: &mut Posix, arguments: &[&str]) -> Result<(), String> {
    let line = arguments
        .iter()
        .filter(|word| !word.starts_with('-'))
        .copied()
        .collect::<Vec<_>>()
        .join(" ");
    // `name=value`, `name = value`, `name="1 2 3"`, and several of them.
    let mut rest = line.as_str();
    while let Some((name, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let (value, next) = match after.chars().next() {
            Some(quote @ ('"' | '\'')) => after[1..].split_once(quote).unwrap_or((&after[1..], "")),
            _ => match after.find('=') {
                Some(equals) => {
                    let end = after[..equals].trim_end().rfind(' ').unwrap_or(equals);
                    after.split_at(end)
                }
                None => (after, ""),
            },
        };
        sysctl(posix, name.trim(), value.trim())?;
        rest = next.trim_start();
    }
    Ok(())
}

fn sysctl(posix: &mut Posix, path: &str, value: &str) -> Result<(), String> {
    let name = path
        .trim_matches(['"', '\''])
        .rsplit(['.', '/'])
        .next()
        .unwrap_or_default();
    let words: Vec<i64> = value
        .trim_matches(['"', '\''])
        .split_whitespace()
        .map(|word| {
            word.parse()
                .map_err(|_| format!("`{value}` is no value for {name}"))
        })
        .collect::<Result<_, String>>()
        .or_else(|wrong| {
            if name == "tcp_congestion_control" {
                Ok(Vec::new())
            } else {
                Err(wrong)
            }
        })?;
    let first = words.first().copied().unwrap_or(0);
    let settings = posix.settings_mut();
    if WITHOUT_EFFECT.contains(&name) || listener(&mut settings.listener, name, first) {
        return Ok(());
    }
    match name {
        "somaxconn" => settings.backlog_max = u32::try_from(first).unwrap_or(0),
        _ if connection(&mut settings.connection, name, &words)? => {}
        _ => {
            return Err(format!(
                "the setting `{path}` is not offered; --allow-shell passes over it"
            ));
        }
    }
    Ok(())
}

fn listener(config: &mut handwave_tcp::ListenerConfig, name: &str, value: i64) -> bool {
    match name {
        "tcp_synack_retries" => config.synack_retries = octet(value),
        "tcp_max_syn_backlog" => config.syn_queue_max = usize::try_from(value).unwrap_or(0),
        "tcp_abort_on_overflow" => config.reset_on_overflow = value != 0,
        _ => return false,
    }
    true
}

/// Sets what a connection is configured with; says whether there is such a setting.
fn connection(config: &mut Config, name: &str, words: &[i64]) -> Result<bool, String> {
    let value = words.first().copied().unwrap_or(0);
    let seconds = || Duration::from_secs(u64::try_from(value).unwrap_or(0));
    let on = value != 0;
    match name {
        "tcp_timestamps" => config.timestamps = on,
        "tcp_sack" => config.sack = on,
        "tcp_window_scaling" => config.window_scaling = on,
        "tcp_fin_timeout" => config.fin_wait2_timeout = seconds(),
        "tcp_orphan_retries" => config.orphan_retries = octet(value),
        "tcp_retries1" => config.r1 = octet(value),
        "tcp_retries2" => config.r2 = backed_off(config, octet(value)),
        "tcp_syn_retries" => config.r2_syn = backed_off_syn(octet(value)),
        "tcp_rfc1337" => config.time_wait_ignores_rst = on,
        "tcp_invalid_ratelimit" => {
            config.challenge_interval = Duration::from_millis(u64::try_from(value).unwrap_or(0));
        }
        "tcp_rto_min_us" => {
            config.rto_min = Duration::from_micros(u64::try_from(value).unwrap_or(0))
        }
        "tcp_rto_max_ms" => {
            config.rto_max = Duration::from_millis(u64::try_from(value).unwrap_or(0))
        }
        "tcp_rmem" => config.receive_buffer = middle(words),
        "tcp_wmem" => config.send_buffer = middle(words),
        "ip_default_ttl" => config.hop_limit = octet(value),
        // What is not offered may be switched off.
        "tcp_ecn"
        | "tcp_fastopen"
        | "tcp_early_retrans"
        | "tcp_recovery"
        | "tcp_frto"
        | "tcp_mtu_probing"
        | "tcp_syncookies"
        | "tcp_dsack"
        | "tcp_fack"
        | "tcp_slow_start_after_idle"
        | "tcp_thin_linear_timeouts"
            if !on => {}
        "tcp_congestion_control" => {}
        _ => return Ok(false),
    }
    Ok(true)
}

fn octet(value: i64) -> u8 {
    u8::try_from(value.clamp(0, 255)).unwrap_or(u8::MAX)
}

/// The second of three values is where a buffer begins.
fn middle(words: &[i64]) -> u32 {
    let value = words.get(1).or(words.first()).copied().unwrap_or(0);
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// How long so many retransmissions take, from the least timeout up to the greatest.
fn backed_off(config: &Config, retries: u8) -> Duration {
    let waits = (0..=u32::from(retries)).map(|n| {
        config
            .rto_min
            .saturating_mul(2_u32.saturating_pow(n))
            .min(config.rto_max)
    });
    waits.fold(Duration::ZERO, Duration::saturating_add)
}

fn backed_off_syn(retries: u8) -> Duration {
    let waits = (0..=u32::from(retries)).map(|n| Duration::from_secs(1_u64 << n.min(16)));
    waits.fold(Duration::ZERO, Duration::saturating_add)
}

/// `ip route ... initcwnd 10`.
fn route(posix: &mut Posix, arguments: &[&str]) -> Option<()> {
    let after = |name| {
        let at = arguments.iter().position(|word| *word == name)?;
        arguments.get(at + 1)?.parse::<u8>().ok()
    };
    if let Some(segments) = after("initcwnd") {
        posix.settings_mut().connection.initial_window = segments;
    }

    // Each known word with a value has the word behind it, whatever that is.
    let strange = arguments.iter().any(|word| {
        matches!(
            *word,
            "mtu" | "rto_min" | "initrwnd" | "quickack" | "features" | "congctl" | "window"
        )
    });
    (!strange).then_some(())
}
