//! Retransmissions that are lost in their turn.
//!
//! RFC 6675 sends each octet again once in a recovery; if that is lost too, only the retransmission timer helps. But what was sent after a retransmission
//! and has arrived says the same of it as `IsLost` says of an octet by what arrived above it. So each retransmission keeps SND.NXT as it was
//! then: what is SACKed from there on decides.

use alloc::collections::VecDeque;

use handwave_wire::SeqNum;

use super::ranges::{Range, Ranges};

/// Most retransmissions told apart; those beyond share the last one's moment.
const MARKS_MAX: usize = 64;
/// Retransmissions share a mark while SND.NXT moves by less than this part of the flight.
const MARKS_IN_FLIGHT: u32 = 32;

/// Octets that were sent again, one after the other.
#[derive(Clone, Copy, Debug)]
struct Mark {
    range: Range,
    /// SND.NXT when the first of them left, and the last.
    began: SeqNum,
    nxt: SeqNum,
}

/// What was sent again in this recovery, in the order in which it was, and what of it is lost.
#[derive(Debug, Default)]
pub(super) struct Resent {
    marks: VecDeque<Mark>,
    /// Where octets lie whose retransmission is lost, and that have not been sent a third time.
    pub(super) due: Option<Range>,
    /// The un-SACKed octets in there.
    waiting: u32,
}

impl Resent {
    /// Octets whose retransmission is lost.
    pub(super) fn waiting(&self) -> u32 {
        self.waiting
    }

    /// Whether anything sent again may yet turn out to be lost.
    pub(super) fn is_followed(&self) -> bool {
        !self.marks.is_empty()
    }

    /// The first of those octets in one piece.
    pub(super) fn first(&self, ranges: &Ranges) -> Option<Range> {
        let due = self.due?;
        ranges.first_gap(due.start, due.end)
    }

    /// Bytes of heap memory.
    pub(super) fn held(&self) -> usize {
        self.marks.capacity() * size_of::<Mark>()
    }

    /// Notes that the octets of `range`, which are not SACKed, were sent again while `una` and `nxt` were SND.UNA and SND.NXT; returns whether
    /// that had been done before.
    pub(super) fn on_retransmit(&mut self, range: Range, una: SeqNum, nxt: SeqNum) -> bool {
        let grain = nxt.since(una) / MARKS_IN_FLIGHT;
        let full = self.marks.len() >= MARKS_MAX;
        match self.marks.back_mut() {
            Some(back)
                if back.range.end.at_or_before(range.start)
                    && (full || nxt.since(back.began) <= grain) =>
            {
                back.range.end = range.end;
                back.nxt = nxt;
            }
            // What comes out of order and finds no room is not followed any further.
            Some(_) if full => {}
            _ => self.marks.push_back(Mark {
                range,
                began: nxt,
                nxt,
            }),
        }
        let again = self
            .due
            .is_some_and(|due| range.start.at_or_after(due.start) && range.start.before(due.end));
        if again {
            self.skip_to(range.end, range.len());
        }
        again
    }

    /// Finds the retransmissions that are lost because enough is SACKed from `edge` on; returns SND.NXT at the time of the last of them.
    pub(super) fn find_lost(&mut self, edge: SeqNum, ranges: &Ranges) -> Option<SeqNum> {
        let mut last = None;
        while let Some(&Mark { range, nxt, .. }) = self.marks.front() {
            let start = match self.due {
                // Another piece of the same round continues the first; of a later round it waits until that has been sent.
                Some(due) if due.end.after(range.start) => break,
                Some(due) => due.start,
                None => range.start,
            };
            if nxt.after(edge) {
                break;
            }
            self.marks.pop_front();
            let from = self.due.map_or(range.start, |due| due.end);
            let whole = Range {
                start: from,
                end: range.end,
            };
            self.waiting += whole.len() - ranges.octets_within(whole);
            self.due = Some(Range {
                start,
                end: range.end,
            });
            last = Some(nxt);
        }
        self.forget_if_done();
        last
    }

    /// Accounts for octets that were not SACKed before.
    pub(super) fn on_newly_sacked(&mut self, added: Range) {
        if let Some(due) = self.due {
            let start = added.start.later(due.start);
            let end = added.end.earlier_of(due.end);
            if start.before(end) {
                self.waiting -= end.since(start);
                self.forget_if_done();
            }
        }
    }

    /// SND.UNA moves to `una`; `ranges` are those of before.
    pub(super) fn on_advance(&mut self, una: SeqNum, ranges: &Ranges) {
        while let Some(front) = self.marks.front_mut() {
            if front.range.end.after(una) {
                front.range.start = front.range.start.later(una);
                break;
            }
            self.marks.pop_front();
        }
        if let Some(due) = self.due
            && due.start.before(una)
        {
            let gone = Range {
                start: due.start,
                end: una.earlier_of(due.end),
            };
            let unsacked = gone.len() - ranges.octets_within(gone);
            self.skip_to(gone.end, unsacked);
        }
    }

    /// The octets that are due begin at `start`; `fewer` of them were un-SACKed before it.
    fn skip_to(&mut self, start: SeqNum, fewer: u32) {
        if let Some(due) = &mut self.due {
            due.start = start;
            self.waiting -= fewer;
        }
        self.forget_if_done();
    }

    fn forget_if_done(&mut self) {
        if self.waiting == 0 {
            self.due = None;
        }
    }
}
