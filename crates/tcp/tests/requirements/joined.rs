//! Segments that were joined on their way in lead to what they would have led to alone (RFC 9293 3.10.7.4).

use std::time::Duration;

use handwave_tcp::trace::Verdict;
use handwave_tcp::{BufferSize, Config, DropReason, Joined, SegmentIn, SequenceCheck};
use handwave_wire::{TcpFlags, TcpOptions, Timestamps};

use crate::harness::*;

/// The same scene twice: `len` octets that begin `back` before what is expected arrive in segments of `size`, and as one that was joined from
/// them. Nothing leaves until all are there.
fn alone_and_joined(scene: impl Fn() -> Bench, back: u32, len: usize, size: u16) -> [Bench; 2] {
    [false, true].map(|joined| {
        let mut bench = scene();
        let mut whole = bench.segment(ACK, &octets(len));
        whole.header.seq -= back;
        if joined {
            whole.joined = Joined::new(whole.header.seq, len, size);
            bench.takes(whole);
            return bench;
        }
        let text = whole.payload.to_vec();
        for part in text.chunks(size.into()) {
            let next = whole.header.seq + u32::try_from(part.len()).unwrap();
            bench.takes(SegmentIn::new(whole.header, part.to_vec().into()));
            whole.header.seq = next;
        }
        bench
    })
}

/// Of those that overrun the window the last that has text in it says what the peer's window is.
#[test]
fn the_window_is_that_of_the_last_with_text_in_ours() {
    let scene = || {
        let mut bench = Bench::established(Config {
            receive_buffer: BufferSize::fixed(8_192),
            ..plain()
        });
        // Overtakes them, and so makes the first ones' windows old.
        let mut beyond = bench.segment(ACK, b"beyond");
        beyond.header.seq += 3_500;
        bench.takes(beyond);
        bench.peer.window = 5_000;
        bench
    };
    for bench in alone_and_joined(scene, 0, 10_000, 1_000) {
        assert_eq!(bench.connection.info().snd_wnd, 5_000);
        assert_eq!(bench.connection.receivable(), 8_192);
    }
}

/// Where text that ends beyond the window is refused because text waits to be read, those that end within it are not.
#[test]
fn those_that_fit_are_heard_though_the_last_does_not() {
    let scene = || {
        let mut bench = Bench::established(Config {
            receive_buffer: BufferSize::fixed(8_192),
            sequence_check: SequenceCheck::Lenient,
            ..plain()
        });
        bench.peer_sends(&octets(1_000));
        bench
    };
    for (back, taken) in [(0, 7_000), (400, 6_600)] {
        for mut bench in alone_and_joined(scene, back, 10_000, 1_000) {
            assert_eq!(bench.connection.receivable(), 1_000 + taken);
            assert_eq!(bench.drain().len(), 1, "what is refused is answered");
        }
    }
    // The first may straddle the edge where nothing waits.
    let empty = || {
        let mut bench = scene();
        bench.reads(1_000);
        bench
    };
    for bench in alone_and_joined(empty, 0, 18_000, 9_000) {
        assert_eq!(bench.connection.receivable(), 8_192 - 1_000);
    }
}

/// The timestamp that is echoed is that of the segment which the last acknowledgment had to expect (RFC 7323 4.3): those before it are old.
#[test]
fn an_old_one_among_them_moves_no_timestamp() {
    let options = TcpOptions {
        mss: Some(1460),
        timestamps: Some(Timestamps { value: 1, echo: 0 }),
        ..TcpOptions::default()
    };
    let config = Config {
        timestamps: true,
        quick_acks: 0,
        ..plain()
    };
    let scene = || {
        let mut bench = Bench::established_with(config.clone(), options);
        bench.now += Duration::from_millis(10);
        assert!(bench.peer_sends(&octets(100)).is_empty());
        bench.now += Duration::from_millis(10);
        bench
    };
    for mut bench in alone_and_joined(scene, 100, 300, 100) {
        let mut answers = bench.drain();
        let later = bench.waits(Duration::from_millis(500));
        answers.extend(later.into_iter().map(|sent| sent.segment));
        let echo = answers[0].header.options.timestamps.map(|stamp| stamp.echo);
        assert_eq!(
            echo,
            Some(11),
            "of the first text that was not acknowledged"
        );
        assert_eq!(bench.connection.receivable(), 300);
    }
}

/// A segment that begins before the window and ends behind it fills it.
#[test]
fn a_segment_around_the_window_fills_it() {
    let scene = || {
        let mut bench = Bench::established(Config {
            receive_buffer: BufferSize::fixed(8_192),
            ..plain()
        });
        bench.peer_sends(&octets(8_000));
        bench
    };
    for bench in alone_and_joined(scene, 100, 600, 600) {
        assert_eq!(bench.connection.receivable(), 8_192);
    }
}

/// A SYN is challenged wherever it begins, whatever follows it (RFC 5961 4.2): its text would stand an octet from where the peer's does.
#[test]
fn a_syn_before_the_window_brings_no_text() {
    let mut bench = Bench::established(plain());
    bench.peer_sends(b"true");
    let mut forged = bench.segment(TcpFlags::SYN | ACK, b"rueforged");
    forged.header.seq -= 4;
    assert_eq!(
        bench.takes(forged),
        Verdict::Challenged(DropReason::SynInSynchronized)
    );
    assert_eq!(bench.drain().len(), 1);
    assert_eq!(bench.reads(100).0, b"true");
}
