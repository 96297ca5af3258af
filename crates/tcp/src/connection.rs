//! One connection, from an active OPEN or an accepted handshake to its end.

mod linux;
mod text;

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::time::Duration;

use crate::config::Config;
use crate::error::ConnectionError;
use crate::events::icmp::{self, IcmpError};
use crate::events::segment_arrives::other_states;
use crate::events::segment_arrives::syn_sent::{Outcome, SynSent};
use crate::events::{calls, timeouts};
use crate::host::Context;
use crate::notice::Events;
use crate::output;
use crate::phase::Phase;
use crate::segment::{SegmentIn, SegmentOut};
use crate::status::TcpInfo;
use crate::tcb::{Origin, Tcb};
use crate::time::Instant;
use crate::time_wait::{TimeWait, TimeWaitVerdict};
use crate::timer::Timer;
use crate::trace::{
    ReceiveSnapshot, SendReason, SendSnapshot, TraceEntry, TraceEvent, UserCall, Verdict,
};
use crate::tuple::Tuple;

/// A TCP connection without I/O: segments, time and calls go in, segments and events come out.
///
/// Methods are of four kinds: **getters**; **`handle_*`**, input from outside; **application I/O**; **`poll_*`** and
/// [`take_events`](Self::take_events), output to take. After each `handle_*` or application call, drain
/// [`poll_transmit`](Self::poll_transmit) until it returns `None`, then arm one timer for
/// [`poll_timeout`](Self::poll_timeout) and call [`handle_timeout`](Self::handle_timeout) when it expires. Several inputs may
/// be handled before output is drained; acknowledgments then merge (RFC 9293 3.10.7.4 [MUST-58] [MUST-59]).
///
/// ```
/// use std::sync::Arc;
/// use handwave_tcp::{Config, Connection, Context, Endpoint, Host, Instant, Path, Phase, Secrets, Tuple};
///
/// let mut host = Host::new(Secrets::from_seed(1));
/// let mut cx = Context::new(Instant::ZERO, &mut host);
/// let end = |last, port| Endpoint::new([192, 0, 2, last].into(), port);
/// let mut connection =
///     Connection::connect(&mut cx, Arc::new(Config::default()), Tuple::new(end(1, 49152), end(2, 80)), Path::with_mtu(1500));
///
/// let syn = connection.poll_transmit(&mut cx).expect("the SYN leaves at once");
/// assert_eq!(syn.header.flags.to_string(), "S");
/// assert!(connection.poll_transmit(&mut cx).is_none());
/// assert_eq!(connection.phase(), Phase::SynSent);
/// assert_eq!(connection.poll_timeout(), Some(Instant::from_secs(1)), "the SYN is sent again after an RTO");
/// ```
#[derive(Debug)]
pub struct Connection {
    state: State,
}

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "most connections are known, and each has a box of its own"
)]
enum State {
    SynSent(SynSent),
    Known(Tcb),
    /// Ended before the peer was known.
    Stillborn {
        tuple: Tuple,
        config: Arc<Config>,
        error: Option<ConnectionError>,
        events: Events,
        released: bool,
    },
}

impl Connection {
    /// A connection that has yet to learn of its peer.
    pub(crate) const fn from_opening(opening: SynSent) -> Self {
        Self {
            state: State::SynSent(opening),
        }
    }

    /// A connection whose handshake a listener carried out, and what that says of the round-trip time.
    pub(crate) fn passive(now: Instant, origin: Origin, rtt: Option<Duration>) -> Box<Self> {
        // The box comes first, so that the TCB can be made in it.
        let place = Box::new_uninit();
        let state = State::Known(Tcb::new(now, origin));
        let mut connection = Box::write(place, Self { state });
        if let (State::Known(tcb), Some(rtt)) = (&mut connection.state, rtt) {
            tcb.rtt.on_sample(rtt);
        }
        connection
    }

    /// The acknowledgment that brought a cookie back. Its echo is a cookie too and says nothing about the round-trip time: an octet
    /// that was not sent yet is said to be timed, so that the echo is not looked at.
    pub(crate) fn handle_cookie(&mut self, cx: &mut Context<'_>, segment: &mut SegmentIn) {
        if let State::Known(tcb) = &mut self.state {
            tcb.timed = Some((tcb.snd.iss + 2, cx.now));
        }
        self.handle_segment_in_place(cx, segment);
        if let State::Known(tcb) = &mut self.state {
            tcb.timed = None;
        }
    }

    // ----- input -----

