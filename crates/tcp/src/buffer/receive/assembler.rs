//! Octets beyond a gap, waiting for what comes before them.
//!
//! Two trees keyed by position: the pieces, and the *runs*, which are the stretches without a gap. Any insertion is
//! O(log n), whatever order a peer chooses (CVE-2018-5390), and a run is what a SACK block reports.

use alloc::collections::BTreeMap;
use core::ops::Range;

use bytes::Bytes;
use handwave_packet::Payload;
use handwave_wire::{SackBlock, SackBlocks, SeqNum};

use super::{COMPACT_OCTETS_MAX, Share, distance};
use crate::buffer::piece::{OVERHEAD, Piece, compact};

/// The most stretches of octets beyond a gap that one connection keeps: enough for a window of 33 MB of which a full queue dropped every
/// second segment. What they cost is charged, so a connection with a smaller buffer keeps fewer.
pub const RUNS_MAX: usize = 16_384;

/// How many runs are remembered in the order in which they were reported: as many as an option has room for.
const RECENT_MAX: usize = 4;

#[derive(Debug, Default)]
pub(super) struct Assembler {
    /// By position of the first octet; they do not overlap.
    pieces: BTreeMap<u64, Piece>,
    /// First position to one past the last; they do not touch.
    runs: BTreeMap<u64, u64>,
    octets: usize,
    /// What the pieces cost.
    held: usize,
    recent: Recent,
}

impl Assembler {
    pub(super) fn octets(&self) -> usize {
        self.octets
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Whether `[start, end)` would be one run too many.
    pub(super) fn refuses(&self, start: u64, end: u64) -> bool {
        // Runs are apart, so the last that starts at `end` or below is the one to touch.
        self.runs.len() >= RUNS_MAX
            && self
                .runs
                .range(..=end)
                .next_back()
                .is_none_or(|(_, &run_end)| run_end < start)
    }

    /// Bytes of memory charged.
    pub(super) fn held(&self) -> usize {
        self.held + self.runs.len() * OVERHEAD
    }

    /// The most that is charged after [`collapse`](Self::collapse).
    pub(super) fn held_compact(&self) -> usize {
        let pieces = self.runs.len() + self.octets / COMPACT_OCTETS_MAX;
        self.octets + (pieces + self.runs.len()) * OVERHEAD
    }

    /// Whether an octet below `position` is here.
    pub(super) fn starts_before(&self, position: u64) -> bool {
        self.runs
            .first_key_value()
            .is_some_and(|(&start, _)| start < position)
    }

    /// Stores what is not here yet of a payload that starts at `start`, unless that would make one run too many.
    pub(super) fn insert(&mut self, start: u64, payload: Payload, held: usize) {
        let end = start + payload.len() as u64;
        if self.refuses(start, end) {
            return;
        }
        let mut merged = start..end;
        if let Some((&run_start, &run_end)) = self.runs.range(..start).next_back()
            && run_end >= start
        {
            merged.start = run_start;
        }
        if let Some((_, &run_end)) = self.runs.range(..=end).next_back() {
            merged.end = end.max(run_end);
        }
        let mut position = start;
        let mut payload = payload;
        let share = Share::of(&payload, held);
        while let Some(bytes) = payload.pop_front() {
            self.fill_gaps(position, &bytes, share.of_octets(bytes.len()));
            position += bytes.len() as u64;
        }
        while let Some((&absorbed, _)) = self.runs.range(merged.clone()).next() {
            self.runs.remove(&absorbed);
        }
        self.runs.insert(merged.start, merged.end);
    }

    /// Remembers that octets from `position` on arrived last, for [`sack_blocks`](Self::sack_blocks).
    pub(super) fn note_arrival(&mut self, position: u64) {
        if let Some(run) = self.run_at(position) {
            self.recent.note(position, &run);
        }
    }

    /// Stores what lies between the runs of octets that start at `start` and keep `pinned` bytes of memory alive.
    fn fill_gaps(&mut self, start: u64, bytes: &Bytes, pinned: usize) {
        let end = start + bytes.len() as u64;
        let below = self.runs.range(..start).next_back();
        let mut at = below.map_or(start, |(_, &run_end)| run_end.clamp(start, end));
        for (&run_start, &run_end) in self.runs.range(start..end).chain([(&end, &end)]) {
            if at < run_start {
                let gap = distance(start, at)..distance(start, run_start);
                self.octets += gap.len();
                // Each part keeps all of the memory alive, however little of it is used.
                let piece = Piece::new(bytes.slice(gap), pinned);
                store(&mut self.pieces, &mut self.held, at, piece);
            }
            at = run_end.min(end);
        }
    }

    /// Removes the run that starts at `position` and returns its end; its pieces are fetched with
    /// [`pop_below`](Self::pop_below).
    pub(super) fn take_run(&mut self, position: u64) -> Option<u64> {
        let end = self.runs.remove(&position)?;
        self.recent.retain(|noted| noted >= end);
        Some(end)
    }

    /// Removes the first piece if it lies below `end`.
    pub(super) fn pop_below(&mut self, end: u64) -> Option<Piece> {
        let first = self.pieces.first_entry()?;
        if *first.key() >= end {
            return None;
        }
        let piece = first.remove();
        self.octets -= piece.len();
        self.held -= piece.charge;
        Some(piece)
    }

    /// Drops the highest pieces until no more than `limit` bytes are held; returns the octets dropped.
    pub(super) fn prune(&mut self, limit: usize) -> usize {
        let before = self.octets;
        while self.held() > limit
            && let Some((start, piece)) = self.pieces.pop_last()
        {
            self.octets -= piece.len();
            self.held -= piece.charge;
            self.recent.retain(|noted| noted < start);
            if let Some(mut run) = self.runs.last_entry() {
                if *run.key() == start {
                    run.remove();
                } else {
                    *run.get_mut() = start;
                }
            }
        }
        before - self.octets
    }

    /// Copies all octets to memory of just their size.
    pub(super) fn collapse(&mut self) {
        let mut compacted = BTreeMap::new();
        self.held = 0;
        for (&start, &end) in &self.runs {
            let mut position = start;
            let run = self.pieces.range(start..end).map(|(_, piece)| piece);
            for piece in compact(run, distance(start, end), COMPACT_OCTETS_MAX) {
                let next = position + piece.len() as u64;
                self.held += piece.charge;
                compacted.insert(position, piece);
                position = next;
            }
        }
        self.pieces = compacted;
    }

    /// See [`ReceiveBuffer::sack_blocks`](super::ReceiveBuffer::sack_blocks); `next` is the position of `rcv_nxt`.
    pub(super) fn sack_blocks(&self, next: u64, rcv_nxt: SeqNum, max: usize) -> SackBlocks {
        let mut blocks = SackBlocks::new();
        let recent = self
            .recent
            .iter()
            .filter_map(|position| self.run_at(position));
        let others = self.runs.iter().map(|(&start, &end)| start..end);
        for run in recent.chain(others) {
            if blocks.len() >= max {
                break;
            }
            let left = rcv_nxt + octets_u32(next, run.start);
            let right = rcv_nxt + octets_u32(next, run.end);
            let block = SackBlock { left, right };
            if !blocks.as_slice().contains(&block) && !blocks.push(block) {
                break;
            }
        }
        blocks
    }

    /// The runs among the last arrivals that are remembered, newest first.
    pub(super) fn newest_blocks(&self, next: u64, rcv_nxt: SeqNum) -> SackBlocks {
        let mut blocks = SackBlocks::new();
        for run in self
            .recent
            .iter()
            .filter_map(|position| self.run_at(position))
        {
            let left = rcv_nxt + octets_u32(next, run.start);
            let right = rcv_nxt + octets_u32(next, run.end);
            let block = SackBlock { left, right };
            if !blocks.as_slice().contains(&block) {
                blocks.push(block);
            }
        }
        blocks
    }

    /// The first part of `start..end` that is held.
    pub(super) fn first_held(&self, start: u64, end: u64) -> Option<(u64, u64)> {
        let within = self.runs.range(start..end).next();
        let run = self
            .run_at(start)
            .or_else(|| within.map(|(&first, &last)| first..last))?;
        Some((run.start.max(start), run.end.min(end)))
    }

    fn run_at(&self, position: u64) -> Option<Range<u64>> {
        let (&start, &end) = self.runs.range(..=position).next_back()?;
        (position < end).then_some(start..end)
    }
}

#[cfg(test)]
impl Assembler {
    pub(super) fn pieces(&self) -> impl Iterator<Item = (&u64, &Piece)> {
        self.pieces.iter()
    }

