//! Owns the subscribers of a hub on one shard: who has which topics, their last values, and what
//! each subscriber is told. Knows outboxes and no actor. `asking` is what the hub is told.

mod asking;

pub use asking::{Availability, TooMany, Wishes};

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    rc::Rc,
    sync::Arc,
    time::Instant,
};

use super::{
    event::{HubEvent, TopicRefusal},
    shares::Holder,
    update::Update,
    uplink::{FeedStatus, Gap, Rejected},
};
use crate::{
    protocol::{Cause, FeedState, ServerFrame, Topic, error_code},
    ws::{Frame, Outbox, VolatileKey, json_frame},
};

/// Invariants: a topic is listed while it has subscribers here, or the hub still has to be told that it has none. A client's
/// `topics` say at which place of each topic's `subscribers` it stands.
pub struct Fanout {
    topics: HashMap<Topic, Listed>,
    clients: HashMap<u64, FanoutClient>,
    /// Topics of which the hub may have to be told something.
    changed: BTreeSet<Topic>,
    max_topics_per_client: usize,
    status: FeedStatus,
    /// How many clients the hub knows of; `None` before it knows of this shard.
    told: Option<usize>,
    /// Wishes so far, and the newest that the hub has heard.
    wishes: u64,
    heard: u64,
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
    /// The hub has heard that wish, and does not have the topic.
    refused: Option<TopicRefusal>,
    /// What the upstream said no with, since somebody last asked for it.
    rejected: Option<Frame>,
    /// Clients that will subscribe to it when the hub has heard of it.
    expected: usize,
}

struct FanoutClient {
    outbox: Rc<Outbox>,
    topics: HashMap<Topic, usize>,
    /// `None`: an operator, whose topics count for nobody.
    holder: Option<Holder>,
}

impl FanoutClient {
    fn gain(&mut self, topic: &Topic, place: usize) {
        if self.topics.insert(topic.clone(), place).is_none()
            && let Some(holder) = &self.holder
        {
            holder.take(topic);
        }
    }

    /// Its place among the topic's subscribers.
    fn lose(&mut self, topic: &Topic) -> Option<usize> {
        let place = self.topics.remove(topic)?;
        if let Some(holder) = &self.holder {
            holder.give_back([topic].into_iter());
        }
        Some(place)
    }
}

