//! The window that a connection starts with.

/// Segments in the initial window (RFC 6928 section 2).
const SEGMENTS: u32 = 10;
/// Octets in the initial window, however large the segments, unless two segments are more (RFC 6928 section 2).
const OCTETS: u32 = 14_600;

/// The initial window in octets for segments of `smss` octets.
///
/// Ten segments (RFC 6928), bounded for large ones; a single one if the SYN or the SYN+ACK was lost (RFC 5681 3.1).
///
/// ```
/// use handwave_tcp::congestion::initial_window;
///
/// assert_eq!(initial_window(1_460, false), 14_600);
/// assert_eq!(initial_window(8_960, false), 17_920);
/// assert_eq!(initial_window(1_460, true), 1_460);
/// ```
#[must_use]
pub fn initial_window(smss: u32, syn_lost: bool) -> u32 {
    if syn_lost {
        return smss;
    }
    let two_segments = smss.saturating_mul(2);
    smss.saturating_mul(SEGMENTS).min(two_segments.max(OCTETS))
}

#[cfg(test)]
mod tests {
    use super::initial_window;

    #[test]
    fn rfc6928_2_is_ten_segments_within_limits() {
        for (smss, octets) in [
            (48, 480),
            (536, 5_360),
            (1_448, 14_480),
            (1_500, 14_600),
            (9_000, 18_000),
        ] {
            assert_eq!(initial_window(smss, false), octets);
        }
    }

    #[test]
    fn rfc5681_3_1_is_one_segment_after_a_lost_syn() {
        assert_eq!(initial_window(536, true), 536);
    }
}
