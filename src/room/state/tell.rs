//! Owns what a room's state tells of itself, to its actor and to operators. A part of `RoomState`.

use std::time::Duration;

use super::RoomState;
use crate::{
    protocol::{GameId, PlayerId, RawJson},
    room::seats::Seat,
};

impl RoomState {
    pub fn game(&self) -> &GameId {
        &self.game
    }

    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    pub fn tick_interval(&self) -> Option<Duration> {
        self.tick_interval
    }

    /// Seats, away ones included.
    pub fn seat_count(&self) -> usize {
        self.seats.len()
    }

    pub fn seats(&self) -> impl Iterator<Item = (&PlayerId, &Seat)> {
        self.seats.iter()
    }

    pub fn connected_count(&self) -> usize {
        self.seats.iter().filter(|(_, seat)| seat.connection.is_some()).count()
    }

    pub fn spectator_count(&self) -> usize {
        self.spectators
    }

    #[cfg(test)]
    pub fn is_crowd(&self) -> bool {
        self.is_crowd
    }

    pub fn seq(&self) -> u64 {
        self.seq
    }

    pub fn begun_ms(&self) -> u64 {
        self.begun_ms
    }

    pub fn document_text(&self) -> RawJson {
        self.document.text()
    }

    /// The length of [`RoomState::document_text`], which is not made for that.
    pub fn document_bytes(&self) -> usize {
        self.document.bytes()
    }
}
