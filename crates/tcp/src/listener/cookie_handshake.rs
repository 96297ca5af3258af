//! A handshake without a record: the SYN is answered with a cookie, the ACK that brings it back makes the connection.

use alloc::boxed::Box;
use alloc::sync::Arc;

use handwave_wire::{SeqNum, TcpFlags, TcpOptions, Timestamps};

use super::cookie::{COOKIE_AGE_MAX, Cookie, Offer, bake, taste};
use super::syn_queue::HalfOpen;
use super::{ListenVerdict, Listener, SynCookies, drop_segment, record_entry};
use crate::connection::Connection;
use crate::error::DropReason;
use crate::host::Context;
use crate::options::{
    Negotiated, TIMESTAMPS_LEN, TimestampClock, announced_mss, default_mss, syn_options,
};
use crate::output::{Reply, syn_window};
use crate::phase::Phase;
use crate::segment::{Path, SegmentIn, SegmentOut};
use crate::tcb::Origin;
use crate::time::Instant;
use crate::trace::{SendReason, TraceEvent, Verdict};
use crate::tuple::Tuple;

/// By how much, in milliseconds, TSval of a cookie may lie behind the clock at most.
const LAG_MAX: u32 = 1 << 15;

impl Listener {
    /// Answers a SYN with a SYN+ACK of which nothing is kept; drops it if its number would not lie beyond `iss_floor`.
    pub(super) fn answer_with_cookie(
        &mut self,
        cx: &mut Context<'_>,
        tuple: Tuple,
        path: Path,
        segment: &SegmentIn,
        iss_floor: Option<SeqNum>,
    ) -> ListenVerdict {
        let syn = &segment.header;
        let ecn = TcpFlags::ECE | TcpFlags::CWR;
        let offer = Offer {
            mss: syn.options.mss.unwrap_or_else(|| default_mss(&tuple)),
            window_scale: syn.options.window_scale,
            sack: syn.options.sack_permitted,
            ecn: syn.flags.contains(ecn),
        };
        let negotiated = Negotiated::new(&self.config, &syn.options);
        let clock = negotiated
            .timestamps
            .then(|| own_clock(cx, &tuple).value(cx.now));
        let cookie = bake(
            &mut cx.host.cookie_keys,
            cx.now,
            &tuple,
            syn.seq,
            &offer,
            clock,
        );
        let beyond = |cookie: &Cookie| iss_floor.is_none_or(|floor| !cookie.iss.before(floor));
        let Some(cookie) = cookie.filter(beyond) else {
            self.counters.drops += 1;
            return drop_segment(cx, DropReason::SynQueueFull);
        };
        let stamp = Timestamps {
            value: cookie.stamp.unwrap_or(0),
            echo: syn.options.timestamps.map_or(0, |stamp| stamp.value),
        };
        let mss = announced_mss(&self.config, &tuple, path);
        let answer = Reply::syn_ack(
            &self.config,
            (cookie.iss, syn.seq + 1),
            syn_window(&self.config, full_segment(mss, &negotiated)),
            &syn_options(&self.config, mss, stamp, &negotiated),
        );
        self.counters.syncookies_sent += 1;
        self.cookie_sent_at = Some(cx.now);
        cx.host.counters.segments_out += 1;
        if cx.host.is_traced() {
            // Told of and thrown away: nothing is sent from it.
            let numbers = (cookie.iss, 0);
            let record = HalfOpen::new(&self.config, cx.now, &tuple, path, syn, numbers);
            trace_cookie(cx, tuple, &record, segment, &answer.segment(&tuple));
        }
        ListenVerdict::Cookie(answer)
    }

    /// Whether an acknowledgment out of nowhere may bring a cookie back.
    pub(super) fn expects_cookies(&self, cx: &Context<'_>) -> bool {
        if self.limits.cookies == SynCookies::Off {
            return false;
        }
        let sent = self.cookie_sent_at;
        cx.host.cookie_keys.is_shared() || sent.is_some_and(|sent| cx.now - sent <= COOKIE_AGE_MAX)
    }

