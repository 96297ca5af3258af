//! Ports as numbers or as names of services.

use std::borrow::Cow;

use handwave::control::protocol::Netid;

use super::services::Services;

/// How ports are written.
#[derive(Debug)]
pub(super) enum Names {
    Numbers,
    OfServices(Services),
}

impl Names {
    pub(super) fn are_numbers(&self) -> bool {
        matches!(self, Self::Numbers)
    }

    /// A port; any port is `*`.
    pub(super) fn port(&self, netid: Netid, port: u16) -> Cow<'_, str> {
        let name = match self {
            Self::Numbers => None,
            Self::OfServices(services) => services.name(netid, port),
        };
        match name {
            _ if port == 0 => Cow::Borrowed("*"),
            Some(name) => Cow::Borrowed(name),
            None => Cow::Owned(port.to_string()),
        }
    }
}
