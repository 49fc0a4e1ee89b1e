//! Owns the subscribers of a hub on one shard: who has which topics, their last values, and what each subscriber is told.
//! Called by `branch`, on the shard's thread; knows outboxes and no actor.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    rc::Rc,
    sync::Arc,
    time::Instant,
};

use super::{
    news::{News, Refusal},
    update::Update,
    uplink::{FeedStatus, Gap},
};
use crate::{
    protocol::{FeedState, ServerFrame, Topic, error_code},
    ws::{Frame, Outbox, VolatileKey, error_frame, json_frame},
};

/// Invariants: a topic is listed while it has subscribers here, or the hub still has to be told that it has none. A client's
/// `topics` say at which place of each topic's `subscribers` it stands.
pub struct Fanout {
    topics: HashMap<Topic, Listed>,
    clients: HashMap<u64, Client>,
    /// Topics of which the hub may have to be told something.
    changed: BTreeSet<Topic>,
    max_topics_per_client: usize,
    status: FeedStatus,
    /// How many clients the hub knows of; `None` before it knows of this shard.
    told: Option<usize>,
    /// Wishes so far.
    wishes: u64,
    /// Since the hub was replaced: when that was (unix ms), and the topics of which values may have been missed.
    missed: Option<(u64, HashSet<Topic>)>,
}

struct Listed {
    key: VolatileKey,
    /// With their outboxes: a value goes to thousands of them, and looking each of them up would cost more than telling it.
    subscribers: Vec<(u64, Rc<Outbox>)>,
    last: Option<Update>,
    /// H4: since `last`, values may have been missed between these moments.
    gap: Option<(u64, u64)>,
    /// The wish in which the hub was asked for it. What it sent before it heard that one is of an earlier time, when others
    /// here had this topic, and nothing of this one's business.
    asked: Option<u64>,
    /// The hub may be one that does not.
    forgotten: bool,
}

struct Client {
    outbox: Rc<Outbox>,
    topics: HashMap<Topic, usize>,
}

/// What the hub is to be told, in this order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// From 1, in this shard's life.
    pub number: u64,
    pub unwanted: Vec<Topic>,
    pub wanted: Vec<Topic>,
    /// Connections of this shard.
    pub clients: usize,
}

/// A subscriber would have more topics than it may.
#[derive(Debug, PartialEq, Eq)]
pub struct TooMany;

impl Fanout {
    /// `status`: what the hub says before it has said anything.
    pub fn new(max_topics_per_client: usize, status: FeedStatus) -> Self {
        Self {
            topics: HashMap::new(),
            clients: HashMap::new(),
            changed: BTreeSet::new(),
            max_topics_per_client,
            status,
            told: None,
            wishes: 0,
            missed: None,
        }
    }

    pub fn enter(&mut self, connection: u64, outbox: Rc<Outbox>) {
        self.clients.insert(connection, Client { outbox, topics: HashMap::new() });
    }

    /// Whether it was there.
    pub fn leave(&mut self, connection: u64) -> bool {
        let Some(client) = self.clients.remove(&connection) else { return false };
        for (topic, place) in &client.topics {
            self.drop_subscriber(topic, *place);
        }
        true
    }

    /// The outboxes of all clients.
    pub fn outboxes(&self) -> impl Iterator<Item = &Rc<Outbox>> {
        self.clients.values().map(|client| &client.outbox)
    }

    /// What clients are told of the feed. Before anybody was there it was not connected; now it will be.
    pub fn state(&self) -> FeedState {
        match self.status.state {
            FeedState::Disconnected => FeedState::Connecting,
            state => state,
        }
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
        // A topic that is named twice is told once.
        let topics: BTreeSet<_> = topics.iter().collect();
        let new = topics.iter().filter(|topic| !client.topics.contains_key(**topic)).count();
        if client.topics.len() + new > self.max_topics_per_client {
            return Err(TooMany);
        }
        client.outbox.push(subscribed, now);
        let mut gaps: BTreeMap<(u64, u64), Vec<&Topic>> = BTreeMap::new();
        for topic in topics {
            let listed = self.topics.entry(topic.clone()).or_insert_with(|| Listed::new(topic));
            let is_new = !client.topics.contains_key(topic);
            if is_new {
                client.topics.insert(topic.clone(), listed.subscribers.len());
                listed.subscribers.push((connection, client.outbox.clone()));
            }
            if let Some(last) = &listed.last {
                let whole = last.whole_frame();
                hold(&client.outbox, &listed.key, &whole, || whole.clone(), now);
            }
            // Of those it had, it has been told.
            if let Some(gap) = listed.gap.filter(|_| is_new) {
                gaps.entry(gap).or_default().push(topic);
            }
            if listed.asked.is_none() || listed.forgotten {
                self.changed.insert(topic.clone());
            }
        }
        for ((from, to), topics) in gaps {
            client.outbox.push_behind(gap_frame(&topics, from, to), now);
        }
        Ok(())
    }

