//! The windows that Linux 6.18 offers, as such a kernel offered them to a peer behind a TUN device (`tcp_rmem` 4096 131072 33554432).

use std::time::Duration;

use handwave_tcp::{BufferSize, Config, Profile, SegmentOut};
use handwave_wire::{TcpOptions, Timestamps};

use crate::harness::{ACK, Bench, octets};

fn linux(config: Config) -> Bench {
    let options = TcpOptions {
        mss: Some(1460),
        window_scale: Some(7),
        sack_permitted: true,
        ..TcpOptions::default()
    };
    Bench::answering(config, options)
}

/// The window in octets of the last acknowledgment.
fn window(bench: &Bench, sent: &[SegmentOut]) -> Option<u32> {
    let shift = bench.connection.info().rcv_wscale;
    sent.last()
        .map(|segment| u32::from(segment.header.window) << shift)
}

/// Sends a segment of `len` octets and waits for its acknowledgment; returns the window.
fn offered(bench: &mut Bench, len: usize) -> u32 {
    let mut sent = bench.peer_sends(&octets(len));
    if sent.is_empty() {
        let later = bench.waits(Duration::from_millis(250));
        sent = later.into_iter().map(|sent| sent.segment).collect();
    }
    window(bench, &sent).unwrap()
}

/// A reader that stays away: the window grows while there is room, then what rounding up to the scale's unit adds is all that moves the
/// edge, until not even a segment fits.
#[test]
fn a_stalled_reader_full_segments() {
    let mut bench = linux(Profile::linux().connection);
    let mut expected = vec![67_584, 70_656, 73_728, 76_800];
    expected.extend((1..=74).map(|step| 76_800 - 1_024 * step));
    let windows: Vec<u32> = (0..78).map(|_| offered(&mut bench, 1_460)).collect();
    assert_eq!(windows, expected);
}

/// Small segments are mostly overhead: the window does not grow for them.
#[test]
fn a_stalled_reader_small_segments() {
    for (len, window, times) in [(1_000, 63_488, 10), (100, 64_512, 12), (600, 64_512, 2)] {
        let mut bench = linux(Profile::linux().connection);
        let windows: Vec<u32> = (0..times).map(|_| offered(&mut bench, len)).collect();
        assert_eq!(windows, vec![window; times], "{len}");
    }
    for (len, windows) in [
        (800, 63_488),
        (1_100, 62_464),
        (1_200, 66_560),
        (1_300, 70_656),
    ] {
        let mut bench = linux(Profile::linux().connection);
        offered(&mut bench, len);
        assert_eq!(offered(&mut bench, len), windows, "{len}");
    }
}

/// `SO_RCVBUF` of 20,000: doubled, half of it is offered, in whole segments, without a scale.
#[test]
fn a_buffer_that_was_set() {
    let config = Config {
        receive_buffer: BufferSize::fixed(40_000),
        ..Profile::linux().connection
    };
    let mut bench = linux(config);
    assert_eq!(bench.connection.info().rcv_wscale, 0);
    let windows: Vec<u32> = (0..17).map(|_| offered(&mut bench, 1_460)).collect();
    let mut expected = vec![21_900];
    expected.extend((0..16).map(|step| 21_900 - 1_460 * step));
    assert_eq!(windows, expected);
}

/// A reader that reads 20 segments at a time: the buffer holds back neither, so the window grows to what it is worth.
#[test]
fn an_active_reader() {
    let mut bench = linux(Profile::linux().connection);
    let first: Vec<u32> = (0..20).map(|_| offered(&mut bench, 1_460)).collect();
    assert_eq!(first[4..6], [75_776, 74_752]);
    assert_eq!(first[19], 60_416);
    bench.reads(100_000);
    bench.waits(Duration::from_millis(20));
    assert_eq!(
        [offered(&mut bench, 1_460), offered(&mut bench, 1_460)],
        [78_848, 80_896]
    );
}

/// One segment brings again what waits beyond the gap it fills: the memory of what waited is free once it is read.
#[test]
fn text_that_came_twice_is_charged_once() {
    let config = Config {
        receive_buffer: BufferSize::fixed(40_000),
        ..Profile::linux().connection
    };
    let mut bench = linux(config);
    let (missing, waiting) = (octets(1_460), octets(1_460));
    for round in 0..8 {
        let start = bench.peer.seq;
        for place in [1, 3] {
            bench.peer.seq = start + 1_460 * place;
            bench.arrives(bench.segment(ACK, &waiting));
        }
        bench.peer.seq = start;
        let all = [&missing[..], &waiting[..], &missing[..], &waiting[..]].concat();
        bench.peer_sends(&all);
        let (read, _) = bench.reads(100_000);
        assert_eq!(read.len(), 4 * 1_460, "round {round}");
        bench.waits(Duration::from_millis(250));
    }
    assert!(offered(&mut bench, 1_460) >= 20_000);
}

/// Segments larger than the limit of the window, which came down when they were measured: a window that has become silly opens again
/// once there is room (RFC 9293 3.8.6.2.2 [MUST-39]).
#[test]
fn segments_larger_than_the_limit_of_the_window() {
    let options = TcpOptions {
        mss: Some(65_475),
        timestamps: Some(Timestamps { value: 1, echo: 0 }),
        ..TcpOptions::default()
    };
    let mut bench = Bench::answering_over(65_535, Profile::linux().connection, options);
    let sent = bench.peer_sends(b"x");
    bench.reads(1);
    bench.peer.echo = sent[0].header.options.timestamps.map(|stamps| stamps.value);
    bench.waits(Duration::from_millis(50));
    for len in [65_463, 12] {
        let segment = bench.segment(ACK, &octets(len));
        bench.peer.seq += u32::try_from(len).unwrap();
        bench.takes(segment);
        bench.reads(len);
        bench.waits(Duration::from_millis(250));
    }
    let info = bench.connection.info();
    assert!(u32::from(info.rcv_mss) > info.rcv_ssthresh && info.rcv_buffer > 200_000);
    assert_eq!(info.rcv_wnd, info.rcv_ssthresh);
}
