//! Owns the order of output between a room and its members: an effect is shown once it is stored,
//! in the order the state decided.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

use actix::{Recipient, WeakRecipient};
use tokio::sync::{Notify, oneshot};

use super::{delivery::Delivery, effect::Effect, messages::Outdated};
use crate::{
    protocol::{Cause, Verdict},
    store::{Appended, Appender, Outcome, Ticket},
};

/// How many effects of one room may wait for the store before the room itself waits.
/// `MAX_DELIVERIES` bounds the frames they become: effects that are stored together are shown in
/// one run, while other tasks of the shard wait.
const MAX_WAITING: usize = 4096;
const MAX_DELIVERIES: usize = 100_000;
/// How long stored effects are shown before the task yields to others of the shard.
const BUDGET: Duration = Duration::from_millis(1);

/// An effect that waits for the store, and the outlet that shows it.
pub type Deferred = (Rc<Outlet>, Effect);

/// The half of a room that faces its members. It lives on after the room until its last effect is
/// settled.
pub struct Outlet {
    delivery: RefCell<Delivery>,
    /// Effects that wait for the store.
    waiting: Cell<usize>,
    /// The newest batch of this room. Effects without a batch of their own wait for this one.
    ticket: Cell<Option<Ticket>>,
    /// Connections that wait for their `welcome`.
    joining: RefCell<Vec<(u64, oneshot::Sender<Verdict>)>>,
    /// The room is over: no further effect is shown.
    is_closed: Cell<bool>,
    /// `None`: frames are written at once.
    flush_interval: Option<Duration>,
    is_flushing: Cell<bool>,
    /// Notified when the outlet is no longer full.
    space: Notify,
    room: RefCell<Option<WeakRecipient<Outdated>>>,
}

impl Outlet {
    pub fn new(delivery: Delivery, flush_interval: Option<Duration>) -> Rc<Self> {
        Rc::new(Self {
            delivery: RefCell::new(delivery),
            waiting: Cell::new(0),
            ticket: Cell::new(None),
            joining: RefCell::default(),
            is_closed: Cell::new(false),
            flush_interval,
            is_flushing: Cell::new(false),
            space: Notify::new(),
            room: RefCell::default(),
        })
    }

    /// Sets the recipient of [`Outdated`], sent when the log no longer belongs to this room.
    pub fn attach(&self, room: &Recipient<Outdated>) {
        self.room.replace(Some(room.downgrade()));
    }

    /// Registers a connection that waits for its `welcome`.
    pub fn reserve(&self, connection: u64) -> oneshot::Receiver<Verdict> {
        let (welcomed, verdict) = oneshot::channel();
        self.joining.borrow_mut().push((connection, welcomed));
        verdict
    }

    /// Forgets a connection whose join was refused.
    pub fn forget(&self, connection: u64) {
        self.joining.borrow_mut().retain(|(joining, _)| *joining != connection);
    }

    /// Shows the effects once `appended`, the batch with their records, is stored, and always
    /// behind all earlier effects. While the store fails, fleeting effects do not wait (D5).
    pub fn pass(
        self: &Rc<Self>,
        appended: Option<Appended>,
        effects: impl Iterator<Item = Effect>,
        home: &Appender<Deferred>,
    ) {
        match appended {
            Some(Appended::Settled(Outcome::Rejected)) => return self.outdated(),
            Some(Appended::Pending(ticket)) => self.ticket.set(Some(ticket)),
            Some(Appended::Settled(Outcome::Stored)) | None => {}
        }
        let is_failing = home.is_failing();
        let holds = matches!(appended, Some(Appended::Pending(_)));
        for effect in effects.filter(|effect| !matches!(effect, Effect::Keep(_))) {
            match self.ticket.get() {
                Some(ticket) if (holds || self.is_waiting()) && !(is_failing && effect.is_fleeting()) => {
                    self.waiting.set(self.waiting.get() + 1);
                    home.defer(ticket, (self.clone(), effect));
                }
                _ => self.show(effect),
            }
        }
    }

    /// Returns whether an effect waits for the store.
    pub fn is_waiting(&self) -> bool {
        self.waiting.get() > 0
    }

    /// Returns whether the bound on waiting effects or on their deliveries is reached.
    pub fn is_full(&self) -> bool {
        let waiting = self.waiting.get();
        waiting >= MAX_WAITING || waiting.saturating_mul(self.delivery.borrow().member_count()) >= MAX_DELIVERIES
    }

    /// Resolves when the outlet is no longer full.
    pub async fn space(&self) {
        while self.is_full() {
            self.space.notified().await;
        }
    }

    /// Shows one deferred effect. The shard calls this for every deferred effect, in order.
    pub fn settle(self: &Rc<Self>, outcome: Outcome, effect: Effect) {
        let was_full = self.is_full();
        self.waiting.set(self.waiting.get() - 1);
        if was_full && !self.is_full() {
            self.space.notify_one();
        }
        match outcome {
            Outcome::Stored => self.show(effect),
            Outcome::Rejected => self.outdated(),
        }
    }

    fn show(self: &Rc<Self>, effect: Effect) {
        if self.is_closed.get() {
            return;
        }
        if let Effect::CloseAll(cause) = effect {
            return self.close(cause, "the back end has closed this game");
        }
        let entering = match &effect {
            Effect::Enter { connection, .. } => Some(*connection),
            _ => None,
        };
        let mut delivery = self.delivery.borrow_mut();
        let verdict = delivery.deliver(effect);
        let is_held = delivery.is_held();
        drop(delivery);
        if let (Some(connection), Some(verdict)) = (entering, verdict) {
            let mut joining = self.joining.borrow_mut();
            if let Some(place) = joining.iter().position(|(joining, _)| *joining == connection) {
                // Fails if the connection is gone. The connection itself detaches from the room
                // then.
                let _ = joining.swap_remove(place).1.send(verdict);
            }
            if joining.is_empty() {
                *joining = Vec::new();
            }
        }
        if is_held && let Some(interval) = self.flush_interval {
            self.flush_later(interval);
        }
    }

    fn flush_later(self: &Rc<Self>, interval: Duration) {
        if !self.is_flushing.replace(true) {
            let outlet = self.clone();
            actix_rt::spawn(async move {
                tokio::time::sleep(interval).await;
                outlet.is_flushing.set(false);
                outlet.delivery.borrow_mut().release();
            });
        }
    }

    /// Another writer owns this log, or it was deleted. The room's state is no longer valid.
    fn outdated(&self) {
        self.close(Cause::RoomFailed, "the room's log was replaced; resume into what is there now");
        if let Some(room) = self.room.borrow().as_ref().and_then(WeakRecipient::upgrade) {
            room.do_send(Outdated);
        }
    }

    /// Ends every connection of the room. Connections that wait for their `welcome` join the next
    /// room.
    pub fn close(&self, cause: Cause, message: &str) {
        if !self.is_closed.replace(true) {
            self.delivery.borrow_mut().close_all(cause, message);
            self.joining.borrow_mut().clear();
        }
    }

    pub fn delivery(&self) -> std::cell::RefMut<'_, Delivery> {
        self.delivery.borrow_mut()
    }
}

/// Shows effects as the store settles them, for the life of the shard.
pub async fn show_settled(home: Rc<Appender<Deferred>>) {
    loop {
        home.settled().await;
        let mut began = Instant::now();
        while let Some((outcome, (outlet, effect))) = home.next() {
            outlet.settle(outcome, effect);
            if began.elapsed() >= BUDGET {
                tokio::task::yield_now().await;
                began = Instant::now();
            }
        }
    }
}
