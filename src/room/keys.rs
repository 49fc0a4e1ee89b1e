//! Owns what a room remembers of its back end's idempotency keys: which event each has become, for a day (section 8).
//! Called by `room::state`; a part of the log's format (see `record`).

use std::{collections::VecDeque, time::Duration};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// How long a key answers the same `seq`.
const KEY_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// Keys that one room remembers; past it, the oldest is forgotten before its day is over.
pub const MAX_KEYS: usize = 10_000;

/// A key as the server keeps it: of one length, however long it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyHash([u8; 16]);

impl KeyHash {
    pub fn of(key: &str) -> Self {
        let mut hash = [0; 16];
        hash.copy_from_slice(&Sha256::digest(key.as_bytes())[..16]);
        Self(hash)
    }
}

/// The event that a key has become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedKey {
    pub key: KeyHash,
    pub seq: u64,
    /// Milliseconds since 1970.
    pub made_ms: u64,
}

/// The newest keys of a room, oldest first.
#[derive(Debug, Default)]
pub struct Keys(VecDeque<AppliedKey>);

impl Keys {
    pub fn restore(known: Vec<AppliedKey>) -> Self {
        Self(known.into())
    }

    /// Where the request with this key was applied. Newest first: repeats are recent.
    pub fn seq_of(&self, key: KeyHash, now_ms: u64) -> Option<u64> {
        let known = self.0.iter().rev().find(|known| known.key == key)?;
        is_current(known, now_ms).then_some(known.seq)
    }

    pub fn note(&mut self, applied: AppliedKey) {
        while self.0.len() >= MAX_KEYS || self.0.front().is_some_and(|oldest| !is_current(oldest, applied.made_ms)) {
            self.0.pop_front();
        }
        self.0.push_back(applied);
    }

    /// What is worth keeping, oldest first.
    pub fn current(&self, now_ms: u64) -> Vec<AppliedKey> {
        self.0.iter().filter(|known| is_current(known, now_ms)).copied().collect()
    }
}

fn is_current(known: &AppliedKey, now_ms: u64) -> bool {
    now_ms.saturating_sub(known.made_ms) < KEY_AGE.as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = 86_400_000;

    fn applied(key: &str, seq: u64, made_ms: u64) -> AppliedKey {
        AppliedKey { key: KeyHash::of(key), seq, made_ms }
    }

    #[test]
    fn a_key_answers_its_seq_for_a_day_and_then_is_new() {
        let mut keys = Keys::default();
        keys.note(applied("a", 7, 1000));
        assert_eq!(keys.seq_of(KeyHash::of("a"), 1000 + DAY_MS - 1), Some(7));
        assert_eq!(keys.seq_of(KeyHash::of("a"), 1000 + DAY_MS), None);
        assert_eq!(keys.seq_of(KeyHash::of("a"), 0), Some(7), "a clock that steps back forgets nothing");
        assert_eq!(keys.seq_of(KeyHash::of("b"), 1000), None);
        keys.note(applied("a", 9, 1000 + DAY_MS));
        assert_eq!(keys.seq_of(KeyHash::of("a"), 1000 + DAY_MS), Some(9), "the newest counts");
        assert_eq!(keys.current(1000 + DAY_MS), [applied("a", 9, 1000 + DAY_MS)], "the old one is not kept");
    }

    #[test]
    fn only_so_many_keys_are_remembered_the_newest() {
        let mut keys = Keys::default();
        (0..MAX_KEYS as u64 + 10).for_each(|seq| keys.note(applied(&seq.to_string(), seq, 1)));
        assert_eq!(keys.current(1).len(), MAX_KEYS);
        assert_eq!((keys.seq_of(KeyHash::of("9"), 1), keys.seq_of(KeyHash::of("10"), 1)), (None, Some(10)));
        let restored = Keys::restore(keys.current(1));
        assert_eq!(restored.seq_of(KeyHash::of("10"), 1), Some(10));
    }
}
