//! The scoreboard of RFC 6675: which octets in flight the peer holds, which are lost, which were sent again.
//!
//! All of it hangs on four facts about the octets from `SND.UNA` to `SND.NXT`:
//!
//! - the SACKed ranges, disjoint and sorted;
//! - the *lost edge*: every un-SACKed octet below it counts as lost. RFC 6675's `IsLost` is monotone in the sequence
//!   number, so one number says it for all octets;
//! - `HighRxt`: every un-SACKed octet below it was retransmitted in this recovery, and what of that is lost again
//!   (`resent`; RFC 6675 does not speak of it);
//! - the *virtual* octets: a peer without SACK says with each duplicate ACK that one more segment has left the network,
//!   but not which (RFC 5681 3.2, RFC 6582). They leave the pipe without having a place.
//!
//! So one pipe and one rule for the next octet serve both kinds of peer.
//!
//! # Bounds
//!
//! A peer chooses its SACK blocks. At most one range is kept for each KiB in flight, but 512 in any case and never more than [`MAX_RANGES`]
//! (eight octets each, so no more than a hundredth of what the connection sends); what would need one
//! more is ignored, as RFC 2018 allows: SACK is advice. No call costs more than a binary search and a move within
//! those octets, whatever the peer sends (CVE-2019-11477 and its kin). [`Scoreboard::pipe`] is O(1).

mod ranges;
mod resent;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;

use handwave_wire::{SackBlock, SackBlocks, SeqNum};

use ranges::{Range, Ranges};
use resent::Resent;

pub use ranges::MAX_RANGES;

/// What the SACK blocks of one segment added.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SackUpdate {
    /// Octets SACKed for the first time.
    pub newly_sacked: u32,
    /// The first block reports a duplicate arrival (RFC 2883): it lies below `SND.UNA` or inside the second block.
    pub dsack: bool,
    /// Octets were SACKed for the first time below ones SACKed earlier, and they were not retransmitted: the
    /// network reordered them.
    pub reordering: bool,
    /// Blocks were ignored: outside the octets in flight, empty, or more than are kept.
    pub ignored: u8,
}

/// What the sender knows about its octets in flight (RFC 6675 section 3).
///
/// Sequence numbers passed in are those of the connection after the segment at hand: `una` and `nxt` are `SND.UNA`
/// and `SND.NXT`. A scoreboard with nothing to say owns no heap memory.
///
/// The order of calls for an arriving ACK: [`on_advance`](Self::on_advance) if it moves `SND.UNA`, then
/// [`on_sack`](Self::on_sack) or [`on_duplicate_ack`](Self::on_duplicate_ack), then
/// [`update_lost`](Self::update_lost) and [`find_lost_again`](Self::find_lost_again).
///
/// ```
/// use handwave_tcp::recovery::Scoreboard;
/// use handwave_wire::{SackBlock, SackBlocks, SeqNum};
///
/// // Ten segments of 100 octets are in flight; the peer misses the first and holds the next three.
/// let (una, nxt) = (SeqNum::new(0), SeqNum::new(1_000));
/// let mut blocks = SackBlocks::new();
/// blocks.push(SackBlock { left: SeqNum::new(100), right: SeqNum::new(400) });
///
/// let mut scoreboard = Scoreboard::default();
/// assert_eq!(scoreboard.pipe(una, nxt), 1_000);
/// assert_eq!(scoreboard.on_sack(una, nxt, &blocks).newly_sacked, 300);
/// assert!(scoreboard.update_lost(una, 100, 3));
/// assert_eq!(scoreboard.pipe(una, nxt), 600);
/// assert_eq!(scoreboard.next_lost(una, nxt), Some((una, 100)));
/// scoreboard.on_retransmit(una, 100, una, nxt);
/// assert_eq!(scoreboard.next_lost(una, nxt), None);
/// assert_eq!(scoreboard.pipe(una, nxt), 700);
/// ```
#[derive(Debug, Default)]
pub struct Scoreboard {
    board: Option<Box<Board>>,
    /// `RescueRxt` of RFC 6675, one past its octet: no rescue until `SND.UNA` is beyond it.
    rescue: Option<SeqNum>,
}

