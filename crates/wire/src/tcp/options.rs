//! TCP options (RFC 9293 3.2, RFC 7323, RFC 2018, RFC 7413).

mod blocks;
mod cookie;
#[cfg(test)]
pub(crate) mod tests;

pub use blocks::{SackBlock, SackBlocks};
pub use cookie::FastOpenCookie;

use crate::octets::{Reader, Writer, front_mut};
use crate::{ParseError, Sum};

const END: u8 = 0;
const NOP: u8 = 1;
const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const SACK: u8 = 5;
const TIMESTAMPS: u8 = 8;
const FAST_OPEN: u8 = 34;

const MSS_LEN: u8 = 4;
const WINDOW_SCALE_LEN: u8 = 3;
const SACK_PERMITTED_LEN: u8 = 2;
const TIMESTAMPS_LEN: u8 = 10;

/// `nop nop TS`: how nearly every segment of an established connection begins its options.
const NOP_NOP_TIMESTAMPS: u32 = word([NOP, NOP, TIMESTAMPS, TIMESTAMPS_LEN]);

/// `mss`, `sackOK TS`, `nop wscale`: the options of nearly every SYN, without their values.
const WHOLE_SYN: [u32; 3] = [
    word([MSS, MSS_LEN, 0, 0]),
    word([
        SACK_PERMITTED,
        SACK_PERMITTED_LEN,
        TIMESTAMPS,
        TIMESTAMPS_LEN,
    ]),
    word([NOP, WINDOW_SCALE, WINDOW_SCALE_LEN, 0]),
];

const fn word(octets: [u8; 4]) -> u32 {
    u32::from_be_bytes(octets)
}

/// The timestamps option (RFC 7323 3.2).
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Timestamps {
    /// The sender's clock when the segment left (TSval).
    pub value: u32,
    /// The most recent TSval the sender has taken over from its peer (TSecr); meaningful only with ACK.
    pub echo: u32,
}

/// The order in which the options of a SYN are written, by which a host can be told. A reader takes any order ([MUST-64]).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum OptionOrder {
    /// `mss`, `sackOK TS` (or `nop nop TS`, or `nop nop sackOK`), `nop wscale`.
    #[default]
    Linux,
    /// `mss`, `nop wscale`, `sackOK TS` (or `nop nop TS`, or `sackOK` and the end of options).
    FreeBsd,
}

/// Whether the option octets were well-formed.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum OptionsNote {
    /// Every option up to the end was legal, known or not.
    #[default]
    WellFormed,
    /// A length was illegal: that option was skipped if its end was known, and the rest ignored otherwise.
    Malformed,
}

impl OptionsNote {
    /// Whether a length was illegal.
    #[must_use]
    pub const fn is_malformed(self) -> bool {
        matches!(self, Self::Malformed)
    }
}

/// The options of a TCP header.
///
/// # Examples
///
/// ```
/// use handwave_wire::{TcpOptions, Timestamps};
///
/// let options = TcpOptions { mss: Some(1460), window_scale: Some(7), ..TcpOptions::default() };
/// let mut octets = [0; 8];
/// assert_eq!(options.encoded_len(), octets.len());
/// options.emit(&mut octets);
/// assert_eq!(octets, [2, 4, 0x05, 0xb4, 1, 3, 3, 7]);
///
/// let (parsed, note) = TcpOptions::parse(&octets);
/// assert_eq!(parsed, options);
/// assert!(!note.is_malformed());
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct TcpOptions {
    /// Maximum segment size in octets (RFC 9293 3.7.1); belongs on a SYN.
    pub mss: Option<u16>,
    /// The shift count as sent (RFC 7323 2.2); a receiver takes more than 14 for 14. Belongs on a SYN.
    pub window_scale: Option<u8>,
    /// SACK may be used in the other direction (RFC 2018 2); belongs on a SYN.
    pub sack_permitted: bool,
    /// Timestamps (RFC 7323 3).
    pub timestamps: Option<Timestamps>,
    /// What has arrived out of order (RFC 2018 3).
    pub sack: SackBlocks,
    /// Fast Open cookie, or a request for one if it is empty (RFC 7413 4.1.1).
    pub fast_open: Option<FastOpenCookie>,
    /// How they are written; what is read has the default.
    pub order: OptionOrder,
}

