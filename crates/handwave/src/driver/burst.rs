//! How many packets to take from the device at a time, and how much to give it.
//!
//! No more than the nearest caches bear: what is read is looked at, and as a rule copied, by the tasks it is for, and then its memory is read into
//! again.
//!
//! A device that hands over one packet a call says that it is empty by one more call. Where a single packet is what usually comes, as
//! in a conversation of small messages, that call is made after the answer has left; where many come, they are taken together.

use super::{BATCH_MAX, INPUT_MAX, OUTPUT_MAX, OUTPUT_MIN, OUTPUT_PACKETS};

/// What came the last times, between two moments at which the device was empty.
#[derive(Debug)]
pub(super) struct Burst {
    /// The device may have packets. Not known of a device without a descriptor.
    may_have_come: bool,
    /// Packets since the device was last empty.
    taken: usize,
    expected: usize,
    /// Packets of the size of the last ones that are taken at once.
    at_once: usize,
}

impl Default for Burst {
    fn default() -> Self {
        Self {
            may_have_come: true,
            taken: 0,
            expected: BATCH_MAX,
            at_once: BATCH_MAX,
        }
    }
}

impl Burst {
    /// Whether it is worth asking.
    pub(super) const fn may_have_come(&self) -> bool {
        self.may_have_come
    }

    /// The device has said that it has packets, or may have some.
    pub(super) const fn announce(&mut self) {
        self.may_have_come = true;
    }

    /// Packets to ask for: 1 to [`BATCH_MAX`].
    pub(super) fn expected(&self) -> usize {
        self.expected.min(self.at_once)
    }

    /// Learns from what came, so many packets and octets: as many as asked for means that there may be more.
    pub(super) fn took(&mut self, count: usize, octets: usize) {
        self.taken += count;
        self.may_have_come = count >= self.expected();
        if self.may_have_come {
            self.expected = (self.expected * 2).min(BATCH_MAX);
        } else {
            self.expected = self.taken.max(self.expected / 2).clamp(1, BATCH_MAX);
            self.taken = 0;
        }
        if let Some(at_once) = (INPUT_MAX * count).checked_div(octets) {
            self.at_once = at_once.clamp(1, BATCH_MAX);
        }
    }
}

/// How much to give the device in one turn.
///
/// One that takes super-segments as they are gets several. One that has to cut them sends dozens of packets for each, and counts these.
#[derive(Debug)]
pub(super) struct Load {
    octets_max: usize,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            octets_max: OUTPUT_MIN,
        }
    }
}

impl Load {
    /// Octets after which nothing more is taken from the stack.
    pub(super) const fn octets_max(&self) -> usize {
        self.octets_max
    }

    /// Learns what became of a batch: so many packets on the wire.
    pub(super) fn sent(&mut self, octets: usize, packets: usize) {
        if let Some(octets) = (OUTPUT_PACKETS * octets).checked_div(packets) {
            self.octets_max = octets.clamp(OUTPUT_MIN, OUTPUT_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets bursts of `len` packets come, and returns how many calls each took in the end.
    fn calls(burst: &mut Burst, len: usize) -> usize {
        let mut calls = 0;
        for _ in 0..16 {
            let mut left = len;
            calls = 0;
            loop {
                calls += 1;
                let max = burst.expected();
                let count = left.min(max);
                left -= count;
                burst.took(count, count * 60);
                if !burst.may_have_come() {
                    break;
                }
            }
        }
        calls
    }

    #[test]
    fn a_single_packet_is_taken_alone_and_many_together() {
        let mut burst = Burst::default();
        assert_eq!(burst.expected(), BATCH_MAX);
        calls(&mut burst, 1);
        assert_eq!(burst.expected(), 1);
        assert_eq!(calls(&mut burst, 1_000), 1_000 / BATCH_MAX + 1);
        assert_eq!(burst.expected(), BATCH_MAX);
    }

    #[test]
    fn of_large_packets_no_more_are_taken_than_the_caches_bear() {
        let mut burst = Burst::default();
        burst.took(BATCH_MAX, BATCH_MAX * 65_536);
        assert!(burst.may_have_come());
        assert_eq!(burst.expected(), INPUT_MAX / 65_536);
        // As many as were asked for, so there may be more.
        burst.took(burst.expected(), INPUT_MAX);
        assert!(burst.may_have_come());
        // Small ones are taken together again, and one that is larger than all that is taken alone.
        burst.took(1, 60);
        assert_eq!(burst.expected(), BATCH_MAX);
        burst.took(1, 2 * INPUT_MAX);
        assert_eq!(burst.expected(), 1);
    }
    #[test]
    fn who_cuts_super_segments_gets_fewer() {
        let mut load = Load::default();
        assert_eq!(load.octets_max(), OUTPUT_MIN);
        load.sent(65_200, 1);
        assert_eq!(load.octets_max(), OUTPUT_MAX);
        load.sent(65_200, 45);
        assert_eq!(load.octets_max(), OUTPUT_MIN);
        load.sent(180_000, 45);
        assert_eq!(load.octets_max(), OUTPUT_PACKETS * 4_000);
        load.sent(52, 1);
        assert_eq!(load.octets_max(), OUTPUT_MIN);
        // All were dropped.
        load.sent(65_200, 0);
        assert_eq!(load.octets_max(), OUTPUT_MIN);
    }
}
