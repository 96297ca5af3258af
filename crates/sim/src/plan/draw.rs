//! Drawing a [`Plan`] from a seed.
//!
//! Extremes are drawn far more often than they occur on the Internet: one-octet writes, windows below one segment, a third
//! of all packets lost. Amounts are bounded so that a run takes milliseconds, not minutes.

use super::{
    Clock, Closing, Conversation, End, Family, Flood, FloodKind, Manner, MtuChange, Opening,
    Outage, Plan, Reading, Writing,
};
use crate::{LinkConfig, Loss, Rng};
use core::time::Duration;
use handwave_tcp::congestion::Algorithm;
use handwave_tcp::time::Instant;
use handwave_tcp::{
    BufferSize, Config, KeepAlive, Limits, ListenerConfig, Profile, RateLimit, SynCookies,
};

/// Most writes, and most reads, one application makes in a run.
const CALLS_MAX: u64 = 3_000;

pub(super) fn plan(seed: u64) -> Plan {
    let mut rng = Rng::from_seed(seed);
    let family = if rng.chance(0.5) {
        Family::V4
    } else {
        Family::V6
    };
    let mtu_min = match family {
        Family::V4 => 576,
        Family::V6 => 1_280,
    };
    let interface_mtu = rng.pick(&[mtu_min, 1_500, 1_500, 1_500, 9_000, 65_535]);
    let faults_end = Instant::ZERO + rng.up_to(Duration::from_secs(40));
    let path_mtu = if rng.chance(0.2) {
        rng.within(mtu_min.into()..=interface_mtu.into())
    } else {
        interface_mtu.into()
    };
    let calm = rng.chance(0.1);
    let links = [(); 2].map(|()| link(&mut rng, path_mtu, calm));
    let mtu_changes = mtu_changes(&mut rng, mtu_min, interface_mtu, faults_end);
    // SYNs can cross only where they take a while.
    let crossing = links
        .iter()
        .all(|link| link.delay >= Duration::from_millis(1));
    let conversations = rng.pick(&[1, 1, 1, 2, 3]);
    let conversations: Vec<Conversation> = (0..conversations)
        .map(|_| conversation(&mut rng, crossing))
        .collect();
    let mut conversations: Vec<Conversation> = conversations;
    for index in 1..conversations.len() {
        if rng.chance(0.3) && conversations[index - 1].opening == Opening::Listener {
            reuse_ports(&mut rng, &mut conversations, index);
        }
    }
    let outages = outages(&mut rng, faults_end);
    let clock = clock(&mut rng);
    let moderation = rng.chance(0.4).then(|| rng.up_to(Duration::from_millis(5)));
    let attack_pause = rng
        .chance(0.2)
        .then(|| Duration::from_millis(rng.pick(&[10, 200, 2_000])));
    // From a stream of their own, so that what came before is drawn as ever.
    let mut rng = Rng::from_seed(seed ^ 0x666C_6F6F_6473);
    linux(&mut rng, &mut conversations);
    let flood = rng.chance(0.25).then(|| flood(&mut rng));
    let listener = match &flood {
        Some(_) => {
            conversations.iter_mut().for_each(under_attack);
            listener(&mut rng)
        }
        None => ListenerConfig::default(),
    };
    Plan {
        seed,
        family,
        interface_mtu,
        links,
        mtu_changes,
        outages,
        faults_end,
        clock,
        moderation,
        attack_pause,
        flood,
        listener,
        conversations,
    }
}

/// Gives some ends Linux's settings, except for what is negotiated.
fn linux(rng: &mut Rng, conversations: &mut [Conversation]) {
    for index in 0..conversations.len() {
        for end in 0..2 {
            if rng.chance(0.85) {
                continue;
            }
            let drawn = &conversations[index].ends[end].config;
            conversations[index].ends[end].config = Config {
                timestamps: drawn.timestamps,
                sack: drawn.sack,
                window_scaling: drawn.window_scaling,
                mss_max: drawn.mss_max,
                nagle: drawn.nagle,
                congestion: drawn.congestion,
                keepalive: drawn.keepalive,
                ..Profile::linux().connection
            };
        }
        if conversations[index].reuses_ports {
            // The listener stays as it is.
            conversations[index].ends[1].config = conversations[index - 1].ends[1].config.clone();
        }
    }
}

fn flood(rng: &mut Rng) -> Flood {
    let kinds = (0..rng.within(1..=2)).map(|_| rng.pick(&FloodKind::ALL));
    Flood {
        kinds: kinds.collect(),
        pause_max: Duration::from_millis(rng.pick(&[1, 20, 200])),
        burst_max: rng.pick(&[1, 8, 40]),
        packets: rng.pick(&[50, 200, 500]),
    }
}

