//! Playing one plan: the hosts, the path, the applications, and the checks after each step.

use super::app::App;
use super::attack::Attacker;
use super::clock;
use super::excuse;
use super::failure::Failure;
use super::flood::{Flooder, Holders};
use super::invariants;
use super::journal::{Entry, Journal, addresses};
use super::talk::Talk;
use crate::plan::{Family, Opening, Plan};
use crate::{Happening, HostId, Rng, World};
use core::fmt;
use core::net::IpAddr;
use core::time::Duration;
use handwave_stack::{
    ConnectionId, InterfaceConfig, ListenerId, Prefix, SocketId, SocketSummary, Stack, StackConfig,
};
use handwave_tcp::time::Instant;
use handwave_tcp::{Endpoint, Phase, Secrets, Tuple};
use std::sync::Arc;

/// Most steps of one run; a bound against a stack that is busy for ever.
const STEPS_MAX: u64 = 3_000_000;
/// Most steps at one moment; a bound against a timer that is due again at once.
const STEPS_PER_MOMENT_MAX: u64 = 20_000;
/// Virtual time in which a run has to finish once the faults have stopped.
const GRACE: Duration = Duration::from_secs(3_600);

/// What a finished run has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Steps of the world.
    pub steps: u64,
    /// Packets handed to links.
    pub packets: u64,
    /// Octets read by all applications.
    pub octets: u64,
    /// Virtual time.
    pub elapsed: Duration,
    /// Connections that were given up, the network being to blame.
    pub excused: u64,
    /// A hash over every segment sent, its time and its fate: equal for equal runs.
    pub digest: u64,
}

impl core::ops::AddAssign for Report {
    fn add_assign(&mut self, other: Self) {
        let Self {
            steps,
            packets,
            octets,
            elapsed,
            excused,
            digest,
        } = other;
        self.steps += steps;
        self.packets += packets;
        self.octets += octets;
        self.elapsed += elapsed;
        self.excused += excused;
        self.digest ^= digest;
    }
}

/// A failure, and where the run was.
#[derive(Clone, Debug)]
pub struct RunError {
    /// What is wrong.
    pub failure: Failure,
    /// When it showed.
    pub at: Instant,
    /// The seed that replays it.
    pub seed: u64,
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {} at {} s: {}", self.seed, self.at, self.failure)
    }
}

impl core::error::Error for RunError {}

/// Plays `plan` to its end; with `print`, writes a line for each segment to standard output.
///
/// # Errors
///
/// The first check that fails, with the time and the seed.
pub fn run(plan: &Plan, print: bool) -> Result<Report, RunError> {
    let start = clock::start(plan);
    let mut run = Run::new(plan.starting_at(start), start, print);
    run.play().map_err(|failure| RunError {
        failure,
        at: run.world.now(),
        seed: plan.seed,
    })
}

#[derive(Debug)]
pub(super) struct Run {
    plan: Plan,
    start: Instant,
    attacker: Option<Attacker>,
    flooder: Option<Flooder>,
    holders: Option<Holders>,
    world: World,
    hosts: [HostId; 2],
    talks: Vec<Talk>,
    journal: Journal,
    report: Report,
    next_change: Option<Instant>,
}

impl Run {
    /// Prepares a run of `plan`, whose times have been moved to begin at `start`.
    pub(super) fn new(plan: Plan, start: Instant, print: bool) -> Self {
        let mut rng = Rng::from_seed(plan.seed ^ 0x0072_756E);
        let addresses = addresses(plan.family == Family::V4);
        let mut world = World::starting_at(start);
        world.set_moderation(plan.moderation);
        let hosts = addresses.map(|addr| add_host(&mut world, &plan, addr, &mut rng));
        let links = [0, 1].map(|direction| plan.link_at(direction, start));
        world.join(hosts[0], hosts[1], links, &mut rng);
        let journal = Journal::new(print);
        world.set_tap(Some(Box::new(journal.clone())));
        let mut ports = 0;
        let talks = plan.conversations.iter().enumerate();
        let talks = talks
            .map(|(number, talk)| {
                ports += u16::from(!talk.reuses_ports);
                let ends = [
                    (addresses[0], 40_000 + ports),
                    (addresses[1], 8_000 + ports),
                ];
                Talk::new(
                    number,
                    talk,
                    ends.map(|(addr, port)| Endpoint { addr, port }),
                    &mut rng,
                )
            })
            .collect();
        let next_change = plan.next_change(start);
        let attacker = plan
            .attack_pause
            .map(|pause| Attacker::new(rng.fork(), pause, [start, plan.faults_end]));
        let span = [start, plan.faults_end];
        let flooder = plan
            .flood
            .clone()
            .map(|flood| Flooder::new(rng.fork(), flood, addresses[0], span));
        let holders = Holders::new(&mut world, &plan, hosts[1], &mut rng);
        Self {
            plan,
            start,
            attacker,
            flooder,
            holders,
            world,
            hosts,
            talks,
            journal,
            report: Report::default(),
            next_change,
        }
    }

