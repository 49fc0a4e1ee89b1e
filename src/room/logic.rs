//! Owns the contract between a room and the game played in it: a small trait, with clock and
//! randomness passed in. Implemented by `relay`, `tic_tac_toe`, and by programs that depend on this
//! library.

use std::time::Duration;

use serde_json::Value;

use super::turn::Turn;
use crate::protocol::{PlayerId, RawJson, error_code};

/// A message or patch as a player sent it.
#[derive(Debug, Clone)]
pub struct Request {
    pub from: PlayerId,
    /// `data` of a message, the merge patch of a patch.
    pub data: RawJson,
    /// The members whom the sender wants to see it, besides itself; `None` is everybody.
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
