//! Buffers that find their size, and what scarce memory does to them.

use std::time::Duration;

use handwave_tcp::{BufferSize, Config, MemoryRoom, Pressure, Segmentation};
use handwave_wire::TcpOptions;

use crate::harness::{Bench, octets, plain};

/// Buffers from 16 KiB to 1 MiB, and windows that can say so.
fn growing() -> Config {
    Config {
        receive_buffer: BufferSize::growing(16 << 10, 1 << 20),
        send_buffer: BufferSize::growing(16 << 10, 1 << 20),
        window_scaling: true,
        quick_acks: 0,
        ..plain()
    }
}

fn scaled(config: Config) -> Bench {
    let options = TcpOptions {
        mss: Some(1460),
        window_scale: Some(7),
        ..TcpOptions::default()
    };
    Bench::established_with(config, options)
}

/// A window of text, read at once, then a round trip of 100 ms; returns the buffer after each.
fn rounds(bench: &mut Bench, count: usize) -> Vec<u32> {
    let mut sizes = Vec::new();
    for _ in 0..count {
        let window = bench.connection.info().rcv_wnd as usize;
        for chunk in octets(window).chunks(1_000) {
            bench.peer_sends(chunk);
            bench.reads(2_000);
        }
        bench.waits(Duration::from_millis(100));
        sizes.push(bench.connection.info().rcv_buffer);
    }
    sizes
}

#[test]
fn the_receive_buffer_follows_a_reader_that_keeps_up() {
    let mut bench = scaled(growing());
    let sizes = rounds(&mut bench, 12);
    assert!(sizes.is_sorted(), "{sizes:?}");
    assert_eq!(sizes.last(), Some(&(1 << 20)), "{sizes:?}");
}

#[test]
fn a_reader_that_stays_away_keeps_the_first_size() {
    let mut bench = scaled(growing());
    for _ in 0..40 {
        let window = bench.connection.info().rcv_wnd as usize;
        bench.peer_sends(&octets(window.min(1_000)));
        bench.waits(Duration::from_millis(100));
    }
    let info = bench.connection.info();
    assert_eq!((info.rcv_buffer, info.rcv_wnd), (16 << 10, 0));
}

#[test]
fn a_size_that_is_set_stays() {
    let mut bench = scaled(Config {
        receive_buffer: BufferSize::fixed(16 << 10),
        ..growing()
    });
    assert_eq!(rounds(&mut bench, 6), [16 << 10; 6]);
}

/// Has all written that there is room for, and acknowledged that is sent, `rounds` times.
fn fill_and_ack(bench: &mut Bench, rounds: usize) {
    for _ in 0..rounds {
        bench.calls(|connection, cx| while connection.write(cx, &octets(8_192)).unwrap() > 0 {});
        bench.waits(Duration::from_millis(50));
        let sent = u32::try_from(bench.connection.info().bytes_sent).unwrap();
        bench.peer_acks(bench.first + sent);
    }
}

#[test]
fn the_send_buffer_follows_the_flight_of_a_writer_that_waits() {
    let mut bench = scaled(growing());
    bench.peer_offers(60_000);
    fill_and_ack(&mut bench, 8);
    let info = bench.connection.info();
    assert!(info.snd_buffer > 16 << 10);
    assert!(info.snd_buffer <= (2 * info.snd_cwnd).max(16 << 10));
}

/// A writer that waits for a peer without scaling, so that no window exceeds what the field can say.
fn unscaled() -> Bench {
    let options = TcpOptions {
        mss: Some(1460),
        ..TcpOptions::default()
    };
    let mut bench = Bench::established_with(growing(), options);
    bench.peer_offers(u16::MAX);
    fill_and_ack(&mut bench, 20);
    bench
}

#[test]
fn the_send_buffer_holds_twice_what_the_peer_takes_and_no_more() {
    let bench = unscaled();
    let info = bench.connection.info();
    let window = u32::from(u16::MAX);
    assert!(info.snd_cwnd > window, "{info:?}");
    let full_segments = window / 1_460 * 1_460;
    assert_eq!(info.snd_buffer, 2 * full_segments);
}