    fn play(&mut self) -> Result<Report, Failure> {
        self.begin()?;
        let deadline = self.plan.faults_end + GRACE;
        let (mut moment, mut steps_at_moment) = (self.start, 0);
        while !self.is_over() {
            if !self.advance()? {
                // The ports of who is left behind are free for the next conversation.
                self.judge_stuck()?;
                self.begin_next(true);
                continue;
            }
            self.report.steps += 1;
            steps_at_moment = if self.world.now() == moment {
                steps_at_moment + 1
            } else {
                0
            };
            moment = self.world.now();
            self.check()?;
            let late = moment > deadline || self.report.steps > STEPS_MAX;
            if late || steps_at_moment > STEPS_PER_MOMENT_MAX {
                return Err(Failure::Endless(self.describe()));
            }
        }
        self.clear_up()?;
        self.report.elapsed = self.world.now() - self.start;
        self.report.packets = self.journal.with(|entries| entries.len() as u64);
        self.report.digest = self.journal.with(digest);
        self.report.octets = self
            .talks
            .iter()
            .flat_map(|talk| &talk.apps)
            .map(App::read)
            .sum();
        Ok(self.report)
    }

    /// Opens listeners and lets the applications act for the first time.
    pub(super) fn begin(&mut self) -> Result<(), Failure> {
        self.open_listeners()?;
        self.act(0)?;
        self.act(1)
    }

    /// Lets one thing happen, without checks; returns whether there was one.
    pub(super) fn advance(&mut self) -> Result<bool, Failure> {
        let Some(Happening { host, .. }) = self.world.step() else {
            return Ok(false);
        };
        self.change_conditions();
        self.attack();
        self.flood();
        match self.hosts.iter().position(|known| *known == host) {
            Some(side) => self.act(side)?,
            None => self.hold(),
        }
        self.begin_next(false);
        Ok(true)
    }

    pub(super) const fn journal(&self) -> &Journal {
        &self.journal
    }

    fn open_listeners(&mut self) -> Result<(), Failure> {
        let mut last = None;
        for talk in &mut self.talks {
            if talk.plan.reuses_ports {
                talk.listener = last;
            } else if talk.plan.opening == Opening::Listener {
                let config = Arc::new(talk.plan.ends[1].config.clone());
                let place = talk.endpoints[1];
                let stack = self.world.stack_mut(self.hosts[1]);
                let listener = stack
                    .listen_with(place, self.plan.listener.clone(), config)
                    .map_err(|error| Failure::Refused(format!("listening: {error}")))?;
                talk.listener = Some(listener);
            }
            last = talk.listener;
        }
        Ok(())
    }

    /// Applies what the plan says of the path at this moment.
    fn change_conditions(&mut self) {
        let now = self.world.now();
        if self.next_change.is_none_or(|at| at > now) {
            return;
        }
        self.next_change = self.plan.next_change(now);
        for (direction, [from, to]) in [[0, 1], [1, 0]].into_iter().enumerate() {
            let config = self.plan.link_at(direction, now);
            if let Some(link) = self.world.link_mut(self.hosts[from], self.hosts[to]) {
                link.set_config(config);
            }
        }
    }

    /// Begins conversations on the ports of those before them, once those are over and, where nothing else keeps their segments out of
    /// the next, all these have arrived. `idle` says that nothing is under way.
    fn begin_next(&mut self, idle: bool) {
        let now = self.world.now();
        for index in 1..self.talks.len() {
            if self.talks[index].waits_for_previous() && self.talks[index - 1].is_over() {
                if !idle && self.must_rest(index) {
                    continue;
                }
                let [local, remote] = self.talks[index].endpoints;
                self.journal.forget([local.port, remote.port]);
                self.talks[index].begin(now);
                self.world.set_alarm(self.hosts[0], Some(now));
            }
        }
    }