    /// Nothing of these topics goes to this subscriber any more but what is on the wire's edge already.
    pub fn unsubscribe(&mut self, connection: u64, topics: &[Topic]) {
        for topic in topics {
            let Some(client) = self.clients.get_mut(&connection) else { return };
            if let Some(place) = client.topics.remove(topic) {
                if let Some(listed) = self.topics.get(topic) {
                    client.outbox.forget(&listed.key);
                }
                self.drop_subscriber(topic, place);
            }
        }
    }

    fn drop_subscriber(&mut self, topic: &Topic, place: usize) {
        let Some(listed) = self.topics.get_mut(topic) else { return };
        listed.subscribers.swap_remove(place);
        if let Some((moved, _)) = listed.subscribers.get(place)
            && let Some(moved) = self.clients.get_mut(moved).and_then(|client| client.topics.get_mut(topic))
        {
            *moved = place;
        }
        if listed.subscribers.is_empty() {
            self.changed.insert(topic.clone());
        }
    }

    /// Tells the clients what is new, in order. `heard` is the newest wish that the hub had heard by then; `unix_ms` is the same
    /// moment as `now`.
    pub fn deliver(&mut self, news: Vec<News>, heard: u64, now: Instant, unix_ms: u64) {
        for news in news {
            match news {
                News::Update(update) if !self.has_asked(&update.topic, heard) => {}
                News::Update(update) => {
                    self.own_up_to(&update.topic, now, unix_ms);
                    self.update(update, now);
                }
                News::Feed(status) => {
                    if status.state == FeedState::Live {
                        self.own_up(now, unix_ms);
                    }
                    self.feed(status, now);
                }
                News::Gap(gap) => self.gap(&gap, now),
                News::Refused(topic, _) if !self.has_asked(&topic, heard) => {}
                News::Refused(topic, why) => self.refuse(&topic, why, now),
                News::Restarted(at) => self.ask_again(at),
                News::Ended => {}
            }
        }
    }

    fn has_asked(&self, topic: &Topic, heard: u64) -> bool {
        self.topics.get(topic).is_some_and(|listed| listed.asked.is_some_and(|asked| asked <= heard))
    }

    /// The frame is made once for all subscribers.
    fn update(&mut self, update: Update, now: Instant) {
        let Some(listed) = self.topics.get_mut(&update.topic) else { return };
        let seen = listed.last.as_ref().map(|last| last.seq);
        if seen.is_some_and(|seen| update.seq <= seen) {
            return;
        }
        let mut whole = None;
        let mut whole = || whole.get_or_insert_with(|| update.whole_frame()).clone();
        let frame = if seen.is_some_and(|seen| update.follows(seen)) { update.live_frame() } else { whole() };
        for (_, outbox) in &listed.subscribers {
            hold(outbox, &listed.key, &frame, &mut whole, now);
        }
        listed.last = Some(update);
        listed.gap = None;
    }

    /// Says what may have been missed since the hub was replaced, before what is new.
    fn own_up(&mut self, now: Instant, unix_ms: u64) {
        if let Some((from, topics)) = self.missed.take() {
            self.gap(&Gap { topics: topics.into(), from, to: unix_ms }, now);
        }
    }

    /// The same of one topic, of which something is known sooner.
    fn own_up_to(&mut self, topic: &Topic, now: Instant, unix_ms: u64) {
        let Some((from, topics)) = &mut self.missed else { return };
        let from = *from;
        if let Some(topic) = topics.take(topic) {
            self.gap(&Gap { topics: Arc::new([topic].into()), from, to: unix_ms }, now);
        }
    }