    /// SEGMENT ARRIVES (RFC 9293 3.10.7): takes a segment whose checksum is right and whose ports match.
    pub fn handle_segment(&mut self, cx: &mut Context<'_>, mut segment: SegmentIn) -> Verdict {
        self.handle_segment_in_place(cx, &mut segment)
    }

    /// The same with a segment that is not moved: what is kept of it is taken out.
    pub fn handle_segment_in_place(
        &mut self,
        cx: &mut Context<'_>,
        segment: &mut SegmentIn,
    ) -> Verdict {
        cx.host.counters.segments_in += 1;
        let before = self.phase();
        let arrived = cx.host.is_traced().then(|| TraceEvent::SegmentArrived {
            header: segment.header,
            payload_len: segment.payload.len(),
        });
        let verdict = match &mut self.state {
            State::SynSent(_) => self.meet_peer(cx, segment),
            State::Known(tcb) if tcb.phase() == Phase::TimeWait => {
                time_wait_segment(tcb, cx, segment)
            }
            State::Known(tcb) if tcb.phase() != Phase::Closed => {
                other_states::handle(tcb, cx, segment)
            }
            State::Known(_) | State::Stillborn { .. } => {
                Verdict::Dropped(crate::error::DropReason::NoConnection)
            }
        };
        count(cx, verdict);
        if let Some(event) = arrived {
            self.trace(cx, event, before, verdict);
        }
        verdict
    }

    fn meet_peer(&mut self, cx: &mut Context<'_>, segment: &mut SegmentIn) -> Verdict {
        let State::SynSent(opening) = &mut self.state else {
            return Verdict::Accepted;
        };
        match opening.handle_segment(cx, segment) {
            Outcome::Waiting(verdict) => verdict,
            Outcome::Refused => {
                self.end_stillborn(cx, Some(ConnectionError::Refused));
                Verdict::ConnectionReset
            }
            Outcome::Known => {
                let origin = opening.origin(cx.now, &segment.header);
                let past = opening.past();
                self.state = State::Known(Tcb::new(cx.now, origin));
                match &mut self.state {
                    State::Known(tcb) => past.meet(cx, segment, tcb),
                    _ => Verdict::Accepted,
                }
            }
        }
    }

    fn end_stillborn(&mut self, cx: &mut Context<'_>, error: Option<ConnectionError>) {
        let State::SynSent(opening) = &self.state else {
            return;
        };
        cx.host.counters.attempt_fails += 1;
        let events = opening.events | Events::CLOSED | Events::READABLE | Events::WRITABLE;
        let (tuple, config) = (opening.tuple, Arc::clone(&opening.config));
        self.state = State::Stillborn {
            tuple,
            config,
            error,
            events,
            released: false,
        };
    }

    /// TIMEOUTS (RFC 9293 3.10.8): runs what is due at `cx.now`; harmless when nothing is.
    pub fn handle_timeout(&mut self, cx: &mut Context<'_>) {
        match &mut self.state {
            State::Known(tcb) => timeouts::handle(tcb, cx),
            State::SynSent(opening) => {
                let due = opening.deadline.is_some_and(|deadline| deadline <= cx.now);
                if let Err(error) = opening.handle_timeout(cx.now) {
                    self.end_stillborn(cx, Some(error));
                }
                if due {
                    self.trace(
                        cx,
                        TraceEvent::Timeout(Timer::Retransmission),
                        Phase::SynSent,
                        Verdict::Accepted,
                    );
                }
            }
            State::Stillborn { .. } => {}
        }
    }

    /// Takes an ICMP error about a segment of this connection; `false` if it quotes nothing in flight (RFC 5927 4.1).
    pub fn handle_icmp(&mut self, cx: &mut Context<'_>, error: IcmpError) -> bool {
        let before = self.phase();
        let believed = match &mut self.state {
            State::Known(tcb) if tcb.phase() != Phase::Closed => icmp::handle(tcb, cx, error),
            State::SynSent(opening) if error.seq == opening.iss => {
                match error.kind.ends_opening(&opening.config) {
                    Some(hard) => self.end_stillborn(cx, Some(hard)),
                    None => opening.handle_soft_error(error.kind),
                }
                true
            }
            State::SynSent(_) | State::Known(_) | State::Stillborn { .. } => false,
        };
        if believed {
            self.trace(cx, TraceEvent::Icmp, before, Verdict::Accepted);
        }
        believed
    }

