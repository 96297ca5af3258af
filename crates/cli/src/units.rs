//! Quantities on the command line: `2%`, `20ms`, `10mbit`, `16MiB`.

use std::time::Duration;

/// Splits a quantity into its number and its unit.
fn split(text: &str) -> Result<(f64, String), String> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_')
        .unwrap_or(text.len());
    let number: f64 = text[..end]
        .replace('_', "")
        .parse()
        .map_err(|_| format!("\"{text}\" does not begin with a number"))?;
    Ok((number, text[end..].trim().to_ascii_lowercase()))
}

/// A share of packets in percent, with or without the sign: `1`, `0.5%`. Returns a probability.
pub(crate) fn percent(text: &str) -> Result<f64, String> {
    let (number, unit) = split(text)?;
    if !unit.is_empty() && unit != "%" {
        return Err(format!(
            "\"{unit}\" is no unit here: write a percentage such as 2%"
        ));
    }
    if !(0.0..=100.0).contains(&number) {
        return Err("a percentage lies between 0 and 100".to_owned());
    }
    Ok(number / 100.0)
}

/// A span of time: `20ms`, `1.5s`, `300us`; a bare number counts milliseconds. At most an hour.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text)?;
    let seconds = match unit.as_str() {
        "ns" => number / 1e9,
        "us" | "µs" => number / 1e6,
        "" | "ms" => number / 1e3,
        "s" => number,
        "m" | "min" => number * 60.0,
        _ => {
            return Err(format!(
                "\"{unit}\" is no unit of time: use ns, us, ms, s or min"
            ));
        }
    };
    if seconds > 3600.0 {
        return Err("at most an hour".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// A rate in bits per second: `10mbit`, `1gbit`, `64kbit`; a bare number counts bits. Returns octets per second.
pub(crate) fn rate(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text)?;
    let unit = unit
        .strip_suffix("/s")
        .or_else(|| unit.strip_suffix("ps"))
        .unwrap_or(&unit);
    let bits = match unit {
        "" | "bit" | "b" => 1.0,
        "kbit" | "k" | "kb" => 1e3,
        "mbit" | "m" | "mb" => 1e6,
        "gbit" | "g" | "gb" => 1e9,
        _ => {
            return Err(format!(
                "\"{unit}\" is no unit of rate: use bit, kbit, mbit or gbit"
            ));
        }
    };
    let octets = number * bits / 8.0;
    if !(100.0..=1e12).contains(&octets) {
        return Err("a rate lies between 800bit and 8000gbit".to_owned());
    }
    Ok(whole(octets))
}

/// A number of octets: `16MiB`, `1.5k`, `4096`. Prefixes count in powers of 1024.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text)?;
    let prefix = unit.strip_suffix('b').unwrap_or(&unit);
    let factor = match prefix.strip_suffix('i').unwrap_or(prefix) {
        "" => 1.0,
        "k" => 1024.0,
        "m" => 1024.0 * 1024.0,
        "g" => 1024.0 * 1024.0 * 1024.0,
        _ => {
            return Err(format!(
                "\"{unit}\" is no unit of size: use B, KiB, MiB or GiB"
            ));
        }
    };
    Ok(whole(number * factor))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the number is not negative, and a float too large becomes the largest integer"
)]
fn whole(number: f64) -> u64 {
    number.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_with_and_without_units() {
        assert_eq!(percent("2%"), Ok(0.02));
        assert_eq!(percent("0.5"), Ok(0.005));
        assert_eq!(time("20"), Ok(Duration::from_millis(20)));
        assert_eq!(time("1.5 s"), Ok(Duration::from_millis(1500)));
        assert_eq!(time("300us"), Ok(Duration::from_micros(300)));
        assert_eq!(rate("10mbit"), Ok(1_250_000));
        assert_eq!(rate("1Gbit/s"), Ok(125_000_000));
        assert_eq!(rate("10Mbps"), Ok(1_250_000));
        assert_eq!(size("16MiB"), Ok(16 << 20));
        assert_eq!(size("4_096"), Ok(4096));
        assert_eq!(size("1.5k"), Ok(1536));
    }

    #[test]
    fn nonsense_is_refused_with_a_reason() {
        for (result, reason) in [
            (percent("101"), "between 0 and 100"),
            (percent("2ms"), "write a percentage"),
            (percent("-1"), "begin with a number"),
        ] {
            assert!(
                result.as_ref().is_err_and(|why| why.contains(reason)),
                "{result:?}"
            );
        }
        assert!(time("20 parsecs").is_err());
        assert!(time("2000000000 s").is_err());
        assert!(rate("0").is_err());
        assert!(size("").is_err());
        assert!(size("16XB").is_err());
    }
}
