//! Several stacks that are one host: whatever shard a packet reaches, its owner gets it.

mod ethernet;

use super::common::*;
use super::{fragments, fragments6};
use bytes::Bytes;
use core::time::Duration;
use handwave_packet::{PacketBuf, split};
use handwave_stack::{
    ConnectError, ConnectOptions, ConnectionId, InterfaceConfig, Limits, ListenerConfig,
    ListenerId, Shard, StackConfig, SynCookies,
};
use handwave_tcp::{BudgetLock, Instant, Listener, ListenerPool, Secrets, SourceBudgets, Tuple};
use handwave_wire::icmpv4::{Icmpv4ErrorKind, Icmpv4Unreachable};
use handwave_wire::icmpv6::Icmpv6ErrorKind;
use std::sync::Mutex;

/// One peer, and a host of several shards whose device brings each packet to the shard that `queue` says.
struct Sharded {
    now: Instant,
    peer: Host,
    shards: Vec<Host>,
    queue: usize,
}

impl Sharded {
    fn new(count: u16) -> Self {
        let interfaces = (ip_interface(CLIENT, CLIENT6), ip_interface(SERVER, SERVER6));
        Self::over(count, interfaces)
    }

    /// With these interfaces: the peer's, and that of each shard.
    fn over(count: u16, (peer, host): (InterfaceConfig, InterfaceConfig)) -> Self {
        let shard = |shard| {
            let config = stack_config().for_shard(shard);
            Host::new(2, config, host.clone())
        };
        Self {
            now: Instant::from_secs(1),
            peer: Host::new(1, stack_config(), peer),
            shards: Shard::all(count).map(shard).collect(),
            queue: 0,
        }
    }

    /// Brings a packet to the shard at whose queue it arrives, and on to its owner; returns whether it was carried over.
    fn arrives(&mut self, packet: &[u8]) -> bool {
        self.shards[self.queue].receive(self.now, packet);
        let mut carried = false;
        for at in 0..self.shards.len() {
            while let Some((owner, stray)) = self.shards[at].stack.poll_stray() {
                let owner = &mut self.shards[usize::from(owner)];
                owner.stack.handle_strays(self.now, [stray]);
                carried = true;
            }
        }
        carried
    }

    fn settle(&mut self) {
        for _ in 0..1_000 {
            let to_host = self.peer.drain(self.now);
            for part in to_host.into_iter().flat_map(split::segments) {
                self.arrives(&part.to_vec());
            }
            let now = self.now;
            let to_peer: Vec<PacketBuf> = self
                .shards
                .iter_mut()
                .flat_map(|shard| shard.drain(now))
                .collect();
            if to_peer.is_empty() {
                return;
            }
            for part in to_peer.into_iter().flat_map(split::segments) {
                self.peer.receive(now, &part.to_vec());
            }
        }
        panic!("the hosts never fall silent");
    }

    fn strays(&self) -> u64 {
        let shards = self.shards.iter();
        shards.map(|shard| shard.stack.counters().strays).sum()
    }

    /// A connection that shard `from` opens to `to`, and what the peer calls it.
    fn connect(&mut self, from: usize, to: &str) -> (ConnectionId, ConnectionId) {
        let peer = &mut self.peer.stack;
        let known = peer.listeners().next().map(|(id, ..)| id);
        let listener = known.unwrap_or_else(|| peer.listen(80, ListenerConfig::default()).unwrap());
        let shard = &mut self.shards[from].stack;
        let ours = shard
            .connect(self.now, endpoint(to, 80), ConnectOptions::default())
            .unwrap();
        self.settle();
        let (theirs, _) = self.peer.stack.accept(listener).expect("it is established");
        (ours, theirs)
    }
}

#[test]
fn a_connection_of_ours_that_has_idled_hears_its_peer_at_any_queue() {
    for to in [CLIENT, CLIENT6] {
        let mut host = Sharded::new(3);
        for from in 0..3 {
            host.queue = from;
            let before = host.strays();
            let (ours, theirs) = host.connect(from, to);
            assert_eq!(host.strays(), before, "the port was chosen so");

            host.now += Duration::from_secs(10);
            host.queue = (from + 1) % 3;
            host.peer.stack.write(host.now, theirs, b"late").unwrap();
            host.settle();
            let heard = host.shards[from].read_all(host.now, ours);
            assert_eq!(heard.unwrap(), b"late");
            assert!(host.strays() > before);
        }
        let resets = |host: &Host| host.stack.counters().tcp_no_port;
        assert!(host.shards.iter().all(|shard| resets(shard) == 0));
    }
}

