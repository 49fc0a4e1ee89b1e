//! Owns the ids in URLs (games, players, hubs, proxies): validated once (P1), cheap to clone.

use std::{borrow::Borrow, fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The longest id, in bytes; ids are ASCII (P1).
pub(crate) const MAX_ID_BYTES: usize = 64;

/// Why a string is not an id. The message states the rule and never the value, which is hostile
/// input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidId;

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id is 1 to 64 characters of A-Z a-z 0-9 . _ ~ - and begins with a letter or a digit, or, a player's, with ~")
    }
}

impl std::error::Error for InvalidId {}

/// Returns true for `[A-Za-z0-9][A-Za-z0-9._~-]{0,63}` (P1). Nothing is percent-decoded: `%2f` is
/// invalid.
pub(crate) fn is_valid_id(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() <= MAX_ID_BYTES && bytes.first().is_some_and(u8::is_ascii_alphanumeric) && is_id_text(text)
}

/// Returns true for an id, and for one that begins with `~`: the form of a player whose name at the
/// issuer has other characters (A11d).
pub(crate) fn is_valid_player(text: &str) -> bool {
    is_valid_id(text) || (text.len() <= MAX_ID_BYTES && text.strip_prefix('~').is_some_and(is_id_text))
}

fn is_id_text(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'~' | b'-'))
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $is_valid:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// # Errors
            /// [`InvalidId`] when the text breaks P1.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                if $is_valid(text) { Ok(Self(text.into())) } else { Err(InvalidId) }
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        // Allows a lookup by `&str` in a map keyed by ids.
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <&str>::deserialize(deserializer)?;
                Self::parse(text).map_err(de::Error::custom)
            }
        }
    };
}

id_type! {
    /// `{game}`: names one room and determines its shard.
    GameId, is_valid_id
}

id_type! {
    /// `{player}`: names one seat within a room.
    PlayerId, is_valid_player
}

id_type! {
    /// `{hub}`: names one feed hub.
    HubId, is_valid_id
}

id_type! {
    /// `{name}` of `/proxy/{name}`: names one proxy.
    ProxyId, is_valid_id
}

impl HubId {
    /// The hub of the operators' feed. No client can use this name (P1).
    pub fn server() -> Self {
        Self("_server".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p1_accepts_what_the_contract_lists() {
        for id in ["a", "9", "test-game", "A.b_c~d-e", &"x".repeat(64)] {
            assert!(is_valid_id(id), "{id}");
        }
    }

    #[test]
    fn p1_a_player_may_begin_with_a_tilde_and_nothing_else_may() {
        for id in ["~", "~7C5f", "~H00", &format!("~{}", "x".repeat(63))] {
            assert!(PlayerId::parse(id).is_ok() && GameId::parse(id).is_err() && HubId::parse(id).is_err(), "{id}");
        }
        for id in ["~/", "~ ", "~é", "-a", "", &format!("~{}", "x".repeat(64))] {
            assert!(PlayerId::parse(id).is_err(), "{id}");
        }
    }

    #[test]
    fn p1_refuses_everything_else() {
        for id in ["", ".", "..", "_server", "-a", "~a", "a/b", "a%2fb", "a b", "é", "a\0", "@server", &"x".repeat(65)]
        {
            assert!(!is_valid_id(id), "{id}");
        }
    }
}
