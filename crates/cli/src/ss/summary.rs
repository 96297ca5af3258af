//! `ss -s`, and what stands beside the number of half-open connections: cookies, which leave none.

use std::fmt::Write as _;

use handwave::control::protocol::{Flood, Queues, State, Summary};

/// Counts by protocol and state.
pub(super) fn text(summary: &Summary) -> String {
    let of = |state| summary.states.get(&state).copied().unwrap_or(0);
    let tcp: u64 = summary.states.values().sum();
    let (udp, inet) = (summary.udp, tcp + summary.udp);
    let mut text = format!(
        "Total: {inet}\nTCP:   {tcp} (estab {}, closed {}, orphaned {}, timewait {})\n\n",
        of(State::Established),
        of(State::Closed),
        summary.orphans,
        of(State::TimeWait),
    );
    text.push_str("Transport Total     IP        IPv6\n");
    let ipv6 = summary.ipv6 + summary.udp_ipv6;
    for (name, all, ipv6) in [
        ("UDP", udp, summary.udp_ipv6),
        ("TCP", tcp, summary.ipv6),
        ("INET", inet, ipv6),
    ] {
        let ipv4 = all.saturating_sub(ipv6);
        let _ = writeln!(text, "{name}\t  {all:<10}{ipv4:<10}{ipv6}");
    }
    text.push('\n');
    text.push_str(&half_open(summary));
    text
}

/// How many handshakes are half-open, against the limits, and what the cookies do meanwhile.
///
/// It never says `SYN_RECV`, so that who counts the lines with that word counts sockets.
pub(super) fn half_open(summary: &Summary) -> String {
    let queues = || summary.listeners.iter().filter_map(|it| it.queues.as_ref());
    let sum = |of: fn(&Queues) -> u64| queues().map(of).sum::<u64>();
    let rate = |of: fn(&Queues) -> u32| queues().map(|it| u64::from(of(it))).sum::<u64>();
    let counted = |name: &str| summary.counters.get(name).copied().unwrap_or(0);
    let mut text = format!(
        "Half-open: {} of {}, waiting to be accepted: {} of {}\n",
        sum(|it| it.syn_queue),
        sum(|it| it.syn_queue_max),
        sum(|it| it.accept_queue),
        sum(|it| it.accept_queue_max),
    );
    let _ = writeln!(
        text,
        "SYN cookies (no half-open connections): sent {} ({}/s), came back {} ({}/s), wrong {} ({}/s)",
        counted("TcpExtSyncookiesSent"),
        rate(|it| it.rates.cookies_sent),
        counted("TcpExtSyncookiesRecv"),
        rate(|it| it.rates.cookies_received),
        counted("TcpExtSyncookiesFailed"),
        rate(|it| it.rates.cookies_failed),
    );
    let flooded = queues().filter(|it| it.flood != Flood::Calm).count();
    if flooded > 0 {
        let syns = rate(|it| it.rates.syns);
        let _ = writeln!(text, "Flooded listeners: {flooded}, SYNs: {syns}/s");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ss::sample;

    fn flooded() -> Summary {
        let mut listeners: Vec<_> = sample::all();
        listeners.retain(|socket| socket.queues.is_some());
        for queues in listeners.iter_mut().filter_map(|it| it.queues.as_mut()) {
            queues.rates.syns = 48_213;
            queues.rates.cookies_sent = 48_190;
            queues.rates.cookies_received = 7;
            queues.flood = Flood::Flooded { for_ms: 42_000 };
        }
        let counters = [
            ("TcpExtSyncookiesSent", 1_204_750),
            ("TcpExtSyncookiesRecv", 312),
            ("TcpExtSyncookiesFailed", 4),
        ];
        Summary {
            states: [
                (State::Listen, 1),
                (State::SynReceived, 17),
                (State::Established, 250),
                (State::TimeWait, 3),
            ]
            .into(),
            orphans: 2,
            udp: 3,
            udp_ipv6: 1,
            ipv6: 11,
            listeners,
            counters: counters
                .map(|(name, value)| (name.to_owned(), value))
                .into(),
            ..Summary::default()
        }
    }

    #[test]
    fn counts_stand_beside_the_cookies() {
        insta::assert_snapshot!(text(&flooded()));
        insta::assert_snapshot!(text(&Summary::default()));
        assert!(!half_open(&flooded()).contains("SYN_RECV"));
    }
}