#[derive(Debug, Default)]
struct Board {
    ranges: Ranges,
    /// One past the highest octet that counts as lost if it is not SACKed.
    lost: Edge,
    /// `HighRxt`, one past its octet.
    retransmitted: Edge,
    resent: Resent,
    /// Octets that have left the network at an unknown place.
    virtual_sacked: u32,
    /// The retransmission timer has fired and `SND.UNA` has not moved since.
    timed_out: bool,
}

/// A place below which something holds for every un-SACKed octet in flight.
#[derive(Clone, Copy, Debug, Default)]
struct Edge {
    /// `None`: it holds for no octet in flight.
    at: Option<SeqNum>,
    /// SACKed octets in flight below the edge.
    sacked_below: u32,
}

impl Edge {
    /// Moves the edge up to `to`; it never moves down.
    fn raise(&mut self, to: SeqNum, ranges: &Ranges) {
        match self.at {
            Some(at) if to.at_or_before(at) => {}
            Some(at) => {
                self.sacked_below += ranges.octets_within(Range { start: at, end: to });
                self.at = Some(to);
            }
            None => {
                self.sacked_below = ranges.octets_below(to);
                self.at = Some(to);
            }
        }
    }

    fn is_above(&self, seq: SeqNum) -> bool {
        self.at.is_some_and(|at| seq.before(at))
    }

    /// Accounts for octets that were not SACKed before.
    fn on_newly_sacked(&mut self, added: Range) {
        self.sacked_below += self.part_below(added);
    }

    /// Accounts for SACKed octets that left the scoreboard from below.
    fn on_forgotten(&mut self, gone: Range) {
        self.sacked_below -= self.part_below(gone);
    }

    fn part_below(&self, range: Range) -> u32 {
        match self.at {
            Some(at) if at.after(range.start) => range.end.earlier_of(at).since(range.start),
            Some(_) | None => 0,
        }
    }

    /// Drops the edge once nothing in flight lies below it.
    fn on_advance(&mut self, una: SeqNum) {
        if !self.is_above(una) {
            *self = Self::default();
        }
    }

    /// Un-SACKed octets in flight below the edge.
    fn unsacked_below(&self, una: SeqNum, nxt: SeqNum) -> u32 {
        match self.at {
            Some(at) if at.after(una) => at
                .earlier_of(nxt)
                .since(una)
                .saturating_sub(self.sacked_below),
            Some(_) | None => 0,
        }
    }
}

/// What comes in.
impl Scoreboard {
    /// Marks what the SACK blocks of a segment report (RFC 6675 `Update`, RFC 2018, RFC 2883) [RFC6675-2].
    ///
    /// Only blocks inside `(una, nxt]` count. A receiver never reports a block at `una` or below it (it would have
    /// acknowledged it), except to say that data arrived twice.
    pub fn on_sack(&mut self, una: SeqNum, nxt: SeqNum, blocks: &SackBlocks) -> SackUpdate {
        let blocks = blocks.as_slice();
        let mut update = SackUpdate {
            dsack: reports_duplicate(una, blocks),
            ..SackUpdate::default()
        };
        let highest_before = self.highest_sacked();
        let most = ranges::most(nxt.since(una));
        for (index, block) in blocks.iter().enumerate() {
            let range = Range {
                start: block.left,
                end: block.right,
            };
            if index == 0 && update.dsack && range.end.at_or_before(una) {
                continue;
            }
            if !range.is_within(una, nxt) {
                update.ignored += 1;
                continue;
            }
            self.mark_sacked(range, most, highest_before, &mut update);
        }
        self.release_if_empty();
        update
    }

    fn mark_sacked(
        &mut self,
        range: Range,
        most: usize,
        highest: Option<SeqNum>,
        update: &mut SackUpdate,
    ) {
        let Board {
            ranges,
            lost,
            retransmitted,
            resent,
            ..
        } = &mut **self.board.get_or_insert_default();
        let inserted = ranges.insert(range, most, |added| {
            update.newly_sacked += added.len();
            update.reordering |= highest.is_some_and(|highest| added.start.before(highest))
                && !retransmitted.is_above(added.start);
            lost.on_newly_sacked(added);
            retransmitted.on_newly_sacked(added);
            resent.on_newly_sacked(added);
        });
        if !inserted {
            update.ignored += 1;
        }
    }

