//! A bulk flow over a long, fast path: buffers that find their size fill it.

#![allow(clippy::unwrap_used, reason = "test code")]

use core::time::Duration;
use handwave_sim::world::Cause;
use handwave_sim::{HostId, LinkConfig, Rng, World};
use handwave_stack::{
    ConnectOptions, ConnectionId, InterfaceConfig, ListenerConfig, Prefix, Stack, StackConfig,
};
use handwave_tcp::congestion::Algorithm;
use handwave_tcp::{BufferSize, Config, Endpoint, Secrets, TcpInfo};
use std::sync::Arc;

/// 1 Gbit/s.
const RATE: u64 = 125_000_000;
/// Half of a round trip of 100 ms.
const DELAY: Duration = Duration::from_millis(50);
/// What the path holds.
const PATH: usize = 12_500_000;

/// What came of a transfer.
struct Outcome {
    /// The share of the link's rate, headers counted, at which text was read in each tenth of a second.
    share: Vec<f64>,
    sender: TcpInfo,
    receiver: TcpInfo,
}

impl Outcome {
    /// The share from the tenth of a second `from` on.
    fn steady(&self, from: usize) -> f64 {
        let rest = &self.share[from..];
        rest.iter().sum::<f64>() / rest.len() as f64
    }
}

/// Sends as much as goes for `tenths` of a second through a queue of `queue` octets, reading all that arrives.
fn transfer(config: Config, queue: usize, tenths: usize) -> Outcome {
    let mut world = World::new();
    let tcp = Arc::new(config);
    let host = |world: &mut World, last: u8| -> HostId {
        let addr = [10, 0, 0, last].into();
        let config = StackConfig {
            tcp: Arc::clone(&tcp),
            ..StackConfig::default()
        };
        let mut stack = Stack::new(config, Secrets::from_seed(last.into()), world.now());
        let interface = InterfaceConfig {
            super_segment_max: 65_000,
            ..InterfaceConfig::ip(1_500, [Prefix::new(addr, 24)])
        };
        let interface = stack.add_interface(interface).unwrap();
        world.add_host(stack, interface, [addr])
    };
    let (client, server) = (host(&mut world, 1), host(&mut world, 2));
    let way = LinkConfig {
        delay: DELAY,
        rate_bytes_per_second: Some(RATE),
        queue_limit: queue,
        ..LinkConfig::default()
    };
    world.join(client, server, [way; 2], &mut Rng::from_seed(1));
    world.set_moderation(Some(Duration::from_micros(200)));

    let now = world.now();
    let listener = world
        .stack_mut(server)
        .listen(80, ListenerConfig::default())
        .unwrap();
    let to = Endpoint::new([10, 0, 0, 2].into(), 80);
    let options = ConnectOptions::default();
    let writer = world.stack_mut(client).connect(now, to, options).unwrap();
    world.flush(client);

    let data = vec![0x5a; 1 << 18];
    let mut sink = vec![0; 1 << 18];
    let mut reader: Option<ConnectionId> = None;
    let mut arrived = vec![0_u64; tenths];
    while let Some(happening) = world.step() {
        let now = world.now();
        let tenth = usize::try_from(now.as_millis() / 100).unwrap();
        if tenth >= tenths {
            break;
        }
        assert_ne!(happening.cause, Cause::Alarm);
        if happening.host == client {
            while world.stack_mut(client).write(now, writer, &data).unwrap() > 0 {}
        } else if let Some(id) =
            reader.or_else(|| Some(world.stack_mut(server).accept(listener)?.0))
        {
            reader = Some(id);
            while let Ok(octets @ 1..) = world.stack_mut(server).read(now, id, &mut sink) {
                arrived[tenth] += octets as u64;
            }
        }
        world.flush(happening.host);
    }
    let info = |host, id| world.stack(host).connection(id).unwrap().info();
    // Text of 1448 octets takes 1500 of the link.
    let most = RATE as f64 / 10.0 * 1_448.0 / 1_500.0;
    Outcome {
        share: arrived.iter().map(|octets| *octets as f64 / most).collect(),
        sender: info(client, writer),
        receiver: info(server, reader.unwrap()),
    }
}

