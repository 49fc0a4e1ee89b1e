//! Owns the units of the options of `innkeeper load`: times, shares, sizes and counts as text.

use std::time::Duration;

/// A limit that may be lifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtMost {
    Count(u64),
    Any,
}

/// Parses `500us`, `20ms`, `1.5s`, `20m` or `2h`; at most a week.
///
/// # Errors
/// A sentence that states what is allowed.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => 0.0,
    };
    let is_plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number: Option<f64> = number.parse().ok().filter(|_| is_plain);
    const MAX_SECONDS: f64 = 7.0 * 86_400.0;
    match number.map(|number| number * seconds) {
        Some(whole) if seconds > 0.0 && whole <= MAX_SECONDS => Ok(Duration::from_secs_f64(whole)),
        _ => Err("must be a time up to a week with its unit, such as 500us, 20ms, 1.5s, 20m or 2h".to_owned()),
    }
}

/// As [`time()`], but not zero.
///
/// # Errors
/// A sentence that states what is allowed.
pub(super) fn time_above_zero(text: &str) -> Result<Duration, String> {
    time(text).and_then(|time| if time.is_zero() { Err("must be above 0".to_owned()) } else { Ok(time) })
}

/// Parses `5%` or `0.05` as a number from 0 to 1.
///
/// # Errors
/// A sentence that states what is allowed.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let (number, divisor) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
    match number.parse::<f64>().map(|number| number / divisor) {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("must be a share such as 5% or 0.05, from 0 to 100%".to_owned()),
    }
}

/// Parses a number of bytes, `k` for 1,024 and `m` for 1,048,576; from 1 to 16m.
///
/// # Errors
/// A sentence that states what is allowed.
pub(super) fn bytes(text: &str) -> Result<usize, String> {
    let (digits, unit) = match text.as_bytes().last() {
        Some(b'k') => (&text[..text.len() - 1], 1024),
        Some(b'm') => (&text[..text.len() - 1], 1024 * 1024),
        _ => (text, 1),
    };
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse::<usize>().ok().filter(|_| is_plain).and_then(|number| number.checked_mul(unit));
    number
        .filter(|number| (1..=16 * 1024 * 1024).contains(number))
        .ok_or_else(|| "must be a number of bytes from 1 to 16m, such as 64, 4k or 1m".to_owned())
}

/// Parses a rate per second; 0 sends nothing.
///
/// # Errors
/// A sentence that states what is allowed.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate == 0.0 || (0.001..=100_000.0).contains(&rate) => Ok(rate),
        _ => Err("must be a number of messages a second from 0.001 to 100000, or 0 for none".to_owned()),
    }
}

/// Parses a number, or `any`.
///
/// # Errors
/// A sentence that states what is allowed.
pub(super) fn at_most(text: &str) -> Result<AtMost, String> {
    match text {
        "any" => Ok(AtMost::Any),
        digits => digits.parse().map(AtMost::Count).map_err(|_| "must be a whole number, or any".to_owned()),
    }
}

/// Writes milliseconds for people: three digits that matter.
pub(super) fn milliseconds(ms: f64) -> String {
    match ms {
        ..0.1 => format!("{ms:.3} ms"),
        0.1..10.0 => format!("{ms:.2} ms"),
        10.0..1000.0 => format!("{ms:.0} ms"),
        _ => format!("{:.2} s", ms / 1000.0),
    }
}

/// Writes a whole number in groups of three digits.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_need_a_unit() {
        for (text, us) in [("500us", 500), ("20ms", 20_000), ("1.5s", 1_500_000), ("2m", 120_000_000), ("0s", 0)] {
            assert_eq!(time(text), Ok(Duration::from_micros(us)), "{text}");
        }
        for text in ["", "20", "-1s", "1d", "s", "1e3s", "8000000s", "1.2.3s", "1 s", "é"] {
            assert!(time(text).is_err(), "{text}");
        }
        assert!(time_above_zero("0ms").is_err());
    }

    #[test]
    fn shares_sizes_rates_and_counts_have_bounds() {
        assert_eq!((share("5%"), share("0.05"), share("100%")), (Ok(0.05), Ok(0.05), Ok(1.0)));
        assert_eq!((bytes("64"), bytes("4k"), bytes("16m")), (Ok(64), Ok(4096), Ok(16 << 20)));
        assert_eq!(
            (rate("0"), rate("0.5"), at_most("any"), at_most("3")),
            (Ok(0.0), Ok(0.5), Ok(AtMost::Any), Ok(AtMost::Count(3)))
        );
        assert!(["101%", "-1%", "nan", "x"].iter().all(|text| share(text).is_err()));
        assert!(["0", "17m", "-1", "k", "", "+5"].iter().all(|text| bytes(text).is_err()));
        assert!(["-1", "nan", "inf", "0.0001"].iter().all(|text| rate(text).is_err()));
        assert!(["-1", "1.5", ""].iter().all(|text| at_most(text).is_err()));
    }

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!((grouped(0), grouped(999), grouped(1_234_567)), ("0".into(), "999".into(), "1,234,567".into()));
        assert_eq!(milliseconds(0.1234), "0.12 ms");
        assert_eq!(milliseconds(2500.0), "2.50 s");
    }
}