    /// Counts one duplicate ACK of a peer without SACK: one more segment has left the network (RFC 5681 3.2).
    ///
    /// No more can have left than is in flight behind the first segment, so a peer that invents duplicate ACKs gains
    /// nothing by it.
    pub fn on_duplicate_ack(&mut self, una: SeqNum, nxt: SeqNum, smss: u32) {
        let board = self.board.get_or_insert_default();
        let behind_first = nxt.since(una).saturating_sub(smss);
        let virtual_sacked = board.virtual_sacked.saturating_add(smss);
        board.virtual_sacked = virtual_sacked.min(behind_first);
        self.release_if_empty();
    }

    /// Forgets what lies below `una`, because a cumulative ACK covered `acked` more octets.
    ///
    /// Without SACK the ACK covers one retransmitted segment and the rest of what duplicate ACKs stood for, so that
    /// many virtual octets go as well (RFC 6582 3.2, partial acknowledgments).
    pub fn on_advance(&mut self, una: SeqNum, acked: u32, smss: u32) {
        let Some(board) = &mut self.board else { return };
        let Board {
            ranges,
            lost,
            retransmitted,
            resent,
            virtual_sacked,
            timed_out,
        } = &mut **board;
        resent.on_advance(una, ranges);
        ranges.forget_below(una, |gone| {
            lost.on_forgotten(gone);
            retransmitted.on_forgotten(gone);
        });
        lost.on_advance(una);
        retransmitted.on_advance(una);
        *virtual_sacked = virtual_sacked.saturating_sub(acked.saturating_sub(smss));
        *timed_out = false;
        self.release_if_empty();
    }

    /// Counts every un-SACKed octet below `edge` as lost.
    ///
    /// `edge` is `SND.NXT` after a retransmission timeout, and `una + smss` when the third duplicate ACK or a partial ACK
    /// shows that the first segment is lost.
    pub fn mark_lost_below(&mut self, edge: SeqNum) {
        let board = self.board.get_or_insert_default();
        board.lost.raise(edge, &board.ranges);
    }

    /// Finds what the SACK information shows to be lost (RFC 6675 `IsLost`) and returns whether `una` itself is [RFC6675-3].
    ///
    /// An octet is lost when `dup_thresh` separate ranges, or more than `(dup_thresh - 1) * smss` octets, are SACKed
    /// above it. Duplicate ACKs say nothing about a place: the caller counts them, and marks the first segment
    /// ([`mark_lost_below`](Self::mark_lost_below)).
    pub fn update_lost(&mut self, una: SeqNum, smss: u32, dup_thresh: u32) -> bool {
        let Some(board) = &mut self.board else {
            return false;
        };
        let enough = dup_thresh.saturating_sub(1).saturating_mul(smss);
        if let Some(edge) = board.ranges.lost_edge(dup_thresh, enough) {
            board.lost.raise(edge, &board.ranges);
        }
        board.lost.is_above(una) && !board.ranges.contains(una)
    }

    /// Finds retransmissions that are lost in their turn: as `IsLost` for an octet, by what was sent after them and is SACKed. What is
    /// found comes first in [`next_lost`](Self::next_lost) and is out of the pipe.
    ///
    /// Returns SND.NXT as it was when the last of them left: the loss of a retransmission is congestion of its own (RFC 5681 4.3).
    pub fn find_lost_again(&mut self, smss: u32, dup_thresh: u32) -> Option<SeqNum> {
        let board = self.board.as_mut()?;
        if !board.resent.is_followed() {
            return None;
        }
        let enough = dup_thresh.saturating_sub(1).saturating_mul(smss);
        let edge = board.ranges.overtaken_edge(dup_thresh, enough)?;
        board.resent.find_lost(edge, &board.ranges)
    }

    /// Notes that `len` octets from `seq` were sent again; `HighRxt` covers them. Returns whether that was not for the first time in this recovery.
    pub fn on_retransmit(&mut self, seq: SeqNum, len: u32, una: SeqNum, nxt: SeqNum) -> bool {
        let end = seq + len;
        let board = self.board.get_or_insert_default();
        board.retransmitted.raise(end, &board.ranges);
        self.rescue.get_or_insert(end);
        board
            .resent
            .on_retransmit(Range { start: seq, end }, una, nxt)
    }

