//! Owns the permits of a proxy's sessions, in total and for each player, on all shards together
//! (X3). A session holds its permit until its upstream is closed.

use std::{
    cell::Cell,
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::budget::Exceeded;
use crate::config::feeds::Budget;

/// Whose session it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Owner {
    /// The `sub` of a token.
    Player(String),
    /// For clients without a name, in development mode.
    Address(IpAddr),
}

/// The permits of one proxy.
pub(super) struct SessionPermits {
    per_player: usize,
    total: usize,
    taken: Mutex<SessionCounts>,
}

#[derive(Default)]
struct SessionCounts {
    total: usize,
    /// Counts permits that were taken, and times that a client went away.
    last: u64,
    /// Invariant: no entry is empty; all together have `total` sessions.
    by_owner: HashMap<Owner, Vec<HeldSession>>,
}

struct HeldSession {
    id: u64,
    /// Set only while its client is away.
    away: Option<Away>,
}

struct Away {
    since: u64,
    end: EndSession,
}

/// Ends a session, from any thread.
pub(super) type EndSession = Box<dyn FnOnce() + Send>;

/// One session's permit; given back when it is dropped.
///
/// Invariant: once it was given to another session, [`SessionPermit::back`] always returns false.
pub(super) struct SessionPermit {
    places: Arc<SessionPermits>,
    owner: Owner,
    id: u64,
    is_released: Cell<bool>,
}

impl SessionPermits {
    pub(super) fn new(budget: &Budget) -> Arc<Self> {
        let (per_player, total) = (budget.sessions_per_player, budget.sessions);
        Arc::new(Self { per_player, total, taken: Mutex::default() })
    }

    /// Takes a permit. If the owner has no permit left, takes the permit of its session whose
    /// client has been away for longest: a reloaded page no longer has the session's secret.
    /// Sessions whose clients are connected, and those of other owners, keep theirs.
    ///
    /// # Errors
    /// The limit that is reached; nothing was taken then.
    pub(super) fn take(self: &Arc<Self>, owner: Owner) -> Result<SessionPermit, Exceeded> {
        let mut taken = self.taken();
        let held = taken.by_owner.get_mut(&owner);
        let left = if let Some(held) = held.filter(|held| held.len() >= self.per_player) {
            Some(take_longest_away(held).ok_or(Exceeded::SessionsPerPlayer(self.per_player))?)
        } else if taken.total >= self.total {
            return Err(Exceeded::Sessions(self.total));
        } else {
            taken.total += 1;
            None
        };
        let id = taken.next();
        taken.by_owner.entry(owner.clone()).or_default().push(HeldSession { id, away: None });
        drop(taken);
        if let Some(end) = left {
            end();
        }
        Ok(SessionPermit { places: self.clone(), owner, id, is_released: Cell::new(false) })
    }

    fn taken(&self) -> MutexGuard<'_, SessionCounts> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take_longest_away(held: &mut Vec<HeldSession>) -> Option<EndSession> {
    let since = |held: &HeldSession| held.away.as_ref().map(|away| away.since);
    let (at, _) =
        held.iter().enumerate().filter_map(|(at, held)| Some((at, since(held)?))).min_by_key(|(_, since)| *since)?;
    held.swap_remove(at).away.map(|away| away.end)
}

impl SessionCounts {
    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Returns `None` if the permit belongs to another session by now.
    fn find(&mut self, permit: &SessionPermit) -> Option<&mut HeldSession> {
        self.by_owner.get_mut(&permit.owner)?.iter_mut().find(|held| held.id == permit.id)
    }
}

impl SessionPermit {
    /// The session's client is away: until it is back, `end` may be called, once, to make room. The
    /// permit belongs to another session then.
    pub(super) fn away(&self, end: EndSession) {
        let mut taken = self.places.taken();
        let since = taken.next();
        // The replaced value is dropped after the lock is released, because it holds the session.
        let before = taken.find(self).and_then(|held| held.away.replace(Away { since, end }));
        drop(taken);
        drop(before);
    }

    /// The client is back. Returns false if the permit was given to another session, and this one
    /// is ending.
    pub(super) fn back(&self) -> bool {
        let mut taken = self.places.taken();
        let found = taken.find(self).map(|held| held.away.take());
        drop(taken);
        self.is_released.get() || found.is_some()
    }

