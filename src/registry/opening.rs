//! Owns how a shard opens a room: once for all who come at the same time, within the bounds of S14,
//! from its log if it has one. A part of `Local`.

use std::{fmt, net::IpAddr, rc::Rc, time::Instant};

use actix::Actor as _;
use slog::warn;
use tokio::sync::OnceCell;

use super::{messages::RoomOpened, shard::Local};
use crate::{
    config::Durability,
    gate::{Opening, RoomLimit, RoomPlace},
    protocol::{Cause, GameId, PlayerId},
    room::{Room, RoomHandle, RoomHome, has_seat},
    store::Log,
};

/// A room, or the place of one that is being opened.
pub(super) struct Slot {
    /// Tells it from earlier and later rooms of the same name.
    pub number: u64,
    pub room: OnceCell<OpenRoom>,
}

pub(super) struct OpenRoom {
    pub handle: RoomHandle,
    /// Given back with the slot.
    _place: RoomPlace,
}

impl Slot {
    pub fn new(number: u64) -> Self {
        Self { number, room: OnceCell::new() }
    }

    /// The room is open or being opened. One that has just ended may still be listed: its last message is on its way.
    pub fn is_alive(&self) -> bool {
        self.room.get().is_none_or(|room| room.handle.is_open())
    }
}

/// For whom a room is looked for.
#[derive(Debug, Clone, Copy)]
pub enum Opener<'a> {
    Visitor {
        /// `None`: a spectator, who has no seat.
        player: Option<&'a PlayerId>,
        /// What limits count by.
        address: IpAddr,
    },
    BackEnd,
}

/// Why there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRoom {
    /// [`Cause::Overloaded`] while the game's rooms fail faster than they may be replaced, [`Cause::Unavailable`] while the
    /// store cannot be read (D5).
    Busy(Cause),
    /// S14.
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

/// Whoever waits for a room. The last one of a room that did not open takes its slot away, also when it waits no longer.
struct Waiting<'a> {
    local: &'a Local,
    game: &'a GameId,
    slot: Rc<Slot>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        // One for the list, one here.
        if self.slot.room.get().is_none() && Rc::strong_count(&self.slot) <= 2 {
            self.local.forget(self.game, self.slot.number);
        }
    }
}

impl Local {
    /// The room of this game; it is opened if need be, and comes back from its log if it has one.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub async fn find_room(&self, game: &GameId, opener: Opener<'_>) -> Result<RoomHandle, NoRoom> {
        let waiting = Waiting { local: self, game, slot: self.slot(game) };
        // Several who come at once wait for one opening; whom a bound refuses leaves it to the next.
        let opened = waiting.slot.room.get_or_try_init(|| self.open_room(waiting.slot.number, game, opener)).await;
        opened.map(|room| room.handle.clone())
    }

    async fn open_room(&self, number: u64, game: &GameId, opener: Opener<'_>) -> Result<OpenRoom, NoRoom> {
        if self.budgets.borrow().get(game).is_some_and(|budget| budget.is_spent(Instant::now())) {
            return Err(NoRoom::Busy(Cause::Overloaded));
        }
        let (durability, appender) = self.appender(game);
        let log = self.read_log(game).await.map_err(NoRoom::Busy)?;
        let place = self.place(opener, log.as_ref()).map_err(NoRoom::Full)?;
        if log.as_ref().is_some_and(|log| !log.is_intact) {
            warn!(self.logger, "a room's log is damaged or older than it was; the room begins another epoch"; "game" => %game);
        }
        let home = RoomHome { appender, flush: durability == Durability::Sync, log };
        let room = Room::open(number, game.clone(), self.logics.create(game), home, self.setting.clone());
        let handle = RoomHandle::new(room.start());
        self.registry.opened.do_send(RoomOpened { game: game.clone(), shard: self.index });
        Ok(OpenRoom { handle, _place: place })
    }

    /// The log is folded for this only where a bound would refuse.
    fn place(&self, opener: Opener<'_>, log: Option<&Log>) -> Result<RoomPlace, RoomLimit> {
        let opening = match (opener, log) {
            (Opener::Visitor { address, .. }, None) => Opening::New(address),
            (Opener::BackEnd, None) => Opening::Made,
            (Opener::Visitor { address, .. }, Some(_)) => Opening::Visited(address),
            (Opener::BackEnd, Some(_)) => Opening::Resumed,
        };
        let taken = self.places.take(opening);
        match (opener, log) {
            (Opener::Visitor { player: Some(player), .. }, Some(log)) if taken.is_err() && has_seat(log, player) => {
                self.places.take(Opening::Resumed)
            }
            _ => taken,
        }
    }
}
