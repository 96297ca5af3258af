//! [`Talk`]: a conversation under way: its two applications, where they are, and whether they are done.

use super::app::App;
use super::failure::Failure;
use crate::plan::{Conversation, Manner, Opening};
use crate::{Rng, Stream};
use core::time::Duration;
use handwave_stack::{ConnectError, ConnectOptions, ConnectionId, ListenerId, Stack};
use handwave_tcp::time::Instant;
use handwave_tcp::{ConnectionError, Endpoint, Segmentation};
use std::sync::Arc;

/// Pause before ports that are still in use are tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How far apart the ports of two attempts are; more than there are conversations.
const PORT_STEP: u16 = 10;

/// A conversation under way.
#[derive(Debug)]
pub(super) struct Talk {
    pub(super) number: usize,
    pub(super) plan: Conversation,
    pub(super) apps: [App; 2],
    /// Where each end is.
    pub(super) endpoints: [Endpoint; 2],
    pub(super) listener: Option<ListenerId>,
    /// When each end opens, if it has not yet.
    pub(super) opens_at: [Option<Instant>; 2],
    /// When each last did.
    opened_at: [Instant; 2],
    /// When it began: segments sent before are not its own.
    pub(super) since: Instant,
    /// Not begun yet, because its ports are in use by the one before it.
    waiting: bool,
    /// Given up, and rightly so: nothing more is asked of it.
    pub(super) excused: bool,
}

impl Talk {
    pub(super) fn new(
        number: usize,
        plan: &Conversation,
        endpoints: [Endpoint; 2],
        rng: &mut Rng,
    ) -> Self {
        let streams = [(); 2].map(|()| Stream::new(rng.next_u64()));
        let app = |end: usize, rng: &mut Rng| {
            let expected = plan.ends[1 - end].writing.octets;
            App::new(
                plan.ends[end].clone(),
                expected,
                [streams[end], streams[1 - end]],
                rng.fork(),
            )
        };
        let mut talk = Self {
            number,
            apps: [app(0, rng), app(1, rng)],
            endpoints,
            listener: None,
            opens_at: [None, None],
            opened_at: [Instant::ZERO; 2],
            since: Instant::ZERO,
            waiting: plan.reuses_ports,
            excused: false,
            plan: plan.clone(),
        };
        if !talk.waiting {
            talk.open_at(plan.starts);
        }
        talk
    }

    fn open_at(&mut self, at: Instant) {
        self.opens_at[0] = Some(at);
        if let Opening::Simultaneous { lag } = self.plan.opening {
            self.opens_at[1] = Some(at + lag);
        }
    }

    pub(super) const fn waits_for_previous(&self) -> bool {
        self.waiting
    }

    /// The one before it is over.
    pub(super) fn begin(&mut self, now: Instant) {
        self.waiting = false;
        self.since = now;
        self.open_at(now + (self.plan.starts - Instant::ZERO));
    }

    /// Whether the next connection that its listener accepts is its own.
    pub(super) fn awaits_accept(&self) -> bool {
        !self.waiting && !self.is_over() && self.apps[1].socket().is_none()
    }

    pub(super) fn is_over(&self) -> bool {
        self.excused || self.apps.iter().all(App::is_done)
    }

    pub(super) fn open_if_due(
        &mut self,
        side: usize,
        now: Instant,
        stack: &mut Stack,
    ) -> Result<(), Failure> {
        if self.opens_at[side].is_none_or(|at| at > now) {
            return Ok(());
        }
        self.opens_at[side] = None;
        let options = ConnectOptions {
            local_addr: Some(self.endpoints[side].addr),
            local_port: Some(self.endpoints[side].port),
            config: Some(Arc::new(self.plan.ends[side].config.clone())),
        };
        match stack.connect(now, self.endpoints[1 - side], options) {
            Ok(socket) => {
                self.opened_at[side] = now;
                self.apps[side].attach(now, socket, false);
            }
            // The connection before this one waits in TIME-WAIT, or for the peer.
            Err(ConnectError::InUse) if self.plan.reuses_ports => {
                self.opens_at[side] = Some(now + RETRY)
            }
            Err(error) => return Err(Failure::Refused(format!("connecting: {error}"))),
        }
        Ok(())
    }

