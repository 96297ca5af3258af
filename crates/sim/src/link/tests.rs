//! What a link promises, and its statistics.

use super::*;

const PACKETS: u64 = 20_000;

fn link(config: LinkConfig) -> Link {
    Link::new(config, Rng::from_seed(99))
}

/// A packet that carries its number where a payload would be.
fn numbered(number: u64) -> PacketBuf {
    let mut octets = vec![0x45; 100];
    octets[20..28].copy_from_slice(&number.to_be_bytes());
    octets.into()
}

fn number(packet: &PacketBuf) -> u64 {
    let octets = packet.to_vec();
    u64::from_be_bytes(octets[20..28].try_into().unwrap())
}

/// Sends a packet each millisecond and returns the numbers in the order of arrival.
fn run(link: &mut Link, packets: u64) -> Vec<u64> {
    let mut arrived = Vec::new();
    for sent in 0..packets {
        let now = Instant::from_millis(sent);
        let _fate = link.send(now, numbered(sent));
        while let Some(packet) = link.poll(now) {
            arrived.push(number(&packet));
        }
    }
    while let Some(deadline) = link.next_deadline() {
        arrived.extend(link.poll(deadline).as_ref().map(number));
    }
    arrived
}

fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

#[test]
fn a_perfect_link_delivers_at_once_and_in_order() {
    let mut link = link(LinkConfig::default());
    assert_eq!(run(&mut link, 100), (0..100).collect::<Vec<_>>());
    let stats = link.stats();
    assert_eq!(
        (stats.sent, stats.delivered, stats.delivered_octets),
        (100, 100, 10_000)
    );
}

#[test]
fn jitter_keeps_the_order() {
    let config = LinkConfig {
        delay: Duration::from_millis(5),
        jitter: Duration::from_millis(50),
        ..LinkConfig::default()
    };
    assert_eq!(
        run(&mut link(config), 5_000),
        (0..5_000).collect::<Vec<_>>()
    );
}

#[test]
fn random_loss_takes_its_share_and_no_more() {
    let mut link = link(LinkConfig {
        loss: Loss::Random(0.3),
        ..LinkConfig::default()
    });
    let arrived = run(&mut link, PACKETS);
    assert!((share(link.stats().lost, PACKETS) - 0.3).abs() < 0.02);
    assert_eq!(arrived.len() as u64 + link.stats().lost, PACKETS);
}

#[test]
fn bursts_lose_their_share_in_runs() {
    let loss = Loss::Bursts {
        enter: 0.01,
        leave: 0.2,
        loss_inside: 0.9,
        loss_outside: 0.001,
    };
    let mut link = link(LinkConfig {
        loss,
        ..LinkConfig::default()
    });
    let arrived = run(&mut link, PACKETS);
    let lost = link.stats().lost;
    assert!(
        (share(lost, PACKETS) - loss.average()).abs() < 0.01,
        "{lost}"
    );
    // Independent losses would come in runs of 1 / (1 - p), here 1.05; bursts are several times as long.
    let gaps = arrived
        .windows(2)
        .filter(|pair| pair[1] != pair[0] + 1)
        .count() as u64;
    assert!(share(lost, gaps) > 2.5, "{lost} lost in {gaps} gaps");
}

#[test]
fn duplicates_arrive_twice() {
    let mut link = link(LinkConfig {
        duplicate: 0.1,
        ..LinkConfig::default()
    });
    let mut arrived = run(&mut link, PACKETS);
    let stats = link.stats();
    assert!((share(stats.duplicated, PACKETS) - 0.1).abs() < 0.01);
    assert_eq!(stats.delivered, PACKETS + stats.duplicated);
    arrived.sort_unstable();
    arrived.dedup();
    assert_eq!(arrived.len() as u64, PACKETS);
}

