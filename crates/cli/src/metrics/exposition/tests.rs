//! The text, read back by the rules of the OpenMetrics format.

use std::collections::{BTreeMap, BTreeSet};

use handwave::{ListenerConfig, Stack, device};
use handwave_tcp::{Endpoint, Instant};

/// A metric as it is described.
#[derive(Debug, Default)]
struct Family {
    help: String,
    kind: String,
    unit: Option<String>,
    /// Labels and value.
    samples: Vec<(BTreeMap<String, String>, f64)>,
}

/// Reads the text, and panics where it breaks a rule.
fn parse(text: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    let body = text.strip_suffix("# EOF\n").expect("the end is marked");
    for line in body.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let (what, rest) = comment.split_once(' ').unwrap();
            let (name, value) = rest.split_once(' ').unwrap();
            if what == "HELP" {
                let before = families.insert(name.to_owned(), Family::default());
                assert!(before.is_none(), "{name} is described twice");
                current = name.to_owned();
            }
            assert_eq!(name, current, "{line}");
            let family = families.get_mut(name).unwrap();
            match what {
                "HELP" => family.help = value.to_owned(),
                "TYPE" => family.kind = value.to_owned(),
                "UNIT" => family.unit = Some(value.to_owned()),
                _ => panic!("{line}"),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}').unwrap()),
            None => (series, ""),
        };
        let family = families.get_mut(&current).unwrap();
        let suffix = name.strip_prefix(&current).unwrap();
        let expected = if family.kind == "counter" {
            "_total"
        } else {
            ""
        };
        assert_eq!(suffix, expected, "{line}");
        let labels = labels.split(',').filter(|label| !label.is_empty());
        let labels = labels.map(|label| {
            let (key, value) = label.split_once('=').unwrap();
            let value = value.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
            (key.to_owned(), value.unwrap().to_owned())
        });
        family
            .samples
            .push((labels.collect(), value.parse().unwrap()));
    }
    families
}

/// A stack with two listeners, one of them on one address, and two connections that open.
fn scraped() -> String {
    let (device, _peer) = device::pair(1_500, 64);
    let builder = Stack::builder().device(device).address([10, 7, 0, 1], 24);
    let (stack, _driver) = builder.build().unwrap();
    stack.with(|stack| {
        stack.listen(80, ListenerConfig::default()).unwrap();
        let one = Endpoint::new([10, 7, 0, 1].into(), 443);
        stack.listen(one, ListenerConfig::default()).unwrap();
        for port in [4_001, 4_002] {
            let peer = Endpoint::new([10, 7, 0, 99].into(), port);
            stack
                .connect(Instant::ZERO, peer, Default::default())
                .unwrap();
        }
    });
    super::of(&stack).unwrap()
}

#[tokio::test]
async fn every_metric_is_described_and_named_by_the_rules() {
    let text = scraped();
    let families = parse(&text);
    assert!(families.len() > 80, "{}", families.len());
    for (name, family) in &families {
        assert!(name.starts_with("handwave_"), "{name}");
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        assert!(name.chars().all(plain), "{name}");
        assert!(
            family.help.len() > 10 && family.help.ends_with('.'),
            "{name}: {family:?}"
        );
        assert!(!family.samples.is_empty(), "{name} has no value");
        match family.kind.as_str() {
            "counter" => assert!(!name.ends_with("_total"), "{name}"),
            "gauge" => {}
            other => panic!("{name} is a {other}"),
        }
        for unit in ["bytes", "seconds"] {
            let named = name.ends_with(&format!("_{unit}"));
            assert_eq!(named, family.unit.as_deref() == Some(unit), "{name}");
        }
        let series: BTreeSet<_> = family.samples.iter().map(|(labels, _)| labels).collect();
        assert_eq!(
            series.len(),
            family.samples.len(),
            "{name}: a series appears twice"
        );
    }
}

#[tokio::test]
async fn what_is_there_is_counted_and_no_peer_is_named() {
    let text = scraped();
    let families = parse(&text);
    let value = |name: &str, labels: &[(&str, &str)]| {
        let labels: BTreeMap<String, String> = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let samples = &families[name].samples;
        samples
            .iter()
            .find(|(its, _)| *its == labels)
            .map(|(_, value)| *value)
    };
    let any = [("address", "any"), ("port", "80")];
    let one = [("address", "10.7.0.1"), ("port", "443")];
    for place in [any, one] {
        assert_eq!(
            value("handwave_listener_syn_queue_limit", &place),
            Some(1024.0)
        );
        assert_eq!(
            value("handwave_listener_accept_queue_length", &place),
            Some(0.0)
        );
        assert_eq!(value("handwave_listener_flood", &place), Some(0.0));
        assert_eq!(
            value("handwave_listener_syncookies_sent", &place),
            Some(0.0)
        );
    }
    assert_eq!(
        value("handwave_tcp_sockets", &[("state", "SYN-SENT")]),
        Some(2.0)
    );
    assert_eq!(
        value("handwave_tcp_sockets", &[("state", "LISTEN")]),
        Some(2.0)
    );
    assert_eq!(value("handwave_tcp_active_opens", &[]), Some(2.0));
    assert!(!text.contains("10.7.0.99"), "a peer is named:\n{text}");
    let keys: BTreeSet<_> = families
        .values()
        .flat_map(|family| &family.samples)
        .flat_map(|(labels, _)| labels.keys().map(String::as_str))
        .collect();
    assert_eq!(keys, BTreeSet::from(["address", "port", "state"]));
}
