//! `struct tcp_info`: the numbers of a connection, by name and as octets.

use super::constants::{
    TCP_CA_CWR, TCP_CA_Disorder, TCP_CA_Loss, TCP_CA_Open, TCP_CA_Recovery, TCP_CLOSE,
    TCP_CLOSE_WAIT, TCP_CLOSING, TCP_ESTABLISHED, TCP_FIN_WAIT1, TCP_FIN_WAIT2, TCP_LAST_ACK,
    TCP_LISTEN, TCP_SYN_RECV, TCP_SYN_SENT, TCP_TIME_WAIT, TCPI_OPT_SACK, TCPI_OPT_TIMESTAMPS,
    TCPI_OPT_WSCALE,
};
use handwave_tcp::{Instant, Phase, Repair, SegmentCounts, TcpInfo};
use std::time::Duration;

/// A slow-start threshold that was never set.
const NO_THRESHOLD: u32 = 0x7fff_ffff;
/// Segments by which the network may reorder before that counts as loss.
const REORDERING: u32 = 3;
/// What timestamps take of a segment, padding included.
const TIMESTAMPS_LEN: u16 = 12;
/// Segments that the first receive space is made for.
const FIRST_SPACE: u32 = 10;

/// What `getsockopt` stores for `TCP_INFO`: every field that Linux 6.18 has, those that cannot be known here being 0.
///
/// ```
/// use handwave_script::posix::LinuxTcpInfo;
/// use handwave_tcp::{Instant, TcpInfo};
///
/// let info = LinuxTcpInfo::new(&TcpInfo::default(), Instant::ZERO);
/// assert_eq!(info.field("tcpi_state"), Some(7), "TCP_CLOSE");
/// assert_eq!(info.field("tcpi_no_such_thing"), None);
/// assert_eq!(info.encode()[0], 7);
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinuxTcpInfo {
    fields: Vec<Field>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Field {
    name: &'static str,
    bits: u32,
    value: u64,
}

impl LinuxTcpInfo {
    /// The numbers of `info` at `now`, in Linux's units: segments, microseconds, milliseconds.
    #[must_use]
    pub fn new(info: &TcpInfo, now: Instant) -> Self {
        let mut all = Self {
            fields: Vec::with_capacity(80),
        };
        all.head(info);
        all.counts(info, now);
        all.totals(info, now);
        all
    }

    /// What a socket tells that has no connection and never had one.
    #[must_use]
    pub fn closed() -> Self {
        let mut all = Self::new(&TcpInfo::default(), Instant::ZERO);
        for (name, value) in [
            ("tcpi_delivery_rate_app_limited", 1),
            ("tcpi_rto", 1_000_000),
            ("tcpi_snd_mss", 536),
            ("tcpi_rttvar", 250_000),
            ("tcpi_snd_ssthresh", NO_THRESHOLD.into()),
            ("tcpi_snd_cwnd", 10),
            ("tcpi_rcv_space", 0),
            ("tcpi_min_rtt", u32::MAX.into()),
            ("tcpi_delivered", 0),
        ] {
            all.set(name, value);
        }
        all
    }

    /// What a listener tells: how many connections wait, and how many may.
    #[must_use]
    pub fn listening(waiting: usize, backlog: usize) -> Self {
        let mut all = Self::closed();
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        for (name, value) in [
            ("tcpi_state", number(TCP_LISTEN)),
            ("tcpi_delivery_rate_app_limited", 0),
            ("tcpi_rto", 0),
            ("tcpi_snd_mss", 0),
            ("tcpi_unacked", count(waiting)),
            ("tcpi_sacked", count(backlog)),
            ("tcpi_rttvar", 0),
            ("tcpi_snd_ssthresh", 0),
            ("tcpi_min_rtt", 0),
        ] {
            all.set(name, value);
        }
        all
    }

    fn set(&mut self, name: &str, value: u64) {
        if let Some(field) = self.fields.iter_mut().find(|field| field.name == name) {
            field.value = value.min(u64::MAX >> (64 - field.bits));
        }
    }

    /// The value of a field, named as in C: `tcpi_rtt`.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<u64> {
        self.fields
            .iter()
            .find(|field| field.name == name)
            .map(|field| field.value)
    }

    /// Names and values in the order of the struct.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let named = self.fields.iter().filter(|field| !field.name.is_empty());
        named.map(|field| (field.name, field.value))
    }

    /// The octets of the struct.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut octets = Vec::with_capacity(256);
        let (mut pending, mut filled) = (0_u64, 0);
        for field in &self.fields {
            if field.bits >= 8 {
                let width = field.bits as usize / 8;
                octets.extend_from_slice(&field.value.to_le_bytes()[..width]);
                continue;
            }
            pending |= field.value << filled;
            filled += field.bits;
            if filled == 8 {
                octets.push(pending.to_le_bytes()[0]);
                (pending, filled) = (0, 0);
            }
        }
        octets
    }

    /// Reads the octets of the struct, as many as there are; fields beyond them are 0.
    ///
    /// ```
    /// use handwave_script::posix::LinuxTcpInfo;
    ///
    /// let octets = LinuxTcpInfo::listening(2, 5).encode();
    /// assert_eq!(LinuxTcpInfo::decode(&octets), LinuxTcpInfo::listening(2, 5));
    /// ```
    #[must_use]
    pub fn decode(octets: &[u8]) -> Self {
        let mut all = Self::closed();
        let mut at = 0_usize;
        for field in &mut all.fields {
            let (first, last) = (at / 8, (at + field.bits as usize).div_ceil(8));
            let mut word = [0; 8];
            if let Some(held) = octets.get(first..last) {
                word[..held.len()].copy_from_slice(held);
            }
            field.value = u64::from_le_bytes(word) >> (at % 8) & (u64::MAX >> (64 - field.bits));
            at += field.bits as usize;
        }
        all
    }

    fn put(&mut self, bits: u32, name: &'static str, value: impl Into<u64>) {
        let most = u64::MAX >> (64 - bits);
        self.fields.push(Field {
            name,
            bits,
            value: value.into().min(most),
        });
    }

    fn zeros(&mut self, bits: u32, names: &[&'static str]) {
        for name in names {
            self.put(bits, name, 0_u64);
        }
    }

    fn head(&mut self, info: &TcpInfo) {
        let options = if info.timestamps {
            TCPI_OPT_TIMESTAMPS
        } else {
            0
        } | if info.sack { TCPI_OPT_SACK } else { 0 }
            | if info.window_scaling {
                TCPI_OPT_WSCALE
            } else {
                0
            };
        self.put(8, "tcpi_state", number(state(info.phase)));
        self.put(8, "tcpi_ca_state", number(repair(info.repair)));
        self.put(8, "tcpi_retransmits", info.retransmits);
        self.put(8, "tcpi_probes", info.probes);
        self.put(8, "tcpi_backoff", info.backoff);
        self.put(8, "tcpi_options", number(options));
        self.put(4, "tcpi_snd_wscale", info.snd_wscale);
        self.put(4, "tcpi_rcv_wscale", info.rcv_wscale);
        // A program that does not keep the network busy: no rate is told here that would say otherwise.
        self.put(1, "tcpi_delivery_rate_app_limited", 1_u8);
        self.zeros(2, &["tcpi_fastopen_client_fail"]);
        self.zeros(5, &[""]);
    }

    fn counts(&mut self, info: &TcpInfo, now: Instant) {
        let mss = u32::from(info.snd_mss).max(1);
        let segments = |octets: u32| octets.div_ceil(mss);
        let since = |then: Option<Instant>| then.map_or(0, |then| millis(now - then));
        let threshold = if info.snd_ssthresh >= NO_THRESHOLD {
            NO_THRESHOLD
        } else {
            info.snd_ssthresh / mss
        };
        self.put(32, "tcpi_rto", micros(Some(info.rto)));
        self.put(32, "tcpi_ato", micros(Some(info.ato)));
        self.put(32, "tcpi_snd_mss", info.snd_mss);
        self.put(32, "tcpi_rcv_mss", info.rcv_mss);
        let counts = info.segments.unwrap_or_else(|| SegmentCounts {
            unacked: segments(info.unacked),
            sacked: segments(info.sacked),
            lost: segments(info.lost),
            retrans: segments(info.retrans),
            delivered: segments(u32::try_from(info.bytes_acked).unwrap_or(u32::MAX)),
            reordering: REORDERING,
        });
        self.put(32, "tcpi_unacked", counts.unacked);
        self.put(32, "tcpi_sacked", counts.sacked);
        self.put(32, "tcpi_lost", counts.lost);
        self.put(32, "tcpi_retrans", counts.retrans);
        self.zeros(32, &["tcpi_fackets"]);
        self.put(32, "tcpi_last_data_sent", since(info.last_sent));
        self.zeros(32, &["tcpi_last_ack_sent"]);
        let last_text = info.last_text.or(info.last_heard);
        self.put(32, "tcpi_last_data_recv", since(last_text));
        self.put(32, "tcpi_last_ack_recv", since(info.last_heard));
        self.put(32, "tcpi_pmtu", info.pmtu);
        self.put(32, "tcpi_rcv_ssthresh", info.rcv_ssthresh);
        self.put(32, "tcpi_rtt", micros(info.rtt));
        // Linux smooths the deviation a quarter at a time and tells it without the factor of four.
        self.put(32, "tcpi_rttvar", micros(info.rttvar));
        self.put(32, "tcpi_snd_ssthresh", threshold);
        self.put(32, "tcpi_snd_cwnd", info.snd_cwnd / mss);
        // Less what timestamps take of each segment.
        let stamps = if info.timestamps { TIMESTAMPS_LEN } else { 0 };
        let advmss = info.advmss.saturating_sub(stamps);
        self.put(32, "tcpi_advmss", advmss);
        self.put(32, "tcpi_reordering", counts.reordering);
        self.zeros(32, &["tcpi_rcv_rtt"]);
        let space = info.rcv_space;
        let space = space.unwrap_or_else(|| FIRST_SPACE * u32::from(advmss));
        self.put(32, "tcpi_rcv_space", space);
        self.put(32, "tcpi_total_retrans", info.total_retrans);
    }

    fn totals(&mut self, info: &TcpInfo, now: Instant) {
        let mss = u64::from(info.snd_mss).max(1);
        let delivered = info.segments.map_or_else(
            || (info.bytes_acked + u64::from(info.sacked)).div_ceil(mss) + 1,
            |counts| u64::from(counts.delivered) + 1,
        );
        self.put(64, "tcpi_pacing_rate", info.pacing_rate.unwrap_or(u64::MAX));
        self.put(64, "tcpi_max_pacing_rate", u64::MAX);
        self.put(64, "tcpi_bytes_acked", info.bytes_acked);
        // Linux counts the peer's FIN too.
        let received = info.bytes_received + u64::from(info.fin_received);
        self.put(64, "tcpi_bytes_received", received);
        self.put(32, "tcpi_segs_out", info.segs_out);
        self.put(32, "tcpi_segs_in", info.segs_in);
        self.put(32, "tcpi_notsent_bytes", info.notsent);
        self.put(32, "tcpi_min_rtt", micros(info.min_rtt));
        self.put(32, "tcpi_data_segs_in", info.data_segs_in);
        self.put(32, "tcpi_data_segs_out", info.data_segs_out);
        self.zeros(64, &["tcpi_delivery_rate"]);
        let times = info.busy;
        self.put(64, "tcpi_busy_time", micros(Some(times.busy(now))));
        let window = times.window_limited(now);
        self.put(64, "tcpi_rwnd_limited", micros(Some(window)));
        let buffer = times.buffer_limited(now);
        self.put(64, "tcpi_sndbuf_limited", micros(Some(buffer)));
        self.put(32, "tcpi_delivered", delivered);
        self.zeros(32, &["tcpi_delivered_ce"]);
        self.put(64, "tcpi_bytes_sent", info.bytes_sent);
        self.put(64, "tcpi_bytes_retrans", info.bytes_retrans);
        self.zeros(32, &["tcpi_dsack_dups", "tcpi_reord_seen"]);
        self.put(32, "tcpi_rcv_ooopack", info.rcv_ooopack);
        self.put(32, "tcpi_snd_wnd", info.snd_wnd);
        self.put(32, "tcpi_rcv_wnd", info.rcv_wnd);
        self.zeros(32, &["tcpi_rehash"]);
        self.put(16, "tcpi_total_rto", info.timeouts);
        self.put(16, "tcpi_total_rto_recoveries", info.timeout_series);
        self.zeros(
            32,
            &[
                "tcpi_total_rto_time",
                "tcpi_received_ce",
                "tcpi_delivered_e1_bytes",
                "tcpi_delivered_e0_bytes",
                "tcpi_delivered_ce_bytes",
                "tcpi_received_e1_bytes",
                "tcpi_received_e0_bytes",
                "tcpi_received_ce_bytes",
            ],
        );
        self.zeros(16, &["tcpi_accecn_fail_mode", "tcpi_accecn_opt_seen"]);
    }
}

fn number(value: i32) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

fn micros(span: Option<Duration>) -> u64 {
    u64::try_from(span.unwrap_or_default().as_micros()).unwrap_or(u64::MAX)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

const fn state(phase: Phase) -> i32 {
    match phase {
        Phase::Closed => TCP_CLOSE,
        Phase::Listen => TCP_LISTEN,
        Phase::SynSent => TCP_SYN_SENT,
        Phase::SynReceived => TCP_SYN_RECV,
        Phase::Established => TCP_ESTABLISHED,
        Phase::FinWait1 => TCP_FIN_WAIT1,
        Phase::FinWait2 => TCP_FIN_WAIT2,
        Phase::CloseWait => TCP_CLOSE_WAIT,
        Phase::Closing => TCP_CLOSING,
        Phase::LastAck => TCP_LAST_ACK,
        Phase::TimeWait => TCP_TIME_WAIT,
    }
}

const fn repair(repair: Repair) -> i32 {
    match repair {
        Repair::Open => TCP_CA_Open,
        Repair::Disorder => TCP_CA_Disorder,
        Repair::Reduced => TCP_CA_CWR,
        Repair::Recovery => TCP_CA_Recovery,
        Repair::Loss => TCP_CA_Loss,
    }
}
