//! What is known, and what the user wants to see of it.

use std::collections::VecDeque;

use handwave::control::protocol::{Flood, Order, Place, Queues, Socket, State, Summary, TopSource};
use handwave_story::Language;

/// How many samples of the past are kept: more than any terminal has columns.
const HISTORY_MAX: usize = 512;

/// What was seen at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample {
    pub(super) summary: Summary,
    /// Connections in the order asked for, and half-open records after them.
    pub(super) connections: Vec<Socket>,
}

/// A sample of the past, as far as it is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Past {
    /// SYNs a second at all listeners together.
    pub(super) syns: u64,
    pub(super) flooded: bool,
}

/// What connections are ordered by, and what that is called.
pub(super) const ORDERS: [(Order, &str); 7] = [
    (Order::Retransmissions, "retrans"),
    (Order::Rtt, "rtt"),
    (Order::Cwnd, "cwnd"),
    (Order::SendQ, "send-q"),
    (Order::RecvQ, "recv-q"),
    (Order::Acknowledged, "sent"),
    (Order::Received, "received"),
];

/// What lies over the picture or takes the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Table,
    /// The filter is being typed.
    Filter,
    /// The selected connection's numbers.
    Detail,
    Help,
}

/// Everything that a picture is drawn from.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) language: Language,
    /// What the program calls itself.
    pub(super) program: String,
    pub(super) pid: u32,
    pub(super) sample: Sample,
    /// The latest first.
    pub(super) past: VecDeque<Past>,
    pub(super) order: usize,
    pub(super) filter: String,
    pub(super) mode: Mode,
    /// Both ends of the selected connection.
    selected: Option<(Place, Place)>,
}

impl Model {
    pub(super) fn new(language: Language, program: String, pid: u32) -> Self {
        Self {
            language,
            program,
            pid,
            sample: Sample::default(),
            past: VecDeque::new(),
            order: 0,
            filter: String::new(),
            mode: Mode::Table,
            selected: None,
        }
    }

    pub(super) fn take(&mut self, sample: Sample) {
        let syns = listeners(&sample.summary)
            .map(|(_, queues)| u64::from(queues.rates.syns))
            .sum();
        self.sample = sample;
        let flooded = self.flooded_for().is_some();
        self.past.push_front(Past { syns, flooded });
        self.past.truncate(HISTORY_MAX);
    }

    /// For how many milliseconds the longest flood has lasted.
    pub(super) fn flooded_for(&self) -> Option<u64> {
        listeners(&self.sample.summary)
            .filter_map(|(_, queues)| match queues.flood {
                Flood::Calm => None,
                Flood::Flooded { for_ms } => Some(for_ms),
            })
            .max()
    }

    /// Listeners, those that are flooded or busiest first.
    pub(super) fn listeners(&self) -> Vec<(&Socket, &Queues)> {
        let mut found: Vec<_> = listeners(&self.sample.summary).collect();
        found.sort_by_key(|(socket, queues)| {
            let calm = queues.flood == Flood::Calm;
            (
                calm,
                std::cmp::Reverse(queues.rates.syns),
                socket.local.port,
            )
        });
        found
    }

    /// The fastest source prefixes of all listeners.
    pub(super) fn top_sources(&self) -> Vec<TopSource> {
        let mut found: Vec<TopSource> = Vec::new();
        for (_, queues) in listeners(&self.sample.summary) {
            for source in &queues.top_sources {
                match found.iter_mut().find(|it| it.prefix == source.prefix) {
                    Some(known) => known.syns_per_second += source.syns_per_second,
                    None => found.push(source.clone()),
                }
            }
        }
        found.sort_by(|a, b| b.syns_per_second.total_cmp(&a.syns_per_second));
        found
    }

    /// TCP sockets in every state that there are any in, in the order of the RFC.
    pub(super) fn states(&self) -> impl Iterator<Item = (State, u64)> {
        let states = &self.sample.summary.states;
        states.iter().map(|(state, count)| (*state, *count))
    }

    /// Connections that pass the filter: each of its words is in the text of a connection.
    pub(super) fn connections(&self) -> Vec<&Socket> {
        let filter = self.filter.to_lowercase();
        let passes = |socket: &&Socket| {
            let text = format!(
                "{} {} {}",
                super::format::place(&socket.local),
                super::format::place(&socket.peer),
                socket.state.name()
            );
            let text = text.to_lowercase();
            filter.split_whitespace().all(|word| text.contains(word))
        };
        self.sample.connections.iter().filter(passes).collect()
    }

    /// The place of the selected connection among those that are shown.
    pub(super) fn selected_row(&self) -> Option<usize> {
        let ends = self.selected?;
        let shown = self.connections();
        shown.iter().position(|it| (it.local, it.peer) == ends)
    }

    pub(super) fn selected(&self) -> Option<&Socket> {
        let row = self.selected_row()?;
        self.connections().get(row).copied()
    }

    /// Selects the connection so many rows further; the first if none is.
    pub(super) fn select_by(&mut self, step: isize) {
        let shown = self.connections();
        let last = shown.len().saturating_sub(1);
        let row = match self.selected_row() {
            Some(row) => row.saturating_add_signed(step).min(last),
            None if step == isize::MAX => last,
            None => 0,
        };
        let ends = shown.get(row).map(|it| (it.local, it.peer));
        self.selected = ends;
    }
}

fn listeners(summary: &Summary) -> impl Iterator<Item = (&Socket, &Queues)> {
    let all = summary.listeners.iter();
    all.filter_map(|socket| Some((socket, socket.queues.as_ref()?)))
}
