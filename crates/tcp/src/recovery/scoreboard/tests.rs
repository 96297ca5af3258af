//! Tables from the RFCs, a naive model that keeps a record for each octet, and hostile peers.

use super::{Edge, MAX_RANGES, SackUpdate, Scoreboard};
use alloc::vec;
use alloc::vec::Vec;
use handwave_wire::{SackBlock, SackBlocks, SeqNum};
use proptest::prelude::*;

const SMSS: u32 = 100;
const DUP_THRESH: u32 = 3;

fn seq(raw: u32) -> SeqNum {
    SeqNum::new(raw)
}

fn sack(ranges: &[(u32, u32)]) -> SackBlocks {
    let mut blocks = SackBlocks::new();
    for &(left, right) in ranges {
        assert!(blocks.push(SackBlock {
            left: seq(left),
            right: seq(right)
        }));
    }
    blocks
}

/// Ten segments from 0 to 1 000 are in flight.
fn reported(ranges: &[(u32, u32)]) -> (Scoreboard, SackUpdate) {
    let mut scoreboard = Scoreboard::default();
    let update = scoreboard.on_sack(seq(0), seq(1_000), &sack(ranges));
    scoreboard.update_lost(seq(0), SMSS, DUP_THRESH);
    (scoreboard, update)
}

#[test]
fn is_small() {
    assert!(size_of::<Scoreboard>() <= 16, "{}", size_of::<Scoreboard>());
}

#[test]
fn rfc6675_4_is_lost_by_octets() {
    // [RFC6675-2] [RFC6675-3]
    // More than two segments SACKed above: lost. Exactly two: not yet.
    let (scoreboard, _) = reported(&[(300, 500)]);
    assert_eq!(scoreboard.lost(seq(0), seq(1_000)), 0);
    assert_eq!(scoreboard.next_lost(seq(0), seq(1_000)), None);
    assert_eq!(
        scoreboard.next_uncertain(seq(0), seq(1_000)),
        Some((seq(0), 300))
    );
    let (scoreboard, _) = reported(&[(300, 501)]);
    assert!(scoreboard.is_lost(seq(0)) && scoreboard.is_lost(seq(299)));
    assert!(!scoreboard.is_lost(seq(300)), "SACKed");
    assert!(!scoreboard.is_lost(seq(501)), "nothing SACKed above");
    assert_eq!(
        scoreboard.next_lost(seq(0), seq(1_000)),
        Some((seq(0), 300))
    );
    assert_eq!(scoreboard.pipe(seq(0), seq(1_000)), 1_000 - 201 - 300);
}

#[test]
fn rfc6675_4_is_lost_by_discontiguous_ranges() {
    let (scoreboard, _) = reported(&[(300, 301), (500, 501), (700, 701)]);
    assert!(scoreboard.is_lost(seq(299)) && !scoreboard.is_lost(seq(301)));
    assert_eq!(scoreboard.pipe(seq(0), seq(1_000)), 1_000 - 3 - 300);
}

#[test]
fn rfc6675_4_next_seg_walks_the_lost_octets_once() {
    // [RFC6675-5] [RFC6675-7] [RFC6675-4]
    let (mut scoreboard, _) = reported(&[(100, 200), (300, 400), (500, 900)]);
    let (una, nxt) = (seq(0), seq(1_000));
    let mut sent = Vec::new();
    while let Some((at, len)) = scoreboard.next_lost(una, nxt) {
        let len = len.min(60);
        scoreboard.on_retransmit(at, len, una, nxt);
        sent.push((at.raw(), len));
    }
    assert_eq!(
        sent,
        [
            (0, 60),
            (60, 40),
            (200, 60),
            (260, 40),
            (400, 60),
            (460, 40)
        ]
    );
    // Retransmitted octets are in the pipe again, and the last hundred never left it.
    assert_eq!(scoreboard.pipe(una, nxt), 300 + 100);
    assert_eq!(scoreboard.retransmitted(una, nxt), 300);
    // A second timeout finds them all lost.
    scoreboard.on_timeout(una);
    scoreboard.mark_lost_below(nxt);
    assert_eq!(scoreboard.pipe(una, nxt), 0);
    assert_eq!(scoreboard.next_lost(una, nxt), Some((una, 100)));
}

