//! The switch that asks for metrics.

use std::net::{Ipv4Addr, SocketAddr};

use super::Port;

/// Metrics for Prometheus.
#[derive(clap::Args, Debug)]
pub(crate) struct MetricsArgs {
    /// Metrics for Prometheus, at http://ADDR:PORT/metrics in the host's own network; a bare PORT is that of 127.0.0.1
    #[arg(long, value_name = "[ADDR:]PORT", value_parser = place, help_heading = "Output")]
    pub(crate) metrics: Option<SocketAddr>,
}

fn place(text: &str) -> Result<SocketAddr, String> {
    if let Ok(Port(port)) = text.parse() {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    match text.parse::<SocketAddr>() {
        Ok(place) if place.port() != 0 => Ok(place),
        _ => Err("write it like 9100, 127.0.0.1:9100 or [::1]:9100".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_of_this_host_alone_unless_another_is_typed() {
        for (text, expected) in [
            ("9100", "127.0.0.1:9100"),
            ("127.0.0.1:9100", "127.0.0.1:9100"),
            ("[::1]:9100", "[::1]:9100"),
            ("0.0.0.0:9100", "0.0.0.0:9100"),
        ] {
            assert_eq!(place(text), Ok(expected.parse().unwrap()), "{text}");
        }
        for text in [
            "",
            ":9100",
            "::1:9100",
            "localhost:9100",
            "127.0.0.1",
            "127.0.0.1:0",
            "0",
        ] {
            assert!(place(text).unwrap_err().contains("9100"), "{text}");
        }
    }
}
