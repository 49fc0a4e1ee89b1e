//! Owns which error reports are sent: of each kind one a minute, and of all kinds a bounded number.
//! Pure.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::{BuildHasher as _, Hash},
    time::{Duration, Instant},
};

/// Between two reports of one kind.
pub(super) const PAUSE: Duration = Duration::from_secs(60);

/// Kinds that are remembered, and so the most reports in `PAUSE`: a panic's message may hold what a
/// client sent, and every text of it is another kind.
pub(super) const MAX_KINDS: usize = 100;

/// The kinds that were reported within the last `PAUSE`.
#[derive(Default)]
pub(super) struct Kinds {
    seen: HashMap<u64, SeenKind>,
    hasher: RandomState,
}

struct SeenKind {
    at: Instant,
    /// Errors of this kind since then that were not reported.
    suppressed: u64,
}

impl Kinds {
    /// Returns how many errors of this kind were suppressed since its last report if this one is
    /// due, otherwise `None`.
    pub(super) fn admit(&mut self, kind: &impl Hash, now: Instant) -> Option<u64> {
        let kind = self.hasher.hash_one(kind);
        let is_due = |seen: &SeenKind| now.saturating_duration_since(seen.at) >= PAUSE;
        if let Some(seen) = self.seen.get_mut(&kind) {
            if !is_due(seen) {
                seen.suppressed += 1;
                return None;
            }
            seen.at = now;
            return Some(std::mem::take(&mut seen.suppressed));
        }
        if self.seen.len() >= MAX_KINDS {
            self.seen.retain(|_, seen| !is_due(seen));
        }
        if self.seen.len() >= MAX_KINDS {
            return None;
        }
        self.seen.insert(kind, SeenKind { at: now, suppressed: 0 });
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_a_kind_is_admitted_in_each_pause_and_told_how_many_were_not() {
        let (mut kinds, start) = (Kinds::default(), Instant::now());
        assert_eq!(kinds.admit(&"disk", start), Some(0));
        assert_eq!(kinds.admit(&"disk", start), None);
        assert_eq!(kinds.admit(&"net", start), Some(0), "another kind");
        assert_eq!(kinds.admit(&"disk", start + PAUSE - Duration::from_millis(1)), None);
        assert_eq!(kinds.admit(&"disk", start + PAUSE), Some(2));
        assert_eq!(kinds.admit(&"disk", start + PAUSE), None);
        assert_eq!(kinds.admit(&"disk", start + PAUSE * 2), Some(1));
    }

    #[test]
    fn kinds_without_end_are_bounded_in_memory_and_in_reports() {
        let (mut kinds, start) = (Kinds::default(), Instant::now());
        let mut admitted = |at: Instant| (0..10_000).filter(|kind| kinds.admit(&(at, *kind), at).is_some()).count();
        assert_eq!(admitted(start), MAX_KINDS);
        assert_eq!(admitted(start + PAUSE / 2), 0);
        assert_eq!(admitted(start + PAUSE), MAX_KINDS, "those of the last minute are forgotten");
        assert_eq!(kinds.seen.len(), MAX_KINDS);
    }
}
