//! Writing and reading fields without indices.
//!
//! Fixed headers are read with array patterns, which the compiler checks. The rest, fields one after another in a
//! variable part, goes through [`Reader`] and [`Writer`], which can only move forward.

use crate::ParseError;

/// Takes big-endian fields off the front of a slice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(octets: &'a [u8]) -> Self {
        Self { rest: octets }
    }

    pub(crate) const fn remaining(self) -> usize {
        self.rest.len()
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], ParseError> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(ParseError::Truncated)?;
        self.rest = rest;
        Ok(*array)
    }

    #[inline]
    pub(crate) fn u16(&mut self) -> Result<u16, ParseError> {
        self.array().map(u16::from_be_bytes)
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Result<u32, ParseError> {
        self.array().map(u32::from_be_bytes)
    }

    #[inline]
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], ParseError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(ParseError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }
}

/// Puts fields one after another into a buffer that the caller made large enough.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    rest: &'a mut [u8],
}

impl<'a> Writer<'a> {
    pub(crate) const fn new(buffer: &'a mut [u8]) -> Self {
        Self { rest: buffer }
    }

    #[inline]
    pub(crate) fn u16(&mut self, field: u16) {
        self.put(&field.to_be_bytes());
    }

    #[inline]
    pub(crate) fn u32(&mut self, field: u32) {
        self.put(&field.to_be_bytes());
    }

    /// Writes the octets of a field; panics if the buffer is full, which is the documented panic of every `emit`.
    #[inline]
    pub(crate) fn put(&mut self, octets: &[u8]) {
        let (front, rest) = core::mem::take(&mut self.rest)
            .split_at_mut_checked(octets.len())
            .expect("the buffer is shorter than the header");
        front.copy_from_slice(octets);
        self.rest = rest;
    }
}

/// Takes the first `N` octets of a buffer to write a fixed header into; panics if it is shorter.
pub(crate) fn front_mut<const N: usize>(buffer: &mut [u8]) -> &mut [u8; N] {
    buffer
        .first_chunk_mut()
        .expect("the buffer is shorter than the header")
}
