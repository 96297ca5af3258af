//! What the two SYNs agreed on: option use, segment sizes, and the timestamp clock.

use handwave_wire::{TcpOptions, Timestamps};

use crate::config::Config;
use crate::segment::Path;
use crate::time::Instant;
use crate::tuple::Tuple;
use crate::vars::WindowShift;

/// Octets of a TCP header without options.
pub(crate) const TCP_HEADER_LEN: u16 = 20;
/// Octets the timestamps option takes in every segment, padding included (RFC 7323 A).
pub(crate) const TIMESTAMPS_LEN: u16 = 12;
/// The least MSS believed of a peer; less would make headers of everything (CVE-2019-11479).
pub(crate) const MSS_FLOOR: u16 = 48;

/// Octets of the IP header before a segment.
pub(crate) const fn ip_header_len(tuple: &Tuple) -> u16 {
    if tuple.is_ipv6() { 40 } else { 20 }
}

/// The default send MSS of a peer that names none (RFC 9293 3.7.1 [MUST-15]).
pub(crate) const fn default_mss(tuple: &Tuple) -> u16 {
    if tuple.is_ipv6() { 1220 } else { 536 }
}

/// Options in force for a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Negotiated {
    pub(crate) timestamps: bool,
    pub(crate) sack: bool,
    /// Both SYNs carried a window scale option (RFC 7323 2.2) [RFC7323-2] [RFC7323-5].
    pub(crate) window_scaling: bool,
    pub(crate) send_shift: WindowShift,
    pub(crate) receive_shift: WindowShift,
}

impl Negotiated {
    /// What our SYN offers if `config` says what.
    #[inline]
    pub(crate) fn offer(config: &Config) -> Self {
        Self {
            timestamps: config.timestamps,
            sack: config.sack,
            window_scaling: config.window_scaling,
            send_shift: WindowShift::NONE,
            receive_shift: WindowShift::for_buffer(config.window_scale_for()),
        }
    }

    /// What holds when the peer's SYN carries `peer` and ours offers what `config` allows.
    #[inline]
    pub(crate) fn new(config: &Config, peer: &TcpOptions) -> Self {
        Self::offer(config).met_by(peer)
    }

    /// What holds of this offer when the peer's SYN carries `peer` [RFC7323-3].
    #[inline]
    pub(crate) fn met_by(self, peer: &TcpOptions) -> Self {
        let scale = peer.window_scale.filter(|_| self.window_scaling);
        Self {
            timestamps: self.timestamps && peer.timestamps.is_some(),
            sack: self.sack && peer.sack_permitted,
            window_scaling: scale.is_some(),
            send_shift: scale.map_or(WindowShift::NONE, WindowShift::new),
            receive_shift: scale.map_or(WindowShift::NONE, |_| self.receive_shift),
        }
    }
}

/// Options of our SYN, which offers `use_of`, or of a SYN+ACK, which agrees to it: the only segments that name an MSS, and always (RFC 9293 3.7.1
/// [MUST-14] [MUST-65] [SHLD-5] [MAY-3], RFC 7323, RFC 2018) [RFC7323-1] [RFC2018-1] [RFC2018-2].
pub(crate) fn syn_options(
    config: &Config,
    mss: u16,
    timestamps: Timestamps,
    use_of: &Negotiated,
) -> TcpOptions {
    TcpOptions {
        mss: Some(mss),
        window_scale: use_of.window_scaling.then_some(use_of.receive_shift.get()),
        sack_permitted: use_of.sack,
        timestamps: use_of.timestamps.then_some(timestamps),
        order: config.option_order,
        ..TcpOptions::default()
    }
}

/// The MSS to announce: what the interface can receive, less the headers (RFC 9293 3.7.1 [MUST-67], 3.7.3 [SHLD-6]).
pub(crate) fn announced_mss(config: &Config, tuple: &Tuple, path: Path) -> u16 {
    let fits = path
        .receive_mtu
        .saturating_sub(ip_header_len(tuple) + TCP_HEADER_LEN);
    config
        .mss_max
        .map_or(fits, |limit| fits.min(limit))
        .max(MSS_FLOOR)
}

/// Windows up to this are not halved: every host takes a segment of that size (RFC 9293 3.7.1).
const SMALL_WINDOW: u32 = 536;

/// Segment sizes of a connection, in octets of text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mss {
    /// Eff.snd.MSS: the most text one of our segments carries, timestamps already subtracted (RFC 9293 3.7.1).
    pub(crate) send: u16,
    /// The largest segment the peer is expected to send.
    pub(crate) receive: u16,
    /// Largest super-segment the device takes; 0: single segments only.
    pub(crate) super_segment_max: u32,
    announced: u16,
    peer: u16,
    headers: u16,
    path_mtu: u16,
    /// Half of the largest window of the peer, where segments are kept below it.
    window_share: u16,
}

