//! STATUS (RFC 9293 3.10.6): the numbers of a connection.

use core::time::Duration;

use crate::phase::Phase;
use crate::tcb::{Tcb, octets};

/// A connection's numbers at one moment, named as in Linux's `tcp_info` where it has them.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Our window, in octets.
    pub rcv_wnd: u32,
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
    /// Segments retransmitted in all.
    pub total_retrans: u32,
    /// Retransmission timeouts in all.
    pub timeouts: u32,
    /// Name of the congestion control.
    pub congestion: &'static str,
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
            unacked: 0,
            sacked: 0,
            notsent: 0,
            receivable: 0,
            bytes_acked: 0,
            bytes_received: 0,
            segs_out: 0,
            segs_in: 0,
            total_retrans: 0,
            timeouts: 0,
            congestion: "",
        }
    }
}

impl TcpInfo {
    pub(crate) fn of(tcb: &Tcb) -> Self {
        let probing = tcb.snd.wnd == 0;
        Self {
            phase: tcb.phase(),
            retransmits: if probing { 0 } else { tcb.patience.tries },
            probes: if probing {
                tcb.patience.tries
            } else {
                tcb.patience.keepalive_probes
            },
            backoff: tcb.rtt.backoff(),
            timestamps: tcb.negotiated.timestamps,
            sack: tcb.negotiated.sack,
            snd_wscale: tcb.snd.shift.get(),
            rcv_wscale: tcb.rcv.shift.get(),
            rto: tcb.rtt.rto(),
            snd_mss: tcb.mss.send,
            rcv_mss: tcb.mss.receive,
            pmtu: tcb.mss.path_mtu(),
            rtt: tcb.rtt.srtt(),
            rttvar: tcb.rtt.rttvar(),
            min_rtt: tcb.rtt.min_rtt(),
            snd_cwnd: tcb.congestion.window(),
            snd_ssthresh: tcb.congestion.ssthresh(),
            snd_wnd: tcb.snd.wnd,
            rcv_wnd: tcb.rcv.wnd(),
            unacked: tcb.snd.flight(),
            sacked: tcb.scoreboard.sacked(),
            notsent: tcb.unsent(),
            receivable: octets(tcb.receive.len()),
            bytes_acked: tcb.stats.bytes_acked,
            bytes_received: tcb.stats.bytes_received,
            segs_out: tcb.stats.segments_out,
            segs_in: tcb.stats.segments_in,
            total_retrans: tcb.stats.retransmissions,
            timeouts: tcb.stats.timeouts,
            congestion: tcb.congestion.name(),
        }
    }
}