impl TcpOptions {
    /// No option at all: the same as the default, and a constant.
    pub const NONE: Self = Self {
        mss: None,
        window_scale: None,
        sack_permitted: false,
        timestamps: None,
        sack: SackBlocks::new(),
        fast_open: None,
        order: OptionOrder::Linux,
    };

    /// The most octets a header has room for.
    pub const LEN_MAX: usize = 40;

    /// Reads options from the octets between the fixed header and the data, wherever in them an option starts ([MUST-4],
    /// [MUST-64]). All but end-of-options and no-operation carry a length ([MUST-68]).
    ///
    /// It never fails: unknown options are skipped ([MUST-6]), what follows an end-of-options octet is ignored, an option of a
    /// known kind with the wrong length is skipped, and an impossible length (below 2, or past the end) ends the list
    /// ([MUST-7]). Of an option that comes twice, the last counts.
    #[inline]
    #[must_use]
    pub fn parse(octets: &[u8]) -> (Self, OptionsNote) {
        match only_timestamps(octets) {
            Some(timestamps) => (
                Self {
                    timestamps,
                    ..Self::NONE
                },
                OptionsNote::WellFormed,
            ),
            None => match whole_syn(octets) {
                Some(options) => (options, OptionsNote::WellFormed),
                None => Self::parse_any(octets),
            },
        }
    }

    pub(super) fn parse_any(octets: &[u8]) -> (Self, OptionsNote) {
        let mut options = Self::NONE;
        let octets = options.take_whole_words(octets);
        let mut note = OptionsNote::WellFormed;
        let mut reader = Reader::new(octets);
        // Each turn takes at least one octet off the front, so the loop ends with the octets.
        while let Ok([kind]) = reader.array() {
            match kind {
                END => break,
                NOP => continue,
                _ => {}
            }
            let Ok(value) = option_value(&mut reader) else {
                return (options, OptionsNote::Malformed);
            };
            if options.take(kind, value).is_err() {
                note = OptionsNote::Malformed;
            }
        }
        (options, note)
    }

