//! Every counter of a stack under one name: what the stack counts, what its connections count together, what each
//! listener counts. Where Linux counts the same thing, the name is that of `nstat`.

use std::collections::BTreeMap;

use handwave_stack::Stack;
use handwave_tcp::ListenerCounters;

use super::look::named;
use crate::shared::Shared;

/// Every counter, shards and listeners summed up.
pub(super) fn all(shards: &[&Shared]) -> BTreeMap<String, u64> {
    let mut total = BTreeMap::new();
    for shard in shards {
        let mut counters = shard.look(|inner| of_stack(&inner.stack));
        if let Some(dropped) = counters.get_mut("ShardStraysDropped") {
            *dropped += shard.group.dropped(shard.shard);
        }
        for (name, value) in counters {
            *total.entry(name).or_default() += value;
        }
    }
    total
}

fn of_stack(stack: &Stack) -> BTreeMap<String, u64> {
    let mut all = named(stack.counters().iter());
    let of_connections = stack.host().counters.described();
    all.extend(named(of_connections.map(|it| (it.name, it.value))));
    all.extend(named(stack.listener_counters().iter()));
    all
}

/// The counters of one listener.
pub(super) fn of_listener(counters: &ListenerCounters) -> BTreeMap<String, u64> {
    named(counters.iter())
}
