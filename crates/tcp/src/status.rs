//! STATUS (RFC 9293 3.10.6): the numbers of a connection.

use core::time::Duration;

use crate::chronograph::BusyTimes;
use crate::delayed_ack::DelayedAck;
use crate::output::pacing_rate;
use crate::phase::Phase;
use crate::tcb::{LossState, Tcb, octets};
use crate::time::Instant;
use crate::tuning::ReceiveTuning;

/// A connection's numbers at one moment, named as in Linux's `tcp_info` where it has them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct TcpInfo {
    /// The state.
    pub phase: Phase,
    /// Retransmissions in a row of the oldest segment.
    pub retransmits: u8,
    /// Window probes or keep-alive probes in a row without an answer.
    pub probes: u8,
    /// Doublings of the RTO in force.
    pub backoff: u8,
    /// Timestamps are in use.
    pub timestamps: bool,
    /// Selective acknowledgments are in use.
    pub sack: bool,
    /// Window scaling is in use.
    pub window_scaling: bool,
    /// Shift of the windows the peer offers.
    pub snd_wscale: u8,
    /// Shift of the windows we offer.
    pub rcv_wscale: u8,
    /// Retransmission timeout.
    pub rto: Duration,
    /// Effective send MSS, in octets of text.
    pub snd_mss: u16,
    /// Expected size of the peer's segments, in octets of text.
    pub rcv_mss: u16,
    /// Path MTU, in octets.
    pub pmtu: u16,
    /// Smoothed round-trip time, once measured.
    pub rtt: Option<Duration>,
    /// Mean deviation of the round-trip time.
    pub rttvar: Option<Duration>,
    /// Least round-trip time.
    pub min_rtt: Option<Duration>,
    /// Congestion window, in octets.
    pub snd_cwnd: u32,
    /// Slow-start threshold, in octets.
    pub snd_ssthresh: u32,
    /// The peer's window, in octets.
    pub snd_wnd: u32,
    /// Our window, in octets; with records ([`Segmentation::Records`](crate::Segmentation::Records)), as the last acknowledgment offered it.
    pub rcv_wnd: u32,
    /// What of our window the peer has not used, in octets.
    pub rcv_wnd_left: u32,
    /// Octets in flight, SYN and FIN counted.
    pub unacked: u32,
    /// Octets the peer holds out of order.
    pub sacked: u32,
    /// Octets written and not sent.
    pub notsent: u32,
    /// Octets that can be read.
    pub receivable: u32,
    /// Octets acknowledged in all.
    pub bytes_acked: u64,
    /// Octets received in order in all.
    pub bytes_received: u64,
    /// Segments sent in all.
    pub segs_out: u64,
    /// Segments received in all.
    pub segs_in: u64,
    /// Segments with text sent in all.
    pub data_segs_out: u64,
    /// Segments with text received in all.
    pub data_segs_in: u64,
    /// Octets of text sent in all, repetitions included.
    pub bytes_sent: u64,
    /// Octets of text sent again in all.
    pub bytes_retrans: u64,
    /// Segments retransmitted in all.
    pub total_retrans: u32,
    /// Retransmission timeouts in all.
    pub timeouts: u32,
    /// Name of the congestion control.
    pub congestion: &'static str,
    /// Whether lost segments are being repaired, and why.
    pub repair: Repair,
    /// Octets believed lost.
    pub lost: u32,
    /// Octets sent again that are believed to be in the network.
    pub retrans: u32,
    /// How long an acknowledgment waits, where that adapts.
    pub ato: Duration,
    /// Acknowledgments wait for an answer to carry them.
    pub pingpong: bool,
    /// The MSS that our SYN named.
    pub advmss: u16,
    /// Octets per second at which new text is paced; `None` before a round trip has been measured, and on a path too short to be paced.
    pub pacing_rate: Option<u64>,
    /// When text was last sent.
    pub last_sent: Option<Instant>,
    /// When text last arrived in order, where that is noted.
    pub last_text: Option<Instant>,
    /// When an acknowledgment last arrived, where that is noted; else, when a segment did.
    pub last_heard: Option<Instant>,
    /// Limit of the window we offer, in octets.
    pub rcv_ssthresh: u32,
    /// Octets the send buffer may hold at present.
    pub snd_buffer: u32,
    /// Octets the receive buffer may hold at present.
    pub rcv_buffer: u32,
    /// The same counts in segments, where the sender keeps them so.
    pub segments: Option<SegmentCounts>,
    /// Timeouts of segments that had not timed out before.
    pub timeout_series: u32,
    /// The peer's FIN has been taken.
    pub fin_received: bool,
    /// Octets that the application is believed to read in a round trip, where that is observed.
    pub rcv_space: Option<u32>,
    /// Segments received with text beyond a gap in all.
    pub rcv_ooopack: u32,
    /// For how long the sender was busy, where that is noted.
    pub busy: BusyTimes,
}

