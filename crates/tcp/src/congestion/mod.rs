//! Congestion control: how many octets may be in the network (RFC 5681).
//!
//! [`CongestionControl`] is what an algorithm implements and what the connection tells it; [`Algorithm`] names the
//! algorithms and builds them. The connection decides *that* there was congestion (duplicate ACKs, SACK, ECN, a timeout)
//! and how much is in flight; the algorithm decides what follows for `cwnd` and `ssthresh`.
//!
//! Windows are in octets. `cwnd` does not include the inflation by duplicate ACKs that RFC 5681 3.2 describes: octets
//! that have left the network leave the pipe instead (RFC 6675), which is the same and applies to SACK as well.

mod controller;
pub mod cubic;
mod factory;
mod initial_window;
pub mod reno;
mod windows;

pub(crate) use controller::Controller;
pub use cubic::Cubic;
pub use factory::{Algorithm, UnknownAlgorithm};
pub use initial_window::initial_window;
pub use reno::Reno;
use windows::Windows;

use core::fmt::Debug;
use core::time::Duration;

use crate::time::Instant;

/// The largest congestion window: no TCP window is larger (RFC 7323 2.3).
pub const WINDOW_MAX: u32 = 1 << 30;

/// An ACK that says that octets were delivered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AckEvent {
    /// When it arrived.
    pub now: Instant,
    /// Octets acknowledged cumulatively for the first time.
    pub acked: u32,
    /// Octets SACKed for the first time.
    pub newly_sacked: u32,
    /// The smoothed round-trip time, if one has been measured.
    pub rtt: Option<Duration>,
    /// Sender maximum segment size.
    pub smss: u32,
    /// Most segments by which slow start may open the window for it (RFC 3465 2.3, RFC 9406 4.3).
    pub segments_max: u32,
    /// Octets in flight before this ACK.
    pub in_flight: u32,
    /// What is in flight was bounded by the application or the peer's window rather than by `cwnd`.
    pub app_limited: bool,
    /// Fast recovery is going on. The slow start that follows a timeout is not fast recovery.
    pub in_recovery: bool,
}

/// How congestion showed itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Loss {
    /// Duplicate ACKs or SACK blocks show that a segment was lost.
    FastRetransmit,
    /// The peer echoes a congestion mark (RFC 3168).
    Ecn,
}

/// Congestion, or a timeout that suggests it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LossEvent {
    /// When it was noticed.
    pub now: Instant,
    /// `FlightSize`: octets sent and not cumulatively acknowledged, without those sent by limited transmit.
    pub flight: u32,
    /// Sender maximum segment size.
    pub smss: u32,
    /// How it showed itself. Without meaning for a timeout.
    pub kind: Loss,
}

/// One algorithm for one connection.
///
/// ```
/// use handwave_tcp::congestion::{Algorithm, Loss, LossEvent, initial_window};
/// use handwave_tcp::time::Instant;
///
/// let mut congestion = Algorithm::Reno.build(initial_window(10, 1_460));
/// assert_eq!(congestion.window(), 14_600);
/// let loss = LossEvent { now: Instant::ZERO, flight: 14_600, smss: 1_460, kind: Loss::FastRetransmit };
/// congestion.on_congestion(&loss);
/// assert_eq!((congestion.window(), congestion.ssthresh()), (7_300, 7_300));
/// ```
pub trait CongestionControl: Debug + Send {
    /// `cwnd`: the octets that may be in the network.
    fn window(&self) -> u32;

    /// `ssthresh`: below it the window grows by slow start.
    fn ssthresh(&self) -> u32;

    /// An ACK acknowledged or SACKed something new.
    fn on_ack(&mut self, ack: &AckEvent);

    /// Congestion that is not a timeout; called at most once for a window of data. `cwnd` is at its target afterwards.
    fn on_congestion(&mut self, loss: &LossEvent);

    /// The retransmission timer fired; `first` unless it had fired before for the same segment.
    fn on_timeout(&mut self, loss: &LossEvent, first: bool);

    /// Fast recovery has ended: everything that was in flight when it began is acknowledged.
    ///
    /// `flight` is what is in flight afterwards.
    fn on_recovery_end(&mut self, flight: u32, smss: u32);

    /// Sending resumes after nothing was outstanding, the last of it sent `idle` ago; the window is to start small again after more than
    /// `rto` (RFC 5681 4.1).
    fn on_idle(&mut self, idle: Duration, rto: Duration, smss: u32);

    /// Sets both windows, in octets: for a reduction that goes step by step (RFC 9937), or one that is taken back (RFC 3522).
    fn set_windows(&mut self, window: u32, ssthresh: u32);

    /// The segment size changed, as when a path turns out to be narrower.
    fn on_mss_change(&mut self, old: u32, new: u32);

    /// The name by which [`Algorithm`] knows it.
    fn name(&self) -> &'static str;
}
