//! A plain vector as the model, sharing of memory, and floods of tiny writes.

use super::{CHUNK_MAX, CHUNK_MIN, OVERHEAD, SHARE_MIN};
use crate::buffer::BufferPool;
use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;
use core::ops::Deref;
use handwave_packet::Payload;
use proptest::prelude::*;

const LIMIT: usize = 1 << 20;

/// A send buffer with a pool of its own.
#[derive(Default)]
struct SendBuffer {
    buffer: super::SendBuffer,
    pool: BufferPool,
}

impl Deref for SendBuffer {
    type Target = super::SendBuffer;

    fn deref(&self) -> &super::SendBuffer {
        &self.buffer
    }
}

impl SendBuffer {
    fn write(&mut self, data: &[u8], limit: usize) -> usize {
        self.buffer.write(data, limit, &mut self.pool)
    }

    fn write_chunk(&mut self, chunk: Bytes, limit: usize) -> usize {
        self.buffer.write_chunk(chunk, limit, &mut self.pool)
    }

    fn acknowledge(&mut self, octets: usize) {
        self.buffer.acknowledge(octets, &mut self.pool);
    }

    fn slice(&mut self, offset: usize, len: usize) -> Payload {
        self.buffer.slice(offset, len, &mut self.pool)
    }
}

/// The octet at place `n` of the pattern.
fn octet(n: usize) -> u8 {
    u8::try_from(n % 251).unwrap()
}

/// Octets that differ from place to place.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(octet).collect()
}

#[test]
fn is_small_and_owns_nothing_when_empty() {
    assert_eq!(size_of::<super::SendBuffer>(), size_of::<usize>());
    let mut buffer = SendBuffer::default();
    assert_eq!(buffer.write(b"", LIMIT), 0);
    assert_eq!(buffer.write_chunk(Bytes::new(), LIMIT), 0);
    assert!(buffer.queue.is_none());
    buffer.write(b"octets", LIMIT);
    assert!(buffer.held() > 0);
    buffer.acknowledge(6);
    assert!(buffer.queue.is_none());
    assert_eq!((buffer.len(), buffer.held()), (0, 0));
}

#[test]
fn takes_no_more_than_the_limit() {
    let mut buffer = SendBuffer::default();
    assert_eq!(buffer.write(&pattern(1_000), 600), 600);
    assert_eq!(buffer.write(b"more", 600), 0);
    assert_eq!(
        buffer.write(b"more", 599),
        0,
        "a limit below what is queued"
    );
    assert_eq!(buffer.write_chunk(Bytes::from_static(b"more"), 602), 2);
    assert_eq!(
        buffer.write_chunk(Bytes::from(pattern(5_000)), 3_000),
        2_398
    );
    assert_eq!(buffer.len(), 3_000);
}

#[test]
fn sending_again_shares_memory() {
    let mut buffer = SendBuffer::default();
    buffer.write(&pattern(10_000), LIMIT);
    let first = buffer.slice(2_000, 1_448);
    let again = buffer.slice(2_000, 1_448);
    assert_eq!((first.piece_count(), again.piece_count()), (1, 1));
    assert_eq!(first.contiguous().as_ptr(), again.contiguous().as_ptr());
    // So does what the application handed over.
    let chunk = Bytes::from(pattern(4_000));
    buffer.write_chunk(chunk.clone(), LIMIT);
    assert_eq!(
        buffer.slice(10_100, 1_448).contiguous().as_ptr(),
        chunk[100..].as_ptr()
    );
}

#[test]
fn a_slice_outlives_the_octets() {
    let mut buffer = SendBuffer::default();
    buffer.write(&pattern(5_000), LIMIT);
    let slice = buffer.slice(1_000, 2_000);
    buffer.acknowledge(5_000);
    assert_eq!(slice.to_vec(), pattern(5_000)[1_000..3_000]);
}

#[test]
fn a_slice_is_cut_to_what_is_there() {
    let mut buffer = SendBuffer::default();
    assert!(buffer.slice(0, 10).is_empty());
    buffer.write(b"abc", LIMIT);
    assert_eq!(buffer.slice(1, 10).to_vec(), b"bc");
    assert!(buffer.slice(3, 1).is_empty());
    assert!(buffer.slice(usize::MAX, usize::MAX).is_empty());
    assert!(buffer.slice(0, 0).is_empty());
}

#[test]
fn chunks_grow_with_what_is_queued() {
    let mut buffer = SendBuffer::default();
    buffer.write(&[0; 100], LIMIT);
    assert_eq!(
        buffer.held(),
        CHUNK_MIN + OVERHEAD,
        "a small request takes a small chunk"
    );
    buffer.buffer.clear();
    buffer.write(&pattern(300_000), LIMIT);
    let queue = buffer.queue.as_ref().unwrap();
    assert_eq!(queue.pieces.len(), 4, "the rest is in the open chunk");
    assert_eq!(buffer.held(), 5 * (CHUNK_MAX + OVERHEAD) + 4 * OVERHEAD);
    assert_eq!(
        buffer.slice(0, 65_536).piece_count(),
        1,
        "a super-segment is one piece"
    );
}