#[test]
fn rfc6675_4_rescue_takes_the_tail_once() {
    // [RFC6675-8]
    // 1 to 6 arrive but 0 and the tail 7 to 9 do not.
    let (mut scoreboard, _) = reported(&[(100, 700)]);
    let nxt = seq(1_000);
    assert_eq!(
        scoreboard.next_rescue(seq(0), nxt, SMSS),
        None,
        "nothing was retransmitted"
    );
    scoreboard.on_retransmit(seq(0), 100, seq(0), seq(1_000));
    assert_eq!(scoreboard.next_rescue(seq(0), nxt, SMSS), None, "premature");
    scoreboard.on_advance(seq(700), 700, SMSS);
    assert!(scoreboard.is_empty());
    assert_eq!(scoreboard.next_lost(seq(700), nxt), None);
    assert_eq!(scoreboard.next_uncertain(seq(700), nxt), None);
    assert_eq!(
        scoreboard.next_rescue(seq(700), nxt, SMSS),
        Some((seq(900), 100))
    );
    scoreboard.on_rescue(nxt);
    assert_eq!(scoreboard.next_rescue(seq(700), nxt, SMSS), None);
    assert_eq!(
        scoreboard.next_rescue(nxt, nxt, SMSS),
        None,
        "nothing is in flight"
    );
}

#[test]
fn rfc6675_4_rescue_waits_for_the_first_retransmission_only() {
    let (mut scoreboard, _) = reported(&[(100, 300), (400, 800)]);
    scoreboard.on_retransmit(seq(0), 100, seq(0), seq(1_000));
    scoreboard.on_retransmit(seq(300), 100, seq(0), seq(1_000));
    scoreboard.on_advance(seq(300), 300, SMSS);
    assert_eq!(
        scoreboard.next_rescue(seq(300), seq(1_000), SMSS),
        Some((seq(900), 100))
    );
    // The next recovery has one of its own.
    scoreboard.on_rescue(seq(1_000));
    scoreboard.begin_recovery();
    scoreboard.on_retransmit(seq(300), 100, seq(0), seq(1_000));
    assert_eq!(scoreboard.next_rescue(seq(300), seq(1_000), SMSS), None);
    scoreboard.on_advance(seq(800), 500, SMSS);
    assert_eq!(
        scoreboard.next_rescue(seq(800), seq(1_000), SMSS),
        Some((seq(900), 100))
    );
}

#[test]
fn rfc6675_4_rescue_is_the_highest_octet_without_sack() {
    let (mut scoreboard, _) = reported(&[(100, 400), (600, 650), (700, 1_000)]);
    scoreboard.on_retransmit(seq(0), 100, seq(0), seq(1_000));
    scoreboard.on_advance(seq(400), 400, SMSS);
    assert_eq!(
        scoreboard.next_rescue(seq(400), seq(1_000), SMSS),
        Some((seq(650), 50))
    );
    assert_eq!(
        scoreboard.next_rescue(seq(400), seq(1_000), 20),
        Some((seq(680), 20))
    );
}

#[test]
fn a_retransmission_is_lost_when_what_was_sent_after_it_arrives() {
    let (mut scoreboard, _) = reported(&[(100, 1_000)]);
    let una = seq(0);
    assert!(!scoreboard.on_retransmit(una, 100, una, seq(1_000)));
    let mut nxt = 1_000;
    let mut arrives = |scoreboard: &mut Scoreboard, octets| {
        nxt += octets;
        scoreboard.on_sack(una, seq(nxt), &sack(&[(100, nxt)]));
        scoreboard.update_lost(una, SMSS, DUP_THRESH);
        scoreboard.find_lost_again(SMSS, DUP_THRESH)
    };
    // Two segments that were sent after it may have overtaken it; more have not.
    assert_eq!(arrives(&mut scoreboard, 200), None);
    assert_eq!(scoreboard.next_lost(una, seq(1_200)), None);
    assert_eq!(scoreboard.pipe(una, seq(1_200)), 100);
    assert_eq!(arrives(&mut scoreboard, 1), Some(seq(1_000)));
    assert_eq!(scoreboard.pipe(una, seq(1_201)), 0);
    assert_eq!(scoreboard.next_lost(una, seq(1_201)), Some((una, 100)));
    // Half of it leaves a third time, and the other half.
    assert!(scoreboard.on_retransmit(una, 60, una, seq(1_201)));
    assert_eq!(scoreboard.next_lost(una, seq(1_201)), Some((seq(60), 40)));
    assert!(scoreboard.on_retransmit(seq(60), 40, una, seq(1_201)));
    assert_eq!(scoreboard.pipe(una, seq(1_201)), 100);
    assert_eq!(arrives(&mut scoreboard, 200), None);
    assert_eq!(arrives(&mut scoreboard, 1), Some(seq(1_201)));
}

