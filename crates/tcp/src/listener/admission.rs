//! A SYN in LISTEN: a record, a cookie, or a refusal (RFC 9293 3.10.7.2, RFC 4987 3).

use core::net::IpAddr;
use core::ops::ControlFlow;

use handwave_wire::SeqNum;

use super::sources::{Budget, Finding};
use super::syn_queue::HalfOpen;
use super::{ListenVerdict, Listener, Refusal, SynCookies, Unverified, drop_segment};
use crate::error::DropReason;
use crate::host::Context;
use crate::phase::Phase;
use crate::segment::{Path, SegmentIn};
use crate::trace::Verdict;
use crate::tuple::Tuple;

impl Listener {
    /// Whether a record may be made of a SYN; otherwise what becomes of it.
    pub(super) fn admit(
        &mut self,
        cx: &mut Context<'_>,
        tuple: Tuple,
        path: Path,
        segment: &SegmentIn,
        iss_floor: Option<SeqNum>,
    ) -> ControlFlow<ListenVerdict> {
        let finding = self.note_syn(cx, &tuple);
        match finding {
            Finding::Denied | Finding::OverVerified(_) => {
                self.count_finding(finding);
                let reason = DropReason::SourceRefused;
                return ControlFlow::Break(self.refuse(cx, segment, reason));
            }
            Finding::Fine | Finding::OverUnverified(_) => {}
        }
        if self.accept_queue_is_full() {
            self.counters.accept_queue_full += 1;
            self.counters.drops += 1;
            return ControlFlow::Break(match self.limits.reset_on_overflow {
                true => self.reset(cx, segment),
                false => drop_segment(cx, DropReason::AcceptQueueFull),
            });
        }
        if finding != Finding::Fine {
            let verdict = self.handle_unverified(cx, tuple, path, segment, (finding, iss_floor));
            return ControlFlow::Break(verdict);
        }
        // Where an earlier connection has just ended, the numbers have to go on from there, and a record can see to that.
        if self.limits.cookies == SynCookies::Always && iss_floor.is_none() {
            return ControlFlow::Break(
                self.answer_with_cookie(cx, tuple, path, segment, iss_floor),
            );
        }
        if self.syn_queue_is_full() {
            self.counters.syn_queue_full += 1;
            if self.limits.cookies != SynCookies::Off {
                self.counters.req_queue_full_do_cookies += 1;
                return ControlFlow::Break(
                    self.answer_with_cookie(cx, tuple, path, segment, iss_floor),
                );
            }
            self.counters.req_queue_full_drop += 1;
            self.counters.drops += 1;
            return ControlFlow::Break(drop_segment(cx, DropReason::SynQueueFull));
        }
        self.counters.syns_received += 1;
        ControlFlow::Continue(())
    }

    /// Lets everybody who keeps count know of a SYN.
    fn note_syn(&mut self, cx: &Context<'_>, tuple: &Tuple) -> Finding {
        let addr = tuple.remote.addr;
        let limits = &self.limits.limits;
        self.heavy_hitters.on_syn(limits.prefix_of(addr), cx.now);
        let overflow = match self.limits.cookies {
            SynCookies::Always => false,
            SynCookies::Off | SynCookies::OnOverflow => self.syn_queue_is_full(),
        };
        let depth = self.half_open() + self.share.others_half_open();
        self.flood.on_syn(cx.now, depth, overflow);
        let finding = if self.watches_sources() {
            self.with_sources(|sources, limits| sources.on_syn(limits, addr, cx.now))
        } else {
            Finding::Fine
        };
        self.count_flood();
        finding
    }

    /// Keeps the number of floods up to date after the detector was asked.
    pub(super) const fn count_flood(&mut self) {
        self.counters.floods = self.flood.begun();
    }