/// What is in flight, in segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentCounts {
    /// Sent and not acknowledged.
    pub unacked: u32,
    /// Held by the peer out of order.
    pub sacked: u32,
    /// Believed lost.
    pub lost: u32,
    /// Sent again and believed to be in the network.
    pub retrans: u32,
    /// Delivered in all, the SYN not counted.
    pub delivered: u32,
    /// How many segments the network was seen to reorder by.
    pub reordering: u32,
}

/// What the sender repairs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Repair {
    /// Nothing.
    #[default]
    Open,
    /// Duplicate acknowledgments or SACK blocks came, too few to tell.
    Disorder,
    /// Nothing any more; the window is still reduced for it.
    Reduced,
    /// Fast recovery.
    Recovery,
    /// What a timeout left.
    Loss,
}

impl Default for TcpInfo {
    fn default() -> Self {
        Self {
            phase: Phase::Closed,
            retransmits: 0,
            probes: 0,
            backoff: 0,
            timestamps: false,
            sack: false,
            window_scaling: false,
            snd_wscale: 0,
            rcv_wscale: 0,
            rto: Duration::ZERO,
            snd_mss: 0,
            rcv_mss: 0,
            pmtu: 0,
            rtt: None,
            rttvar: None,
            min_rtt: None,
            snd_cwnd: 0,
            snd_ssthresh: 0,
            snd_wnd: 0,
            rcv_wnd: 0,
            rcv_wnd_left: 0,
            unacked: 0,
            sacked: 0,
            notsent: 0,
            receivable: 0,
            bytes_acked: 0,
            bytes_received: 0,
            segs_out: 0,
            segs_in: 0,
            data_segs_out: 0,
            data_segs_in: 0,
            bytes_sent: 0,
            bytes_retrans: 0,
            total_retrans: 0,
            timeouts: 0,
            congestion: "",
            repair: Repair::Open,
            lost: 0,
            retrans: 0,
            ato: Duration::ZERO,
            pingpong: false,
            advmss: 0,
            pacing_rate: None,
            last_sent: None,
            last_text: None,
            last_heard: None,
            rcv_ssthresh: 0,
            snd_buffer: 0,
            rcv_buffer: 0,
            segments: None,
            timeout_series: 0,
            fin_received: false,
            rcv_space: None,
            rcv_ooopack: 0,
            busy: BusyTimes::default(),
        }
    }
}

impl Repair {
    fn of(tcb: &Tcb) -> Self {
        if let Some(repairs) = tcb.repairs.as_deref() {
            return repairs.stage;
        }
        match tcb.loss {
            LossState::FastRecovery => Self::Recovery,
            LossState::Timeout | LossState::Resending => Self::Loss,
            LossState::Open if tcb.scoreboard.sacked() > 0 || tcb.ack.duplicates > 0 => {
                Self::Disorder
            }
            LossState::Open => Self::Open,
        }
    }
}

impl SegmentCounts {
    fn of(tcb: &Tcb) -> Option<Self> {
        let flight = &tcb.repairs.as_deref()?.flight;
        Some(Self {
            unacked: flight.out,
            sacked: flight.sacked,
            lost: flight.lost,
            retrans: flight.repeated,
            delivered: flight.delivered,
            reordering: flight.reordering,
        })
    }
}

/// Probes without an answer: of the peer's window, or of whether it is there.
fn probes(tcb: &Tcb) -> u8 {
    match (tcb.snd.wnd, tcb.repairs.is_some()) {
        (0, false) => tcb.patience.tries,
        (0, true) if !tcb.is_outstanding() => tcb.patience.unanswered,
        _ => tcb.patience.keepalive_probes,
    }
}