    /// Learns the MTU of the path, in octets, from path MTU discovery or a changed route.
    pub fn handle_path_mtu(&mut self, cx: &mut Context<'_>, mtu: u16) {
        match &mut self.state {
            State::Known(tcb) if tcb.phase() != Phase::Closed => {
                icmp::set_path_mtu(tcb, mtu, cx.now)
            }
            State::SynSent(opening) => opening.path.mtu = mtu,
            State::Known(_) | State::Stillborn { .. } => {}
        }
    }

    // ----- application -----

    /// CLOSE (RFC 9293 3.10.4): a FIN follows what has been written; reading goes on (half-close).
    ///
    /// Before the peer is known there is nobody to say goodbye to: the connection is deleted.
    pub fn close(&mut self, cx: &mut Context<'_>) {
        let before = self.phase();
        match &mut self.state {
            State::Known(tcb) => calls::close(tcb, cx),
            State::SynSent(_) => self.end_stillborn(cx, None),
            State::Stillborn { .. } => return,
        }
        self.trace(
            cx,
            TraceEvent::Call(UserCall::Close),
            before,
            Verdict::Accepted,
        );
    }

    /// Lets go of the connection: [`close`](Self::close), and nothing will be read (RFC 9293 3.6.1 [MAY-1]).
    ///
    /// Text that arrived and was not read, or arrives later, is answered with RST (RFC 9293 3.6.1 [SHLD-3]). What was written is
    /// still delivered, within the limits for orphans.
    pub fn release(&mut self, cx: &mut Context<'_>) {
        let before = self.phase();
        if let State::SynSent(_) = self.state {
            self.end_stillborn(cx, None);
        }
        match &mut self.state {
            State::Known(tcb) => calls::release(tcb, cx),
            State::Stillborn { released, .. } => *released = true,
            State::SynSent(_) => {}
        }
        self.trace(
            cx,
            TraceEvent::Call(UserCall::Release),
            before,
            Verdict::Accepted,
        );
    }

    /// The application will not read any more, but keeps the connection. What arrives still waits to be read; with
    /// [`Resets::Dressed`](crate::Resets::Dressed), text that arrives after the FIN was sent is answered with RST.
    pub const fn stop_reading(&mut self) {
        if let State::Known(tcb) = &mut self.state {
            tcb.app.deaf = true;
        }
    }

    /// ABORT (RFC 9293 3.10.5): the peer gets a RST, everything queued is thrown away.
    pub fn abort(&mut self, cx: &mut Context<'_>) {
        self.abort_by(cx, calls::abort);
    }

    /// The host goes down: what ABORT does, but text that arrived before can still be read, and then the error is told.
    pub fn cut_off(&mut self, cx: &mut Context<'_>) {
        self.abort_by(cx, calls::cut_off);
    }

