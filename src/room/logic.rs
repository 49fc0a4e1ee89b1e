//! Owns the contract between a room and the game played in it: a small trait, with clock and randomness passed in.
//! Called by `room::state`; implemented by `relay`, `tic_tac_toe`, and by programs that depend on this library.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::Value;

use super::turn::Turn;
use crate::protocol::{GameId, PlayerId, RawJson, error_code};

/// A message or patch as a player sent it.
#[derive(Debug, Clone)]
pub struct Request {
    pub from: PlayerId,
    /// `data` of a message, the merge patch of a patch.
    pub data: RawJson,
    /// Whom the sender wants to see it, besides itself; `None` is everybody.
    pub to: Option<Vec<PlayerId>>,
}

/// A request the logic does not allow: nothing is applied, the player gets an `error` frame, the connection lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Stable, in snake case, e.g. `illegal_move`.
    pub code: &'static str,
    /// For people.
    pub message: String,
}

impl Rejection {
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// The rules of one room. One value per room, on one thread; a panic ends this room and no other.
///
/// What must outlive the value belongs into the room's state document ([`Turn::state`], [`Turn::patch`]):
/// it is folded from the log and given back when the room comes back.
pub trait RoomLogic: 'static {
    /// A player took a new seat; its `joined` is in the log already and its `welcome` sent, so it sees what this turn
    /// emits. Not called for `away` and `back`.
    fn join(&mut self, turn: &mut Turn<'_>, player: &PlayerId) {
        let _ = (turn, player);
    }

    /// A player gave up its seat or ran out of grace; its `left` is in the log already.
    fn leave(&mut self, turn: &mut Turn<'_>, player: &PlayerId) {
        let _ = (turn, player);
    }

    /// A player's message. `Ok` appends it, in front of whatever the turn emits; that is its acknowledgement.
    ///
    /// # Errors
    /// [`Rejection`]: nothing of this turn is applied.
    fn message(&mut self, turn: &mut Turn<'_>, request: &Request) -> Result<(), Rejection>;

    /// A player's patch of the state. `Ok` appends and applies it. Refused unless a logic says otherwise:
    /// in an authoritative game the state is the logic's.
    ///
    /// # Errors
    /// [`Rejection`]: nothing of this turn is applied.
    fn patch(&mut self, turn: &mut Turn<'_>, request: &Request) -> Result<(), Rejection> {
        let _ = (turn, request);
        Err(Rejection::new(error_code::FORBIDDEN, "this game's state changes only by its rules"))
    }

    /// Called every [`RoomLogic::tick_interval`] while somebody holds a seat.
    fn tick(&mut self, turn: &mut Turn<'_>) {
        let _ = turn;
    }

    /// The game's pace; it is the room's flush interval too. `None`: no ticks. Asked once, when the room opens.
    fn tick_interval(&self) -> Option<Duration> {
        None
    }

    /// The state document a new room begins with.
    fn initial_state(&self) -> Value {
        Value::Object(serde_json::Map::new())
    }
}

/// Makes the logic of a new or restarted room.
pub type LogicFactory = Arc<dyn Fn(&GameId) -> Box<dyn RoomLogic> + Send + Sync>;

/// Which logic a game gets, by the longest prefix of its name; `relay` when none fits.
#[derive(Clone)]
pub struct Logics {
    factories: BTreeMap<String, LogicFactory>,
    prefixes: Vec<(String, LogicFactory)>,
    default: LogicFactory,
}

impl Logics {
    /// The name of the default logic.
    pub const RELAY: &'static str = "relay";

    /// # Panics
    /// Never: `relay` is put in here.
    pub fn new() -> Self {
        let relay: LogicFactory = Arc::new(|_| Box::new(super::relay::Relay));
        let tic_tac_toe: LogicFactory = Arc::new(|_| Box::new(super::tic_tac_toe::TicTacToe));
        let factories = BTreeMap::from([(Self::RELAY.into(), relay.clone()), ("tic-tac-toe".into(), tic_tac_toe)]);
        Self { factories, prefixes: Vec::new(), default: relay }
    }

    /// Adds a logic under a name that `GAME_LOGICS` can use.
    pub fn register(&mut self, name: &str, factory: LogicFactory) {
        self.factories.insert(name.into(), factory);
    }

    /// Games whose name begins with `prefix` get the logic called `name`.
    ///
    /// # Errors
    /// When there is no such logic; the message lists those there are.
    pub fn route(&mut self, prefix: &str, name: &str) -> Result<(), String> {
        let Some(factory) = self.factories.get(name) else {
            let known: Vec<&str> = self.factories.keys().map(String::as_str).collect();
            return Err(format!("there is no room logic {name:?}; there are {}", known.join(", ")));
        };
        self.prefixes.push((prefix.into(), factory.clone()));
        self.prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Ok(())
    }

    /// A fresh logic for this game.
    pub fn create(&self, game: &GameId) -> Box<dyn RoomLogic> {
        let routed = self.prefixes.iter().find(|(prefix, _)| game.as_str().starts_with(prefix.as_str()));
        routed.map_or(&self.default, |(_, factory)| factory)(game)
    }
}

impl Default for Logics {
    fn default() -> Self {
        Self::new()
    }
}
