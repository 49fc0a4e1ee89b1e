//! Owns the read access to a room's state, for its actor and for operators.

use std::time::Duration;

use super::RoomState;
use crate::{
    protocol::{GameId, PlayerId, RawJson},
    room::{history::History, seats::Seat},
};

impl RoomState {
    pub(crate) fn game(&self) -> &GameId {
        &self.game
    }

    pub(crate) fn epoch(&self) -> &str {
        &self.epoch
    }

    pub(crate) fn tick_interval(&self) -> Option<Duration> {
        self.tick_interval
    }

    /// Returns the number of seats, including those of away players.
    pub(crate) fn seat_count(&self) -> usize {
        self.seats.len()
    }

    pub(crate) fn seats(&self) -> impl Iterator<Item = (&PlayerId, &Seat)> {
        self.seats.iter()
    }

    pub(crate) fn connected_count(&self) -> usize {
        self.seats.iter().filter(|(_, seat)| seat.connection.is_some()).count()
    }

    pub(crate) fn spectator_count(&self) -> usize {
        self.spectators
    }

    #[cfg(test)]
    pub(crate) fn is_crowd(&self) -> bool {
        self.is_crowd
    }

    pub(crate) fn seq(&self) -> u64 {
        self.seq
    }

    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    pub(crate) fn begun_ms(&self) -> u64 {
        self.begun_ms
    }

    pub(crate) fn document_text(&self) -> RawJson {
        (&**self.document.text()).into()
    }

    /// Returns the length of [`RoomState::document_text`] without making the text.
    pub(crate) fn document_bytes(&self) -> usize {
        self.document.bytes()
    }
}
