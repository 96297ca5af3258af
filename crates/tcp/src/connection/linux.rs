//! What a socket layer asks of a connection to be like Linux's: how far a write goes before segments leave, and what ICMP has said.

use super::{Connection, State};
use crate::events::icmp::IcmpKind;
use crate::tuning;

impl Connection {
    /// How much of a write goes into the send queue before segments may leave: up to where the last record of
    /// [`Segmentation::Records`](crate::Segmentation::Records) ends, or one more if there is memory and no more than `unsent_max`
    /// octets wait to be sent. 0: a program has to wait. `None`: writes are not kept in records.
    ///
    /// Linux sends while it copies a large write, and what it sends makes room for more of it.
    #[must_use]
    pub fn write_step(&self, unsent_max: u32) -> Option<usize> {
        match &self.state {
            State::Known(tcb) => tuning::write_step(tcb, unsent_max).map(|octets| octets as usize),
            State::SynSent(_) | State::Stillborn { .. } => None,
        }
    }

    /// Whether segments leave as if a write had ended where the last record has: the peer may wait for a PSH.
    #[must_use]
    pub fn pushes_record(&self) -> bool {
        match &self.state {
            State::Known(tcb) => tcb
                .records
                .as_deref()
                .is_some_and(crate::records::Records::is_tail_pushed),
            State::SynSent(_) | State::Stillborn { .. } => false,
        }
    }

    /// Upper limit of the window, in octets, where the receive buffer is Linux's
    /// ([`ReceiveWindow::Growing`](crate::ReceiveWindow::Growing)).
    #[must_use]
    pub fn window_clamp(&self) -> Option<u32> {
        match &self.state {
            State::Known(tcb) => tcb.linux_queue().map(tuning::LinuxQueue::clamp),
            State::SynSent(_) | State::Stillborn { .. } => None,
        }
    }

    /// A write waits for room: what it has written so far is not held back for the rest, and the program is told when there is room.
    pub fn end_record(&mut self) {
        if let State::Known(tcb) = &mut self.state
            && let Some(records) = tcb.records.as_deref_mut()
        {
            records.push_tail();
            tcb.app.wants_write = true;
        }
    }

    /// Lets a small segment that waits for more leave, once (Linux does so whenever a program sets `TCP_NODELAY`); a connection
    /// whose [`Segmentation`](crate::Segmentation) is not by records has nothing that would wait for longer than its settings say.
    pub fn push(&mut self) {
        if let State::Known(tcb) = &mut self.state
            && let Some(records) = tcb.records.as_deref_mut()
        {
            records.push_once = true;
        }
    }

    /// Takes what ICMP last said against a segment of a connection that goes on, if no acknowledgment came since
    /// (RFC 9293 3.9.2.2): a program that asks is told the reason, and so is one whose connection then times out.
    pub fn take_soft_error(&mut self) -> Option<IcmpKind> {
        match &mut self.state {
            State::Known(tcb) => tcb.rare_if_any()?.soft_error.take(),
            State::SynSent(_) | State::Stillborn { .. } => None,
        }
    }
}