    /// Gives the permit back before the session ends.
    pub(super) fn release(&self) {
        self.is_released.set(true);
        let mut taken = self.places.taken();
        let Some(held) = taken.by_owner.get_mut(&self.owner) else { return };
        let Some(at) = held.iter().position(|held| held.id == self.id) else { return };
        let own = held.swap_remove(at);
        if held.is_empty() {
            taken.by_owner.remove(&self.owner);
        }
        taken.total -= 1;
        drop(taken);
        drop(own);
    }
}

impl Drop for SessionPermit {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    fn player(name: &str) -> Owner {
        Owner::Player(name.to_owned())
    }

    #[test]
    fn x3_places_are_limited_per_player_and_in_total_and_come_back() {
        let places = SessionPermits::new(&Budget { sessions_per_player: 2, sessions: 3, ..Budget::default() });
        let refusal = |owner| places.take(owner).err();
        let first = places.take(player("a")).ok();
        let _second = places.take(player("a")).expect("a place");
        assert_eq!(refusal(player("a")), Some(Exceeded::SessionsPerPlayer(2)));
        let third = places.take(Owner::Address([127, 0, 0, 1].into())).ok();
        assert_eq!(refusal(player("b")), Some(Exceeded::Sessions(3)));
        drop(third);
        first.as_ref().expect("a place").release();
        drop(first);
        let _fourth = places.take(player("a")).expect("a place");
        let _fifth = places.take(player("b")).expect("a place");
        assert_eq!(refusal(player("b")), Some(Exceeded::Sessions(3)));
        assert_eq!(places.taken().by_owner.len(), 2, "who holds none is forgotten");
    }

    #[test]
    fn x3_a_newcomer_gets_the_place_of_the_players_own_session_that_is_away_for_longest() {
        let places = SessionPermits::new(&Budget { sessions_per_player: 2, sessions: 3, ..Budget::default() });
        let ended = Arc::new(Mutex::new(Vec::new()));
        let end = |name: &'static str| -> EndSession {
            let ended = ended.clone();
            Box::new(move || ended.lock().expect("no panic").push(name))
        };
        let take = |name: &str| places.take(player(name));
        let [first, second, other] = ["a", "a", "b"].map(|name| take(name).expect("a place"));
        other.away(end("other"));
        assert_eq!(take("a").err(), Some(Exceeded::SessionsPerPlayer(2)), "nobody else's session is taken");
        assert_eq!(take("b").err(), Some(Exceeded::Sessions(3)), "nor is one taken for the total limit");
        second.away(end("second"));
        first.away(end("first"));
        assert!(second.back());
        second.away(end("second again"));
        let third = take("a").expect("the place of the first");
        assert_eq!(*ended.lock().expect("no panic"), ["first"]);
        assert!(!first.back() && second.back() && other.back() && third.back());
        assert_eq!(take("a").err(), Some(Exceeded::SessionsPerPlayer(2)), "both are there");
        drop(first);
        assert_eq!(take("a").err(), Some(Exceeded::SessionsPerPlayer(2)), "a place is given back once");
        third.away(end("third"));
        third.release();
        assert!(third.back(), "it was given back, not taken away");
        assert_eq!(ended.lock().expect("no panic").len(), 1);
        drop((second, third, other));
        assert!(places.taken().by_owner.is_empty() && places.taken().total == 0);
    }

    #[test]
    fn x3_a_place_is_its_sessions_or_a_newcomers_never_both_whatever_threads_do() {
        let places = SessionPermits::new(&Budget { sessions_per_player: 2, sessions: 100, ..Budget::default() });
        let (given, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2000 {
                        let Ok(permit) = places.take(player("a")) else { continue };
                        // `end` counts how often this session was ended to make room while its
                        // client was away.
                        let ended_here = ended.clone();
                        permit.away(Box::new(move || {
                            ended_here.fetch_add(1, SeqCst);
                        }));
                        std::thread::yield_now();
                        given.fetch_add(usize::from(!permit.back()), SeqCst);
                        assert!(places.taken().by_owner.values().all(|held| held.len() <= 2));
                    }
                });
            }
        });
        assert_eq!(given.load(SeqCst), ended.load(SeqCst), "who is not let back has been ended, and nobody else");
        assert!(places.taken().by_owner.is_empty() && places.taken().total == 0);
    }
}
