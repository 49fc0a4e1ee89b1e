//! Owns `Branch`: a hub as the connections of one shard see it, and its half of the talk with the hub.
//! Called by `connection` (welcome, subscriptions) and by the shard with what the hub delivers.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Instant,
};

use actix::{Addr, Recipient};

use super::{
    actor::{Deliver, Hub, Wish},
    fanout::{Fanout, MAX_SUBSCRIPTIONS, TooMany},
    update::Update,
};
use crate::{
    protocol::{
        Cause, FeedState, HubId, ServerFrame, Topic, error_code,
        server::{Feed, Heartbeat},
    },
    ws::{Outbox, error_frame, json_frame},
};

/// A hub that runs: what each shard makes its branch from.
#[derive(Clone)]
pub struct HubPlan {
    pub id: HubId,
    pub hub: Addr<Hub>,
    /// All there are.
    pub topics: Vec<Topic>,
}

/// Never leaves its shard's thread.
pub struct Branch {
    plan: HubPlan,
    shard: usize,
    reply: Recipient<Deliver>,
    heartbeat: Heartbeat,
    fanout: RefCell<Fanout>,
    /// A wish is on its way to the hub.
    is_asking: Cell<bool>,
}

impl Branch {
    /// `reply` is the shard, which hands what it gets to [`Branch::deliver`].
    pub fn new(plan: HubPlan, shard: usize, reply: Recipient<Deliver>, heartbeat: Heartbeat) -> Rc<Self> {
        Rc::new(Self { plan, shard, reply, heartbeat, fanout: RefCell::default(), is_asking: Cell::new(false) })
    }

    /// Welcomes a subscriber. `connection` is unique on this shard; call [`Branch::leave`] when it is over.
    pub fn enter(&self, connection: u64, outbox: &Rc<Outbox>) {
        let HubPlan { id, topics, .. } = &self.plan;
        let topics: Vec<_> = topics.iter().map(Topic::as_str).collect();
        let welcome = ServerFrame::HubWelcome { protocol: 1, hub: id, topics: &topics, heartbeat: self.heartbeat };
        outbox.push(json_frame(|out| welcome.write(out)), Instant::now());
        self.fanout.borrow_mut().enter(connection, outbox.clone());
    }

    pub fn leave(self: &Rc<Self>, connection: u64) {
        self.fanout.borrow_mut().leave(connection);
        self.ask();
    }

    /// H1; all of the topics, or none and an `error`.
    pub fn subscribe(self: &Rc<Self>, connection: u64, outbox: &Rc<Outbox>, topics: &[Topic]) {
        let now = Instant::now();
        if let Some(unknown) = topics.iter().find(|topic| !self.plan.topics.contains(topic)) {
            let message = format!("there is no topic {unknown:?} here; see the topics of the welcome");
            outbox.push(error_frame(error_code::UNKNOWN_TOPIC, &message, None), now);
            return;
        }
        let subscribed =
            json_frame(|out| ServerFrame::Subscribed { topics, feed: Feed { state: FeedState::Live } }.write(out));
        if let Err(TooMany) = self.fanout.borrow_mut().subscribe(connection, topics, subscribed, now) {
            let message = format!("a subscriber may have {MAX_SUBSCRIPTIONS} topics");
            outbox.push(error_frame(error_code::TOO_MANY_TOPICS, &message, None), now);
        }
        self.ask();
    }

    /// Topics that the subscriber does not have are passed over. There is no answer; nothing of them follows.
    pub fn unsubscribe(self: &Rc<Self>, connection: u64, topics: &[Topic]) {
        self.fanout.borrow_mut().unsubscribe(connection, topics);
        self.ask();
    }

    /// The hub has news.
    pub fn deliver(&self, updates: Vec<Update>) {
        self.fanout.borrow_mut().deliver(updates, Instant::now());
    }

    /// Tells the hub what it does not know yet, one message at a time: what changes meanwhile goes with the next.
    fn ask(self: &Rc<Self>) {
        if self.is_asking.get() {
            return;
        }
        let Some(mut wishes) = self.fanout.borrow_mut().wishes() else { return };
        self.is_asking.set(true);
        let branch = self.clone();
        actix_rt::spawn(async move {
            loop {
                let wish = Wish { shard: branch.shard, reply: branch.reply.clone(), wishes };
                if branch.plan.hub.send(wish).await.is_err() {
                    branch.fail();
                    break;
                }
                let next = branch.fanout.borrow_mut().wishes();
                let Some(next) = next else { break };
                wishes = next;
            }
            branch.is_asking.set(false);
        });
    }

    /// The hub is gone; subscribers must not believe that nothing happens.
    fn fail(&self) {
        for outbox in self.fanout.borrow().outboxes() {
            outbox.close(Cause::RoomFailed, None);
        }
    }
}
