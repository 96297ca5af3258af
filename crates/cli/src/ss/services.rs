//! The names of ports, from the services database of the system.

use std::collections::HashMap;

use handwave::control::protocol::Netid;

const DATABASE: &str = "/etc/services";
/// Ports that systems give out by chance: what is on them is not what the database says.
const EPHEMERAL: std::ops::RangeInclusive<u16> = 32_768..=60_999;

/// Names of ports, in both directions.
#[derive(Debug, Default)]
pub(super) struct Services {
    names: HashMap<(bool, u16), String>,
    ports: HashMap<String, u16>,
}

impl Services {
    /// What this system knows; nothing if it has no database.
    pub(super) fn of_system() -> Self {
        let octets = std::fs::read(DATABASE).unwrap_or_default();
        Self::parse(&String::from_utf8_lossy(&octets))
    }

    /// Reads lines such as `http 80/tcp www # World Wide Web`; the first name of a port counts, and passes over others.
    pub(super) fn parse(text: &str) -> Self {
        let mut services = Self::default();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let (Some(name), Some(place)) = (words.next(), words.next()) else {
                continue;
            };
            let Some((port, protocol)) = place.split_once('/') else {
                continue;
            };
            let (Ok(port), Some(udp)) = (port.parse(), udp(protocol)) else {
                continue;
            };
            let names = services.names.entry((udp, port));
            names.or_insert_with(|| name.to_owned());
            for name in std::iter::once(name).chain(words) {
                services.ports.entry(name.to_owned()).or_insert(port);
            }
        }
        services
    }

    /// What is on this port by convention.
    pub(super) fn name(&self, netid: Netid, port: u16) -> Option<&str> {
        if EPHEMERAL.contains(&port) {
            return None;
        }
        let name = self.names.get(&(netid == Netid::Udp, port));
        name.map(String::as_str)
    }

    /// The port of this name.
    pub(super) fn port(&self, name: &str) -> Option<u16> {
        self.ports.get(name).copied()
    }
}

fn udp(protocol: &str) -> Option<bool> {
    match protocol {
        "tcp" => Some(false),
        "udp" => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_aliases_are_read_and_what_is_no_line_is_not() {
        let services = Services::parse(
            "# comment\n\nhttp\t80/tcp\twww # web\nother 80/tcp\nsyslog 514/udp\nshell 514/tcp\n\
             broken\nworse x/tcp\nmore 70000/tcp\nsctp 9/sctp\nhigh 40000/tcp\n",
        );
        for (netid, port, name) in [
            (Netid::Tcp, 80, Some("http")),
            (Netid::Udp, 80, None),
            (Netid::Tcp, 514, Some("shell")),
            (Netid::Udp, 514, Some("syslog")),
            (Netid::Tcp, 40_000, None),
        ] {
            assert_eq!(services.name(netid, port), name, "{port}");
        }
        for (name, port) in [("www", Some(80)), ("shell", Some(514)), ("worse", None)] {
            assert_eq!(services.port(name), port, "{name}");
        }
    }
}