#[test]
fn rfc2883_duplicates_are_told_apart() {
    let una = seq(200);
    let nxt = seq(1_000);
    for (blocks, dsack, newly_sacked, ignored) in [
        (vec![(100, 200)], true, 0, 0),
        (vec![(100, 200), (300, 400)], true, 100, 0),
        (vec![(350, 400), (300, 500)], true, 200, 0),
        (vec![(300, 400), (500, 600)], false, 200, 0),
        // A block that starts at SND.UNA says nothing that an acknowledgment would not; nor does an empty one.
        (vec![(200, 300)], false, 0, 1),
        (vec![(400, 400), (600, 500)], false, 0, 2),
    ] {
        let update = Scoreboard::default().on_sack(una, nxt, &sack(&blocks));
        let expected = SackUpdate {
            newly_sacked,
            dsack,
            reordering: false,
            ignored,
        };
        assert_eq!(update, expected, "{blocks:?}");
    }
}

#[test]
fn blocks_beyond_what_was_sent_are_ignored() {
    for block in [
        (900, 1_001),
        (1_000, 1_100),
        (5_000, 6_000),
        (500, 3_000_000_000),
    ] {
        let (scoreboard, update) = reported(&[block]);
        assert_eq!((update.newly_sacked, update.ignored), (0, 1), "{block:?}");
        assert!(scoreboard.is_empty());
    }
    // It starts after `una` and ends before `nxt`, by way of the far side of the circle.
    let (scoreboard, update) = reported(&[(100, 200), (0x7fff_ffff, 0xffff_fffe)]);
    assert_eq!((update.newly_sacked, update.ignored), (100, 1));
    assert_eq!(scoreboard.highest_sacked(), Some(seq(200)));
}

#[test]
fn reordering_is_a_late_arrival_that_was_not_sent_again() {
    let (mut scoreboard, update) = reported(&[(500, 600)]);
    assert!(!update.reordering);
    let late = scoreboard.on_sack(seq(0), seq(1_000), &sack(&[(200, 300)]));
    assert!(late.reordering);
    scoreboard.on_retransmit(seq(0), 200, seq(0), seq(1_000));
    let repaired = scoreboard.on_sack(seq(0), seq(1_000), &sack(&[(100, 200)]));
    assert_eq!((repaired.newly_sacked, repaired.reordering), (100, false));
}

#[test]
fn rfc6582_duplicate_acks_empty_the_pipe_and_partial_acks_refill_it() {
    let mut scoreboard = Scoreboard::default();
    let mut una = seq(0);
    let nxt = seq(1_000);
    // Segments 0 and 4 are lost; eight duplicate ACKs follow, and the third shows that 0 is lost.
    for count in 1..=8 {
        scoreboard.on_duplicate_ack(una, nxt, SMSS);
        if count == 3 {
            assert_eq!(scoreboard.pipe(una, nxt), 700);
            assert_eq!(scoreboard.next_lost(una, nxt), None);
            scoreboard.mark_lost_below(una + SMSS);
            assert_eq!(scoreboard.pipe(una, nxt), 600);
            assert_eq!(scoreboard.next_lost(una, nxt), Some((una, 100)));
            scoreboard.on_retransmit(una, 100, una, nxt);
            assert_eq!(scoreboard.pipe(una, nxt), 700);
        }
    }
    assert_eq!(scoreboard.pipe(una, nxt), 200);
    assert_eq!(scoreboard.next_lost(una, nxt), None);
    // The partial ACK covers 0 to 3; five of the duplicate ACKs were for 5 to 9.
    una = seq(400);
    scoreboard.on_advance(una, 400, SMSS);
    scoreboard.mark_lost_below(una + SMSS);
    assert_eq!(scoreboard.pipe(una, nxt), 0);
    assert_eq!(scoreboard.next_lost(una, nxt), Some((una, 100)));
    scoreboard.on_retransmit(una, 100, una, nxt);
    assert_eq!(scoreboard.pipe(una, nxt), 100);
    scoreboard.on_advance(nxt, 600, SMSS);
    assert!(scoreboard.is_empty());
}

