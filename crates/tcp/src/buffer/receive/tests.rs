//! A naive model with one entry for each octet, and hostile peers.

use super::RUNS_MAX;
use super::assembler::Assembler;
use crate::buffer::BufferPool;
use crate::buffer::piece::{JOIN_MAX, OVERHEAD, PINNED_FREELY};
use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;
use core::ops::{Deref, DerefMut};
use handwave_packet::Payload;
use handwave_wire::SeqNum;
use proptest::prelude::*;

/// A receive buffer with a pool of its own.
#[derive(Debug, Default)]
struct ReceiveBuffer {
    buffer: super::ReceiveBuffer,
    pool: BufferPool,
}

impl Deref for ReceiveBuffer {
    type Target = super::ReceiveBuffer;

    fn deref(&self) -> &super::ReceiveBuffer {
        &self.buffer
    }
}

impl DerefMut for ReceiveBuffer {
    fn deref_mut(&mut self) -> &mut super::ReceiveBuffer {
        &mut self.buffer
    }
}

impl ReceiveBuffer {
    fn insert(&mut self, offset: usize, payload: Payload, held: usize) -> usize {
        self.buffer.insert(offset, payload, held, &mut self.pool)
    }

    fn read(&mut self, into: &mut [u8]) -> usize {
        self.buffer.read(into, &mut self.pool)
    }

    fn read_chunks(&mut self, chunks: &mut [Bytes]) -> usize {
        self.buffer.read_chunks(chunks, &mut self.pool)
    }

    fn read_chunk(&mut self, max: usize) -> Option<Bytes> {
        self.buffer.read_chunk(max, &mut self.pool)
    }
}

/// The octet at place `n` of the pattern.
fn octet(n: usize) -> u8 {
    u8::try_from(n % 251).unwrap()
}

/// Octets that differ from place to place.
fn pattern(from: usize, len: usize) -> Vec<u8> {
    (from..from + len).map(octet).collect()
}

fn payload(octets: &[u8]) -> Payload {
    Payload::from(Bytes::copy_from_slice(octets))
}

/// `len` octets of the pattern at `offset`, in memory of their own.
fn insert(buffer: &mut ReceiveBuffer, offset: usize, len: usize) -> usize {
    buffer.insert(offset, payload(&pattern(offset, len)), len)
}

fn blocks(buffer: &ReceiveBuffer, max: usize) -> Vec<(u32, u32)> {
    let sack = buffer.sack_blocks(SeqNum::new(0), max);
    sack.as_slice()
        .iter()
        .map(|block| (block.left.raw(), block.right.raw()))
        .collect()
}

fn read_all(buffer: &mut ReceiveBuffer) -> Vec<u8> {
    let mut into = vec![0; buffer.len() + 1];
    let octets = buffer.read(&mut into);
    into.truncate(octets);
    into
}

#[test]
fn is_small_and_owns_nothing_when_empty() {
    assert_eq!(size_of::<super::ReceiveBuffer>(), size_of::<usize>());
    let mut buffer = ReceiveBuffer::default();
    assert_eq!(buffer.insert(5, Payload::new(), 100), 0);
    assert!(buffer.store.is_none());
    insert(&mut buffer, 0, 10);
    assert_eq!(read_all(&mut buffer).len(), 10);
    assert!(buffer.store.is_none());
    insert(&mut buffer, 10, 10);
    buffer.discard();
    assert_eq!((buffer.held(), buffer.has_gap()), (0, false));
}

