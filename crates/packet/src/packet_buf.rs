//! [`PacketBuf`]: one packet, its headers inline and its payload a rope.
//!
//! Headers are built inside-out (TCP, then IP, then Ethernet), each by [`PacketBuf::prepend`], and taken off outside-in by
//! [`PacketBuf::advance`].

use crate::{Payload, copy};
use alloc::vec::Vec;
use bytes::Bytes;

/// Octets of header that fit in front of a payload: Ethernet with a VLAN tag (18), IPv6 (40) and TCP with all options
/// (60) make 118.
pub const HEAD_CAPACITY: usize = 128;

/// What is known about a packet's transport checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ChecksumMark {
    /// Nothing is known: the receiver sums and compares.
    #[default]
    Unknown,
    /// The device has compared it, or the packet never left memory: the receiver need not.
    Verified,
    /// The field holds the sum of the pseudo-header only; whoever puts the packet on a wire completes it.
    Partial,
}

/// One IP packet, or one Ethernet frame.
///
/// The octets are `head` (what [`prepend`](Self::prepend) wrote, stored inline) followed by `payload`. A received packet
/// has an empty head and, as a rule, one contiguous piece. Passing one by value moves about 230 octets and touches no
/// reference count.
///
/// # Examples
///
/// ```
/// use bytes::Bytes;
/// use handwave_packet::{PacketBuf, Payload};
///
/// let mut packet = PacketBuf::with_payload(Payload::from(Bytes::from_static(b"data")));
/// packet.prepend(3).copy_from_slice(b"TCP");
/// packet.prepend(2).copy_from_slice(b"IP");
/// assert_eq!(packet.to_vec(), b"IPTCPdata");
///
/// packet.advance(2);
/// assert_eq!(packet.front(5), Some(&b"TCPda"[..]));
/// assert_eq!(packet.front(8), None);
/// ```
#[derive(Clone, Debug)]
pub struct PacketBuf {
    head: [u8; HEAD_CAPACITY],
    /// The head is `head[head_start..head_end]`; it grows towards lower indices.
    head_start: u8,
    head_end: u8,
    checksum: ChecksumMark,
    segment_size: Option<u16>,
    payload: Payload,
    held: usize,
}

#[expect(clippy::cast_possible_truncation, reason = "128 fits in an octet")]
const HEAD_END: u8 = HEAD_CAPACITY as u8;

impl PacketBuf {
    /// Wraps a received packet: no head, one piece, and as much memory held as it has octets.
    ///
    /// A device whose buffers are larger than the packet says so with [`set_held`](Self::set_held).
    #[inline]
    #[must_use]
    pub fn from_bytes(octets: Bytes) -> Self {
        Self::with_payload(octets.into())
    }

    /// Starts an outgoing packet from its innermost part; headers follow with [`prepend`](Self::prepend).
    #[inline]
    #[must_use]
    pub fn with_payload(payload: Payload) -> Self {
        Self {
            head: [0; HEAD_CAPACITY],
            head_start: HEAD_END,
            head_end: HEAD_END,
            checksum: ChecksumMark::Unknown,
            segment_size: None,
            held: payload.len(),
            payload,
        }
    }

    /// Makes this the beginning of another outgoing packet, as [`with_payload`](Self::with_payload) does, where it lies: whoever sends
    /// many packets moves none about.
    ///
    /// ```
    /// use handwave_packet::{PacketBuf, Payload};
    ///
    /// let mut packet = PacketBuf::default();
    /// packet.prepend(4).copy_from_slice(b"past");
    /// packet.restart(Payload::new());
    /// packet.prepend(3).copy_from_slice(b"now");
    /// assert_eq!(packet.to_vec(), b"now");
    /// ```
    #[inline]
    pub fn restart(&mut self, payload: Payload) {
        (self.head_start, self.head_end) = (HEAD_END, HEAD_END);
        self.checksum = ChecksumMark::Unknown;
        self.segment_size = None;
        self.held = payload.len();
        self.payload = payload;
    }

    /// Makes the head what begins at `at` in `octets` and ends where they end.
    #[inline]
    pub(crate) fn set_headers(&mut self, octets: &[u8; HEAD_CAPACITY], at: usize) {
        // Halves, as far as there is something in them: a few moves, and no call.
        let (first, last) = octets.split_at(HEAD_CAPACITY / 2);
        let (own_first, own_last) = self.head.split_at_mut(HEAD_CAPACITY / 2);
        own_last.copy_from_slice(last);
        if at < HEAD_CAPACITY / 2 {
            own_first.copy_from_slice(first);
        }
        #[expect(clippy::cast_possible_truncation, reason = "at most HEAD_CAPACITY")]
        {
            self.head_start = at.min(HEAD_CAPACITY) as u8;
        }
        self.head_end = HEAD_END;
    }

