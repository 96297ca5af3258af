//! What a sender that counts segments knows about the repair of losses: where it stands, by how much the window shrinks while it
//! lasts (RFC 6937, RFC 9937), and how to take that back if nothing was lost after all.

use handwave_wire::SeqNum;

use super::flight::Flight;
use crate::chronograph::BusyTimes;
use crate::status::Repair;
use crate::time::Instant;

/// Proportional rate reduction (RFC 9937 6), in segments.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reduction {
    /// The window before; none while nothing is reduced.
    pub(crate) window_before: u32,
    pub(crate) delivered: u32,
    pub(crate) sent: u32,
}

impl Reduction {
    /// Segments that may leave for an acknowledgment that delivered `delivered` and showed `lost` to be lost; `threshold` is where
    /// the window is to end, `in_network` what the network holds.
    pub(crate) fn allows(
        &mut self,
        (delivered, lost): (u32, u32),
        advances: bool,
        threshold: u32,
        in_network: u32,
    ) -> u32 {
        self.delivered = self.delivered.saturating_add(delivered);
        let allowed = if in_network > threshold {
            let share = u64::from(threshold) * u64::from(self.delivered);
            let share = share.div_ceil(u64::from(self.window_before.max(1)));
            u32::try_from(share)
                .unwrap_or(u32::MAX)
                .saturating_sub(self.sent)
        } else {
            let mut room = self.delivered.saturating_sub(self.sent).max(delivered);
            if advances && lost == 0 {
                room += 1;
            }
            room.min(threshold - in_network)
        };
        // The first repair never waits.
        allowed.max(u32::from(self.sent == 0))
    }
}

/// What is needed to take a reduction back.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Undo {
    /// SND.UNA when it began; none if there is nothing to take back.
    pub(crate) since: Option<SeqNum>,
    /// Segments sent again whose doubles the peer has not reported; none before the first.
    pub(crate) unreported: Option<u32>,
    /// The window and its threshold before, in octets.
    pub(crate) window: u32,
    pub(crate) threshold: Option<u32>,
}

/// Losses and their repair.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is taken on its own")]
pub(crate) struct Repairs {
    pub(crate) flight: Flight,
    pub(crate) stage: Repair,
    /// SND.NXT when the stage was entered.
    pub(crate) high: SeqNum,
    pub(crate) reduction: Reduction,
    pub(crate) undo: Undo,
    /// When something was first sent again since all was well.
    pub(crate) repeating_since: Option<Instant>,
    /// A timeout may have been spurious (RFC 5682).
    pub(crate) suspects_timeout: bool,
    /// New text goes first, what is lost with the next acknowledgment (RFC 5682 2.1 step 2b).
    pub(crate) new_text_first: bool,
    /// SND.NXT when the tail was probed (RFC 8985 7.3).
    pub(crate) probe_until: Option<SeqNum>,
    /// The probe was text sent again.
    pub(crate) probe_repeated: bool,
    /// The first segment is to leave again, whatever the windows say.
    pub(crate) repeat_first: bool,
    /// When the first probe of a shut window left.
    pub(crate) probing_since: Option<Instant>,
    /// The tail is to be probed, with new text if there is any.
    pub(crate) probe: bool,
    pub(crate) accounts: Accounts,
}

/// What only `struct tcp_info` asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Accounts {
    /// When an acknowledgment was last taken that was not an old one.
    pub(crate) last_acknowledged: Option<Instant>,
    /// Timeouts after which the network had answered again.
    pub(crate) timeout_series: u32,
    /// Segments with text beyond a gap.
    pub(crate) out_of_order_in: u32,
    /// What held the sender up.
    pub(crate) busy: BusyTimes,
}

impl Repairs {
    pub(crate) fn new(iss: SeqNum) -> Self {
        Self {
            flight: Flight::default(),
            stage: Repair::Open,
            high: iss,
            reduction: Reduction::default(),
            undo: Undo::default(),
            repeating_since: None,
            suspects_timeout: false,
            new_text_first: false,
            probe_until: None,
            probe_repeated: false,
            repeat_first: false,
            probing_since: None,
            probe: false,
            accounts: Accounts::default(),
        }
    }

    /// Whether the window is being reduced.
    pub(crate) const fn is_reducing(&self) -> bool {
        matches!(self.stage, Repair::Reduced | Repair::Recovery)
    }
}
