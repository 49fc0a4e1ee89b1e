//! Owns the display names of players (S11): which texts are valid, and their cost in memory.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use unicode_normalization::is_nfc;

/// The longest display name, in Unicode scalar values.
const MAX_CHARS: usize = 64;

/// The name that clients show in place of a player's id (S11). It is untrusted text and never
/// logged.
#[derive(Clone, PartialEq, Eq)]
pub struct DisplayName(Arc<str>);

/// Why a text is not a display name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidName;

impl InvalidName {
    pub const RULE: &str =
        "name is a text of 1 to 64 characters in NFC, without control or bidirectional-control characters";
}

impl DisplayName {
    /// # Errors
    /// `InvalidName` when the text breaks S11.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        // The text may be long, so at most one character over the limit is counted.
        let chars = text.chars().take(MAX_CHARS + 1).count();
        let is_name = (1..=MAX_CHARS).contains(&chars) && !text.chars().any(is_forbidden) && is_nfc(text);
        if is_name { Ok(Self(text.into())) } else { Err(InvalidName) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The bytes one copy of this name takes. It counts the text as unshared, because names read
    /// from a log are.
    pub fn cost(&self) -> usize {
        // An `Arc` stores two counters before the text.
        2 * size_of::<usize>() + self.0.len()
    }
}

/// Control characters, and those that change the direction of the text around a name.
fn is_forbidden(c: char) -> bool {
    let is_bidirectional =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || is_bidirectional
}

impl fmt::Debug for DisplayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl Serialize for DisplayName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Reads a name from a log without validating it: the rule may change, and old logs must stay
/// readable.
impl<'de> Deserialize<'de> for DisplayName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&str>::deserialize(deserializer).map(|text| Self(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s11_a_name_is_1_to_64_characters_however_many_bytes_they_take() {
        for name in ["B", "Bob 🐺", "Zoë", "名前", " ", &"🐺".repeat(64), "👩\u{200d}👧"] {
            assert_eq!(DisplayName::parse(name).as_ref().map(DisplayName::as_str), Ok(name));
        }
        for name in ["", &"x".repeat(65), &"🐺".repeat(65), &"x".repeat(1 << 20)] {
            assert_eq!(DisplayName::parse(name), Err(InvalidName), "{} bytes", name.len());
        }
    }

    #[test]
    fn s11_controls_and_texts_that_are_not_in_nfc_are_no_names() {
        let controls = ["\0", "\n", "\u{7f}", "\u{85}", "\u{9f}"];
        let bidirectional =
            ["\u{61c}", "\u{200e}", "\u{200f}", "\u{202a}", "\u{202c}", "\u{202e}", "\u{2066}", "\u{2068}", "\u{2069}"];
        for text in controls.iter().chain(&bidirectional) {
            assert_eq!(DisplayName::parse(&format!("Bo{text}b")), Err(InvalidName), "{text:?}");
        }
        // `e` with a combining diaeresis, and the ångström sign: both are not in NFC.
        for text in ["Zoe\u{308}", "\u{212b}"] {
            assert_eq!(DisplayName::parse(text), Err(InvalidName), "{text:?}");
        }
        for text in ["\u{200b}", "\u{202f}", "\u{2065}", "\u{206a}"] {
            assert!(DisplayName::parse(text).is_ok(), "{text:?}");
        }
    }
}
