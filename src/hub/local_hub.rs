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
const MAX_TOLD: usize = 20_000;

/// Never leaves its shard's thread.
pub struct LocalHub {
    pub(super) hub: HubHandle,
    shard: usize,
    reply: Recipient<Deliver>,
    pub(super) heartbeat: HeartbeatTerms,
    pub(super) fanout: RefCell<Fanout>,
    /// True while an interest is on its way to the hub: there is never more than one.
    is_asking: Cell<bool>,
    /// Notified when the hub has handled an interest.
    pub(super) is_heard: Notify,
    /// What has not been queued for the clients yet, in order.
    inbox: RefCell<VecDeque<Item>>,
}

/// A step of work in the inbox.
enum Item {
    /// An event, with the number of the newest interest that the hub had handled when it sent it,
    /// and the moment at which it arrived here.
    News(u64, HubEvent, Instant),
    /// All events of a message are queued: resolves its [`Delivered`].
    Done(oneshot::Sender<()>),
}

/// Resolves when all events of a message are queued for the clients.
pub type Delivered = LocalFuture<()>;

impl LocalHub {
    /// `reply` is the shard, which passes each [`Deliver`] on to [`LocalHub::deliver`].
    pub fn new(hub: HubHandle, shard: usize, reply: Recipient<Deliver>, heartbeat: HeartbeatTerms) -> Rc<Self> {
        hub.attach(shard, reply.clone());
        let fanout = Fanout::new(hub.config().max_topics_per_client, hub.first_status());
        let (is_asking, is_heard, inbox) = (Cell::new(false), Notify::new(), RefCell::default());
        let branch = Self { hub, shard, reply, heartbeat, fanout: fanout.into(), is_asking, is_heard, inbox };
        let branch = Rc::new(branch);
        // Asks at once, so that the feed's state is known here before the first client enters.
        branch.ask();
        branch
    }

    /// Takes a message of the hub. Resolves when its events are queued for the clients; the hub
    /// sends the next one only then.
    pub fn deliver(self: &Rc<Self>, heard: u64, news: Vec<HubEvent>) -> Delivered {
        let is_idle = {
            let mut inbox = self.inbox.borrow_mut();
            let is_idle = inbox.is_empty();
            let now = Instant::now();
            inbox.extend(news.into_iter().map(|news| Item::News(heard, news, now)));
            is_idle
        };
        if is_idle && self.work() {
            return Box::pin(ready(()));
        }
        let (done, delivered) = oneshot::channel();
        self.inbox.borrow_mut().push_back(Item::Done(done));
        if is_idle {
            let branch = self.clone();
            actix_rt::spawn(async move {
                while !branch.work() {
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
        let mut told = 0;
        while told < MAX_TOLD {
            let Some(item) = self.inbox.borrow_mut().pop_front() else { break };
            match item {
                Item::News(heard, news, came) => {
                    let mut fanout = self.fanout.borrow_mut();
                    told += 1 + fanout.audience(&news);
                    let is_over = matches!(news, HubEvent::Ended);
                    fanout.tell(news, heard, came, now.unix_ms);
                    if is_over {
                        // Clients that wait for the hub are closed by now: ends their waiting.
                        self.is_heard.notify_waiters();
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
        let Some(wishes) = self.fanout.borrow_mut().wishes() else { return };
        self.is_asking.set(true);
        let branch = self.clone();
        actix_rt::spawn(async move {
            let number = wishes.number;
            let wish = Interest { shard: branch.shard, reply: branch.reply.clone(), wishes };
            // On an error the hub has failed: the next life asks for everything again, see
            // `HubEvent::Restarted`.
            if let Ok(refused) = hub.send(wish).await {
                branch.fanout.borrow_mut().heard(number, refused, Instant::now());
                branch.is_heard.notify_waiters();
            }
            branch.is_asking.set(false);
            branch.ask();
        });
    }
}
