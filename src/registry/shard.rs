//! Owns one shard: a thread with its rooms, its connections and its flusher; opens rooms and replaces failed ones.
//! Called by `http` (adoption of sockets), `connection` (to find its room), `registry` (drain) and rooms that end.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::{Rc, Weak},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use actix::{Actor, AsyncContext as _, Context, Handler, Recipient, ResponseFuture};
use slog::{Logger, error};

use super::{
    budget::RestartBudget,
    messages::{Adopt, DrainShard, RoomClosed, RoomOpened},
};
use crate::{
    clock::Now,
    config::Config,
    observe::metrics::Metrics,
    protocol::{Cause, GameId, ServerFrame},
    room::{Logics, Room, RoomHandle, RoomSetting, messages::RoomEnded},
    ws::{Flusher, Outbox, json_frame, linger},
};

/// Sockets on their way in; past it, upgrades wait.
const MAILBOX_CAPACITY: usize = 1024;
/// How often a shard adds its own counters to the shared ones.
const PUBLISH_INTERVAL: Duration = Duration::from_secs(1);

/// What everything on a shard's thread shares. Never leaves the thread.
pub struct Local {
    pub logger: Logger,
    pub metrics: Arc<Metrics>,
    pub flusher: Rc<Flusher>,
    logics: Arc<Logics>,
    index: usize,
    rooms: RefCell<HashMap<GameId, OpenRoom>>,
    budgets: RefCell<HashMap<GameId, RestartBudget>>,
    outboxes: RefCell<HashMap<u64, Weak<Outbox>>>,
    /// Set once draining: a connection that was admitted before is sent away on its arrival.
    draining: RefCell<Option<DrainShard>>,
    next_connection: Cell<u64>,
    setting: Rc<RoomSetting>,
    registry: Events,
}

/// Where a shard reports its rooms.
#[derive(Clone)]
pub struct Events {
    pub opened: Recipient<RoomOpened>,
    pub closed: Recipient<RoomClosed>,
}

struct OpenRoom {
    handle: RoomHandle,
    epoch: String,
}

impl Local {
    /// The room of this game; it is opened if need be.
    ///
    /// # Errors
    /// [`Cause::Overloaded`] while the game's rooms fail faster than they may be replaced.
    pub fn find_room(&self, game: &GameId) -> Result<RoomHandle, Cause> {
        // A room that has just ended may still be listed: its last message is on its way here.
        if let Some(room) = self.rooms.borrow().get(game).filter(|room| room.handle.is_open()) {
            return Ok(room.handle.clone());
        }
        if self.budgets.borrow().get(game).is_some_and(|budget| budget.is_spent(Instant::now())) {
            return Err(Cause::Overloaded);
        }
        let room = Room::new(game.clone(), self.logics.create(game), self.setting.clone(), Now::read());
        let epoch = room.epoch().to_owned();
        let handle = RoomHandle::new(room.start());
        self.rooms.borrow_mut().insert(game.clone(), OpenRoom { handle: handle.clone(), epoch });
        self.registry.opened.do_send(RoomOpened { game: game.clone(), shard: self.index });
        Ok(handle)
    }

    /// A number for a new connection: larger than every earlier one of this shard.
    pub fn next_connection(&self) -> u64 {
        let connection = self.next_connection.get() + 1;
        self.next_connection.set(connection);
        connection
    }

    /// Notes a connection for the drain.
    pub fn attach(&self, connection: u64, outbox: &Rc<Outbox>) {
        self.outboxes.borrow_mut().insert(connection, Rc::downgrade(outbox));
        if let Some(drain) = &*self.draining.borrow() {
            send_away(outbox, drain);
        }
    }

    pub fn detach(&self, connection: u64) {
        self.outboxes.borrow_mut().remove(&connection);
    }

    fn room_ended(&self, ended: RoomEnded) {
        let RoomEnded { game, epoch, failed } = ended;
        if failed {
            self.metrics.room_restarts_total.inc();
            error!(self.logger, "room failed; its players resume into a new one"; "game" => %game);
            let mut budgets = self.budgets.borrow_mut();
            let now = Instant::now();
            budgets.retain(|_, budget| !budget.is_idle(now));
            budgets.entry(game.clone()).or_default().spend(now);
        }
        // Another room may have taken the name already.
        let mut rooms = self.rooms.borrow_mut();
        if rooms.get(&game).is_some_and(|room| room.epoch == epoch) {
            rooms.remove(&game);
            self.registry.closed.do_send(RoomClosed { game });
        }
    }

    /// D4: every client is told when to come back, then closed.
    fn go_away(&self, drain: DrainShard) {
        let outboxes: Vec<_> = self.outboxes.borrow().values().filter_map(Weak::upgrade).collect();
        for outbox in outboxes.iter().filter(|outbox| outbox.cause().is_none()) {
            send_away(outbox, &drain);
        }
        self.draining.replace(Some(drain));
    }
}

fn send_away(outbox: &Rc<Outbox>, drain: &DrainShard) {
    let slot = drain.taken.fetch_add(1, Ordering::Relaxed).min(drain.slots);
    let after = drain.spread * slot / drain.slots.max(1);
    let frame = json_frame(|out| {
        let reconnect_after_ms = after.as_millis() as u64;
        ServerFrame::GoingAway { code: Cause::Draining.code(), reconnect_after_ms }.write(out);
    });
    outbox.close(Cause::Draining, Some(frame));
}

/// The actor in front of [`Local`].
pub struct Shard {
    local: Rc<Local>,
}

impl Shard {
    /// Starts a shard on the current thread.
    pub fn start(
        index: usize,
        config: Arc<Config>,
        logics: Arc<Logics>,
        metrics: Arc<Metrics>,
        logger: Logger,
        registry: Events,
    ) -> actix::Addr<Self> {
        Self::create(|context| {
            let flusher = Flusher::new(metrics.shard());
            actix_rt::spawn(flusher.clone().run());
            let setting = RoomSetting { config, metrics: metrics.clone(), ended: context.address().recipient() };
            let local = Local {
                logger,
                metrics,
                flusher,
                logics,
                index,
                rooms: RefCell::default(),
                budgets: RefCell::default(),
                outboxes: RefCell::default(),
                draining: RefCell::default(),
                next_connection: Cell::new(0),
                setting: Rc::new(setting),
                registry,
            };
            Self { local: Rc::new(local) }
        })
    }
}

impl Actor for Shard {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(MAILBOX_CAPACITY);
        context.run_interval(PUBLISH_INTERVAL, |shard, _| shard.local.flusher.stats().publish());
    }
}

impl Handler<Adopt> for Shard {
    type Result = ();

    fn handle(&mut self, Adopt(adopt): Adopt, _: &mut Self::Context) {
        adopt(&self.local);
    }
}

impl Handler<RoomEnded> for Shard {
    type Result = ();

    fn handle(&mut self, ended: RoomEnded, _: &mut Self::Context) {
        self.local.room_ended(ended);
    }
}

impl Handler<DrainShard> for Shard {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, drain: DrainShard, _: &mut Self::Context) -> Self::Result {
        self.local.go_away(drain);
        let local = self.local.clone();
        Box::pin(async move {
            // Connections hand their sockets over to linger in the turns that follow.
            while !local.outboxes.borrow().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            linger::all_gone().await;
            local.flusher.stats().publish();
        })
    }
}
