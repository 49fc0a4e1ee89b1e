//! Owns the kinds of value a setting takes: how each is written, its bounds, and how its text is
//! read.

use std::{fmt, time::Duration};

/// How a setting is written. Both bounds are inclusive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SettingKind {
    /// `true|false|1|0|yes|no|on|off`, in any case.
    Flag,
    /// A TCP port; 0 asks the system for a free one.
    Port,
    /// A whole number of things.
    Count { min: u64, max: u64 },
    /// Bytes: a whole number, or one with the binary suffix `k` or `m`.
    Bytes { min: u64, max: u64 },
    /// Decimal seconds, without a unit.
    Seconds { min: f64, max: f64 },
    /// Whole milliseconds.
    Millis { min: u64, max: u64 },
    /// A decimal number of things.
    Decimal { min: f64, max: f64 },
    /// One of these words, in any case.
    Choice(&'static [&'static str]),
    /// Text whose own module checks it; the value says what is allowed.
    Text(&'static str),
    /// As `Text`, and never shown.
    Secret(&'static str),
    /// Comma-separated texts (in config.yaml also a list); the value says what one entry may be.
    List(&'static str),
    /// Comma-separated `key=value` (in config.yaml also a map); the value says what one entry may
    /// be.
    Pairs(&'static str),
}

/// What a text means once its kind is known. Lists, pairs and secrets stay `Text` here.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum SettingValue {
    Flag(bool),
    Number(u64),
    Time(Duration),
    Decimal(f64),
    Text(String),
}

/// A type that a setting's value becomes.
pub(super) trait FromSetting: Sized {
    /// `None` for a value of another kind. The bounds of a table are what makes a number fit; the
    /// tests of the tables check them.
    fn from_value(value: SettingValue) -> Option<Self>;
}

macro_rules! from_setting {
    ($($type:ty: $value:pat => $result:expr;)+) => {
        $(impl FromSetting for $type {
            fn from_value(value: SettingValue) -> Option<Self> {
                if let $value = value { $result } else { None }
            }
        })+
    };
}

from_setting! {
    bool: SettingValue::Flag(flag) => Some(flag);
    u16: SettingValue::Number(number) => number.try_into().ok();
    u32: SettingValue::Number(number) => number.try_into().ok();
    u64: SettingValue::Number(number) => Some(number);
    usize: SettingValue::Number(number) => number.try_into().ok();
    Duration: SettingValue::Time(time) => Some(time);
    f64: SettingValue::Decimal(number) => Some(number);
    String: SettingValue::Text(text) => Some(text);
}

impl SettingKind {
    /// Reads `text` (already trimmed, not empty). The error says what is wrong and leaves the value
    /// out.
    pub(super) fn parse(&self, text: &str) -> Result<SettingValue, &'static str> {
        match *self {
            Self::Flag => parse_flag(text).map(SettingValue::Flag).ok_or("is not a yes or a no"),
            Self::Port => bounded(whole(text)?, 0, u64::from(u16::MAX)).map(SettingValue::Number),
            Self::Count { min, max } => bounded(whole(text)?, min, max).map(SettingValue::Number),
            Self::Bytes { min, max } => bounded(bytes(text)?, min, max).map(SettingValue::Number),
            Self::Millis { min, max } => {
                bounded(whole(text)?, min, max).map(|millis| SettingValue::Time(Duration::from_millis(millis)))
            }
            Self::Seconds { min, max } => seconds(text, min, max).map(SettingValue::Time),
            Self::Decimal { min, max } => decimal(text, min, max, "is not a number").map(SettingValue::Decimal),
            Self::Choice(words) => {
                let word = words.iter().find(|word| word.eq_ignore_ascii_case(text));
                word.map(|word| SettingValue::Text((*word).to_owned())).ok_or("is none of the allowed words")
            }
            Self::Text(_) | Self::Secret(_) | Self::List(_) | Self::Pairs(_) => Ok(SettingValue::Text(text.to_owned())),
        }
    }
}

/// What is allowed: for problems and for the documents.
impl fmt::Display for SettingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("true or false"),
            Self::Port => f.write_str("0 to 65535"),
            Self::Count { min, max } => write!(f, "{min} to {max}"),
            Self::Bytes { min, max } => write!(f, "{} to {} bytes", Binary(*min), Binary(*max)),
            Self::Seconds { min, max } => write!(f, "{min} to {max} seconds"),
            Self::Millis { min, max } => write!(f, "{min} to {max} milliseconds"),
            Self::Decimal { min, max } => write!(f, "{min} to {max}"),
            Self::Choice(words) => match words.split_last() {
                Some((last, rest)) if !rest.is_empty() => write!(f, "{} or {last}", rest.join(", ")),
                _ => f.write_str(&words.concat()),
            },
            Self::Text(allowed) | Self::Secret(allowed) => f.write_str(allowed),
            Self::List(entry) | Self::Pairs(entry) => write!(f, "comma-separated {entry}"),
        }
    }
}

