//! Owns how many sessions a proxy has, in total and for each player, on all shards together (X3).
//! Called by `branch` when a session begins; its relay holds the place until its upstream is closed.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::budget::Exceeded;
use crate::config::feeds::Budget;

/// Whose session it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Owner {
    /// A token's `sub`.
    Player(String),
    /// Where nobody has a name: in development mode.
    Address(IpAddr),
}

/// The places of one proxy.
#[derive(Debug)]
pub struct Places {
    per_player: usize,
    total: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    /// Invariant: no entry is 0.
    by_owner: HashMap<Owner, usize>,
}

/// One session's place; given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    owner: Owner,
}

impl Places {
    pub fn new(budget: &Budget) -> Arc<Self> {
        let (per_player, total) = (budget.sessions_per_player, budget.sessions);
        Arc::new(Self { per_player, total, taken: Mutex::default() })
    }

    /// # Errors
    /// The limit that is reached; nothing was taken then.
    pub fn take(self: &Arc<Self>, owner: Owner) -> Result<Place, Exceeded> {
        let mut taken = self.taken();
        let held = taken.by_owner.get(&owner).copied().unwrap_or(0);
        if held >= self.per_player {
            return Err(Exceeded::SessionsPerPlayer(self.per_player));
        }
        if taken.total >= self.total {
            return Err(Exceeded::Sessions(self.total));
        }
        taken.total += 1;
        taken.by_owner.insert(owner.clone(), held + 1);
        Ok(Place { places: self.clone(), owner })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.total -= 1;
        if let Some(held) = taken.by_owner.get_mut(&self.owner) {
            *held -= 1;
            if *held == 0 {
                taken.by_owner.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x3_places_are_limited_per_player_and_in_total_and_come_back() {
        let places = Places::new(&Budget { sessions_per_player: 2, sessions: 3, ..Budget::default() });
        let player = |name: &str| Owner::Player(name.to_owned());
        let first = places.take(player("a")).expect("a place");
        let _second = places.take(player("a")).expect("a place");
        assert_eq!(places.take(player("a")).expect_err("full"), Exceeded::SessionsPerPlayer(2));
        let third = places.take(Owner::Address([127, 0, 0, 1].into())).expect("a place");
        assert_eq!(places.take(player("b")).expect_err("full"), Exceeded::Sessions(3));
        drop(third);
        drop(first);
        let _fourth = places.take(player("a")).expect("a place");
        let _fifth = places.take(player("b")).expect("a place");
        assert_eq!(places.taken().by_owner.len(), 2, "who holds none is forgotten");
    }
}
