//! Quantities as people read them: the same digits and units in every language.

use std::time::Duration;

/// A whole number with a thin gap every three digits: `16 777 216`.
///
/// # Examples
///
/// ```
/// assert_eq!(handwave_story::quantity::number(16_777_216), "16 777 216");
/// ```
pub fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Octets in the largest binary unit that keeps at least one whole: `16.0 MiB`.
pub fn octets(n: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{n} B")
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// A span in the unit that suits it, with three decimals: `0.120 ms`, `40.500 ms`, `61.000 s`.
pub fn time(span: Duration) -> String {
    if span < Duration::from_secs(1) {
        format!("{:.3} ms", span.as_secs_f64() * 1e3)
    } else {
        format!("{:.3} s", span.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_well() {
        assert_eq!(number(0), "0");
        assert_eq!(number(999), "999");
        assert_eq!(number(1_000), "1 000");
        assert_eq!(octets(1023), "1023 B");
        assert_eq!(octets(16 << 20), "16.0 MiB");
        assert_eq!(octets(1536), "1.5 KiB");
        assert_eq!(time(Duration::from_micros(120)), "0.120 ms");
        assert_eq!(time(Duration::from_millis(999)), "999.000 ms");
        assert_eq!(time(Duration::from_millis(61_000)), "61.000 s");
    }
}