    /// An acknowledgment that belongs to no record: a cookie that is genuine makes the connection, with the text and the FIN of the
    /// segment; anything else is answered with a RST. A record that was made when the client's SYN came again is not needed any more.
    ///
    /// So is a genuine cookie that finds the accept queue full: no record is left whose SYN+ACK could be sent again, and a client
    /// that waits for the server to speak first would wait in vain.
    pub(super) fn handle_cookie(
        &mut self,
        cx: &mut Context<'_>,
        tuple: Tuple,
        path: Path,
        segment: &mut SegmentIn,
    ) -> ListenVerdict {
        let header = &segment.header;
        let stamps = header.options.timestamps.filter(|_| self.config.timestamps);
        let (iss, irs) = (header.ack - 1, header.seq - 1);
        let stamp = stamps.map(|stamp| stamp.echo);
        let cookie = Cookie { iss, stamp };
        let offer = taste(&mut cx.host.cookie_keys, cx.now, &tuple, irs, &cookie);
        let limit = &self.limits.blind_acks;
        let Some(offer) = offer else {
            self.blind_acks.take(limit, cx.now);
            self.counters.syncookies_failed += 1;
            cx.host.counters.count_drop(DropReason::CookieInvalid);
            return self.reset(cx, segment);
        };
        if stamp.is_none() && !self.blind_acks.has(limit, cx.now) {
            self.counters.syncookies_doubted += 1;
            cx.host.counters.count_drop(DropReason::CookieInvalid);
            return self.reset(cx, segment);
        }
        self.counters.syncookies_received += 1;
        if self.accept_queue_is_full() {
            self.counters.accept_queue_full += 1;
            self.counters.drops += 1;
            cx.host.counters.count_drop(DropReason::AcceptQueueFull);
            return self.reset(cx, segment);
        }
        if let Some(lost) = self.refuse_handshake(cx, tuple, segment) {
            return lost;
        }
        self.remove_record(&tuple);
        // The connection counts the segment.
        cx.host.counters.segments_in -= 1;
        let connection = self.establish_from_cookie(cx, tuple, path, segment, (&cookie, &offer));
        ListenVerdict::Established(connection)
    }

    fn establish_from_cookie(
        &mut self,
        cx: &mut Context<'_>,
        tuple: Tuple,
        path: Path,
        segment: &mut SegmentIn,
        (cookie, offer): (&Cookie, &Offer),
    ) -> Box<Connection> {
        let irs = segment.header.seq - 1;
        let stamps = segment.header.options.timestamps;
        let offered = TcpOptions {
            mss: Some(offer.mss),
            window_scale: offer.window_scale,
            sack_permitted: offer.sack,
            timestamps: stamps,
            ..TcpOptions::default()
        };
        let clock = cookie.stamp.map(|echo| continued_clock(cx, &tuple, echo));
        let clock = TimestampClock {
            recent: stamps.map_or(0, |stamp| stamp.value),
            ..clock.unwrap_or_else(|| own_clock(cx, &tuple))
        };
        let negotiated = Negotiated::new(&self.config, &offered);
        let mss = full_segment(announced_mss(&self.config, &tuple, path), &negotiated);
        let mut connection = Connection::passive(
            cx.now,
            Origin {
                tuple,
                iss: cookie.iss,
                irs,
                path,
                peer_mss: Some(offer.mss),
                negotiated,
                clock,
                edge: irs + 1 + u32::from(syn_window(&self.config, mss)),
                handshake_repeats: 0,
                config: Arc::clone(&self.config),
            },
            None,
        );
        connection.handle_cookie(cx, segment);
        self.count_established(cx);
        connection
    }
}

/// The text of the peer's full segments.
fn full_segment(mss: u16, negotiated: &Negotiated) -> u16 {
    mss.saturating_sub(if negotiated.timestamps {
        TIMESTAMPS_LEN
    } else {
        0
    })
}

/// The clock that every segment on this tuple carries.
fn own_clock(cx: &Context<'_>, tuple: &Tuple) -> TimestampClock {
    TimestampClock {
        offset: cx.host.timestamp_offset(tuple),
        recent: 0,
        recent_at: cx.now,
    }
}

/// The clock of a connection whose SYN+ACK carried `echo`: our own, or, if a node with another clock sent it, one that goes on
/// from there. Either way nothing that is sent later looks older to the peer (PAWS).
fn continued_clock(cx: &Context<'_>, tuple: &Tuple, echo: u32) -> TimestampClock {
    let mut clock = own_clock(cx, tuple);
    let behind = clock.value(cx.now).wrapping_sub(echo);
    let age_max = u32::try_from(COOKIE_AGE_MAX.as_millis()).unwrap_or(u32::MAX);
    if behind > age_max + LAG_MAX {
        let begins_at = echo.wrapping_add(LAG_MAX);
        let advance = begins_at.wrapping_sub(clock.value(cx.now));
        clock.offset = clock.offset.wrapping_add(advance);
    }
    clock
}

/// The SYN arrives and its answer leaves, while the listener goes on listening.
fn trace_cookie(
    cx: &mut Context<'_>,
    tuple: Tuple,
    record: &HalfOpen,
    segment: &SegmentIn,
    answer: &SegmentOut,
) {
    let arrived = TraceEvent::SegmentArrived {
        header: segment.header,
        payload_len: segment.payload.len(),
    };
    let sent = TraceEvent::SegmentSent {
        header: answer.header,
        payload_len: 0,
        reason: SendReason::Handshake,
    };
    let stays = (Phase::Listen, Phase::Listen);
    for event in [arrived, sent] {
        let now: Instant = cx.now;
        let entry = record_entry(now, tuple, record, event, stays, Verdict::Accepted);
        cx.host.trace(&entry);
    }
}
