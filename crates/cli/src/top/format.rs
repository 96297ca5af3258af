//! Numbers, times and places in few columns.

use std::net::IpAddr;

use handwave::control::protocol::Place;

/// A count in at most five columns: `999`, `48.2k`, `1.9M`.
pub(super) fn count(value: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let scaled = |unit: u64| value as f64 / unit as f64;
    for (unit, name) in [
        (1_000_000_000_000, "T"),
        (1_000_000_000, "G"),
        (1_000_000, "M"),
        (1_000, "k"),
    ] {
        // 999.95k would be shown as 1000.0k.
        if value >= unit * 10 || (unit > 1_000 && value >= unit) {
            let number = scaled(unit);
            return if number < 100.0 {
                format!("{number:.1}{name}")
            } else {
                format!("{number:.0}{name}")
            };
        }
    }
    value.to_string()
}

/// A span of time given in microseconds: `87us`, `1.2ms`, `234ms`, `12.0s`.
pub(super) fn micros(value: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let value_f = value as f64;
    match value {
        0..1_000 => format!("{value}us"),
        1_000..100_000 => format!("{:.1}ms", value_f / 1e3),
        100_000..1_000_000 => format!("{}ms", value / 1_000),
        _ => format!("{:.1}s", value_f / 1e6),
    }
}

/// A span of time given in milliseconds, as clocks have it: `0:42`, `12:31`, `3:05:00`, `2d 03:05`.
pub(super) fn clock(millis: u64) -> String {
    let seconds = millis / 1_000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours) {
        (0, 0) => format!("{minutes}:{:02}", seconds % 60),
        (0, _) => format!("{hours}:{:02}:{:02}", minutes % 60, seconds % 60),
        _ => format!("{days}d {:02}:{:02}", hours % 24, minutes % 60),
    }
}

/// An address and a port as `ss` writes them.
pub(super) fn place(place: &Place) -> String {
    match place.addr {
        None if place.port == 0 => "*:*".to_owned(),
        None => format!("*:{}", place.port),
        Some(IpAddr::V6(addr)) => format!("[{addr}]:{}", place.port),
        Some(IpAddr::V4(addr)) => format!("{addr}:{}", place.port),
    }
}

/// The text, its middle left out if it is longer than `columns`; the end tells more than the middle.
pub(super) fn fitted(text: String, columns: usize) -> String {
    let length = text.chars().count();
    if length <= columns || columns < 3 {
        return text;
    }
    let tail = (columns - 1) * 3 / 5;
    let head = columns - 1 - tail;
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(length - tail).collect();
    format!("{start}…{end}")
}

/// A bar of so many columns, in eighths of one.
pub(super) fn bar(value: u64, max: u64, columns: usize) -> (String, String) {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let whole = columns as u64 * 8;
    let filled = (value.min(max) * whole).div_ceil(max.max(1)).min(whole);
    let filled = usize::try_from(filled).unwrap_or_default();
    let (full, part) = (filled / 8, filled % 8);
    let mut on = "█".repeat(full);
    if part > 0 {
        on.push(EIGHTHS[part]);
    }
    let off = "·".repeat(columns - full - usize::from(part > 0));
    (on, off)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_fit() {
        for (value, text) in [
            (0, "0"),
            (9_999, "9999"),
            (48_213, "48.2k"),
            (999_999, "1000k"),
            (1_900_000, "1.9M"),
            (250_000_000, "250M"),
            (u64::MAX, "18446744T"),
        ] {
            assert_eq!(count(value), text);
        }
        for (value, text) in [
            (87, "87us"),
            (1_234, "1.2ms"),
            (234_567, "234ms"),
            (12_000_000, "12.0s"),
        ] {
            assert_eq!(micros(value), text);
        }
        for (value, text) in [
            (42_999, "0:42"),
            (751_000, "12:31"),
            (11_100_000, "3:05:00"),
            (183_900_000, "2d 03:05"),
        ] {
            assert_eq!(clock(value), text);
        }
    }

    #[test]
    fn a_long_place_keeps_its_ends() {
        let place = place(&Place {
            addr: Some("2001:db8:1234:5678:9abc:def0:1234:5678".parse().unwrap()),
            port: 65_535,
        });
        let short = fitted(place, 21);
        assert_eq!(short.chars().count(), 21);
        assert!(
            short.starts_with("[2001") && short.ends_with("]:65535"),
            "{short}"
        );
        assert_eq!(fitted("10.0.0.1:80".to_owned(), 21), "10.0.0.1:80");
    }

    #[test]
    fn a_bar_shows_the_least_and_never_more_than_all() {
        for (value, max, on) in [
            (0, 8, ""),
            (1, 1_000, "▏"),
            (4, 8, "██"),
            (8, 8, "████"),
            (9, 8, "████"),
            (5, 8, "██▌"),
        ] {
            let (filled, rest) = bar(value, max, 4);
            assert_eq!(filled, on, "{value}/{max}");
            assert_eq!(filled.chars().count() + rest.chars().count(), 4);
        }
        assert_eq!(bar(0, 0, 2).1, "··");
    }
}
