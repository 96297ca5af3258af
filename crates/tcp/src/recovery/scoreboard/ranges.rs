//! Disjoint sorted ranges of sequence numbers, all within half the sequence space of each other.

use alloc::collections::VecDeque;

use handwave_wire::SeqNum;

/// The most SACKed ranges kept for one connection, whatever is in flight.
pub const MAX_RANGES: usize = 16_384;
/// So many are kept in any case.
const RANGES_ALWAYS: usize = 512;
/// Octets in flight for each range that is kept beyond those: a path that drops every second segment, as the end of slow start does to a queue
/// that is full, leaves one for two segments.
const OCTETS_PER_RANGE: u32 = 1_024;

/// How many ranges are kept of `flight` octets.
pub(super) fn most(flight: u32) -> usize {
    let most = usize::try_from(flight / OCTETS_PER_RANGE).unwrap_or(MAX_RANGES);
    most.clamp(RANGES_ALWAYS, MAX_RANGES)
}

/// The octets `[start, end)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Range {
    pub(super) start: SeqNum,
    pub(super) end: SeqNum,
}

impl Range {
    pub(super) fn len(self) -> u32 {
        self.end.since(self.start)
    }

    /// Whether the range is not empty and lies in the octets in flight behind `una`, as SACKed data does.
    pub(super) fn is_within(self, una: SeqNum, nxt: SeqNum) -> bool {
        self.start.after(una)
            && self.start.before(self.end)
            && self.start.before(nxt)
            && self.end.at_or_before(nxt)
    }
}

/// Disjoint, not even touching, in order.
#[derive(Debug, Default)]
pub(super) struct Ranges {
    list: VecDeque<Range>,
    octets: u32,
}

impl Ranges {
    /// The sum of the lengths.
    pub(super) fn octets(&self) -> u32 {
        self.octets
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// One past the highest octet.
    pub(super) fn highest(&self) -> Option<SeqNum> {
        self.list.back().map(|range| range.end)
    }

    pub(super) fn contains(&self, seq: SeqNum) -> bool {
        let next = self.first_ending_after(seq);
        self.list
            .get(next)
            .is_some_and(|range| range.start.at_or_before(seq))
    }

    /// Bytes of heap memory.
    pub(super) fn held(&self) -> usize {
        self.list.capacity() * size_of::<Range>()
    }

    /// Index of the first range with an octet at or after `seq`.
    fn first_ending_after(&self, seq: SeqNum) -> usize {
        self.list
            .partition_point(|range| range.end.at_or_before(seq))
    }

    /// Adds a range and shows `on_added` each piece of it that was not there. `false`: it would be one more than `most`.
    pub(super) fn insert(
        &mut self,
        range: Range,
        most: usize,
        mut on_added: impl FnMut(Range),
    ) -> bool {
        // The ranges that overlap or touch it are list[first..last].
        let first = self.list.partition_point(|old| old.end.before(range.start));
        let mut last = first;
        let mut merged = range;
        let mut from = range.start;
        while let Some(&old) = self.list.get(last) {
            if old.start.after(range.end) {
                break;
            }
            if from.before(old.start) {
                self.octets += old.start.since(from);
                on_added(Range {
                    start: from,
                    end: old.start,
                });
            }
            from = from.later(old.end);
            merged.start = merged.start.earlier_of(old.start);
            merged.end = merged.end.later(old.end);
            last += 1;
        }
        if first == last && self.list.len() >= most {
            return false;
        }
        if from.before(range.end) {
            self.octets += range.end.since(from);
            on_added(Range {
                start: from,
                end: range.end,
            });
        }
        match self.list.get_mut(first) {
            Some(slot) if first < last => {
                *slot = merged;
                self.list.drain(first + 1..last);
            }
            Some(_) | None => self.list.insert(first, merged),
        }
        true
    }

    /// Drops what lies below `una` and shows `on_gone` each piece.
    pub(super) fn forget_below(&mut self, una: SeqNum, mut on_gone: impl FnMut(Range)) {
        while let Some(front) = self.list.front_mut() {
            if front.start.at_or_after(una) {
                return;
            }
            let gone = Range {
                start: front.start,
                end: front.end.earlier_of(una),
            };
            self.octets -= gone.len();
            on_gone(gone);
            if front.end.after(una) {
                front.start = una;
                return;
            }
            self.list.pop_front();
        }
    }

    /// Octets in the ranges below `seq`. Linear in the number of ranges below it.
    pub(super) fn octets_below(&self, seq: SeqNum) -> u32 {
        self.list.front().map_or(0, |front| {
            if front.start.before(seq) {
                self.octets_within(Range {
                    start: front.start,
                    end: seq,
                })
            } else {
                0
            }
        })
    }

    /// Octets in the ranges within `window`. Linear in the number of ranges inside.
    pub(super) fn octets_within(&self, window: Range) -> u32 {
        let first = self.first_ending_after(window.start);
        self.list
            .range(first..)
            .take_while(|range| range.start.before(window.end))
            .map(|range| {
                range
                    .end
                    .earlier_of(window.end)
                    .since(range.start.later(window.start))
            })
            .sum()
    }

    /// The highest place with `dup_thresh` ranges, or more than `enough` octets, at or above it (RFC 6675 `IsLost`).
    pub(super) fn lost_edge(&self, dup_thresh: u32, enough: u32) -> Option<SeqNum> {
        let mut octets = 0;
        let mut count = 0;
        self.list.iter().rev().find_map(|range| {
            octets += range.len();
            count += 1;
            (count >= dup_thresh || octets > enough).then_some(range.start)
        })
    }

    /// The same to the octet, within a range too: what was sent before it and is not here has been overtaken.
    pub(super) fn overtaken_edge(&self, dup_thresh: u32, enough: u32) -> Option<SeqNum> {
        let mut octets = 0;
        let mut count = 0;
        self.list.iter().rev().find_map(|range| {
            count += 1;
            if count >= dup_thresh {
                return Some(range.end - 1);
            }
            let missing = enough - octets;
            octets += range.len();
            (octets > enough).then(|| range.end - missing - 1)
        })
    }

    /// The first octets in no range from `from` on and below `limit`.
    pub(super) fn first_gap(&self, from: SeqNum, limit: SeqNum) -> Option<Range> {
        let mut next = self.first_ending_after(from);
        let mut start = from;
        if let Some(range) = self.list.get(next)
            && range.start.at_or_before(from)
        {
            start = range.end;
            next += 1;
        }
        let end = self
            .list
            .get(next)
            .map_or(limit, |range| range.start.earlier_of(limit));
        start.before(end).then_some(Range { start, end })
    }

    /// The last octets of `window` in no range.
    pub(super) fn last_gap(&self, window: Range) -> Option<Range> {
        let mut end = window.end;
        let mut start = window.start;
        for range in self.list.iter().rev() {
            if range.end.at_or_after(end) {
                end = range.start;
            } else {
                start = start.later(range.end);
                break;
            }
        }
        start.before(end).then_some(Range { start, end })
    }
}
