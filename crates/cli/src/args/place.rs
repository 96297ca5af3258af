//! Ports and places as they are written on command lines.

use std::fmt;
use std::str::FromStr;

/// A port to listen on: 1 to 65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Port(pub(crate) u16);

impl FromStr for Port {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(0) | Err(_) => Err(format!("\"{text}\" is no port: 1 to 65535")),
            Ok(port) => Ok(Self(port)),
        }
    }
}

/// `HOST:PORT`: an address, in brackets if it is IPv6, or a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostPort(String);

impl HostPort {
    /// As tokio resolves it.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || {
            format!(
                "\"{text}\" is no place: write it like 10.7.0.2:80, [fd07::2]:80 or example.org:80"
            )
        };
        let (host, port) = text.rsplit_once(':').ok_or_else(form)?;
        port.parse::<Port>()?;
        let bracketed = host.starts_with('[') && host.ends_with(']');
        if host.is_empty() || (host.contains(':') && !bracketed) {
            return Err(form());
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        assert_eq!("80".parse(), Ok(Port(80)));
        for text in ["10.7.0.2:80", "[fd07::2]:80", "localhost:1"] {
            assert_eq!(text.parse::<HostPort>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn what_is_no_place_is_told_how_to_be_one() {
        for text in ["0", "65536", "http", "-1", ""] {
            assert!(text.parse::<Port>().is_err(), "{text}");
        }
        for text in ["host", "host:0", ":80", "::1:80", "host:http"] {
            assert!(text.parse::<HostPort>().is_err(), "{text}");
        }
    }
}