#[test]
fn what_a_peer_opens_lives_in_one_shard_whatever_queue_its_packets_take() {
    let mut host = Sharded::new(2);
    let listeners = [0, 1].map(|at: usize| {
        let stack = &mut host.shards[at].stack;
        stack.listen(80, ListenerConfig::default()).unwrap()
    });
    let mut accepted = [0; 2];
    for n in 0..20 {
        host.queue = n % 2;
        let options = ConnectOptions::default();
        let peer = &mut host.peer.stack;
        let id = peer.connect(host.now, endpoint(SERVER, 80), options);
        host.settle();
        let tuple = peer_tuple(&host, id.unwrap());
        let owner = host.shards[0].stack.shard_of(&tuple.reversed());
        assert_eq!(owner, host.shards[1].stack.shard_of(&tuple), "both ways");
        let owner = usize::from(owner);
        host.shards[owner]
            .stack
            .accept(listeners[owner])
            .expect("it is where the hash says");
        accepted[owner] += 1;
    }
    assert!(accepted.iter().all(|count| *count > 3), "{accepted:?}");
}

fn peer_tuple(host: &Sharded, id: ConnectionId) -> Tuple {
    *host.peer.stack.connection(id).unwrap().tuple()
}

#[test]
fn a_port_of_the_callers_choice_belongs_to_one_shard() {
    let mut host = Sharded::new(2);
    let remote = endpoint(CLIENT, 80);
    let towards = |host: &Sharded, port| {
        let stack = &host.shards[0].stack;
        usize::from(stack.shard_towards(None, port, remote).unwrap())
    };
    for port in 5_000..5_010 {
        let owner = towards(&host, port);
        let options = || ConnectOptions {
            local_port: Some(port),
            ..ConnectOptions::default()
        };
        let mut connect = |at: usize| {
            let stack = &mut host.shards[at].stack;
            stack.connect(host.now, remote, options())
        };
        assert_eq!(connect(1 - owner), Err(ConnectError::OtherShard));
        assert!(connect(owner).is_ok());
    }
}

#[test]
fn a_packet_too_big_reaches_the_connection_it_is_about() {
    for (to, ours) in [(CLIENT, SERVER), (CLIENT6, SERVER6)] {
        let mut host = Sharded::new(2);
        host.queue = 0;
        let (id, _) = host.connect(1, to);
        let stack = &mut host.shards[1].stack;
        stack.write(host.now, id, &[7; 1_400]).unwrap();
        let sent = host.shards[1].drain(host.now).remove(0).to_vec();
        let router = if to == CLIENT {
            "10.0.0.9"
        } else {
            "2001:db8::9"
        };
        let report = if to == CLIENT {
            let kind = Icmpv4ErrorKind::Unreachable(Icmpv4Unreachable::FragmentationNeeded {
                next_hop_mtu: 1_300,
            });
            craft::icmpv4_error(addr(router), addr(ours), kind, &sent[..60])
        } else {
            let kind = Icmpv6ErrorKind::PacketTooBig { mtu: 1_300 };
            craft::icmpv6_error(addr(router), addr(ours), kind, &sent)
        };
        assert!(host.arrives(&report), "it is carried over");
        let counters = |at: usize| *host.shards[at].stack.counters();
        assert_eq!(counters(0).icmp_errors_unmatched, 0);
        assert_eq!(counters(1).path_mtu_reduced, 1);
        let again = host.shards[1].drain(host.now);
        let longest = again.into_iter().flat_map(split::segments);
        assert_eq!(longest.map(|packet| packet.len()).max(), Some(1_300));
    }
}

