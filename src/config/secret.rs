//! Owns `Secret`, a text that no formatter prints (A12).

use std::fmt;

/// A secret from the settings. `Debug` and `Display` print `***`; it is deliberately neither
/// comparable (comparison must be constant-time, see `subtle`) nor serializable.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself. The caller keeps it out of logs, metric labels and error reports.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Returns true if the value is in quotes, as from a file of variables. The signer of tokens may
/// have read the same value without them.
pub(super) fn is_quoted(text: &str) -> bool {
    ['"', '\''].into_iter().any(|quote| text.starts_with(quote) && text.ends_with(quote))
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