    /// Takes options off the front as long as they fill whole words in the ways that most hosts write them on a SYN; returns the
    /// rest.
    fn take_whole_words<'a>(&mut self, mut octets: &'a [u8]) -> &'a [u8] {
        while let Some(([a, b, c, d], mut rest)) = octets.split_first_chunk::<4>() {
            match [*a, *b, *c, *d] {
                [MSS, MSS_LEN, m0, m1] => self.mss = Some(u16::from_be_bytes([m0, m1])),
                [NOP, WINDOW_SCALE, WINDOW_SCALE_LEN, shift] => self.window_scale = Some(shift),
                [NOP, NOP, SACK_PERMITTED, SACK_PERMITTED_LEN] => self.sack_permitted = true,
                [first, second, TIMESTAMPS, TIMESTAMPS_LEN]
                    if [first, second] == [SACK_PERMITTED, SACK_PERMITTED_LEN]
                        || [first, second] == [NOP, NOP] =>
                {
                    let Some((stamps, behind)) = rest.split_first_chunk::<8>() else {
                        break;
                    };
                    let stamps = u64::from_be_bytes(*stamps);
                    #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
                    let (value, echo) = ((stamps >> 32) as u32, stamps as u32);
                    self.timestamps = Some(Timestamps { value, echo });
                    self.sack_permitted |= first == SACK_PERMITTED;
                    rest = behind;
                }
                _ => break,
            }
            octets = rest;
        }
        octets
    }

    /// Stores one option; an error says that its length is not one its kind can have.
    fn take(&mut self, kind: u8, value: &[u8]) -> Result<(), ParseError> {
        match (kind, value) {
            (MSS, &[m0, m1]) => self.mss = Some(u16::from_be_bytes([m0, m1])),
            (WINDOW_SCALE, &[shift]) => self.window_scale = Some(shift),
            (SACK_PERMITTED, []) => self.sack_permitted = true,
            (TIMESTAMPS, &[v0, v1, v2, v3, e0, e1, e2, e3]) => {
                self.timestamps = Some(Timestamps {
                    value: u32::from_be_bytes([v0, v1, v2, v3]),
                    echo: u32::from_be_bytes([e0, e1, e2, e3]),
                });
            }
            (SACK, _) => self.sack.read_option(value)?,
            (FAST_OPEN, _) => self.fast_open = Some(FastOpenCookie::from_option(value)?),
            (MSS | WINDOW_SCALE | SACK_PERMITTED | TIMESTAMPS, _) => {
                return Err(ParseError::BadLength);
            }
            _ => {}
        }
        Ok(())
    }

    /// How many octets [`emit`](Self::emit) writes: a multiple of 4, at most 40.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        let len = self.len_without_sack();
        match self.sack_that_fits(len) {
            0 => len,
            blocks => len
                .saturating_add(blocks.saturating_mul(8))
                .saturating_add(4),
        }
    }

    /// Writes the options into the first [`encoded_len`](Self::encoded_len) octets of `buffer`.
    ///
    /// First those of a SYN in their [`order`](Self::order), then `nop nop sack`, and the Fast Open cookie with `nop`s up to a whole
    /// word. An end-of-options octet is followed by zeros ([MUST-69]). SACK blocks that do not fit in 40 octets are left out,
    /// the last ones first: the first is the one a sender must report (RFC 2018 4).
    ///
    /// # Panics
    ///
    /// If `buffer` is shorter than [`encoded_len`](Self::encoded_len).
    #[inline]
    pub fn emit(&self, buffer: &mut [u8]) {
        self.emit_summed(buffer, Sum::default());
    }

    /// Does what [`emit`](Self::emit) does and adds what was written to `sum`, from the fields: the octets have hardly been written.
    #[inline]
    pub(super) fn emit_summed(&self, buffer: &mut [u8], sum: Sum) -> Sum {
        match *self {
            Self {
                mss: None,
                window_scale: None,
                sack_permitted: false,
                timestamps,
                sack,
                fast_open: None,
                order: _,
            } if sack.is_empty() => match timestamps {
                Some(timestamps) => emit_only_timestamps(timestamps, buffer, sum),
                None => sum,
            },
            Self {
                mss: Some(mss),
                window_scale: Some(shift),
                sack_permitted: true,
                timestamps: Some(timestamps),
                sack,
                fast_open: None,
                order: OptionOrder::Linux,
            } if sack.is_empty() => emit_whole_syn(mss, shift, timestamps, buffer, sum),
            _ => {
                self.emit_any(buffer);
                sum.add_bytes(buffer.get(..self.encoded_len()).unwrap_or_default())
            }
        }
    }

    fn emit_window_scale(&self, writer: &mut Writer<'_>) {
        if let Some(shift) = self.window_scale {
            writer.u32(word([NOP, WINDOW_SCALE, WINDOW_SCALE_LEN, shift]));
        }
    }

    fn emit_any(&self, buffer: &mut [u8]) {
        let mut writer = Writer::new(buffer);
        if let Some(mss) = self.mss {
            writer.u32(word([MSS, MSS_LEN, 0, 0]) | u32::from(mss));
        }
        if self.order == OptionOrder::FreeBsd {
            self.emit_window_scale(&mut writer);
        }
        if let Some(Timestamps { value, echo }) = self.timestamps {
            let [first, second] = if self.sack_permitted {
                [SACK_PERMITTED, SACK_PERMITTED_LEN]
            } else {
                [NOP, NOP]
            };
            writer.u32(word([first, second, TIMESTAMPS, TIMESTAMPS_LEN]));
            writer.u32(value);
            writer.u32(echo);
        } else if self.sack_permitted {
            let is_last = self.sack.is_empty() && self.fast_open.is_none();
            writer.u32(word(match self.order {
                OptionOrder::FreeBsd if is_last => [SACK_PERMITTED, SACK_PERMITTED_LEN, END, 0],
                _ => [NOP, NOP, SACK_PERMITTED, SACK_PERMITTED_LEN],
            }));
        }
        if self.order == OptionOrder::Linux {
            self.emit_window_scale(&mut writer);
        }
        let blocks = self.sack_that_fits(self.len_without_sack());
        if blocks > 0 {
            // At most 4 blocks: 2 + 4 * 8 = 34.
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a SACK option is at most 34 octets"
            )]
            let len = blocks.saturating_mul(8).saturating_add(2) as u8;
            writer.put(&[NOP, NOP, SACK, len]);
            for block in self.sack.iter().take(blocks) {
                writer.u32(block.left.raw());
                writer.u32(block.right.raw());
            }
        }
        if let Some(cookie) = self.fast_open {
            writer.put(&[FAST_OPEN, cookie.option_len()]);
            writer.put(cookie.as_slice());
            for _ in usize::from(cookie.option_len())..cookie.padded_len() {
                writer.put(&[NOP]);
            }
        }
    }

    /// The octets all options but SACK take, each padded to whole words: at most 4 + 12 + 4 + 20 = 40.
    const fn len_without_sack(&self) -> usize {
        let mss = if self.mss.is_some() { 4_usize } else { 0 };
        let sack_permitted_and_timestamps = match (self.sack_permitted, &self.timestamps) {
            (_, Some(_)) => 12,
            (true, None) => 4,
            (false, None) => 0,
        };
        let window_scale = if self.window_scale.is_some() { 4 } else { 0 };
        let fast_open = match &self.fast_open {
            Some(cookie) => cookie.padded_len(),
            None => 0,
        };
        mss.saturating_add(sack_permitted_and_timestamps)
            .saturating_add(window_scale)
            .saturating_add(fast_open)
    }

    /// How many SACK blocks go beside `used` octets of other options.
    const fn sack_that_fits(&self, used: usize) -> usize {
        let room = Self::LEN_MAX.saturating_sub(used).saturating_sub(4) / 8;
        let held = self.sack.len();
        if held < room { held } else { room }
    }
}

