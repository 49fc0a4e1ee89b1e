//! Owns what back ends and operators ask of rooms: finds the room and passes the request on. A part
//! of `Rooms`.

use serde::Serialize;

use super::{
    Rejection, RoomHandle, Rooms,
    describe::RoomSummary,
    messages::OperateError,
    opening::{NoRoom, Opener},
};
use crate::{
    gate::RoomLimit,
    protocol::{Cause, GameId},
};

/// How many rooms in a row may end while a request reaches them. After that the back end has to
/// retry later.
const MAX_ATTEMPTS: usize = 3;
/// How many rooms are asked at once. Between the chunks the shard does its other work.
const ROOMS_AT_ONCE: usize = 256;

/// A room with the fields that its shard adds.
#[derive(Debug, Serialize)]
pub(crate) struct RoomDescription<R> {
    #[serde(flatten)]
    pub room: R,
    pub logic: String,
    pub durability: &'static str,
}

/// Why an operator's request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OperateRefusal {
    NoSuchGame,
    NoSuchPlayer,
    Rejected(Rejection),
    /// The store fails ([`Cause::Unavailable`], D5), or the room is unavailable for another reason.
    Busy(Cause),
    /// A bound of S14 is reached.
    Full(RoomLimit),
}

impl From<NoRoom> for OperateRefusal {
    fn from(none: NoRoom) -> Self {
        match none {
            NoRoom::Busy(cause) => Self::Busy(cause),
            NoRoom::Full(limit) => Self::Full(limit),
        }
    }
}

impl From<Cause> for OperateRefusal {
    fn from(cause: Cause) -> Self {
        Self::Busy(cause)
    }
}

impl Rooms {
    /// Sends a request to the room of this game. Opens the room if it has a log or `may_begin` is
    /// set.
    ///
    /// # Errors
    /// [`OperateRefusal`].
    pub(crate) async fn ask<R, F: Future<Output = Result<R, OperateError>>>(
        &self,
        game: &GameId,
        may_begin: bool,
        ask: impl Fn(RoomHandle) -> F,
    ) -> Result<R, OperateRefusal> {
        for _ in 0..MAX_ATTEMPTS {
            let room =
                if may_begin { self.find(game, Opener::BackEnd).await? } else { self.find_existing_room(game).await? };
            match ask(room).await {
                Ok(answer) => return Ok(answer),
                Err(OperateError::RoomGone) => {}
                Err(OperateError::Unavailable) => return Err(OperateRefusal::Busy(Cause::Unavailable)),
                Err(OperateError::NoSuchPlayer) => return Err(OperateRefusal::NoSuchPlayer),
                Err(OperateError::Rejected(rejection)) => return Err(OperateRefusal::Rejected(rejection)),
            }
        }
        Err(OperateRefusal::Busy(Cause::Overloaded))
    }

    async fn find_existing_room(&self, game: &GameId) -> Result<RoomHandle, OperateRefusal> {
        // Checked again after the wait for the store, as a player may have opened the room
        // meanwhile.
        if !self.is_listed(game) && self.read_log(game).await?.is_none() && !self.is_listed(game) {
            return Err(OperateRefusal::NoSuchGame);
        }
        Ok(self.find(game, Opener::BackEnd).await?)
    }

    /// Describes those of these rooms that are open, in this order.
    pub(crate) async fn describe_open(&self, games: &[GameId]) -> Vec<RoomDescription<RoomSummary<usize>>> {
        let mut described = Vec::with_capacity(games.len());
        for games in games.chunks(ROOMS_AT_ONCE) {
            let rooms = games.iter().filter_map(|game| self.open_room(game));
            let asked: Vec<_> = rooms.map(|room| room.describe()).collect();
            for room in asked {
                if let Some(summary) = room.await {
                    described.push(self.describe(summary.game.clone(), summary));
                }
            }
        }
        described
    }

    /// Adds the fields that the shard supplies.
    pub(crate) fn describe<R>(&self, game: GameId, room: R) -> RoomDescription<R> {
        RoomDescription { room, logic: self.logics.name(&game).to_owned(), durability: self.durability(&game).name() }
    }
}
