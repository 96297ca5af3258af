//! [`App`]: an application at one end of a conversation, doing what its plan says.
//!
//! It acts only on events and on its own pauses, as an application must: after a write that takes nothing it waits for
//! `WRITABLE`, after a read that finds nothing for `READABLE`. An event that a stack forgets to tell is a run that never
//! finishes.

use super::Failure;
use crate::plan::{Closing, End, Manner};
use crate::{Rng, Stream};
use bytes::Bytes;
use core::time::Duration;
use handwave_stack::{ConnectionId, Stack};
use handwave_tcp::time::Instant;
use handwave_tcp::{ConnectionError, Events, ReceiveError, SendError};

#[derive(Debug)]
pub(super) struct App {
    plan: End,
    outgoing: Stream,
    incoming: Stream,
    /// Octets the peer's application will write.
    expected: u64,
    rng: Rng,
    socket: Option<ConnectionId>,
    written: u64,
    read: u64,
    state: State,
    /// No write before this, no read before that.
    write_at: Instant,
    read_at: Instant,
    lost: Option<ConnectionError>,
}

/// What the application knows about its connection.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, each changing once or with its own event"
)]
struct State {
    connected: bool,
    can_write: bool,
    can_read: bool,
    peer_closed: bool,
    closed: bool,
    released: bool,
}

impl App {
    pub(super) fn new(
        plan: End,
        expected: u64,
        [outgoing, incoming]: [Stream; 2],
        rng: Rng,
    ) -> Self {
        Self {
            plan,
            outgoing,
            incoming,
            expected,
            rng,
            socket: None,
            written: 0,
            read: 0,
            state: State::default(),
            write_at: Instant::ZERO,
            read_at: Instant::ZERO,
            lost: None,
        }
    }

    /// The connection exists: opened actively, or accepted and therefore `connected` already.
    pub(super) fn attach(&mut self, now: Instant, socket: ConnectionId, connected: bool) {
        self.socket = Some(socket);
        self.state.connected = connected;
        self.lost = None;
        // Both are tried once without being told: text may be there already, and room is.
        self.state.can_write = true;
        self.state.can_read = true;
        self.read_at = now + self.plan.reading.first_after;
    }

    /// Forgets a connection that never came to be, before another try.
    pub(super) fn let_go(&mut self, now: Instant, stack: &mut Stack) {
        if let Some(socket) = self.socket.take() {
            stack.release(now, socket);
        }
        self.lost = None;
        // What it had taken for sending is gone with it.
        self.written = 0;
        self.state = State::default();
    }

    /// Gives up a connection and what came of it, before another try.
    pub(super) fn start_over(&mut self, now: Instant, stack: &mut Stack) {
        if let Some(socket) = self.socket.take() {
            stack.abort(now, socket);
        }
        self.lost = None;
        (self.written, self.read) = (0, 0);
        self.state = State::default();
    }

    pub(super) fn on_events(&mut self, events: Events) {
        self.state.can_write |= events.intersects(Events::WRITABLE | Events::CONNECTED);
        self.state.can_read |= events.contains(Events::READABLE);
        self.state.connected |= events.contains(Events::CONNECTED);
        if events.contains(Events::CLOSED) {
            // Whatever is left to be told comes out of the next calls.
            (self.state.can_read, self.state.can_write) = (true, true);
        }
    }

    /// Does all that can be done at `now`.
    pub(super) fn run(&mut self, now: Instant, stack: &mut Stack) -> Result<(), Failure> {
        let Some(socket) = self.socket else {
            return Ok(());
        };
        if self.state.released || self.lost.is_some() {
            return Ok(());
        }
        self.write_some(now, stack, socket);
        self.read_some(now, stack, socket)?;
        // A CLOSE before the handshake has completed would delete the connection (RFC 9293 3.10.4).
        if self.state.connected && !self.state.closed && self.wants_close() {
            self.state.closed = true;
            stack.close(now, socket);
        }
        if self.lost.is_some() {
            return Ok(());
        }
        self.take_leave(now, stack, socket);
        if self.state.closed && self.state.peer_closed && !self.state.released {
            self.state.released = true;
            stack.release(now, socket);
        }
        Ok(())
    }

    /// Leaves before the end, if it is one that does.
    fn take_leave(&mut self, now: Instant, stack: &mut Stack, socket: ConnectionId) {
        let so_far = self.written + self.read;
        match self.plan.manner {
            Manner::Aborts { after } if so_far >= after && self.state.connected => {
                stack.abort(now, socket)
            }
            Manner::LetsGo { after } if so_far >= after && self.state.connected => {
                stack.release(now, socket)
            }
            Manner::Polite | Manner::Aborts { .. } | Manner::LetsGo { .. } => return,
        }
        self.state.released = true;
    }

