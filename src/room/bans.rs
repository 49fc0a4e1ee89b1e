//! Owns the bans of a room (S13).

use serde::{Deserialize, Serialize};

use crate::protocol::PlayerId;

/// How many bans a room may have at once.
const MAX_BANS: usize = 10_000;

/// One player's ban. Part of the log's format (see `record`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ban {
    pub player: PlayerId,
    /// Milliseconds since 1970; 0 lifts the ban.
    pub until_ms: u64,
}

/// Bans in the order of the players' names.
#[derive(Debug, Default)]
pub(super) struct Bans(Vec<Ban>);

impl Bans {
    /// Restores the bans of a log.
    pub(super) fn restore(bans: Vec<Ban>) -> Self {
        let mut restored = Self::default();
        bans.into_iter().for_each(|ban| restored.put(ban));
        restored
    }

    /// Starts or changes a ban. Returns `false` and changes nothing if the room has `MAX_BANS`
    /// bans that run.
    pub(super) fn set(&mut self, ban: Ban, now_ms: u64) -> bool {
        if self.0.len() >= MAX_BANS {
            self.0.retain(|ban| ban.until_ms > now_ms);
        }
        if self.0.len() >= MAX_BANS && self.place(&ban.player).is_err() {
            return false;
        }
        self.put(ban);
        true
    }

    pub(super) fn has(&self, player: &PlayerId, now_ms: u64) -> bool {
        self.place(player).is_ok_and(|place| self.0[place].until_ms > now_ms)
    }

    /// Returns when the last current ban ends, in milliseconds since 1970; `None` if no ban is
    /// current.
    pub(super) fn end_ms(&self, now_ms: u64) -> Option<u64> {
        self.0.iter().map(|ban| ban.until_ms).max().filter(|end| *end > now_ms)
    }

    /// Returns the current bans.
    pub(super) fn current(&self, now_ms: u64) -> Vec<Ban> {
        self.0.iter().filter(|ban| ban.until_ms > now_ms).cloned().collect()
    }

    fn put(&mut self, ban: Ban) {
        match self.place(&ban.player) {
            Ok(place) if ban.until_ms == 0 => drop(self.0.remove(place)),
            Ok(place) => self.0[place] = ban,
            Err(_) if ban.until_ms == 0 => {}
            Err(place) => self.0.insert(place, ban),
        }
    }

    fn place(&self, player: &PlayerId) -> Result<usize, usize> {
        self.0.binary_search_by(|ban| ban.player.cmp(player))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ban(number: usize, until_ms: u64) -> Ban {
        Ban { player: PlayerId::parse(&format!("p{number}")).expect("an id"), until_ms }
    }

    #[test]
    fn s13_a_ban_runs_until_its_end_or_until_it_is_lifted() {
        let mut bans = Bans::default();
        assert!(bans.set(ban(1, 100), 0) && bans.set(ban(2, 200), 0));
        let has = |bans: &Bans, number, now| bans.has(&ban(number, 0).player, now);
        assert!(has(&bans, 1, 99) && !has(&bans, 1, 100) && !has(&bans, 3, 0));
        assert_eq!((bans.end_ms(0), bans.end_ms(200)), (Some(200), None));
        assert!(bans.set(ban(2, 0), 0) && !has(&bans, 2, 0));
        assert_eq!((bans.current(0), bans.current(100)), (vec![ban(1, 100)], vec![]));
        assert!(has(&Bans::restore(vec![ban(7, 5), ban(1, 100), ban(7, 0)]), 1, 0));
    }

    #[test]
    fn s13_a_room_has_so_many_bans_and_those_that_are_over_make_room() {
        let mut bans = Bans::default();
        assert!((0..MAX_BANS).all(|number| bans.set(ban(number, 100), 0)));
        assert!(!bans.set(ban(MAX_BANS, 200), 0) && bans.set(ban(0, 300), 0));
        assert!(bans.set(ban(MAX_BANS, 200), 100));
        assert_eq!(bans.current(100).len(), 2);
    }
}