#[test]
fn octets_in_order_are_kept_as_they_came() {
    let mut buffer = ReceiveBuffer::default();
    let chunk = Bytes::from(pattern(0, 3_000));
    let mut received = Payload::from(chunk.slice(..1_500));
    received.push(chunk.slice(1_500..));
    assert_eq!(buffer.insert(0, received, 3_000), 3_000);
    assert_eq!(buffer.held(), 3_000 + 2 * OVERHEAD);
    let first = buffer.read_chunk(usize::MAX).unwrap();
    assert_eq!((first.as_ptr(), first.len()), (chunk.as_ptr(), 1_500));
    assert_eq!(buffer.read_chunk(100).unwrap(), chunk[1_500..1_600]);
    assert_eq!(buffer.len(), 1_400);
    assert_eq!(buffer.read_chunk(0), None);
    assert_eq!(buffer.read_chunk(1_400).unwrap(), chunk[1_600..]);
    assert_eq!(buffer.read_chunk(1), None);
}

#[test]
fn peeking_leaves_the_octets() {
    let mut buffer = ReceiveBuffer::default();
    let mut into = [0; 8];
    assert_eq!(buffer.peek(&mut into), 0);
    buffer.insert(0, payload(&pattern(0, 2_000)), 2_000);
    buffer.insert(0, payload(b"tail"), 4);
    assert_eq!(buffer.peek(&mut into), 8);
    assert_eq!(into, [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(buffer.len(), 2_004);
    assert_eq!(buffer.read(&mut [0; 1_998]), 1_998);
    assert_eq!(buffer.peek(&mut into), 6);
    assert_eq!(into[2..6], *b"tail");
}

#[test]
fn old_octets_win() {
    let mut buffer = ReceiveBuffer::default();
    buffer.insert(2, payload(b"cd"), 2);
    buffer.insert(6, payload(b"gh"), 2);
    assert_eq!(buffer.insert(1, payload(b"BCDEFGHI"), 8), 0);
    assert_eq!(blocks(&buffer, 4), [(1, 9)]);
    assert_eq!(buffer.insert(0, payload(b"012345678901"), 12), 12);
    assert_eq!(read_all(&mut buffer), b"0BcdEFghI901");
}

#[test]
fn rfc2018_4_the_latest_block_comes_first() {
    // [RFC2018-5] [RFC2018-6] [RFC2018-7]
    let mut buffer = ReceiveBuffer::default();
    for (offset, expected) in [
        (1_000, vec![(1_000, 1_100)]),
        (3_000, vec![(3_000, 3_100), (1_000, 1_100)]),
        (5_000, vec![(5_000, 5_100), (3_000, 3_100), (1_000, 1_100)]),
        (7_000, vec![(7_000, 7_100), (5_000, 5_100), (3_000, 3_100)]),
        // Growing at its end, at its front, and not at all, a block comes first again.
        (3_100, vec![(3_000, 3_200), (7_000, 7_100), (5_000, 5_100)]),
        (4_900, vec![(4_900, 5_100), (3_000, 3_200), (7_000, 7_100)]),
        (1_000, vec![(1_000, 1_100), (4_900, 5_100), (3_000, 3_200)]),
        (900, vec![(900, 1_100), (4_900, 5_100), (3_000, 3_200)]),
    ] {
        assert_eq!(insert(&mut buffer, offset, 100), 0);
        assert_eq!(blocks(&buffer, 3), expected);
    }
    // Octets in order up to the first block, which they complete: the others are repeated, none twice.
    assert_eq!(insert(&mut buffer, 0, 900), 1_100);
    let sack = buffer.sack_blocks(SeqNum::new(1_100), 4);
    assert_eq!(sack.len(), 3);
    assert_eq!(buffer.sack_blocks(SeqNum::new(1_100), 0).len(), 0);
    let lefts: Vec<_> = sack
        .as_slice()
        .iter()
        .map(|block| block.left.raw())
        .collect();
    assert_eq!(lefts, [4_900, 3_000, 7_000]);
}

#[test]
fn blocks_cross_the_wrap_of_sequence_numbers() {
    let mut buffer = ReceiveBuffer::default();
    insert(&mut buffer, 10, 20);
    let sack = buffer.sack_blocks(SeqNum::new(u32::MAX - 15), 4);
    let block = sack.as_slice()[0];
    assert_eq!((block.left.raw(), block.right.raw()), (u32::MAX - 5, 14));
}

#[test]
fn blocks_nobody_reported_lately_fill_up_the_option() {
    let mut buffer = ReceiveBuffer::default();
    for offset in [10, 20, 30, 40, 50, 60, 70] {
        insert(&mut buffer, offset, 5);
    }
    // One insertion swallows the last four.
    insert(&mut buffer, 40, 40);
    assert_eq!(blocks(&buffer, 4), [(40, 80), (10, 15), (20, 25), (30, 35)]);
}

#[test]
fn slices_that_pin_too_much_are_copied() {
    // (octets, memory pinned, memory charged)
    for (len, pinned, charged) in [
        (1_448, 1_448, 1_448),
        (1_448, 2_048, 2_048),
        (1_448, 5_792, 5_792),
        (1_448, 5_796, 1_448),
        (100, 65_536, 100),
        // Less than the octets cannot be.
        (1_448, 0, 1_448),
    ] {
        for offset in [0, 5_000] {
            let mut buffer = ReceiveBuffer::default();
            buffer.insert(offset, payload(&pattern(0, len)), pinned);
            let run = if offset > 0 { OVERHEAD } else { 0 };
            assert_eq!(
                buffer.held(),
                charged + OVERHEAD + run,
                "{len} octets that pin {pinned}"
            );
        }
    }
}

#[test]
fn a_part_between_octets_that_are_there_is_charged_for_the_whole() {
    let mut buffer = ReceiveBuffer::default();
    insert(&mut buffer, 1, 1_000);
    insert(&mut buffer, 1_002, 1_000);
    let before = buffer.held();
    // One octet of it closes the gap, and it leaves the rest of its memory behind.
    assert_eq!(buffer.insert(1, payload(&pattern(1, 2_001)), 4_096), 0);
    assert_eq!(buffer.out_of_order(), 2_001);
    assert!(
        buffer.held() <= before + JOIN_MAX,
        "{} after {before}",
        buffer.held()
    );
    // Half of another is kept with all that it pins.
    let before = buffer.held();
    assert_eq!(
        buffer.insert(1_003, payload(&pattern(1_003, 2_000)), 4_000),
        0
    );
    assert_eq!(buffer.held(), before + 4_000 + OVERHEAD);
    assert_eq!(insert(&mut buffer, 0, 1), 3_003);
    assert_eq!(read_all(&mut buffer), pattern(0, 3_003));
}

#[test]
fn what_is_left_of_a_large_piece_moves_out() {
    let mut buffer = ReceiveBuffer::default();
    buffer.insert(0, payload(&pattern(0, 60_000)), 65_536);
    assert_eq!(buffer.read(&mut vec![0; 59_000]), 59_000);
    assert_eq!(buffer.held(), 1_000 + OVERHEAD);
    assert_eq!(read_all(&mut buffer), pattern(59_000, 1_000));
}

#[test]
fn a_flood_of_single_octets_in_order_costs_their_octets() {
    let mut buffer = ReceiveBuffer::default();
    for n in 0..65_535 {
        assert_eq!(buffer.insert(0, payload(&pattern(n, 1)), 2_048), 1);
    }
    assert!(buffer.held() <= 2 * 65_535, "{}", buffer.held());
    assert_eq!(read_all(&mut buffer), pattern(0, 65_535));
}

#[test]
fn a_flood_of_single_octets_out_of_order_costs_their_octets() {
    let upwards: Vec<usize> = (1..40_000).collect();
    let downwards: Vec<usize> = (1..40_000).rev().collect();
    let inside_out: Vec<usize> = (0..20_000)
        .flat_map(|n| [20_000 - n, 20_000 + n])
        .filter(|&n| n > 0)
        .collect();
    for order in [upwards, downwards, inside_out] {
        let mut buffer = ReceiveBuffer::default();
        for offset in order {
            assert_eq!(
                buffer.insert(offset, payload(&pattern(offset, 1)), 2_048),
                0
            );
        }
        assert_eq!(buffer.out_of_order(), 39_999);
        assert!(buffer.held() <= 2 * 65_535, "{}", buffer.held());
        assert_eq!(insert(&mut buffer, 0, 1), 40_000);
        assert_eq!(read_all(&mut buffer), pattern(0, 40_000));
    }
}

#[test]
fn cve_2018_5390_every_second_octet_stays_bounded() {
    let mut buffer = ReceiveBuffer::default();
    for offset in (1..1_000_000).step_by(2) {
        buffer.insert(offset, payload(&pattern(offset, 1)), 2_048);
    }
    let top = 2 * RUNS_MAX;
    for (offset, len, refused) in [
        (top + 1, 1, true),
        (top, 1, false),
        (top - 2, 1, false),
        (top + 1, 9, true),
        (0, 1, false),
        (1, 1, false),
    ] {
        assert_eq!(buffer.refuses(offset, len), refused, "{len} at {offset}");
    }
    assert_eq!(buffer.out_of_order(), RUNS_MAX);
    assert!(
        buffer.held() <= RUNS_MAX * (1 + 2 * OVERHEAD),
        "{}",
        buffer.held()
    );
    // What closes gaps is taken all the same, and so is what comes in order.
    assert_eq!(insert(&mut buffer, 2, 1), 0);
    assert_eq!(buffer.out_of_order(), RUNS_MAX + 1);
    assert!(!buffer.refuses(top + 1, 1));
    assert_eq!(insert(&mut buffer, 0, 2_000), 2_000);
    assert_eq!(read_all(&mut buffer), pattern(0, 2_000));
}

#[test]
fn rfc2018_8_pruning_starts_at_the_far_end() {
    // [RFC2018-13]
    let mut buffer = ReceiveBuffer::default();
    insert(&mut buffer, 0, 2_000);
    for offset in [4_000, 2_000, 6_000, 7_500] {
        insert(&mut buffer, offset, 1_500);
    }
    let before = buffer.held();
    assert_eq!(buffer.prune(before), 0);
    assert_eq!(buffer.prune(before - 1), 1_500);
    assert_eq!(buffer.insert(10_000, payload(b"end"), 3), 0);
    let less = buffer.held() - 1;
    assert_eq!(buffer.prune(less), 3);
    assert_eq!(buffer.out_of_order(), 4_500);
    assert_eq!(buffer.prune(0), 4_500);
    assert_eq!((buffer.has_gap(), buffer.len()), (false, 2_000));
    assert_eq!(blocks(&buffer, 4), []);
}

#[test]
fn reclaiming_copies_before_it_drops() {
    let mut buffer = ReceiveBuffer::default();
    buffer.insert(0, payload(&pattern(0, 3_000)), 12_000);
    buffer.insert(1_000, payload(&pattern(4_000, 3_000)), 12_000);
    assert_eq!(buffer.held(), 24_000 + 3 * OVERHEAD);
    assert_eq!(buffer.reclaim(24_192), 0);
    assert_eq!(
        buffer.held(),
        24_000 + 3 * OVERHEAD,
        "within the limit nothing is copied"
    );
    assert_eq!(buffer.reclaim(24_191), 0);
    assert_eq!(buffer.held(), 6_000 + 3 * OVERHEAD);
    assert_eq!(buffer.reclaim(5_000), 3_000);
    assert_eq!(buffer.len(), 3_000);
}

#[test]
fn reclaiming_copies_only_what_frees_a_fifth() {
    let mut buffer = ReceiveBuffer::default();
    buffer.insert(0, payload(&pattern(0, 8_000)), 9_900);
    let place = buffer.store.as_ref().unwrap().ready[0].bytes.as_ptr();
    buffer.insert(100, payload(&pattern(8_100, 100)), 100);
    assert_eq!(buffer.reclaim(9_000), 100);
    assert_eq!(
        buffer.store.as_ref().unwrap().ready[0].bytes.as_ptr(),
        place
    );
    assert_eq!(buffer.held(), 9_900 + OVERHEAD);
}

#[test]
fn blocks_that_were_pruned_do_not_crowd_out_others() {
    let mut buffer = ReceiveBuffer::default();
    for offset in [1_000, 2_000, 3_000, 4_000, 5_000] {
        insert(&mut buffer, offset, 100);
    }
    let less = buffer.held() - 1;
    assert_eq!(buffer.prune(less), 100);
    insert(&mut buffer, 6_000, 100);
    let lefts: Vec<_> = blocks(&buffer, 4).iter().map(|block| block.0).collect();
    assert_eq!(lefts, [6_000, 4_000, 3_000, 2_000]);
}

/// One entry for each octet from the first that ever arrived.
#[derive(Default)]
struct Model {
    octets: Vec<Option<u8>>,
    next: usize,
    read: usize,
}

impl Model {
    fn insert(&mut self, offset: usize, octets: &[u8]) -> usize {
        let start = self.next + offset;
        let end = start + octets.len();
        self.octets.resize(self.octets.len().max(end), None);
        for (place, &octet) in self.octets[start..end].iter_mut().zip(octets) {
            place.get_or_insert(octet);
        }
        let before = self.next;
        while self.octets.get(self.next).is_some_and(Option::is_some) {
            self.next += 1;
        }
        self.next - before
    }

    fn ready(&self) -> Vec<u8> {
        self.octets[self.read..self.next]
            .iter()
            .flatten()
            .copied()
            .collect()
    }

    /// Stretches beyond a gap, as positions from the first octet.
    fn runs(&self) -> Vec<(usize, usize)> {
        let mut runs = vec![];
        let mut start = None;
        for at in self.next..=self.octets.len() {
            match (self.octets.get(at).copied().flatten(), start) {
                (Some(_), None) => start = Some(at),
                (None, Some(from)) => {
                    runs.push((from, at));
                    start = None;
                }
                _ => {}
            }
        }
        runs
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Offset, octets, memory pinned, whether in two pieces.
    Insert(usize, usize, usize, bool),
    Read(usize),
    ReadChunk(usize),
    ReadChunks(usize),
    Collapse,
    Prune(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let offset = || prop_oneof![2 => Just(0_usize), 3 => 0_usize..40, 3 => 0_usize..6_000];
    let len = || prop_oneof![3 => 1_usize..12, 2 => 1_usize..600, 2 => 1_usize..4_000];
    let insert = (offset(), len(), 0_usize..20_000, any::<bool>());
    prop_oneof![
        12 => insert.prop_map(|(offset, len, held, two)| Step::Insert(offset, len, held, two)),
        2 => (0_usize..5_000).prop_map(Step::Read),
        2 => (0_usize..5_000).prop_map(Step::ReadChunk),
        2 => (0_usize..6).prop_map(Step::ReadChunks),
        1 => Just(Step::Collapse),
        1 => (0_usize..40_000).prop_map(Step::Prune),
    ]
}

/// The invariants that a caller cannot see.
fn check(buffer: &ReceiveBuffer) {
    let Some(store) = &buffer.store else { return };
    assert!(
        store.ready_octets > 0 || !store.beyond.is_empty(),
        "an empty store is dropped"
    );
    assert_eq!(
        store.ready_octets,
        store.ready.iter().map(|piece| piece.len()).sum::<usize>()
    );
    assert_eq!(
        store.ready_held,
        store.ready.iter().map(|piece| piece.charge).sum::<usize>()
    );
    assert!(
        store
            .ready
            .iter()
            .all(|piece| piece.len() > 0 && piece.charge >= piece.len())
    );
    check_assembler(&store.beyond, store.next);
}

fn check_assembler(beyond: &Assembler, next: u64) {
    let mut runs: Vec<(u64, u64)> = vec![];
    let (mut octets, mut held) = (0, 0);
    for (&start, piece) in beyond.pieces() {
        let end = start + piece.len() as u64;
        octets += piece.len();
        held += piece.charge;
        match runs.last_mut() {
            Some(last) if last.1 == start => last.1 = end,
            Some(last) => {
                assert!(last.1 < start, "pieces overlap");
                runs.push((start, end));
            }
            None => runs.push((start, end)),
        }
    }
    assert!(runs.first().is_none_or(|first| first.0 > next));
    assert_eq!(
        runs,
        beyond
            .runs()
            .map(|(&start, &end)| (start, end))
            .collect::<Vec<_>>()
    );
    assert_eq!(
        (beyond.octets(), beyond.held()),
        (octets, held + runs.len() * OVERHEAD)
    );
    assert!(runs.len() <= RUNS_MAX);
}

/// RFC 2018 section 4: `now` is what was reported `before` with the block of the latest arrival moved to the front.
fn check_order(before: &[(usize, usize)], now: &[(usize, usize)], runs: &[(usize, usize)]) {
    for (index, block) in now.iter().enumerate() {
        assert!(runs.contains(block), "{block:?} is not one of {runs:?}");
        assert!(!now[..index].contains(block));
    }
    assert_eq!(now.len(), runs.len().min(4));
    let mut repeated: Vec<(usize, usize)> = vec![];
    for &(start, _) in before {
        let survivor = runs.iter().find(|run| (run.0..run.1).contains(&start));
        if let Some(&run) = survivor
            && now.first() != Some(&run)
            && !repeated.contains(&run)
        {
            repeated.push(run);
        }
    }
    for (expected, actual) in repeated.iter().zip(now.iter().skip(1)) {
        assert_eq!(expected, actual, "{before:?} then {now:?}");
    }
}

/// A buffer and the model side by side.
#[derive(Default)]
struct Pair {
    buffer: ReceiveBuffer,
    model: Model,
    reported: Vec<(usize, usize)>,
    fill: u8,
}

impl Pair {
    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Insert(offset, len, held, in_two) => self.insert(offset, len, held, in_two),
            Step::Read(max) => {
                let mut into = vec![0; max];
                let expected = self.model.ready();
                let octets = self.buffer.read(&mut into);
                assert_eq!(into[..octets], expected[..max.min(expected.len())]);
                self.model.read += octets;
            }
            Step::ReadChunk(max) => {
                let expected = self.model.ready();
                let chunk = self.buffer.read_chunk(max).unwrap_or_default();
                assert_eq!(chunk.is_empty(), max == 0 || expected.is_empty());
                assert!(chunk.len() <= max);
                assert_eq!(chunk, expected[..chunk.len()]);
                self.model.read += chunk.len();
            }
            Step::ReadChunks(count) => {
                let expected = self.model.ready();
                let mut chunks = vec![Bytes::new(); count];
                let taken = self.buffer.read_chunks(&mut chunks);
                assert_eq!(taken == 0, count == 0 || expected.is_empty());
                let octets = chunks[..taken].concat();
                assert_eq!(octets, expected[..octets.len()]);
                assert!(taken == count || octets.len() == expected.len());
                self.model.read += octets.len();
            }
            Step::Collapse => {
                let promised = self
                    .buffer
                    .store
                    .as_ref()
                    .map_or(0, |store| store.held_compact());
                self.buffer.collapse();
                assert!(self.buffer.held() <= promised);
                let octets = self.buffer.len() + self.buffer.out_of_order();
                let pieces = 1 + 2 * self.model.runs().len();
                assert!(promised <= octets + pieces * OVERHEAD);
            }
            Step::Prune(limit) => {
                let dropped = self.buffer.prune(limit);
                for _ in 0..dropped {
                    let at = self.model.octets.iter().rposition(Option::is_some).unwrap();
                    assert!(at >= self.model.next);
                    self.model.octets.truncate(at);
                }
                assert!(self.buffer.held() <= limit || !self.buffer.has_gap());
            }
        }
    }

    fn insert(&mut self, offset: usize, len: usize, held: usize, in_two: bool) {
        self.fill = self.fill.wrapping_add(1);
        let octets = vec![self.fill; len];
        let whole = Bytes::from(octets.clone());
        let middle = if in_two { len / 2 } else { 0 };
        let mut payload = Payload::from(whole.slice(..middle));
        payload.push(whole.slice(middle..));
        let start = self.model.next + offset;
        let advance = self.buffer.insert(offset, payload, held);
        assert_eq!(advance, self.model.insert(offset, &octets));
        let runs = self.model.runs();
        let now = self.blocks();
        if advance == 0 {
            let arrived_in = runs.iter().find(|run| (run.0..run.1).contains(&start));
            assert_eq!(
                now.first(),
                arrived_in,
                "the block of the latest arrival comes first"
            );
        }
        check_order(&self.reported, &now, &runs);
    }

    fn blocks(&self) -> Vec<(usize, usize)> {
        // Sequence number 0 is the first octet that ever arrived.
        let next = SeqNum::new(u32::try_from(self.model.next).unwrap());
        let sack = self.buffer.sack_blocks(next, 4);
        let pair = |seq: SeqNum| seq.raw() as usize;
        sack.as_slice()
            .iter()
            .map(|block| (pair(block.left), pair(block.right)))
            .collect()
    }

    fn compare(&mut self) {
        check(&self.buffer);
        let ready = self.model.ready();
        let mut peeked = vec![0; ready.len() + 1];
        assert_eq!(self.buffer.peek(&mut peeked), ready.len());
        assert_eq!(peeked[..ready.len()], ready);
        let runs = self.model.runs();
        assert_eq!(
            (self.buffer.len(), self.buffer.is_empty()),
            (ready.len(), ready.is_empty())
        );
        assert_eq!(
            self.buffer.out_of_order(),
            runs.iter().map(|run| run.1 - run.0).sum::<usize>()
        );
        assert_eq!(self.buffer.has_gap(), !runs.is_empty());
        // Four bytes of memory for an octet, what a piece read in part may pin, and bookkeeping for pieces and runs: of two
        // neighbours in a run at least one has half of JOIN_MAX.
        let octets = self.buffer.len() + self.buffer.out_of_order();
        let pieces = 2 + 2 * octets / JOIN_MAX + 5 * runs.len();
        assert!(self.buffer.held() <= 4 * octets + PINNED_FREELY + pieces * (OVERHEAD + 3));
        self.reported = self.blocks();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn behaves_as_octets_in_places(steps in prop::collection::vec(step(), 1..60)) {
        let mut pair = Pair::default();
        for step in &steps {
            pair.apply(step);
            pair.compare();
        }
    }

    #[test]
    fn reclaim_keeps_the_promise_of_twice_the_buffer(
        window in 600_usize..70_000,
        segments in prop::collection::vec((any::<prop::sample::Index>(), 1_usize..3_000, 0_usize..70_000), 1..300),
    ) {
        let mut buffer = ReceiveBuffer::default();
        for (offset, len, held) in segments {
            let room = window - buffer.len();
            if room == 0 {
                buffer.read(&mut vec![0; window / 2]);
                continue;
            }
            let offset = offset.index(room);
            let octets = pattern(offset, len.min(room - offset));
            buffer.insert(offset, payload(&octets), held);
            buffer.reclaim(2 * window);
            prop_assert!(buffer.held() <= 2 * window, "{} of {}", buffer.held(), 2 * window);
        }
    }
}
