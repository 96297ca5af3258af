//! Every knob of a connection and of a listener, and the profiles that set them together.
//!
//! [`Config::default`] meets every MUST of RFC 9293; [`Profile::linux`] does what Linux does where the two differ.
//! `docs/deviations.md` lists the differences.

mod buffer_size;

use alloc::sync::Arc;
use core::time::Duration;

pub use buffer_size::BufferSize;

use handwave_wire::OptionOrder;

use crate::congestion::Algorithm;
use crate::listener::{FloodThresholds, Limits, SynCookies};
use crate::rate::RateLimit;
use crate::recovery::{RttConfig, RttVariation};

/// How a connection behaves. Shared between connections (`Arc<Config>`).
///
/// A wait that begins again when it is over (the RTO, the persist timer, keep-alive) takes a millisecond at least, whatever is set here.
///
/// ```
/// use core::time::Duration;
/// use handwave_tcp::Config;
///
/// let config = Config { nagle: false, user_timeout: Some(Duration::from_secs(30)), ..Config::default() };
/// assert_eq!(config.time_wait, Duration::from_secs(240)); // 2 MSL
/// ```
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches, each named after what it switches"
)]
pub struct Config {
    /// Most octets the application may have unacknowledged or unsent. It follows twice what is in flight: up at once, down by
    /// round trips.
    pub send_buffer: BufferSize,
    /// Most octets held for the application to read; the window offered never exceeds it. It grows to what the application reads
    /// in two round trips (dynamic right-sizing).
    pub receive_buffer: BufferSize,
    /// How much of the receive buffer is offered.
    pub receive_window: ReceiveWindow,
    /// The buffer that the window scale must be able to express, if that is more than `receive_buffer` may become.
    pub window_scale_for: Option<u32>,
    /// Upper limit of the window offered, in octets.
    pub window_clamp: Option<u32>,
    /// Offer the timestamps option (RFC 7323).
    pub timestamps: bool,
    /// Offer selective acknowledgments (RFC 2018).
    pub sack: bool,
    /// Offer window scaling (RFC 7323 2); without it no window exceeds 65,535 octets.
    pub window_scaling: bool,
    /// Upper limit for the MSS announced to the peer, in octets; `None`: what the interface can receive.
    pub mss_max: Option<u16>,
    /// Hold back small segments while others are unacknowledged (RFC 9293 3.7.4 [MUST-17] [SHLD-7]).
    pub nagle: bool,
    /// Hold back every segment that is not full, for as long as the persist timer lets it.
    pub cork: bool,
    /// How text is cut into segments, and which of them wait.
    pub segmentation: Segmentation,
    /// Initial congestion window in segments (RFC 6928).
    pub initial_window: u8,
    /// Most segments by which one acknowledgment opens the window in slow start (RFC 3465 2.3, RFC 9406 4.3).
    pub slow_start_segments: u32,
    /// Spread a window over the round trip, where that takes 8 ms or more, instead of sending it as fast as the device takes it: a queue
    /// on the way that holds a part of what the path does is not overflowed by bursts. For [`Segmentation::Stream`].
    pub pacing: bool,
    /// Restart from a small congestion window after an idle RTO (RFC 5681 4.1).
    pub restart_after_idle: bool,
    /// Probe the tail of what is in flight before the retransmission timeout (RFC 8985 7); where losses are counted in segments
    /// ([`Segmentation::Records`]), and not otherwise.
    pub tail_loss_probe: bool,
    /// Congestion control.
    pub congestion: Algorithm,
    /// What decides how soon to acknowledge.
    pub acknowledging: Acknowledging,
    /// Longest time an acknowledgment is held back; below 500 ms (RFC 9293 3.8.6.3 [MUST-40]) [RFC5681-22].
    pub delayed_ack: Duration,
    /// How many segments are acknowledged at once at the start, while the peer's slow start needs it.
    pub quick_acks: u8,
    /// RTO before the first measurement (RFC 6298 2.1) [RFC6298-1].
    pub rto_initial: Duration,
    /// Lower bound of the RTO (RFC 6298 2.4) [RFC6298-4].
    pub rto_min: Duration,
    /// Upper bound of the RTO (RFC 6298 2.5) [RFC6298-5].
    pub rto_max: Duration,
    /// R1: retransmissions of one segment after which the application hears of trouble (RFC 9293 3.8.3).
    pub r1: u8,
    /// R2: how long one segment is retransmitted before the connection is given up (RFC 9293 3.8.3 [MUST-21] [SHLD-11]).
    pub r2: Duration,
    /// R2 for a SYN (RFC 9293 3.8.3 [MUST-23]).
    pub r2_syn: Duration,
    /// How often a SYN is sent again, if that and not `r2_syn` is the limit; timeouts that do not back off are not counted.
    pub syn_retries: Option<u8>,
    /// Timeouts of a SYN before the timer begins to back off.
    pub syn_linear_timeouts: u8,
    /// How the variation of the round-trip time enters the RTO.
    pub rtt_variation: RttVariation,
    /// Give up when text stays unacknowledged for this long, whatever R2 says (RFC 9293 3.10.8).
    pub user_timeout: Option<Duration>,
    /// Longest time between two zero-window probes.
    pub persist_max: Duration,
    /// What a zero-window probe carries.
    pub window_probe: WindowProbe,
    /// Probe a silent peer; off by default (RFC 9293 3.8.4 [MAY-5] [MUST-24] [MUST-25]).
    pub keepalive: Option<KeepAlive>,
    /// 2 MSL (RFC 9293 3.6.1 [MUST-13]).
    pub time_wait: Duration,
    /// Ignore RSTs in TIME-WAIT (RFC 1337).
    pub time_wait_ignores_rst: bool,
    /// What resets look like.
    pub resets: Resets,
    /// How long an orphan waits for the peer's FIN.
    pub fin_wait2_timeout: Duration,
    /// R2 once the application has let go: retransmissions of one segment.
    pub orphan_retries: u8,
    /// Shortest time between two challenge ACKs of one connection (RFC 5961 7) [RFC5961-9].
    pub challenge_interval: Duration,
    /// Which segments are heard.
    pub sequence_check: SequenceCheck,
    /// Take segments without timestamps though timestamps were agreed on (RFC 7323 3.2 says drop).
    pub accept_missing_timestamps: bool,
    /// End the connection on hard ICMP errors after the handshake too (RFC 9293 3.9.2.2 [SHLD-26]; RFC 5927 5.2 advises not to).
    pub hard_icmp_aborts: bool,
    /// End an attempt to connect on every ICMP destination unreachable (RFC 9293 3.9.2.2 says to go on after soft ones).
    pub soft_icmp_aborts_opening: bool,
    /// Differentiated services code point, 0 to 63 (RFC 9293 3.9.1.9 [MUST-48]).
    pub dscp: u8,
    /// TTL or hop limit (RFC 9293 3.9.2 [MUST-49]).
    pub hop_limit: u8,
    /// How the options of a SYN are written.
    pub option_order: OptionOrder,
}