    /// A SYN over an unverified budget: its source may be innocent, so a cookie answers it unless the operator says otherwise.
    fn handle_unverified(
        &mut self,
        cx: &mut Context<'_>,
        tuple: Tuple,
        path: Path,
        segment: &SegmentIn,
        (finding, iss_floor): (Finding, Option<SeqNum>),
    ) -> ListenVerdict {
        self.count_finding(finding);
        match (self.limits.limits.unverified, self.limits.cookies) {
            (Unverified::Cookie, SynCookies::OnOverflow | SynCookies::Always) => {
                self.counters.limit_do_cookies += 1;
                self.answer_with_cookie(cx, tuple, path, segment, iss_floor)
            }
            (Unverified::Cookie, SynCookies::Off) => {
                self.counters.drops += 1;
                drop_segment(cx, DropReason::SourceOverBudget)
            }
            (Unverified::Refuse, _) => self.refuse(cx, segment, DropReason::SourceOverBudget),
        }
    }

    /// Charges a half-open record to its source; whether it counts until it is gone.
    #[inline]
    pub(super) fn charge_record(&mut self, cx: &Context<'_>, remote: IpAddr) -> bool {
        self.limits.limits.half_open_max.is_some()
            && self.with_sources(|sources, limits| sources.on_record(limits, remote, cx.now))
    }

    pub(super) fn make_record(
        &mut self,
        cx: &mut Context<'_>,
        tuple: Tuple,
        path: Path,
        segment: &SegmentIn,
        iss_floor: Option<SeqNum>,
    ) -> ListenVerdict {
        let secret = cx.host.secret_of(&tuple);
        let mut iss = secret.isn(cx.now);
        if let Some(floor) = iss_floor.filter(|&floor| iss.before(floor)) {
            iss = floor;
        }
        let numbers = (iss, secret.timestamp_offset);
        let mut record =
            HalfOpen::new(&self.config, cx.now, &tuple, path, &segment.header, numbers);
        record.set_counted(self.charge_record(cx, tuple.remote.addr));
        self.syn_queue.insert(&tuple, &record);
        let change = (Phase::Listen, Phase::SynReceived);
        self.trace_arrival(cx, &tuple, segment, change, Verdict::Accepted);
        ListenVerdict::Queued
    }

    /// Charges a completed handshake to its source; the verdict on the segment if it may not complete.
    #[inline]
    pub(super) fn refuse_handshake(
        &mut self,
        cx: &mut Context<'_>,
        tuple: Tuple,
        segment: &SegmentIn,
    ) -> Option<ListenVerdict> {
        if self.charge_handshake(cx, tuple.remote.addr) {
            return None;
        }
        if self.limits.limits.refusal == Refusal::Reset {
            self.remove_record(&tuple);
        }
        Some(self.refuse(cx, segment, DropReason::SourceRefused))
    }

    /// Charges a completed handshake to its source; `false` if it may not complete.
    #[inline]
    pub(super) fn charge_handshake(&mut self, cx: &Context<'_>, remote: IpAddr) -> bool {
        if !self.watches_sources() {
            return true;
        }
        let finding =
            self.with_sources(|sources, limits| sources.on_handshake(limits, remote, cx.now));
        self.count_finding(finding);
        finding == Finding::Fine
    }

    fn refuse(
        &mut self,
        cx: &mut Context<'_>,
        segment: &SegmentIn,
        reason: DropReason,
    ) -> ListenVerdict {
        self.counters.drops += 1;
        match self.limits.limits.refusal {
            Refusal::Drop => drop_segment(cx, reason),
            Refusal::Reset => {
                cx.host.counters.count_drop(reason);
                self.reset(cx, segment)
            }
        }
    }

    const fn count_finding(&mut self, finding: Finding) {
        let counters = &mut self.counters;
        let counter = match finding {
            Finding::Fine => return,
            Finding::Denied => &mut counters.denied,
            Finding::OverUnverified(budget) | Finding::OverVerified(budget) => match budget {
                Budget::SynRate => &mut counters.limit_syn_rate,
                Budget::HalfOpen => &mut counters.limit_half_open,
                Budget::SynRateTotal => &mut counters.limit_syn_rate_total,
                Budget::Established => &mut counters.limit_established,
                Budget::EstablishedRate => &mut counters.limit_established_rate,
                Budget::EstablishedTotal => &mut counters.limit_established_total,
            },
        };
        *counter += 1;
    }
}
