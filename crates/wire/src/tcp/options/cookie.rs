//! The TCP Fast Open cookie, held inline.

use core::fmt;

use crate::ParseError;

/// A TCP Fast Open cookie (RFC 7413 4.1.1): empty (a request for one), or 4 to 16 octets, an even number of them.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct FastOpenCookie {
    // Octets from `len` on stay zero, so that derived equality is right.
    octets: [u8; Self::LEN_MAX],
    len: u8,
}

impl FastOpenCookie {
    /// The empty cookie, which asks the peer for one.
    pub const REQUEST: Self = Self {
        octets: [0; Self::LEN_MAX],
        len: 0,
    };

    /// The shortest cookie that is not a request, in octets.
    pub const LEN_MIN: usize = 4;
    /// The longest cookie, in octets.
    pub const LEN_MAX: usize = 16;

    /// Makes a cookie of `octets`; `None` if a cookie cannot have that length.
    ///
    /// # Examples
    ///
    /// ```
    /// use handwave_wire::FastOpenCookie;
    ///
    /// let cookie = FastOpenCookie::new(&[1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
    /// assert_eq!(cookie.as_slice().len(), 8);
    /// assert!(FastOpenCookie::new(&[1, 2, 3]).is_none());
    /// ```
    #[must_use]
    pub fn new(octets: &[u8]) -> Option<Self> {
        let len = octets.len();
        let is_legal = len == 0 || (len >= Self::LEN_MIN && len.is_multiple_of(2));
        let mut cookie = Self::REQUEST;
        let front = cookie.octets.get_mut(..len).filter(|_| is_legal)?;
        front.copy_from_slice(octets);
        cookie.len = u8::try_from(len).ok()?;
        Some(cookie)
    }

    pub(super) fn from_option(value: &[u8]) -> Result<Self, ParseError> {
        Self::new(value).ok_or(ParseError::BadLength)
    }

    /// The octets of the cookie.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.octets
            .get(..usize::from(self.len))
            .unwrap_or(&self.octets)
    }

    /// Whether this is a request for a cookie and not one.
    #[must_use]
    pub const fn is_request(&self) -> bool {
        self.len == 0
    }

    /// The length octet of the option: kind, length and cookie, at most 18.
    pub(super) const fn option_len(&self) -> u8 {
        self.len.saturating_add(2)
    }

    /// The length of the option padded to whole words, at most 20.
    pub(super) const fn padded_len(&self) -> usize {
        (self.option_len() as usize).next_multiple_of(4)
    }
}

impl fmt::Debug for FastOpenCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_request() {
            return f.write_str("request");
        }
        self.as_slice()
            .iter()
            .try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}
