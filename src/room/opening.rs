//! Owns how a shard opens a room: once for all concurrent requests, within the bounds of S14, from
//! its log if it has one. A part of `Rooms`.

use std::{fmt, net::IpAddr, rc::Rc, time::Instant};

use actix::Actor as _;
use slog::warn;
use tokio::sync::OnceCell;

use super::{Room, RoomHandle, RoomHome, Rooms, has_seat, messages::RoomOpened};
use crate::{
    config::Durability,
    gate::{Opening, RoomLimit, RoomPlace},
    protocol::{Cause, GameId, PlayerId},
    store::Log,
};

/// A room that is open or being opened.
pub(super) struct Slot {
    /// Distinguishes it from earlier and later rooms of the same name.
    pub number: u64,
    pub room: OnceCell<OpenRoom>,
}

pub(super) struct OpenRoom {
    pub handle: RoomHandle,
    /// Released when the slot is dropped.
    _place: RoomPlace,
}

impl Slot {
    pub(super) fn new(number: u64) -> Self {
        Self { number, room: OnceCell::new() }
    }

    /// Returns whether the room is open or being opened. A room that has just ended may still be
    /// listed while its `RoomEnded` is in flight.
    pub(super) fn is_alive(&self) -> bool {
        self.room.get().is_none_or(|room| room.handle.is_open())
    }
}

/// Who asks for a room.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Opener<'a> {
    Visitor {
        /// `None`: a spectator, who has no seat.
        player: Option<&'a PlayerId>,
        /// The address under which limits count the client.
        address: IpAddr,
    },
    BackEnd,
}

/// Why no room can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// [`Cause::Overloaded`] while the game's rooms fail faster than they may be replaced;
    /// [`Cause::Unavailable`] while the store cannot be read (D5).
    Busy(Cause),
    /// A bound of S14 is reached.
    Full(RoomLimit),
}

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy(Cause::Unavailable) => {
                f.write_str("the server cannot store anything at the moment; reconnect later")
            }
            Self::Busy(_) => f.write_str("the game's room keeps failing; reconnect later"),
            Self::Full(limit) => limit.fmt(f),
        }
    }
}

/// A request that waits for a room. If the room did not open, dropping the last one removes the
/// slot, even if the request was cancelled.
struct Waiting<'a> {
    rooms: &'a Rooms,
    game: &'a GameId,
    slot: Rc<Slot>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        // One reference is in the list, one here.
        if self.slot.room.get().is_none() && Rc::strong_count(&self.slot) <= 2 {
            self.rooms.forget(self.game, self.slot.number);
        }
    }
}

impl Rooms {
    /// Returns the room of this game. Opens it if need be, from its log if it has one.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub(crate) async fn find(&self, game: &GameId, opener: Opener<'_>) -> Result<RoomHandle, NoRoom> {
        let waiting = Waiting { rooms: self, game, slot: self.slot(game) };
        // Concurrent requests wait for one opening. If a bound refuses the first of them, the next
        // one tries.
        let opened = waiting.slot.room.get_or_try_init(|| self.open(waiting.slot.number, game, opener)).await;
        opened.map(|room| room.handle.clone())
    }

    async fn open(&self, number: u64, game: &GameId, opener: Opener<'_>) -> Result<OpenRoom, NoRoom> {
        if self.budgets.borrow().get(game).is_some_and(|budget| budget.is_spent(Instant::now())) {
            return Err(NoRoom::Busy(Cause::Overloaded));
        }
        let (durability, appender) = self.appender(game);
        let log = self.read_log(game).await.map_err(NoRoom::Busy)?;
        let place = self.place(opener, log.as_ref()).map_err(NoRoom::Full)?;
        if log.as_ref().is_some_and(|log| !log.is_intact) {
            warn!(self.setting.logger, "a room's log is damaged or older than it was; the room begins another epoch"; "game" => %game);
        }
        let home = RoomHome { appender, flush: durability == Durability::Sync, log };
        let room = Room::open(number, game.clone(), self.logics.create(game), home, self.setting.clone());
        let handle = RoomHandle::new(room.start());
        self.events.opened.do_send(RoomOpened { game: game.clone(), shard: self.shard });
        Ok(OpenRoom { handle, _place: place })
    }

    /// Takes a place under the bounds of S14. Recovers the log only if a bound would refuse.
    fn place(&self, opener: Opener<'_>, log: Option<&Log>) -> Result<RoomPlace, RoomLimit> {
        let opening = match (opener, log) {
            (Opener::Visitor { address, .. }, None) => Opening::New(address),
            (Opener::BackEnd, None) => Opening::Made,
            (Opener::Visitor { address, .. }, Some(_)) => Opening::Visited(address),
            (Opener::BackEnd, Some(_)) => Opening::Resumed,
        };
        let taken = self.permits.take(opening);
        match (opener, log) {
            (Opener::Visitor { player: Some(player), .. }, Some(log)) if taken.is_err() && has_seat(log, player) => {
                self.permits.take(Opening::Resumed)
            }
            _ => taken,
        }
    }
}