impl Config {
    /// The bounds of the retransmission timeout.
    pub(crate) const fn rtt(&self) -> RttConfig {
        RttConfig {
            initial_rto: self.rto_initial,
            min_rto: self.rto_min,
            max_rto: self.rto_max,
            variation: self.rtt_variation,
        }
    }

    /// These settings, for a connection that counts segments and octets as `other` says: that is settled when it begins.
    pub(crate) fn that_counts_as(self: Arc<Self>, other: &Self) -> Arc<Self> {
        let ways = |config: &Self| {
            let Self {
                segmentation,
                receive_window,
                acknowledging,
                ..
            } = *config;
            (segmentation, receive_window, acknowledging)
        };
        let mut config = self;
        if ways(&config) != ways(other) {
            let new = Arc::make_mut(&mut config);
            (new.segmentation, new.receive_window, new.acknowledging) = ways(other);
        }
        config
    }

    /// The largest window before anything is known of the peer's segments.
    pub(crate) fn first_window_max(&self) -> u32 {
        let share = match self.receive_window {
            ReceiveWindow::Buffer => self.receive_buffer.at_first(),
            ReceiveWindow::Growing => self.receive_buffer.at_first() / 2,
        };
        share.min(self.window_clamp.unwrap_or(u32::MAX))
    }

    /// The buffer that the window scale is chosen for.
    pub(crate) fn window_scale_for(&self) -> u32 {
        let own = if self.receive_buffer.is_fixed() {
            self.first_window_max()
        } else {
            self.receive_buffer.limit()
        };
        let most = self.window_scale_for.unwrap_or(0).max(own);
        most.min(self.window_clamp.unwrap_or(u32::MAX))
    }
}

/// How text is cut into segments, which of them wait, and which carry PSH.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Segmentation {
    /// Text is a stream: a segment takes what both windows admit, a small one waits while anything is unacknowledged
    /// (RFC 9293 3.7.4), and the last octet buffered carries PSH.
    #[default]
    Stream,
    /// Writes leave their mark, as in Linux's queues of socket buffers: the last octet of each carries PSH; a segment is sent whole
    /// or not at all; a small one waits only while another small one is unacknowledged (Minshall); super-segments are as long as the
    /// pacing rate sends in about a millisecond, at least two segments and at most half of the congestion window, and the odd one
    /// waits for the next acknowledgment. Window and losses are counted in segments: losses are found by time of transmission
    /// (RFC 8985) where the peer knows SACK, the window shrinks in proportion to what is delivered (RFC 9937), and a reduction is taken
    /// back when nothing was lost after all (RFC 5682, RFC 3522, RFC 3708).
    Records,
}