#[test]
fn fragments_meet_wherever_they_arrive_and_the_datagram_goes_to_its_owner() {
    let mut seen = [0; 2];
    for n in 0..16_u16 {
        let mut host = Sharded::new(2);
        let (ours, theirs) = host.connect(1, CLIENT);
        host.peer
            .stack
            .write(host.now, theirs, &[9; 1_000])
            .unwrap();
        let packet = host.peer.drain(host.now).remove(0).to_vec();
        for (at, part) in fragments(&packet, 400, n).iter().enumerate() {
            host.queue = at % 2;
            host.arrives(part);
        }
        let heard = host.shards[1].read_all(host.now, ours).unwrap();
        assert_eq!(heard, [9; 1_000]);
        let reassembled = |at: usize| host.shards[at].stack.counters().reassembled;
        assert_eq!(reassembled(0) + reassembled(1), 1);
        seen[usize::from(reassembled(1) == 1)] += 1;
    }
    assert!(
        seen.iter().all(|count| *count > 0),
        "{seen:?}: not all at one"
    );
}

#[test]
fn fragments_of_ipv6_meet_too() {
    for n in 0..8 {
        let mut host = Sharded::new(2);
        let (ours, theirs) = host.connect(0, CLIENT6);
        host.peer
            .stack
            .write(host.now, theirs, &[9; 1_000])
            .unwrap();
        let packet = host.peer.drain(host.now).remove(0).to_vec();
        for (at, part) in fragments6(&packet, 400, n).iter().enumerate() {
            host.queue = at % 2;
            host.arrives(part);
        }
        let heard = host.shards[0].read_all(host.now, ours).unwrap();
        assert_eq!(heard, [9; 1_000]);
    }
}

#[test]
fn a_datagram_reaches_the_socket_of_its_shard_and_the_answer_comes_from_there() {
    let mut host = Sharded::new(2);
    let sockets = [0, 1].map(|at: usize| host.shards[at].stack.udp_bind(None, 53).unwrap());
    for port in 4_000..4_008 {
        let socket = host.peer.stack.udp_bind(None, port).unwrap();
        let to = endpoint(SERVER, 53);
        let peer = &mut host.peer.stack;
        peer.udp_send_to(host.now, socket, to, Bytes::from_static(b"who?"))
            .unwrap();
        host.queue = usize::from(port % 2);
        host.settle();
        let client = endpoint(CLIENT, port);
        let owner = host.shards[0]
            .stack
            .shard_towards(None, 53, client)
            .unwrap();
        let owner = usize::from(owner);
        let heard = host.shards[owner].stack.udp_recv_from(sockets[owner]);
        assert_eq!(heard.unwrap().source, client);
    }
}

#[test]
fn only_so_many_strays_wait_to_be_carried_over() {
    let config = StackConfig {
        transmit_queue_max: 2,
        ..stack_config()
    };
    let config = config.for_shard(Shard::new(0, 2).unwrap());
    let mut host = Host::new(2, config, ip_interface(SERVER, SERVER6));
    for port in 1_000..1_100 {
        let syn = craft::syn(addr(CLIENT), addr(SERVER), port);
        host.receive(Instant::ZERO, &syn);
    }
    let counters = *host.stack.counters();
    assert_eq!(counters.strays, 2);
    assert!(counters.strays_dropped > 20, "about half of them");
    assert_eq!(
        counters.strays + counters.strays_dropped + counters.tcp_no_port,
        100
    );
    assert!(host.stack.poll_stray().is_some() && host.stack.poll_stray().is_some());
    assert!(host.stack.poll_stray().is_none());
}

/// The lock of an owner that has threads.
struct Lock(Mutex<SourceBudgets>);

impl BudgetLock for Lock {
    fn with(&self, look: &mut dyn FnMut(&mut SourceBudgets)) {
        look(&mut self.0.lock().unwrap());
    }
}

/// A listener in each shard, all in one pool.
fn pooled(host: &mut Sharded, limits: &ListenerConfig) -> (Vec<ListenerId>, ListenerPool) {
    let secrets = Secrets::from_seed(2);
    let budgets = SourceBudgets::new(&limits.limits, &secrets);
    let count = u16::try_from(host.shards.len()).unwrap();
    let pool = ListenerPool::new(count, Lock(Mutex::new(budgets)));
    let listen = |shard: &mut Host| {
        let (limits, pool) = (limits.clone(), pool.clone());
        shard.stack.listen_pooled(80, limits, tcp_config(), pool)
    };
    let ids = host.shards.iter_mut().map(|shard| listen(shard).unwrap());
    (ids.collect(), pool)
}

fn in_each(host: &Sharded, ids: &[ListenerId], count: impl Fn(&Listener) -> usize) -> Vec<usize> {
    let shards = host.shards.iter().zip(ids);
    shards
        .map(|(shard, id)| count(shard.stack.listener(*id).unwrap()))
        .collect()
}

