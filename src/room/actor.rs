//! Owns the `Room` actor: one game, its mailbox, its one timer, and what happens when it ends.
//! Called through `RoomHandle`; started by the shard that owns the game.

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Instant};

use actix::{Actor, ActorContext as _, AsyncContext as _, Context, Handler, Recipient, SpawnHandle};

use super::{
    delivery::{Delivery, WelcomeTerms},
    effect::Effect,
    history::{Bounds, History},
    logic::RoomLogic,
    messages::{Act, Detach, Join, Leave, RoomEnded},
    state::RoomState,
};
use crate::{
    clock::Now,
    config::Config,
    observe::metrics::Metrics,
    protocol::{Cause, GameId, server::Verdict},
};

/// Commands that wait for the room; past it, connections stop reading (see `RoomHandle::act`).
const MAILBOX_CAPACITY: usize = 1024;

thread_local! {
    // Shared by the rooms of a shard, so that an idle room holds no buffer.
    static EFFECTS: RefCell<Vec<Effect>> = const { RefCell::new(Vec::new()) };
}

/// What a room needs besides its name and its rules; the same for all rooms of a shard.
pub struct RoomSetting {
    pub config: Arc<Config>,
    pub metrics: Arc<Metrics>,
    pub ended: Recipient<RoomEnded>,
}

/// One game and all of its players, on one thread.
///
/// Invariant: what the state decided is delivered in the order it was decided, before the handler returns.
pub struct Room {
    state: RoomState,
    delivery: Delivery,
    setting: Rc<RoomSetting>,
    timer: Option<(Instant, SpawnHandle)>,
    flush_interval: Option<std::time::Duration>,
    /// A flush is on its way.
    flushing: bool,
    counted_seats: usize,
    /// Set when the room ends of its own accord; a room dropped without it has failed.
    disposed: bool,
}

impl Room {
    pub fn new(game: GameId, logic: Box<dyn RoomLogic>, setting: Rc<RoomSetting>, now: Now) -> Self {
        let config = &setting.config;
        let epoch = uuid::Uuid::new_v4().simple().to_string();
        let history = &config.room.history;
        let bounds = Bounds { max_events: history.max_events, max_bytes: history.max_bytes, max_age: history.max_age };
        let terms = WelcomeTerms { game: game.clone(), epoch: epoch.as_str().into(), config: config.clone() };
        let state = RoomState::new(game, epoch, logic, config.clone(), fastrand::u64(..), now);
        let flush_interval =
            state.tick_interval().or(Some(config.room.flush_interval)).filter(|interval| !interval.is_zero());
        let delivery = Delivery::new(History::new(bounds), flush_interval.is_some(), terms);
        setting.metrics.rooms.inc();
        Self {
            state,
            delivery,
            setting,
            timer: None,
            flush_interval,
            flushing: false,
            counted_seats: 0,
            disposed: false,
        }
    }

    pub fn epoch(&self) -> &str {
        self.state.epoch()
    }

    /// Runs one change of the state and everything that follows from it.
    fn turn<R>(
        &mut self,
        context: &mut Context<Self>,
        change: impl FnOnce(&mut RoomState, Now, &mut Vec<Effect>) -> R,
    ) -> (R, Option<Verdict>) {
        let mut effects = EFFECTS.take();
        let result = change(&mut self.state, Now::read(), &mut effects);
        let mut verdict = None;
        for effect in effects.drain(..) {
            verdict = self.delivery.deliver(effect).or(verdict);
        }
        EFFECTS.set(effects);
        self.count_seats();
        self.arm(context);
        if self.delivery.is_held()
            && let Some(interval) = self.flush_interval
        {
            self.flush_later(interval, context);
        }
        (result, verdict)
    }

    fn flush_later(&mut self, interval: std::time::Duration, context: &mut Context<Self>) {
        if !self.flushing {
            self.flushing = true;
            context.run_later(interval, |room, _| {
                room.flushing = false;
                room.delivery.release();
            });
        }
    }

    /// One timer for everything that falls due; an idle room has none running.
    fn arm(&mut self, context: &mut Context<Self>) {
        let due = self.state.next_deadline();
        if let Some((armed, handle)) = self.timer {
            // A timer that is early only finds nothing to do; one that is not needed at all costs memory.
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
        self.timer = None;
        self.turn(context, RoomState::tick);
        let now = Instant::now();
        self.delivery.trim(now);
        if self.state.is_over(now) {
            self.disposed = true;
            context.stop();
        }
    }

    fn count_seats(&mut self) {
        let seats = self.state.seat_count();
        if seats != self.counted_seats {
            self.setting.metrics.sessions.add(seats as i64 - self.counted_seats as i64);
            self.counted_seats = seats;
        }
    }
}

impl Actor for Room {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(MAILBOX_CAPACITY);
        self.arm(context);
    }
}

/// Runs when the room is over, and while a panic unwinds through it: nobody is left waiting either way.
impl Drop for Room {
    fn drop(&mut self) {
        self.setting.metrics.rooms.dec();
        self.setting.metrics.sessions.sub(self.counted_seats as i64);
        self.delivery.close_all(Cause::RoomFailed, "room_failed", "the room ended abnormally; reconnect to a new one");
        self.setting.ended.do_send(RoomEnded {
            game: self.state.game().clone(),
            epoch: self.state.epoch().to_owned(),
            failed: !self.disposed,
        });
    }
}

impl Handler<Join> for Room {
    type Result = Result<Verdict, Cause>;

    fn handle(&mut self, join: Join, context: &mut Self::Context) -> Self::Result {
        let (joined, verdict) = self.turn(context, |state, now, effects| state.join(join, now, effects));
        joined.map(|()| verdict.unwrap_or(Verdict::New))
    }
}

impl Handler<Act> for Room {
    type Result = ();

    fn handle(&mut self, act: Act, context: &mut Self::Context) {
        self.turn(context, |state, now, effects| state.act(act, now, effects));
    }
}

impl Handler<Leave> for Room {
    type Result = ();

    fn handle(&mut self, leave: Leave, context: &mut Self::Context) {
        self.turn(context, |state, now, effects| state.leave(leave.connection, &leave.entry, now, effects));
    }
}

impl Handler<Detach> for Room {
    type Result = ();

    fn handle(&mut self, detach: Detach, context: &mut Self::Context) {
        self.turn(context, |state, now, effects| state.detach(detach.connection, &detach.entry, now, effects));
    }
}