impl Mss {
    pub(crate) fn new(
        tuple: &Tuple,
        path: Path,
        peer: Option<u16>,
        timestamps: bool,
        config: &Config,
    ) -> Self {
        let option_len = if timestamps { TIMESTAMPS_LEN } else { 0 };
        let announced = announced_mss(config, tuple, path);
        let mut mss = Self {
            send: 0,
            receive: announced.saturating_sub(option_len),
            announced,
            super_segment_max: path.super_segment_max,
            peer: peer
                .unwrap_or_else(|| default_mss(tuple))
                .min(config.mss_max.unwrap_or(u16::MAX))
                .max(MSS_FLOOR)
                .saturating_sub(option_len),
            headers: ip_header_len(tuple) + TCP_HEADER_LEN + option_len,
            path_mtu: path.mtu,
            window_share: u16::MAX,
        };
        mss.set_path_mtu(path.mtu);
        mss
    }

    /// Text of the largest segment that the peer takes, whatever the path carries.
    pub(crate) const fn peer_takes(&self) -> u16 {
        self.peer
    }

    /// Effective send MSS: the smaller of what the peer takes and what the path carries (RFC 9293 3.7.1 [MUST-16]).
    pub(crate) fn set_path_mtu(&mut self, mtu: u16) {
        self.path_mtu = mtu;
        let fits = mtu
            .saturating_sub(self.headers)
            .max(MSS_FLOOR - TIMESTAMPS_LEN);
        self.send = self.peer.min(fits).min(self.window_share);
    }

    /// Keeps segments to half of the largest window the peer has offered, unless that is small anyway: two fit then, and an
    /// acknowledgment comes back. Returns whether the size changed.
    pub(crate) fn keep_to_window(&mut self, window_max: u32) -> bool {
        let share = if window_max > SMALL_WINDOW {
            window_max / 2
        } else {
            window_max
        };
        let before = self.send;
        if share > 0 {
            let least = u32::from(MSS_FLOOR);
            self.window_share = u16::try_from(share.max(least)).unwrap_or(u16::MAX);
            self.set_path_mtu(self.path_mtu);
        }
        self.send != before
    }

    /// The MSS our SYN names.
    pub(crate) const fn announced(&self) -> u16 {
        self.announced
    }

    pub(crate) const fn path_mtu(&self) -> u16 {
        self.path_mtu
    }
}

/// The timestamps of a connection: our clock, and the peer's last (RFC 7323 3.2, 4.3).
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimestampClock {
    /// Added to the millisecond clock, so that a peer cannot compare connections (RFC 7323 5.4).
    pub(crate) offset: u32,
    /// TS.Recent: the peer's timestamp to echo.
    pub(crate) recent: u32,
    /// When `recent` was taken, for PAWS after long idleness (RFC 7323 5.5).
    pub(crate) recent_at: Instant,
}

impl TimestampClock {
    /// TSval at `now`: milliseconds, modulo 2^32 (RFC 7323 5.4 asks for 1 ms to 1 s a tick) [RFC7323-17] [RFC7323-27].
    pub(crate) fn value(&self, now: Instant) -> u32 {
        let millis = u32::try_from(now.as_millis() & u64::from(u32::MAX)).unwrap_or(0);
        millis.wrapping_add(self.offset)
    }

    /// The option for a segment sent at `now` [RFC7323-13].
    pub(crate) fn stamp(&self, now: Instant) -> Timestamps {
        Timestamps {
            value: self.value(now),
            echo: self.recent,
        }
    }
}

#[cfg(test)]
mod tests {
    use core::net::IpAddr;

    use super::*;
    use crate::tuple::Endpoint;

    fn tuple(v6: bool) -> Tuple {
        let addr = if v6 { "2001:db8::1" } else { "192.0.2.1" }
            .parse::<IpAddr>()
            .unwrap();
        Tuple::new(Endpoint::new(addr, 1), Endpoint::new(addr, 2))
    }

    #[test]
    fn a_silent_peer_gets_the_default_mss() {
        // [MUST-15]
        let config = Config::default();
        let mss = |v6| Mss::new(&tuple(v6), Path::with_mtu(1500), None, false, &config).send;
        assert_eq!((mss(false), mss(true)), (536, 1220));
    }

    #[test]
    fn the_effective_mss_is_the_smaller_of_peer_and_path_less_options() {
        // [MUST-16]
        let config = Config::default();
        let mss = |mtu, peer, ts| {
            Mss::new(&tuple(false), Path::with_mtu(mtu), Some(peer), ts, &config).send
        };
        assert_eq!(mss(1500, 9000, false), 1460);
        assert_eq!(mss(1500, 1000, true), 988);
        assert_eq!(mss(600, 1460, true), 548);
        assert_eq!(mss(1500, 1, true), 36, "floor of 48 for what a peer names");
    }

    #[test]
    fn the_announced_mss_fits_what_can_be_received() {
        // [MUST-67]
        let config = Config {
            mss_max: Some(1300),
            ..Config::default()
        };
        assert_eq!(
            announced_mss(&Config::default(), &tuple(true), Path::with_mtu(1500)),
            1440
        );
        assert_eq!(
            announced_mss(&config, &tuple(false), Path::with_mtu(1500)),
            1300
        );
    }
}
