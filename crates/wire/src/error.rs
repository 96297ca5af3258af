//! Why octets could not be read as a header.

use core::fmt;

/// Says why octets could not be read as the header they were taken for.
///
/// A parse error is never shown to a user: it becomes a counter of packets that were dropped.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ParseError {
    /// There are fewer octets than the header needs or says it has.
    Truncated,
    /// A length field contradicts itself or the smallest value its RFC allows.
    BadLength,
    /// The version field is not the one this parser reads.
    BadVersion,
    /// The checksum does not match the octets.
    BadChecksum,
    /// A field holds a value that its RFC forbids, where ignoring it would be unsafe.
    BadField,
    /// The octets are well-formed but ask for something this stack refuses (jumbograms, foreign hardware types).
    Unsupported,
    /// A chain of headers is longer than the limit on count or octets.
    TooManyHeaders,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the header is cut short",
            Self::BadLength => "a length field is impossible",
            Self::BadVersion => "the version is not the expected one",
            Self::BadChecksum => "the checksum does not match",
            Self::BadField => "a field holds a forbidden value",
            Self::Unsupported => "the header asks for something unsupported",
            Self::TooManyHeaders => "the chain of headers is too long",
        })
    }
}

impl core::error::Error for ParseError {}
