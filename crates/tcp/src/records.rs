//! Writes that leave their mark on segments ([`Segmentation::Records`](crate::Segmentation::Records)): where each ended, which carry
//! PSH, and what decides how long a train of segments may be.
//!
//! A *record* is what Linux keeps in one socket buffer of its send queue: text of one or more writes, up to a limit. A segment does not
//! span records unless the first is short of a whole train; the last octet of a record that ended a write carries PSH.

use alloc::collections::VecDeque;

use handwave_wire::SeqNum;

use crate::time::Instant;

/// What a record costs beside its text: two descriptors, room for headers, and what lies behind it.
const OVERHEAD: u32 = 832;
/// Octets that one record holds at most, whatever the peer's window: a super-segment with room for its headers.
pub(crate) const RECORD_MAX: u32 = 65_536 - 321;
/// An MSS that every peer takes; windows up to it are not halved (RFC 9293 3.7.1).
const SMALL_WINDOW: u32 = 536;

/// How a write is to leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// More follows at once: what does not fill a segment may wait (`MSG_MORE`).
    pub more: bool,
    /// The end of the write ends a record: no segment holds octets from before and after it (`MSG_EOR`).
    pub ends_record: bool,
}

/// One record.
#[derive(Clone, Copy, Debug)]
struct Record {
    /// The sequence number after its last octet.
    end: SeqNum,
    /// Its last octet carries PSH.
    push: bool,
    /// Nothing is added to it, and nothing after it shares a segment with it.
    sealed: bool,
}

/// The records of a send buffer, and what was noted when they were sent.
#[derive(Clone, Debug)]
pub(crate) struct Records {
    list: VecDeque<Record>,
    /// The last octet that was pushed.
    pushed: SeqNum,
    /// The end of the last segment that was not full (Minshall's `SND.SML`).
    pub(crate) small: SeqNum,
    /// The last write said that more follows.
    pub(crate) more: bool,
    /// The application has just switched Nagle's algorithm off: what waits leaves.
    pub(crate) push_once: bool,
    /// When something was last sent.
    pub(crate) last_sent: Option<Instant>,
    /// Octets per second; `None` until a round trip has been measured.
    pub(crate) rate: Option<u64>,
    pub(crate) usage: WindowUsage,
    /// When this is acknowledged, a round trip is over.
    round_until: SeqNum,
}

/// How much of the congestion window was used, so that it grows only when it is (RFC 7661).
#[derive(Clone, Copy, Debug)]
pub(crate) struct WindowUsage {
    /// The window is what stopped the sender.
    pub(crate) limited: bool,
    /// Most segments in flight since `until` was set.
    pub(crate) segments_max: u32,
    /// When this is acknowledged, counting starts over.
    pub(crate) until: SeqNum,
}

/// The record that the next octet belongs to, as far as it is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) len: u32,
    /// It is the last one.
    pub(crate) last: bool,
}

impl Records {
    pub(crate) fn new(start: SeqNum) -> Self {
        Self {
            list: VecDeque::new(),
            pushed: start,
            small: start,
            more: false,
            push_once: false,
            last_sent: None,
            rate: None,
            usage: WindowUsage {
                limited: false,
                segments_max: 0,
                until: start,
            },
            round_until: start,
        }
    }

    /// Notes a write of the octets from `seq` to `end`; `nxt` is SND.NXT, `size_max` what one record holds.
    pub(crate) fn append(
        &mut self,
        (seq, end): (SeqNum, SeqNum),
        nxt: SeqNum,
        (size_max, window_max): (u32, u32),
        options: WriteOptions,
    ) {
        let mut at = seq;
        self.more = options.more;
        self.push_once = false;
        while at.before(end) {
            let room = self.room(at, nxt, size_max);
            let room = if room == 0 {
                self.list.push_back(Record {
                    end: at,
                    push: false,
                    sealed: false,
                });
                size_max
            } else {
                room
            };
            at = (at + room).earlier_of(end);
            let full = room == at.since(seq).min(room) && self.tail_len(at, nxt) >= size_max;
            let forced = at.after(self.pushed + window_max / 2);
            let done = at == end;
            if let Some(tail) = self.list.back_mut() {
                tail.end = at;
                tail.push = (full && forced) || (done && (forced || !options.more));
                tail.sealed = done && options.ends_record;
                if tail.push {
                    self.pushed = at;
                }
            }
        }
    }

    /// Memory that is charged for what waits between `una` and `end`: each record costs more than its text.
    pub(crate) fn charged(&self, una: SeqNum, end: SeqNum) -> u32 {
        let records = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        end.since(una)
            .saturating_add(records.saturating_mul(OVERHEAD))
    }

    /// Octets that may be written: what the last record has room for, and new ones while less than `buffer` is charged.
    pub(crate) fn admits(
        &self,
        (una, end): (SeqNum, SeqNum),
        nxt: SeqNum,
        size_max: u32,
        buffer: u32,
    ) -> u32 {
        let mut octets = self.room(end, nxt, size_max);
        let charged = self.charged(una, end).saturating_add(octets);
        if charged < buffer {
            let each = size_max.saturating_add(OVERHEAD);
            let records = (buffer - charged).div_ceil(each);
            octets = octets.saturating_add(records.saturating_mul(size_max));
        }
        octets
    }