/// A listener with little room and, now and then, little patience with any one source.
fn listener(rng: &mut Rng) -> ListenerConfig {
    let impatient = rng.chance(0.3);
    let rate = RateLimit {
        per_second: 1,
        burst: 2,
    };
    ListenerConfig {
        syn_queue_max: rng.pick(&[1, 4, 64]),
        accept_queue_max: rng.pick(&[8, 128]),
        cookies: rng.pick(&[
            SynCookies::OnOverflow,
            SynCookies::OnOverflow,
            SynCookies::Always,
        ]),
        limits: Limits {
            syn_rate: impatient.then_some(rate),
            half_open_max: impatient.then_some(2),
            sources_max: 64,
            ..Limits::default()
        },
        ..ListenerConfig::default()
    }
}

/// A server that kept nothing of a handshake learns of its completion from what the client sends, so the client has to say
/// something; and it stays to the end, so that it is known whether it was served.
fn under_attack(talk: &mut Conversation) {
    let first = &mut talk.ends[0].writing;
    first.octets = first.octets.max(1);
    for end in &mut talk.ends {
        end.manner = Manner::Polite;
    }
}

/// Makes a conversation the next one on the ports of the one before it.
fn reuse_ports(rng: &mut Rng, conversations: &mut [Conversation], index: usize) {
    let before = &conversations[index - 1];
    // The listener stays as it is.
    let (opening, listening) = (before.opening, before.ends[1].config.clone());
    let talk = &mut conversations[index];
    talk.reuses_ports = true;
    let pause_max = Duration::from_millis(rng.pick(&[0, 100, 5_000]));
    talk.starts = Instant::ZERO + rng.up_to(pause_max);
    talk.opening = opening;
    talk.ends[1].config = listening;
}

fn outages(rng: &mut Rng, end: Instant) -> Vec<Outage> {
    if rng.chance(0.8) {
        return Vec::new();
    }
    (0..rng.within(1..=2))
        .map(|_| {
            let from = Instant::ZERO + rng.up_to(end - Instant::ZERO);
            let until = from + rng.up_to(Duration::from_secs(20));
            Outage {
                from,
                until: until.min(end),
            }
        })
        .collect()
}

fn clock(rng: &mut Rng) -> Clock {
    let end = rng.index(2);
    match rng.below(4) {
        0 => {
            let most = rng.pick(&[1, 1_000, 100_000]);
            Clock::SequenceWraps {
                end,
                octets: u32::try_from(rng.within(0..=most)).unwrap_or(0),
            }
        }
        1 => Clock::TimestampWraps {
            end,
            ticks: u32::try_from(rng.below(3_000)).unwrap_or(0),
        },
        _ => Clock::Zero,
    }
}

fn link(rng: &mut Rng, mtu: u64, calm: bool) -> LinkConfig {
    let delay = Duration::from_micros(rng.pick(&[0, 50, 1_000, 10_000, 50_000, 150_000]));
    let rate = rng.pick(&[None, None, Some(20_000), Some(250_000), Some(5_000_000)]);
    // Of a queue shorter than a few packets nothing would ever come out in order.
    let queue_limit = rng.pick(&[5, 20, 100]) * mtu;
    let config = LinkConfig {
        delay,
        jitter: if rng.chance(0.5) {
            rng.up_to(delay * 2)
        } else {
            Duration::ZERO
        },
        rate_bytes_per_second: rate,
        queue_limit: usize::try_from(queue_limit).unwrap_or(usize::MAX),
        mtu: usize::try_from(mtu).unwrap_or(usize::MAX),
        ..LinkConfig::default()
    };
    if calm { config } else { faulty(rng, config) }
}

fn faulty(rng: &mut Rng, config: LinkConfig) -> LinkConfig {
    let loss = match rng.below(3) {
        0 => Loss::None,
        1 => Loss::Random(rng.unit() * rng.pick(&[0.02, 0.1, 0.3])),
        _ => Loss::Bursts {
            enter: rng.unit() * 0.05,
            leave: 0.1 + rng.unit() * 0.5,
            loss_inside: 0.5 + rng.unit() * 0.5,
            loss_outside: rng.unit() * 0.02,
        },
    };
    let mut sometimes = |most: f64| {
        if rng.chance(0.4) {
            rng.unit() * most
        } else {
            0.0
        }
    };
    let (duplicate, reorder, corrupt) = (sometimes(0.1), sometimes(0.3), sometimes(0.1));
    let reorder_delay = rng.pick(&[
        Duration::from_micros(100),
        Duration::from_millis(5),
        Duration::from_millis(80),
    ]);
    LinkConfig {
        loss,
        duplicate,
        reorder,
        reorder_delay,
        corrupt,
        ..config
    }
}

fn mtu_changes(rng: &mut Rng, mtu_min: u16, interface_mtu: u16, end: Instant) -> Vec<MtuChange> {
    if rng.chance(0.7) {
        return Vec::new();
    }
    let span = (end - Instant::ZERO).min(Duration::from_secs(5));
    let mut changes: Vec<MtuChange> = (0..rng.within(1..=3))
        .map(|_| {
            let mtu = rng.within(mtu_min.into()..=interface_mtu.into());
            MtuChange {
                at: Instant::ZERO + rng.up_to(span),
                mtu: usize::try_from(mtu).unwrap_or(usize::MAX),
            }
        })
        .collect();
    changes.sort_by_key(|change| change.at);
    changes
}

