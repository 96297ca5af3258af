//! How large a buffer is at first, and how large it may become.

use core::fmt;

/// Octets a buffer may hold at first and at most. Where the two differ, the buffer grows while it is what limits the connection,
/// and a send buffer shrinks again where flights have become shorter.
///
/// Nothing is set aside: a buffer costs what is in it. More than [`MOST`](Self::MOST) counts as that.
///
/// ```
/// use handwave_tcp::{BufferSize, Config};
///
/// // What a program sets is what it gets, as with `SO_RCVBUF`.
/// let config = Config { receive_buffer: BufferSize::fixed(32_768), ..Config::default() };
/// assert!(config.receive_buffer.is_fixed());
/// assert_eq!(Config::default().receive_buffer.at_most(8_192), BufferSize::fixed(8_192));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferSize {
    /// Octets at first.
    pub initial: u32,
    /// Octets at most; no less than `initial`, or else it counts as `initial`.
    pub max: u32,
}

impl BufferSize {
    /// The largest buffer there can be, in octets: the largest window (RFC 7323 2.3). Of sequence numbers that lie farther apart than twice
    /// that, nobody can tell which is the later.
    pub const MOST: u32 = 1 << 30;

    /// `octets`, whatever happens.
    #[must_use]
    pub const fn fixed(octets: u32) -> Self {
        Self {
            initial: octets,
            max: octets,
        }
    }

    /// From `initial` to `max` octets.
    #[must_use]
    pub const fn growing(initial: u32, max: u32) -> Self {
        Self { initial, max }
    }

    /// Whether it never grows.
    #[must_use]
    pub const fn is_fixed(self) -> bool {
        self.max <= self.initial
    }

    /// The same, but for an upper limit of `octets`.
    #[must_use]
    pub fn at_most(self, octets: u32) -> Self {
        Self {
            initial: self.initial.min(octets),
            max: self.max.min(octets),
        }
    }

    /// What it holds at first, in octets.
    #[must_use]
    pub const fn at_first(self) -> u32 {
        if self.initial < Self::MOST {
            self.initial
        } else {
            Self::MOST
        }
    }

    /// The most it may hold, in octets.
    #[must_use]
    pub const fn limit(self) -> u32 {
        if self.is_fixed() {
            self.at_first()
        } else if self.max < Self::MOST {
            self.max
        } else {
            Self::MOST
        }
    }
}

/// `8192`, or `65536 to 6291456`.
impl fmt::Display for BufferSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_fixed() {
            write!(f, "{}", self.initial)
        } else {
            write!(f, "{} to {}", self.initial, self.max)
        }
    }
}
