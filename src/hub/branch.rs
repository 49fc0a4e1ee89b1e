//! Owns `Branch`: a hub as the connections of one shard see it, and its half of the talk with the hub.
//! Called by `connection`, which enters and gets a `Subscriber`, and by the shard with what the hub delivers.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Instant,
};

use actix::Recipient;

use super::{
    access,
    fanout::{Fanout, TooMany},
    handle::{HubHandle, PublishError},
    messages::{Deliver, Wish},
    news::News,
};
use crate::{
    clock::Now,
    protocol::{
        Cause, RawJson, ServerFrame, Topic, error_code,
        server::{Feed, Heartbeat},
    },
    ws::{Outbox, error_frame, json_frame},
};

/// Never leaves its shard's thread.
pub struct Branch {
    hub: HubHandle,
    shard: usize,
    reply: Recipient<Deliver>,
    heartbeat: Heartbeat,
    fanout: RefCell<Fanout>,
    /// A wish is on its way to the hub.
    is_asking: Cell<bool>,
}

/// One connection at its hub; leaves when it is dropped.
pub struct Subscriber {
    branch: Rc<Branch>,
    /// Unique on this shard.
    connection: u64,
    outbox: Rc<Outbox>,
    /// Empty: an operator's.
    role: String,
}

impl Branch {
    /// `reply` is the shard, which hands what it gets to [`Branch::deliver`].
    pub fn new(hub: HubHandle, shard: usize, reply: Recipient<Deliver>, heartbeat: Heartbeat) -> Rc<Self> {
        hub.attach(shard, reply.clone());
        let fanout = Fanout::new(hub.config().max_topics_per_client, hub.first_status());
        let branch = Self { hub, shard, reply, heartbeat, fanout: fanout.into(), is_asking: Cell::new(false) };
        let branch = Rc::new(branch);
        // So that the state of the feed is known here before the first client comes.
        branch.ask();
        branch
    }

    /// Welcomes a client that may do what its role may. `connection` is unique on this shard.
    ///
    /// # Errors
    /// When the hub keeps failing; then the outbox is closed.
    pub fn enter(self: &Rc<Self>, connection: u64, outbox: &Rc<Outbox>, role: &str) -> Option<Subscriber> {
        if self.hub.address().is_none() {
            let frame = error_frame(Cause::Overloaded.name(), "the hub keeps failing; reconnect later", None);
            outbox.close(Cause::Overloaded, Some(frame));
            return None;
        }
        let topics: Vec<_> =
            access::patterns(&self.hub.config().access, role).iter().map(|pattern| pattern.0.as_str()).collect();
        let heartbeat = self.heartbeat;
        let welcome = ServerFrame::HubWelcome { protocol: 1, hub: self.hub.id(), topics: &topics, heartbeat };
        outbox.push(json_frame(|out| welcome.write(out)), Instant::now());
        self.fanout.borrow_mut().enter(connection, outbox.clone());
        self.hub.client_entered();
        self.ask();
        Some(Subscriber { branch: self.clone(), connection, outbox: outbox.clone(), role: role.to_owned() })
    }

    /// The hub has news.
    pub fn deliver(self: &Rc<Self>, heard: u64, news: Vec<News>) {
        let is_over = news.iter().any(|news| matches!(news, News::Ended));
        let now = Now::read();
        self.fanout.borrow_mut().deliver(news, heard, now.instant, now.unix_ms);
        if is_over {
            self.fail();
        }
        self.ask();
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
            let wish = Wish { shard: branch.shard, reply: branch.reply.clone(), wishes };
            // A hub that failed is replaced, and then everything is asked again: see `News::Restarted`.
            let _ = hub.send(wish).await;
            branch.is_asking.set(false);
            branch.ask();
        });
    }

    /// The hub is gone; subscribers must not believe that nothing happens.
    fn fail(&self) {
        for outbox in self.fanout.borrow().outboxes() {
            outbox.close(Cause::RoomFailed, None);
        }
    }
}

impl Subscriber {
    /// H1; all of the topics, or none and an `error`.
    pub fn subscribe(&self, topics: &[Topic]) {
        let now = Instant::now();
        let config = self.branch.hub.config();
        let patterns = access::patterns(&config.access, &self.role);
        if let Some(other) = topics.iter().find(|topic| !access::admits(patterns, topic)) {
            // The server's own topics are known, and everybody who gets in may have them all.
            let code = if self.role.is_empty() { error_code::UNKNOWN_TOPIC } else { error_code::FORBIDDEN };
            let message = format!("there is no topic {other:?} here for you; see the topics of the welcome");
            self.outbox.push(error_frame(code, &message, None), now);
            return;
        }
        let state = self.branch.fanout.borrow().state();
        let subscribed = json_frame(|out| ServerFrame::Subscribed { topics, feed: Feed { state } }.write(out));
        if let Err(TooMany) = self.branch.fanout.borrow_mut().subscribe(self.connection, topics, subscribed, now) {
            let message = format!("a subscriber may have {} topics", config.max_topics_per_client);
            self.outbox.push(error_frame(error_code::TOO_MANY_TOPICS, &message, None), now);
        }
        self.branch.ask();
    }

    /// Topics that the subscriber does not have are passed over. There is no answer; nothing of them follows.
    pub fn unsubscribe(&self, topics: &[Topic]) {
        self.branch.fanout.borrow_mut().unsubscribe(self.connection, topics);
        self.branch.ask();
    }

    /// Publishes to an event bus, and answers with `published` or `error`; without an `id` only with an error. Nothing more is
    /// to be read from this client until it resolves: what it publishes keeps its order.
    pub fn publish(&self, id: Option<u64>, topic: Topic, data: RawJson) -> impl Future<Output = ()> + use<> {
        let (hub, outbox) = (self.branch.hub.clone(), self.outbox.clone());
        let is_allowed = access::may_publish(&hub.config().access, &self.role);
        async move {
            let refuse = |code, message| outbox.push(error_frame(code, message, id), Instant::now());
            if hub.has_upstream() {
                return refuse(error_code::FORBIDDEN, "this hub's values come from its upstream");
            }
            if !is_allowed {
                return refuse(error_code::FORBIDDEN, "this role may not publish here");
            }
            match hub.publish(topic.clone(), data).await {
                Ok(seq) => {
                    if let Some(id) = id {
                        let topic = &topic;
                        let published = json_frame(|out| ServerFrame::Published { id, topic, seq }.write(out));
                        outbox.push(published, Instant::now());
                    }
                }
                Err(PublishError::Full) => refuse(error_code::TOO_MANY_TOPICS, PublishError::FULL),
                Err(PublishError::Gone) => refuse(error_code::UNAVAILABLE, PublishError::GONE),
            }
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        if self.branch.fanout.borrow_mut().leave(self.connection) {
            self.branch.hub.client_left();
        }
        self.branch.ask();
    }
}
