//! Which segments to send again, and how they are cut and joined for it.

use handwave_wire::SeqNum;

use super::{EVER_REPEATED, Flight, LOST, REPEATED, SACKED};
use crate::time::Instant;

/// What limits a retransmission.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Octets of text in one segment.
    pub(crate) mss: u32,
    /// Segments.
    pub(crate) segments: u32,
    pub(crate) una: SeqNum,
    /// Right edge of the peer's window.
    pub(crate) window_end: SeqNum,
}

impl Flight {
    /// Whether something is lost and not sent again yet.
    pub(crate) const fn has_to_repeat(&self) -> bool {
        self.repeated < self.lost
    }

    /// The first segments that are lost and not sent again, as one piece, with the octets it takes. Nothing is noted.
    fn next_lost(&self) -> Option<usize> {
        if !self.has_to_repeat() {
            return None;
        }
        let from = self.hint.map_or(0, |hint| self.find(hint));
        (from..self.list.len()).find(|&index| {
            self.list
                .get(index)
                .is_some_and(|sent| sent.has(LOST) && !sent.has(SACKED | REPEATED))
        })
    }

    /// Whether [`repeat_lost`](Self::repeat_lost) would find something.
    pub(crate) fn could_repeat(&self, limits: &Limits) -> bool {
        limits.segments > 0
            && self.next_lost().is_some_and(|index| {
                self.list.get(index).is_some_and(|sent| {
                    sent.start.at_or_before(limits.una) || sent.start.before(limits.window_end)
                })
            })
    }

    /// Takes the next lost segments to send again, and notes that they are: start, octets, and how many segments they are.
    pub(crate) fn repeat_lost(
        &mut self,
        limits: &Limits,
        now: Instant,
    ) -> Option<(SeqNum, u32, u32)> {
        if limits.segments == 0 {
            return None;
        }
        let index = self.next_lost()?;
        let taken = self.repeat(index, limits, now)?;
        self.hint = Some(taken.0);
        Some(taken)
    }

    /// Sends the first segment again, lost or not.
    pub(crate) fn repeat_first(
        &mut self,
        limits: &Limits,
        now: Instant,
    ) -> Option<(SeqNum, u32, u32)> {
        self.repeat(0, limits, now)
    }

    /// Sends the last segment again to hear from the peer about the tail; the copy is not counted.
    pub(crate) fn repeat_last(&mut self, limits: &Limits, now: Instant) -> Option<(SeqNum, u32)> {
        let last = self.list.back().copied()?;
        if last.count > 1 {
            let but_one = (last.count - 1) * last.size;
            self.cut(self.list.len() - 1, but_one);
        }
        let index = self.list.len() - 1;
        let (start, len) = self.prepare(index, limits)?;
        let sent = self.list.get_mut(index)?;
        sent.marks |= EVER_REPEATED;
        sent.at = now;
        Some((start, len))
    }

    fn repeat(
        &mut self,
        index: usize,
        limits: &Limits,
        now: Instant,
    ) -> Option<(SeqNum, u32, u32)> {
        let (start, len) = self.prepare(index, limits)?;
        let sent = self.list.get_mut(index)?;
        let count = sent.count;
        let counted = sent.has(REPEATED);
        sent.marks |= REPEATED | EVER_REPEATED;
        sent.at = now;
        if !counted {
            self.repeated += count;
        }
        Some((start, len, count))
    }

    /// Cuts or joins entries so that the one at `index` is what may leave.
    fn prepare(&mut self, index: usize, limits: &Limits) -> Option<(SeqNum, u32)> {
        let sent = self.list.get(index).copied()?;
        if sent.start.before(limits.una) && sent.end.after(limits.una) {
            let entry = self.list.get_mut(index)?;
            entry.start = limits.una;
        }
        let start = self.list.get(index)?.start;
        let mss = limits.mss.max(1);
        let in_window = if limits.window_end.after(start) {
            limits.window_end.since(start)
        } else if start == limits.una {
            mss
        } else {
            return None;
        };
        let mut most = mss.saturating_mul(limits.segments.max(1));
        if most > in_window {
            most = match in_window - in_window % mss {
                0 => in_window,
                whole => whole,
            };
        }
        if self.list.get(index)?.text() > most {
            self.cut(index, most);
        } else {
            self.resize(index, mss);
            if self.list.get(index)?.text() < mss {
                self.join(index, in_window.min(mss));
            }
        }
        let entry = self.list.get(index)?;
        Some((entry.start, entry.len()))
    }

    /// The segment size may have changed since it was sent.
    fn resize(&mut self, index: usize, mss: u32) {
        let Some(entry) = self.list.get_mut(index) else {
            return;
        };
        if entry.size == mss {
            return;
        }
        entry.size = mss;
        let (marks, before) = (entry.marks, entry.count);
        entry.count = entry.segments();
        let after = entry.count;
        self.recount(marks, before, after);
    }

    /// Adds small segments that follow, as long as all fits into `room` octets: each was a packet of its own.
    fn join(&mut self, index: usize, room: u32) {
        while let (Some(entry), Some(next)) = (
            self.list.get(index).copied(),
            self.list.get(index + 1).copied(),
        ) {
            let text = entry.text() + next.text();
            if entry.count != 1 || next.count != 1 || next.has(SACKED) || text > room {
                return;
            }
            self.recount(next.marks, next.count, 0);
            self.list.remove(index + 1);
            if let Some(entry) = self.list.get_mut(index) {
                entry.end = next.end;
                entry.fin = next.fin;
                entry.marks |= next.marks & EVER_REPEATED;
            }
        }
    }
}
