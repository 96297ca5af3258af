//! Handles the application holds: small, copyable, and never mistaken for a later tenant of the same slot.

use core::fmt;

/// Declares a handle made of a slot and the slot's generation.
macro_rules! handle {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name {
            pub(crate) slot: u32,
            pub(crate) generation: u32,
        }

        impl $name {
            /// This handle as one number, for tables that are kept elsewhere.
            #[must_use]
            pub const fn to_bits(self) -> u64 {
                (self.generation as u64) << 32 | self.slot as u64
            }

            /// The handle that [`to_bits`](Self::to_bits) turned into `bits`.
            #[must_use]
            #[expect(clippy::cast_possible_truncation, reason = "the halves of a u64")]
            pub const fn from_bits(bits: u64) -> Self {
                Self { slot: bits as u32, generation: (bits >> 32) as u32 }
            }
        }

        impl From<(u32, u32)> for $name {
            fn from((slot, generation): (u32, u32)) -> Self {
                Self { slot, generation }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}.{}"), self.slot, self.generation)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

handle!(
    /// Names one connection of a stack. A handle of a connection that is gone names nothing, even after its slot
    /// has another tenant.
    ///
    /// ```
    /// use handwave_stack::ConnectionId;
    ///
    /// let id = ConnectionId::from_bits(0x0000_0002_0000_0007);
    /// assert_eq!(id.to_string(), "c7.2");
    /// assert_eq!(ConnectionId::from_bits(id.to_bits()), id);
    /// ```
    ConnectionId,
    "c"
);
handle!(
    /// Names one listener of a stack.
    ListenerId,
    "l"
);
handle!(
    /// Names one UDP socket of a stack.
    UdpId,
    "u"
);

/// Names one interface of a stack. Interfaces are never removed, so a plain index is enough.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceId(pub(crate) u16);

impl InterfaceId {
    /// The position of this interface, counted from 0 in the order of
    /// [`Stack::add_interface`](crate::Stack::add_interface).
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Debug for InterfaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "if{}", self.0)
    }
}

impl fmt::Display for InterfaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Any socket of a stack: what an [`Event`](crate::Event) is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SocketId {
    /// A connection.
    Connection(ConnectionId),
    /// A listener.
    Listener(ListenerId),
    /// A UDP socket.
    Udp(UdpId),
}

impl fmt::Display for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(id) => fmt::Display::fmt(id, f),
            Self::Listener(id) => fmt::Display::fmt(id, f),
            Self::Udp(id) => fmt::Display::fmt(id, f),
        }
    }
}
