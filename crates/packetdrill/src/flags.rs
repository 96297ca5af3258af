//! The settings in `--so_flags`: `key=value` pairs with commas between them.

use std::net::IpAddr;
use std::time::Duration;

use handwave_script::posix::{Environment, Settings, SysctlError};
use handwave_stack::Prefix;
use handwave_tcp::{Profile, Secrets};

/// Where packetdrill has the stack under test, unless it is told otherwise.
const LOCAL_IPV4: &str = "192.168.0.1";
/// The same with IPv6.
const LOCAL_IPV6: &str = "fd3d:fa7b:d17d::1";
/// How long `netdev_receive` waits for a packet: the longest gap that a script may have, with some patience on top.
const RECEIVE_TIMEOUT: Duration = Duration::from_secs(60);

/// What `--so_flags` asks for.
///
/// | key | value | otherwise |
/// |---|---|---|
/// | `profile` | `linux`, `freebsd`, `handwave` | `linux` |
/// | `local_ipv4`, `local_ipv6` | the stack's addresses | packetdrill's |
/// | `mtu` | octets | 1500 |
/// | `receive_timeout` | seconds that `netdev_receive` waits | 60 |
/// | `tcp_sack`, `tcp_rmem`, and other names of Linux's settings | as `sysctl` takes it, `:` between the numbers of a triple | the profile's |
/// | `seed` | a number, for the same sequence numbers every time | from the operating system |
///
/// A packet to an address that the stack does not have gives it that address: packetdrill draws addresses, and tells them to nobody.
#[derive(Debug)]
pub(crate) struct Flags {
    pub(crate) environment: Environment,
    pub(crate) receive_timeout: Duration,
    /// Settings by Linux's names, to be made once the stack is there.
    pub(crate) sysctls: Vec<(String, String)>,
}

impl Flags {
    /// Reads the settings.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut profile = Profile::linux();
        let mut addresses = [LOCAL_IPV4, LOCAL_IPV6].map(str::to_owned);
        let mut mtu = 1500;
        let mut receive_timeout = RECEIVE_TIMEOUT;
        let mut seed = None;
        let mut sysctls = Vec::new();
        for pair in text
            .split(',')
            .map(str::trim)
            .filter(|pair| !pair.is_empty())
        {
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| format!("{pair:?} is not key=value"))?;
            let bad = |expected: &str| format!("{key}={value}: expected {expected}");
            match key {
                "profile" => {
                    profile =
                        Profile::by_name(value).ok_or_else(|| bad("a profile, such as linux"))?;
                }
                "local_ipv4" => value.clone_into(&mut addresses[0]),
                "local_ipv6" => value.clone_into(&mut addresses[1]),
                "mtu" => mtu = value.parse().map_err(|_| bad("a number of octets"))?,
                "receive_timeout" => {
                    let seconds = value.parse().map_err(|_| bad("a number of seconds"))?;
                    receive_timeout = Duration::from_secs(seconds);
                }
                "seed" => seed = Some(value.parse().map_err(|_| bad("a number"))?),
                _ => {
                    // Tried out at once, so that what is wrong is said before anything runs.
                    let value = value.replace(':', " ");
                    let mut settings = Settings::new(profile.clone());
                    settings.sysctl(key, &value).map_err(|error| match error {
                        SysctlError::Unknown(_) => format!("there is no setting {key}"),
                        wrong => wrong.to_string(),
                    })?;
                    sysctls.push((key.to_owned(), value));
                }
            }
        }
        let mut environment = Environment::new(profile, []);
        for address in addresses {
            let address: IpAddr = address
                .parse()
                .map_err(|_| format!("{address:?} is not an IP address"))?;
            let len = if address.is_ipv4() { 32 } else { 128 };
            environment
                .interface
                .addresses
                .push(Prefix::new(address, len));
        }
        environment.interface.mtu = mtu;
        environment.secrets = match seed {
            Some(seed) => Secrets::from_seed(seed),
            None => fresh_secrets()?,
        };
        Ok(Self {
            environment,
            receive_timeout,
            sysctls,
        })
    }
}

fn fresh_secrets() -> Result<Secrets, String> {
    let mut keys = [[0; 16]; 2];
    for key in &mut keys {
        getrandom::fill(key).map_err(|error| format!("no entropy to be had: {error}"))?;
    }
    let [isn_key, table_key] = keys;
    Ok(Secrets { isn_key, table_key })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_asked_for_is_linux_at_packetdrills_address() {
        let flags = Flags::parse("").unwrap();
        assert_eq!(flags.environment.profile.name, "linux");
        assert_eq!(flags.environment.interface.mtu, 1500);
        assert_eq!(flags.receive_timeout, RECEIVE_TIMEOUT);
    }

    #[test]
    fn settings_are_taken() {
        let text = "profile=handwave, mtu=1280,local_ipv4=10.0.0.1,receive_timeout=2,seed=7";
        let flags = Flags::parse(text).unwrap();
        assert_eq!(flags.environment.profile.name, "handwave");
        assert_eq!(flags.environment.interface.mtu, 1280);
        assert_eq!(flags.receive_timeout, Duration::from_secs(2));
    }

    #[test]
    fn settings_have_linuxs_names() {
        let text = "tcp_sack=0,net.ipv4.tcp_rmem=4096:65536:131072,profile=linux";
        let flags = Flags::parse(text).unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let wanted = [
            pair("tcp_sack", "0"),
            pair("net.ipv4.tcp_rmem", "4096 65536 131072"),
        ];
        assert_eq!(flags.sysctls, wanted);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, says) in [
            ("mtu", "\"mtu\" is not key=value"),
            ("mtu=x", "mtu=x: expected a number of octets"),
            (
                "profile=vms",
                "profile=vms: expected a profile, such as linux",
            ),
            (
                "tcp_sack=maybe",
                "tcp_sack=maybe: expected a number in range",
            ),
            ("colour=red", "there is no setting colour"),
            ("local_ipv4=here", "\"here\" is not an IP address"),
        ] {
            assert_eq!(Flags::parse(text).unwrap_err(), says);
        }
    }
}
