//! The Internet checksum (RFC 1071), whole and by pieces, and its incremental update (RFC 1624).
//!
//! The sum is kept in the machine's octet order and swapped once at the end, which one's complement addition allows
//! (RFC 1071 2 (B)). Long pieces go through wide lanes that the compiler turns into vector instructions, or through wider ones if
//! [`set_wide_sum`] has been told of any.

use core::net::IpAddr;

use once_cell::race::OnceRef;

use crate::IpProtocol;

#[cfg(test)]
mod tests;

/// A one's complement sum in the making.
///
/// Add the pieces in the order in which they lie on the wire, cut wherever they are cut: a piece of odd length is
/// handled, the next one goes on in the middle of the 16-bit word.
///
/// # Examples
///
/// ```
/// use handwave_wire::Sum;
///
/// let whole = Sum::default().add_bytes(&[1, 2, 3, 4, 5]);
/// let pieces = Sum::default().add_bytes(&[1, 2, 3]).add_bytes(&[4, 5]);
/// assert_eq!(whole.finish(), pieces.finish());
/// ```
#[derive(Clone, Copy, Default, Debug)]
pub struct Sum {
    /// A one's complement sum of words in the machine's octet order.
    total: u64,
    /// Whether the octets added so far end in the middle of a 16-bit word.
    is_odd: bool,
}

impl Sum {
    /// Adds the octets that come next.
    #[inline]
    #[must_use]
    pub fn add_bytes(self, octets: &[u8]) -> Self {
        self.add_piece(sum_native(octets), octets.len() % 2 == 1)
    }

    /// Adds the octets another sum was made of, as if they came next.
    ///
    /// This is how a sum that was remembered for a piece of data is used again.
    #[inline]
    #[must_use]
    pub fn append(self, next: Self) -> Self {
        self.add_piece(next.total, next.is_odd)
    }

    #[inline]
    fn add_piece(self, piece: u64, piece_is_odd: bool) -> Self {
        // A piece that begins in the middle of a word has its octets in the other halves (RFC 1071 2 (B)).
        let aligned = if self.is_odd {
            u64::from(fold(piece).swap_bytes())
        } else {
            piece
        };
        Self {
            total: add_carry(self.total, aligned),
            is_odd: self.is_odd != piece_is_odd,
        }
    }

    /// Adds a 16-bit field that stands on an even offset, whatever was added before.
    #[inline]
    #[must_use]
    pub const fn add_u16(self, field: u16) -> Self {
        let Self { total, is_odd } = self;
        Self {
            total: add_carry(total, field.to_be() as u64),
            is_odd,
        }
    }

    /// Adds a 32-bit field that stands on an even offset, whatever was added before.
    #[inline]
    #[must_use]
    pub const fn add_u32(self, field: u32) -> Self {
        let Self { total, is_odd } = self;
        Self {
            total: add_carry(total, field.to_be() as u64),
            is_odd,
        }
    }

    /// Adds the pseudo-header of TCP, UDP and ICMPv6: RFC 9293 3.1 for IPv4, RFC 8200 8.1 for IPv6.
    ///
    /// `len` counts the octets of the upper layer, header and data. The order relative to the data does not matter.
    #[inline]
    #[must_use]
    pub fn pseudo_header(
        self,
        source: IpAddr,
        destination: IpAddr,
        protocol: IpProtocol,
        len: u32,
    ) -> Self {
        self.add_u32(len)
            .add_u16(u16::from(protocol.0))
            .add_address(source)
            .add_address(destination)
    }

    #[inline]
    fn add_address(self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => self.add_u32(address.to_bits()),
            IpAddr::V6(address) => {
                let total = add_carry(self.total, sum_short(&address.octets()));
                Self { total, ..self }
            }
        }
    }

    /// The sum folded to 16 bits: what a checksum field complements.
    ///
    /// This is also what a *partial* checksum holds, when a device is to add the rest.
    #[inline]
    #[must_use]
    pub fn folded(self) -> u16 {
        u16::from_be(fold(self.total))
    }

    /// The checksum: the complement of the folded sum, to be written in network order.
    ///
    /// UDP sends 0xffff where this is zero: [`UdpHeader::checksum`](crate::udp::UdpHeader::checksum).
    #[inline]
    #[must_use]
    pub fn finish(self) -> u16 {
        !self.folded()
    }

    /// Whether octets that include their checksum field add up.
    #[inline]
    #[must_use]
    pub fn is_valid(self) -> bool {
        self.folded() == 0xffff
    }
}

/// Computes the Internet checksum of `octets`, whose checksum field is zero.
///
/// # Examples
///
/// The example of RFC 1071 section 3:
///
/// ```
/// use handwave_wire::checksum::internet_checksum;
///
/// assert_eq!(internet_checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
/// ```
#[inline]
#[must_use]
pub fn internet_checksum(octets: &[u8]) -> u16 {
    Sum::default().add_bytes(octets).finish()
}

/// Brings a checksum up to date after a 16-bit field it covers went from `old` to `new` (RFC 1624 3, equation 3).
///
/// The result is what summing everything again would give, as long as not every octet covered is zero.
///
/// # Examples
///
/// The example of RFC 1624 section 4:
///
/// ```
/// use handwave_wire::checksum::update_u16;
///
/// assert_eq!(update_u16(0xdd2f, 0x5555, 0x3285), 0x0000);
/// ```
#[must_use]
pub fn update_u16(checksum: u16, old: u16, new: u16) -> u16 {
    let total = u64::from(!checksum)
        .wrapping_add(u64::from(!old))
        .wrapping_add(u64::from(new));
    !fold(total)
}