    /// Accepts that the connection is lost.
    pub(super) fn settle(&mut self, now: Instant, stack: &mut Stack) {
        if let Some(socket) = self.socket {
            stack.release(now, socket);
        }
        self.lost = None;
        self.state.released = true;
    }

    /// Whether the handshake has completed, as far as it knows.
    pub(super) const fn is_connected(&self) -> bool {
        self.state.connected
    }

    /// Whether it has been told that the peer writes no more.
    pub(super) const fn peer_closed(&self) -> bool {
        self.state.peer_closed
    }

    /// When it wants to act again without being told anything.
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        if self.socket.is_none() || self.state.released || self.lost.is_some() {
            return None;
        }
        let write = (self.state.can_write && self.is_writing()).then_some(self.write_at);
        let read = (self.state.can_read && !self.state.peer_closed).then_some(self.read_at);
        write.into_iter().chain(read).min()
    }

    /// Everything is written, read and closed.
    pub(super) const fn is_done(&self) -> bool {
        self.state.released
    }

    pub(super) const fn lost(&self) -> Option<ConnectionError> {
        self.lost
    }

    pub(super) const fn socket(&self) -> Option<ConnectionId> {
        self.socket
    }

    pub(super) const fn written(&self) -> u64 {
        self.written
    }

    pub(super) const fn read(&self) -> u64 {
        self.read
    }

    fn is_writing(&self) -> bool {
        self.written < self.plan.writing.octets
    }

    fn wants_close(&self) -> bool {
        let told = match self.plan.closing {
            Closing::AfterWriting => true,
            Closing::AfterPeer => self.state.peer_closed,
            Closing::AfterAll => self.read == self.expected || self.state.peer_closed,
        };
        told && !self.is_writing()
    }

    fn write_some(&mut self, now: Instant, stack: &mut Stack, socket: ConnectionId) {
        while self.state.can_write && self.is_writing() && self.write_at <= now {
            let writing = self.plan.writing;
            let len = self
                .rng
                .within(1..=writing.write_max as u64)
                .min(writing.octets - self.written);
            let octets = self
                .outgoing
                .octets(self.written, usize::try_from(len).unwrap_or(usize::MAX));
            let taken = if writing.chunks {
                stack.write_chunk(now, socket, octets)
            } else {
                stack.write(now, socket, &octets)
            };
            match taken {
                Ok(0) => self.state.can_write = false,
                Ok(taken) => {
                    self.written += taken as u64;
                    self.write_at = now + pause(&mut self.rng, writing.pause_max);
                }
                Err(SendError::Lost(error)) => return self.lost = Some(error),
                // The peer cannot end our side in order: the reader learns what happened.
                Err(SendError::Closing | SendError::Closed) => self.state.can_write = false,
            }
        }
    }

    fn read_some(
        &mut self,
        now: Instant,
        stack: &mut Stack,
        socket: ConnectionId,
    ) -> Result<(), Failure> {
        while self.state.can_read && !self.state.peer_closed && self.read_at <= now {
            let reading = self.plan.reading;
            let max = self.rng.index(reading.read_max) + 1;
            let octets = if reading.chunks {
                stack.read_chunk(now, socket, max)
            } else {
                let mut buffer = vec![0; max.min(1 << 16)];
                stack.read(now, socket, &mut buffer).map(|n| {
                    buffer.truncate(n);
                    Bytes::from(buffer)
                })
            };
            match octets {
                Ok(octets) => {
                    self.take(&octets, max)?;
                    self.read_at = now + pause(&mut self.rng, reading.pause_max);
                }
                Err(ReceiveError::WouldBlock) => self.state.can_read = false,
                Err(ReceiveError::Lost(error)) => {
                    self.lost = Some(error);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Compares what was read with what the peer's application writes at that place.
    fn take(&mut self, octets: &[u8], max: usize) -> Result<(), Failure> {
        if octets.len() > max {
            return Err(Failure::ReadTooMuch {
                asked: max,
                got: octets.len(),
            });
        }
        if octets.is_empty() {
            self.state.peer_closed = true;
        }
        if let Some(offset) = self.incoming.first_difference(self.read, octets) {
            return Err(Failure::WrongOctet { offset });
        }
        self.read += octets.len() as u64;
        if self.read > self.expected {
            return Err(Failure::Invented {
                read: self.read,
                expected: self.expected,
            });
        }
        Ok(())
    }
}

fn pause(rng: &mut Rng, most: Duration) -> Duration {
    rng.up_to(most)
}