/// Octets that wait are memory, and out of the caches when their turn comes.
#[test]
fn the_send_buffer_shrinks_by_rounds_when_flights_are_short_again_but_not_below_what_it_holds() {
    let mut bench = unscaled();
    let long = bench.connection.info().snd_buffer;
    bench.peer_offers(20_000);
    let mut last = long;
    for _ in 0..40 {
        fill_and_ack(&mut bench, 1);
        let info = bench.connection.info();
        assert!(info.snd_buffer <= last && last - info.snd_buffer <= long / 4);
        assert!(info.unacked + info.notsent <= info.snd_buffer, "{info:?}");
        last = info.snd_buffer;
    }
    assert!(
        last < 2 * 20_000 + 1_460,
        "{last} is too long for flights of 20,000"
    );
    // And grows at once where there is room again.
    bench.peer_offers(u16::MAX);
    fill_and_ack(&mut bench, 4);
    assert!(bench.connection.info().snd_buffer >= long);
}

/// A record may be longer than there is room for; the buffer is not made to fit it.
#[test]
fn a_record_beyond_the_send_buffer_does_not_lengthen_it() {
    let size = BufferSize::growing(4_096, 5_000);
    let mut bench = scaled(Config {
        segmentation: Segmentation::Records,
        send_buffer: size,
        ..growing()
    });
    bench.peer_offers(60_000);
    for _ in 0..10 {
        fill_and_ack(&mut bench, 1);
        let info = bench.connection.info();
        assert!(info.snd_buffer <= size.limit(), "{info:?}");
    }
}

/// Soft pressure leaves what was offered where it is, offers a few segments more, and lets the buffer shrink to what is in use; hard
/// pressure keeps the connection going by a segment at a time [SHLD-14].
#[test]
fn scarce_memory_narrows_the_window_without_moving_its_edge_left() {
    let mut bench = scaled(growing());
    rounds(&mut bench, 12);
    let mut edge = None;
    let mut watch = |bench: &Bench, sent: Vec<handwave_tcp::SegmentOut>| {
        let shift = bench.connection.info().rcv_wscale;
        for segment in sent {
            let right = segment.header.ack + (u32::from(segment.header.window) << shift);
            // But for what the unit of the scale cannot express (RFC 7323 2.4).
            assert!(
                edge.is_none_or(|edge| (right + (1 << shift)).after(edge)),
                "{right} after {edge:?}"
            );
            edge = Some(right);
        }
    };
    bench.host.pressure = Pressure::Soft;
    for _ in 0..2_000 {
        let sent = bench.peer_sends(&octets(1_000));
        watch(&bench, sent);
        let (_, sent) = bench.reads(2_000);
        watch(&bench, sent);
    }
    let info = bench.connection.info();
    assert!(info.rcv_wnd < 8 * 1_460, "{info:?}");
    assert!(info.rcv_buffer <= 16 << 10, "{info:?}");

    bench.host.pressure = Pressure::Hard;
    bench.host.room = MemoryRoom {
        ordinary: 0,
        last: 1 << 20,
    };
    let sent = bench.peer_sends(&octets(1_000));
    watch(&bench, sent);
    assert_eq!(bench.connection.info().receivable, 1_000, "one is taken");
    let sent = bench.peer_sends(&octets(1_000));
    watch(&bench, sent);
    assert_eq!(bench.connection.info().receivable, 1_000, "two are not");
    assert_eq!(bench.host.counters.receive_queue_drops, 1);
    // It will be sent again.
    bench.peer.seq += 1_000_u32.wrapping_neg();

    bench.host.pressure = Pressure::None;
    bench.host.room = MemoryRoom::default();
    bench.reads(2_000);
    assert!(rounds(&mut bench, 12).last() >= Some(&(64 << 10)));
}