#[test]
fn invented_duplicate_acks_are_worth_no_more_than_the_flight() {
    let mut scoreboard = Scoreboard::default();
    let (una, nxt) = (seq(0), seq(1_000));
    for _ in 0..1_000 {
        scoreboard.on_duplicate_ack(una, nxt, SMSS);
    }
    assert_eq!(scoreboard.sacked(), 900);
    // What is sent next stays in the pipe.
    assert_eq!(scoreboard.pipe(una, nxt + 500), 100 + 500);
    // Nothing can have left when nothing is behind the first segment.
    let mut scoreboard = Scoreboard::default();
    scoreboard.on_duplicate_ack(una, una + SMSS, SMSS);
    assert!(scoreboard.is_empty());
}

#[test]
fn the_end_of_recovery_keeps_sack_and_drops_duplicate_acks() {
    // [RFC6675-13]
    let (mut scoreboard, _) = reported(&[(600, 700)]);
    scoreboard.on_duplicate_ack(seq(0), seq(1_000), SMSS);
    assert_eq!(scoreboard.sacked(), 200);
    scoreboard.end_recovery();
    assert_eq!(scoreboard.sacked(), 100);
    scoreboard.clear();
    assert!(scoreboard.is_empty());
    assert_eq!(scoreboard.held(), 0);
}

#[test]
fn a_new_recovery_forgets_what_an_old_one_sent_again() {
    let (mut scoreboard, _) = reported(&[(300, 700)]);
    scoreboard.on_retransmit(seq(0), 300, seq(0), seq(1_000));
    assert_eq!(scoreboard.next_lost(seq(0), seq(1_000)), None);
    scoreboard.begin_recovery();
    assert_eq!(
        scoreboard.next_lost(seq(0), seq(1_000)),
        Some((seq(0), 300))
    );
}

#[test]
fn rfc2018_8_a_timeout_keeps_sack_until_the_peer_seems_to_renege() {
    // [RFC6675-15] [RFC2018-9]
    // First timeout: kept.
    let (mut scoreboard, _) = reported(&[(300, 700)]);
    scoreboard.on_timeout(seq(0));
    assert!(scoreboard.is_sacked(seq(300)));
    // Second in a row: dropped.
    scoreboard.on_timeout(seq(0));
    assert!(!scoreboard.is_sacked(seq(300)));
    // Progress in between: kept.
    let (mut scoreboard, _) = reported(&[(300, 700)]);
    scoreboard.on_timeout(seq(0));
    scoreboard.on_advance(seq(100), 100, SMSS);
    scoreboard.on_timeout(seq(100));
    assert!(scoreboard.is_sacked(seq(300)));
    // The peer SACKed the octet at SND.UNA and does not acknowledge it: dropped.
    scoreboard.on_advance(seq(300), 200, SMSS);
    assert!(scoreboard.is_sacked(seq(300)));
    scoreboard.on_timeout(seq(300));
    assert_eq!(scoreboard.sacked(), 0);
}

#[test]
fn cve_2019_11477_tiny_blocks_stay_bounded() {
    tiny_blocks_in(200_000, 512);
    // A long flight may have as many holes as segments, and they are all known.
    tiny_blocks_in(4_096_000, 4_000);
    tiny_blocks_in(100_000_000, MAX_RANGES);
}

