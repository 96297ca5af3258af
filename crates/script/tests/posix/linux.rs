//! What a capture of Linux 6.18 shows, and of this stack with its profile.

use crate::harness::{Side, Wire};
use handwave_script::posix::constants::{
    MSG_MORE, SOL_TCP, TCP_CORK, TCP_INFO, TCP_NODELAY, TCP_QUICKACK,
};
use handwave_script::posix::{Answer, OptionValue};
use std::time::Duration;

#[test]
fn a_syn_offers_whole_segments_and_the_options_in_linuxs_order() {
    let mut wire = Wire::new();
    wire.connected();
    let (syn, answer) = (&wire.log[0], &wire.log[1]);
    assert_eq!((syn.flags.as_str(), syn.window), ("S", 64_240));
    // 45 segments of 1448 octets.
    assert_eq!((answer.flags.as_str(), answer.window), ("S.", 65_160));
    let kinds = |options: &[u8]| {
        let mut kinds = Vec::new();
        let mut at = 0;
        while at < options.len() {
            kinds.push(options[at]);
            at += if options[at] == 1 {
                1
            } else {
                usize::from(options[at + 1])
            };
        }
        kinds
    };
    // mss, sackOK, TS, nop, wscale
    assert_eq!(kinds(&syn.options), [2, 4, 8, 1, 3]);
    assert_eq!(syn.options.last(), Some(&10), "a window scale for 32 MiB");
}

#[test]
fn each_write_is_pushed_and_a_second_small_one_waits_for_the_first() {
    let mut wire = Wire::new();
    let (_, client, _) = wire.connected();
    wire.pass(Duration::from_secs(1));
    wire.log.clear();
    wire.cut = true;
    for len in [100, 200, 3_000] {
        assert_eq!(
            wire.send(Side::Client, client, &vec![7; len]),
            Ok(Answer::Count(len))
        );
    }
    // The second write waits behind the small first one; the third leaves with it as a train of full segments, the rest of it waits.
    assert_eq!(wire.sent(Side::Client), [("P.", 100), ("P.", 2_896)]);
}

#[test]
fn without_nagle_every_write_leaves_at_once() {
    let mut wire = Wire::new();
    let (_, client, _) = wire.connected();
    wire.client
        .set_option(
            wire.now,
            client,
            (SOL_TCP, TCP_NODELAY),
            &OptionValue::Int(1),
        )
        .unwrap();
    wire.log.clear();
    wire.cut = true;
    for len in [100, 200] {
        wire.send(Side::Client, client, &vec![7; len]).unwrap();
    }
    assert_eq!(wire.sent(Side::Client), [("P.", 100), ("P.", 200)]);
}

#[test]
fn a_cork_holds_what_is_not_full_until_it_is_pulled() {
    let mut wire = Wire::new();
    let (_, client, _) = wire.connected();
    let cork = |wire: &mut Wire, on| {
        let option = (SOL_TCP, TCP_CORK);
        wire.client
            .set_option(wire.now, client, option, &OptionValue::Int(on))
            .unwrap();
        wire.carry();
    };
    cork(&mut wire, 1);
    wire.log.clear();
    wire.send(Side::Client, client, &[7; 100]).unwrap();
    assert_eq!(wire.sent(Side::Client), []);
    cork(&mut wire, 0);
    assert_eq!(wire.sent(Side::Client), [("P.", 100)]);
}

#[test]
fn more_to_come_waits_for_it() {
    let mut wire = Wire::new();
    let (_, client, _) = wire.connected();
    wire.log.clear();
    wire.send_with(Side::Client, client, &[7; 100], MSG_MORE)
        .unwrap();
    assert_eq!(wire.sent(Side::Client), []);
    wire.send(Side::Client, client, &[7; 50]).unwrap();
    assert_eq!(wire.sent(Side::Client), [("P.", 150)]);
}

#[test]
fn the_first_segments_are_acknowledged_at_once_and_later_ones_after_40_ms() {
    let mut wire = Wire::new();
    let (_, client, server) = wire.connected();
    wire.pass(Duration::from_secs(1));
    wire.log.clear();
    wire.send(Side::Client, client, &[7; 100]).unwrap();
    assert_eq!(wire.sent(Side::Server), [(".", 0)]);

    let option = (SOL_TCP, TCP_QUICKACK);
    let off = OptionValue::Int(0);
    wire.server
        .set_option(wire.now, server, option, &off)
        .unwrap();
    wire.log.clear();
    wire.send(Side::Client, client, &[7; 100]).unwrap();
    assert_eq!(wire.sent(Side::Server), []);
    let then = wire.now;
    wire.pass(Duration::from_secs(1));
    let ack = wire.log.iter().find(|packet| packet.side == Side::Server);
    assert_eq!(ack.unwrap().at - then, Duration::from_millis(40));
}

#[test]
fn tcp_info_counts_in_segments() {
    let mut wire = Wire::new();
    let (_, client, _) = wire.connected();
    wire.send(Side::Client, client, &[7; 3_000]).unwrap();
    let Ok(OptionValue::Info(info)) = wire.client.option(client, SOL_TCP, TCP_INFO) else {
        panic!("no tcp_info");
    };
    for (name, value) in [
        ("tcpi_state", 1),
        ("tcpi_options", 7),
        ("tcpi_snd_mss", 1_448),
        ("tcpi_advmss", 1_448),
        ("tcpi_unacked", 0),
        ("tcpi_bytes_acked", 3_001),
        ("tcpi_snd_ssthresh", 0x7fff_ffff),
        ("tcpi_data_segs_out", 3),
    ] {
        assert_eq!(info.field(name), Some(value), "{name}");
    }
    let octets = info.encode();
    assert_eq!(octets[0], 1);
    assert_eq!(octets[16..20], 1_448_u32.to_le_bytes(), "tcpi_snd_mss");
}

#[test]
fn nothing_is_lost_or_stuck_where_packets_are() {
    for luck in 1..=40_u64 {
        let mut wire = Wire::new();
        let (_, client, server) = wire.connected();
        wire.luck = luck;
        let data: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let (mut sent, mut got) = (0, Vec::new());
        for turn in 0.. {
            assert!(turn < 200_000, "luck {luck}: stuck at {}", got.len());
            if sent < data.len() {
                let len = 1 + (turn * 7_919) % 9_000;
                let end = (sent + len).min(data.len());
                if let Ok(Answer::Count(n)) = wire.send(Side::Client, client, &data[sent..end]) {
                    sent += n;
                }
            }
            wire.pass(Duration::from_millis(5));
            if let Ok(text) = wire.receive(Side::Server, server, 20_000) {
                got.extend(text);
            }
            if got.len() == data.len() {
                break;
            }
        }
        assert!(got == data, "luck {luck}");
        wire.close(Side::Client, client);
        wire.close(Side::Server, server);
        wire.pass(Duration::from_secs(1_000));
        let left = wire.client.stack().sockets().count();
        assert_eq!(left, 0, "luck {luck}");
    }
}
