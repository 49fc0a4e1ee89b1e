//! Owns the idempotency keys that a log remembers for a day, each with the `seq` of its event
//! (section 8). Part of the formats of room logs and bus logs.

use std::{collections::VecDeque, time::Duration};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// How long a repeated key gets the same `seq`.
const KEY_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// Keys that one log remembers. Past it, the oldest is dropped before its day is over.
pub(super) const MAX_KEYS: usize = 10_000;

/// A key as the server stores it: 16 bytes, however long the key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyHash([u8; 16]);

impl KeyHash {
    pub(crate) fn of(key: &str) -> Self {
        Self(hash(key.as_bytes()))
    }
}

fn hash(bytes: &[u8]) -> [u8; 16] {
    let mut hash = [0; 16];
    hash.copy_from_slice(&Sha256::digest(bytes)[..16]);
    hash
}

/// The hash of a request's body, of its bytes as sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BodyHash([u8; 16]);

impl BodyHash {
    pub(crate) fn of(body: &[u8]) -> Self {
        Self(hash(body))
    }
}

/// The key and the body of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IdempotencyKey {
    pub key: KeyHash,
    pub body: BodyHash,
}

/// The key was used before with another body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyMismatch;

impl KeyMismatch {
    pub(crate) const CODE: &str = "idempotency_mismatch";
    pub(crate) const MESSAGE: &str = "this Idempotency-Key was used with another body; nothing was applied";
}

/// The event that a key was applied as. Logs contain this: its fields never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AppliedKey {
    pub key: KeyHash,
    pub seq: u64,
    /// Unix milliseconds.
    pub made_ms: u64,
}

/// A key with the body it came with. `None`: an older version of the server stored it without one,
/// and any body matches.
pub(crate) type KnownKey = (AppliedKey, Option<BodyHash>);

/// The newest keys of a log, oldest first; at most [`MAX_KEYS`].
#[derive(Debug, Default)]
pub(crate) struct IdempotencyKeys(VecDeque<KnownKey>);

impl IdempotencyKeys {
    pub(crate) fn restore(known: Vec<KnownKey>) -> Self {
        Self(known.into())
    }

    /// Returns the `seq` that this key was applied as; `None` if the key is new. Searches the
    /// newest first, because repeats are recent.
    ///
    /// # Errors
    /// Fails if the key came with another body.
    pub(crate) fn seq_of(&self, key: &IdempotencyKey, now_ms: u64) -> Result<Option<u64>, KeyMismatch> {
        match self.0.iter().rev().find(|(known, _)| known.key == key.key) {
            Some((known, _)) if !is_current(known, now_ms) => Ok(None),
            Some((_, Some(body))) if *body != key.body => Err(KeyMismatch),
            known => Ok(known.map(|(known, _)| known.seq)),
        }
    }

    pub(crate) fn note(&mut self, (applied, body): KnownKey) {
        while self.0.len() >= MAX_KEYS || self.0.front().is_some_and(|(old, _)| !is_current(old, applied.made_ms)) {
            self.0.pop_front();
        }
        self.0.push_back((applied, body));
    }

    /// Returns the keys younger than a day, oldest first.
    pub(crate) fn current(&self, now_ms: u64) -> Vec<KnownKey> {
        self.0.iter().filter(|(known, _)| is_current(known, now_ms)).copied().collect()
    }
}

fn is_current(known: &AppliedKey, now_ms: u64) -> bool {
    now_ms.saturating_sub(known.made_ms) < KEY_AGE.as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = 86_400_000;

    fn key(name: &str, body: &str) -> IdempotencyKey {
        IdempotencyKey { key: KeyHash::of(name), body: BodyHash::of(body.as_bytes()) }
    }

    fn applied(name: &str, seq: u64, made_ms: u64) -> KnownKey {
        (AppliedKey { key: KeyHash::of(name), seq, made_ms }, Some(BodyHash::of(b"body")))
    }

    #[test]
    fn a_key_answers_its_seq_for_a_day_and_then_is_new() {
        let mut keys = IdempotencyKeys::default();
        keys.note(applied("a", 7, 1000));
        let (a, b) = (key("a", "body"), key("b", "body"));
        assert_eq!(keys.seq_of(&a, 1000 + DAY_MS - 1), Ok(Some(7)));
        assert_eq!(keys.seq_of(&a, 1000 + DAY_MS), Ok(None));
        assert_eq!(keys.seq_of(&a, 0), Ok(Some(7)), "a clock that steps back forgets nothing");
        assert_eq!(keys.seq_of(&b, 1000), Ok(None));
        keys.note(applied("a", 9, 1000 + DAY_MS));
        assert_eq!(keys.seq_of(&a, 1000 + DAY_MS), Ok(Some(9)), "the newest counts");
        assert_eq!(keys.current(1000 + DAY_MS), [applied("a", 9, 1000 + DAY_MS)], "the old one is not kept");
    }

    #[test]
    fn a_key_with_another_body_is_a_mismatch_unless_nobody_wrote_the_first_body_down() {
        let mut keys = IdempotencyKeys::default();
        keys.note(applied("a", 7, 1000));
        assert_eq!(keys.seq_of(&key("a", "other"), 1000), Err(KeyMismatch));
        assert_eq!(keys.seq_of(&key("a", "other"), 1000 + DAY_MS), Ok(None), "the key is new again");
        let (old, _) = applied("old", 8, 1000);
        keys.note((old, None));
        assert_eq!(keys.seq_of(&key("old", "any"), 1000), Ok(Some(8)));
    }

    #[test]
    fn only_so_many_keys_are_remembered_the_newest() {
        let mut keys = IdempotencyKeys::default();
        (0..MAX_KEYS as u64 + 10).for_each(|seq| keys.note(applied(&seq.to_string(), seq, 1)));
        assert_eq!(keys.current(1).len(), MAX_KEYS);
        let seq_of = |keys: &IdempotencyKeys, name: &str| keys.seq_of(&key(name, "body"), 1);
        assert_eq!((seq_of(&keys, "9"), seq_of(&keys, "10")), (Ok(None), Ok(Some(10))));
        let restored = IdempotencyKeys::restore(keys.current(1));
        assert_eq!(seq_of(&restored, "10"), Ok(Some(10)));
    }
}
