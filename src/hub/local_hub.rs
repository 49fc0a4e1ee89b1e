//! Owns `LocalHub`: a hub's part on one shard. It carries the shard's interest to the hub, and the
//! hub's events to the shard's subscribers.

use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::VecDeque,
    future::ready,
    net::IpAddr,
    pin::Pin,
    rc::Rc,
    time::{Duration, Instant},
};

use actix::Recipient;
use tokio::{
    sync::{Notify, oneshot},
    time::timeout,
};

use super::{
    access,
    event::HubEvent,
    fanout::{Availability, Fanout, TooMany},
    handle::{HubHandle, PublishError},
    messages::{Deliver, Interest, Publisher},
    pending_replies::PendingReplies,
    shares::{Holder, TopicReservation},
};
use crate::{
    clock::Now,
    config::feeds::share,
    protocol::{
        Cause, RawJson, ServerFrame, Topic, error_code,
        server::{HeartbeatTerms, SubscribedFeed},
    },
    ws::{Outbox, error_frame, json_frame},
};

/// How many frames are queued in one turn of the shard's thread: a few milliseconds' worth. Without
/// this bound, thousands of subscribers and a burst of values would stop every room on this thread
/// for a second.
const MAX_TOLD: usize = 20_000;

/// How long a subscription waits for the hub to handle the interest.
const PATIENCE: Duration = Duration::from_secs(10);

/// Never leaves its shard's thread.
pub struct LocalHub {
    hub: HubHandle,
    shard: usize,
    reply: Recipient<Deliver>,
    heartbeat: HeartbeatTerms,
    fanout: RefCell<Fanout>,
    /// True while an interest is on its way to the hub: there is never more than one.
    is_asking: Cell<bool>,
    /// Notified when the hub has handled an interest.
    is_heard: Notify,
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
pub type Delivered = Pin<Box<dyn Future<Output = ()>>>;

/// One connection's part of the hub; leaves when it is dropped.
pub struct Subscriber {
    branch: Rc<LocalHub>,
    /// Unique on this shard.
    connection: u64,
    outbox: Rc<Outbox>,
    /// Empty for an operator.
    role: String,
    address: IpAddr,
    /// How many topics of a bus this connection has created.
    made: Rc<Cell<usize>>,
    /// Set when the connection publishes for the first time.
    answers: OnceCell<Rc<PendingReplies>>,
}

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