#[test]
fn the_syn_queue_of_a_listener_is_as_long_in_all_shards_together() {
    let mut host = Sharded::new(2);
    let limits = ListenerConfig {
        syn_queue_max: 10,
        cookies: SynCookies::Off,
        ..ListenerConfig::default()
    };
    let (ids, pool) = pooled(&mut host, &limits);
    for port in 2_000..2_100 {
        host.arrives(&craft::syn(addr("10.0.0.77"), addr(SERVER), port));
    }
    let half_open = in_each(&host, &ids, Listener::half_open);
    assert_eq!(half_open.iter().sum::<usize>(), 10, "{half_open:?}");
    assert!(half_open.iter().all(|count| *count > 0), "{half_open:?}");
    assert_eq!(pool.half_open(), 10);
    // Records that are given up leave room, wherever they were.
    host.now += Duration::from_secs(300);
    for shard in &mut host.shards {
        shard.stack.handle_timeout(host.now);
        while shard
            .stack
            .poll_timeout()
            .is_some_and(|due| due <= host.now)
        {
            shard.stack.handle_timeout(host.now);
            shard.drain(host.now);
        }
    }
    let left = in_each(&host, &ids, Listener::half_open);
    assert_eq!(pool.half_open(), left.iter().sum::<usize>());
    for (shard, id) in host.shards.iter_mut().zip(&ids) {
        shard.stack.close_listener(host.now, *id);
    }
    assert_eq!((pool.half_open(), pool.waiting()), (0, 0));
}

/// Lets the peer open so many connections, and says how many the host took.
fn open(host: &mut Sharded, count: usize) {
    for n in 0..count {
        host.queue = n % host.shards.len();
        let peer = &mut host.peer.stack;
        peer.connect(host.now, endpoint(SERVER, 80), ConnectOptions::default())
            .unwrap();
        host.settle();
    }
}

#[test]
fn the_accept_queue_of_a_listener_is_as_long_in_all_shards_together() {
    let mut host = Sharded::new(2);
    let limits = ListenerConfig {
        accept_queue_max: 6,
        ..ListenerConfig::default()
    };
    let (ids, pool) = pooled(&mut host, &limits);
    open(&mut host, 30);
    let waiting = in_each(&host, &ids, Listener::waiting);
    assert_eq!(waiting.iter().sum::<usize>(), 6, "{waiting:?}");
    assert!(waiting.iter().all(|count| *count > 0), "{waiting:?}");
    // What is accepted in one shard makes room in the other.
    let (full, other) = (0, 1);
    let accepting = &mut host.shards[full].stack;
    while accepting.accept(ids[full]).is_some() {}
    assert_eq!(pool.waiting(), waiting[other]);
    open(&mut host, 30);
    let waiting = in_each(&host, &ids, Listener::waiting);
    assert_eq!(waiting.iter().sum::<usize>(), 6, "{waiting:?}");
}

#[test]
fn what_one_source_may_take_is_counted_in_all_shards_together() {
    let mut host = Sharded::new(2);
    let limits = ListenerConfig {
        limits: Limits {
            established_max: Some(7),
            deny: vec!["10.0.0.66".parse().unwrap()],
            ..Limits::default()
        },
        ..ListenerConfig::default()
    };
    let (ids, _pool) = pooled(&mut host, &limits);
    open(&mut host, 30);
    let waiting = in_each(&host, &ids, Listener::waiting);
    assert_eq!(waiting.iter().sum::<usize>(), 7, "{waiting:?}");
    assert!(waiting.iter().all(|count| *count > 0), "{waiting:?}");
    host.arrives(&craft::syn(addr("10.0.0.66"), addr(SERVER), 9));
    let half_open = in_each(&host, &ids, Listener::half_open);
    assert_eq!(half_open, [0, 0], "who is denied is so in each shard");
    // The end of a connection in one shard gives its source room in the other.
    let (id, _) = host.shards[0].stack.accept(ids[0]).unwrap();
    host.shards[0].stack.abort(host.now, id);
    host.settle();
    open(&mut host, 30);
    let waiting = in_each(&host, &ids, Listener::waiting);
    assert_eq!(waiting.iter().sum::<usize>(), 7, "{waiting:?}");
}