    /// Tries again where an attempt may fail for good reason.
    ///
    /// A SYN that reaches the other end of a simultaneous open before it has opened is refused. A SYN for a tuple that is in
    /// TIME-WAIT at the other end may have to wait for that to pass. Where the other end has been and gone there is nobody to try.
    pub(super) fn retry_failed(&mut self, side: usize, now: Instant, stack: &mut Stack) {
        if self.apps[side].is_connected() || self.has_gone(1 - side) {
            return;
        }
        // Linux calls it a reset once the SYNs have crossed.
        let calls_it_reset = self.plan.ends[side].config.segmentation == Segmentation::Records
            && self.plan.opening != Opening::Listener;
        let app = &mut self.apps[side];
        let again = match app.lost() {
            Some(ConnectionError::Refused) => {
                self.plan.reuses_ports || self.plan.opening != Opening::Listener
            }
            Some(ConnectionError::Reset) => calls_it_reset,
            Some(ConnectionError::TimedOut) => self.plan.reuses_ports,
            Some(_) | None => false,
        };
        if again {
            app.let_go(now, stack);
            // Both try again at a full second, so that the SYNs cross however far the first ones missed each other. Whoever hears of it late,
            // because its program has paused, takes a longer step, of which the other's is a part.
            let step = ((now - self.opened_at[side]).as_secs() + 1).next_power_of_two();
            let next = (now.as_secs() / step + 1) * step;
            self.opens_at[side] = Some(Instant::from_secs(next));
        }
    }

    /// Gives up what one end has.
    pub(super) fn start_over(&mut self, side: usize, now: Instant, stack: &mut Stack) {
        self.apps[side].start_over(now, stack);
    }

    /// Tries again, from another port, where a server that kept nothing of the handshake has turned its client away.
    pub(super) fn try_elsewhere(&mut self, now: Instant) {
        self.endpoints[0].port += PORT_STEP;
        self.since = now;
        self.opens_at[0] = Some(Instant::from_secs(now.as_secs() + 1));
    }

    /// An end whose peer did not stay may be reset, which it learns as a refusal if its own handshake was not over yet.
    pub(super) fn settle_rude(&mut self, side: usize, now: Instant, stack: &mut Stack) {
        let may_leave = self.plan.ends[1 - side].manner != Manner::Polite;
        let is_settled = match self.apps[side].lost() {
            Some(ConnectionError::Reset) => may_leave,
            Some(ConnectionError::Refused) => self.has_gone(1 - side),
            Some(_) | None => false,
        };
        if is_settled {
            self.apps[side].settle(now, stack);
        }
    }

    /// Whether one end has gone before the end of the conversation.
    fn has_left(&self, end: usize) -> bool {
        self.plan.ends[end].manner != Manner::Polite && self.apps[end].is_done()
    }

    /// Whether one end comes back no more: it has left, or was reset by the other, which is rude. In a simultaneous open a RST
    /// that answers the first SYN may arrive when the handshake is nearly over.
    fn has_gone(&self, end: usize) -> bool {
        let other_is_rude = self.plan.ends[1 - end].manner != Manner::Polite;
        self.has_left(end) || (other_is_rude && self.apps[end].is_done())
    }

    /// Whether one end has left and the other, which owes it nothing, cannot know.
    pub(super) fn was_left_by_rude_peer(&self, stacks: [&Stack; 2]) -> bool {
        let owes = |end: usize, id: ConnectionId| {
            let info = stacks[end]
                .connection(id)
                .map(handwave_tcp::Connection::info);
            info.is_some_and(|info| info.unacked > 0 || info.notsent > 0)
        };
        let waits = |end: usize| !self.apps[end].socket().is_some_and(|id| owes(end, id));
        (0..2).any(|end| self.has_left(end) && waits(1 - end))
    }
}
