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
    ws::{Frame, Outbox},
};

/// How many effects of one room may wait for the store before the room itself waits.
/// `MAX_DELIVERIES` bounds the frames they become: effects that are stored together are shown in
/// one run, while other tasks of the shard wait.
const MAX_WAITING: usize = 4096;
const MAX_DELIVERIES: usize = 100_000;
/// How long stored effects are shown before the task yields to others of the shard.
const BUDGET: Duration = Duration::from_millis(1);

/// What waits for the store, and the outlet that shows it.
pub(crate) type Deferred = (Rc<Outlet>, OutletItem);

/// What an outlet carries out, in order.
pub(crate) enum OutletItem {
    Effect(Effect),
    /// Sends a connection's own reply to a frame.
    Answer {
        connection: u64,
        frame: Frame,
    },
    /// Closes all connections. Later items are dropped.
    CloseAll(Cause),
    /// Signals that everything before this is stored. The sender is dropped if that never happens.
    Stored(oneshot::Sender<()>),
}

impl OutletItem {
    /// See [`Effect::is_fleeting`].
    fn is_fleeting(&self) -> bool {
        match self {
            Self::Effect(effect) => effect.is_fleeting(),
            Self::Answer { .. } => true,
            Self::CloseAll(_) | Self::Stored(_) => false,
        }
    }
}

/// A connection that waits for its `welcome`.
struct Arrival {
    connection: u64,
    outbox: Rc<Outbox>,
    welcomed: oneshot::Sender<Verdict>,
}

/// The half of a room that faces its members. It lives on after the room until its last effect is
/// settled.
pub(crate) struct Outlet {
    delivery: RefCell<Delivery>,
    /// Effects that wait for the store.
    waiting: Cell<usize>,
    /// The newest batch of this room. Effects without a batch of their own wait for this one.
    ticket: Cell<Option<Ticket>>,
    arrivals: RefCell<Vec<Arrival>>,
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
    pub(crate) fn new(delivery: Delivery, flush_interval: Option<Duration>) -> Rc<Self> {
        Rc::new(Self {
            delivery: RefCell::new(delivery),
            waiting: Cell::new(0),
            ticket: Cell::new(None),
            arrivals: RefCell::default(),
            is_closed: Cell::new(false),
            flush_interval,
            is_flushing: Cell::new(false),
            space: Notify::new(),
            room: RefCell::default(),
        })
    }

    /// Sets the recipient of [`Outdated`], sent when the log no longer belongs to this room.
    pub(crate) fn attach(&self, room: &Recipient<Outdated>) {
        self.room.replace(Some(room.downgrade()));
    }

    /// Keeps the outbox of a connection until its `welcome`. The result resolves then, or fails
    /// when the room is over.
    pub(crate) fn reserve(&self, connection: u64, outbox: Rc<Outbox>) -> oneshot::Receiver<Verdict> {
        let (welcomed, verdict) = oneshot::channel();
        self.arrivals.borrow_mut().push(Arrival { connection, outbox, welcomed });
        verdict
    }

    /// Forgets a connection whose join was refused.
    pub(crate) fn forget(&self, connection: u64) {
        drop(self.take_arrival(connection));
    }

    fn take_arrival(&self, connection: u64) -> Option<Arrival> {
        let mut arrivals = self.arrivals.borrow_mut();
        let place = arrivals.iter().position(|arrival| arrival.connection == connection)?;
        let arrival = arrivals.swap_remove(place);
        if arrivals.is_empty() {
            *arrivals = Vec::new();
        }
        Some(arrival)
    }

    /// Shows the items once `appended`, the batch with their records, is stored, and always
    /// behind all earlier items. While the store fails, fleeting items do not wait (D5).
    pub(crate) fn pass(
        self: &Rc<Self>,
        appended: Option<Appended>,
        items: impl Iterator<Item = OutletItem>,
        home: &Appender<Deferred>,
    ) {
        match appended {
            Some(Appended::Settled(Outcome::Rejected)) => return self.outdated(),
            Some(Appended::Pending(ticket)) => self.ticket.set(Some(ticket)),
            Some(Appended::Settled(Outcome::Stored)) | None => {}
        }
        let is_failing = home.is_failing();
        let holds = matches!(appended, Some(Appended::Pending(_)));
        for item in items.filter(|item| !matches!(item, OutletItem::Effect(Effect::Keep(_)))) {
            match self.ticket.get() {
                Some(ticket) if (holds || self.is_waiting()) && !(is_failing && item.is_fleeting()) => {
                    self.waiting.set(self.waiting.get() + 1);
                    home.defer(ticket, (self.clone(), item));
                }
                _ => self.show(item),
            }
        }
    }

    /// Returns whether an effect waits for the store.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.get() > 0
    }

    /// Returns whether the bound on waiting effects or on their deliveries is reached.
    pub(crate) fn is_full(&self) -> bool {
        let waiting = self.waiting.get();
        waiting >= MAX_WAITING || waiting.saturating_mul(self.delivery.borrow().member_count()) >= MAX_DELIVERIES
    }

    /// Resolves when the outlet is no longer full.
    pub(crate) async fn space(&self) {
        while self.is_full() {
            self.space.notified().await;
        }
    }

    /// Shows one deferred item. The shard calls this for every deferred item, in order.
    pub(crate) fn settle(self: &Rc<Self>, outcome: Outcome, item: OutletItem) {
        let was_full = self.is_full();
        self.waiting.set(self.waiting.get() - 1);
        if was_full && !self.is_full() {
            self.space.notify_one();
        }
        match outcome {
            Outcome::Stored => self.show(item),
            Outcome::Rejected => self.outdated(),
        }
    }

    fn show(self: &Rc<Self>, item: OutletItem) {
        if self.is_closed.get() {
            return;
        }
        match item {
            OutletItem::Effect(Effect::Enter { connection, membership, draft }) => {
                if let Some(Arrival { outbox, welcomed, .. }) = self.take_arrival(connection) {
                    let verdict = draft.verdict;
                    self.delivery().enter(connection, membership, outbox, *draft);
                    // Fails if the connection is gone. The connection itself detaches from the room
                    // then.
                    let _ = welcomed.send(verdict);
                }
            }
            OutletItem::Effect(effect) => self.delivery().deliver(effect),
            OutletItem::Answer { connection, frame } => self.delivery().reply(connection, frame),
            OutletItem::CloseAll(cause) => return self.close(cause, "the back end has closed this game"),
            // The receiver may be gone.
            OutletItem::Stored(done) => drop(done.send(())),
        }
        if let Some(interval) = self.flush_interval.filter(|_| self.delivery().is_held()) {
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
    pub(crate) fn close(&self, cause: Cause, message: &str) {
        if !self.is_closed.replace(true) {
            self.delivery.borrow_mut().close_all(cause, message);
            self.arrivals.borrow_mut().clear();
        }
    }

    pub(crate) fn delivery(&self) -> std::cell::RefMut<'_, Delivery> {
        self.delivery.borrow_mut()
    }
}

/// Shows effects as the store settles them, for the life of the shard.
pub(crate) async fn show_settled(home: Rc<Appender<Deferred>>) {
    loop {
        home.settled().await;
        let mut began = Instant::now();
        while let Some((outcome, (outlet, item))) = home.next() {
            outlet.settle(outcome, item);
            if began.elapsed() >= BUDGET {
                tokio::task::yield_now().await;
                began = Instant::now();
            }
        }
    }
}
