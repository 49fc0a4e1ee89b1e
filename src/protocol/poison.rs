//! Owns the detection of JSON that is valid but that common parsers reject, so it must not reach
//! other clients (N2).

/// Why a value is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Poison {
    /// An escape such as `\ud800` without its other half, which is not valid Unicode.
    LoneSurrogate,
    /// A number outside the range of a double, such as `1e400`.
    HugeNumber,
}

impl Poison {
    /// The error text for the sender, used with the code `bad_json`.
    pub(super) fn message(self) -> &'static str {
        match self {
            Self::LoneSurrogate => "a \\u escape is half of a surrogate pair, without the other",
            Self::HugeNumber => "a number is outside the range of a double",
        }
    }
}

/// A number of at most this many digits and without an exponent is within the range of a double.
const SHORT_NUMBER: usize = 308;

/// Returns the first poison of a JSON value. `serde_json` skips raw values without decoding their
/// numbers and escapes.
pub(super) fn poison(text: &str) -> Option<Poison> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => match string_end(bytes, at + 1) {
                Ok(end) => at = end,
                Err(poison) => return Some(poison),
            },
            b'-' | b'0'..=b'9' => {
                let end = number_end(bytes, at);
                if is_huge(&text[at..end]) {
                    return Some(Poison::HugeNumber);
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    None
}

/// Returns the index after the closing quote of the string that contains `at`.
fn string_end(bytes: &[u8], mut at: usize) -> Result<usize, Poison> {
    loop {
        let Some(step) = memchr::memchr2(b'"', b'\\', &bytes[at..]) else { return Ok(bytes.len()) };
        at += step;
        if bytes[at] == b'"' {
            return Ok(at + 1);
        }
        at = match unit(bytes, at) {
            Some(0xd800..=0xdbff) if matches!(unit(bytes, at + 6), Some(0xdc00..=0xdfff)) => at + 12,
            Some(0xd800..=0xdfff) => return Err(Poison::LoneSurrogate),
            _ => (at + 2).min(bytes.len()),
        };
    }
}

/// The UTF-16 unit of the escape `\uXXXX` at `at`, if there is one.
fn unit(bytes: &[u8], at: usize) -> Option<u16> {
    let escape = bytes.get(at..at + 6)?;
    let digits = std::str::from_utf8(escape.strip_prefix(b"\\u")?).ok()?;
    u16::from_str_radix(digits, 16).ok()
}

fn number_end(bytes: &[u8], at: usize) -> usize {
    let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
    bytes[at..].iter().position(|byte| !is_part(byte)).map_or(bytes.len(), |length| at + length)
}

fn is_huge(number: &str) -> bool {
    let may_be = number.len() > SHORT_NUMBER || number.bytes().any(|byte| matches!(byte, b'e' | b'E'));
    may_be && number.parse::<f64>().is_ok_and(f64::is_infinite)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn n2_half_a_character_is_found_wherever_it_stands() {
        for text in [
            r#""\ud83d""#,
            r#"{"\udc00":1}"#,
            r#"["\uD83D\uD83D\uDE00"]"#,
            r#""\ude00\ud83d""#,
            r#""\\\ud83d""#,
            r#""\ud83dx""#,
            r#""\ud83d\n\ude00""#,
        ] {
            assert_eq!(poison(text), Some(Poison::LoneSurrogate), "{text}");
        }
        for text in [r#""\ud83d\ude00""#, r#""\\ud83d""#, r#""\u00e9""#, r#""\\\\""#, r#""\uD83D\uDE00\n""#, "\"é😀\""]
        {
            assert_eq!(poison(text), None, "{text}");
        }
    }

    #[test]
    fn n2_a_number_outside_a_doubles_range_is_found_wherever_it_stands() {
        let long = "9".repeat(309);
        for text in ["1e400", "-1e999", "[0,1E309]", r#"{"a":1.8e308}"#, &long, &format!("-{long}.5"), "1e99999999999"]
        {
            assert_eq!(poison(text), Some(Poison::HugeNumber), "{text}");
        }
        let long = "9".repeat(308);
        for text in ["1e308", "1e-400", "1.7976931348623157e308", "0e999", &long, r#""1e400""#, r#"{"1e400":true}"#] {
            assert_eq!(poison(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn n2_what_is_not_poison_is_what_a_strict_parser_takes(
            parts in proptest::collection::vec(
                prop_oneof![
                    r#""(x|\\n|\\\\|\\u0041|\\ud83d|\\uDE00){0,4}""#,
                    r"-?(0|[1-9][0-9]{0,3})(\.[0-9]{1,2})?([eE][+-]?[0-9]{1,3})?",
                ],
                0..4,
            )
        ) {
            let text = format!("[{}]", parts.join(","));
            prop_assert!(serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok(), "{}", text);
            let strict = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            prop_assert_eq!(strict, poison(&text).is_none(), "{}", text);
        }
    }
}
