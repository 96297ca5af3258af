//! [`Plan`]: everything one run of the swarm does, drawn from one seed before it starts.
//!
//! Each choice is made here and nowhere else, so that a plan can be printed, compared and changed by hand. Chance inside a
//! run (which packet is lost) comes from streams that are split off the same seed.

mod draw;

use crate::{LinkConfig, Loss};
use core::fmt;
use core::time::Duration;
use handwave_tcp::time::Instant;
use handwave_tcp::{Config, ListenerConfig};

/// One run: two hosts, a path between them, and some conversations over it.
///
/// # Examples
///
/// ```
/// use handwave_sim::Plan;
///
/// let plan = Plan::from_seed(17);
/// assert_eq!(plan, Plan::from_seed(17));
/// assert_ne!(plan, Plan::from_seed(18));
/// println!("{plan}");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What all of it is drawn from.
    pub seed: u64,
    /// The IP version.
    pub family: Family,
    /// MTU of both hosts' interfaces.
    pub interface_mtu: u16,
    /// Conditions from the first host to the second, and back, while faults last.
    pub links: [LinkConfig; 2],
    /// When the path's MTU changes, and to what, in order of time.
    pub mtu_changes: Vec<MtuChange>,
    /// When nothing at all gets through, in either direction.
    pub outages: Vec<Outage>,
    /// From here on the path does its best.
    pub faults_end: Instant,
    /// What the hosts' clocks show at the start; all times of the plan count from there.
    pub clock: Clock,
    /// How long arrivals are collected into one batch; each comes alone if absent.
    pub moderation: Option<Duration>,
    /// Somebody off the path forges packets until the faults end, with pauses up to this.
    pub attack_pause: Option<Duration>,
    /// Somebody floods the second host until the faults end.
    pub flood: Option<Flood>,
    /// How the second host's listeners behave.
    pub listener: ListenerConfig,
    /// The connections, each on ports of its own.
    pub conversations: Vec<Conversation>,
}

/// Packets without number for the second host, of one kind or two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flood {
    /// What they are.
    pub kinds: Vec<FloodKind>,
    /// Time between two bursts, from zero to this.
    pub pause_max: Duration,
    /// Packets of a burst, from 1 to this.
    pub burst_max: usize,
    /// Packets in all.
    pub packets: usize,
}

/// What somebody floods a host with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FloodKind {
    /// SYNs, each from another address anywhere.
    RandomSyns,
    /// SYNs from one prefix.
    PrefixSyns,
    /// SYNs from the first host's own address, at ports that it does not use.
    HonestSyns,
    /// Acknowledgments out of nowhere.
    Acks,
    /// Acknowledgments in the first host's name that guess at a cookie.
    CookieGuesses,
    /// Connections of a real host that never reads, so that the window shuts.
    ZeroWindows,
    /// Connections of a real host that never closes its side.
    HalfClosed,
    /// First, middle and overlapping fragments that never make a packet.
    Fragments,
}

impl FloodKind {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::RandomSyns,
        Self::PrefixSyns,
        Self::HonestSyns,
        Self::Acks,
        Self::CookieGuesses,
        Self::ZeroWindows,
        Self::HalfClosed,
        Self::Fragments,
    ];
}

/// The IP version of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// The path changes: larger packets are answered by a router from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MtuChange {
    /// When.
    pub at: Instant,
    /// The path's MTU from then on, in octets.
    pub mtu: usize,
}

/// Nothing gets through from one moment to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// The first moment.
    pub from: Instant,
    /// The first moment after it.
    pub until: Instant,
}

/// What the hosts' clocks show at the start of a run. Initial sequence numbers and timestamps follow the clock, so it is set to
/// bring a wrap into the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Zero.
    Zero,
    /// So that the first conversation's sequence numbers pass 2^32 after this many octets of this end.
    SequenceWraps {
        /// The end: 0 or 1.
        end: usize,
        /// Octets before the wrap.
        octets: u32,
    },
    /// So that its timestamps pass 2^32 after this many ticks of this end.
    TimestampWraps {
        /// The end: 0 or 1.
        end: usize,
        /// Ticks before the wrap.
        ticks: u32,
    },
}

/// One connection: who opens it, and what both applications do.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversation {
    /// When the first end opens it.
    pub starts: Instant,
    /// How it comes to be.
    pub opening: Opening,
    /// On the same ports as the conversation before it, once that is over: `starts` counts from there.
    pub reuses_ports: bool,
    /// What each end does, the active opener first.
    pub ends: [End; 2],
}

/// How a connection comes to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// The first end connects to a listener of the second.
    Listener,
    /// Both connect to each other, the second end this much later (RFC 9293 3.5, figure 7). If the first SYN arrives
    /// before, it is refused, and the first end tries again.
    Simultaneous {
        /// How much later the second end connects.
        lag: Duration,
    },
}

