//! The text of a scrape: each metric with its help, type and unit.
//!
//! Labels are names of states and the places of listeners. An address of a peer is never one: everybody could make as many
//! series as he has addresses, or forges.

use std::fmt;
use std::net::IpAddr;

use handwave::control::protocol::{Flood, Queues, Socket, State, Summary};
use handwave::{ListenAt, ListenerCounters, Stack, control};
use handwave_stack::DescribedCounter;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

type Labels = Vec<(&'static str, String)>;

/// What is told of a stack at one moment.
#[derive(Debug)]
struct Collected {
    summary: Summary,
    /// Counters of the stack and of its connections together, each family with its prefix.
    counters: Vec<(&'static str, DescribedCounter)>,
    listeners: Vec<(ListenAt, ListenerCounters, usize)>,
}

/// The metrics of a stack as a scraper reads them.
pub(super) fn of(stack: &Stack) -> Result<String, fmt::Error> {
    let summary = control::summary(stack);
    let collected = stack.with(|stack| {
        let of_stack = stack.counters().described();
        let of_tcp = stack.host().counters.described();
        let counters = of_stack
            .map(|counter| ("stack", counter))
            .chain(of_tcp.map(|counter| ("tcp", counter)));
        let listeners = stack
            .listeners()
            .map(|(_, at, listener)| (at, listener.counters().clone(), listener.memory()));
        Collected {
            summary,
            counters: counters.collect(),
            listeners: listeners.collect(),
        }
    });
    let mut registry = Registry::default();
    registry.register_collector(Box::new(collected));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

impl Collector for Collected {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.sockets(&mut encoder)?;
        self.memory(&mut encoder)?;
        self.listeners_now(&mut encoder)?;
        self.listeners_so_far(&mut encoder)?;
        self.counters(&mut encoder)
    }
}

impl Collected {
    fn sockets(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let summary = &self.summary;
        let by_state = State::ALL
            .into_iter()
            .filter(|state| *state != State::Unconnected)
            .map(|state| {
                let count = summary.states.get(&state).copied().unwrap_or_default();
                (vec![("state", state.name().to_owned())], count)
            });
        let help =
            "TCP sockets in each state of RFC 9293, TIME-WAIT and half-open records among them.";
        gauges(encoder, "handwave_tcp_sockets", help, None, by_state)?;
        let help = "TCP connections that no application holds any more.";
        gauge(encoder, "handwave_tcp_orphans", help, None, summary.orphans)?;
        gauge(
            encoder,
            "handwave_udp_sockets",
            "UDP sockets.",
            None,
            summary.udp,
        )
    }

    fn memory(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Summary {
            memory_held,
            memory_soft,
            memory_hard,
            ..
        } = self.summary;
        for (name, help, value) in [
            (
                "handwave_memory_held",
                "Octets that all buffers and queues hold.",
                memory_held,
            ),
            (
                "handwave_memory_soft_limit",
                "Octets held from which on windows and buffers stop growing.",
                memory_soft,
            ),
            (
                "handwave_memory_hard_limit",
                "Octets held from which on nothing more is taken in.",
                memory_hard,
            ),
        ] {
            gauge(encoder, name, help, Some(&Unit::Bytes), value)?;
        }
        let held = self
            .listeners
            .iter()
            .map(|(at, _, held)| (place(at.addr, at.port), *held as u64));
        let help = "Octets that the queues and tables of a listener hold.";
        gauges(
            encoder,
            "handwave_listener_memory",
            help,
            Some(&Unit::Bytes),
            held,
        )
    }

    /// The state of each listener, and of its flood detector.
    fn listeners_now(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        type Look = fn(&Queues) -> u64;
        let of_queues: [(&str, &str, Option<Unit>, Look); 9] = [
            (
                "handwave_listener_syn_queue_length",
                "Half-open connections (SYN-RECEIVED) in the SYN queue.",
                None,
                |queues| queues.syn_queue,
            ),
            (
                "handwave_listener_syn_queue_limit",
                "Most half-open connections that the SYN queue takes.",
                None,
                |queues| queues.syn_queue_max,
            ),
            (
                "handwave_listener_accept_queue_length",
                "Established connections that wait to be accepted.",
                None,
                |queues| queues.accept_queue,
            ),
            (
                "handwave_listener_accept_queue_limit",
                "Most connections that the accept queue takes.",
                None,
                |queues| queues.accept_queue_max,
            ),
            (
                "handwave_listener_syns_per_second",
                "SYNs that arrived in the last second, those answered with cookies and those dropped among them.",
                None,
                |queues| queues.rates.syns.into(),
            ),
            (
                "handwave_listener_cookies_per_second",
                "SYN+ACKs with cookies sent in the last second.",
                None,
                |queues| queues.rates.cookies_sent.into(),
            ),
            (
                "handwave_listener_established_per_second",
                "Handshakes completed in the last second.",
                None,
                |queues| queues.rates.established.into(),
            ),
            (
                "handwave_listener_flood",
                "1 while the flood detector sees a SYN flood, 0 otherwise.",
                None,
                |queues| u64::from(queues.flood != Flood::Calm),
            ),
            (
                "handwave_listener_flood_duration",
                "How long the SYN flood that is on has lasted, 0 without one.",
                Some(Unit::Seconds),
                |queues| match queues.flood {
                    Flood::Calm => 0,
                    Flood::Flooded { for_ms } => for_ms / 1_000,
                },
            ),
        ];
        for (name, help, unit, look) in of_queues {
            let values =
                self.summary.listeners.iter().filter_map(|listener| {
                    Some((place_of(listener), look(listener.queues.as_ref()?)))
                });
            gauges(encoder, name, help, unit.as_ref(), values)?;
        }
        Ok(())
    }

    /// The counters of each listener.
    fn listeners_so_far(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        for (n, counter) in ListenerCounters::default().described().enumerate() {
            let (name, help) = named("listener", &counter);
            let mut metric = encoder.encode_descriptor(&name, &help, None, MetricType::Counter)?;
            for (at, counters, _) in &self.listeners {
                let value = counters.described().nth(n).map_or(0, |own| own.value);
                let labels = place(at.addr, at.port);
                ConstCounter::new(value).encode(metric.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    fn counters(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        for (family, counter) in &self.counters {
            let (name, help) = named(family, counter);
            let metric = encoder.encode_descriptor(&name, &help, None, MetricType::Counter)?;
            ConstCounter::new(counter.value).encode(metric)?;
        }
        Ok(())
    }
}

fn place_of(listener: &Socket) -> Labels {
    place(listener.local.addr, listener.local.port)
}

/// The label of a listener.
fn place(addr: Option<IpAddr>, port: u16) -> Labels {
    let addr = addr.map_or_else(|| "any".to_owned(), |addr| addr.to_string());
    vec![("address", addr), ("port", port.to_string())]
}

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    value: u64,
) -> fmt::Result {
    let metric = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
    ConstGauge::new(value).encode(metric)
}

/// One metric, with a value for each set of labels.
fn gauges(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    values: impl IntoIterator<Item = (Labels, u64)>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
    for (labels, value) in values {
        ConstGauge::new(value).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}

/// The name and the help of a counter; what other tools call it stands in the help.
fn named(family: &str, counter: &DescribedCounter) -> (String, String) {
    let about = counter.about.trim().trim_end_matches('.');
    // The suffix says that it is a counter, and stands behind every name.
    let field = match counter.field.strip_suffix("_total") {
        Some(field) => format!("{field}_overall"),
        None => counter.field.to_owned(),
    };
    (
        format!("handwave_{family}_{field}"),
        format!("{about}; {} in handwave stats.", counter.name),
    )
}

#[cfg(test)]
mod tests;
