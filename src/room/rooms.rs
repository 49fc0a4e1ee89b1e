//! Owns `Rooms`: the rooms of one shard, by game. It finds them, lists them, forgets those that
//! ended, and chooses where their logs are.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    sync::Arc,
    time::Instant,
};

use actix::Recipient;
use slog::{error, warn};

use super::{
    Deferred, Logics, RoomHandle, RoomSetting,
    messages::{RoomClosed, RoomEnded, RoomOpened},
    opening::Slot,
};
use crate::{
    budget::RestartBudget,
    config::Durability,
    gate::RoomPermits,
    protocol::{Cause, GameId},
    store::{Appender, Log},
    ws::Flusher,
};

/// The rooms of one shard. Never leaves its thread.
pub(crate) struct Rooms {
    /// The index of the shard.
    pub(super) shard: usize,
    pub(super) setting: Rc<RoomSetting>,
    pub(super) logics: Arc<Logics>,
    /// The bounds on rooms (S14).
    pub(super) permits: Arc<RoomPermits>,
    pub(super) events: RoomEvents,
    pub(super) budgets: RefCell<HashMap<GameId, RestartBudget>>,
    logs: RoomLogs,
    slots: RefCell<HashMap<GameId, Rc<Slot>>>,
    next: Cell<u64>,
    flusher: Rc<Flusher>,
}

/// The recipients of a shard's reports about its rooms.
#[derive(Clone)]
pub(crate) struct RoomEvents {
    pub opened: Recipient<RoomOpened>,
    pub closed: Recipient<RoomClosed>,
}

/// Where the logs of a shard's rooms are.
pub(crate) struct RoomLogs {
    /// Logs of rooms that end with the process.
    pub memory: Rc<Appender<Deferred>>,
    /// Logs of rooms that survive the process; `None` if no room is configured to.
    pub journal: Option<Rc<Appender<Deferred>>>,
}

impl Rooms {
    pub(crate) fn new(
        shard: usize,
        setting: RoomSetting,
        logics: Arc<Logics>,
        permits: Arc<RoomPermits>,
        events: RoomEvents,
        logs: RoomLogs,
        flusher: Rc<Flusher>,
    ) -> Rc<Self> {
        Rc::new(Self {
            shard,
            setting: Rc::new(setting),
            logics,
            permits,
            events,
            budgets: RefCell::default(),
            logs,
            slots: RefCell::default(),
            next: Cell::new(0),
            flusher,
        })
    }

    /// Returns the room of this game, if it is open.
    pub(crate) fn open_room(&self, game: &GameId) -> Option<RoomHandle> {
        let slots = self.slots.borrow();
        let room = slots.get(game).and_then(|slot| slot.room.get())?;
        room.handle.is_open().then(|| room.handle.clone())
    }

    /// Returns whether the room is open or being opened.
    pub(crate) fn is_listed(&self, game: &GameId) -> bool {
        self.slots.borrow().get(game).is_some_and(|slot| slot.is_alive())
    }

    /// Counts a client's action, for the metrics.
    pub(super) fn count_action(&self) {
        self.flusher.stats().event_in();
    }

    pub(super) fn slot(&self, game: &GameId) -> Rc<Slot> {
        let mut slots = self.slots.borrow_mut();
        if let Some(slot) = slots.get(game).filter(|slot| slot.is_alive()) {
            return slot.clone();
        }
        let slot = Rc::new(Slot::new(self.next.get()));
        self.next.set(slot.number + 1);
        slots.insert(game.clone(), slot.clone());
        slot
    }

    /// Removes the slot with this number. Returns `false` if the game has no slot or a newer one.
    pub(super) fn forget(&self, game: &GameId, number: u64) -> bool {
        let mut slots = self.slots.borrow_mut();
        let is_listed = slots.get(game).is_some_and(|slot| slot.number == number);
        if is_listed {
            slots.remove(game);
        }
        is_listed
    }

    /// A room is over. One that failed spends its game's budget for restarts.
    pub(crate) fn ended(&self, ended: RoomEnded) {
        let RoomEnded { game, number, failed } = ended;
        if failed {
            self.setting.metrics.room_restarts_total.inc();
            error!(self.setting.logger, "room failed; its players resume into a new one"; "game" => %game);
            let mut budgets = self.budgets.borrow_mut();
            let now = Instant::now();
            budgets.retain(|_, budget| !budget.is_idle(now));
            budgets.entry(game.clone()).or_default().spend(now);
        }
        if self.forget(&game, number) {
            self.events.closed.do_send(RoomClosed { game });
        }
    }

    /// Returns this game's durability and the appender of its log.
    pub(super) fn appender(&self, game: &GameId) -> (Durability, Rc<Appender<Deferred>>) {
        let durability = self.durability(game);
        let appender = match &self.logs.journal {
            Some(journal) if durability != Durability::Memory => journal.clone(),
            _ => self.logs.memory.clone(),
        };
        (durability, appender)
    }

    pub(super) fn durability(&self, game: &GameId) -> Durability {
        self.setting.config.store.durability(game.as_str())
    }

    /// # Errors
    /// [`Cause::Unavailable`] while the store cannot be read (D5).
    pub(super) async fn read_log(&self, game: &GameId) -> Result<Option<Log>, Cause> {
        self.appender(game).1.read(game.clone().into()).await.map_err(|error| {
            warn!(self.setting.logger, "a room cannot be opened: the store fails"; "game" => %game, "error" => %error);
            Cause::Unavailable
        })
    }
}