fn tiny_blocks_in(flight: u32, most: usize) {
    let mut scoreboard = Scoreboard::default();
    let (una, nxt) = (seq(u32::MAX - 5_000), seq(u32::MAX - 5_000) + flight);
    let mut ignored = 0;
    // Every second octet, from the top down, four to a segment.
    let octets: Vec<_> = (1..100_000).rev().map(|n| una + 2 * n).collect();
    for four in octets.chunks(4) {
        let mut blocks = SackBlocks::new();
        for &left in four {
            blocks.push(SackBlock {
                left,
                right: left + 1,
            });
        }
        ignored += u32::from(scoreboard.on_sack(una, nxt, &blocks).ignored);
        scoreboard.update_lost(una, 1_448, DUP_THRESH);
    }
    let kept = u32::try_from(most).unwrap();
    assert_eq!(scoreboard.sacked(), kept);
    assert_eq!(ignored, 99_999 - kept);
    assert!(
        scoreboard.held() <= 8 * most.next_power_of_two() + 256,
        "{}",
        scoreboard.held()
    );
    // A block that joins ranges is still taken.
    let update = scoreboard.on_sack(una, nxt, &{
        let mut blocks = SackBlocks::new();
        blocks.push(SackBlock {
            left: una + 1,
            right: nxt,
        });
        blocks
    });
    assert_eq!(update.newly_sacked, flight - 1 - kept);
    scoreboard.on_advance(nxt, flight, 1_448);
    assert_eq!((scoreboard.is_empty(), scoreboard.held()), (true, 0));
}

/// Octet by octet, from the text of RFC 6675.
#[derive(Clone, Debug)]
struct Model {
    /// One entry for each octet from the first ever sent.
    sacked: Vec<bool>,
    una: usize,
    nxt: usize,
    /// Octets that were marked lost by other means than `IsLost`.
    marked_below: usize,
    /// One past `HighRxt`.
    high_rxt: usize,
    /// What was the next octet to send when each was last sent again in this recovery.
    resent_at: Vec<Option<usize>>,
    /// Those whose retransmission the scoreboard believes to be lost.
    lost_again: Vec<bool>,
}

impl Model {
    /// Nothing has been sent again.
    fn begin_recovery(&mut self) {
        self.high_rxt = 0;
        self.resent_at.fill(None);
        self.lost_again.fill(false);
    }

    /// `IsLost`: by what is SACKed above `octet`.
    fn is_lost(&self, octet: usize, smss: usize) -> bool {
        if octet < self.marked_below {
            return true;
        }
        self.is_lost_above(octet + 1, smss)
    }

    /// Whether what is SACKed from `from` on says so of something sent before it.
    fn is_lost_above(&self, from: usize, smss: usize) -> bool {
        let above = &self.sacked[from..self.nxt];
        let octets = above.iter().filter(|&&sacked| sacked).count();
        let ranges = (0..above.len())
            .filter(|&at| above[at] && (at == 0 || !above[at - 1]))
            .count();
        ranges >= 3 || octets > 2 * smss
    }

    fn unsacked(&self) -> impl Iterator<Item = usize> + '_ {
        (self.una..self.nxt).filter(|&octet| !self.sacked[octet])
    }

    /// `SetPipe`.
    fn pipe(&self, smss: usize) -> usize {
        self.unsacked()
            .map(|octet| {
                let resent = octet < self.high_rxt && !self.lost_again[octet];
                usize::from(!self.is_lost(octet, smss)) + usize::from(resent)
            })
            .sum()
    }

    /// `NextSeg` rule 1 and, without `certain`, rule 3: the first octet that fits and how many follow that fit too.
    fn next(&self, smss: usize, certain: bool) -> Option<(usize, usize)> {
        let again = |octet: usize| self.lost_again[octet] && !self.sacked[octet];
        if certain && let Some(first) = (self.una..self.nxt).find(|&octet| again(octet)) {
            let end = (first..self.nxt).find(|&octet| !again(octet));
            return Some((first, end.unwrap_or(self.nxt) - first));
        }
        let sacked = &self.sacked[self.una..self.nxt];
        let highest = sacked
            .iter()
            .rposition(|&sacked| sacked)
            .map_or(0, |at| self.una + at + 1);
        let fits = |octet: usize| {
            let missing = if certain {
                self.is_lost(octet, smss)
            } else {
                octet < highest
            };
            octet >= self.high_rxt && !self.sacked[octet] && missing
        };
        let first = self.unsacked().find(|&octet| fits(octet))?;
        let end = (first..self.nxt)
            .find(|&octet| !fits(octet))
            .unwrap_or(self.nxt);
        Some((first, end - first))
    }
}

#[derive(Clone, Debug)]
enum Step {
    Sack(Vec<(usize, usize)>),
    Ack(usize),
    Send(usize),
    Retransmit(usize),
    Timeout,
    MarkFirst,
    BeginRecovery,
}