    fn abort_by(&mut self, cx: &mut Context<'_>, call: impl FnOnce(&mut Tcb, &mut Context<'_>)) {
        let before = self.phase();
        match &mut self.state {
            State::Known(tcb) => call(tcb, cx),
            State::SynSent(_) => self.end_stillborn(cx, Some(ConnectionError::Aborted)),
            State::Stillborn { .. } => return,
        }
        self.trace(
            cx,
            TraceEvent::Call(UserCall::Abort),
            before,
            Verdict::Accepted,
        );
    }

    /// Switches immediate acknowledgments on, and sends what is owed, or lets them wait for an answer; where acknowledging is
    /// [`Adaptive`](crate::Acknowledging::Adaptive). It does not last: what happens next may switch back.
    pub fn set_quick_ack(&mut self, on: bool) {
        if let State::Known(tcb) = &mut self.state {
            crate::delayed_ack::set_quick(tcb, on);
        }
    }

    /// Replaces the settings [MUST-17] [MUST-21] [MUST-24] [SHLD-21].
    ///
    /// What the peer has been told stays: the options and the window of a SYN that has been sent, the largest segment. So does what a
    /// connection counts with from its beginning: [`Config::segmentation`], [`Config::receive_window`] and
    /// [`Config::acknowledging`]. Nor does another [`Config::congestion`] take the place of the one at work.
    pub fn set_config(&mut self, cx: &mut Context<'_>, config: Arc<Config>) {
        match &mut self.state {
            State::Known(tcb) => calls::set_config(tcb, cx, config),
            State::SynSent(opening) => opening.set_config(config),
            State::Stillborn {
                config: current, ..
            } => *current = config,
        }
    }

    // ----- output -----

    /// The next segment to send at `cx.now`, or `None` when all that may be sent has been.
    pub fn poll_transmit(&mut self, cx: &mut Context<'_>) -> Option<SegmentOut> {
        let mut segment = SegmentOut::default();
        self.poll_transmit_into(cx, &mut segment).then_some(segment)
    }

    /// Does what [`poll_transmit`](Self::poll_transmit) does and builds the segment where `segment` lies, whatever that was before: one
    /// serves for all, and none is moved about. `false` means that there is none, and then `segment` may be half of one.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use handwave_tcp::{Config, Connection, Context, Endpoint, Host, Instant, Path, Secrets, SegmentOut, Tuple};
    ///
    /// let mut host = Host::new(Secrets::from_seed(1));
    /// let mut cx = Context::new(Instant::ZERO, &mut host);
    /// let end = |last, port| Endpoint::new([192, 0, 2, last].into(), port);
    /// let tuple = Tuple::new(end(1, 49152), end(2, 80));
    /// let mut connection = Connection::connect(&mut cx, Arc::new(Config::default()), tuple, Path::with_mtu(1500));
    ///
    /// let mut segment = SegmentOut::default();
    /// assert!(connection.poll_transmit_into(&mut cx, &mut segment));
    /// assert_eq!(segment.header.flags.to_string(), "S");
    /// assert!(!connection.poll_transmit_into(&mut cx, &mut segment));
    /// ```
    pub fn poll_transmit_into(&mut self, cx: &mut Context<'_>, segment: &mut SegmentOut) -> bool {
        match &mut self.state {
            State::Known(tcb) => output::poll(tcb, cx, segment),
            State::SynSent(opening) => {
                if !opening.poll_transmit(cx.now, segment) {
                    return false;
                }
                cx.host.counters.segments_out += 1;
                if cx.host.is_traced() {
                    let event = TraceEvent::SegmentSent {
                        header: segment.header,
                        payload_len: 0,
                        reason: SendReason::Handshake,
                    };
                    self.trace(cx, event, Phase::SynSent, Verdict::Accepted);
                }
                true
            }
            State::Stillborn { .. } => false,
        }
    }

    /// Whether it can be seen at a glance that [`poll_transmit`](Self::poll_transmit) would return `None`: then it need not be called,
    /// and everything that such a call does is done. `false` says nothing.
    pub fn rests(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.state {
            State::Known(tcb) => output::rests(tcb, cx),
            State::SynSent(opening) => !opening.has_something(),
            State::Stillborn { .. } => true,
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called next; valid until the next input.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Known(tcb) => tcb.timers.next_deadline(),
            State::SynSent(opening) => opening.deadline,
            State::Stillborn { .. } => None,
        }
    }

    /// What happened since the last call, for the application.
    #[must_use]
    pub const fn take_events(&mut self) -> Events {
        let events = match &mut self.state {
            State::Known(tcb) => &mut tcb.events,
            State::SynSent(opening) => &mut opening.events,
            State::Stillborn { events, .. } => events,
        };
        core::mem::replace(events, Events::NONE)
    }

    /// In TIME-WAIT, takes over the wait as a compact record and the moment at which it is over, and leaves this connection
    /// CLOSED, its text still readable.
    ///
    /// `None` in any other state, and while segments are still to be polled.
    pub fn take_time_wait(&mut self, cx: &mut Context<'_>) -> Option<(TimeWait, Instant)> {
        match &mut self.state {
            State::Known(tcb) if tcb.phase() == Phase::TimeWait && !tcb.intents.is_pending() => {
                let deadline = tcb.timers.deadline(Timer::TimeWait).unwrap_or_default();
                let record = (TimeWait::of(tcb), deadline);
                tcb.advance(cx, crate::phase::Cause::TimeWaitElapsed);
                Some(record)
            }
            State::Known(_) | State::SynSent(_) | State::Stillborn { .. } => None,
        }
    }

    /// Looks at every part that a segment touches, so that a processor fetches all of them from far memory together; the number says
    /// nothing.
    ///
    /// Owners of very many connections call it for those that a batch of packets is about, before they process the first.
    #[must_use]
    pub fn glance(&self) -> u64 {
        match &self.state {
            State::Known(tcb) => tcb.glance(),
            State::SynSent(opening) => u64::from(opening.iss.raw()),
            State::Stillborn { .. } => 0,
        }
    }

    // ----- getters -----

    /// The state (RFC 9293 3.3.2).
    #[must_use]
    pub const fn phase(&self) -> Phase {
        match &self.state {
            State::Known(tcb) => tcb.phase(),
            State::SynSent(_) => Phase::SynSent,
            State::Stillborn { .. } => Phase::Closed,
        }
    }

    /// Both endpoints.
    #[must_use]
    pub const fn tuple(&self) -> &Tuple {
        match &self.state {
            State::Known(tcb) => &tcb.tuple,
            State::SynSent(opening) => &opening.tuple,
            State::Stillborn { tuple, .. } => tuple,
        }
    }

    /// The settings in force.
    #[must_use]
    pub const fn config(&self) -> &Arc<Config> {
        match &self.state {
            State::Known(tcb) => &tcb.config,
            State::SynSent(opening) => &opening.config,
            State::Stillborn { config, .. } => config,
        }
    }

    /// Why the connection ended before its time, if it did.
    #[must_use]
    pub const fn error(&self) -> Option<ConnectionError> {
        match &self.state {
            State::Known(tcb) => tcb.error,
            State::SynSent(_) => None,
            State::Stillborn { error, .. } => *error,
        }
    }

    /// Octets that can be read at once.
    #[must_use]
    pub fn receivable(&self) -> usize {
        match &self.state {
            State::Known(tcb) => tcb.receive.len(),
            State::SynSent(_) | State::Stillborn { .. } => 0,
        }
    }

    /// Octets that can be written at once.
    #[must_use]
    pub fn sendable(&self) -> usize {
        match &self.state {
            State::Known(tcb) => calls::sendable(tcb),
            State::SynSent(opening) => {
                let limit = opening.config.send_buffer.at_first() as usize;
                limit.saturating_sub(opening.send.len())
            }
            State::Stillborn { .. } => 0,
        }
    }

    /// Octets of urgent text not read yet (RFC 9293 3.8.5 [MUST-33]).
    #[must_use]
    pub fn urgent_pending(&self) -> u32 {
        match &self.state {
            State::Known(tcb) => calls::urgent_pending(tcb),
            State::SynSent(_) | State::Stillborn { .. } => 0,
        }
    }

    /// Whether the peer's FIN has been taken: nothing follows what can be read.
    #[must_use]
    pub fn peer_closed(&self) -> bool {
        match &self.state {
            State::Known(tcb) => tcb.fin_received(),
            State::SynSent(_) | State::Stillborn { .. } => false,
        }
    }

    /// Whether [`close`](Self::close) has promised a FIN, or the connection is over: nothing more can be written.
    #[must_use]
    pub const fn is_closing(&self) -> bool {
        match &self.state {
            State::Known(tcb) => tcb.app.closing || matches!(tcb.phase(), Phase::Closed),
            State::SynSent(_) => false,
            State::Stillborn { .. } => true,
        }
    }

    /// Whether the FIN has been sent, and so everything before it. [`Events::FIN_SENT`] tells when.
    #[must_use]
    pub fn fin_sent(&self) -> bool {
        match &self.state {
            State::Known(tcb) => tcb.fin_sent(),
            State::SynSent(_) | State::Stillborn { .. } => false,
        }
    }

    /// Whether the application has let go.
    #[must_use]
    pub const fn is_released(&self) -> bool {
        match &self.state {
            State::Known(tcb) => tcb.app.released,
            State::SynSent(_) => false,
            State::Stillborn { released, .. } => *released,
        }
    }

    /// Whether nothing remains to be done: over, let go of, and nothing left to send. The owner drops it.
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        match &self.state {
            State::Known(tcb) => {
                matches!(tcb.phase(), Phase::Closed)
                    && tcb.app.released
                    && !tcb.intents.is_pending()
            }
            State::SynSent(_) => false,
            State::Stillborn { released, .. } => *released,
        }
    }

    /// Octets of memory held in buffers.
    #[must_use]
    pub fn held(&self) -> usize {
        match &self.state {
            State::Known(tcb) => tcb.send.held() + tcb.receive.held(),
            State::SynSent(opening) => opening.send.held(),
            State::Stillborn { .. } => 0,
        }
    }

    /// What an owner asks after each input, at one go: [`take_events`](Self::take_events), [`held`](Self::held) and
    /// [`is_starved`](Self::is_starved).
    #[must_use]
    #[inline]
    pub fn take_stock(&mut self) -> (Events, usize, bool) {
        match &mut self.state {
            State::Known(tcb) => {
                let events = core::mem::replace(&mut tcb.events, Events::NONE);
                let starved = tcb.app.wants_write && tcb.send.is_empty();
                (events, tcb.send.held() + tcb.receive.held(), starved)
            }
            State::SynSent(_) | State::Stillborn { .. } => {
                (self.take_events(), self.held(), self.is_starved())
            }
        }
    }

    /// Whether a write found no memory, and nothing is queued whose acknowledgment would bring [`Events::WRITABLE`].
    #[must_use]
    pub fn is_starved(&self) -> bool {
        match &self.state {
            State::Known(tcb) => tcb.app.wants_write && tcb.send.is_empty(),
            State::SynSent(_) | State::Stillborn { .. } => false,
        }
    }

    /// There is memory again: a connection that [is starved](Self::is_starved) says [`Events::WRITABLE`].
    pub fn handle_memory(&mut self) {
        if let State::Known(tcb) = &mut self.state
            && tcb.app.wants_write
            && tcb.send.is_empty()
        {
            tcb.app.wants_write = false;
            tcb.events |= Events::WRITABLE;
        }
    }

    /// The connection's numbers, as `ss -i` shows them (RFC 9293 3.10.6, STATUS).
    #[must_use]
    pub fn info(&self) -> TcpInfo {
        match &self.state {
            State::Known(tcb) => TcpInfo::of(tcb),
            State::SynSent(opening) => opening.info(),
            State::Stillborn { .. } => TcpInfo {
                phase: self.phase(),
                ..TcpInfo::default()
            },
        }
    }

    /// The timers that run, each with its deadline, in the order in which those due at the same moment run.
    pub fn timers(&self) -> impl Iterator<Item = (Timer, Instant)> {
        Timer::ALL.into_iter().filter_map(|timer| {
            let deadline = match &self.state {
                State::Known(tcb) => tcb.timers.deadline(timer),
                State::SynSent(opening) => {
                    opening.deadline.filter(|_| timer == Timer::Retransmission)
                }
                State::Stillborn { .. } => None,
            };
            Some((timer, deadline?))
        })
    }

    pub(crate) fn trace(
        &self,
        cx: &mut Context<'_>,
        event: TraceEvent,
        before: Phase,
        verdict: Verdict,
    ) {
        if !cx.host.is_traced() {
            return;
        }
        let entry = match &self.state {
            State::Known(tcb) => tcb.trace_entry(cx.now, event, before, verdict),
            State::SynSent(opening) => TraceEntry {
                now: cx.now,
                tuple: opening.tuple,
                event,
                before,
                after: Phase::SynSent,
                verdict,
                snd: SendSnapshot {
                    iss: opening.iss,
                    una: opening.iss,
                    nxt: opening.iss + 1,
                    ..SendSnapshot::default()
                },
                rcv: ReceiveSnapshot::default(),
            },
            State::Stillborn { tuple, .. } => TraceEntry {
                now: cx.now,
                tuple: *tuple,
                event,
                before,
                after: Phase::Closed,
                verdict,
                snd: SendSnapshot::default(),
                rcv: ReceiveSnapshot::default(),
            },
        };
        cx.host.trace(&entry);
    }
}

