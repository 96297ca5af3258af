//! The receive buffer as Linux 6.18 keeps it ([`ReceiveWindow::Growing`](crate::ReceiveWindow::Growing)): what is charged is the memory
//! a network driver gave each packet, and how much of that is text decides how much window a buffer is worth.
//!
//! The figures were taken from such a kernel, which was sent segments over a TUN device.

use alloc::collections::VecDeque;

use handwave_wire::SeqNum;

use crate::config::Config;

/// Fractions of a buffer are counted in this many parts.
const PARTS: u64 = 256;
/// Half: before the size of the peer's segments is known.
const FIRST_PARTS: u64 = PARTS / 2;
/// The bookkeeping of a packet, and what lies behind its octets.
const DESCRIPTOR: u32 = 256;
const TRAILER: u32 = 320;
/// Room in front of a packet.
const HEADROOM: u32 = 64;
/// Small packets get memory of this size.
const SMALL: u32 = 576;
/// Octets of a piece, and the memory it takes, after pieces were put together.
const COLLAPSED: u32 = 3_776;
const COLLAPSED_SIZE: u32 = 4_352;

/// What one packet is charged.
#[derive(Clone, Copy, Debug)]
struct Charge {
    /// Where its text ends.
    end: SeqNum,
    size: u32,
    /// Room for the text of packets that follow.
    spare: u32,
}

/// The packets of a receive queue by their charges.
#[derive(Clone, Debug)]
pub(crate) struct LinuxQueue {
    parts: u64,
    /// Upper limit of the window.
    clamp: u32,
    charged: u32,
    ready: VecDeque<Charge>,
    /// What packets beyond a gap are charged.
    beyond: u32,
}

impl LinuxQueue {
    /// An empty queue in a buffer of `buffer` octets; one segment of `mss` octets is kept in reserve.
    pub(super) fn new(config: &Config, buffer: u32, mss: u32) -> Self {
        let mut queue = Self {
            parts: FIRST_PARTS,
            clamp: 0,
            charged: 0,
            ready: VecDeque::new(),
            beyond: 0,
        };
        let most = queue.window(buffer);
        queue.clamp = most.min(config.window_clamp.unwrap_or(u32::MAX));
        if queue.clamp > 2 * mss && queue.clamp.saturating_add(mss) > most {
            queue.clamp = most.saturating_sub(mss).max(2 * mss);
        }
        queue
    }

    /// The window that `octets` of buffer are worth.
    pub(crate) fn window(&self, octets: u32) -> u32 {
        u32::try_from(u64::from(octets) * self.parts / PARTS).unwrap_or(u32::MAX)
    }

    /// The buffer that a window needs.
    pub(super) fn buffer(&self, window: u32) -> u32 {
        u32::try_from(u64::from(window) * PARTS / self.parts).unwrap_or(u32::MAX)
    }

    /// Upper limit of the window.
    pub(crate) const fn clamp(&self) -> u32 {
        self.clamp
    }

    /// The buffer is `buffer` octets large now, or the program has set an upper limit.
    pub(super) fn set_clamp(&mut self, window: u32) {
        self.clamp = window;
    }

    /// The window that is left of `buffer`.
    pub(crate) fn space(&self, buffer: u32) -> u32 {
        self.window(buffer.saturating_sub(self.charged))
    }

    /// Whether the queue has outgrown `buffer`.
    pub(super) const fn is_over(&self, buffer: u32) -> bool {
        self.charged > buffer
    }

    pub(super) const fn charged(&self) -> u32 {
        self.charged
    }

    /// Charges `octets` of text in a packet with `headers` octets of headers, queued in order up to `end`.
    pub(super) fn push(&mut self, octets: u32, headers: u32, end: SeqNum) {
        if let Some(last) = self.ready.back_mut()
            && octets <= last.spare
        {
            last.spare -= octets;
            last.end = end;
            return;
        }
        let (size, spare) = charge(octets, headers);
        self.charged = self.charged.saturating_add(size);
        self.ready.push_back(Charge { end, size, spare });
    }

    /// Charges a packet beyond a gap.
    pub(super) fn push_beyond(&mut self, octets: u32, headers: u32) {
        let (size, _) = charge(octets, headers);
        self.charged = self.charged.saturating_add(size);
        self.beyond = self.beyond.saturating_add(size);
    }

