//! Every counter of a stack under one name: what the stack counts, what its connections count together, what each
//! listener counts. Where Linux counts the same thing, the name is that of `nstat`.

use std::collections::BTreeMap;

use handwave_stack::Stack;
use handwave_tcp::ListenerCounters;

use super::look::named;

/// Every counter, listeners summed up.
pub(super) fn all(stack: &Stack) -> BTreeMap<String, u64> {
    let mut all = named(stack.counters().iter());
    all.extend(named(of_connections(stack)));
    all.extend(named(stack.listener_counters().iter()));
    all
}

/// The counters of one listener.
pub(super) fn of_listener(counters: &ListenerCounters) -> BTreeMap<String, u64> {
    named(counters.iter())
}

fn of_connections(stack: &Stack) -> [(&'static str, u64); 17] {
    let counters = &stack.host().counters;
    [
        ("TcpInSegs", counters.segments_in),
        // Linux counts repeated segments here too.
        ("TcpOutSegs", counters.segments_out),
        ("TcpRetransSegs", counters.segments_retransmitted),
        ("TcpOutRsts", counters.resets_out),
        ("TcpActiveOpens", counters.active_opens),
        ("TcpPassiveOpens", counters.passive_opens),
        ("TcpAttemptFails", counters.attempt_fails),
        ("TcpEstabResets", counters.established_resets),
        ("TcpExtTCPTimeouts", counters.timeouts),
        ("TcpExtTCPFastRecovery", counters.fast_recoveries),
        ("TcpExtTCPChallengeACK", counters.challenge_acks),
        (
            "TcpExtTCPACKSkippedChallenge",
            counters.challenge_acks_skipped,
        ),
        ("TcpExtTCPWinProbe", counters.window_probes),
        ("TcpExtTCPKeepAlive", counters.keepalive_probes),
        ("TcpExtTCPOFOQueue", counters.out_of_order),
        ("TcpExtTCPOFODrop", counters.out_of_order_refused),
        ("TcpExtOfoPruned", counters.out_of_order_pruned),
    ]
}