    /// Whether a conversation has to leave its ports alone for now. After a reset there is no TIME-WAIT, and the numbers of the next
    /// connection, which follow the clock, may be ones that the last has used: without timestamps nobody could tell its segments
    /// from old ones (RFC 9293 3.4.1, 3.4.3).
    fn must_rest(&self, index: usize) -> bool {
        let [before, next] = [&self.talks[index - 1], &self.talks[index]];
        let has_timestamps = next.plan.ends.iter().all(|end| end.config.timestamps);
        let ports = next.endpoints.map(|endpoint| endpoint.port);
        let last = self.journal.last_arrival(ports);
        let waits = self.plan.moderation.unwrap_or_default();
        let is_under_way = last.is_some_and(|at| at + waits >= self.world.now());
        !has_timestamps && is_under_way && excuse::was_reset(&self.journal, self.hosts, before)
    }

    /// Lets the attacker, if there is one, strike when it is time.
    fn attack(&mut self) {
        let now = self.world.now();
        let Some(attacker) = &mut self.attacker else {
            return;
        };
        if !attacker.strikes(now) {
            return;
        }
        let victim = attacker.pick(2);
        let talk = &self.talks[attacker.pick(self.talks.len())];
        let [local, remote] = [talk.endpoints[victim], talk.endpoints[1 - victim]];
        let hosts = [self.hosts[victim], self.hosts[1 - victim]];
        // A forged SYN may well begin something at a listener, before the connection and after it.
        let stack = self.world.stack(hosts[0]);
        let connection = talk.apps[victim]
            .socket()
            .and_then(|id| stack.connection(id));
        if !connection.is_some_and(|connection| is_alive(connection.phase())) {
            return;
        }
        if let Some(known) = self.journal.known(hosts, [local.port, remote.port]) {
            let packet = attacker.forge(&Tuple { local, remote }, &known);
            self.world.inject(hosts[0], packet);
        }
    }

    /// Lets the flood, if there is one, go on when it is time.
    fn flood(&mut self) {
        let now = self.world.now();
        let talks = self.talks.iter();
        let servers: Vec<Endpoint> = talks.map(|talk| talk.endpoints[1]).collect();
        let Some(flooder) = &mut self.flooder else {
            return;
        };
        if flooder.next().is_none_or(|next| next > now) {
            return;
        }
        for packet in flooder.strike(now, &servers) {
            self.world.inject(self.hosts[1], packet);
        }
        if let (Some(holders), Some(server)) = (&mut self.holders, servers.first()) {
            holders.open(now, *server, self.world.stack_mut(holders.host));
        }
        self.hold();
    }

    /// Lets the host that holds connections open act.
    fn hold(&mut self) {
        if let Some(holders) = &mut self.holders {
            let (now, host) = (self.world.now(), holders.host);
            holders.act(now, self.world.stack_mut(host));
            let lets_go = (now < self.plan.faults_end).then_some(self.plan.faults_end);
            self.world.set_alarm(host, lets_go);
            self.world.flush(host);
        }
    }

    /// Lets the applications of one host act, and sends what comes of it.
    fn act(&mut self, side: usize) -> Result<(), Failure> {
        let host = self.hosts[side];
        self.tell_events(side);
        let now = self.world.now();
        let strike = self.attacker.as_ref().and_then(Attacker::next);
        let burst = self.flooder.as_ref().and_then(Flooder::next);
        let mut wake = [self.next_change, strike, burst]
            .into_iter()
            .flatten()
            .min()
            .filter(|_| side == 0);
        for talk in self.talks.iter_mut().filter(|talk| !talk.excused) {
            let stack = self.world.stack_mut(host);
            talk.open_if_due(side, now, stack)?;
            talk.apps[side].run(now, stack)?;
            talk.retry_failed(side, now, stack);
            talk.settle_rude(side, now, stack);
            wake = [wake, talk.opens_at[side], talk.apps[side].wakes_at()]
                .into_iter()
                .flatten()
                .min();
        }
        self.world.set_alarm(host, wake);
        self.world.flush(host);
        self.retry_unserved();
        self.judge_lost(side)
    }

