//! The segments in flight, each with what is known about it, as a sender keeps them that counts segments and not octets
//! ([`Segmentation::Records`](crate::Segmentation::Records)).
//!
//! An entry is what left in one piece, a train of several segments included; it is cut where an acknowledgment or a SACK block ends
//! within it, and where only part of it is sent again. Losses are found by time of transmission (RFC 8985), or, where the peer does not
//! know SACK, by duplicate acknowledgments (RFC 6582).
//!
//! # Bounds
//!
//! Entries are cut at multiples of the segment size only, so there are never more of them than segments in flight, whatever SACK
//! blocks the peer sends.

mod acknowledge;
mod detect;
mod repeat;
#[cfg(test)]
mod tests;

use alloc::collections::VecDeque;
use core::time::Duration;

use handwave_wire::SeqNum;

use crate::time::Instant;

pub(crate) use acknowledge::{Acknowledged, Marking, Sacked};
pub(crate) use detect::Clock;
pub(crate) use repeat::Limits as Sending;

/// The peer holds it.
const SACKED: u8 = 1;
/// It is believed lost.
const LOST: u8 = 2;
/// It was sent again, and that copy is believed to be in the network.
const REPEATED: u8 = 4;
/// It was sent more than once at some time: its acknowledgment measures nothing (Karn's rule).
const EVER_REPEATED: u8 = 8;

/// Segments by which the network may reorder before that counts as loss.
pub(crate) const REORDERING: u32 = 3;
/// More is not believed.
const REORDERING_MAX: u32 = 300;

/// What left in one piece.
#[derive(Clone, Copy, Debug)]
struct Sent {
    start: SeqNum,
    end: SeqNum,
    /// Segments that it was cut into.
    count: u32,
    /// Octets of text in each of them, the last one excepted.
    size: u32,
    /// Its last sequence number is a FIN's.
    fin: bool,
    marks: u8,
    /// When it was last sent.
    at: Instant,
}

impl Sent {
    const fn has(&self, mark: u8) -> bool {
        self.marks & mark != 0
    }

    /// Sequence numbers.
    const fn len(&self) -> u32 {
        self.end.since(self.start)
    }

    /// Octets of text.
    const fn text(&self) -> u32 {
        self.len() - self.fin as u32
    }

    /// Segments of `size` octets that the text makes; a FIN needs one too.
    fn segments(&self) -> u32 {
        self.text().div_ceil(self.size.max(1)).max(1)
    }
}

/// Why the retransmission timer runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Pending {
    /// An RTO passes.
    #[default]
    Timeout,
    /// A probe of the tail is due (RFC 8985 7).
    TailProbe,
    /// What may only have been reordered is about to count as lost (RFC 8985 6.2 step 5).
    Reordering,
}

/// The most recently sent segment that was delivered (RFC 8985 5.2).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Newest {
    pub(crate) at: Instant,
    pub(crate) end: SeqNum,
    pub(crate) rtt: Duration,
}

/// All that is in flight. Counts are in segments.
#[derive(Clone, Debug)]
pub(crate) struct Flight {
    list: VecDeque<Sent>,
    /// Sent and not acknowledged.
    pub(crate) out: u32,
    /// Held by the peer out of order; without SACK, duplicate acknowledgments.
    pub(crate) sacked: u32,
    /// Believed lost, sent again or not.
    pub(crate) lost: u32,
    /// Sent again and believed to be in the network.
    pub(crate) repeated: u32,
    /// Delivered in all, the SYN not counted.
    pub(crate) delivered: u32,
    /// Marked lost in all.
    pub(crate) lost_ever: u32,
    /// How many segments the network was seen to reorder by.
    pub(crate) reordering: u32,
    reordered: bool,
    newest: Option<Newest>,
    /// `newest` has moved since losses were last looked for.
    advanced: bool,
    /// Nothing before this is left to repeat.
    hint: Option<SeqNum>,
    pub(crate) pending: Pending,
}

impl Default for Flight {
    fn default() -> Self {
        Self {
            list: VecDeque::new(),
            out: 0,
            sacked: 0,
            lost: 0,
            repeated: 0,
            delivered: 0,
            lost_ever: 0,
            reordering: REORDERING,
            reordered: false,
            newest: None,
            advanced: false,
            hint: None,
            pending: Pending::Timeout,
        }
    }
}

impl Flight {
    /// Notes that `text` octets, and a FIN if `end` lies beyond them, left for the first time in segments of `size` octets; returns
    /// how many they are.
    pub(crate) fn on_sent(
        &mut self,
        (start, end): (SeqNum, SeqNum),
        text: u32,
        size: u32,
        now: Instant,
    ) -> u32 {
        let mut sent = Sent {
            start,
            end,
            count: 1,
            size: size.max(1),
            fin: end.since(start) > text,
            marks: 0,
            at: now,
        };
        sent.count = sent.segments();
        self.out += sent.count;
        self.list.push_back(sent);
        sent.count
    }

    /// Segments the network is believed to hold.
    pub(crate) fn in_network(&self) -> u32 {
        (self.out + self.repeated).saturating_sub(self.sacked + self.lost)
    }

    /// Whether something is known to have left the network without being acknowledged.
    pub(crate) const fn has_left_out(&self) -> bool {
        self.sacked + self.lost > 0
    }

    /// Whether the oldest segment was ever sent again.
    pub(crate) fn head_was_repeated(&self) -> bool {
        self.list
            .front()
            .is_some_and(|head| head.has(REPEATED | EVER_REPEATED))
    }

    /// Whether anything in flight may have been sent again.
    pub(crate) fn any_repeated(&self) -> bool {
        self.repeated > 0 || self.head_was_repeated()
    }

    /// When the oldest segment was last sent.
    pub(crate) fn oldest_sent(&self) -> Option<Instant> {
        self.list.front().map(|head| head.at)
    }

    /// Where the newest SACKed segment ends; SND.UNA if there is none.
    fn highest_sacked(&self, una: SeqNum) -> SeqNum {
        if self.sacked == 0 {
            return una;
        }
        let newest = self.list.iter().rev().find(|sent| sent.has(SACKED));
        newest.map_or(una, |sent| sent.end)
    }

    pub(crate) fn clear(&mut self) {
        *self = Self {
            delivered: self.delivered,
            ..Self::default()
        };
    }

    /// The entry that holds `seq`.
    fn find(&self, seq: SeqNum) -> usize {
        self.list.partition_point(|sent| sent.end.at_or_before(seq))
    }

    /// Cuts the entry at `index` after `len` octets. Both parts keep what is known about the whole.
    fn cut(&mut self, index: usize, len: u32) {
        let Some(whole) = self.list.get(index).copied() else {
            return;
        };
        if len == 0 || len >= whole.text() {
            return;
        }
        let (mut first, mut second) = (whole, whole);
        first.end = whole.start + len;
        second.start = first.end;
        first.fin = false;
        first.count = first.segments();
        second.count = second.segments();
        let counted = first.count + second.count;
        self.recount(whole.marks, whole.count, counted);
        if let Some(entry) = self.list.get_mut(index) {
            *entry = first;
        }
        self.list.insert(index + 1, second);
    }

    /// Segments that bear `marks` have become more or fewer.
    fn recount(&mut self, marks: u8, before: u32, after: u32) {
        let change = |count: &mut u32| *count = (*count + after).saturating_sub(before);
        change(&mut self.out);
        if marks & SACKED != 0 {
            change(&mut self.sacked);
        }
        if marks & LOST != 0 {
            change(&mut self.lost);
        }
        if marks & REPEATED != 0 {
            change(&mut self.repeated);
        }
    }
}
