//! Whatever comes, a stack hears the same of packets one by one, in a batch whose segments it couples, and joined as they are read.
#![allow(clippy::unwrap_used, reason = "test code")]

#[path = "common/dice.rs"]
mod dice;
#[path = "common/law.rs"]
mod law;

use dice::Dice;
use handwave_tcp::{Config, Instant, Profile};
use handwave_wire::{SeqNum, TcpFlags};
use law::{Host, Manners, PATHS, Path, Peer, handshake, play};

/// Which seeds to play: with `HANDWAVE_CASES=100000` and `HANDWAVE_FIRST=1` in the environment (and `--release`) more, and others.
fn cases() -> std::ops::Range<u64> {
    let number = |name, or| std::env::var(name).map_or(or, |number| number.parse().unwrap());
    let first = number("HANDWAVE_FIRST", 0);
    first..first + number("HANDWAVE_CASES", 300)
}

#[test]
fn the_same_is_heard_however_packets_come() {
    for seed in cases() {
        play(
            Dice(seed),
            &PATHS,
            &Config::default(),
            Manners::GOOD,
            &format!("seed {seed}"),
        );
    }
}

/// Whoever knows no SACK counts duplicate acknowledgments, and sends again after three (RFC 5681 3.2).
#[test]
fn each_segment_beyond_a_gap_is_answered_where_the_peer_counts() {
    for path in PATHS {
        let addrs = [[10, 0, 0, 1].into(), [10, 0, 0, 2].into()];
        let mut hosts = [Host::new(path, addrs, Config::default(), Manners::GOOD)];
        let mut peer = Peer::without_options(Dice(1), addrs);
        handshake(&mut peer, &mut hosts);
        peer.next += peer.mss;
        let mut packets = Vec::new();
        for _ in 0..9 {
            packets.push(peer.packet(&peer.header(TcpFlags::ACK), &[7; 1_000]));
            peer.next += peer.mss;
        }
        let [host] = &mut hosts;
        host.take(Instant::ZERO, &packets);
        host.drain(Instant::ZERO);
        let answers = host.headers(peer.tcp_at());
        assert_eq!(answers.len(), 9, "{path:?}");
        assert!(
            answers
                .iter()
                .all(|(header, _)| header.ack == SeqNum::new(6))
        );
    }
}

/// The short way in is no other way: the octets that are sent, and all that is counted, are those of the long one.
#[test]
fn the_short_way_in_differs_in_nothing() {
    let paths = [Path::OneByOne, Path::InPieces, Path::InSlices];
    for seed in cases() {
        let profile = Profile::linux().connection;
        play(
            Dice(seed),
            &paths,
            &profile,
            Manners::GOOD,
            &format!("seed {seed}"),
        );
    }
}

/// Even where the peer overruns the window.
#[test]
fn what_overruns_the_window_is_heard_the_same() {
    let manners = Manners {
        keeps_to_window: false,
        buffer: 20_000,
        only_received: false,
    };
    for seed in cases() {
        let what = format!("seed {seed}");
        play(Dice(seed), &PATHS, &Config::default(), manners, &what);
    }
}

#[test]
fn a_host_like_linux_hears_the_same() {
    let manners = Manners {
        // It charges for each packet, and takes its window back when that is more than it has.
        buffer: 8 << 20,
        only_received: true,
        ..Manners::GOOD
    };
    for seed in cases() {
        let (what, profile) = (format!("seed {seed}"), Profile::linux().connection);
        play(Dice(seed), &PATHS, &profile, manners, &what);
    }
}
