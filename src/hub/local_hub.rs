//! Owns `LocalHub`: a hub's part on one shard. It carries the shard's interest to the hub, and the
//! hub's events to the shard's subscribers.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::ready,
    rc::Rc,
    time::Instant,
};

use actix::Recipient;
use tokio::sync::{Notify, oneshot};

use super::{
    event::HubEvent,
    fanout::Fanout,
    handle::HubHandle,
    messages::{Deliver, Interest},
};
use crate::{clock::Now, protocol::server::HeartbeatTerms, service::LocalFuture};

/// How many frames are queued in one turn of the shard's thread: a few milliseconds' worth. Without
/// this bound, thousands of subscribers and a burst of values would stop every room on this thread
/// for a second.
const MAX_QUEUED: usize = 20_000;

/// Never leaves its shard's thread.
pub(crate) struct LocalHub {
    pub(super) hub: HubHandle,
    shard: usize,
    reply: Recipient<Deliver>,
    pub(super) heartbeat: HeartbeatTerms,
    pub(super) fanout: RefCell<Fanout>,
    /// True while an interest is on its way to the hub: there is never more than one.
    is_asking: Cell<bool>,
    /// Notified when the hub has handled an interest.
    pub(super) interest_handled: Notify,
    /// What has not been queued for the clients yet, in order.
    inbox: RefCell<VecDeque<Item>>,
}

/// A step of work in the inbox.
enum Item {
    /// An event, with the number of the newest interest that the hub had handled when it sent it,
    /// and the moment at which it arrived here.
    Event(u64, HubEvent, Instant),
    /// All events of a message are queued: resolves its [`Delivered`].
    Done(oneshot::Sender<()>),
}

/// Resolves when all events of a message are queued for the clients.
pub(super) type Delivered = LocalFuture<()>;

impl LocalHub {
    /// `reply` is the shard, which passes each [`Deliver`] on to [`LocalHub::deliver`].
    pub(crate) fn new(hub: HubHandle, shard: usize, reply: Recipient<Deliver>, heartbeat: HeartbeatTerms) -> Rc<Self> {
        hub.attach(shard, reply.clone());
        let fanout = Fanout::new(hub.config().max_topics_per_client, hub.first_status());
        let (is_asking, interest_handled, inbox) = (Cell::new(false), Notify::new(), RefCell::default());
        let local = Self { hub, shard, reply, heartbeat, fanout: fanout.into(), is_asking, interest_handled, inbox };
        let local = Rc::new(local);
        // Asks at once, so that the feed's state is known here before the first client enters.
        local.ask();
        local
    }

    /// Takes a message of the hub. Resolves when its events are queued for the clients; the hub
    /// sends the next one only then.
    pub(crate) fn deliver(self: &Rc<Self>, handled: u64, events: Vec<HubEvent>) -> Delivered {
        let is_idle = {
            let mut inbox = self.inbox.borrow_mut();
            let is_idle = inbox.is_empty();
            let now = Instant::now();
            inbox.extend(events.into_iter().map(|event| Item::Event(handled, event, now)));
            is_idle
        };
        if is_idle && self.work() {
            return Box::pin(ready(()));
        }
        let (done, delivered) = oneshot::channel();
        self.inbox.borrow_mut().push_back(Item::Done(done));
        if is_idle {
            let local = self.clone();
            actix_rt::spawn(async move {
                while !local.work() {
                    tokio::task::yield_now().await;
                }
            });
        }
        // Fails only when the shard ends.
        Box::pin(async { drop(delivered.await) })
    }

    /// Queues as many events as one turn may take, as rooms share this thread. Returns true if the
    /// inbox is empty.
    fn work(self: &Rc<Self>) -> bool {
        let now = Now::read();
        let mut queued = 0;
        while queued < MAX_QUEUED {
            let Some(item) = self.inbox.borrow_mut().pop_front() else { break };
            match item {
                Item::Event(handled, event, came) => {
                    let mut fanout = self.fanout.borrow_mut();
                    queued += 1 + fanout.audience(&event);
                    let is_over = matches!(event, HubEvent::Ended);
                    fanout.on_event(event, handled, came, now.unix_ms);
                    if is_over {
                        // Clients that wait for the hub are closed by now: ends their waiting.
                        self.interest_handled.notify_waiters();
                    }
                }
                Item::Done(done) => drop(done.send(())),
            }
        }
        self.ask();
        self.inbox.borrow().is_empty()
    }

    /// Sends the hub the interest that has changed, one message at a time; what changes meanwhile
    /// goes with the next.
    pub(super) fn ask(self: &Rc<Self>) {
        if self.is_asking.get() {
            return;
        }
        // If there is no hub, this starts one, unless it has failed too often.
        let Some(hub) = self.hub.address() else { return };
        let Some(change) = self.fanout.borrow_mut().take_change() else { return };
        self.is_asking.set(true);
        let local = self.clone();
        actix_rt::spawn(async move {
            let number = change.number;
            let interest = Interest { shard: local.shard, reply: local.reply.clone(), change };
            // On an error the hub has failed: the next life asks for everything again, see
            // `HubEvent::Restarted`.
            if let Ok(refused) = hub.send(interest).await {
                local.fanout.borrow_mut().on_interest_handled(number, refused, Instant::now());
                local.interest_handled.notify_waiters();
            }
            local.is_asking.set(false);
            local.ask();
        });
    }
}