fn step() -> impl Strategy<Value = Step> {
    let block = (0_usize..70, 1_usize..12);
    prop_oneof![
        4 => prop::collection::vec(block, 1..4).prop_map(Step::Sack),
        2 => (1_usize..20).prop_map(Step::Ack),
        2 => (1_usize..20).prop_map(Step::Send),
        3 => (1_usize..6).prop_map(Step::Retransmit),
        1 => Just(Step::Timeout),
        1 => Just(Step::MarkFirst),
        1 => Just(Step::BeginRecovery),
    ]
}

/// A scoreboard and the model side by side; octet `n` of the model has the number `origin + n`.
struct Pair {
    scoreboard: Scoreboard,
    model: Model,
    origin: SeqNum,
    smss: usize,
    timed_out: bool,
}

impl Pair {
    fn new(origin: u32, smss: usize) -> Self {
        let model = Model {
            sacked: vec![false; 60],
            una: 0,
            nxt: 60,
            marked_below: 0,
            high_rxt: 0,
            resent_at: vec![None; 60],
            lost_again: vec![false; 60],
        };
        Self {
            scoreboard: Scoreboard::default(),
            model,
            origin: seq(origin),
            smss,
            timed_out: false,
        }
    }

    fn at(&self, octet: usize) -> SeqNum {
        self.origin + u32::try_from(octet).unwrap()
    }

    fn smss(&self) -> u32 {
        u32::try_from(self.smss).unwrap()
    }

    fn apply(&mut self, step: &Step) {
        let (una, nxt) = (self.at(self.model.una), self.at(self.model.nxt));
        match step {
            Step::Sack(blocks) => self.sack(blocks),
            Step::Ack(octets) => {
                let to = (self.model.una + octets).min(self.model.nxt);
                let acked = u32::try_from(to - self.model.una).unwrap();
                self.model.una = to;
                if acked > 0 {
                    self.timed_out = false;
                    self.scoreboard.on_advance(self.at(to), acked, self.smss());
                }
            }
            Step::Send(octets) => {
                self.model.nxt += octets;
                self.model.sacked.resize(self.model.nxt, false);
                self.model.resent_at.resize(self.model.nxt, None);
                self.model.lost_again.resize(self.model.nxt, false);
            }
            Step::Retransmit(octets) => {
                if let Some((first, len)) = self.scoreboard.next_lost(una, nxt) {
                    let len = len.min(u32::try_from(*octets).unwrap());
                    self.scoreboard.on_retransmit(first, len, una, nxt);
                    let end = (first + len).since(self.origin) as usize;
                    self.model.high_rxt = self.model.high_rxt.max(end);
                    let start = first.since(self.origin) as usize;
                    for octet in start..end {
                        self.model.resent_at[octet] = Some(self.model.nxt);
                        self.model.lost_again[octet] = false;
                    }
                }
            }
            Step::Timeout => {
                let Model {
                    una: first,
                    nxt: end,
                    ..
                } = self.model;
                if self.timed_out || self.model.sacked.get(first) == Some(&true) {
                    self.model.sacked.fill(false);
                }
                self.timed_out |= !self.scoreboard.is_empty();
                self.scoreboard.on_timeout(una);
                self.scoreboard.mark_lost_below(nxt);
                self.model.marked_below = end;
                self.model.begin_recovery();
            }
            Step::MarkFirst => {
                let edge = (self.model.una + self.smss).min(self.model.nxt);
                self.scoreboard.mark_lost_below(self.at(edge));
                self.model.marked_below = self.model.marked_below.max(edge);
            }
            Step::BeginRecovery => {
                self.scoreboard.begin_recovery();
                self.model.begin_recovery();
            }
        }
    }

    fn sack(&mut self, ranges: &[(usize, usize)]) {
        let mut blocks = SackBlocks::new();
        let mut newly_sacked = 0;
        for &(offset, len) in ranges {
            let (left, right) = (self.model.una + offset, self.model.una + offset + len);
            blocks.push(SackBlock {
                left: self.at(left),
                right: self.at(right),
            });
            if offset > 0 && right <= self.model.nxt {
                for octet in &mut self.model.sacked[left..right] {
                    newly_sacked += u32::from(!*octet);
                    *octet = true;
                }
            }
        }
        let (una, nxt) = (self.at(self.model.una), self.at(self.model.nxt));
        let update = self.scoreboard.on_sack(una, nxt, &blocks);
        assert_eq!(update.newly_sacked, newly_sacked);
    }

