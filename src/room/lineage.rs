//! Owns the lives of a room: each opening starts one, at a `seq` from which its log may differ from
//! other copies of the log.

use serde::{Deserialize, Serialize};

/// How many openings are remembered. A client that was away for more of them cannot resume.
const MAX_LIVES: usize = 128;

/// The time between two openings of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Life {
    /// Random, so that two copies of one log that continue separately are distinguishable.
    pub id: u64,
    /// The room's `seq` when this life began.
    pub start: u64,
}

/// The lives that led to the present one, oldest first. Never empty.
///
/// Why this keeps verdicts true even when an old copy of the store is restored: a client has seen
/// the log as it was in the life that last welcomed it. If the lineage has that life, both logs
/// agree up to the start of the next life in the lineage. Anything the client saw beyond that
/// belongs to a life outside the lineage, or was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lineage(Vec<Life>);

impl Lineage {
    /// The lineage of a new room.
    pub(super) fn new(id: u64) -> Self {
        Self(vec![Life { id, start: 0 }])
    }

    /// Restores the lives of a snapshot. Returns `None` if it has none.
    pub(super) fn restore(lives: &[Life]) -> Option<Self> {
        (!lives.is_empty()).then(|| Self(lives.to_vec()))
    }

    pub(super) fn lives(&self) -> &[Life] {
        &self.0
    }

    pub(super) fn current(&self) -> Life {
        self.0.last().copied().unwrap_or(Life { id: 0, start: 0 })
    }

    /// Starts a life: the room is opened again.
    pub(super) fn begin(&mut self, life: Life) {
        self.0.push(life);
        let old = self.0.len().saturating_sub(MAX_LIVES);
        self.0.drain(..old);
    }

    /// Returns the last `seq` at which the log of a client that was last welcomed in `life` still
    /// agrees with this room's log; `reached` is the room's `seq`. `None` if `life` is unknown
    /// here.
    pub(super) fn shared_until(&self, life: u64, reached: u64) -> Option<u64> {
        let position = self.0.iter().rposition(|known| known.id == life)?;
        Some(self.0.get(position + 1).map_or(reached, |next| next.start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r3_a_past_is_shared_up_to_where_the_next_life_began() {
        let mut lineage = Lineage::new(1);
        lineage.begin(Life { id: 2, start: 50 });
        lineage.begin(Life { id: 3, start: 70 });
        assert_eq!(lineage.shared_until(1, 90), Some(50));
        assert_eq!(lineage.shared_until(2, 90), Some(70));
        assert_eq!(lineage.shared_until(3, 90), Some(90));
        assert_eq!(lineage.shared_until(9, 90), None);
    }

    #[test]
    fn only_the_newest_lives_are_kept() {
        let mut lineage = Lineage::new(0);
        (1..1000).for_each(|id| lineage.begin(Life { id, start: id }));
        assert_eq!(lineage.lives().len(), MAX_LIVES);
        assert_eq!((lineage.shared_until(0, 5000), lineage.shared_until(998, 5000)), (None, Some(999)));
        assert_eq!(lineage.current().id, 999);
    }
}