/// Brings a checksum up to date after a 32-bit field on an even offset went from `old` to `new` (RFC 1624 3).
#[must_use]
pub fn update_u32(checksum: u16, old: u32, new: u32) -> u16 {
    let total = u64::from(!checksum)
        .wrapping_add(u64::from(!old))
        .wrapping_add(u64::from(new));
    !fold(total)
}

/// How many octets one turn of the wide loop adds.
pub const BLOCK: usize = 64;
/// How many 64-bit lanes it adds them into: few enough for all to stay in the registers of any 64-bit machine.
const LANES: usize = 4;

/// Sums octets as words in the machine's order; a last odd octet counts as followed by a zero.
#[inline]
fn sum_native(octets: &[u8]) -> u64 {
    let (blocks, rest) = octets.as_chunks::<BLOCK>();
    let long = if blocks.is_empty() {
        0
    } else {
        WIDE_SUM
            .get()
            .map_or(sum_blocks as fn(&_) -> _, |wide| wide.sum)(blocks)
    };
    add_carry(long, sum_short(rest))
}

/// Another way to sum whole blocks, for processors with wider vectors than the program was compiled for.
///
/// It gets any number of blocks, words of the machine's octet order, and returns a number that is congruent to their sum modulo 65,535, and
/// zero only if all octets are.
#[derive(Clone, Copy, Debug)]
pub struct WideSum {
    sum: fn(&[[u8; BLOCK]]) -> u64,
}

impl WideSum {
    /// Makes one of a function.
    #[must_use]
    pub const fn new(sum: fn(&[[u8; BLOCK]]) -> u64) -> Self {
        Self { sum }
    }
}

/// Set once, by whoever can look what the processor has.
static WIDE_SUM: OnceRef<'static, WideSum> = OnceRef::new();

/// Has long pieces summed by `wide` from here on, in the whole program; returns whether it was the first.
///
/// The crate `handwave-simd` calls this with what the processor has.
///
/// ```
/// use handwave_wire::checksum::{BLOCK, WideSum, internet_checksum, set_wide_sum};
///
/// fn slowly(blocks: &[[u8; BLOCK]]) -> u64 {
///     let (words, _) = blocks.as_flattened().as_chunks::<2>();
///     words.iter().map(|word| u64::from(u16::from_ne_bytes(*word))).sum()
/// }
/// static SLOWLY: WideSum = WideSum::new(slowly);
///
/// let before = internet_checksum(&[7; 100]);
/// assert!(set_wide_sum(&SLOWLY));
/// assert_eq!(internet_checksum(&[7; 100]), before);
/// ```
pub fn set_wide_sum(wide: &'static WideSum) -> bool {
    WIDE_SUM.set(wide).is_ok()
}

/// Sums whole blocks, as 32-bit words.
///
/// Each lane takes 64-bit words as they are and lets them wrap; beside it their upper halves are added up, which cannot wrap for any
/// slice that fits in memory. What wrapped is then known: the lower halves are the lane less the upper halves in their
/// place. That costs a shift and two additions for eight octets, where taking the halves apart costs two more. Lanes are indexed, not
/// zipped: indices become vector instructions however a program that embeds this crate is optimised.
#[expect(clippy::indexing_slicing, reason = "a remainder by LANES is a lane")]
fn sum_blocks(blocks: &[[u8; BLOCK]]) -> u64 {
    let mut whole = [0_u64; LANES];
    let mut upper = [0_u64; LANES];
    for block in blocks {
        let (words, _) = block.as_chunks::<8>();
        for (index, word) in words.iter().enumerate() {
            let (lane, word) = (index % LANES, u64::from_ne_bytes(*word));
            whole[lane] = whole[lane].wrapping_add(word);
            upper[lane] = upper[lane].wrapping_add(word >> 32);
        }
    }
    let lanes = whole.into_iter().zip(upper);
    lanes.fold(0, |total: u64, (whole, upper)| {
        let lower = whole.wrapping_sub(upper << 32);
        total.wrapping_add(lower).wrapping_add(upper)
    })
}

/// Sums fewer octets than a block, eight at a time: an addition and its carry each, which no vector beats for so few.
#[inline]
fn sum_short(octets: &[u8]) -> u64 {
    let (pairs, rest) = octets.as_chunks::<8>();
    let mut total = 0_u64;
    for pair in pairs {
        total = add_carry(total, u64::from_ne_bytes(*pair));
    }
    let (words, rest) = rest.as_chunks::<4>();
    for word in words {
        total = add_carry(total, u64::from(u32::from_ne_bytes(*word)));
    }
    let last = match *rest {
        [] => return total,
        [a] => [a, 0, 0, 0],
        [a, b] => [a, b, 0, 0],
        [a, b, c, ..] => [a, b, c, 0],
    };
    add_carry(total, u64::from(u32::from_ne_bytes(last)))
}

/// Adds with the carry brought around to the low end, which is one's complement addition.
#[inline]
const fn add_carry(a: u64, b: u64) -> u64 {
    let (total, carry) = a.overflowing_add(b);
    // After a carry the total is at most 2^64 - 2, so this cannot wrap.
    total.wrapping_add(carry as u64)
}

/// Folds a one's complement sum to 16 bits.
#[inline]
const fn fold(total: u64) -> u16 {
    let total = (total >> 32).wrapping_add(total & 0xffff_ffff);
    let total = (total >> 16).wrapping_add(total & 0xffff);
    let total = (total >> 16).wrapping_add(total & 0xffff);
    let total = (total >> 16).wrapping_add(total & 0xffff);
    // The mask says, to reader and compiler, that nothing is lost.
    (total & 0xffff) as u16
}