/// Which segments are heard (RFC 9293 3.10.7.4, first and second check).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SequenceCheck {
    /// Those with a sequence number in the window; a RST ends the connection only at RCV.NXT.
    #[default]
    Exact,
    /// As Linux: those that end at the last acknowledgment sent too, so that the acknowledgment in a segment sent again counts;
    /// none that ends beyond the window while text waits to be read; and behind the peer's FIN a RST with the number of that FIN
    /// ends the connection. A SYN whose answer acknowledges something else is sent again at once.
    Lenient,
}

/// How much of the receive buffer is offered as window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReceiveWindow {
    /// All that is free.
    #[default]
    Buffer,
    /// Half of it, the rest being counted for the overhead of packets: in whole segments at first, growing with each segment that
    /// arrives, rounded up to the unit of the scale, as Linux does it.
    Growing,
}

/// What decides how soon a segment is acknowledged (RFC 9293 3.8.6.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acknowledging {
    /// Every second full segment at once, others after [`Config::delayed_ack`]; the first [`Config::quick_acks`] at once.
    #[default]
    EverySecond,
    /// As Linux: the first segments and those after trouble at once, others after a time that follows the gaps between segments,
    /// from 40 to 200 ms; what answers text is expected to carry the acknowledgment.
    Adaptive,
}

/// What the resets of a connection look like (RFC 9293 3.10.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resets {
    /// `<SEQ=SND.NXT><ACK=RCV.NXT><CTL=RST,ACK>`, no window and no option, for text that nobody reads as well.
    #[default]
    Plain,
    /// As Linux: a reset carries window and options as any segment does; text that nobody reads is answered as one of no connection,
    /// `<SEQ=SEG.ACK><CTL=RST>`, also when reading was shut down before the FIN was sent.
    Dressed,
}

/// What a probe of a window that is shut carries (RFC 9293 3.8.6.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WindowProbe {
    /// One octet of text: delivered at once if the window has opened meanwhile. With [`Segmentation::Records`] a probe is empty all the
    /// same.
    #[default]
    Octet,
    /// Nothing, at SND.UNA - 1, as Linux does it.
    Empty,
}

/// When and how often to probe a silent peer (RFC 9293 3.8.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// Silence before the first probe (RFC 9293 3.8.4 [MUST-27] [MUST-28]).
    pub idle: Duration,
    /// Time between probes.
    pub interval: Duration,
    /// Unanswered probes after which the connection is given up (RFC 9293 3.8.4 [MUST-29]).
    pub probes: u8,
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(7200),
            interval: Duration::from_secs(75),
            probes: 9,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            send_buffer: BufferSize::growing(64 << 10, 32 << 20),
            receive_buffer: BufferSize::growing(64 << 10, 32 << 20),
            receive_window: ReceiveWindow::Buffer,
            window_scale_for: None,
            window_clamp: None,
            timestamps: true,
            sack: true,
            window_scaling: true,
            mss_max: None,
            nagle: true,
            cork: false,
            segmentation: Segmentation::Stream,
            initial_window: 10,
            slow_start_segments: 8,
            pacing: true,
            restart_after_idle: true,
            tail_loss_probe: false,
            congestion: Algorithm::Cubic,
            acknowledging: Acknowledging::EverySecond,
            delayed_ack: Duration::from_millis(100),
            quick_acks: 16,
            rto_initial: Duration::from_secs(1),
            rto_min: Duration::from_secs(1),
            rto_max: Duration::from_secs(60),
            r1: 3,
            r2: Duration::from_secs(300),
            r2_syn: Duration::from_secs(180),
            syn_retries: None,
            syn_linear_timeouts: 0,
            rtt_variation: RttVariation::Smoothed,
            user_timeout: None,
            persist_max: Duration::from_secs(60),
            window_probe: WindowProbe::Octet,
            keepalive: None,
            time_wait: Duration::from_secs(240),
            time_wait_ignores_rst: true,
            resets: Resets::Plain,
            fin_wait2_timeout: Duration::from_secs(60),
            orphan_retries: 8,
            challenge_interval: Duration::from_millis(500),
            sequence_check: SequenceCheck::Exact,
            accept_missing_timestamps: false,
            hard_icmp_aborts: false,
            soft_icmp_aborts_opening: false,
            dscp: 0,
            hop_limit: 64,
            option_order: OptionOrder::Linux,
        }
    }
}

