//! Which segments count as lost: by time of transmission (RFC 8985 6.2), by counting (RFC 6582), or all of them.

use core::time::Duration;

use super::{Flight, LOST, REPEATED, SACKED, Sent};
use crate::time::Instant;

/// What the measure of time is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    pub(crate) now: Instant,
    pub(crate) min_rtt: Option<Duration>,
    pub(crate) srtt: Option<Duration>,
    /// Losses are being repaired.
    pub(crate) in_recovery: bool,
}

impl Flight {
    /// Marks what was sent long enough before the newest segment delivered; returns when to look again, if that is to be.
    ///
    /// Nothing is done while nothing new was delivered.
    pub(crate) fn detect_losses(&mut self, clock: &Clock) -> Option<Duration> {
        if !core::mem::take(&mut self.advanced) {
            return None;
        }
        self.detect_losses_now(clock)
    }

    /// The same, whether or not anything new was delivered.
    pub(crate) fn detect_losses_now(&mut self, clock: &Clock) -> Option<Duration> {
        let newest = self.newest?;
        let later = |sent: &Sent| {
            sent.at > newest.at || (sent.at == newest.at && sent.end.at_or_after(newest.end))
        };
        if self.sacked == 0 && self.repeated == 0 && self.list.front().is_none_or(later) {
            // Sent in the order of their numbers, and the first one after the newest delivered.
            return None;
        }
        let allowed = newest.rtt + self.reordering_window(clock);
        let mut again: Option<Duration> = None;
        for index in 0..self.list.len() {
            let Some(sent) = self.list.get(index).copied() else {
                break;
            };
            if sent.has(SACKED) || (sent.has(LOST) && !sent.has(REPEATED)) {
                continue;
            }
            let before =
                newest.at > sent.at || (newest.at == sent.at && newest.end.after(sent.end));
            if !before {
                continue;
            }
            let waited = clock.now - sent.at;
            if waited >= allowed {
                self.mark_lost(index);
            } else {
                let left = allowed - waited;
                again = Some(again.map_or(left, |longest| longest.max(left)));
            }
        }
        again
    }

    /// How long what was overtaken is given to arrive (RFC 8985 6.2 step 4).
    fn reordering_window(&self, clock: &Clock) -> Duration {
        if !self.reordered && (clock.in_recovery || self.sacked >= self.reordering) {
            return Duration::ZERO;
        }
        let quarter = clock.min_rtt.map_or(Duration::ZERO, |rtt| rtt / 4);
        clock.srtt.map_or(quarter, |srtt| quarter.min(srtt))
    }

    /// Without SACK: the first segment, once `alert` and then after each partial acknowledgment.
    pub(crate) fn mark_first_lost(&mut self) {
        let Some(head) = self.list.front().copied() else {
            return;
        };
        if head.has(LOST) {
            return;
        }
        if head.count > 1 {
            self.cut(0, head.size);
        }
        self.mark_lost(0);
    }

    /// A timeout: everything but what was sent within the last round trip. If the peer SACKed the first segment and yet does not
    /// acknowledge it, it has thrown away what it held (RFC 2018 8); `true` then.
    pub(crate) fn mark_all_lost(&mut self, now: Instant, sack: bool) -> bool {
        let reneged = sack && self.list.front().is_some_and(|head| head.has(SACKED));
        if reneged || !sack {
            self.sacked = 0;
        }
        for index in 0..self.list.len() {
            if let Some(sent) = self.list.get_mut(index) {
                if reneged {
                    sent.marks &= !SACKED;
                } else if index > 0 && self.newest.is_some_and(|newest| now - sent.at < newest.rtt)
                {
                    continue;
                }
            }
            self.mark_lost(index);
        }
        self.hint = None;
        reneged
    }

    /// Marks what no longer fits into segments of `size` octets; `true` if there was any.
    pub(crate) fn mark_large_lost(&mut self, size: u32, sack: bool) -> bool {
        if !sack {
            self.sacked = self.sacked.min(self.out.saturating_sub(1));
        }
        let before = self.lost;
        for index in 0..self.list.len() {
            let large = self
                .list
                .get(index)
                .is_some_and(|sent| sent.text().min(sent.size) > size);
            if large {
                self.mark_lost(index);
            }
        }
        self.lost > before
    }

    fn mark_lost(&mut self, index: usize) {
        let Some(sent) = self.list.get_mut(index) else {
            return;
        };
        let (start, count) = (sent.start, sent.count);
        if sent.has(SACKED) {
            return;
        }
        if sent.has(LOST) {
            if !sent.has(REPEATED) {
                return;
            }
            sent.marks &= !REPEATED;
            self.repeated -= count;
        } else {
            sent.marks |= LOST;
            self.lost += count;
        }
        self.lost_ever += count;
        self.hint = self.hint.map(|hint| hint.earlier_of(start));
    }

    /// What was believed lost was not.
    pub(crate) fn unmark_lost(&mut self) {
        for sent in &mut self.list {
            sent.marks &= !LOST;
        }
        self.lost = 0;
        self.advanced = true;
    }

    /// Whether the first segment is one that the peer says it holds.
    pub(crate) fn has_reneged(&self) -> bool {
        self.list.front().is_some_and(|head| head.has(SACKED))
    }

    /// Whether the first segment was last sent before `instant`.
    pub(crate) fn head_sent_before(&self, instant: Instant) -> bool {
        self.list.front().is_some_and(|head| head.at < instant)
    }
}