    /// A flooded server answers with cookies, which take the first acknowledgment and nothing else: what overtakes that, or comes
    /// when the cookie is stale, is reset. The client is served once it tries again.
    fn retry_unserved(&mut self) {
        if self.plan.flood.is_none() {
            return;
        }
        let now = self.world.now();
        for talk in &mut self.talks {
            let mut apps = talk.apps.iter();
            let is_lost = talk.listener.is_some() && apps.any(|app| app.lost().is_some());
            let may_be = is_lost
                && !talk.excused
                && !excuse::was_served(&self.journal, self.hosts, talk, now)
                && !excuse::had_its_chance(&self.journal, self.hosts, talk);
            if may_be {
                for side in 0..2 {
                    talk.start_over(side, now, self.world.stack_mut(self.hosts[side]));
                }
                talk.try_elsewhere(now);
                self.world.set_alarm(self.hosts[0], Some(now));
                self.hosts.iter().for_each(|host| self.world.flush(*host));
            }
        }
    }

    fn tell_events(&mut self, side: usize) {
        let host = self.hosts[side];
        while let Some(event) = self.world.stack_mut(host).poll_event() {
            match event.socket {
                SocketId::Connection(id) => {
                    let mut apps = self.talks.iter_mut().map(|talk| &mut talk.apps[side]);
                    if let Some(app) = apps.find(|app| app.socket() == Some(id)) {
                        app.on_events(event.events);
                    }
                }
                SocketId::Listener(id) => self.accept_all(side, id),
                SocketId::Udp(_) => {}
            }
        }
    }

    /// Accepts whoever waits: a conversation's client, or somebody who holds connections.
    fn accept_all(&mut self, side: usize, listener: ListenerId) {
        let (now, host) = (self.world.now(), self.hosts[side]);
        while let Some((socket, tuple)) = self.world.stack_mut(host).accept(listener) {
            let mut talks = self.talks.iter_mut();
            let talk = talks.find(|talk| {
                let ours = talk.listener == Some(listener) && talk.awaits_accept();
                ours && talk.endpoints[0] == tuple.remote
            });
            match talk {
                Some(talk) => talk.apps[1].attach(now, socket, true),
                None => self.serve_stranger(socket),
            }
        }
    }

    /// Says something to somebody who may never read it, and takes leave at once.
    fn serve_stranger(&mut self, socket: ConnectionId) {
        let (now, host) = (self.world.now(), self.hosts[1]);
        let stack = self.world.stack_mut(host);
        let _taken = stack.write(now, socket, &[0x5A; 2_000]);
        stack.close(now, socket);
        stack.release(now, socket);
    }

    fn is_over(&self) -> bool {
        self.talks.iter().all(Talk::is_over)
    }

    /// Checks what must hold at every moment.
    fn check(&self) -> Result<(), Failure> {
        if let Some(law) = self.journal.broken_law(self.world.now()) {
            return Err(Failure::Law(law));
        }
        for talk in &self.talks {
            for (end, app) in talk.apps.iter().enumerate() {
                let written = talk.apps[1 - end].written();
                if app.peer_closed() && app.read() != written {
                    return Err(Failure::CutShort {
                        read: app.read(),
                        expected: written,
                    });
                }
                if app.read() > written {
                    return Err(Failure::Invented {
                        read: app.read(),
                        expected: written,
                    });
                }
            }
        }
        (0..2).try_for_each(|side| {
            let stack = self.world.stack(self.hosts[side]);
            let flooded = side == 1 && self.plan.flood.is_some();
            invariants::check(stack, &self.talks, side, &self.journal, self.hosts, flooded)?;
            match flooded {
                true => invariants::check_listeners(stack, &self.talks),
                false => Ok(()),
            }
        })
    }

    /// Looks whether an application was told of an error, and whether the network is to blame.
    fn judge_lost(&mut self, side: usize) -> Result<(), Failure> {
        for index in 0..self.talks.len() {
            let talk = &self.talks[index];
            if let Some(error) = talk.apps[side].lost().filter(|_| !talk.excused) {
                excuse::examine(&self.journal, self.hosts, talk, Some((side, error)))?;
                self.report.excused += 1;
                self.give_up(index);
            }
        }
        Ok(())
    }

    /// Nothing is due: whoever still waits must have been left by a peer that gave up.
    fn judge_stuck(&mut self) -> Result<(), Failure> {
        let state = self.describe();
        for index in 0..self.talks.len() {
            let talk = &self.talks[index];
            if talk.is_over() || talk.waits_for_previous() {
                continue;
            }
            if !talk.was_left_by_rude_peer(self.hosts.map(|host| self.world.stack(host))) {
                if excuse::examine(&self.journal, self.hosts, talk, None).is_err() {
                    return Err(Failure::Deadlock(state));
                }
                self.report.excused += 1;
            }
            self.give_up(index);
        }
        Ok(())
    }

