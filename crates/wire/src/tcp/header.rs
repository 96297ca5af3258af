//! The TCP header (RFC 9293 3.1).

#[cfg(test)]
mod tests;

use core::net::IpAddr;

use super::options::{only_timestamps, whole_syn};
use super::{TcpFlags, TcpOptions};
use crate::octets::{Reader, Writer, front_mut};
use crate::{IpProtocol, ParseError, SeqNum, Sum};

/// What a TCP header says.
///
/// The checksum is not a field: it covers the addresses and the payload too, so it is verified with
/// [`checksum_is_valid`](Self::checksum_is_valid) and filled in at [`CHECKSUM_OFFSET`](Self::CHECKSUM_OFFSET) by whoever
/// has them. The data offset follows from the options.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct TcpHeader {
    /// The sender's port.
    pub source_port: u16,
    /// The receiver's port.
    pub destination_port: u16,
    /// The number of the first octet of data, or of the SYN if there is one (SEG.SEQ).
    pub seq: SeqNum,
    /// The next number the sender expects; meaningful only with [`TcpFlags::ACK`] (SEG.ACK).
    pub ack: SeqNum,
    /// The control bits.
    pub flags: TcpFlags,
    /// The window field as sent, before any scaling.
    pub window: u16,
    /// The urgent pointer, an offset from `seq`; meaningful only with [`TcpFlags::URG`].
    pub urgent: u16,
    /// The options.
    pub options: TcpOptions,
}

impl TcpHeader {
    /// The length of a header without options, in octets.
    pub const LEN_MIN: usize = 20;
    /// The length of a header with 40 octets of options.
    pub const LEN_MAX: usize = 60;
    /// Where the 16-bit checksum stands in the header.
    pub const CHECKSUM_OFFSET: usize = 16;

    /// Reads the header at the front of a segment and returns it with its length in octets (where the data begins).
    ///
    /// Options are read whatever the flags are ([MUST-5]). Reserved bits are ignored, and so are options that are unknown or
    /// malformed: see [`TcpOptions::parse`]. The checksum is not looked at.
    ///
    /// # Errors
    ///
    /// [`ParseError::Truncated`] if there are fewer octets than the header has, [`ParseError::BadLength`] if the data offset
    /// is below 5 words.
    #[inline]
    pub fn parse(segment: &[u8]) -> Result<(Self, usize), ParseError> {
        let (fixed, rest) = segment
            .split_first_chunk::<{ Self::LEN_MIN }>()
            .ok_or(ParseError::Truncated)?;
        // The length is known from here on, so the compiler removes the reader's checks.
        let mut fields = Reader::new(fixed);
        let source_port = fields.u16()?;
        let destination_port = fields.u16()?;
        let seq = SeqNum::new(fields.u32()?);
        let ack = SeqNum::new(fields.u32()?);
        let offset_and_flags = fields.u16()?;
        let window = fields.u16()?;
        let _checksum = fields.u16()?;
        let urgent = fields.u16()?;

        let data_offset = usize::from(offset_and_flags >> 12).saturating_mul(4);
        let options_len = data_offset
            .checked_sub(Self::LEN_MIN)
            .ok_or(ParseError::BadLength)?;
        let options = rest.get(..options_len).ok_or(ParseError::Truncated)?;

        let with = |options| Self {
            source_port,
            destination_port,
            seq,
            ack,
            flags: TcpFlags::from_bits(offset_and_flags),
            window,
            urgent,
            options,
        };
        // Several returns, so that the usual ones build the header in its place and copy nothing.
        match only_timestamps(options) {
            Some(timestamps) => Ok((
                with(TcpOptions {
                    timestamps,
                    ..TcpOptions::NONE
                }),
                data_offset,
            )),
            None => match whole_syn(options) {
                Some(options) => Ok((with(options), data_offset)),
                None => Ok((with(TcpOptions::parse_any(options).0), data_offset)),
            },
        }
    }

    /// The length of the header with its options in octets: 20 to 60, a multiple of 4.
    #[must_use]
    pub const fn header_len(&self) -> usize {
        Self::LEN_MIN.saturating_add(self.options.encoded_len())
    }