/// The fast path for the two layouts of nearly every segment: no options, and `nop nop TS`; `None` for all others.
#[inline]
pub(super) fn only_timestamps(octets: &[u8]) -> Option<Option<Timestamps>> {
    if octets.is_empty() {
        return Some(None);
    }
    let mut reader = Reader::new(octets.as_array::<12>()?);
    if reader.u32().ok()? != NOP_NOP_TIMESTAMPS {
        return None;
    }
    let (value, echo) = (reader.u32().ok()?, reader.u32().ok()?);
    Some(Some(Timestamps { value, echo }))
}

/// The fast path for nearly every SYN: `mss`, `sackOK TS`, `nop wscale` and nothing else; `None` for all others.
#[inline]
pub(super) fn whole_syn(octets: &[u8]) -> Option<TcpOptions> {
    let (words, _) = octets.as_array::<20>()?.as_chunks::<4>();
    let words: &[[u8; 4]; 5] = words.as_array()?;
    let [mss, kinds, value, echo, scale] = words.map(u32::from_be_bytes);
    let as_expected = [mss & !0xffff, kinds, scale & !0xff] == WHOLE_SYN;
    #[expect(clippy::cast_possible_truncation, reason = "the rest of each word")]
    as_expected.then_some(TcpOptions {
        mss: Some(mss as u16),
        window_scale: Some(scale as u8),
        sack_permitted: true,
        timestamps: Some(Timestamps { value, echo }),
        ..TcpOptions::NONE
    })
}

#[inline]
fn emit_whole_syn(mss: u16, shift: u8, timestamps: Timestamps, buffer: &mut [u8], sum: Sum) -> Sum {
    let [first, kinds, last] = WHOLE_SYN;
    let Timestamps { value, echo } = timestamps;
    let (first, last) = (first | u32::from(mss), last | u32::from(shift));
    let words = [first, kinds, value, echo, last];
    emit_words(words, front_mut::<20>(buffer), sum)
}

#[inline]
fn emit_only_timestamps(timestamps: Timestamps, buffer: &mut [u8], sum: Sum) -> Sum {
    let Timestamps { value, echo } = timestamps;
    let words = [NOP_NOP_TIMESTAMPS, value, echo];
    emit_words(words, front_mut::<12>(buffer), sum)
}

/// Writes words and adds them to `sum`.
#[inline]
fn emit_words<const N: usize>(words: [u32; N], buffer: &mut [u8], sum: Sum) -> Sum {
    let mut writer = Writer::new(buffer);
    words.into_iter().fold(sum, |sum, word| {
        writer.u32(word);
        sum.add_u32(word)
    })
}

/// Takes the length octet and the value after it.
fn option_value<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], ParseError> {
    let [len] = reader.array()?;
    // The length counts the kind and itself.
    let value_len = usize::from(len)
        .checked_sub(2)
        .ok_or(ParseError::BadLength)?;
    reader.take(value_len)
}
