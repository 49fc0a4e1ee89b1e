//! Owns `RawJson`: text that is one valid JSON value, shared without copying and written unchanged.

use std::{borrow::Cow, fmt};

use bytestring::ByteString;
use serde_json::value::RawValue;

/// How deep arrays and objects of one frame may nest, the frame itself included. With one more
/// level common parsers, `serde_json` for one, reject the frame that the other clients receive.
pub(crate) const MAX_DEPTH: usize = 127;

/// The content of a JSON string; `None` for every other value.
pub(crate) fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    let text = raw.get();
    match text.as_bytes() {
        // Common case: a string without escapes needs no second parse.
        [b'"', inner @ .., b'"'] if !inner.contains(&b'\\') => Some(Cow::Borrowed(&text[1..text.len() - 1])),
        [b'"', ..] => serde_json::from_str::<String>(text).ok().map(Cow::Owned),
        _ => None,
    }
}

/// One JSON value as its sender wrote it: numbers keep their digits, keys their order.
#[derive(Clone, PartialEq, Eq)]
pub struct RawJson(ByteString);

impl RawJson {
    /// # Errors
    /// When the text is not exactly one JSON value.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let raw: &RawValue = serde_json::from_str(text)?;
        Ok(Self(raw.get().into()))
    }

    /// Serialises a value. A value that is not valid JSON (a map with non-string keys) becomes
    /// `null`.
    pub fn from_serialize(value: &impl serde::Serialize) -> Self {
        Self(serde_json::to_string(value).unwrap_or_else(|_| "null".into()).into())
    }

    /// Shares the part of `frame` that `raw` was parsed from. Copies only if `raw` lies elsewhere.
    pub(super) fn within(frame: &ByteString, raw: &RawValue) -> Self {
        let text = raw.get();
        let inside = frame.as_bytes().as_ptr_range();
        let range = text.as_bytes().as_ptr_range();
        if range.start >= inside.start && range.end <= inside.end {
            Self(frame.slice_ref(text))
        } else {
            Self(text.into())
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// # Errors
    /// When the value does not have the shape of `T`.
    pub fn decode<'de, T: serde::Deserialize<'de>>(&'de self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.0)
    }
}

/// Copies, so that a part of an upstream's frame does not keep the whole frame in memory.
impl From<&RawValue> for RawJson {
    fn from(raw: &RawValue) -> Self {
        Self(raw.get().into())
    }
}

impl serde::Serialize for RawJson {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl fmt::Debug for RawJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns true if arrays and objects nest deeper than [`MAX_DEPTH`].
pub(super) fn is_too_deep(text: &str) -> bool {
    is_deeper(text, MAX_DEPTH)
}

/// Returns true if arrays and objects nest deeper than `max_depth`. Brackets inside strings do not
/// count.
///
/// `serde_json` skips raw values without recursion and hence without a limit, so this check is
/// separate.
pub(crate) fn is_deeper(text: &str, max_depth: usize) -> bool {
    // Each level needs two bytes, so most frames are too short to be too deep.
    if text.len() <= 2 * max_depth {
        return false;
    }
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for byte in text.bytes() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => {
                depth += 1;
                if depth > max_depth {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_up_to_the_limit_is_fine_and_one_more_is_not() {
        let nested = |n: usize| format!("{}{}{}", "[".repeat(n), " ".repeat(300), "]".repeat(n));
        assert!(!is_too_deep(&nested(MAX_DEPTH)));
        assert!(is_too_deep(&nested(MAX_DEPTH + 1)));
    }

    #[test]
    fn brackets_in_strings_do_not_count_as_nesting() {
        let text = format!(r#"{{"a":"\"{}"}}"#, "[".repeat(1000));
        assert!(!is_too_deep(&text));
    }
}