    /// Writes the header into the first [`header_len`](Self::header_len) octets of `buffer`, with a checksum field of zero.
    ///
    /// # Panics
    ///
    /// If `buffer` is shorter than that.
    #[inline]
    pub fn emit(&self, buffer: &mut [u8]) {
        let header_len = self.header_len();
        self.emit_octets(header_len, buffer, Sum::default());
    }

    /// Does what [`emit`](Self::emit) does and adds what was written to `sum`, without reading it again.
    ///
    /// # Examples
    ///
    /// ```
    /// use handwave_wire::{Sum, TcpFlags, TcpHeader};
    ///
    /// let header = TcpHeader { source_port: 80, window: 1000, flags: TcpFlags::ACK, ..TcpHeader::default() };
    /// let mut octets = [0; 20];
    /// let sum = header.emit_summed(&mut octets, Sum::default());
    /// assert_eq!(sum.finish(), Sum::default().add_bytes(&octets).finish());
    /// ```
    ///
    /// # Panics
    ///
    /// If `buffer`, which is as long as [`header_len`](Self::header_len) says, is shorter than that.
    #[inline]
    #[must_use]
    pub fn emit_summed(&self, buffer: &mut [u8], sum: Sum) -> Sum {
        debug_assert_eq!(buffer.len(), self.header_len(), "room for the header");
        self.emit_octets(buffer.len(), buffer, sum)
    }

    #[inline]
    fn emit_octets(&self, header_len: usize, buffer: &mut [u8], sum: Sum) -> Sum {
        // At most 60 / 4 = 15, so the cast loses nothing.
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a data offset is at most 15"
        )]
        let data_offset = (header_len / 4) as u16;
        let (fixed, rest) = buffer
            .split_first_chunk_mut::<{ Self::LEN_MIN }>()
            .expect("the buffer is shorter than the header");
        let offset_and_flags = data_offset << 12 | self.flags.bits();
        let mut writer = Writer::new(fixed);
        writer.u16(self.source_port);
        writer.u16(self.destination_port);
        writer.u32(self.seq.raw());
        writer.u32(self.ack.raw());
        writer.u16(offset_and_flags);
        writer.u16(self.window);
        writer.u16(0);
        writer.u16(self.urgent);
        let sum = sum
            .add_u16(self.source_port)
            .add_u16(self.destination_port)
            .add_u32(self.seq.raw())
            .add_u32(self.ack.raw())
            .add_u16(offset_and_flags)
            .add_u16(self.window)
            .add_u16(self.urgent);
        self.options.emit_summed(rest, sum)
    }

    /// Counts the sequence numbers the segment occupies: its data, and one each for SYN and FIN (SEG.LEN).
    ///
    /// # Examples
    ///
    /// ```
    /// use handwave_wire::{TcpFlags, TcpHeader};
    ///
    /// let fin = TcpHeader { flags: TcpFlags::FIN | TcpFlags::ACK, ..TcpHeader::default() };
    /// assert_eq!(fin.seq_len(100), 101);
    /// ```
    #[must_use]
    pub fn seq_len(&self, payload_len: usize) -> u32 {
        let payload_len = u32::try_from(payload_len).unwrap_or(u32::MAX);
        payload_len
            .saturating_add(u32::from(self.flags.contains(TcpFlags::SYN)))
            .saturating_add(u32::from(self.flags.contains(TcpFlags::FIN)))
    }

    /// Whether the checksum of a whole contiguous segment is right (RFC 9293 3.1 [MUST-3]).
    #[must_use]
    pub fn checksum_is_valid(segment: &[u8], source: IpAddr, destination: IpAddr) -> bool {
        let Ok(len) = u32::try_from(segment.len()) else {
            return false;
        };
        Sum::default()
            .pseudo_header(source, destination, IpProtocol::TCP, len)
            .add_bytes(segment)
            .is_valid()
    }

    /// Writes `checksum` into the checksum field of the header at the front of `segment`.
    ///
    /// # Panics
    ///
    /// If `segment` is shorter than [`LEN_MIN`](Self::LEN_MIN).
    pub fn set_checksum(segment: &mut [u8], checksum: u16) {
        let [.., c0, c1, _, _] = front_mut::<{ Self::LEN_MIN }>(segment);
        [*c0, *c1] = checksum.to_be_bytes();
    }
}