#[test]
fn a_flood_of_single_octets_sent_at_once_costs_their_octets() {
    let mut buffer = SendBuffer::default();
    let limit = 200_000;
    for n in 0..limit {
        assert_eq!(buffer.write(&[octet(n)], limit), 1);
        assert_eq!(buffer.slice(n, 1).to_vec(), [octet(n)]);
        let bookkeeping = 2 * OVERHEAD * (1 + buffer.queue.as_ref().unwrap().pieces.len());
        assert!(buffer.held() <= 2 * buffer.len() + CHUNK_MIN + bookkeeping);
    }
    let queue = buffer.queue.as_ref().unwrap();
    assert!(queue.pieces.len() < 20, "{} pieces", queue.pieces.len());
    assert_eq!(buffer.slice(0, limit).to_vec(), pattern(limit));
}

#[test]
fn a_flood_of_tiny_chunks_costs_their_octets() {
    let mut buffer = SendBuffer::default();
    let whole = Bytes::from(pattern(100_000));
    for n in 0..whole.len() {
        assert_eq!(buffer.write_chunk(whole.slice(n..=n), LIMIT), 1);
    }
    assert!(buffer.held() <= 2 * whole.len() + CHUNK_MAX);
    assert_eq!(buffer.slice(0, LIMIT).to_vec(), whole);
}

#[test]
fn sequential_slices_do_not_search() {
    let mut buffer = SendBuffer::default();
    for _ in 0..1_000 {
        buffer.write_chunk(Bytes::from(pattern(SHARE_MIN)), LIMIT);
    }
    for n in 0..1_000 {
        let slice = buffer.slice(n * SHARE_MIN, SHARE_MIN);
        assert_eq!(slice.to_vec(), pattern(SHARE_MIN));
        assert_eq!(buffer.queue.as_ref().unwrap().cursor, n);
    }
    // The place is kept while the front moves, and found again after a jump back.
    buffer.acknowledge(990 * SHARE_MIN + 1);
    assert_eq!(buffer.queue.as_ref().unwrap().cursor, 9);
    assert_eq!(
        buffer.slice(0, SHARE_MIN - 1).to_vec(),
        pattern(SHARE_MIN)[1..]
    );
    assert_eq!(buffer.queue.as_ref().unwrap().cursor, 0);
}

#[derive(Clone, Debug)]
enum Step {
    Write(usize),
    WriteChunk(usize),
    Acknowledge(usize),
    Slice(usize, usize),
    SliceInOrder(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let len = || prop_oneof![3 => 0_usize..20, 2 => 400_usize..700, 2 => 0_usize..5_000, 1 => 0_usize..150_000];
    prop_oneof![
        3 => len().prop_map(Step::Write),
        2 => len().prop_map(Step::WriteChunk),
        2 => len().prop_map(Step::Acknowledge),
        2 => (len(), len()).prop_map(|(offset, len)| Step::Slice(offset, len)),
        3 => len().prop_map(Step::SliceInOrder),
    ]
}

/// The invariants that a caller cannot see.
fn check(buffer: &SendBuffer) {
    let Some(queue) = &buffer.queue else { return };
    let mut position = queue.front;
    for piece in &queue.pieces {
        assert_eq!(piece.start, position);
        assert!(!piece.bytes.is_empty());
        position = piece.end();
    }
    assert_eq!(queue.tail_start(), position);
    assert!(queue.end > queue.front, "an empty queue is dropped");
    let charged: usize = queue.pieces.iter().map(|piece| piece.charge).sum();
    assert_eq!(queue.held, charged + queue.tail_charge);
    assert!(queue.held >= buffer.len());
    assert!(queue.tail_charge >= queue.tail.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn behaves_as_a_vector(steps in prop::collection::vec(step(), 1..80), limit in 1_usize..400_000) {
        let mut buffer = SendBuffer::default();
        let mut model: Vec<u8> = vec![];
        let mut sent = 0;
        let mut next = 0_u8;
        for step in steps {
            match step {
                Step::Write(len) | Step::WriteChunk(len) => {
                    let data: Vec<u8> = (0..len).map(|n| next.wrapping_add(octet(n))).collect();
                    next = next.wrapping_add(101);
                    let taken = if matches!(step, Step::Write(_)) {
                        buffer.write(&data, limit)
                    } else {
                        buffer.write_chunk(Bytes::from(data.clone()), limit)
                    };
                    prop_assert_eq!(taken, len.min(limit - model.len()));
                    model.extend_from_slice(&data[..taken]);
                }
                Step::Acknowledge(len) => {
                    let len = len.min(model.len());
                    buffer.acknowledge(len);
                    model.drain(..len);
                    sent = usize::saturating_sub(sent, len);
                }
                Step::Slice(offset, len) => {
                    let from = offset.min(model.len());
                    let to = (from + len).min(model.len());
                    prop_assert_eq!(buffer.slice(offset, len).to_vec(), &model[from..to]);
                }
                Step::SliceInOrder(len) => {
                    let to = (sent + len).min(model.len());
                    prop_assert_eq!(buffer.slice(sent, len).to_vec(), &model[sent..to]);
                    sent = to;
                }
            }
            check(&buffer);
            prop_assert_eq!((buffer.len(), buffer.is_empty()), (model.len(), model.is_empty()));
            prop_assert!(buffer.held() <= 2 * limit + 2 * CHUNK_MAX + 2 * OVERHEAD);
        }
        prop_assert_eq!(buffer.slice(0, usize::MAX).to_vec(), model);
    }
}
