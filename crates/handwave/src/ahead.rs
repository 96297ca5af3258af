//! [`Ahead`]: who has written as much as the driver sends at once lets it send.
//!
//! A send buffer may have room for megabytes. Whoever fills all of it before anything leaves has the peer wait meanwhile, and the device copy what no
//! nearby cache holds any more. So a task that goes on writing is paused until the driver has had a turn, and is woken by that.

use handwave_stack::ConnectionId;

/// Octets that are written between two turns of the driver.
const OCTETS_MAX: usize = 256 << 10;
/// Connections that wait for a turn; more of them write on.
const WAITING_MAX: usize = 64;

/// What has been written since the driver's last turn.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    octets: usize,
    waiting: Vec<ConnectionId>,
}

impl Ahead {
    /// Counts what was written.
    pub(crate) fn wrote(&mut self, octets: usize) {
        self.octets = self.octets.saturating_add(octets);
    }

    /// Whether a writer is to wait for the driver's next turn, which comes: it was called when the first of it was written.
    pub(crate) fn pauses(&mut self, id: ConnectionId) -> bool {
        if self.octets < OCTETS_MAX {
            return false;
        }
        let is_known = self.waiting.contains(&id);
        if !is_known && self.waiting.len() < WAITING_MAX {
            self.waiting.push(id);
            return true;
        }
        is_known
    }

    /// The driver has had its turn: these may go on.
    pub(crate) fn turn(&mut self) -> impl Iterator<Item = ConnectionId> {
        self.octets = 0;
        self.waiting.drain(..)
    }
}