    /// Moves `other` here, which leaves it empty. Of a head only what is used is copied.
    ///
    /// ```
    /// use handwave_packet::PacketBuf;
    ///
    /// let mut waiting = PacketBuf::default();
    /// waiting.prepend(2).copy_from_slice(b"IP");
    /// let mut packet = PacketBuf::default();
    /// packet.take_over(&mut waiting);
    /// assert_eq!((packet.to_vec(), waiting.len()), (b"IP".to_vec(), 0));
    /// ```
    pub fn take_over(&mut self, other: &mut Self) {
        let used = usize::from(other.head_start)..usize::from(other.head_end);
        self.head[used.clone()].copy_from_slice(&other.head[used]);
        (self.head_start, self.head_end) = (other.head_start, other.head_end);
        self.checksum = other.checksum;
        self.segment_size = other.segment_size;
        self.held = other.held;
        self.payload = core::mem::take(&mut other.payload);
        other.restart(Payload::new());
    }

    /// Octets in head and payload together.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.head_end - self.head_start) + self.payload.len()
    }

    /// Whether there is no octet.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The headers written with [`prepend`](Self::prepend) and not yet taken off.
    #[inline]
    #[must_use]
    pub fn head(&self) -> &[u8] {
        &self.head[usize::from(self.head_start)..usize::from(self.head_end)]
    }

    /// The same octets as [`head`](Self::head), to patch a field in place.
    #[inline]
    pub fn head_mut(&mut self) -> &mut [u8] {
        &mut self.head[usize::from(self.head_start)..usize::from(self.head_end)]
    }

    /// What follows the head.
    #[must_use]
    pub const fn payload(&self) -> &Payload {
        &self.payload
    }

    /// Makes room for `n` octets in front of everything and returns them, zeroed.
    ///
    /// When the inline head is full it becomes a piece of the payload first, which allocates; ordinary header stacks fit.
    ///
    /// # Panics
    ///
    /// If `n` exceeds [`HEAD_CAPACITY`].
    #[inline]
    pub fn prepend(&mut self, n: usize) -> &mut [u8] {
        assert!(
            n <= HEAD_CAPACITY,
            "a header of {n} octets exceeds the head"
        );
        if n > usize::from(self.head_start) {
            self.spill_head();
        }
        let end = usize::from(self.head_start);
        let room = &mut self.head[end - n..end];
        room.fill(0);
        #[expect(clippy::cast_possible_truncation, reason = "at most HEAD_CAPACITY")]
        {
            self.head_start = (end - n) as u8;
        }
        room
    }

    /// The first `n` octets as one slice, or `None` if the packet is shorter.
    ///
    /// Costs nothing where they lie in one piece already, as with any packet just built or received; otherwise the packet
    /// is [linearised](Self::linearize).
    pub fn front(&mut self, n: usize) -> Option<&[u8]> {
        if self.contiguous().len() < n {
            if self.len() < n {
                return None;
            }
            self.linearize();
        }
        self.contiguous().get(..n)
    }

    /// The longest prefix that lies in one piece: the head, or the payload's first piece if the head is empty.
    #[inline]
    #[must_use]
    pub fn contiguous(&self) -> &[u8] {
        if self.head_start == self.head_end {
            self.payload.contiguous()
        } else {
            self.head()
        }
    }

    /// Drops `n` octets at the front, or all if there are fewer.
    #[inline]
    pub fn advance(&mut self, n: usize) {
        let from_head = n.min(self.head().len());
        #[expect(clippy::cast_possible_truncation, reason = "at most the head's length")]
        {
            self.head_start += from_head as u8;
        }
        self.payload.advance(n - from_head);
        if self.head_start == self.head_end {
            (self.head_start, self.head_end) = (HEAD_END, HEAD_END);
        }
    }

    /// Keeps the first `len` octets and drops the rest (link padding behind an IP packet, for one).
    #[inline]
    pub fn truncate(&mut self, len: usize) {
        if len >= self.len() {
            return;
        }
        let head_len = self.head().len();
        self.payload.truncate(len.saturating_sub(head_len));
        if len < head_len {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "less than the head's length"
            )]
            {
                self.head_end = self.head_start + len as u8;
            }
        }
    }

    /// What is left once the headers have been taken off, without a copy unless some head remains.
    #[must_use]
    pub fn into_payload(mut self) -> Payload {
        self.spill_head();
        self.payload
    }

    /// Does what [`into_payload`](Self::into_payload) does where the packet is only borrowed; nothing is left in it.
    #[must_use]
    pub fn take_payload(&mut self) -> Payload {
        self.spill_head();
        core::mem::take(&mut self.payload)
    }

    /// Appends what follows the first `n` octets to `rope`, without a copy unless they end within the head; nothing is left in the packet.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use handwave_packet::{PacketBuf, Payload};
    ///
    /// let mut rope = Payload::from(Bytes::from_static(b"one "));
    /// let mut packet = PacketBuf::from_bytes(Bytes::from_static(b"TCP two"));
    /// packet.move_text(4, &mut rope);
    /// assert_eq!((rope.to_vec(), packet.len()), (b"one two".to_vec(), 0));
    /// ```
    #[inline]
    pub fn move_text(&mut self, n: usize, rope: &mut Payload) {
        if self.head_start == self.head_end
            && let Some(mut piece) = self.payload.take_only()
        {
            // One piece, as devices deliver packets, is handed on in registers.
            let n = n.min(piece.len());
            bytes::Buf::advance(&mut piece, n);
            rope.push(piece);
            return;
        }
        self.advance(n);
        rope.append(self.take_payload());
    }

    /// Copies everything into a vector.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.len());
        all.extend_from_slice(self.head());
        for piece in self.payload.pieces() {
            copy::append(piece, &mut all);
        }
        all
    }

    /// Copies from the front into `target` until either ends; returns the number of octets copied.
    pub fn write_to(&self, target: &mut [u8]) -> usize {
        let n = self.head().len().min(target.len());
        target[..n].copy_from_slice(&self.head()[..n]);
        n + self.payload.copy_to_slice(&mut target[n..])
    }

    /// Makes the packet one contiguous piece with an empty head, copying only if it is not.
    pub fn linearize(&mut self) {
        if self.head_start != self.head_end || self.payload.piece_count() > 1 {
            self.payload = self.to_vec().into();
            (self.head_start, self.head_end) = (HEAD_END, HEAD_END);
        }
    }

    /// What is known about the transport checksum.
    #[must_use]
    pub const fn checksum(&self) -> ChecksumMark {
        self.checksum
    }

    /// Says what is known about the transport checksum.
    pub const fn set_checksum(&mut self, mark: ChecksumMark) {
        self.checksum = mark;
    }

    /// For a super-segment, the octets of TCP payload in each segment it stands for but the last (which may be shorter).
    #[must_use]
    pub const fn segment_size(&self) -> Option<u16> {
        self.segment_size
    }

    /// Marks the packet as a super-segment, or not.
    pub const fn set_segment_size(&mut self, octets: Option<u16>) {
        self.segment_size = octets;
    }

    /// Octets of memory kept alive by this packet's payload, at least as many as it has itself.
    ///
    /// A slice of 100 octets may keep a chunk of 64 KiB; what queues it charges by this number.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.held
    }

    /// Says how much memory the payload keeps alive. More than 4 GiB count as that: what is charged is added up for many packets.
    ///
    /// ```
    /// use handwave_packet::PacketBuf;
    ///
    /// let mut packet = PacketBuf::from(vec![0x45; 20]);
    /// packet.set_held(usize::MAX);
    /// assert_eq!(packet.held(), u32::MAX as usize);
    /// ```
    pub const fn set_held(&mut self, octets: usize) {
        const MOST: usize = u32::MAX as usize;
        self.held = if octets < MOST { octets } else { MOST };
    }

    /// Moves the head, if there is any, into the payload as its first piece.
    fn spill_head(&mut self) {
        if self.head_start != self.head_end {
            let head = Bytes::copy_from_slice(self.head());
            self.payload.push_front(head);
        }
        (self.head_start, self.head_end) = (HEAD_END, HEAD_END);
    }
}

/// A packet of no octets.
impl Default for PacketBuf {
    fn default() -> Self {
        Self::with_payload(Payload::new())
    }
}

impl From<Bytes> for PacketBuf {
    fn from(octets: Bytes) -> Self {
        Self::from_bytes(octets)
    }
}

impl From<Vec<u8>> for PacketBuf {
    fn from(octets: Vec<u8>) -> Self {
        Self::from_bytes(octets.into())
    }
}

#[cfg(test)]
mod tests;
