//! Owns who sees an event: everyone, or named members.

use std::rc::Rc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::protocol::PlayerId;

/// Who sees an event. Part of the log's format (see `record`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Audience {
    Everyone,
    /// The sender, if it is a player, and the members it named; never a spectator (S10). Made by
    /// [`Audience::only`]. Invariant: sorted, without duplicates.
    Only(#[serde(serialize_with = "write_players", deserialize_with = "read_players")] Rc<[PlayerId]>),
}

impl Audience {
    pub(crate) fn only(mut players: Vec<PlayerId>) -> Self {
        players.sort_unstable();
        players.dedup();
        Self::Only(players.into())
    }

    /// Restores the invariant for audiences of older logs, which may be unsorted and have
    /// duplicates.
    pub(crate) fn normalised(self) -> Self {
        match self {
            Self::Everyone => Self::Everyone,
            Self::Only(players) => Self::only(players.to_vec()),
        }
    }

    /// Returns whether this player sees the event. `player` is `None` for a spectator.
    pub(crate) fn admits(&self, player: Option<&PlayerId>) -> bool {
        match self {
            Self::Everyone => true,
            Self::Only(players) => player.is_some_and(|player| players.binary_search(player).is_ok()),
        }
    }

    /// Returns its bytes in memory, which is also the upper bound of its bytes in a log.
    pub(crate) fn cost(&self) -> usize {
        match self {
            Self::Everyone => 0,
            Self::Only(players) => players.iter().map(cost_of).sum(),
        }
    }
}

fn write_players<S: Serializer>(players: &Rc<[PlayerId]>, serializer: S) -> Result<S::Ok, S::Error> {
    players.serialize(serializer)
}

fn read_players<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Rc<[PlayerId]>, D::Error> {
    Box::<[PlayerId]>::deserialize(deserializer).map(Rc::from)
}

/// Returns the bytes that one more copy of this name takes. Members share the text in memory, but
/// each copy counts: a log repeats it.
pub(super) fn cost_of(player: &PlayerId) -> usize {
    size_of::<PlayerId>() + player.as_str().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> PlayerId {
        PlayerId::parse(name).expect("an id")
    }

    #[test]
    fn s1a_an_audience_admits_those_it_names_in_whatever_order_a_log_has_them() {
        let written = Audience::Only(["carol", "alice", "bob", "alice"].map(id).into());
        let audience = written.normalised();
        assert_eq!(audience, Audience::Only(["alice", "bob", "carol"].map(id).into()));
        assert!(["alice", "bob", "carol"].iter().all(|name| audience.admits(Some(&id(name)))));
        assert!(!audience.admits(Some(&id("dave"))) && !audience.admits(None));
        assert!(Audience::Everyone.admits(None));
        assert!(!Audience::only(Vec::new()).admits(None) && !Audience::only(Vec::new()).admits(Some(&id("bob"))));
    }
}