    /// Asks nothing more of a conversation, and frees what is left of it.
    fn give_up(&mut self, index: usize) {
        self.talks[index].excused = true;
        let now = self.world.now();
        for side in 0..2 {
            if let Some(socket) = self.talks[index].apps[side].socket() {
                self.world.stack_mut(self.hosts[side]).abort(now, socket);
                self.world.flush(self.hosts[side]);
            }
        }
    }

    /// Lets TIME-WAIT pass, and sees that both stacks are empty afterwards.
    fn clear_up(&mut self) -> Result<(), Failure> {
        let deadline = self.world.now() + GRACE;
        while self.world.step().is_some() {
            self.report.steps += 1;
            self.change_conditions();
            // Somebody who came late may still want to be accepted.
            self.tell_events(1);
            self.world.flush(self.hosts[1]);
            self.hold();
            if self.world.now() > deadline || self.report.steps > STEPS_MAX {
                return Err(Failure::Endless(format!(
                    "after all was done; {}",
                    self.describe()
                )));
            }
        }
        for host in self.hosts {
            let stack = self.world.stack(host);
            let mut left = stack
                .sockets()
                .filter(|it| !matches!(it, SocketSummary::Listener { .. }));
            if let Some(socket) = left.next() {
                return Err(Failure::Leftover(format!(
                    "on host {}: {socket:?}",
                    host.index()
                )));
            }
            if stack.held_memory() != 0 {
                let (octets, host) = (stack.held_memory(), host.index());
                return Err(Failure::Leftover(format!(
                    "{octets} octets of memory on host {host}"
                )));
            }
        }
        Ok(())
    }

    /// What everybody is waiting for.
    fn describe(&self) -> String {
        let mut text = format!("{} packets are under way", self.world.in_flight());
        for talk in self.talks.iter().filter(|talk| !talk.is_over()) {
            for (end, app) in talk.apps.iter().enumerate() {
                let stack = self.world.stack(self.hosts[end]);
                let phase = app
                    .socket()
                    .and_then(|id| stack.connection(id))
                    .map(|connection| connection.phase());
                text += &format!(
                    "; conversation {} end {end} has written {} of {} and read {} of {}",
                    talk.number,
                    app.written(),
                    talk.plan.ends[end].writing.octets,
                    app.read(),
                    talk.plan.ends[1 - end].writing.octets,
                );
                text +=
                    &phase.map_or_else(|| " (no connection)".into(), |phase| format!(" ({phase})"));
            }
        }
        text
    }
}

/// FNV-1a, a word at a time, over what the journal knows of each segment.
fn digest(entries: &[Entry]) -> u64 {
    let mut hash = 0xCBF2_9CE4_8422_2325_u64;
    for entry in entries {
        let words = [
            entry.sent.as_nanos(),
            entry.arrived.map_or(0, Instant::as_nanos),
            u64::from(entry.seq.raw()) << 32 | u64::from(entry.ack.raw()),
            u64::from(entry.payload_len) << 32 | u64::from(entry.window),
            entry.flags.bits().into(),
        ];
        for word in words {
            hash = (hash ^ word).wrapping_mul(0x0000_0100_0000_01B3);
        }
    }
    hash
}

const fn is_alive(phase: Phase) -> bool {
    !matches!(
        phase,
        Phase::Closed | Phase::Listen | Phase::SynSent | Phase::TimeWait
    )
}

fn add_host(world: &mut World, plan: &Plan, addr: IpAddr, rng: &mut Rng) -> HostId {
    let mut stack = Stack::new(
        StackConfig::default(),
        Secrets::from_seed(rng.next_u64()),
        world.now(),
    );
    let len = if addr.is_ipv4() { 24 } else { 64 };
    let config = InterfaceConfig {
        super_segment_max: rng.pick(&[0, 0, 20_000, 65_000]),
        checksum_offload: rng.chance(0.3),
        ..InterfaceConfig::ip(plan.interface_mtu, [Prefix::new(addr, len)])
    };
    let interface = stack
        .add_interface(config)
        .expect("a fresh stack takes an interface");
    world.add_host(stack, interface, [addr])
}