/// What one end of a connection does.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// The knobs of its TCP.
    pub config: Config,
    /// What its application writes.
    pub writing: Writing,
    /// How its application reads.
    pub reading: Reading,
    /// When its application closes.
    pub closing: Closing,
    /// Whether it gets that far.
    pub manner: Manner,
}

/// How an application takes its leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// It writes and reads everything, and closes.
    Polite,
    /// It aborts once it has written and read this many octets together.
    Aborts {
        /// Octets written and read.
        after: u64,
    },
    /// It lets go of the connection then, and what arrives later is read by nobody.
    LetsGo {
        /// Octets written and read.
        after: u64,
    },
}

/// What an application writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Writing {
    /// Octets in all.
    pub octets: u64,
    /// Octets per write, from 1 to this.
    pub write_max: usize,
    /// Time between two writes, from zero to this.
    pub pause_max: Duration,
    /// Hand over refcounted chunks instead of copying.
    pub chunks: bool,
}

/// How an application reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// How long it does not read at all, so that the window shuts.
    pub first_after: Duration,
    /// Octets per read, from 1 to this.
    pub read_max: usize,
    /// Time between two reads, from zero to this.
    pub pause_max: Duration,
    /// Take refcounted chunks instead of copying.
    pub chunks: bool,
}

/// When an application closes its side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// As soon as all is written; reading goes on (half-close).
    AfterWriting,
    /// When all is written and the peer has closed.
    AfterPeer,
    /// When all is written and all the peer will write has been read, so that both may close at once.
    AfterAll,
}

impl Conversation {
    /// Whether both ends stay to the end, so that everything written has to be read.
    #[must_use]
    pub fn is_polite(&self) -> bool {
        self.ends.iter().all(|end| end.manner == Manner::Polite)
    }
}