    /// A gap was filled: of `all` octets beyond it, `gone` wait no more. `moved` of these are in order now, up to `end`; the others came
    /// again with the segment that filled the gap.
    pub(super) fn fill_gap(&mut self, (moved, gone): (u32, u32), all: u32, end: SeqNum) {
        let share = |octets: u32| {
            let share = u64::from(self.beyond) * u64::from(octets) / u64::from(all.max(1));
            u32::try_from(share).unwrap_or(u32::MAX).min(self.beyond)
        };
        let (size, freed) = (share(moved), share(gone.max(moved)));
        self.beyond -= freed;
        self.charged = self.charged.saturating_sub(freed - size);
        if moved > 0 {
            self.ready.push_back(Charge {
                end,
                size,
                spare: 0,
            });
        }
    }

    /// Everything up to `position` has been read.
    pub(super) fn read_to(&mut self, position: SeqNum) {
        while let Some(first) = self.ready.front()
            && first.end.at_or_before(position)
        {
            self.charged = self.charged.saturating_sub(first.size);
            self.ready.pop_front();
        }
    }

    /// Packets beyond a gap were given back: `left` octets of `all` remain.
    pub(super) fn prune(&mut self, left: u32, all: u32) {
        let kept = u64::from(self.beyond) * u64::from(left) / u64::from(all.max(1));
        let kept = u32::try_from(kept).unwrap_or(u32::MAX);
        self.charged = self
            .charged
            .saturating_sub(self.beyond - kept.min(self.beyond));
        self.beyond = kept.min(self.beyond);
    }

    /// Puts the text in order, which begins at `start`, into as few pieces as possible.
    pub(super) fn collapse(&mut self, start: SeqNum) {
        let Some(end) = self.ready.back().map(|last| last.end) else {
            return;
        };
        let octets = end.since(start);
        let pieces = octets.div_ceil(COLLAPSED);
        let size = pieces.saturating_mul(COLLAPSED_SIZE);
        if size.saturating_add(self.beyond) >= self.charged {
            return;
        }
        self.charged = size.saturating_add(self.beyond);
        self.ready.clear();
        for piece in 1..=pieces {
            self.ready.push_back(Charge {
                end: start + octets.min(piece * COLLAPSED),
                size: COLLAPSED_SIZE,
                spare: 0,
            });
        }
    }

    /// Segments of another size: a buffer is worth more or less window. Returns the upper limit of the window if it changed.
    pub(super) fn measure(&mut self, octets: u32, headers: u32, buffer: u32) -> Option<u32> {
        let (size, _) = charge(octets, headers);
        let parts = (u64::from(octets) * PARTS / u64::from(size)).clamp(1, PARTS - 1);
        if core::mem::replace(&mut self.parts, parts) == parts {
            return None;
        }
        self.clamp = self.window(buffer).max(1_152);
        Some(self.clamp)
    }

    /// By how much the limit of the window grows for a packet, if at all: its overhead must not be more than what larger buffers
    /// allow. `limit` is the limit, `largest` the largest buffer there may be, `full` and `segment` the sizes of full segments as
    /// announced and as seen.
    pub(super) fn growth(
        &self,
        octets: u32,
        headers: u32,
        (limit, largest): (u32, u32),
        (full, segment): (u32, u32),
    ) -> u32 {
        let (size, _) = charge(octets, headers);
        if self.window(size) <= octets {
            return (2 * full).max(2 * octets);
        }
        let mut size = self.window(size) / 2;
        let mut window = self.window(largest) / 2;
        while limit <= window {
            if size <= octets {
                return (2 * segment).max(2 * octets);
            }
            size /= 2;
            window /= 2;
        }
        0
    }
}

/// The memory of a packet and how much of it is left for text.
fn charge(octets: u32, headers: u32) -> (u32, u32) {
    let used = octets
        .saturating_add(headers + HEADROOM)
        .next_multiple_of(64)
        .saturating_add(TRAILER);
    let memory = if used <= SMALL {
        SMALL
    } else {
        used.checked_next_power_of_two().unwrap_or(used)
    };
    (memory.saturating_add(DESCRIPTOR), memory - used)
}

#[cfg(test)]
mod tests {
    use super::charge;

    /// What `SO_MEMINFO` said of one packet on its own, IPv4 without options.
    #[test]
    fn packets_are_charged_as_the_kernel_charges_them() {
        for (octets, size) in [
            (100, 832),
            (200, 1_280),
            (536, 1_280),
            (600, 1_280),
            (800, 2_304),
            (1_000, 2_304),
            (1_460, 2_304),
        ] {
            assert_eq!(charge(octets, 40).0, size, "{octets}");
        }
    }
}
