//! IPv4 options, read and never written (RFC 791 3.1, RFC 1122 3.2.1.8).

use crate::octets::Reader;
use crate::{ParseError, ipv4::Ipv4Header};

const END: u8 = 0;
const NOP: u8 = 1;

/// One IPv4 option as received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ipv4Option<'a> {
    /// The option-type octet: copied flag, class and number.
    pub kind: u8,
    /// What follows the length octet.
    pub value: &'a [u8],
}

impl Ipv4Option<'_> {
    const LOOSE_SOURCE_ROUTE: u8 = 131;
    const STRICT_SOURCE_ROUTE: u8 = 137;

    /// Whether the option names the routers to pass: what lets a sender reach hosts behind others, and what hosts refuse.
    #[must_use]
    pub const fn is_source_route(&self) -> bool {
        matches!(
            self.kind,
            Self::LOOSE_SOURCE_ROUTE | Self::STRICT_SOURCE_ROUTE
        )
    }
}

/// Goes through the options of an IPv4 header.
///
/// It ends at the end-of-options octet, at the end of the header, or after the one error that an impossible length
/// gives.
///
/// # Examples
///
/// ```
/// use handwave_wire::ipv4::Ipv4Options;
///
/// // A header of 6 words: no-operation, then an empty loose source route.
/// let mut header = [0; 24];
/// header[0] = 0x46;
/// header[20..].copy_from_slice(&[1, 131, 3, 4]);
/// let mut options = Ipv4Options::of(&header);
/// assert!(options.next().unwrap().unwrap().is_source_route());
/// assert_eq!(options.next(), None);
/// ```
#[derive(Clone, Debug)]
pub struct Ipv4Options<'a> {
    reader: Reader<'a>,
}

impl<'a> Ipv4Options<'a> {
    /// The options in the header at the front of `packet`, which has been parsed; none if it has not the octets.
    #[must_use]
    pub fn of(packet: &'a [u8]) -> Self {
        let words = packet.first().map_or(0, |octet| octet & 0x0f);
        let header_len = usize::from(words).saturating_mul(4);
        let octets = packet.get(Ipv4Header::LEN..header_len).unwrap_or_default();
        Self {
            reader: Reader::new(octets),
        }
    }

    fn finish(&mut self) {
        self.reader = Reader::new(&[]);
    }

    fn option(&mut self, kind: u8) -> Result<Ipv4Option<'a>, ParseError> {
        let [len] = self.reader.array()?;
        // The length counts the type and itself.
        let value_len = usize::from(len)
            .checked_sub(2)
            .ok_or(ParseError::BadLength)?;
        let value = self.reader.take(value_len)?;
        Ok(Ipv4Option { kind, value })
    }
}

impl<'a> Iterator for Ipv4Options<'a> {
    type Item = Result<Ipv4Option<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        // Each turn takes at least one of at most 40 octets.
        while let Ok([kind]) = self.reader.array() {
            match kind {
                END => break,
                NOP => {}
                _ => {
                    let option = self.option(kind);
                    if option.is_err() {
                        self.finish();
                    }
                    return Some(option);
                }
            }
        }
        self.finish();
        None
    }
}
