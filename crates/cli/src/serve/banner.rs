//! What is served, on which addresses, and how to reach it: the first thing a user sees.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use handwave_device::InterfaceAddress;

use super::http::Directory;
use crate::args::{Common, Protocol};
use crate::failure::Failure;
use crate::interface::Interface;
use crate::screen::Screen;

/// The text as far as it is known.
#[derive(Debug)]
pub(super) struct Banner {
    addresses: Vec<IpAddr>,
    text: String,
    /// Commands that show that it works.
    tries: Vec<String>,
}

impl Banner {
    pub(super) fn new(interface: &Interface, ours: &[InterfaceAddress]) -> Self {
        let addresses: Vec<_> = ours.iter().map(InterfaceAddress::address).collect();
        let (name, origin) = (interface.name(), interface.origin(ours));
        let text = format!("handwave serves on {name}{origin}");
        Self {
            addresses,
            text,
            tries: Vec::new(),
        }
    }

    /// Tells of a service, and how to try it.
    pub(super) fn add(&mut self, name: &str, protocol: Protocol, port: u16, does: impl AsRef<str>) {
        let places: Vec<_> = self
            .addresses
            .iter()
            .map(|address| SocketAddr::new(*address, port).to_string())
            .collect();
        let _ = writeln!(
            self.text,
            "  {name:<10} {protocol} {}: {}",
            places.join(", "),
            does.as_ref()
        );
        let Some(place) = places.first() else {
            return;
        };
        let address = self
            .addresses
            .first()
            .map_or_else(String::new, ToString::to_string);
        match name {
            "http-hello" => self.tries.push(format!("curl http://{place}/")),
            "echo" => self
                .tries
                .push(format!("echo hello | nc -N {address} {port}")),
            "source" => self
                .tries
                .push(format!("nc {address} {port} | head -c 1M | wc -c")),
            _ => {}
        }
    }

    /// Tells of a directory.
    pub(super) fn add_http(&mut self, directory: &Directory) {
        let path = directory.path().display();
        self.add(
            "http",
            Protocol::Tcp,
            directory.port(),
            format!("files of {path}, and uploads into it"),
        );
        if let Some(address) = self.addresses.first() {
            let place = SocketAddr::new(*address, directory.port());
            self.tries.push(format!(
                "curl -T FILE http://{place}/ && curl http://{place}/FILE"
            ));
        }
    }

    /// Tells where the metrics are.
    pub(super) fn add_metrics(&mut self, url: &str) {
        let _ = writeln!(self.text, "  {:<10} {url}", "metrics");
        self.tries.push(format!("curl {url}"));
    }

    /// Prints it, which also tells scripts that everything is up.
    pub(super) fn print(mut self, common: &Common) -> Result<(), Failure> {
        for command in &self.tries {
            let _ = writeln!(self.text, "  try: {command}");
        }
        self.text
            .push_str("Ctrl-C closes all connections in order.\n");
        let mut screen = Screen::new(common.color.choice(), None);
        screen.text(&self.text)?;
        screen.flush()
    }
}