    /// What the scoreboard says of retransmissions holds: what was sent after them arrived.
    fn take_lost_again(&mut self) {
        let newest = self
            .scoreboard
            .find_lost_again(self.smss(), DUP_THRESH)
            .map(|at| at.since(self.origin) as usize);
        let Model { una, nxt, .. } = self.model;
        let due = |pair: &Self, octet: usize| {
            let board = pair.scoreboard.board.as_deref()?;
            let due = board.resent.due?;
            let at = pair.at(octet);
            Some(at.at_or_after(due.start) && at.before(due.end))
        };
        for octet in una..nxt {
            let is_due = due(self, octet) == Some(true) && !self.model.sacked[octet];
            if is_due && !self.model.lost_again[octet] {
                let sent = self.model.resent_at[octet].expect("it was sent again");
                assert!(newest.is_some_and(|newest| newest >= sent), "{octet}");
                assert!(self.model.is_lost_above(sent, self.smss), "{octet}");
                self.model.lost_again[octet] = true;
            } else if !self.model.sacked[octet] {
                assert_eq!(is_due, self.model.lost_again[octet], "{octet}");
            }
        }
    }

    fn compare(&mut self) {
        let Model { una, nxt, .. } = self.model;
        let (seq_una, seq_nxt) = (self.at(una), self.at(nxt));
        let una_is_lost = self
            .scoreboard
            .update_lost(seq_una, self.smss(), DUP_THRESH);
        self.take_lost_again();
        // What is lost stays lost: remember what the text's function says as this ACK leaves it.
        let lost: Vec<_> = self
            .model
            .unsacked()
            .filter(|&o| self.model.is_lost(o, self.smss))
            .collect();
        if let Some(&highest) = lost.last() {
            self.model.marked_below = self.model.marked_below.max(highest + 1);
        }
        assert_eq!(una_is_lost, lost.first() == Some(&una));
        assert_eq!(self.scoreboard.lost(seq_una, seq_nxt) as usize, lost.len());
        assert_eq!(
            self.scoreboard.pipe(seq_una, seq_nxt) as usize,
            self.model.pipe(self.smss)
        );
        for octet in una..nxt {
            assert_eq!(
                self.scoreboard.is_sacked(self.at(octet)),
                self.model.sacked[octet]
            );
            assert_eq!(
                self.scoreboard.is_lost(self.at(octet)),
                lost.contains(&octet),
                "{octet}"
            );
        }
        let sacked = self.model.sacked[una..nxt]
            .iter()
            .filter(|&&sacked| sacked)
            .count();
        assert_eq!(self.scoreboard.sacked() as usize, sacked);
        let next = |certain| {
            self.model
                .next(self.smss, certain)
                .map(|(first, len)| (self.at(first), u32::try_from(len).unwrap()))
        };
        assert_eq!(self.scoreboard.next_lost(seq_una, seq_nxt), next(true));
        assert_eq!(
            self.scoreboard.next_uncertain(seq_una, seq_nxt),
            next(false)
        );
        self.compare_edges(sacked);
    }

    fn compare_edges(&self, sacked: usize) {
        let Some(board) = &self.scoreboard.board else {
            assert_eq!(sacked, 0);
            return;
        };
        // The cached counts are what a walk over the ranges would find.
        assert_eq!(
            board.resent.waiting() as usize,
            (self.model.una..self.model.nxt)
                .filter(|&o| self.model.lost_again[o] && !self.model.sacked[o])
                .count()
        );
        for Edge { at, sacked_below } in [board.lost, board.retransmitted] {
            assert_eq!(
                sacked_below,
                at.map_or(0, |at| board.ranges.octets_below(at))
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn agrees_with_the_text_of_rfc6675(
        origin in prop_oneof![any::<u32>(), u32::MAX - 100..=u32::MAX],
        smss in 2_usize..8,
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut pair = Pair::new(origin, smss);
        for step in &steps {
            pair.apply(step);
            pair.compare();
        }
        let nxt = pair.at(pair.model.nxt);
        pair.scoreboard.on_advance(nxt, 1, 1);
        prop_assert!(pair.scoreboard.is_empty());
        prop_assert_eq!(pair.scoreboard.held(), 0);
    }
}