    /// Starts a loss recovery: nothing has been retransmitted in it and the rescue is unspent (RFC 6675 section 5).
    pub fn begin_recovery(&mut self) {
        self.rescue = None;
        if let Some(board) = &mut self.board {
            board.retransmitted = Edge::default();
            board.resent = Resent::default();
        }
        self.release_if_empty();
    }

    /// Ends a loss recovery: duplicate ACKs counted in it are spent. SACK information stays (RFC 6675 section 5, A) [RFC6675-13].
    pub fn end_recovery(&mut self) {
        self.rescue = None;
        if let Some(board) = &mut self.board {
            board.virtual_sacked = 0;
            board.resent = Resent::default();
        }
        self.release_if_empty();
    }

    /// Spends the rescue retransmission of this recovery (RFC 6675 `NextSeg` rule 4).
    pub fn on_rescue(&mut self, recovery_point: SeqNum) {
        self.rescue = Some(recovery_point);
    }

    /// Starts over after a retransmission timeout: what was retransmitted may be lost again.
    ///
    /// SACK information stays, as the erratum 1610 to RFC 2018 and RFC 6675 5.1 permit, unless there is a sign that the
    /// peer gave up what it had SACKed: it holds the octet at `una` and yet does not acknowledge it, or a second
    /// timeout comes with no progress since the first [RFC6675-15] [RFC2018-9] [RFC2018-10].
    ///
    /// The caller follows with [`mark_lost_below`](Self::mark_lost_below)`(SND.NXT)`.
    pub fn on_timeout(&mut self, una: SeqNum) {
        self.rescue = None;
        let Some(board) = &mut self.board else { return };
        let reneged = board.timed_out || board.ranges.contains(una);
        if reneged {
            board.ranges = Ranges::default();
            board.lost = Edge::default();
        }
        board.retransmitted = Edge::default();
        board.resent = Resent::default();
        board.virtual_sacked = 0;
        board.timed_out = true;
        self.release_if_empty();
    }

    /// Forgets everything and frees the memory.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn release_if_empty(&mut self) {
        if self.board.as_ref().is_some_and(|board| board.is_empty()) {
            self.board = None;
        }
    }
}

/// What the sender asks.
impl Scoreboard {
    /// The octets assumed to be in the network (RFC 6675 `SetPipe`). O(1) [RFC6675-4].
    ///
    /// Each un-SACKed octet counts once if it is not lost and once if it was retransmitted.
    #[must_use]
    pub fn pipe(&self, una: SeqNum, nxt: SeqNum) -> u32 {
        let flight = nxt.since(una);
        let Some(board) = &self.board else {
            return flight;
        };
        let original = flight
            .saturating_sub(board.ranges.octets())
            .saturating_sub(board.lost.unsacked_below(una, nxt))
            .saturating_sub(board.virtual_sacked);
        original.saturating_add(board.resent_in_network(una, nxt))
    }

    /// The next octets to retransmit (RFC 6675 `NextSeg` rule 1): the first that are lost, not SACKed and not yet sent
    /// again in this recovery, those whose retransmission is lost before all, with the number of octets in one piece. The caller sends at most `SMSS` of them [RFC6675-5] [RFC2018-8].
    #[must_use]
    pub fn next_lost(&self, una: SeqNum, nxt: SeqNum) -> Option<(SeqNum, u32)> {
        let board = self.board.as_ref()?;
        if let Some(again) = board.resent.first(&board.ranges) {
            return Some((again.start, again.len()));
        }
        let lost = board.lost.at?;
        self.next_unsacked(una, lost.earlier_of(nxt))
    }

    /// The next octets that may be missing although it is not certain (RFC 6675 `NextSeg` rule 3): not SACKed, not yet
    /// sent again, below the highest SACKed octet [RFC6675-7].
    #[must_use]
    pub fn next_uncertain(&self, una: SeqNum, nxt: SeqNum) -> Option<(SeqNum, u32)> {
        self.next_unsacked(una, self.highest_sacked()?.earlier_of(nxt))
    }

