//! Owns the subscribers of a hub on one shard: who has which topics, their last values, and what each subscriber is told.
//! Called by `branch`, on the shard's thread; knows outboxes and no actor.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    rc::Rc,
    time::Instant,
};

use super::update::Update;
use crate::{
    protocol::Topic,
    ws::{Frame, Outbox, VolatileKey},
};

/// Topics one subscriber may have: as many values as its outbox keeps when it is slow (H6).
pub const MAX_SUBSCRIPTIONS: usize = 256;

/// Invariant: a topic is listed while it has subscribers here, or the hub still has to be told that it has none.
#[derive(Default)]
pub struct Fanout {
    topics: HashMap<Topic, Listed>,
    clients: HashMap<u64, Client>,
    /// Topics of which the hub may have to be told something.
    changed: BTreeSet<Topic>,
}

struct Listed {
    key: VolatileKey,
    subscribers: BTreeSet<u64>,
    last: Option<Update>,
    /// The hub knows that this shard wants it.
    asked: bool,
}

struct Client {
    outbox: Rc<Outbox>,
    topics: HashSet<Topic>,
}

/// What the hub is to be told, in this order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    pub unwanted: Vec<Topic>,
    pub wanted: Vec<Topic>,
}

/// A subscriber would have more than [`MAX_SUBSCRIPTIONS`].
#[derive(Debug, PartialEq, Eq)]
pub struct TooMany;

impl Fanout {
    pub fn enter(&mut self, connection: u64, outbox: Rc<Outbox>) {
        self.clients.insert(connection, Client { outbox, topics: HashSet::new() });
    }

    pub fn leave(&mut self, connection: u64) {
        let Some(client) = self.clients.remove(&connection) else { return };
        for topic in &client.topics {
            self.drop_subscriber(topic, connection);
        }
    }

    /// The outboxes of all subscribers.
    pub fn outboxes(&self) -> impl Iterator<Item = &Rc<Outbox>> {
        self.clients.values().map(|client| &client.outbox)
    }

    /// Notes the subscriptions and puts the answer `subscribed` into the outbox, then the last values that are known here;
    /// the others follow as soon as the hub has sent them. Topics that it has already are told anew.
    ///
    /// # Errors
    /// [`TooMany`]; nothing has changed.
    pub fn subscribe(
        &mut self,
        connection: u64,
        topics: &[Topic],
        subscribed: Frame,
        now: Instant,
    ) -> Result<(), TooMany> {
        let Some(client) = self.clients.get_mut(&connection) else { return Ok(()) };
        let new: HashSet<_> = topics.iter().filter(|topic| !client.topics.contains(*topic)).collect();
        if client.topics.len() + new.len() > MAX_SUBSCRIPTIONS {
            return Err(TooMany);
        }
        client.topics.extend(new.into_iter().cloned());
        client.outbox.push(subscribed, now);
        // A topic that is named twice is told once.
        for topic in topics.iter().collect::<BTreeSet<_>>() {
            let listed = self.topics.entry(topic.clone()).or_insert_with(|| Listed::new(topic));
            listed.subscribers.insert(connection);
            if let Some(last) = &listed.last {
                let whole = last.whole_frame();
                hold(&client.outbox, &listed.key, &whole, || whole.clone(), now);
            }
            if !listed.asked {
                self.changed.insert(topic.clone());
            }
        }
        Ok(())
    }

    /// Nothing of these topics goes to this subscriber any more but what is on the wire's edge already.
    pub fn unsubscribe(&mut self, connection: u64, topics: &[Topic]) {
        for topic in topics {
            let Some(client) = self.clients.get_mut(&connection) else { return };
            if client.topics.remove(topic) {
                if let Some(listed) = self.topics.get(topic) {
                    client.outbox.forget(&listed.key);
                }
                self.drop_subscriber(topic, connection);
            }
        }
    }

    fn drop_subscriber(&mut self, topic: &Topic, connection: u64) {
        let Some(listed) = self.topics.get_mut(topic) else { return };
        listed.subscribers.remove(&connection);
        if listed.subscribers.is_empty() {
            self.changed.insert(topic.clone());
        }
    }

    /// Tells the subscribers what is new. The frame is made once for all of them.
    pub fn deliver(&mut self, updates: Vec<Update>, now: Instant) {
        for update in updates {
            let Some(listed) = self.topics.get_mut(&update.topic) else { continue };
            let seen = listed.last.as_ref().map(|last| last.seq);
            if seen.is_some_and(|seen| update.seq <= seen) {
                continue;
            }
            let mut whole = None;
            let mut whole = || whole.get_or_insert_with(|| update.whole_frame()).clone();
            let frame = if seen.is_some_and(|seen| update.follows(seen)) { update.live_frame() } else { whole() };
            for client in listed.subscribers.iter().filter_map(|number| self.clients.get(number)) {
                hold(&client.outbox, &listed.key, &frame, &mut whole, now);
            }
            listed.last = Some(update);
        }
    }

    /// What the hub does not know yet; from now on it counts as known.
    pub fn wishes(&mut self) -> Option<Wishes> {
        let mut wishes = Wishes::default();
        for topic in std::mem::take(&mut self.changed) {
            let Some(listed) = self.topics.get_mut(&topic) else { continue };
            match (listed.subscribers.is_empty(), listed.asked) {
                (false, false) => {
                    listed.asked = true;
                    wishes.wanted.push(topic);
                }
                (true, asked) => {
                    self.topics.remove(&topic);
                    if asked {
                        wishes.unwanted.push(topic);
                    }
                }
                (false, true) => {}
            }
        }
        (wishes != Wishes::default()).then_some(wishes)
    }
}

impl Listed {
    fn new(topic: &Topic) -> Self {
        // A room's keys have a sender; a topic has none.
        let key = (topic.as_str().into(), "".into());
        Self { key, subscribers: BTreeSet::new(), last: None, asked: false }
    }
}

fn hold(outbox: &Rc<Outbox>, key: &VolatileKey, live: &Frame, whole: impl FnOnce() -> Frame, now: Instant) {
    if outbox.hold_topic(key, live, whole, now) {
        outbox.mark_dirty();
    }
}