impl Plan {
    /// Draws the run that belongs to `seed`.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        draw::plan(seed)
    }

    /// The same plan with all its times counted from `start`.
    #[must_use]
    pub fn starting_at(&self, start: Instant) -> Self {
        let moved = |at: &mut Instant| *at = start + (*at - Instant::ZERO);
        let mut plan = self.clone();
        plan.mtu_changes
            .iter_mut()
            .for_each(|change| moved(&mut change.at));
        for Outage { from, until } in &mut plan.outages {
            moved(from);
            moved(until);
        }
        let talks = plan.conversations.iter_mut();
        talks
            .filter(|talk| !talk.reuses_ports)
            .for_each(|talk| moved(&mut talk.starts));
        moved(&mut plan.faults_end);
        plan
    }

    /// The conditions from the first host to the second (0) or back (1) at `now`.
    #[must_use]
    pub fn link_at(&self, direction: usize, now: Instant) -> LinkConfig {
        let mut config = self.links[direction];
        if now >= self.faults_end {
            config = config.without_faults();
        }
        if self
            .outages
            .iter()
            .any(|outage| outage.from <= now && now < outage.until)
        {
            config.loss = Loss::Random(1.0);
        }
        if let Some(change) = self
            .mtu_changes
            .iter()
            .rev()
            .find(|change| change.at <= now)
        {
            config.mtu = change.mtu;
        }
        config
    }

    /// The next time after `now` at which the conditions change.
    #[must_use]
    pub fn next_change(&self, now: Instant) -> Option<Instant> {
        let changes = self.mtu_changes.iter().map(|change| change.at);
        changes
            .chain([self.faults_end])
            .filter(|at| *at > now)
            .min()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {}: {:?}, interface MTU {}",
            self.seed, self.family, self.interface_mtu
        )?;
        for (name, link) in ["first -> second", "second -> first"]
            .iter()
            .zip(&self.links)
        {
            writeln!(f, "  {name}: {link}")?;
        }
        for change in &self.mtu_changes {
            writeln!(f, "  path MTU {} from {} s", change.mtu, change.at)?;
        }
        for Outage { from, until } in &self.outages {
            writeln!(f, "  nothing gets through from {from} to {until} s")?;
        }
        let Self {
            clock,
            moderation,
            attack_pause,
            flood,
            listener,
            ..
        } = self;
        writeln!(
            f,
            "  clock {clock:?}, moderation {moderation:?}, attack pause {attack_pause:?}"
        )?;
        if let Some(flood) = flood {
            writeln!(f, "  flood {flood:?}")?;
            writeln!(f, "  listener {listener:?}")?;
        }
        writeln!(f, "  faults end at {} s", self.faults_end)?;
        for (number, conversation) in self.conversations.iter().enumerate() {
            writeln!(
                f,
                "  conversation {number}: {:?} at {} s",
                conversation.opening, conversation.starts
            )?;
            for (name, end) in ["first", "second"].iter().zip(&conversation.ends) {
                writeln!(f, "    {name}: {:?} {:?}", end.manner, end.writing)?;
                writeln!(f, "      {:?} {:?}", end.reading, end.closing)?;
                writeln!(f, "      {:?}", end.config)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_can_finish() {
        for seed in 0..2_000 {
            let plan = Plan::from_seed(seed);
            assert!(!plan.conversations.is_empty());
            for conversation in &plan.conversations {
                let waits = conversation
                    .ends
                    .iter()
                    .filter(|end| end.closing == Closing::AfterPeer);
                assert!(
                    waits.count() < 2,
                    "seed {seed}: both wait for the other to close"
                );
                for end in &conversation.ends {
                    assert!(end.writing.write_max > 0 && end.reading.read_max > 0);
                }
            }
        }
    }

    #[test]
    fn plans_reach_every_kind_of_run() {
        let plans: Vec<Plan> = (0..2_000).map(Plan::from_seed).collect();
        let count =
            |wanted: &dyn Fn(&Plan) -> bool| plans.iter().filter(|plan| wanted(plan)).count();
        let any_end = |plan: &Plan, wanted: &dyn Fn(&End) -> bool| {
            plan.conversations
                .iter()
                .flat_map(|conversation| &conversation.ends)
                .any(wanted)
        };
        let kinds: [(&str, usize); 18] = [
            ("IPv6", count(&|plan| plan.family == Family::V6)),
            (
                "no faults",
                count(&|plan| plan.links.iter().all(|link| *link == link.without_faults())),
            ),
            (
                "heavy loss",
                count(&|plan| plan.links[0].loss.average() > 0.2),
            ),
            ("corruption", count(&|plan| plan.links[0].corrupt > 0.0)),
            ("duplicates", count(&|plan| plan.links[1].duplicate > 0.0)),
            ("reordering", count(&|plan| plan.links[1].reorder > 0.0)),
            ("MTU changes", count(&|plan| !plan.mtu_changes.is_empty())),
            (
                "several conversations",
                count(&|plan| plan.conversations.len() > 1),
            ),
            (
                "simultaneous open",
                count(&|plan| {
                    plan.conversations
                        .iter()
                        .any(|talk| talk.opening != Opening::Listener)
                }),
            ),
            (
                "rudeness",
                count(&|plan| plan.conversations.iter().any(|talk| !talk.is_polite())),
            ),
            (
                "ports used again",
                count(&|plan| plan.conversations.iter().any(|talk| talk.reuses_ports)),
            ),
            ("outages", count(&|plan| !plan.outages.is_empty())),
            ("wraps", count(&|plan| plan.clock != Clock::Zero)),
            ("batches", count(&|plan| plan.moderation.is_some())),
            ("attacks", count(&|plan| plan.attack_pause.is_some())),
            (
                "no SACK",
                count(&|plan| any_end(plan, &|end| !end.config.sack)),
            ),
            (
                "tiny window",
                count(&|plan| any_end(plan, &|end| end.config.receive_buffer.initial < 2_000)),
            ),
            (
                "a megabyte",
                count(&|plan| any_end(plan, &|end| end.writing.octets > 500_000)),
            ),
        ];
        for (kind, runs) in kinds {
            assert!(runs >= 20, "{kind}: {runs} of 2000");
        }
    }

    #[test]
    fn plans_reach_every_flood_and_linux() {
        let plans: Vec<Plan> = (0..2_000).map(Plan::from_seed).collect();
        for kind in FloodKind::ALL {
            let floods = plans.iter().filter_map(|plan| plan.flood.as_ref());
            let runs = floods.filter(|flood| flood.kinds.contains(&kind)).count();
            assert!(runs >= 20, "{kind:?}: {runs} of 2000");
        }
        let talks = plans.iter().flat_map(|plan| &plan.conversations);
        let linux = talks
            .flat_map(|talk| &talk.ends)
            .filter(|end| end.config.slow_start_segments == u32::MAX);
        assert!(linux.count() >= 200);
    }

    #[test]
    fn conditions_follow_the_clock() {
        let mut plan = Plan::from_seed(1);
        plan.links[0] = LinkConfig {
            corrupt: 0.5,
            mtu: 1_500,
            ..LinkConfig::default()
        };
        plan.faults_end = Instant::from_secs(10);
        plan.mtu_changes = vec![
            MtuChange {
                at: Instant::from_secs(2),
                mtu: 1_300,
            },
            MtuChange {
                at: Instant::from_secs(4),
                mtu: 1_400,
            },
        ];
        let at = |seconds| {
            let link = plan.link_at(0, Instant::from_secs(seconds));
            (link.mtu, link.corrupt > 0.0)
        };
        assert_eq!(
            [0, 2, 5, 10].map(at),
            [(1_500, true), (1_300, true), (1_400, true), (1_400, false)]
        );
        assert_eq!(plan.next_change(Instant::ZERO), Some(Instant::from_secs(2)));
        assert_eq!(
            plan.next_change(Instant::from_secs(4)),
            Some(Instant::from_secs(10))
        );
        assert_eq!(plan.next_change(Instant::from_secs(10)), None);
    }
}
