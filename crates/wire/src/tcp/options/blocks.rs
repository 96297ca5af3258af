//! SACK blocks, held inline.

use core::fmt;
use core::slice;

use crate::{ParseError, SeqNum};

/// One contiguous run of octets that arrived: `[left, right)` (RFC 2018 3).
///
/// As received it proves nothing: `right` may lie before `left`. Check before use.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct SackBlock {
    /// The first number of the run.
    pub left: SeqNum,
    /// The number just after the last.
    pub right: SeqNum,
}

impl fmt::Debug for SackBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.left, self.right)
    }
}

/// Up to four SACK blocks, which is what 40 octets of options hold.
///
/// # Examples
///
/// ```
/// use handwave_wire::{SackBlock, SackBlocks, SeqNum};
///
/// let block = SackBlock { left: SeqNum::new(10), right: SeqNum::new(20) };
/// let mut blocks = SackBlocks::new();
/// assert!(blocks.push(block));
/// assert_eq!(blocks.as_slice(), [block]);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct SackBlocks {
    // Entries from `len` on stay at their default, so that derived equality is right.
    blocks: [SackBlock; Self::CAPACITY],
    len: u8,
}

impl SackBlocks {
    /// How many blocks there is room for.
    pub const CAPACITY: usize = 4;

    /// Makes an empty list.
    #[must_use]
    pub const fn new() -> Self {
        const NONE: SackBlock = SackBlock {
            left: SeqNum::new(0),
            right: SeqNum::new(0),
        };
        Self {
            blocks: [NONE; Self::CAPACITY],
            len: 0,
        }
    }

    /// Adds a block at the end; returns whether there was room.
    pub fn push(&mut self, block: SackBlock) -> bool {
        let Some(slot) = self.blocks.get_mut(usize::from(self.len)) else {
            return false;
        };
        *slot = block;
        self.len = self.len.saturating_add(1);
        true
    }

    /// Takes the blocks of an option in place of those held; an error leaves these as they are.
    pub(super) fn read_option(&mut self, value: &[u8]) -> Result<(), ParseError> {
        let (pairs, excess) = value.as_chunks::<8>();
        if pairs.is_empty() || !excess.is_empty() {
            return Err(ParseError::BadLength);
        }
        *self = Self::new();
        // Forty octets cannot hold more than four; of an option in more octets than that the first four count.
        for &[l0, l1, l2, l3, r0, r1, r2, r3] in pairs.iter().take(Self::CAPACITY) {
            self.push(SackBlock {
                left: SeqNum::new(u32::from_be_bytes([l0, l1, l2, l3])),
                right: SeqNum::new(u32::from_be_bytes([r0, r1, r2, r3])),
            });
        }
        Ok(())
    }

    /// How many blocks there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The blocks in their order.
    #[must_use]
    pub fn as_slice(&self) -> &[SackBlock] {
        self.blocks.get(..self.len()).unwrap_or(&self.blocks)
    }

    /// Goes through the blocks in their order.
    pub fn iter(&self) -> slice::Iter<'_, SackBlock> {
        self.as_slice().iter()
    }
}

impl<'a> IntoIterator for &'a SackBlocks {
    type Item = &'a SackBlock;
    type IntoIter = slice::Iter<'a, SackBlock>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl FromIterator<SackBlock> for SackBlocks {
    /// Takes the first four and leaves the rest.
    fn from_iter<I: IntoIterator<Item = SackBlock>>(blocks: I) -> Self {
        let mut list = Self::new();
        for block in blocks.into_iter().take(Self::CAPACITY) {
            list.push(block);
        }
        list
    }
}

impl fmt::Debug for SackBlocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}