    /// Sends a client its welcome, and lets it do what its role may do. `connection` is unique on
    /// this shard; `address` is the address that limits count by.
    ///
    /// # Errors
    /// Returns `None` if the hub keeps failing; then the outbox is closed.
    pub fn enter(
        self: &Rc<Self>,
        connection: u64,
        outbox: &Rc<Outbox>,
        role: &str,
        address: IpAddr,
    ) -> Option<Subscriber> {
        if self.hub.address().is_none() {
            outbox.refuse(Cause::Overloaded, "the hub keeps failing; reconnect later");
            return None;
        }
        let topics: Vec<_> =
            access::patterns(&self.hub.config().access, role).iter().map(|pattern| pattern.0.as_str()).collect();
        let heartbeat = self.heartbeat;
        let welcome = ServerFrame::HubWelcome { protocol: 1, hub: self.hub.id(), topics: &topics, heartbeat };
        outbox.push(json_frame(|out| welcome.write(out)), Instant::now());
        let holder = (!role.is_empty()).then(|| Holder::new(self.hub.shares().clone(), address));
        self.fanout.borrow_mut().enter(connection, outbox.clone(), holder);
        self.hub.client_entered();
        self.ask();
        let (branch, outbox, role, made) = (self.clone(), outbox.clone(), role.to_owned(), Rc::default());
        Some(Subscriber { branch, connection, outbox, role, address, made, answers: OnceCell::new() })
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
    fn ask(self: &Rc<Self>) {
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

impl Subscriber {
    /// H1: subscribes to all of the topics; to those within the subscriber's share, after an
    /// `error`; or to none, with an `error`. `subscribed` promises every value from then on, so it
    /// waits until the hub has handled the interest in topics that are new to this shard. Read
    /// nothing more from this client until the returned future resolves.
    pub fn subscribe(&self, topics: Vec<Topic>) -> Option<Pin<Box<dyn Future<Output = ()>>>> {
        let config = self.branch.hub.config();
        let patterns = access::patterns(&config.access, &self.role);
        if let Some(other) = topics.iter().find(|topic| !access::admits(patterns, topic)) {
            // An operator, whose role is empty, may subscribe to every topic of the server's own
            // hub, so any other topic does not exist.
            let code = if self.role.is_empty() { error_code::UNKNOWN_TOPIC } else { error_code::FORBIDDEN };
            let message = format!("there is no topic {other:?} here for you; see the topics of the welcome");
            refuse(&self.outbox, code, &message);
            return None;
        }
        let (topics, beyond) = self.branch.fanout.borrow().fitting(self.connection, topics);
        if let Some(who) = beyond {
            self.refuse_share(&who);
        }
        if topics.is_empty() {
            return None;
        }
        // Another shard may have taken the last topics of the address meanwhile.
        let claim = self.branch.fanout.borrow_mut().reserve(self.connection, &topics);
        let claim = claim.map_err(|who| self.refuse_share(&who)).ok()?;
        let (branch, connection, outbox) = (self.branch.clone(), self.connection, self.outbox.clone());
        let expected = Expected { branch, connection, outbox, topics, _claim: claim };
        self.branch.ask();
        if expected.settle() {
            return None;
        }
        Some(Box::pin(async move {
            let settled = async {
                loop {
                    // Created before `settle` looks, or a notification between the two would be
                    // missed.
                    let is_heard = expected.branch.is_heard.notified();
                    if expected.settle() {
                        break;
                    }
                    is_heard.await;
                }
            };
            if timeout(PATIENCE, settled).await.is_err() {
                refuse(&expected.outbox, error_code::UNAVAILABLE, "the hub does not answer at the moment");
            }
        }))
    }

    fn refuse_share(&self, who: &TooMany) {
        let hub = &self.branch.hub;
        let (whose, most, key) = match who {
            TooMany::Client => ("a subscriber", hub.config().max_topics_per_client, "max_topics_per_client"),
            TooMany::Address => ("the subscribers of one address", hub.shares().most(), "max_topics_per_address"),
        };
        let message = format!("{whose} may have {most} topics ({key}); those beyond that are not subscribed");
        refuse(&self.outbox, error_code::TOO_MANY_TOPICS, &message);
    }

    /// Ignores topics that the subscriber does not have. There is no reply, and no value of these
    /// topics follows.
    pub fn unsubscribe(&self, topics: &[Topic]) {
        self.branch.fanout.borrow_mut().unsubscribe(self.connection, topics);
        self.branch.ask();
    }

    /// Publishes to an event bus. The reply is `published` or `error`, without an `id` only
    /// `error`; it may come after the future resolves. Read nothing more from this client until the
    /// future resolves: that keeps its publications in order.
    pub fn publish(&self, id: Option<u64>, topic: Topic, data: RawJson) -> impl Future<Output = ()> + use<> {
        let (hub, outbox) = (self.branch.hub.clone(), self.outbox.clone());
        let answers = self.answers.get_or_init(Rc::default).clone();
        let is_allowed = access::may_publish(&hub.config().access, &self.role);
        let (address, made) = (self.address, self.made.clone());
        async move {
            let refuse = |code, message| outbox.push(error_frame(code, message, id), Instant::now());
            if !hub.is_bus() {
                return refuse(error_code::FORBIDDEN, "this hub's values come from its upstream");
            }
            if !is_allowed {
                return refuse(error_code::FORBIDDEN, "this role may not publish here");
            }
            let may_make = made.get() < share(hub.config().max_topics);
            let receipt = match hub.publish(topic.clone(), data, Publisher::Client { address, may_make }).await {
                Ok(receipt) => receipt,
                Err(PublishError::Share) => return refuse(error_code::TOO_MANY_TOPICS, PublishError::SHARE),
                Err(PublishError::Full) => return refuse(error_code::TOO_MANY_TOPICS, PublishError::FULL),
                // A client gives no key, so a mismatch cannot happen.
                Err(PublishError::Gone | PublishError::Mismatch) => {
                    return refuse(error_code::UNAVAILABLE, PublishError::GONE);
                }
            };
            made.set(made.get() + usize::from(receipt.is_new));
            answers.push(receipt, id, topic, outbox);
        }
    }
}

/// A subscription whose interest the hub may not have handled yet; given up when it is dropped.
struct Expected {
    branch: Rc<LocalHub>,
    connection: u64,
    outbox: Rc<Outbox>,
    topics: Vec<Topic>,
    _claim: TopicReservation,
}

impl Expected {
    /// Sends the client its reply if the hub has handled the interest. Returns false if it has not
    /// yet.
    fn settle(&self) -> bool {
        if self.outbox.cause().is_some() {
            return true;
        }
        let mut fanout = self.branch.fanout.borrow_mut();
        match fanout.outlook(&self.topics) {
            Availability::Unknown => return false,
            Availability::Refused(topic, why) => {
                let (code, reason) = why.words();
                refuse(&self.outbox, code, &format!("{reason}: {topic:?}"));
            }
            Availability::Known => {
                let (topics, state) = (&self.topics[..], fanout.state());
                let subscribed =
                    json_frame(|out| ServerFrame::Subscribed { topics, feed: SubscribedFeed { state } }.write(out));
                fanout.subscribe(self.connection, topics, subscribed, Instant::now());
            }
        }
        true
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        self.branch.fanout.borrow_mut().expect_no_more(&self.topics);
        self.branch.ask();
    }
}

fn refuse(outbox: &Rc<Outbox>, code: &str, message: &str) {
    outbox.push(error_frame(code, message, None), Instant::now());
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        if self.branch.fanout.borrow_mut().leave(self.connection) {
            self.branch.hub.client_left();
        }
        self.branch.ask();
    }
}
