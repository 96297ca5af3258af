//! What a run starts from: the profile, and what the options at the head of a script change.

use std::net::IpAddr;
use std::time::Duration;

use handwave_tcp::Profile;

use super::shell;
use crate::language::Diagnostic;
use crate::language::ast::{OptionLine, Script};

/// Options of packetdrill about interfaces, processes and wires that there are none of here.
const WITHOUT_MEANING: &[&str] = &[
    "define",
    "so_filename",
    "so_flags",
    "send_omit_free",
    "verbose",
    "v",
    "gateway_ip",
    "local_linkaddr",
    "netmask_ip",
    "speed",
    "strict",
    "strict_segments",
    "wire_client",
    "wire_server",
    "wire_server_port",
    "wire_client_dev",
    "wire_server_dev",
    "wire_server_ip",
    "code_command",
    "code_format",
    "code_sockopt",
    "is_anyip",
    "no_cleanup",
    "debug",
];

/// Which IP a script speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpVersion {
    /// IPv4 on the wire, `AF_INET` sockets.
    V4,
    /// IPv6 on the wire, `AF_INET6` sockets.
    V6,
    /// IPv4 on the wire, `AF_INET6` sockets.
    V4Mapped,
}

/// How to run scripts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the stack does by default.
    pub profile: Profile,
    /// Run shell commands that are not known.
    pub allow_shell: bool,
    /// By how much an event may be early or late.
    pub tolerance: Duration,
    /// What a script may not fall below with its own tolerance: clocks of other hosts run for real.
    pub tolerance_least: Duration,
    /// The same as a share of the time since the event before, in hundredths; whichever is more counts.
    pub tolerance_percent: u32,
    /// Which IP.
    pub ip_version: IpVersion,
    /// The MTU of the stack's interface.
    pub mtu: u16,
    /// The stack's address; `None`: 192.168.0.1, or fd3d:a0b:17d6::1.
    pub local: Option<IpAddr>,
    /// The peer's address; `None`: 192.0.2.1, or 2001:db8::1.
    pub remote: Option<IpAddr>,
    /// What `bind(..., ...)` binds to.
    pub bind_port: u16,
    /// What `connect(..., ...)` connects to.
    pub connect_port: u16,
    /// How long a timestamp unit of the stack is; `None`: timestamps in expected packets are names and not compared.
    pub timestamp_tick: Option<Duration>,
    /// Words that stand for others in every script.
    pub defines: Vec<(String, String)>,
    /// Shell commands that come before those of the script.
    pub init_scripts: Vec<String>,
    /// What does not end a run when it goes wrong.
    pub non_fatal: NonFatal,
    /// Read the script and run nothing.
    pub dry_run: bool,
}

/// Kinds of events that may go wrong without ending a run; what went wrong is a warning then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NonFatal {
    /// Packets that are not as expected.
    pub packets: bool,
    /// Calls that return something else.
    pub calls: bool,
}

impl Settings {
    /// The defaults of packetdrill, with the defaults of `profile` underneath.
    #[must_use]
    pub const fn new(profile: Profile) -> Self {
        Self {
            profile,
            allow_shell: false,
            tolerance: Duration::from_millis(4),
            tolerance_least: Duration::ZERO,
            tolerance_percent: 1,
            ip_version: IpVersion::V4,
            mtu: 1500,
            local: None,
            remote: None,
            bind_port: 8080,
            connect_port: 8080,
            timestamp_tick: None,
            defines: Vec::new(),
            init_scripts: Vec::new(),
            non_fatal: NonFatal {
                packets: false,
                calls: false,
            },
            dry_run: false,
        }
    }

    /// The stack's address.
    #[must_use]
    pub fn local_address(&self) -> IpAddr {
        let usual = match self.ip_version {
            IpVersion::V6 => [0xfd3d, 0x0a0b, 0x17d6, 0, 0, 0, 0, 1].into(),
            IpVersion::V4 | IpVersion::V4Mapped => [192, 168, 0, 1].into(),
        };
        self.local.unwrap_or(usual)
    }

