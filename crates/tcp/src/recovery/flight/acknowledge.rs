//! What acknowledgments and SACK blocks say about the segments in flight.

use core::time::Duration;

use handwave_wire::{SackBlock, SackBlocks, SeqNum};

use super::{EVER_REPEATED, Flight, LOST, Newest, REORDERING_MAX, REPEATED, SACKED, Sent};
use crate::time::Instant;

/// What a cumulative acknowledgment covered.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Acknowledged {
    /// Segments, those SACKed before included.
    pub(crate) segments: u32,
    /// When the oldest was sent, if none of them was sent more than once.
    pub(crate) first_sent: Option<Instant>,
    /// Some of it had been sent again.
    pub(crate) repeated: bool,
    /// Some of it was never sent again nor SACKed, and lies below `high`.
    pub(crate) original: bool,
}

/// What SACK blocks told for the first time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sacked {
    /// Segments.
    pub(crate) segments: u32,
    /// When the oldest of those that were sent once was sent.
    pub(crate) first_sent: Option<Instant>,
    /// Some of it was never sent again, and lies below `high`.
    pub(crate) original: bool,
    /// The first block reports text that arrived twice (RFC 2883).
    pub(crate) duplicate: Option<SackBlock>,
}

/// What is compared while blocks are taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marking {
    /// SND.UNA before and after the segment.
    pub(crate) una_before: SeqNum,
    pub(crate) una: SeqNum,
    pub(crate) nxt: SeqNum,
    /// SND.NXT when the last loss was noticed.
    pub(crate) high: SeqNum,
    pub(crate) now: Instant,
    pub(crate) min_rtt: Option<Duration>,
    pub(crate) mss: u32,
}

impl Flight {
    /// Takes the SACK blocks of a segment, before [`acknowledge`](Self::acknowledge).
    pub(crate) fn mark_sacked(&mut self, blocks: &SackBlocks, at: &Marking) -> Sacked {
        let mut told = Sacked::default();
        let blocks = blocks.as_slice();
        told.duplicate = duplicate(at.una, blocks);
        let highest = self.highest_sacked(at.una_before);
        let mut reordered_from = at.nxt;
        for (index, block) in blocks.iter().enumerate() {
            if index == 0 && told.duplicate.is_some() {
                self.note_duplicate(block, at.una);
                continue;
            }
            let valid = block.left.before(block.right)
                && block.right.at_or_before(at.nxt)
                && block.left.at_or_after(at.una_before);
            if valid {
                self.mark_block(block, at, highest, &mut reordered_from, &mut told);
            }
        }
        if reordered_from.before(highest) {
            self.note_reordering(highest.since(reordered_from), at.mss);
        }
        told
    }

    fn mark_block(
        &mut self,
        block: &SackBlock,
        at: &Marking,
        highest: SeqNum,
        reordered_from: &mut SeqNum,
        told: &mut Sacked,
    ) {
        let mut index = self.find(block.left);
        while let Some(sent) = self.list.get(index).copied() {
            if sent.start.at_or_after(block.right) {
                break;
            }
            if !self.cut_to(index, sent, block) {
                index += 1;
                continue;
            }
            let Some(sent) = self.list.get(index).copied() else {
                break;
            };
            index += 1;
            let whole = block.left.at_or_before(sent.start) && sent.end.at_or_before(block.right);
            if !whole || sent.has(SACKED) || sent.end.at_or_before(at.una) {
                continue;
            }
            if !sent.has(REPEATED) {
                if sent.start.before(highest) && sent.start.before(at.high) {
                    *reordered_from = reordered_from.earlier_of(sent.start);
                }
                told.original |= sent.end.at_or_before(at.high);
            }
            if !sent.has(REPEATED | EVER_REPEATED) {
                told.first_sent = Some(told.first_sent.map_or(sent.at, |first| first.min(sent.at)));
            }
            told.segments += sent.count;
            self.take_sacked(index - 1, sent, at);
        }
    }

    /// Cuts an entry so that its first part lies wholly inside or wholly outside the block; `false` if it cannot be SACKed.
    fn cut_to(&mut self, index: usize, sent: Sent, block: &SackBlock) -> bool {
        let starts_inside = block.left.at_or_before(sent.start);
        if starts_inside && sent.end.at_or_before(block.right) {
            return true;
        }
        if sent.count == 1 || sent.has(SACKED) {
            return false;
        }
        // Only whole segments count as SACKed: their start is rounded up, their end down.
        let (octets, up) = if starts_inside {
            (block.right.since(sent.start), false)
        } else {
            (block.left.since(sent.start), true)
        };
        let whole = if up {
            octets.div_ceil(sent.size)
        } else {
            octets / sent.size
        };
        if whole == 0 || whole * sent.size >= sent.text() {
            return false;
        }
        self.cut(index, whole * sent.size);
        starts_inside
    }

    fn take_sacked(&mut self, index: usize, sent: Sent, at: &Marking) {
        self.note_delivered(sent, at);
        let mut marks = sent.marks;
        if marks & LOST != 0 {
            marks &= !LOST;
            self.lost -= sent.count;
            if marks & REPEATED != 0 {
                marks &= !REPEATED;
                self.repeated -= sent.count;
            }
        }
        self.sacked += sent.count;
        self.delivered += sent.count;
        if let Some(entry) = self.list.get_mut(index) {
            entry.marks = marks | SACKED;
        }
    }