/// TIME-WAIT while the application has not let go: the record's rules, applied to the TCB.
fn time_wait_segment(tcb: &mut Tcb, cx: &mut Context<'_>, segment: &SegmentIn) -> Verdict {
    let verdict = TimeWait::of(tcb).judge(cx, segment);
    if let TimeWaitVerdict::Reply {
        until: Some(until), ..
    }
    | TimeWaitVerdict::Renewed { until } = verdict
    {
        tcb.timers.set(Timer::TimeWait, until);
    }
    match verdict {
        TimeWaitVerdict::Dropped(reason) => Verdict::Dropped(reason),
        TimeWaitVerdict::Renewed { .. } => Verdict::Accepted,
        TimeWaitVerdict::Reply { reason, .. } | TimeWaitVerdict::Reopen { reason, .. } => {
            tcb.intents.ack = true;
            Verdict::Acknowledged(reason)
        }
        TimeWaitVerdict::Closed => {
            tcb.advance(cx, crate::phase::Cause::Reset);
            Verdict::ConnectionReset
        }
    }
}

fn count(cx: &mut Context<'_>, verdict: Verdict) {
    match verdict {
        Verdict::Accepted | Verdict::ConnectionReset => {}
        Verdict::Dropped(reason)
        | Verdict::Acknowledged(reason)
        | Verdict::Challenged(reason)
        | Verdict::ResetSent(reason) => cx.host.counters.count_drop(reason),
    }
}
