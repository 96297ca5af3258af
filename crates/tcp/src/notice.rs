//! What a connection tells its application: a set of flags, each set until taken.

use core::ops::{BitOr, BitOrAssign};

/// Things that happened since the application last looked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Events(u16);

impl Events {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// The handshake completed.
    pub const CONNECTED: Self = Self(1);
    /// Text, the end of the stream or an error can be read.
    pub const READABLE: Self = Self(1 << 1);
    /// The send buffer has room again.
    pub const WRITABLE: Self = Self(1 << 2);
    /// The peer's FIN arrived in order: nothing follows what can be read.
    pub const PEER_CLOSED: Self = Self(1 << 3);
    /// The connection is over; [`error`](crate::Connection::error) says whether in order.
    pub const CLOSED: Self = Self(1 << 4);
    /// The peer announced or extended urgent text (RFC 9293 3.8.5 [MUST-32]).
    pub const URGENT: Self = Self(1 << 5);
    /// Delivery is in trouble: R1 was passed, or the network reported an error that may heal (RFC 9293 3.9.1.8 [MUST-47]
    /// [SHLD-25]). An application that does not want such reports does not look [SHLD-20].
    pub const SOFT_ERROR: Self = Self(1 << 6);
    /// Our FIN was acknowledged: the peer has everything.
    pub const FIN_ACKNOWLEDGED: Self = Self(1 << 7);
    /// Our FIN has left: everything that was written has been sent.
    pub const FIN_SENT: Self = Self(1 << 8);
    /// A listener's flood detector changed its mind; [`Listener::flood`](crate::Listener::flood) says to what.
    pub const FLOOD: Self = Self(1 << 9);

    /// Whether all of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of `other` is set.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether nothing is set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for Events {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Events {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}