    /// The peer's address.
    #[must_use]
    pub fn remote_address(&self) -> IpAddr {
        let usual = match self.ip_version {
            IpVersion::V6 => [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into(),
            IpVersion::V4 | IpVersion::V4Mapped => [192, 0, 2, 1].into(),
        };
        self.remote.unwrap_or(usual)
    }

    /// These settings with the options of `script`, whose text is `text`.
    pub(super) fn with_options(mut self, script: &Script, text: &str) -> Result<Self, Diagnostic> {
        for option in &script.options {
            self.set(option).map_err(|(message, help)| {
                let diagnostic = Diagnostic::new(text, option.place.span.clone(), message);
                match help {
                    Some(help) => diagnostic.help(help),
                    None => diagnostic,
                }
            })?;
        }
        if let Some(mtu) = self.mtu_for_mss(script) {
            self.mtu = mtu;
        }
        let init = self.init_scripts.iter().map(String::as_str);
        let commands = init.chain(script.setup.iter().map(|command| command.text.as_str()));
        if let Some(mtu) = commands.filter_map(shell::mtu).next_back() {
            self.mtu = mtu;
        }
        Ok(self)
    }

    /// The MTU of an interface on which `--mss` is what a segment holds.
    fn mtu_for_mss(&self, script: &Script) -> Option<u16> {
        let option = script.options.iter().rfind(|option| option.name == "mss")?;
        let mss: u16 = option.value.as_deref()?.parse().ok()?;
        let headers = match self.ip_version {
            IpVersion::V6 => 60,
            IpVersion::V4 | IpVersion::V4Mapped => 40,
        };
        mss.checked_add(headers)
    }

    /// Takes an option about time and addresses.
    fn set(&mut self, option: &OptionLine) -> Result<(), Wrong> {
        let name = option.name.as_str();
        let text = option.value.as_deref().unwrap_or_default();
        let wrong = |what: &str| not_fit(name, text, what);
        let number = || text.parse::<u32>().map_err(|_| wrong("a number"));
        let port = || text.parse::<u16>().map_err(|_| wrong("a port"));
        let address = || {
            // A prefix behind the address says nothing that matters here.
            let address = text.split('/').next().unwrap_or_default();
            address
                .parse::<IpAddr>()
                .map_err(|_| wrong("an IP address"))
        };
        match name {
            "tolerance_usecs" => {
                let said = Duration::from_micros(number()?.into());
                self.tolerance = said.max(self.tolerance_least);
            }
            "tolerance_percent" => {
                let percent: f64 = text.parse().map_err(|_| wrong("a number"))?;
                // Whole percents are fine enough, and at most all of the time.
                self.tolerance_percent = (0..=100)
                    .rev()
                    .find(|n| f64::from(*n) <= percent)
                    .unwrap_or(0);
            }
            "tcp_ts_tick_usecs" => {
                self.timestamp_tick =
                    Some(Duration::from_micros(number()?.into())).filter(|tick| !tick.is_zero());
            }
            "ip_version" => {
                self.ip_version = match text {
                    "ipv4" => IpVersion::V4,
                    "ipv6" => IpVersion::V6,
                    "ipv4-mapped-ipv6" => IpVersion::V4Mapped,
                    _ => return Err(wrong("ipv4, ipv6 or ipv4-mapped-ipv6")),
                };
            }
            "mtu" => {
                self.mtu = text
                    .parse()
                    .ok()
                    .filter(|mtu| *mtu >= 68)
                    .ok_or_else(|| wrong("an MTU from 68 to 65535"))?;
            }
            "local_ip" => self.local = Some(address()?),
            "remote_ip" => self.remote = Some(address()?),
            "bind_port" => self.bind_port = port()?,
            "connect_port" => self.connect_port = port()?,
            _ => return self.set_run(option),
        }
        Ok(())
    }

    /// Takes an option about how a script is run.
    fn set_run(&mut self, option: &OptionLine) -> Result<(), Wrong> {
        let name = option.name.as_str();
        let text = option.value.as_deref().unwrap_or_default();
        let wrong = |what: &str| not_fit(name, text, what);
        match name {
            // The headers that come on top depend on the IP version, which may be named later.
            "mss" => {
                let mss = text.parse::<u16>().ok();
                mss.filter(|mss| (28..=65_475).contains(mss))
                    .ok_or_else(|| wrong("a segment size from 28 to 65475"))?;
            }
            "init_scripts" => {
                let scripts = text.split([',', ' ', '\n']).filter(|path| !path.is_empty());
                self.init_scripts.extend(scripts.map(str::to_owned));
            }
            "non_fatal" => {
                let all = ["packet", "syscall"];
                let kinds = match option.value {
                    Some(_) => text.split(',').collect(),
                    None => all.to_vec(),
                };
                if kinds.iter().any(|kind| !all.contains(kind)) {
                    return Err(wrong("packet, syscall or both with a comma"));
                }
                self.non_fatal.packets |= kinds.contains(&"packet");
                self.non_fatal.calls |= kinds.contains(&"syscall");
            }
            "dry_run" => self.dry_run = true,
            "profile" => {
                self.profile =
                    Profile::by_name(text).ok_or_else(|| wrong("the name of a profile"))?;
            }
            name if WITHOUT_MEANING.contains(&name) => {}
            _ => {
                let help = "options that mean something here: tolerance_usecs, tolerance_percent, \
                    tcp_ts_tick_usecs, ip_version, mtu, mss, local_ip, remote_ip, bind_port, connect_port, \
                    init_scripts, non_fatal, dry_run, profile, define";
                return Err((format!("there is no option --{name}"), Some(help)));
            }
        }
        Ok(())
    }
}

/// What is wrong with an option, and what could be done about it.
type Wrong = (String, Option<&'static str>);

fn not_fit(name: &str, text: &str, what: &str) -> Wrong {
    (
        format!("`{text}` is not {what}, which --{name} needs"),
        None,
    )
}