/// With the default settings a path of 100 ms and 1 Gbit/s is full from the second second on, as long as its queue holds what slow start
/// sends too much: two round trips.
#[test]
fn the_defaults_fill_a_gigabit_over_a_tenth_of_a_second() {
    let outcome = transfer(Config::default(), 3 * PATH, 40);
    let steady = outcome.steady(20);
    println!(
        "{:.3} of the link; buffers {} and {}; {:.2?}",
        steady, outcome.sender.snd_buffer, outcome.receiver.rcv_buffer, outcome.share
    );
    assert!(steady >= 0.9, "{steady:.3} of the link");
    assert!(
        outcome.sender.retransmits == 0 && outcome.sender.total_retrans == 0,
        "the queue takes all"
    );
}

/// The same with the buffers of before, for comparison: a window a round trip.
#[test]
fn a_fixed_buffer_gives_a_window_each_round_trip() {
    let config = Config {
        receive_buffer: BufferSize::fixed(256 << 10),
        send_buffer: BufferSize::fixed(256 << 10),
        ..Config::default()
    };
    let outcome = transfer(config, 3 * PATH, 20);
    let steady = outcome.steady(10);
    let expected = f64::from(256 << 10) / (PATH as f64 * 1_448.0 / 1_500.0);
    assert!((steady / expected - 1.0).abs() < 0.1, "{steady} {expected}");
}

/// Slow start has overflowed a short queue long before the path was full, and the window comes back within seconds.
#[test]
fn a_path_with_a_short_queue_is_filled_all_the_same() {
    let outcome = transfer(Config::default(), PATH / 4, 100);
    let steady = outcome.steady(20);
    println!("queue of {}: {steady:.3} of the link", PATH / 4);
    assert!(steady >= 0.9, "{steady:.3} of the link");
    let reno = Config {
        congestion: Algorithm::Reno,
        ..Config::default()
    };
    let reno = transfer(reno, PATH / 4, 100).steady(20);
    assert!(reno < 0.8, "{reno:.3} of the link: the test proves nothing");
}

/// Slow start fills a queue of one round trip, or half of one, and overshoots it by thousands of segments, every second of which is
/// dropped: all the holes are known, and filled within a few round trips.
#[test]
fn what_slow_start_sends_too_much_is_repaired_in_a_second() {
    for queue in [PATH / 2, PATH] {
        let outcome = transfer(Config::default(), queue, 60);
        let (steady, sender) = (outcome.steady(25), &outcome.sender);
        println!(
            "queue of {queue}: {steady:.3} of the link; {} segments again",
            sender.total_retrans
        );
        assert!(steady >= 0.9, "{steady:.3} of the link");
        assert_eq!(sender.timeouts, 0);
    }
}

/// A queue of a tenth of what the path holds takes no bursts: paced, slow start comes to half of the path before it overflows, and repetitions are
/// not lost with what they repeat. The rest is CUBIC's way up.
#[test]
fn a_very_short_queue_takes_what_is_paced() {
    let share = |pacing| {
        let config = Config {
            pacing,
            ..Config::default()
        };
        let outcome = transfer(config, PATH / 10, 100);
        let (steady, sender) = (outcome.steady(20), &outcome.sender);
        println!(
            "queue of {}, pacing {pacing}: {steady:.3} of the link; {} segments again",
            PATH / 10,
            sender.total_retrans
        );
        assert_eq!(sender.timeouts, 0);
        steady
    };
    let (plain, paced) = (share(false), share(true));
    assert!(paced >= 0.8, "{paced:.3} of the link");
    assert!(
        plain < 0.6,
        "{plain:.3} of the link: the test proves nothing"
    );
}
