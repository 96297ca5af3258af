//! The window that a connection starts with.

/// Octets that one segment of the count stands for when segments are large (RFC 6928 section 2: 14,600 for ten).
const OCTETS_PER_SEGMENT: u32 = 1_460;

/// The initial window in octets: `segments` of `smss` octets each.
///
/// Ten segments by default (RFC 6928), bounded for large ones; a single one if the SYN or the SYN+ACK was lost
/// (RFC 5681 3.1) [RFC5681-3] [RFC5681-5].
///
/// ```
/// use handwave_tcp::congestion::initial_window;
///
/// assert_eq!(initial_window(10, 1_460), 14_600);
/// assert_eq!(initial_window(10, 8_960), 17_920);
/// assert_eq!(initial_window(1, 1_460), 1_460);
/// ```
#[must_use]
pub fn initial_window(segments: u8, smss: u32) -> u32 {
    let segments = u32::from(segments.max(1));
    let two_segments = smss.saturating_mul(2);
    smss.saturating_mul(segments)
        .min(two_segments.max(segments * OCTETS_PER_SEGMENT))
        .max(smss)
}

#[cfg(test)]
mod tests {
    use super::initial_window;

    #[test]
    fn rfc6928_2_is_ten_segments_within_limits() {
        // [RFC5681-3]
        for (smss, octets) in [
            (48, 480),
            (536, 5_360),
            (1_448, 14_480),
            (1_500, 14_600),
            (9_000, 18_000),
        ] {
            assert_eq!(initial_window(10, smss), octets);
        }
    }

    #[test]
    fn rfc5681_3_1_is_one_segment_after_a_lost_syn() {
        // [RFC5681-5]
        assert_eq!(initial_window(1, 536), 536);
    }
}
