//! Owns the contract between a room and its game: a small trait. The room passes in the clock and
//! the randomness. Programs that depend on this library implement it too.

use std::time::Duration;

use serde_json::Value;

use super::turn::Turn;
use crate::protocol::{PlayerId, RawJson, error_code};

/// A message or patch as a player sent it.
#[derive(Debug, Clone)]
pub struct Request {
    pub from: PlayerId,
    /// The `data` of a message, or the merge patch of a patch.
    pub data: RawJson,
    /// The members that shall see the message besides its sender. `None`: all members and
    /// spectators.
    pub to: Option<Vec<PlayerId>>,
}

/// A request that the logic refuses: nothing is applied, the player gets an `error` frame, and the
/// connection stays open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Stable, in snake case, e.g. `illegal_move`.
    pub code: &'static str,
    /// A text for people.
    pub message: String,
}

impl Rejection {
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// The rules of one room. Each room has its own value, used on one thread. A panic ends only this
/// room.
///
/// Keep what must survive a restart in the room's state document ([`Turn::state`],
/// [`Turn::patch`]): the room rebuilds the document from its log when it reopens.
pub trait RoomLogic: 'static {
    /// A player took a new seat. Its `joined` is already in the log and its `welcome` precedes this
    /// turn, so the player sees what the turn emits. Not called for `away` and `back`.
    fn join(&mut self, turn: &mut Turn<'_>, player: &PlayerId) {
        let _ = (turn, player);
    }

    /// A player gave up its seat or ran out of grace. Its `left` is already in the log.
    fn leave(&mut self, turn: &mut Turn<'_>, player: &PlayerId) {
        let _ = (turn, player);
    }

    /// Handles a player's message. `Ok` appends it ahead of the turn's emissions. Its echo is the
    /// acknowledgement.
    ///
    /// # Errors
    /// [`Rejection`]: nothing of this turn is applied.
    fn message(&mut self, turn: &mut Turn<'_>, request: &Request) -> Result<(), Rejection>;

    /// Handles a player's patch of the state. `Ok` appends and applies it. The default refuses it:
    /// in an authoritative game only the logic changes the state.
    ///
    /// # Errors
    /// [`Rejection`]: nothing of this turn is applied.
    fn patch(&mut self, turn: &mut Turn<'_>, request: &Request) -> Result<(), Rejection> {
        let _ = (turn, request);
        Err(Rejection::new(error_code::FORBIDDEN, "this game's state changes only by its rules"))
    }

    /// Called every [`RoomLogic::tick_interval`] while at least one seat is taken.
    fn tick(&mut self, turn: &mut Turn<'_>) {
        let _ = turn;
    }

    /// Returns the tick interval, which is the room's flush interval too. `None`: no ticks, and the
    /// configured flush interval. Called once, when the room opens.
    fn tick_interval(&self) -> Option<Duration> {
        None
    }

    /// Returns the top-level field of the state that players write as they like and this logic
    /// never reads. [`Turn::state`] is without it: as a `Value`, what a player writes can take a
    /// hundred times its text, for as long as the room is open.
    fn unread_field(&self) -> Option<&'static str> {
        None
    }

    /// Returns the state document of a new room.
    fn initial_state(&self) -> Value {
        Value::Object(serde_json::Map::new())
    }
}