    /// A train has left that ended within a record: what is left of it is a record of its own now.
    pub(crate) fn split_at(&mut self, nxt: SeqNum) {
        let at = self.list.partition_point(|record| record.end.before(nxt));
        if self.list.get(at).is_some_and(|record| record.end != nxt) {
            let first = Record {
                end: nxt,
                push: false,
                sealed: false,
            };
            self.list.insert(at, first);
        }
    }

    /// Whether the last record carries PSH: there has been none for half of the peer's largest window.
    pub(crate) fn is_tail_pushed(&self) -> bool {
        self.list.back().is_some_and(|tail| tail.push)
    }

    /// Whoever wrote waits for room, and has nothing more for the moment: the last record ends here.
    pub(crate) fn push_tail(&mut self) {
        self.more = false;
        if let Some(tail) = self.list.back_mut() {
            tail.push = true;
            self.pushed = tail.end;
        }
    }

    /// Octets that the open record still takes after `at`, without a new one; none if there is no open record, as when the last is full or
    /// has left.
    pub(crate) fn room(&self, at: SeqNum, nxt: SeqNum, size_max: u32) -> u32 {
        match self.list.back() {
            Some(tail) if !tail.sealed && tail.end == at && tail.end.after(nxt) => {
                size_max.saturating_sub(self.tail_len(at, nxt))
            }
            _ => 0,
        }
    }

    /// Octets of the last record that are not sent, were its end `end`.
    fn tail_len(&self, end: SeqNum, nxt: SeqNum) -> u32 {
        let before = self
            .list
            .len()
            .checked_sub(2)
            .and_then(|n| self.list.get(n));
        let start = before.map_or(nxt, |before| before.end.later(nxt));
        if end.after(start) {
            end.since(start)
        } else {
            0
        }
    }

    /// Makes the text up to `end` a record if it is not in one: what was written before the handshake.
    pub(crate) fn cover(&mut self, start: SeqNum, end: SeqNum) {
        let known = self.list.back().map_or(start, |tail| tail.end.later(start));
        if end.after(known) {
            self.list.push_back(Record {
                end,
                push: true,
                sealed: false,
            });
            self.pushed = end;
        }
    }

    /// What can leave with the octet at `nxt`, grown from later records to `wanted` octets where that is allowed.
    pub(crate) fn head(&self, nxt: SeqNum, wanted: u32) -> Option<Head> {
        let mut rest = self.list.iter().skip_while(|record| !record.end.after(nxt));
        let first = rest.next()?;
        let mut head = Head {
            len: first.end.since(nxt),
            last: true,
        };
        let mut sealed = first.sealed;
        for record in rest {
            head.last = false;
            if sealed || head.len >= wanted {
                return Some(head);
            }
            let whole = record.end.since(nxt);
            head.len = whole.min(wanted);
            head.last = head.len == whole;
            sealed = record.sealed;
        }
        Some(head)
    }

    /// Whether the octet before `end` carries PSH.
    pub(crate) fn is_pushed(&self, end: SeqNum) -> bool {
        let at = self.list.partition_point(|record| record.end.before(end));
        self.list
            .get(at)
            .is_some_and(|record| record.end == end && record.push)
    }

    /// Forgets what is acknowledged.
    pub(crate) fn acknowledge(&mut self, una: SeqNum) {
        while self
            .list
            .front()
            .is_some_and(|record| record.end.at_or_before(una))
        {
            self.list.pop_front();
        }
        if self.pushed.before(una) {
            self.pushed = una;
        }
        if self.round_until.before(una - (1 << 30)) {
            self.round_until = una;
        }
        if self.small.before(una) {
            self.small = una;
        }
    }

    /// The octet before `end` carries PSH, also when it is sent again.
    pub(crate) fn push_at(&mut self, end: SeqNum) {
        let at = self.list.partition_point(|record| record.end.before(end));
        match self.list.get_mut(at) {
            Some(record) if record.end == end => record.push = true,
            _ => self.list.insert(
                at,
                Record {
                    end,
                    push: true,
                    sealed: false,
                },
            ),
        }
    }

    /// Whether a measurement at `una` is the first of a round trip, which then ends at `nxt`.
    pub(crate) fn round_over(&mut self, una: SeqNum, nxt: SeqNum) -> bool {
        let over = una.after(self.round_until);
        if over {
            self.round_until = nxt;
        }
        over
    }
}

/// Octets that one record holds: at most half of the largest window the peer has offered, in whole segments.
pub(crate) fn size_max(mss: u32, window_max: u32) -> u32 {
    let cutoff = if window_max > SMALL_WINDOW {
        window_max / 2
    } else {
        window_max
    };
    let most = if cutoff > 0 && RECORD_MAX > cutoff {
        cutoff.max(mss.min(48))
    } else {
        RECORD_MAX
    };
    (most / mss.max(1)).max(1) * mss
}
