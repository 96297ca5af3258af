//! The defence without the queues, for an owner that decides about each SYN itself before it is answered.
//!
//! A forwarder keeps what waits in tables of its own: SYNs that nobody has decided, and connections that a cookie made of which
//! the same is true. It tells the listener how many there are ([`Requests`]), and has every segment screened: limits of
//! sources, heavy hitters, the flood detector and cookies then work as they do for a listener with queues.

use core::net::IpAddr;
use core::ops::ControlFlow;

use handwave_wire::{SeqNum, TcpFlags};

use super::{ListenVerdict, Listener, drop_segment};
use crate::error::DropReason;
use crate::host::Context;
use crate::segment::{Path, SegmentIn};
use crate::tuple::Tuple;

/// What an owner keeps that does without the listener's own queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// SYNs that are not decided; [`syn_queue_max`](crate::ListenerConfig::syn_queue_max) is their limit.
    pub syns: usize,
    /// Connections made of cookies that are not decided; [`accept_queue_max`](crate::ListenerConfig::accept_queue_max) is
    /// their limit.
    pub connections: usize,
}

/// A SYN that was let in.
#[derive(Debug)]
pub struct Screened {
    /// The segment.
    pub syn: SegmentIn,
    /// It counts against the budget of its source until [`Listener::on_request_gone`] is called.
    pub counted: bool,
}

impl Listener {
    /// Screens a segment for an owner that keeps the SYN queue itself: a SYN that may enter comes back, to be kept until it is
    /// decided; for all else the verdict says what to do. Never [`ListenVerdict::Queued`].
    ///
    /// A connection that a cookie made comes as [`ListenVerdict::Established`], as from
    /// [`handle_segment`](Self::handle_segment), and `iss_floor` means what it means there.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use std::sync::Arc;
    /// use handwave_tcp::{Config, Context, Endpoint, Host, Instant, ListenVerdict, Listener, ListenerConfig, Path, Requests};
    /// use handwave_tcp::{Secrets, SegmentIn, Tuple};
    /// use handwave_wire::{SeqNum, TcpFlags, TcpHeader};
    ///
    /// let secrets = Secrets::from_seed(1);
    /// let config = ListenerConfig { syn_queue_max: 1, ..ListenerConfig::default() };
    /// let mut listener = Listener::new(Arc::new(Config::default()), config, &secrets);
    /// let mut host = Host::new(secrets);
    /// let mut cx = Context::new(Instant::ZERO, &mut host);
    /// let end = |last, port| Endpoint::new([192, 0, 2, last].into(), port);
    /// let mut screen = |listener: &mut Listener, port| {
    ///     let syn = TcpHeader { seq: SeqNum::new(7), flags: TcpFlags::SYN, window: 1000, ..TcpHeader::default() };
    ///     let tuple = Tuple::new(end(1, 80), end(2, port));
    ///     listener.screen(&mut cx, tuple, Path::with_mtu(1500), SegmentIn::new(syn, Default::default()), None)
    /// };
    /// assert!(screen(&mut listener, 4000).is_continue());
    /// listener.set_requests(Requests { syns: 1, connections: 0 });
    /// let full = screen(&mut listener, 4001);
    /// assert!(matches!(full, ControlFlow::Break(ListenVerdict::Cookie(_))));
    /// ```
    pub fn screen(
        &mut self,
        cx: &mut Context<'_>,
        tuple: Tuple,
        path: Path,
        mut segment: SegmentIn,
        iss_floor: Option<SeqNum>,
    ) -> ControlFlow<ListenVerdict, Screened> {
        self.meter.on_time(cx.now, &self.counters);
        if !is_plain_syn(&segment) {
            return ControlFlow::Break(self.turn_away(cx, tuple, path, &mut segment));
        }
        self.sift_syn(cx, tuple, path, &segment, iss_floor)?;
        let counted = self.charge_record(cx, tuple.remote.addr);
        // Whatever comes of the SYN counts the segment.
        cx.host.counters.segments_in -= 1;
        ControlFlow::Continue(Screened {
            syn: segment,
            counted,
        })
    }

    /// Says how much waits in the owner's own queues.
    pub fn set_requests(&mut self, requests: Requests) {
        self.requests = requests;
        self.tell_others();
    }

    /// A [counted](Screened::counted) SYN is decided, or was given up.
    pub fn on_request_gone(&mut self, remote: IpAddr) {
        self.with_sources(|sources, limits| sources.on_record_gone(limits, remote));
    }

    /// A connection that the owner made of a SYN let in has completed its handshake; `false` if a limit of its source forbids
    /// it, in which case the owner resets it.
    pub fn on_request_established(&mut self, cx: &mut Context<'_>, remote: IpAddr) -> bool {
        if !self.charge_handshake(cx, remote) {
            self.counters.drops += 1;
            cx.host.counters.count_drop(DropReason::SourceRefused);
            return false;
        }
        self.flood.on_completed();
        self.counters.established += 1;
        true
    }

    /// A SYN for which there is no record (RFC 9293 3.10.7.2): goes on if it may have one.
    #[inline]
    pub(super) fn sift_syn(
        &mut self,
        cx: &mut Context<'_>,
        tuple: Tuple,
        path: Path,
        syn: &SegmentIn,
        iss_floor: Option<SeqNum>,
    ) -> ControlFlow<ListenVerdict> {
        cx.host.counters.segments_in += 1;
        self.admit(cx, tuple, path, syn, iss_floor)
    }

    /// A segment for which there is no record and which can make none, unless it brings a cookie back.
    pub(super) fn turn_away(
        &mut self,
        cx: &mut Context<'_>,
        tuple: Tuple,
        path: Path,
        segment: &mut SegmentIn,
    ) -> ListenVerdict {
        cx.host.counters.segments_in += 1;
        let flags = segment.header.flags;
        if flags.contains(TcpFlags::RST) {
            return drop_segment(cx, DropReason::RstUnacceptable);
        }
        if flags.contains(TcpFlags::ACK) {
            if !flags.contains(TcpFlags::SYN) && self.expects_cookies(cx) {
                return self.handle_cookie(cx, tuple, path, segment);
            }
            cx.host.counters.count_drop(DropReason::NoConnection);
            return self.reset(cx, segment);
        }
        if !flags.contains(TcpFlags::SYN) {
            return drop_segment(cx, DropReason::NotSyn);
        }
        drop_segment(cx, DropReason::IllegalFlags)
    }
}

/// Whether a segment asks for a connection and for nothing else (RFC 9293 3.10.7.2).
pub(super) fn is_plain_syn(segment: &SegmentIn) -> bool {
    let decisive = TcpFlags::SYN | TcpFlags::ACK | TcpFlags::RST | TcpFlags::FIN;
    segment.header.flags & decisive == TcpFlags::SYN
}
