//! Owns how the value of a token's claim becomes a player's id (A11d): unchanged if it is a valid
//! id, else escaped, else hashed. The vectors in tests/fixtures/player-ids.json are shared with the
//! client library.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::protocol::PlayerId;

/// The length of the longest id (P1).
const MAX_CHARS: usize = 64;
/// The hex digits of the hash that replaces a longer id.
const HASH_CHARS: usize = 40;

/// Returns the id of the player whom this value names. The empty value gives the empty id, which
/// names nobody.
pub(crate) fn player_id(value: &str) -> String {
    if PlayerId::parse(value).is_ok() && !has_escape(value) && !is_hashed(value) {
        return value.to_owned();
    }
    let mut id = String::with_capacity(value.len());
    for (index, byte) in value.bytes().enumerate() {
        let is_plain = byte.is_ascii_alphanumeric() || (index > 0 && b"._-".contains(&byte));
        if is_plain {
            id.push(byte.into());
        } else {
            let _ = write!(id, "~{byte:02X}");
        }
    }
    if id.len() <= MAX_CHARS {
        return id;
    }
    let mut hashed = String::from("~H");
    for byte in &Sha256::digest(value.as_bytes())[..HASH_CHARS / 2] {
        let _ = write!(hashed, "{byte:02x}");
    }
    hashed
}

/// Returns whether a part of the value looks like an escaped byte. Unescaped, it would be the id of
/// another value.
fn has_escape(value: &str) -> bool {
    let is_upper_hex = |byte: &u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(byte);
    value.as_bytes().windows(3).any(|part| part[0] == b'~' && part[1..].iter().all(is_upper_hex))
}

/// Returns whether the value looks like the hash of another value. Unescaped, it would let a user
/// who chooses its claim pose as another player.
fn is_hashed(value: &str) -> bool {
    value.strip_prefix("~H").is_some_and(|hash| {
        hash.len() == HASH_CHARS && hash.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn a11d_the_shared_vectors_hold() {
        let vectors: Value =
            serde_json::from_str(include_str!("../../../tests/fixtures/player-ids.json")).expect("JSON");
        for vector in vectors.as_array().expect("a list") {
            let (value, id) = (vector[0].as_str().expect("a value"), vector[1].as_str().expect("an id"));
            assert_eq!(player_id(value), id, "{value}");
        }
    }

    proptest! {
        #[test]
        fn a11d_every_value_gives_an_id_and_different_values_different_ids(a in "[~a-cA-F0-9._|é-]{1,12}", b in "[~a-cA-F0-9._|é-]{1,12}") {
            prop_assert!(PlayerId::parse(&player_id(&a)).is_ok(), "{}", player_id(&a));
            prop_assert_eq!(a == b, player_id(&a) == player_id(&b));
        }

        #[test]
        fn a11d_no_value_is_taken_for_anothers_hash(long in ".{65,200}") {
            let hashed = player_id(&long);
            prop_assert!(hashed.len() == 42 && PlayerId::parse(&hashed).is_ok());
            prop_assert_ne!(player_id(&hashed), hashed);
        }
    }
}