    pub(super) fn runs(&self) -> impl Iterator<Item = (&u64, &u64)> {
        self.runs.iter()
    }
}

/// Adds a piece where there is none, joining it to its neighbours if they are small.
fn store(stored: &mut BTreeMap<u64, Piece>, held: &mut usize, start: u64, piece: Piece) {
    let mut start = start;
    let mut piece = piece;
    let below = stored
        .range(..start)
        .next_back()
        .filter(|(before, neighbour)| {
            **before + neighbour.len() as u64 == start && neighbour.joins(&piece.bytes)
        });
    if let Some((&before, _)) = below
        && let Some(mut neighbour) = stored.remove(&before)
    {
        *held -= neighbour.charge;
        neighbour.join(&piece.bytes);
        piece = neighbour;
        start = before;
    }
    let after = start + piece.len() as u64;
    if let Some(neighbour) = stored.get(&after)
        && piece.joins(&neighbour.bytes)
    {
        *held -= neighbour.charge;
        piece.join(&neighbour.bytes);
        stored.remove(&after);
    }
    *held += piece.charge;
    stored.insert(start, piece);
}

/// Positions inside the runs reported most recently, the latest first; at most one for each run.
#[derive(Debug, Default)]
struct Recent {
    positions: [u64; RECENT_MAX],
    len: usize,
}

impl Recent {
    /// Puts `position` first. It belongs to `run`, as may others noted before.
    fn note(&mut self, position: u64, run: &Range<u64>) {
        self.retain(|earlier| !run.contains(&earlier));
        self.len = RECENT_MAX.min(self.len + 1);
        self.positions[..self.len].rotate_right(1);
        self.positions[0] = position;
    }

    /// Drops the positions for which `keep` is false.
    fn retain(&mut self, keep: impl Fn(u64) -> bool) {
        let mut kept = 0;
        for index in 0..self.len {
            if keep(self.positions[index]) {
                self.positions[kept] = self.positions[index];
                kept += 1;
            }
        }
        self.len = kept;
    }

    fn iter(&self) -> impl Iterator<Item = u64> {
        self.positions.iter().copied().take(self.len)
    }
}

/// Octets from `from` to `to`, both within a receive window of each other.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a receive window is at most 2^30 octets"
)]
fn octets_u32(from: u64, to: u64) -> u32 {
    (to - from) as u32
}
