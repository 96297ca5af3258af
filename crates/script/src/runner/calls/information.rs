//! `struct tcp_info` by the names of its members.

use std::collections::BTreeMap;

use crate::posix::Fd;
use crate::posix::constants::{SOL_TCP, TCP_INFO};
use crate::runner::{Host, Runner};

/// Members of one octet: name, offset, lowest bit, bits.
const SMALL: &[(&str, usize, u8, u8)] = &[
    ("tcpi_state", 0, 0, 8),
    ("tcpi_ca_state", 1, 0, 8),
    ("tcpi_retransmits", 2, 0, 8),
    ("tcpi_probes", 3, 0, 8),
    ("tcpi_backoff", 4, 0, 8),
    ("tcpi_options", 5, 0, 8),
    ("tcpi_snd_wscale", 6, 0, 4),
    ("tcpi_rcv_wscale", 6, 4, 4),
    ("tcpi_delivery_rate_app_limited", 7, 0, 1),
    ("tcpi_fastopen_client_fail", 7, 1, 2),
];

/// Members of four octets, in order, from offset 8.
const WORDS: &[&str] = &[
    "tcpi_rto",
    "tcpi_ato",
    "tcpi_snd_mss",
    "tcpi_rcv_mss",
    "tcpi_unacked",
    "tcpi_sacked",
    "tcpi_lost",
    "tcpi_retrans",
    "tcpi_fackets",
    "tcpi_last_data_sent",
    "tcpi_last_ack_sent",
    "tcpi_last_data_recv",
    "tcpi_last_ack_recv",
    "tcpi_pmtu",
    "tcpi_rcv_ssthresh",
    "tcpi_rtt",
    "tcpi_rttvar",
    "tcpi_snd_ssthresh",
    "tcpi_snd_cwnd",
    "tcpi_advmss",
    "tcpi_reordering",
    "tcpi_rcv_rtt",
    "tcpi_rcv_space",
    "tcpi_total_retrans",
];

/// The members behind them: name, offset, octets.
const LATER: &[(&str, usize, usize)] = &[
    ("tcpi_pacing_rate", 104, 8),
    ("tcpi_max_pacing_rate", 112, 8),
    ("tcpi_bytes_acked", 120, 8),
    ("tcpi_bytes_received", 128, 8),
    ("tcpi_segs_out", 136, 4),
    ("tcpi_segs_in", 140, 4),
    ("tcpi_notsent_bytes", 144, 4),
    ("tcpi_min_rtt", 148, 4),
    ("tcpi_data_segs_in", 152, 4),
    ("tcpi_data_segs_out", 156, 4),
    ("tcpi_delivery_rate", 160, 8),
    ("tcpi_busy_time", 168, 8),
    ("tcpi_rwnd_limited", 176, 8),
    ("tcpi_sndbuf_limited", 184, 8),
    ("tcpi_delivered", 192, 4),
    ("tcpi_delivered_ce", 196, 4),
    ("tcpi_bytes_sent", 200, 8),
    ("tcpi_bytes_retrans", 208, 8),
    ("tcpi_dsack_dups", 216, 4),
    ("tcpi_reord_seen", 220, 4),
    ("tcpi_rcv_ooopack", 224, 4),
    ("tcpi_snd_wnd", 228, 4),
    ("tcpi_rcv_wnd", 232, 4),
    ("tcpi_rehash", 236, 4),
    ("tcpi_total_rto", 240, 2),
    ("tcpi_total_rto_recoveries", 242, 2),
    ("tcpi_total_rto_time", 244, 4),
];

/// The members that `octets` reaches.
pub(super) fn members(octets: &[u8]) -> BTreeMap<&'static str, i64> {
    let mut all = BTreeMap::new();
    for (name, at, shift, bits) in SMALL {
        if let Some(octet) = octets.get(*at) {
            let mask = u8::MAX >> (8 - bits);
            all.insert(*name, i64::from(octet >> shift & mask));
        }
    }
    let words = WORDS
        .iter()
        .enumerate()
        .map(|(index, name)| (*name, 8 + 4 * index, 4));
    for (name, at, len) in words.chain(LATER.iter().copied()) {
        if let Some(field) = octets.get(at..at + len) {
            let mut word = [0; 8];
            if cfg!(target_endian = "big") {
                word[8 - len..].copy_from_slice(field);
            } else {
                word[..len].copy_from_slice(field);
            }
            all.insert(name, u64::from_ne_bytes(word).cast_signed());
        }
    }
    all
}

impl<H: Host> Runner<H> {
    /// What `%{ }%` can look at: the `struct tcp_info` of the current connection.
    pub(in crate::runner) fn information(&mut self) -> BTreeMap<&'static str, i64> {
        let Some(fd) = self.information_fd() else {
            return BTreeMap::new();
        };
        match self.host.option(fd, SOL_TCP, TCP_INFO) {
            Ok(value) => members(&value.encode()),
            Err(_) => BTreeMap::new(),
        }
    }

    fn information_fd(&self) -> Option<Fd> {
        let current = self.current.and_then(|index| self.connections[index].fd);
        current
            .map(|script| self.files.live(script))
            .or_else(|| self.files.newest())
    }
}
