//! OPEN (RFC 9293 3.10.1): active, or passive for a SYN that has come already.

use alloc::boxed::Box;
use alloc::sync::Arc;

use handwave_wire::SeqNum;

use crate::config::Config;
use crate::connection::Connection;
use crate::events::segment_arrives::syn_sent::SynSent;
use crate::host::Context;
use crate::phase::Phase;
use crate::segment::{Path, SegmentIn};
use crate::trace::{TraceEvent, UserCall, Verdict};
use crate::tuple::Tuple;

impl Connection {
    /// Active OPEN (RFC 9293 3.10.1): the SYN leaves with the next [`poll_transmit`](Self::poll_transmit).
    ///
    /// It lies where it was made, as it is too large to be moved about.
    /// The owner has made sure that the remote address is neither broadcast nor multicast nor unspecified [MUST-46].
    #[must_use]
    pub fn connect(
        cx: &mut Context<'_>,
        config: Arc<Config>,
        tuple: Tuple,
        path: Path,
    ) -> Box<Self> {
        cx.host.counters.active_opens += 1;
        let place = Box::new_uninit();
        let opening = SynSent::new(cx, config, tuple, path);
        let connection = Box::write(place, Self::from_opening(opening));
        connection.trace(
            cx,
            TraceEvent::Call(UserCall::Open),
            Phase::Closed,
            Verdict::Accepted,
        );
        connection
    }

    /// Passive OPEN of one connection whose SYN the owner has looked at and decided to answer (RFC 9293 3.10.7.2).
    ///
    /// Unlike a [`Listener`](crate::Listener), which answers by itself from a compact record, this gives a connection in SYN-RECEIVED
    /// at once: the SYN+ACK leaves with the next [`poll_transmit`](Self::poll_transmit), and
    /// [`Events::CONNECTED`](crate::Events::CONNECTED) or [`Events::CLOSED`](crate::Events::CLOSED) tells how the handshake ends. `syn` has the SYN bit and neither ACK nor RST. The ISS
    /// is not before `iss_floor`, which comes from a TIME-WAIT record that gave way (RFC 6191).
    #[must_use]
    pub fn answer(
        cx: &mut Context<'_>,
        config: Arc<Config>,
        tuple: Tuple,
        path: Path,
        (syn, iss_floor): (SegmentIn, Option<SeqNum>),
    ) -> Self {
        cx.host.counters.passive_opens += 1;
        // Our SYN has not left, so the peer's finds what a simultaneous open does (RFC 9293 3.5): SYN and ACK leave as one.
        let mut opening = SynSent::new(cx, config, tuple, path);
        opening.begin_beyond(iss_floor);
        let mut connection = Self::from_opening(opening);
        connection.handle_segment(cx, syn);
        connection
    }
}