/// Bytes with the longest suffix that loses nothing.
pub(super) struct Binary(pub u64);

impl fmt::Display for Binary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n > 0 && n % (1024 * 1024) == 0 => write!(f, "{}m", n / (1024 * 1024)),
            n if n > 0 && n % 1024 == 0 => write!(f, "{}k", n / 1024),
            n => write!(f, "{n}"),
        }
    }
}

fn parse_flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

fn whole(text: &str) -> Result<u64, &'static str> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("is not a whole number");
    }
    text.parse().map_err(|_| OUT_OF_RANGE)
}

fn bytes(text: &str) -> Result<u64, &'static str> {
    let (digits, unit) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1024),
        None => text.strip_suffix(['m', 'M']).map_or((text, 1), |digits| (digits, 1024 * 1024)),
    };
    let number = whole(digits).map_err(|why| if why == OUT_OF_RANGE { why } else { "is not a size in bytes" })?;
    number.checked_mul(unit).ok_or(OUT_OF_RANGE)
}

fn seconds(text: &str, min: f64, max: f64) -> Result<Duration, &'static str> {
    let number = decimal(text, min, max, "is not a number of seconds")?;
    Duration::try_from_secs_f64(number).map_err(|_| OUT_OF_RANGE)
}

fn decimal(text: &str, min: f64, max: f64, wrong: &'static str) -> Result<f64, &'static str> {
    // `f64` would also read "inf", "nan" and "1e3".
    if !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err(wrong);
    }
    let number: f64 = text.parse().map_err(|_| wrong)?;
    if number < min || number > max { Err(OUT_OF_RANGE) } else { Ok(number) }
}

const OUT_OF_RANGE: &str = "is out of range";

fn bounded(number: u64, min: u64, max: u64) -> Result<u64, &'static str> {
    if (min..=max).contains(&number) { Ok(number) } else { Err(OUT_OF_RANGE) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_take_binary_suffixes_and_print_with_them() {
        let kind = SettingKind::Bytes { min: 64, max: 16 * 1024 * 1024 };
        assert_eq!(kind.parse("64k"), Ok(SettingValue::Number(65_536)));
        assert_eq!(kind.parse("1M"), Ok(SettingValue::Number(1_048_576)));
        assert_eq!(kind.parse("17m"), Err(OUT_OF_RANGE));
        assert_eq!(kind.parse("99999999999999999999"), Err(OUT_OF_RANGE));
        assert_eq!(kind.parse("18446744073709551615k"), Err(OUT_OF_RANGE));
        for text in ["k", "-1", "1.5k", "64kb", "+64", "é"] {
            assert_eq!(kind.parse(text), Err("is not a size in bytes"), "{text}");
        }
        assert_eq!(kind.to_string(), "64 to 16m bytes");
    }

    #[test]
    fn seconds_take_decimals_and_no_unit() {
        let kind = SettingKind::Seconds { min: 0.01, max: 3600.0 };
        assert_eq!(kind.parse("0.25"), Ok(SettingValue::Time(Duration::from_millis(250))));
        assert_eq!(kind.parse("30"), Ok(SettingValue::Time(Duration::from_secs(30))));
        assert_eq!(kind.parse("0.001"), Err(OUT_OF_RANGE));
        for text in ["30s", "inf", "nan", "1e3", "-1", "1.2.3", "."] {
            assert_eq!(kind.parse(text), Err("is not a number of seconds"), "{text}");
        }
        assert_eq!(kind.to_string(), "0.01 to 3600 seconds");
    }

    #[test]
    fn flags_and_choices_are_read_in_any_case() {
        for (text, flag) in [("true", true), ("0", false), ("YES", true), ("Off", false)] {
            assert_eq!(SettingKind::Flag.parse(text), Ok(SettingValue::Flag(flag)), "{text}");
        }
        assert!(SettingKind::Flag.parse("2").is_err());
        let kind = SettingKind::Choice(&["auto", "text", "json"]);
        assert_eq!(kind.parse("JSON"), Ok(SettingValue::Text("json".to_owned())));
        assert_eq!(kind.to_string(), "auto, text or json");
    }
}
