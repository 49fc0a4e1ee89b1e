//! Owns what a logic may see and do in one call: players, state, clock, randomness, and what it wants to happen.
//! Called by room logics; made and carried out by `room::state`.

use serde::Serialize;
use serde_json::Value;

use super::seats::Seats;
use crate::protocol::{GameId, PlayerId, RawJson};

/// Something a logic wants appended to the room's log, as `@server`.
#[derive(Debug, Clone)]
pub(super) enum Emission {
    Message { data: RawJson, to: Option<Vec<PlayerId>> },
    Patch(Value),
}

/// One call of a logic. What it emits is appended in order, behind the request that caused it, if that is allowed.
pub struct Turn<'a> {
    pub(super) game: &'a GameId,
    pub(super) seats: &'a Seats,
    pub(super) state: &'a Value,
    pub(super) now_ms: u64,
    pub(super) random: &'a mut fastrand::Rng,
    pub(super) emissions: &'a mut Vec<Emission>,
    pub(super) sender_only: bool,
}

impl Turn<'_> {
    pub fn game(&self) -> &GameId {
        self.game
    }

    /// Everybody with a seat, away or not, in no particular order.
    pub fn players(&self) -> Vec<PlayerId> {
        self.seats.players().cloned().collect()
    }

    /// The room's document as it was when this turn began; patches of this turn show in the next one.
    pub fn state(&self) -> &Value {
        self.state
    }

    /// Milliseconds since 1970: the room's clock, to be used instead of the system's.
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// A random number below `bound` (0 when `bound` is 0): the room's randomness, to be used instead of any other.
    pub fn random_below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.random.u64(..bound) }
    }

    /// Appends a message from `@server` for everybody.
    pub fn send(&mut self, data: &impl Serialize) {
        self.emissions.push(Emission::Message { data: RawJson::from_serialize(data), to: None });
    }

    /// Appends a message from `@server` that only these players see. Who has no seat by then is left out.
    pub fn send_to(&mut self, players: &[PlayerId], data: &impl Serialize) {
        let to = Some(players.to_vec());
        self.emissions.push(Emission::Message { data: RawJson::from_serialize(data), to });
    }

    /// Merges into the room's document (RFC 7396), as `@server`. Anything but an object is ignored.
    pub fn patch(&mut self, patch: Value) {
        if patch.is_object() {
            self.emissions.push(Emission::Patch(patch));
        }
    }

    /// Lets only its sender see the request of this turn: a secret move.
    pub fn hide_request(&mut self) {
        self.sender_only = true;
    }
}