    /// Text arrived twice: a copy that was thought to be in the network is not.
    fn note_duplicate(&mut self, block: &SackBlock, una: SeqNum) {
        let mut index = self.find(block.left);
        while let Some(sent) = self.list.get_mut(index) {
            if sent.start.at_or_after(block.right) {
                break;
            }
            if sent.has(REPEATED) && sent.end.after(una) && sent.end.at_or_before(block.right) {
                sent.marks &= !REPEATED;
                self.repeated -= sent.count;
            }
            index += 1;
        }
    }

    /// Forgets what lies below SND.UNA; `sack` unless the peer only counts.
    pub(crate) fn acknowledge(&mut self, at: &Marking, sack: bool) -> Acknowledged {
        let mut covered = Acknowledged::default();
        let highest = self.highest_sacked(at.una_before);
        let mut reordered_from = at.nxt;
        while let Some(sent) = self.list.front().copied() {
            let whole = sent.end.at_or_before(at.una);
            if !whole {
                if sent.count > 1 && at.una.after(sent.start) {
                    self.trim_head(sent, at, sack, &mut covered);
                }
                break;
            }
            if sent.has(REPEATED | EVER_REPEATED) {
                covered.repeated = true;
            } else if !sent.has(SACKED) {
                covered.first_sent.get_or_insert(sent.at);
                reordered_from = reordered_from.earlier_of(sent.start);
                covered.original |= sent.end.at_or_before(at.high);
            }
            if !sent.has(SACKED) {
                if sack {
                    self.delivered += sent.count;
                }
                self.note_delivered(sent, at);
            }
            covered.segments += sent.count;
            self.recount(sent.marks, sent.count, 0);
            self.list.pop_front();
        }
        if covered.repeated {
            covered.first_sent = None;
            // Without SACK nobody knows what had arrived before the copy did: the timeout may have been no mistake (RFC 5682 2.1).
            covered.original &= sack;
        }
        if self.hint.is_some_and(|hint| hint.before(at.una)) {
            self.hint = None;
        }
        if sack {
            if reordered_from.before(highest) {
                self.note_reordering(highest.since(reordered_from), at.mss);
            }
        } else {
            self.eat_duplicates(covered.segments);
        }
        covered
    }

    /// The first segments of a train are acknowledged.
    fn trim_head(&mut self, sent: Sent, at: &Marking, sack: bool, covered: &mut Acknowledged) {
        let mut rest = sent;
        rest.start = at.una;
        rest.count = rest.segments();
        let gone = sent.count.saturating_sub(rest.count);
        self.recount(sent.marks, sent.count, rest.count);
        if let Some(head) = self.list.front_mut() {
            *head = rest;
        }
        covered.segments += gone;
        if gone == 0 {
            return;
        }
        if sent.has(REPEATED | EVER_REPEATED) {
            covered.repeated = true;
        } else if !sent.has(SACKED) {
            covered.first_sent.get_or_insert(sent.at);
            covered.original |= sent.end.at_or_before(at.high);
        }
        if sack && !sent.has(SACKED) {
            self.delivered += gone;
        }
        self.note_delivered(sent, at);
    }

    /// Without SACK one segment of what is acknowledged filled the hole; duplicate acknowledgments stood for the rest.
    fn eat_duplicates(&mut self, segments: u32) {
        let Some(rest) = segments.checked_sub(1) else {
            return;
        };
        self.delivered += segments.saturating_sub(self.sacked).max(1);
        self.sacked = self.sacked.saturating_sub(rest);
        self.limit_duplicates(segments);
    }

    /// A duplicate acknowledgment of a peer without SACK.
    pub(crate) fn count_duplicate(&mut self) {
        let before = self.sacked;
        self.sacked += 1;
        self.limit_duplicates(0);
        self.delivered += self.sacked.saturating_sub(before);
    }

    /// No more duplicates than segments behind a hole: more means that the network reorders.
    fn limit_duplicates(&mut self, addend: u32) {
        let holes = self.lost.max(1).min(self.out);
        if self.sacked + holes > self.out {
            self.sacked = self.out - holes;
            self.reordering = (self.out + addend).min(REORDERING_MAX).max(self.reordering);
            self.reordered = true;
        }
    }

    /// Duplicates counted so far stand for nothing any more.
    pub(crate) const fn forget_duplicates(&mut self) {
        self.sacked = 0;
    }

    fn note_reordering(&mut self, octets: u32, mss: u32) {
        let segments = octets.div_ceil(mss.max(1)).min(REORDERING_MAX);
        self.reordering = self.reordering.max(segments);
        self.reordered = true;
    }

    /// RACK's step 2: the newest segment delivered, unless its acknowledgment may be that of an earlier copy.
    fn note_delivered(&mut self, sent: Sent, at: &Marking) {
        let rtt = at.now - sent.at;
        let repeated = sent.has(REPEATED | EVER_REPEATED);
        if repeated && at.min_rtt.is_some_and(|least| rtt <= least) {
            return;
        }
        self.advanced = true;
        let newer = self.newest.is_none_or(|newest| {
            sent.at > newest.at || (sent.at == newest.at && sent.end.after(newest.end))
        });
        let (at, end) = match self.newest {
            Some(newest) if !newer => (newest.at, newest.end),
            _ => (sent.at, sent.end),
        };
        self.newest = Some(Newest { at, end, rtt });
    }
}

/// The first block, if it reports what arrived before: below the acknowledgment, or within the second block (RFC 2883 4).
fn duplicate(una: SeqNum, blocks: &[SackBlock]) -> Option<SackBlock> {
    let first = *blocks.first()?;
    if !first.left.before(first.right) {
        return None;
    }
    let inside = blocks.get(1).is_some_and(|second| {
        first.left.at_or_after(second.left) && first.right.at_or_before(second.right)
    });
    (first.left.before(una) || inside).then_some(first)
}