/// How a listener behaves towards peers that have not completed the handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerConfig {
    /// Most half-open records.
    pub syn_queue_max: usize,
    /// Most established connections that wait for the application.
    pub accept_queue_max: usize,
    /// How often a SYN+ACK is sent again before the record is forgotten.
    pub synack_retries: u8,
    /// Time before the first SYN+ACK is sent again; doubles each time.
    pub synack_timeout: Duration,
    /// Answer with RST instead of silence when the accept queue is full.
    pub reset_on_overflow: bool,
    /// How many timeouts of the SYN+ACK a connection may wait for its first text before it is handed out without, at most
    /// [`synack_retries`](Self::synack_retries); 0: it does not wait.
    pub defer_accept: u8,
    /// When SYNs are answered with cookies instead of records.
    pub cookies: SynCookies,
    /// Acknowledgments with a wrong cookie that are put up with; while more come, a cookie is believed only if a timestamp vouches
    /// for it.
    pub blind_acks: RateLimit,
    /// What one source may take.
    pub limits: Limits,
    /// When a flood is said to be on.
    pub flood: FloodThresholds,
}

impl Default for ListenerConfig {
    fn default() -> Self {
        Self {
            syn_queue_max: 1024,
            accept_queue_max: 128,
            synack_retries: 5,
            synack_timeout: Duration::from_secs(1),
            reset_on_overflow: false,
            defer_accept: 0,
            cookies: SynCookies::default(),
            blind_acks: RateLimit {
                per_second: 10_000,
                burst: 10_000,
            },
            limits: Limits::default(),
            flood: FloodThresholds::default(),
        }
    }
}

/// The settings of a whole stack under one name.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// The name, as given on command lines.
    pub name: &'static str,
    /// Settings of connections.
    pub connection: Config,
    /// Settings of listeners.
    pub listener: ListenerConfig,
}

impl Profile {
    /// The defaults: every MUST of RFC 9293.
    #[must_use]
    pub fn handwave() -> Self {
        Self {
            name: "handwave",
            connection: Config::default(),
            listener: ListenerConfig::default(),
        }
    }

    /// What Linux 6.x does by default.
    #[must_use]
    pub fn linux() -> Self {
        let connection = Config {
            send_buffer: BufferSize::growing(256 << 10, 4 << 20),
            receive_buffer: BufferSize::growing(128 << 10, 32 << 20),
            receive_window: ReceiveWindow::Growing,
            syn_retries: Some(6),
            syn_linear_timeouts: 4,
            rtt_variation: RttVariation::Windowed,
            segmentation: Segmentation::Records,
            congestion: Algorithm::Reno,
            slow_start_segments: u32::MAX,
            pacing: false,
            tail_loss_probe: true,
            window_probe: WindowProbe::Empty,
            acknowledging: Acknowledging::Adaptive,
            delayed_ack: Duration::from_millis(40),
            rto_min: Duration::from_millis(200),
            rto_max: Duration::from_secs(120),
            r2: Duration::from_millis(924_600),
            r2_syn: Duration::from_secs(127),
            persist_max: Duration::from_secs(120),
            time_wait: Duration::from_secs(60),
            time_wait_ignores_rst: false,
            resets: Resets::Dressed,
            sequence_check: SequenceCheck::Lenient,
            soft_icmp_aborts_opening: true,
            accept_missing_timestamps: true,
            ..Config::default()
        };
        let listener = ListenerConfig {
            accept_queue_max: 4096,
            ..ListenerConfig::default()
        };
        Self {
            name: "linux",
            connection,
            listener,
        }
    }

    /// What FreeBSD 14 does by default, as far as a setting says it.
    #[must_use]
    pub fn freebsd() -> Self {
        let connection = Config {
            send_buffer: BufferSize::growing(32 << 10, 2 << 20),
            receive_buffer: BufferSize::growing(64 << 10, 2 << 20),
            congestion: Algorithm::Reno,
            pacing: false,
            delayed_ack: Duration::from_millis(40),
            quick_acks: 0,
            rto_min: Duration::from_millis(30),
            rto_max: Duration::from_secs(64),
            // Twelve timeouts that begin at a second, and for a SYN the timer of the handshake.
            r2: Duration::from_secs(511),
            r2_syn: Duration::from_secs(75),
            time_wait: Duration::from_secs(60),
            time_wait_ignores_rst: false,
            accept_missing_timestamps: true,
            option_order: OptionOrder::FreeBsd,
            ..Config::default()
        };
        Self {
            name: "freebsd",
            connection,
            listener: ListenerConfig {
                synack_retries: 3,
                ..ListenerConfig::default()
            },
        }
    }

    /// The profile of that name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "handwave" => Some(Self::handwave()),
            "linux" => Some(Self::linux()),
            "freebsd" => Some(Self::freebsd()),
            _ => None,
        }
    }
}
