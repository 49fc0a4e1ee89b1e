//! Owns the `Room` actor: one game, its mailbox, its one timer, and how it ends.

mod members;
mod operate;
#[cfg(test)]
mod tests;

use std::{
    cell::RefCell,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{Actor, ActorContext as _, AsyncContext as _, Context, Handler, Recipient, SpawnHandle, WrapFuture as _};

use slog::{Logger, warn};

use super::{
    delivery::{Delivery, WelcomeTerms},
    effect::{Effect, Effects},
    ledger::Till,
    log::RoomLog,
    logic::RoomLogic,
    messages::{CutHistory, Outdated, RoomEnded},
    outlet::{Deferred, Outlet, OutletItem},
    recovery::Recovered,
    state::RoomState,
};
use crate::{
    clock::{self, Now},
    config::Config,
    observe::metrics::Metrics,
    protocol::{Cause, GameId},
    store::{Appender, Log, Snapshot},
};

/// How many commands may wait for the room. Past it, connections stop reading (`RoomHandle::act`).
const MAILBOX_CAPACITY: usize = 1024;
/// How long a room works before it yields to the other tasks of its shard.
const BUDGET: Duration = Duration::from_millis(1);
/// How often a room with a due timer checks whether a failing store works again.
const STORE_RETRY: Duration = Duration::from_millis(100);

thread_local! {
    // All rooms of a shard share this buffer, so that an idle room holds none.
    static EFFECTS: RefCell<Vec<Effect>> = const { RefCell::new(Vec::new()) };
}

/// What a room needs besides its name and its rules. The same for all rooms of a shard.
pub(crate) struct RoomSetting {
    pub config: Arc<Config>,
    pub metrics: Arc<Metrics>,
    pub logger: Logger,
    pub ended: Recipient<RoomEnded>,
    /// Counts the bytes of all histories of this shard (S14).
    pub till: Rc<Till>,
    /// When the server started. The grace of players that were connected before it starts anew here
    /// (R4).
    pub started: Instant,
}

/// Where a room's log lives.
pub(crate) struct RoomHome {
    pub appender: Rc<Appender<Deferred>>,
    /// `DURABILITY=sync` (D1).
    pub flush: bool,
    /// The log that the store holds of this room, if it holds one.
    pub log: Option<Log>,
}

/// One game and all of its players, on one thread.
///
/// Invariant: effects are shown in the order the state decided them, and no event before it is
/// stored (S3).
pub(crate) struct Room {
    /// Distinguishes this room from earlier and later rooms of the same name.
    number: u64,
    state: RoomState,
    log: RoomLog,
    outlet: Rc<Outlet>,
    setting: Rc<RoomSetting>,
    timer: Option<(Instant, SpawnHandle)>,
    counted_seats: usize,
    /// Set when the room ends in good order. A room dropped without it has failed.
    is_over: bool,
    /// The room has logged a warning about a refused patch of its logic. It logs only the first.
    has_refused_patches: bool,
    /// Time worked since the room last yielded.
    worked: Duration,
}

impl Room {
    /// Opens a room from its log, or a new one. A room whose log is damaged keeps the state as far
    /// as it can be read, but starts a new epoch (R3).
    pub(crate) fn open(
        number: u64,
        game: GameId,
        logic: Box<dyn RoomLogic>,
        home: RoomHome,
        setting: Rc<RoomSetting>,
    ) -> Self {
        let now = Now::read();
        let config = &setting.config;
        let RoomHome { appender, flush, log } = home;
        let recovered = log.as_ref().and_then(|log| Recovered::from_log(log, now));
        let continued = recovered.as_ref().filter(|recovered| recovered.is_intact).map(|recovered| recovered.end);
        let mut state = RoomState::new(game.clone(), new_epoch(), logic, config.clone(), fastrand::u64(..), now);
        if let Some(recovered) = recovered {
            // Downtime from before this start counts from the start; a room that failed a moment
            // ago counts from now.
            let since = if recovered.downtime.is_zero() { now.instant } else { setting.started };
            state.restore(recovered, since, now);
        }
        let flush_interval =
            state.tick_interval().or(Some(config.room.flush_interval)).filter(|interval| !interval.is_zero());
        let terms = WelcomeTerms { game: game.clone(), epoch: state.epoch().into(), config: config.clone() };
        let outlet = Outlet::new(Delivery::new(state.seq(), flush_interval.is_some(), terms), flush_interval);
        let mut room_log = RoomLog::new(game, appender, flush, continued.unwrap_or_default());
        if continued.is_none() {
            let begun = room_log.begin(&state.image(now), log.is_some());
            outlet.pass(Some(begun), std::iter::empty(), room_log.appender());
        }
        setting.metrics.rooms.inc();
        Self {
            number,
            state,
            log: room_log,
            outlet,
            setting,
            timer: None,
            counted_seats: 0,
            is_over: false,
            has_refused_patches: false,
            worked: Duration::ZERO,
        }
    }

    /// Applies one change to the state, logs and shows its effects, and arms the timer.
    fn turn<R>(&mut self, context: &mut Context<Self>, change: impl FnOnce(&mut RoomState, &mut Effects) -> R) -> R {
        self.turn_then(context, change, None)
    }

    /// As [`Room::turn`]; `last` is shown behind the effects of the change.
    fn turn_then<R>(
        &mut self,
        context: &mut Context<Self>,
        change: impl FnOnce(&mut RoomState, &mut Effects) -> R,
        last: Option<OutletItem>,
    ) -> R {
        let now = Now::read();
        let mut effects = Effects::reusing(EFFECTS.take(), now, self.log.position());
        let result = change(&mut self.state, &mut effects);
        let mut effects = effects.into_list();
        self.note_refused_patches();
        let state = &self.state;
        let appended = self
            .log
            .write(&effects, || Snapshot { body: state.image(now).to_bytes(), keep_from: state.history().keep_from() });
        let items = effects.drain(..).map(OutletItem::Effect).chain(last);
        self.outlet.pass(appended, items, self.log.appender());
        EFFECTS.set(effects);
        self.count_seats();
        self.arm(context);
        self.wait_for_store(context);
        self.worked += now.instant.elapsed();
        if self.worked >= BUDGET {
            self.worked = Duration::ZERO;
            // Without this, actix drains the whole mailbox before another task of this shard runs.
            context.wait(tokio::task::yield_now().into_actor(self));
        }
        result
    }

    fn note_refused_patches(&mut self) {
        let refused = self.state.take_refused_patches();
        self.setting.metrics.logic_patches_refused.inc_by(u64::from(refused));
        if refused > 0 && !std::mem::replace(&mut self.has_refused_patches, true) {
            let text = "a patch of a room's logic was refused: it is no object, too deep, or past MAX_STATE_BYTES";
            warn!(self.setting.logger, "{}", text; "game" => %self.state.game());
        }
    }

    /// Applies back-pressure: while the store is slow, the mailbox fills up and connections stop
    /// reading. While the store fails, the room does not wait: it refuses requests (D5).
    fn wait_for_store(&mut self, context: &mut Context<Self>) {
        if let Some(journal) = self.log.appender().congested() {
            context.wait(async move { journal.space().await }.into_actor(self));
        }
        if self.outlet.is_full() && !self.log.appender().is_failing() {
            let (outlet, home) = (self.outlet.clone(), self.log.appender().clone());
            let space = async move {
                while outlet.is_full() && !home.is_failing() {
                    // The timeout is needed because a store that begins to fail does not notify
                    // `outlet`.
                    let _ = tokio::time::timeout(STORE_RETRY, outlet.space()).await;
                }
            };
            context.wait(space.into_actor(self));
        }
    }

    /// Keeps one timer for every deadline. An idle room has none.
    fn arm(&mut self, context: &mut Context<Self>) {
        let due = self.state.next_deadline();
        if let Some((armed, handle)) = self.timer {
            // A timer that fires early does no harm. A timer without a deadline is cancelled, as it
            // costs memory.
            if due.is_some_and(|due| armed <= due) {
                return;
            }
            context.cancel_future(handle);
            self.timer = None;
        }
        let Some(due) = due else { return };
        let wait = due.saturating_duration_since(Instant::now());
        self.timer = Some((due, context.run_later(wait, Self::on_timer)));
    }

    fn on_timer(&mut self, context: &mut Context<Self>) {
        let due = self.timer.take().map(|(due, _)| due);
        if self.log.appender().is_failing() {
            // D5: what is due now waits until it can be stored.
            self.timer = Some((Instant::now(), context.run_later(STORE_RETRY, Self::on_timer)));
            return;
        }
        let now = Instant::now();
        if let Some(later) = due.and_then(|due| clock::postponed(due, now)) {
            self.state.postpone_graces(later);
        }
        self.turn(context, RoomState::tick);
        if self.state.is_over(Instant::now()) {
            self.log.remove();
            self.end(context);
        }
    }

    fn end(&mut self, context: &mut Context<Self>) {
        self.is_over = true;
        context.stop();
    }

    fn count_seats(&mut self) {
        let seats = self.state.seat_count();
        if seats != self.counted_seats {
            self.setting.metrics.sessions.add(seats as i64 - self.counted_seats as i64);
            self.counted_seats = seats;
        }
    }
}

fn new_epoch() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

impl Actor for Room {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(MAILBOX_CAPACITY);
        self.outlet.attach(&context.address().recipient());
        let room = context.address().downgrade();
        let cut = move |bytes| {
            if let Some(room) = room.upgrade() {
                room.do_send(CutHistory { bytes });
            }
        };
        self.state.attach(self.setting.till.open(Box::new(cut)));
        self.turn(context, RoomState::reopen);
    }
}

/// Runs when the room is over, and while a panic unwinds through it. Either way no client is left
/// waiting.
impl Drop for Room {
    fn drop(&mut self) {
        self.setting.metrics.rooms.dec();
        self.setting.metrics.sessions.sub(self.counted_seats as i64);
        // A room that ends in good order has no members. Effects that still wait for the store are
        // shown later.
        if !self.is_over {
            self.outlet.close(Cause::RoomFailed, "the room ended abnormally; reconnect to a new one");
        }
        let ended = RoomEnded { game: self.state.game().clone(), number: self.number, failed: !self.is_over };
        self.setting.ended.do_send(ended);
    }
}

impl Handler<CutHistory> for Room {
    type Result = ();

    fn handle(&mut self, cut: CutHistory, _: &mut Self::Context) {
        self.state.cut_history(cut.bytes);
    }
}

impl Handler<Outdated> for Room {
    type Result = ();

    fn handle(&mut self, _: Outdated, context: &mut Self::Context) {
        self.end(context);
    }
}