#[test]
fn reordered_packets_are_overtaken() {
    let mut link = link(LinkConfig {
        reorder: 0.1,
        reorder_delay: Duration::from_millis(3),
        ..LinkConfig::default()
    });
    let arrived = run(&mut link, PACKETS);
    assert_eq!(arrived.len() as u64, PACKETS);
    assert!((share(link.stats().reordered, PACKETS) - 0.1).abs() < 0.01);
    let overtaken = arrived.windows(2).filter(|pair| pair[1] < pair[0]).count() as u64;
    assert!(overtaken > PACKETS / 20, "{overtaken}");
}

#[test]
fn a_rate_spaces_packets_and_a_queue_fills() {
    let mut link = link(LinkConfig {
        rate_bytes_per_second: Some(10_000),
        queue_limit: 1_000,
        ..LinkConfig::default()
    });
    // 100 octets take 10 ms; a thousand wait at most.
    let fates: Vec<Fate> = (0..20)
        .map(|n| link.send(Instant::ZERO, numbered(n)))
        .collect();
    let queued = fates
        .iter()
        .filter(|fate| matches!(fate, Fate::Queued(_)))
        .count();
    assert_eq!((queued, link.stats().queue_full), (10, 10));
    for arrival in 1..=10 {
        let at = Instant::from_millis(10 * arrival);
        assert_eq!(link.next_deadline(), Some(at));
        assert!(link.poll(at).is_some());
    }
    assert!(matches!(
        link.send(Instant::from_millis(100), numbered(0)),
        Fate::Queued(_)
    ));
}

#[test]
fn what_exceeds_the_mtu_comes_back() {
    let mut link = link(LinkConfig {
        mtu: 99,
        ..LinkConfig::default()
    });
    match link.send(Instant::ZERO, numbered(5)) {
        Fate::TooBig { mtu, packet } => assert_eq!((mtu, number(&packet)), (99, 5)),
        other => panic!("{other:?}"),
    }
    assert_eq!((link.stats().too_big, link.in_flight()), (1, 0));
    link.set_config(LinkConfig {
        mtu: 100,
        ..*link.config()
    });
    assert!(matches!(
        link.send(Instant::ZERO, numbered(5)),
        Fate::Queued(_)
    ));
}

#[test]
fn corruption_changes_the_internet_checksum_and_spares_the_header() {
    let mut link = link(LinkConfig {
        corrupt: 1.0,
        ..LinkConfig::default()
    });
    let mut seed = Rng::from_seed(4);
    for _ in 0..PACKETS {
        let mut octets: Vec<u8> = (0..8).flat_map(|_| seed.next_u64().to_be_bytes()).collect();
        octets[0] = if seed.chance(0.5) { 0x45 } else { 0x60 };
        let start = if octets[0] == 0x45 { 20 } else { 40 };
        let _fate = link.send(Instant::ZERO, octets.clone().into());
        let damaged = link.poll(Instant::ZERO).unwrap().to_vec();
        assert_eq!(damaged[..start], octets[..start]);
        assert_ne!(residue(&damaged), residue(&octets));
    }
    assert_eq!(link.stats().corrupted, PACKETS);
}

/// The Internet checksum's residue: 0 and 0xFFFF are one value.
fn residue(octets: &[u8]) -> u32 {
    octets
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]))
        .sum::<u32>()
        % 0xFFFF
}

#[test]
fn the_same_seed_gives_the_same_fates() {
    let config = LinkConfig {
        jitter: Duration::from_millis(9),
        loss: Loss::Random(0.1),
        duplicate: 0.1,
        reorder: 0.1,
        reorder_delay: Duration::from_millis(4),
        corrupt: 0.1,
        ..LinkConfig::default()
    };
    assert_eq!(run(&mut link(config), 2_000), run(&mut link(config), 2_000));
}

#[test]
fn faults_end_where_the_configuration_says() {
    let config = LinkConfig {
        loss: Loss::Random(1.0),
        mtu: 1_280,
        ..LinkConfig::default()
    };
    let mut link = link(config);
    assert!(run(&mut link, 10).is_empty());
    link.set_config(config.without_faults());
    assert_eq!(run(&mut link, 10).len(), 10);
    assert_eq!(link.config().mtu, 1_280);
}
