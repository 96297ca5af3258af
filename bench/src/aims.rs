//! What the project wants of its figures: ratios that a run reaches or misses.

/// Ends of the names of cases that run with a setting which is not the default: they explain, and aim at nothing.
const EXPLAINING: [&str; 3] = ["-never-polling", "-polling-50us", "-two-queues"];
/// Connections below which memory is that of tables, not of connections.
const MANY: usize = 100_000;

/// The least ratio that is wanted of a case beside a peer, as [`crate::report::Figure::ratio`] counts it; nothing if any will do.
pub(crate) fn ratio(bench: &str, case: &str, peer: &str) -> Option<f64> {
    if EXPLAINING.iter().any(|end| case.ends_with(end)) {
        return None;
    }
    match (bench, peer) {
        ("bulk", "one copy, two sums") => Some(0.5),
        ("bulk", "ours, no idle connections") => Some(0.95),
        ("bulk", "one copy") => None,
        ("bulk", _) if case.starts_with("mtu1500-super-segments") => Some(4.0),
        ("bulk", _) if case.starts_with("mtu1500") => Some(2.0),
        ("tun", "floor") => Some(match case.trim_end_matches("-chunks") {
            "mtu1500-out" => 0.95,
            "offload-out" => 0.6,
            _ => 0.9,
        }),
        ("rr", "floor") => case.ends_with("-p99").then_some(1.0 / 1.1),
        ("conn", "floor") => None,
        ("tun" | "rr" | "conn" | "http", _) => Some(1.0),
        ("shards", "two processes") => None,
        ("shards", _) => case.ends_with("-2-shards-wall").then_some(1.8),
        ("scale", _) => (!case.starts_with("loss")).then_some(1.0 / 1.3),
        ("idle", _) => {
            let connections = case.rsplit('-').next().and_then(|end| end.parse().ok());
            connections
                .is_some_and(|many: usize| many >= MANY)
                .then_some(1.0)
        }
        ("handshakes" | "syn-flood" | "timers", _) => Some(1.0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::ratio;

    #[test]
    fn each_kind_of_case_has_its_aim() {
        for (bench, case, peer, aim) in [
            ("bulk", "mtu1500-idle0-slices", "smoltcp 0.14", Some(2.0)),
            ("bulk", "mtu65535-idle0", "smoltcp 0.14", None),
            (
                "bulk",
                "mtu1500-super-segments-chunks",
                "smoltcp 0.14",
                Some(4.0),
            ),
            (
                "bulk",
                "mtu1500-idle40000",
                "ours, no idle connections",
                Some(0.95),
            ),
            ("bulk", "mtu1500-memcpy", "one copy", None),
            ("tun", "mtu1500-out", "floor", Some(0.95)),
            ("tun", "mtu1500-out-chunks", "floor", Some(0.95)),
            ("tun", "offload-out", "floor", Some(0.6)),
            ("tun", "offload-in", "floor", Some(0.9)),
            ("tun", "offload-in", "gVisor", Some(1.0)),
            ("tun", "mtu1500-in-never-polling", "floor", None),
            ("rr", "mtu1500", "floor", None),
            ("rr", "mtu1500-p99", "floor", Some(1.0 / 1.1)),
            ("rr", "mtu1500-p99", "lwIP 2.1", Some(1.0)),
            ("conn", "64-at-a-time-two-queues", "one queue", None),
            ("shards", "handshakes-2-shards-cpu", "one shard", None),
            ("shards", "handshakes-2-shards-wall", "one shard", Some(1.8)),
            ("shards", "handshakes-2-shards-wall", "two processes", None),
            ("scale", "loss-1-in-20", "ours, one connection", None),
            ("idle", "established-1000", "budget", None),
            ("idle", "established-async-100000", "budget", Some(1.0)),
            ("paced", "100-a-second", "floor", None),
            ("instructions", "handshake", "three segments of bulk", None),
        ] {
            assert_eq!(
                ratio(bench, case, peer),
                aim,
                "{bench} {case} beside {peer}"
            );
        }
    }
}
