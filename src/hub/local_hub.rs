//! Owns `Branch`: a hub as the connections of one shard see it, and its half of the talk with the
//! hub.

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

/// Clients that are told in one turn of the shard's thread: a few milliseconds. With thousands of subscribers and a burst of
/// values it would be a second otherwise, in which nobody's game goes on.
const MAX_TOLD: usize = 20_000;

/// How long a hub may take to hear what is wanted of it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Never leaves its shard's thread.
pub struct LocalHub {
    hub: HubHandle,
    shard: usize,
    reply: Recipient<Deliver>,
    heartbeat: HeartbeatTerms,
    fanout: RefCell<Fanout>,
    /// A wish is on its way to the hub.
    is_asking: Cell<bool>,
    /// Rings when the hub has heard one.
    is_heard: Notify,
    /// What the clients have not been told yet, in order.
    inbox: RefCell<VecDeque<Item>>,
}

/// What a branch has to do.
enum Item {
    /// With the newest wish that the hub had heard by then, and the moment at which the message came.
    News(u64, HubEvent, Instant),
    /// All of a message has been told.
    Done(oneshot::Sender<()>),
}

/// Resolves when a message's news have been told.
pub type Delivered = Pin<Box<dyn Future<Output = ()>>>;

/// One connection at its hub; leaves when it is dropped.
pub struct Subscriber {
    branch: Rc<LocalHub>,
    /// Unique on this shard.
    connection: u64,
    outbox: Rc<Outbox>,
    /// Empty: an operator's.
    role: String,
    address: IpAddr,
    /// Topics of a bus that it has made.
    made: Rc<Cell<usize>>,
    /// Of one who has published.
    answers: OnceCell<Rc<PendingReplies>>,
}

impl LocalHub {
    /// `reply` is the shard, which hands what it gets to [`Branch::deliver`].
    pub fn new(hub: HubHandle, shard: usize, reply: Recipient<Deliver>, heartbeat: HeartbeatTerms) -> Rc<Self> {
        hub.attach(shard, reply.clone());
        let fanout = Fanout::new(hub.config().max_topics_per_client, hub.first_status());
        let (is_asking, is_heard, inbox) = (Cell::new(false), Notify::new(), RefCell::default());
        let branch = Self { hub, shard, reply, heartbeat, fanout: fanout.into(), is_asking, is_heard, inbox };
        let branch = Rc::new(branch);
        // So that the state of the feed is known here before the first client comes.
        branch.ask();
        branch
    }

    /// Welcomes a client that may do what its role may. `connection` is unique on this shard; `address` is what limits count by.
    ///
    /// # Errors
    /// When the hub keeps failing; then the outbox is closed.
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

    /// The hub has news. Resolves when the clients have been told: only then does it send more.
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
        // Fails with the shard only.
        Box::pin(async { drop(delivered.await) })
    }

    /// Tells the clients as much as one turn may take; rooms live on this thread, too. Whether that was all.
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
                        // Whoever waits for the hub is closed now.
                        self.is_heard.notify_waiters();
                    }
                }
                Item::Done(done) => drop(done.send(())),
            }
        }
        self.ask();
        self.inbox.borrow().is_empty()
    }

    /// Tells the hub what it does not know yet, one message at a time: what changes meanwhile goes with the next.
    fn ask(self: &Rc<Self>) {
        if self.is_asking.get() {
            return;
        }
        // Whoever comes while there is no hub starts it again, if it may be started.
        let Some(hub) = self.hub.address() else { return };
        let Some(wishes) = self.fanout.borrow_mut().wishes() else { return };
        self.is_asking.set(true);
        let branch = self.clone();
        actix_rt::spawn(async move {
            let number = wishes.number;
            let wish = Interest { shard: branch.shard, reply: branch.reply.clone(), wishes };
            // A hub that failed is replaced, and then everything is asked again: see `News::Restarted`.
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
    /// H1; all of the topics, or those within the subscriber's share behind an `error`, or none and an `error`. `subscribed` promises that whatever comes from now on is told, so it waits
    /// until the hub has heard of topics that nobody here had: then nothing more is to be read from this client until what is
    /// returned resolves.
    pub fn subscribe(&self, topics: Vec<Topic>) -> Option<Pin<Box<dyn Future<Output = ()>>>> {
        let config = self.branch.hub.config();
        let patterns = access::patterns(&config.access, &self.role);
        if let Some(other) = topics.iter().find(|topic| !access::admits(patterns, topic)) {
            // The server's own topics are known, and everybody who gets in may have them all.
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
        // Another shard may have been quicker with the address's last places.
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
                    // Asked for before it is looked at: it may ring in between.
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

    /// Topics that the subscriber does not have are passed over. There is no answer; nothing of them follows.
    pub fn unsubscribe(&self, topics: &[Topic]) {
        self.branch.fanout.borrow_mut().unsubscribe(self.connection, topics);
        self.branch.ask();
    }

    /// Publishes to an event bus, and answers with `published` or `error`; without an `id` only with an error. Nothing more is
    /// to be read from this client until it resolves: what it publishes keeps its order. The answer may come later.
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
                // A client gives no key, so there is none to mismatch.
                Err(PublishError::Gone | PublishError::Mismatch) => {
                    return refuse(error_code::UNAVAILABLE, PublishError::GONE);
                }
            };
            made.set(made.get() + usize::from(receipt.is_new));
            answers.push(receipt, id, topic, outbox);
        }
    }
}

/// A subscription that the hub may still have to hear of; given up when it is dropped.
struct Expected {
    branch: Rc<LocalHub>,
    connection: u64,
    outbox: Rc<Outbox>,
    topics: Vec<Topic>,
    _claim: TopicReservation,
}

impl Expected {
    /// Answers the client if it can be known what; `false`: not yet.
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