fn conversation(rng: &mut Rng, crossing: bool) -> Conversation {
    let opening = if crossing && rng.chance(0.2) {
        Opening::Simultaneous {
            lag: rng.up_to(Duration::from_millis(20)),
        }
    } else {
        Opening::Listener
    };
    let mut ends = [end(rng), end(rng)];
    if ends.iter().all(|end| end.closing == Closing::AfterPeer) {
        ends[rng.index(2)].closing = Closing::AfterWriting;
    }
    Conversation {
        starts: Instant::ZERO + rng.up_to(Duration::from_millis(500)),
        opening,
        reuses_ports: false,
        ends,
    }
}

fn end(rng: &mut Rng) -> End {
    End {
        config: config(rng),
        writing: writing(rng),
        reading: reading(rng),
        closing: rng.pick(&[Closing::AfterWriting, Closing::AfterPeer, Closing::AfterAll]),
        manner: manner(rng),
    }
}

fn manner(rng: &mut Rng) -> Manner {
    if rng.chance(0.92) {
        return Manner::Polite;
    }
    let most = rng.pick(&[0, 2_000, 200_000]);
    let after = rng.within(0..=most);
    if rng.chance(0.5) {
        Manner::Aborts { after }
    } else {
        Manner::LetsGo { after }
    }
}

fn config(rng: &mut Rng) -> Config {
    let millis = |rng: &mut Rng, from, to| Duration::from_millis(rng.within(from..=to));
    let keepalive = KeepAlive {
        idle: millis(rng, 2_000, 60_000),
        interval: millis(rng, 1_000, 10_000),
        probes: 30,
    };
    Config {
        send_buffer: rng.pick(&[
            BufferSize::fixed(1_000),
            BufferSize::growing(4_096, 65_536),
            BufferSize::fixed(20_000),
            BufferSize::growing(16_384, 4 << 20),
            BufferSize::fixed(262_144),
        ]),
        receive_buffer: rng.pick(&[
            BufferSize::fixed(600),
            BufferSize::growing(1_500, 65_536),
            BufferSize::fixed(4_096),
            BufferSize::growing(20_000, 1 << 20),
            BufferSize::fixed(65_535),
            BufferSize::growing(65_536, 6 << 20),
            BufferSize::fixed(262_144),
            BufferSize::fixed(1_048_576),
        ]),
        timestamps: rng.chance(0.8),
        sack: rng.chance(0.8),
        window_scaling: rng.chance(0.8),
        mss_max: rng.pick(&[None, None, None, Some(100), Some(536), Some(1_000)]),
        nagle: rng.chance(0.5),
        initial_window: rng.pick(&[1, 2, 4, 10, 10]),
        congestion: rng.pick(Algorithm::ALL),
        // What arrives waits for its batch too, and less than 500 ms in all.
        delayed_ack: millis(rng, 0, 490),
        quick_acks: rng.pick(&[0, 1, 16]),
        rto_min: millis(rng, 200, 1_000),
        rto_max: Duration::from_secs(rng.within(10..=60)),
        // Faults end well before: a run that ends in a timeout is rare, and then has to be justified.
        r2: Duration::from_secs(rng.pick(&[100, 300])),
        persist_max: Duration::from_secs(rng.within(5..=60)),
        keepalive: rng.chance(0.1).then_some(keepalive),
        time_wait: Duration::from_secs(rng.pick(&[60, 240])),
        ..Config::default()
    }
}

fn writing(rng: &mut Rng) -> Writing {
    let most = rng.pick(&[0, 100, 5_000, 20_000, 20_000, 100_000, 200_000, 1_000_000]);
    let octets = rng.within(most / 2..=most);
    let smallest = (octets / CALLS_MAX).max(1);
    let write_max = rng
        .pick(&[1, 10, 100, 1_460, 5_000, 65_536, 200_000])
        .max(smallest * 2);
    let pause_max = if rng.chance(0.3) && octets / write_max < 300 {
        Duration::from_millis(rng.pick(&[1, 50, 300]))
    } else {
        Duration::ZERO
    };
    Writing {
        octets,
        write_max: usize::try_from(write_max).unwrap_or(usize::MAX),
        pause_max,
        chunks: rng.chance(0.3),
    }
}

fn reading(rng: &mut Rng) -> Reading {
    let first_after = if rng.chance(0.2) {
        rng.up_to(Duration::from_secs(20))
    } else {
        Duration::ZERO
    };
    let slow = rng.chance(0.2);
    let read_max = if slow {
        rng.pick(&[2_000, 20_000])
    } else {
        rng.pick(&[1_000, 10_000, 100_000, 1_000_000])
    };
    let pause_max = if slow {
        Duration::from_millis(rng.pick(&[5, 100]))
    } else {
        Duration::ZERO
    };
    Reading {
        first_after,
        read_max,
        pause_max,
        chunks: rng.chance(0.3),
    }
}
