//! Owns what a shard does for operators and back ends: it finds the room that they mean and passes
//! on what they want.

use std::{
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher},
    rc::Rc,
};

use actix::Addr;
use serde::Serialize;
use tokio::sync::oneshot;

use super::{
    messages::RunOnShard,
    opening::{NoRoom, Opener},
    shard::{Local, Shard},
};
use crate::{
    gate::RoomLimit,
    protocol::{Cause, GameId},
    room::{Rejection, RoomHandle, describe::RoomSummary, messages::OperateError},
};

/// Rooms that end in the very moment they are asked; more in a row than this and the back end is to come back later.
const MAX_ATTEMPTS: usize = 3;
/// Rooms that are asked at once; in between, the shard does its other work.
const ROOMS_AT_ONCE: usize = 256;

/// A room in few words, with what its shard knows of it.
#[derive(Debug, Serialize)]
pub struct RoomDescription<R> {
    #[serde(flatten)]
    pub room: R,
    pub logic: String,
    pub durability: &'static str,
}

/// Why an operator does not get what it asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OperateRefusal {
    NoSuchGame,
    NoSuchPlayer,
    Rejected(Rejection),
    /// The store fails ([`Cause::Unavailable`], D5), or the room cannot be had for another reason now.
    Busy(Cause),
    /// S14.
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

/// The shard that owns a game: the same one for the life of the process.
pub fn owner<'a>(shards: &'a [Addr<Shard>], game: &GameId) -> &'a Addr<Shard> {
    &shards[shard_index(game.as_str(), shards.len())]
}

/// The shard that owns what has this name, or this secret, of that many: the same one for the life of the process.
pub fn shard_index(name: &str, shards: usize) -> usize {
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(name);
    (hash % shards as u64) as usize
}

/// Runs `work` on a shard's thread. `None` when the shard is gone, or the work failed.
pub async fn on_shard<R: Send + 'static, F: Future<Output = R> + 'static>(
    shard: &Addr<Shard>,
    work: impl FnOnce(Rc<Local>) -> F + Send + 'static,
) -> Option<R> {
    let (answer, answered) = oneshot::channel();
    let adopt = RunOnShard(Box::new(move |local: &Rc<Local>| {
        let work = work(local.clone());
        actix_rt::spawn(async move {
            // Whoever asked may be gone.
            let _ = answer.send(work.await);
        });
    }));
    shard.send(adopt).await.ok()?;
    answered.await.ok()
}

impl Local {
    /// Asks the room of this game, which is opened if it has a log or `may_begin`.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn ask_room<R, F: Future<Output = Result<R, OperateError>>>(
        &self,
        game: &GameId,
        may_begin: bool,
        ask: impl Fn(RoomHandle) -> F,
    ) -> Result<R, OperateRefusal> {
        for _ in 0..MAX_ATTEMPTS {
            let room = if may_begin {
                self.find_room(game, Opener::BackEnd).await?
            } else {
                self.find_existing_room(game).await?
            };
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
        // Asked again behind the wait for the store: a player may have opened it meanwhile.
        if !self.is_listed(game) && self.read_log(game).await?.is_none() && !self.is_listed(game) {
            return Err(OperateRefusal::NoSuchGame);
        }
        Ok(self.find_room(game, Opener::BackEnd).await?)
    }

    /// Those of these rooms that are open, in this order.
    pub async fn describe_rooms(&self, games: &[GameId]) -> Vec<RoomDescription<RoomSummary<usize>>> {
        let mut described = Vec::with_capacity(games.len());
        for games in games.chunks(ROOMS_AT_ONCE) {
            let rooms = games.iter().filter_map(|game| self.open_room_of(game));
            let asked: Vec<_> = rooms.map(|room| room.describe()).collect();
            for room in asked {
                if let Some(summary) = room.await {
                    described.push(self.describe(summary.game.clone(), summary));
                }
            }
        }
        described
    }

    /// Adds what the shard knows.
    pub fn describe<R>(&self, game: GameId, room: R) -> RoomDescription<R> {
        RoomDescription { room, logic: self.logic_name(&game).to_owned(), durability: self.durability(&game).name() }
    }
}