    fn feed(&mut self, status: FeedStatus, now: Instant) {
        if status == std::mem::replace(&mut self.status, status) || status.state == FeedState::Disconnected {
            return;
        }
        let FeedStatus { state, since, attempt, .. } = status;
        let frame = json_frame(|out| ServerFrame::Feed { state, since, attempt }.write(out));
        for outbox in self.outboxes() {
            outbox.push_behind(frame.clone(), now);
        }
    }

    /// H4: each is told of its own topics; most have the same, so a frame is kept for the next one.
    fn gap(&mut self, gap: &Gap, now: Instant) {
        for (topic, listed) in &mut self.topics {
            if gap.topics.contains(topic) && listed.last.is_some() {
                let from = listed.gap.map_or(gap.from, |(from, _)| from.min(gap.from));
                listed.gap = Some((from, gap.to));
            }
        }
        let mut kept: Option<(Vec<&Topic>, Frame)> = None;
        for client in self.clients.values() {
            let mut topics: Vec<_> = client.topics.keys().filter(|topic| gap.topics.contains(*topic)).collect();
            if topics.is_empty() {
                continue;
            }
            topics.sort_unstable();
            let frame = match &kept {
                Some((known, frame)) if *known == topics => frame.clone(),
                _ => {
                    let frame = gap_frame(&topics, gap.from, gap.to);
                    kept = Some((topics, frame.clone()));
                    frame
                }
            };
            client.outbox.push_behind(frame, now);
        }
    }

    fn refuse(&mut self, topic: &Topic, why: Refusal, now: Instant) {
        let Some(listed) = self.topics.get_mut(topic) else { return };
        let (code, why) = match why {
            Refusal::Full => (error_code::TOO_MANY_TOPICS, "the hub has as many topics as it may"),
            Refusal::Nameless => (error_code::UNKNOWN_TOPIC, "the feed has no topics of such a name"),
        };
        let frame = error_frame(code, &format!("{why}; {topic:?} is not subscribed"), None);
        for (connection, outbox) in listed.subscribers.drain(..) {
            outbox.push(frame.clone(), now);
            if let Some(client) = self.clients.get_mut(&connection) {
                client.topics.remove(topic);
            }
        }
        self.changed.insert(topic.clone());
    }

    /// The hub is another one.
    fn ask_again(&mut self, at: u64) {
        let (from, mut topics) = self.missed.take().unwrap_or((at, HashSet::new()));
        for (topic, listed) in &mut self.topics {
            listed.forgotten = true;
            self.changed.insert(topic.clone());
            topics.insert(topic.clone());
        }
        self.missed = Some((from, topics));
        self.told = None;
    }

    /// What the hub does not know yet; from now on it counts as known.
    pub fn wishes(&mut self) -> Option<Wishes> {
        let clients = self.clients.len();
        let number = self.wishes + 1;
        let mut wishes = Wishes { number, clients, ..Wishes::default() };
        for topic in std::mem::take(&mut self.changed) {
            let Some(listed) = self.topics.get_mut(&topic) else { continue };
            if listed.subscribers.is_empty() {
                // A wish of the past may still be on its way to a new hub.
                if listed.asked.is_some() {
                    wishes.unwanted.push(topic.clone());
                }
                self.topics.remove(&topic);
            } else if listed.asked.is_none() || listed.forgotten {
                (listed.asked, listed.forgotten) = (Some(number), false);
                wishes.wanted.push(topic);
            }
        }
        // How many there are matters to the hub only where it is none.
        let is_known = self.told.is_some_and(|told| (told == 0) == (clients == 0));
        if is_known && wishes.wanted.is_empty() && wishes.unwanted.is_empty() {
            return None;
        }
        self.told = Some(clients);
        self.wishes = number;
        Some(wishes)
    }
}

impl Listed {
    fn new(topic: &Topic) -> Self {
        // A room's keys have a sender; a topic has none.
        let key = (topic.as_str().into(), "".into());
        Self { key, subscribers: Vec::new(), last: None, gap: None, asked: None, forgotten: false }
    }
}

fn gap_frame(topics: &[&Topic], from: u64, to: u64) -> Frame {
    json_frame(|out| ServerFrame::Gap { topics, from, to }.write(out))
}

fn hold(outbox: &Rc<Outbox>, key: &VolatileKey, live: &Frame, whole: impl FnOnce() -> Frame, now: Instant) {
    if outbox.hold_topic(key, live, whole, now) {
        outbox.mark_dirty();
    }
}
