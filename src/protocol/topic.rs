//! Owns `Topic`: the name of one value of a feed hub (section 6), validated once, cheap to clone.

use std::{borrow::Borrow, fmt, sync::Arc};

use serde::{Serialize, Serializer};

/// The longest topic name, in bytes.
pub(crate) const MAX_TOPIC_BYTES: usize = 128;

/// The most topics in one frame: the default limit of a subscriber.
pub(crate) const MAX_TOPICS: usize = 1000;

/// A name of 1 to 128 bytes without control characters. Upstreams' names have many shapes, so
/// nothing else is required.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(Arc<str>);

impl Topic {
    /// Returns `None` if the text is not a topic name.
    pub fn parse(text: &str) -> Option<Self> {
        let is_name = (1..=MAX_TOPIC_BYTES).contains(&text.len()) && !text.chars().any(char::is_control);
        is_name.then(|| Self(text.into()))
    }

    /// Wraps a name that is constant in the program; it must be valid.
    pub fn of_program(name: &'static str) -> Self {
        debug_assert!(Self::parse(name).is_some());
        Self(name.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Topic {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl Serialize for Topic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}
