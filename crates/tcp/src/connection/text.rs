//! SEND and RECEIVE: text that the application hands over and takes (RFC 9293 3.10.2, 3.10.3).

use bytes::Bytes;

use super::{Connection, State};
use crate::buffer::SendBuffer;
use crate::error::{ReceiveError, SendError};
use crate::events::calls;
use crate::host::{Context, Host};
use crate::records::WriteOptions;
use crate::tcb::Tcb;
use crate::trace::{TraceEvent, UserCall, Verdict};
use crate::tuning;

impl Connection {
    /// Copies what fits of `data` into the send buffer and returns the number of octets taken.
    ///
    /// Nothing leaves during this call: drain [`poll_transmit`](Self::poll_transmit) afterwards. `Ok(0)` means full;
    /// [`Events::WRITABLE`](crate::Events::WRITABLE) follows when an acknowledgment frees space. Octets taken before the handshake completes are sent
    /// once it does.
    ///
    /// # Errors
    ///
    /// [`SendError::Closing`] after [`close`](Self::close), because a FIN has been promised; [`SendError::Lost`] carries the
    /// cause.
    pub fn write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Result<usize, SendError> {
        self.write_with(cx, data, WriteOptions::default())
    }

    /// Writes as [`write`](Self::write) does, and says more about it. Where text is a stream
    /// ([`Segmentation::Stream`](crate::Segmentation::Stream)), the options change nothing.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn write_with(
        &mut self,
        cx: &mut Context<'_>,
        data: &[u8],
        options: WriteOptions,
    ) -> Result<usize, SendError> {
        let known =
            |tcb: &mut Tcb, cx: &mut Context<'_>, data| calls::write(tcb, cx, data, options);
        self.send(cx, data, known, tuning::write)
    }

    /// Takes as much of `chunk` as fits without copying it, and returns the number of octets taken.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn write_chunk(&mut self, cx: &mut Context<'_>, chunk: Bytes) -> Result<usize, SendError> {
        self.send(cx, chunk, calls::write_chunk, tuning::write_chunk)
    }

    /// SEND (RFC 9293 3.10.2) by `known`, or into the buffer of a connection that still opens by `opening`, which takes a limit.
    fn send<T: AsRef<[u8]>>(
        &mut self,
        cx: &mut Context<'_>,
        text: T,
        known: impl FnOnce(&mut Tcb, &mut Context<'_>, T) -> Result<usize, SendError>,
        opening: impl FnOnce(&mut SendBuffer, &mut Host, T, usize) -> usize,
    ) -> Result<usize, SendError> {
        let before = self.phase();
        let taken = match &mut self.state {
            State::Known(tcb) => known(tcb, cx, text)?,
            State::SynSent(syn_sent) => {
                let len = text.as_ref().len();
                let limit = syn_sent.config.send_buffer.at_first() as usize;
                let taken = opening(&mut syn_sent.send, cx.host, text, limit);
                syn_sent.wants_write |= taken < len;
                taken
            }
            State::Stillborn { error, .. } => {
                return Err(error.map_or(SendError::Closed, SendError::Lost));
            }
        };
        let event = TraceEvent::Call(UserCall::Send(taken));
        self.trace(cx, event, before, Verdict::Accepted);
        Ok(taken)
    }

    /// Writes urgent text: the urgent pointer will name the octet after its last (RFC 9293 3.8.5 [MUST-62]).
    ///
    /// RFC 6093 advises new applications against it, and so does RFC 9293 (SHLD-13).
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write); [`SendError::Closing`] also before the handshake has completed.
    pub fn write_urgent(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Result<usize, SendError> {
        let State::Known(tcb) = &mut self.state else {
            return Err(SendError::Closing);
        };
        let before = tcb.phase();
        let taken = calls::write_urgent(tcb, cx, data)?;
        self.trace(
            cx,
            TraceEvent::Call(UserCall::Send(taken)),
            before,
            Verdict::Accepted,
        );
        Ok(taken)
    }

    /// Copies text into `buffer` and returns the number of octets; `Ok(0)` is the end of the stream: the peer's FIN.
    ///
    /// Reading may open the window: drain [`poll_transmit`](Self::poll_transmit) afterwards.
    ///
    /// # Errors
    ///
    /// [`ReceiveError::WouldBlock`] when there is nothing yet; [`ReceiveError::Lost`] when the connection ended otherwise
    /// than by FIN [MUST-12]. Text that arrived before is delivered first.
    pub fn read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Result<usize, ReceiveError> {
        self.receive(cx, |tcb, cx| calls::read(tcb, cx, buffer), |taken| *taken)
    }

    /// Takes at most `max` octets without copying them: a slice as it arrived; empty at the end of the stream.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn read_chunk(&mut self, cx: &mut Context<'_>, max: usize) -> Result<Bytes, ReceiveError> {
        self.receive(cx, |tcb, cx| calls::read_chunk(tcb, cx, max), Bytes::len)
    }

    /// Takes slices as they arrived, one for each of `chunks`, which they replace; returns how many, zero at the end of the stream.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn read_chunks(
        &mut self,
        cx: &mut Context<'_>,
        chunks: &mut [Bytes],
    ) -> Result<usize, ReceiveError> {
        let call = |tcb: &mut Tcb, cx: &mut Context<'_>| calls::read_chunks(tcb, cx, chunks);
        let taken = self.receive(cx, call, |(_, octets)| *octets);
        taken.map(|(count, _)| count)
    }

    /// RECEIVE (RFC 9293 3.10.3) by `call`, which takes as many octets as `octets` finds in its result.
    fn receive<T: Default>(
        &mut self,
        cx: &mut Context<'_>,
        call: impl FnOnce(&mut Tcb, &mut Context<'_>) -> Result<T, ReceiveError>,
        octets: impl FnOnce(&T) -> usize,
    ) -> Result<T, ReceiveError> {
        let before = self.phase();
        let taken = match &mut self.state {
            State::Known(tcb) => call(tcb, cx)?,
            State::SynSent(_) => return Err(ReceiveError::WouldBlock),
            State::Stillborn { error, .. } => {
                return error.map_or(Ok(T::default()), |error| Err(ReceiveError::Lost(error)));
            }
        };
        let event = TraceEvent::Call(UserCall::Receive(octets(&taken)));
        self.trace(cx, event, before, Verdict::Accepted);
        Ok(taken)
    }

    /// Copies text that can be read into `buffer` and leaves it there; returns the number of octets.
    #[must_use]
    pub fn peek(&self, buffer: &mut [u8]) -> usize {
        match &self.state {
            State::Known(tcb) => tcb.receive.peek(buffer),
            State::SynSent(_) | State::Stillborn { .. } => 0,
        }
    }
}
