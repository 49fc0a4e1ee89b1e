//! Owns the parsing of integers (N1): JSON has one kind of number, and some clients write `1.0` for
//! 1.

use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::value::RawValue;

use super::MAX_SAFE_INTEGER;

/// Returns the integer from 0 to 2^53-1 that this JSON number equals. `1.0`, `2e0` and `-0` are
/// integers.
///
/// Works on the decimal digits, because a double cannot distinguish `9007199254740990.5` from an
/// integer.
pub(crate) fn integer(raw: &RawValue) -> Option<u64> {
    let text = raw.get();
    // Common case: plain digits.
    if let Ok(number) = text.parse::<u64>() {
        return (number <= MAX_SAFE_INTEGER).then_some(number);
    }
    let (is_negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    if !text.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    let significant = digits.trim_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    // The number is `significant` × 10^`zeros`. An exponent outside i64 is never an integer in
    // range.
    let trailing = digits.len() - digits.trim_end_matches('0').len();
    let zeros = exponent.parse::<i64>().ok()?.checked_add(trailing as i64)?.checked_sub(fraction.len() as i64)?;
    if is_negative || !(0..=16).contains(&zeros) || significant.len() > 16 {
        return None;
    }
    let number = significant.parse::<u64>().ok()?.checked_mul(10_u64.pow(zeros as u32))?;
    (number <= MAX_SAFE_INTEGER).then_some(number)
}

/// Returns the integer of a query parameter, written as in JSON.
pub(crate) fn integer_in_query(text: &str) -> Option<u64> {
    integer(serde_json::from_str(text).ok()?)
}

/// For a field of a logic's own messages: `#[serde(deserialize_with = "whole")]`.
///
/// # Errors
/// The number is not an integer from 0 to 2^53-1.
pub fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    integer(&raw).ok_or_else(|| D::Error::custom("an integer from 0 to 2^53-1"))
}

/// As [`whole`], for a field that may be absent or `null`: `#[serde(default, deserialize_with =
/// "optional_whole")]`.
///
/// # Errors
/// As [`whole`].
pub fn optional_whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let raw = Option::<Box<RawValue>>::deserialize(deserializer)?;
    raw.map(|raw| integer(&raw).ok_or_else(|| D::Error::custom("an integer from 0 to 2^53-1"))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn n1_a_number_with_a_zero_fraction_is_the_integer_that_it_is() {
        for (text, number) in [
            ("0", 0),
            ("7", 7),
            ("1.0", 1),
            ("2e0", 2),
            ("2E+0", 2),
            ("-0", 0),
            ("-0.0e5", 0),
            ("0e999999999999999999999", 0),
            ("1.50e1", 15),
            ("1200e-2", 12),
            ("0.0012e4", 12),
            ("9007199254740991", MAX_SAFE_INTEGER),
            ("9007199254740991.000", MAX_SAFE_INTEGER),
            ("9.007199254740991e15", MAX_SAFE_INTEGER),
        ] {
            assert_eq!(integer_in_query(text), Some(number), "{text}");
        }
    }

    #[test]
    fn n1_everything_else_is_no_integer() {
        let long = format!("1.{}1", "0".repeat(60_000));
        for text in [
            "1.5",
            "9007199254740992",
            "9007199254740992.0",
            "9007199254740990.5",
            "1.00000000000000000000000001",
            "-1",
            "-1.0",
            "1e16",
            "1e-1",
            "1e999999999999999999999",
            "1e-999999999999999999999",
            "\"1\"",
            "true",
            "null",
            "[1]",
            "{}",
            "",
            "x",
            "1 2",
            "01",
            "1.",
            ".5",
            "+1",
            "NaN",
            &long,
        ] {
            assert_eq!(integer_in_query(text), None, "{text}");
        }
    }
}