    /// The first un-SACKed octets from `HighRxt` on and below `limit`.
    fn next_unsacked(&self, una: SeqNum, limit: SeqNum) -> Option<(SeqNum, u32)> {
        let board = self.board.as_ref()?;
        let from = board
            .retransmitted
            .at
            .map_or(una, |high_rxt| high_rxt.later(una));
        let gap = board.ranges.first_gap(from, limit)?;
        Some((gap.start, gap.len()))
    }

    /// The rescue retransmission (RFC 6675 `NextSeg` rule 4): up to `smss` octets that end with the highest un-SACKed
    /// octet in flight. Once per recovery, and only when the retransmission that opened it has been acknowledged [RFC6675-8].
    ///
    /// It keeps the ACK clock alive when the tail of the flight was lost, about which no SACK block can tell. After
    /// sending it call [`on_rescue`](Self::on_rescue), not [`on_retransmit`](Self::on_retransmit).
    #[must_use]
    pub fn next_rescue(&self, una: SeqNum, nxt: SeqNum, smss: u32) -> Option<(SeqNum, u32)> {
        if !una.after(self.rescue?) {
            return None;
        }
        let whole = Range {
            start: una,
            end: nxt,
        };
        let gap = match &self.board {
            Some(board) => board.ranges.last_gap(whole)?,
            None if una == nxt => return None,
            None => whole,
        };
        let len = gap.len().min(smss);
        Some((gap.end - len, len))
    }

    /// Whether the peer has SACKed the octet at `seq`.
    #[must_use]
    pub fn is_sacked(&self, seq: SeqNum) -> bool {
        self.board
            .as_ref()
            .is_some_and(|board| board.ranges.contains(seq))
    }

    /// Whether the octet at `seq` counts as lost.
    #[must_use]
    pub fn is_lost(&self, seq: SeqNum) -> bool {
        self.board
            .as_ref()
            .is_some_and(|board| board.lost.is_above(seq) && !board.ranges.contains(seq))
    }

    /// Octets SACKed, virtual ones included.
    #[must_use]
    pub fn sacked(&self) -> u32 {
        self.board.as_ref().map_or(0, |board| {
            board.ranges.octets().saturating_add(board.virtual_sacked)
        })
    }

    /// Un-SACKed octets in flight that count as lost, whether or not they were sent again.
    #[must_use]
    pub fn lost(&self, una: SeqNum, nxt: SeqNum) -> u32 {
        self.board
            .as_ref()
            .map_or(0, |board| board.lost.unsacked_below(una, nxt))
    }

    /// Un-SACKed octets in flight that were sent again in this recovery, and are not lost again.
    #[must_use]
    pub fn retransmitted(&self, una: SeqNum, nxt: SeqNum) -> u32 {
        self.board
            .as_ref()
            .map_or(0, |board| board.resent_in_network(una, nxt))
    }

    /// One past the highest SACKed octet; `None` if there is none.
    #[must_use]
    pub fn highest_sacked(&self) -> Option<SeqNum> {
        self.board.as_ref()?.ranges.highest()
    }

    /// Whether nothing is SACKed, lost or retransmitted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.board.is_none()
    }

    /// Bytes of heap memory held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.board.as_ref().map_or(0, |board| {
            size_of::<Board>() + board.ranges.held() + board.resent.held()
        })
    }
}

impl Board {
    fn is_empty(&self) -> bool {
        self.ranges.is_empty()
            && self.lost.at.is_none()
            && self.retransmitted.at.is_none()
            && self.virtual_sacked == 0
            && !self.timed_out
    }

    /// Octets sent again that are believed to be in the network.
    fn resent_in_network(&self, una: SeqNum, nxt: SeqNum) -> u32 {
        self.retransmitted.unsacked_below(una, nxt) - self.resent.waiting()
    }
}

/// Whether the first block is a duplicate SACK (RFC 2883 section 4): below the cumulative ACK or within the second block.
fn reports_duplicate(una: SeqNum, blocks: &[SackBlock]) -> bool {
    let Some(first) = blocks.first() else {
        return false;
    };
    if !first.left.before(first.right) {
        return false;
    }
    let below = first.right.at_or_before(una);
    let inside = blocks.get(1).is_some_and(|second| {
        first.left.at_or_after(second.left) && first.right.at_or_before(second.right)
    });
    below || inside
}
