//! What the stack tells its owner.

use crate::id::SocketId;
use handwave_tcp::Events;

/// Something happened to a socket.
///
/// Events are edges: each flag is told once when it becomes true. After [`Events::READABLE`] read until nothing is
/// left, after [`Events::WRITABLE`] write until nothing is taken. [`Events::READABLE`] of a listener means that
/// [`Stack::accept`](crate::Stack::accept) has something; of a UDP socket, that a datagram waits. A connection that
/// was not accepted yet may have events too: look at it when it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    /// Which socket.
    pub socket: SocketId,
    /// What happened, all flags since the last event of this socket.
    pub events: Events,
}
