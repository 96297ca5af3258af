//! The urgent mark of a stream (RFC 9293 3.8.5), as BSD sockets show it: one octet out of band.

use super::Posix;
use super::socket::{Socket, State};
use handwave_stack::ConnectionId;

/// Where a stream is being read, and where its urgent mark stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Urgent {
    /// Octets read since the connection began.
    position: u64,
    mark: Option<Mark>,
}

/// An urgent octet that has not been read past.
#[derive(Clone, Copy, Debug)]
struct Mark {
    position: u64,
    /// `recv` has taken it with `MSG_OOB`.
    taken: bool,
}

/// The mark as a call sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct MarkAhead {
    /// Octets before it that can be read first.
    pub(super) offset: usize,
    /// The octet itself has arrived.
    pub(super) arrived: bool,
    /// `recv` has taken it with `MSG_OOB`.
    pub(super) taken: bool,
}

impl Urgent {
    /// Notes that so many octets were read.
    pub(super) const fn advance(&mut self, octets: usize) {
        self.position += octets as u64;
    }

    /// Notes that the octet at the mark was taken.
    pub(super) const fn take(&mut self) {
        if let Some(mark) = &mut self.mark {
            mark.taken = true;
        }
    }

    /// The mark when the octet `pending - 1` octets ahead is the last urgent one (0: none is) and `receivable` have arrived.
    const fn look(self, pending: u32, receivable: usize) -> (Option<Mark>, Option<MarkAhead>) {
        if pending == 0 {
            return (None, None);
        }
        let offset = pending as usize - 1;
        let position = self.position + offset as u64;
        let taken = match self.mark {
            Some(known) => known.position == position && known.taken,
            None => false,
        };
        let ahead = MarkAhead {
            offset,
            arrived: receivable > offset,
            taken,
        };
        (Some(Mark { position, taken }), Some(ahead))
    }
}

impl Posix {
    /// The urgent mark ahead of what will be read next.
    pub(super) fn mark_ahead(&self, socket: &Socket) -> Option<MarkAhead> {
        let State::Open(id) = socket.state else {
            return None;
        };
        let connection = self.stack.connection(id)?;
        let (pending, receivable) = (connection.urgent_pending(), connection.receivable());
        socket.urgent.look(pending, receivable).1
    }

    /// The same, remembered: a mark that moves is a new one.
    pub(super) fn follow_mark(&mut self, place: usize, id: ConnectionId) -> Option<MarkAhead> {
        let connection = self.stack.connection(id)?;
        let (pending, receivable) = (connection.urgent_pending(), connection.receivable());
        let now = self.now;
        let socket = self.socket_at(place).ok()?;
        let inline = socket.options.oob_inline;
        let (mut mark, mut ahead) = socket.urgent.look(pending, receivable);
        let passed = socket.urgent.mark.filter(|known| {
            let moved = mark.is_some_and(|mark| mark.position != known.position);
            moved && known.position == socket.urgent.position && !inline
        });
        if passed.is_some() && receivable > 0 {
            // The old octet was next to be read: nobody will see it in the stream.
            let mut octet = [0];
            let skipped = self.stack.read(now, id, &mut octet).unwrap_or(0);
            let connection = self.stack.connection(id)?;
            let (pending, receivable) = (connection.urgent_pending(), connection.receivable());
            let socket = self.socket_at(place).ok()?;
            socket.urgent.advance(skipped);
            (mark, ahead) = socket.urgent.look(pending, receivable);
        }
        self.socket_at(place).ok()?.urgent.mark = mark;
        ahead
    }
}
