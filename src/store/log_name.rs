//! Owns `LogName`: which log a batch is for, and how the name is written on the disk.

use std::{borrow::Cow, cmp::Ordering, fmt};

use crate::protocol::{GameId, HubId, ids::InvalidId};

/// The prefix of a bus's log on the disk. No game's name begins with an underscore (P1), so the two
/// never collide.
const BUS_PREFIX: &str = "_hub.";

/// Names a log. Names are ordered by what is on the disk.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LogName {
    /// The log of a room.
    Game(GameId),
    /// The log of an event bus.
    Bus(HubId),
}

impl LogName {
    /// Parses a name that a store wrote.
    ///
    /// # Errors
    /// [`InvalidId`] if it names neither a game nor a bus.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        match text.strip_prefix(BUS_PREFIX) {
            Some(bus) => HubId::parse(bus).map(Self::Bus),
            None => GameId::parse(text).map(Self::Game),
        }
    }

    /// The name on the disk.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Game(game) => game.as_str().into(),
            Self::Bus(hub) => format!("{BUS_PREFIX}{hub}").into(),
        }
    }

    /// The game whose log this is; `None` for a bus.
    pub fn game(&self) -> Option<&GameId> {
        match self {
            Self::Game(game) => Some(game),
            Self::Bus(_) => None,
        }
    }
}

impl Ord for LogName {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Game(a), Self::Game(b)) => a.cmp(b),
            (Self::Bus(a), Self::Bus(b)) => a.cmp(b),
            _ => self.text().cmp(&other.text()),
        }
    }
}

impl PartialOrd for LogName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<GameId> for LogName {
    fn from(game: GameId) -> Self {
        Self::Game(game)
    }
}

impl fmt::Display for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p1_a_buss_log_has_a_name_that_no_game_can_have() {
        let bus = LogName::Bus(HubId::parse("lobby").expect("a hub"));
        assert_eq!(bus.text(), "_hub.lobby");
        assert!(GameId::parse(&bus.text()).is_err());
        assert_eq!(LogName::parse("_hub.lobby"), Ok(bus));
        assert_eq!(LogName::parse("lobby"), GameId::parse("lobby").map(LogName::Game));
        for wrong in ["_hub.", "_hub", "_hub._server", "_other.a", ""] {
            assert_eq!(LogName::parse(wrong), Err(InvalidId), "{wrong:?}");
        }
    }

    #[test]
    fn names_have_the_order_of_their_texts() {
        let mut names = ["Z", "a", "_hub.A", "_hub.b", "9", "z"].map(|text| LogName::parse(text).expect("a name"));
        names.sort();
        assert_eq!(names.map(|name| name.text().into_owned()), ["9", "Z", "_hub.A", "_hub.b", "a", "z"]);
    }
}