/// Doublings of the timer that runs.
fn backoff(tcb: &Tcb) -> u8 {
    if tcb.repairs.is_some() && tcb.snd.wnd == 0 && !tcb.is_outstanding() {
        tcb.patience.tries
    } else {
        tcb.rtt.backoff()
    }
}

/// Our window; as Linux tells it what was offered last, not what is left of it.
fn window(tcb: &Tcb) -> u32 {
    if tcb.repairs.is_some() {
        tcb.rcv.edge.since(tcb.rcv.last_ack_sent)
    } else {
        tcb.rcv.wnd()
    }
}

impl TcpInfo {
    pub(crate) fn of(tcb: &Tcb) -> Self {
        let probing = tcb.snd.wnd == 0;
        let adaptive = tcb.ack.adaptive.as_deref();
        let accounts = tcb.repairs.as_deref().map(|it| &it.accounts);
        Self {
            phase: tcb.phase(),
            retransmits: if probing { 0 } else { tcb.patience.tries },
            probes: probes(tcb),
            backoff: backoff(tcb),
            timestamps: tcb.negotiated.timestamps,
            sack: tcb.negotiated.sack,
            window_scaling: tcb.negotiated.window_scaling,
            snd_wscale: tcb.snd.shift.get(),
            rcv_wscale: tcb.rcv.shift.get(),
            rto: tcb.rtt.rto(),
            snd_mss: tcb.mss.send,
            rcv_mss: adaptive.map_or(tcb.mss.receive, |policy| {
                u16::try_from(policy.segment()).unwrap_or(u16::MAX)
            }),
            pmtu: tcb.mss.path_mtu(),
            rtt: tcb.rtt.srtt(),
            rttvar: tcb.rtt.rttvar(),
            min_rtt: tcb.rtt.min_rtt(),
            snd_cwnd: tcb.congestion.window(),
            snd_ssthresh: tcb.congestion.ssthresh(),
            snd_wnd: tcb.snd.wnd,
            rcv_wnd: window(tcb),
            rcv_wnd_left: tcb.rcv.wnd(),
            unacked: tcb.snd.flight(),
            sacked: tcb.scoreboard.sacked(),
            notsent: tcb.unsent(),
            receivable: octets(tcb.receive.len()),
            bytes_acked: tcb.stats.bytes_acked,
            bytes_received: tcb.stats.bytes_received,
            segs_out: tcb.stats.segments_out,
            segs_in: tcb.stats.segments_in,
            data_segs_out: tcb.stats.data_segments_out,
            data_segs_in: tcb.stats.data_segments_in,
            bytes_sent: tcb.stats.bytes_sent,
            bytes_retrans: tcb.rare().bytes_retransmitted,
            total_retrans: tcb.rare().retransmissions,
            timeouts: tcb.rare().timeouts,
            congestion: tcb.congestion.name(),
            repair: Repair::of(tcb),
            lost: tcb.scoreboard.lost(tcb.snd.una, tcb.snd.nxt),
            retrans: tcb.scoreboard.retransmitted(tcb.snd.una, tcb.snd.nxt),
            ato: adaptive.map_or(tcb.config.delayed_ack, DelayedAck::ato),
            pingpong: adaptive.is_some_and(DelayedAck::is_pingpong),
            advmss: tcb.mss.announced(),
            pacing_rate: match tcb.records.as_deref() {
                Some(records) => records.rate,
                None => pacing_rate(tcb),
            },
            last_sent: Some(tcb.patience.last_sent),
            last_text: adaptive.map(DelayedAck::last_text),
            last_heard: accounts
                .and_then(|it| it.last_acknowledged)
                .or(Some(tcb.patience.last_heard)),
            rcv_ssthresh: tcb.rcv.limit.min(tcb.window_max()),
            snd_buffer: tcb.snd.buffer,
            rcv_buffer: tcb.rcv.buffer,
            segments: SegmentCounts::of(tcb),
            timeout_series: accounts.map_or(0, |it| it.timeout_series),
            fin_received: tcb.fin_received(),
            rcv_space: tcb.receive_tuning.as_deref().map(ReceiveTuning::space),
            rcv_ooopack: accounts.map_or(0, |it| it.out_of_order_in),
            busy: accounts.map_or_else(BusyTimes::default, |it| it.busy),
        }
    }
}