impl Drop for FanoutClient {
    fn drop(&mut self) {
        if let Some(holder) = &self.holder {
            holder.give_back(self.topics.keys());
        }
    }
}

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
            heard: 0,
            missed: None,
        }
    }

    /// `holder`: whose topics the client's count towards.
    pub fn enter(&mut self, connection: u64, outbox: Rc<Outbox>, holder: Option<Holder>) {
        self.clients.insert(connection, FanoutClient { outbox, topics: HashMap::new(), holder });
    }

    /// Whether it was there.
    pub fn leave(&mut self, connection: u64) -> bool {
        let Some(client) = self.clients.remove(&connection) else { return false };
        for (topic, place) in &client.topics {
            self.drop_subscriber(topic, *place);
        }
        true
    }

    /// What clients are told of the feed. Before anybody was there it was not connected; now it will be.
    pub fn state(&self) -> FeedState {
        match self.status.state {
            FeedState::Disconnected => FeedState::Connecting,
            state => state,
        }
    }

    /// Notes the subscriptions, which were expected, and puts the answer `subscribed` into the outbox, then the last values that are
    /// known here; the others follow as soon as the hub has sent them. Topics that it has already are told anew.
    pub fn subscribe(&mut self, connection: u64, topics: &[Topic], subscribed: Frame, now: Instant) {
        let Some(client) = self.clients.get_mut(&connection) else { return };
        // A topic that is named twice is told once.
        let topics: BTreeSet<_> = topics.iter().collect();
        client.outbox.push(subscribed, now);
        let mut gaps: BTreeMap<(u64, u64), Vec<&Topic>> = BTreeMap::new();
        for topic in topics {
            let listed = self.topics.entry(topic.clone()).or_insert_with(|| Listed::new(topic));
            let is_new = !client.topics.contains_key(topic);
            if is_new {
                client.gain(topic, listed.subscribers.len());
                listed.subscribers.push((connection, client.outbox.clone()));
            }
            if let Some(last) = &listed.last {
                let whole = last.whole_frame();
                hold(&client.outbox, &listed.key, &whole, || whole.clone(), now);
            }
            if let Some(frame) = &listed.rejected {
                client.outbox.push_behind(frame.clone(), now);
            }
            // Of those it had, it has been told.
            if let Some(gap) = listed.gap.filter(|_| is_new) {
                gaps.entry(gap).or_default().push(topic);
            }
        }
        for ((from, to), topics) in gaps {
            client.outbox.push_behind(gap_frame(&topics, from, to), now);
        }
    }

    /// Nothing of these topics goes to this subscriber any more but what is on the wire's edge already.
    pub fn unsubscribe(&mut self, connection: u64, topics: &[Topic]) {
        for topic in topics {
            let Some(client) = self.clients.get_mut(&connection) else { return };
            if let Some(place) = client.lose(topic) {
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

    /// Tells the clients what is new. `heard` is the newest wish that the hub had heard by then; `unix_ms` is the same moment as
    /// `now`.
    pub fn tell(&mut self, news: HubEvent, heard: u64, now: Instant, unix_ms: u64) {
        match news {
            _ if news.topic().is_some_and(|topic| !self.has_asked(topic, heard)) => {}
            HubEvent::Update(update) => {
                self.own_up_to(&update.topic, now, unix_ms);
                self.update(update, false, now);
            }
            HubEvent::Last(update) => {
                self.own_up_to(&update.topic, now, unix_ms);
                self.update(update, true, now);
            }
            HubEvent::Feed(status) => {
                if status.state == FeedState::Live {
                    self.report_gaps(now, unix_ms);
                }
                self.feed(status, now);
            }
            HubEvent::Gap(gap) => self.gap(&gap, now),
            HubEvent::Rejected(rejected) => self.rejected(&rejected, now),
            HubEvent::Evicted(topic) => self.refuse(&topic, TopicRefusal::Full, now),
            HubEvent::Restarted(at) => self.ask_again(at),
            HubEvent::Ended => self.close(),
        }
    }

    /// How many clients will be told.
    pub fn audience(&self, news: &HubEvent) -> usize {
        match news.topic() {
            Some(topic) => self.topics.get(topic).map_or(0, |listed| listed.subscribers.len()),
            None => self.clients.len(),
        }
    }

    /// The hub is gone; its clients must not believe that nothing happens.
    fn close(&self) {
        for client in self.clients.values() {
            client.outbox.close(Cause::RoomFailed, None);
        }
    }

    /// The frame is made once for all subscribers.
    fn update(&mut self, update: Update, is_old: bool, now: Instant) {
        let Some(listed) = self.topics.get_mut(&update.topic) else { return };
        let seen = listed.last.as_ref().map(|last| last.seq);
        if seen.is_some_and(|seen| update.seq <= seen) {
            return;
        }
        let mut whole = None;
        let mut whole = || whole.get_or_insert_with(|| update.whole_frame()).clone();
        let frame = if !is_old && update.follows(seen) { update.live_frame() } else { whole() };
        for (_, outbox) in &listed.subscribers {
            hold(outbox, &listed.key, &frame, &mut whole, now);
        }
        listed.last = Some(update);
        listed.gap = None;
    }

    /// Its subscribers stay: the upstream may have the topic on the next connection.
    fn rejected(&mut self, rejected: &Rejected, now: Instant) {
        let Rejected { topic, said } = rejected;
        let Some(listed) = self.topics.get_mut(topic) else { return };
        let (code, message) = (error_code::TOPIC_REJECTED, format!("the upstream does not have this topic: {said}"));
        let (code, message, id, topic) = (code, message.as_str(), None, Some(topic));
        let frame = json_frame(|out| ServerFrame::Error { code, message, id, topic }.write(out));
        for (_, outbox) in &listed.subscribers {
            outbox.push_behind(frame.clone(), now);
        }
        listed.rejected = Some(frame);
    }

    /// Says what may have been missed since the hub was replaced, before what is new.
    fn report_gaps(&mut self, now: Instant, unix_ms: u64) {
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
        for client in self.clients.values() {
            client.outbox.push_behind(frame.clone(), now);
        }
    }

    /// H4: each is told of its own topics; most have the same, so a frame is kept for the next one.
    fn gap(&mut self, gap: &Gap, now: Instant) {
        for (topic, listed) in &mut self.topics {
            if gap.topics.contains(topic) && listed.last.is_some() {
                listed.gap = Some(Gap::widen(gap.from, gap.to, listed.gap));
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
}

impl Listed {
    fn new(topic: &Topic) -> Self {
        // A room's keys have a sender; a topic has none.
        let key = (topic.as_str().into(), "".into());
        Self {
            key,
            subscribers: Vec::new(),
            last: None,
            gap: None,
            asked: None,
            forgotten: false,
            refused: None,
            rejected: None,
            expected: 0,
        }
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
