//! Owns the subscribers of a hub on one shard: who has which topics, their last values, and the
//! frames for each subscriber. Uses outboxes, but no actor. `asking` owns the interest that the hub
//! is sent.

mod asking;

pub(super) use asking::{Availability, InterestChange, TooMany};

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
    ws::{Frame, Outbox, Policy, ValueKey, json_frame},
};

/// Invariants: a topic is listed while it has subscribers here or is reserved, or until the hub has
/// been sent that it is unwanted. A client's `topics` give its index in each topic's `subscribers`.
pub(super) struct Fanout {
    topics: HashMap<Topic, Listed>,
    clients: HashMap<u64, FanoutClient>,
    /// Topics whose interest may differ from what the hub was sent.
    changed: BTreeSet<Topic>,
    max_topics_per_client: usize,
    status: FeedStatus,
    /// The number of clients in the newest interest; `None` before the first, or since the hub was
    /// replaced.
    clients_sent: Option<usize>,
    /// The number of the newest interest that was sent, and of the newest that the hub has handled.
    sent: u64,
    handled: u64,
    /// Since the hub was replaced: when that was (unix ms), and the topics of which values may have
    /// been missed.
    missed: Option<(u64, HashSet<Topic>)>,
}

struct Listed {
    key: ValueKey,
    /// With their outboxes: a value goes to thousands of them, and to look each up would cost more
    /// than to queue the frame.
    subscribers: Vec<(u64, Rc<Outbox>)>,
    last: Option<Update>,
    /// H4: values since `last` may have been missed between these moments (unix ms).
    gap: Option<(u64, u64)>,
    /// The number of the interest that asked for the topic. An event that the hub sent before it
    /// had handled that one belongs to an earlier subscription of this shard, and is skipped.
    asked: Option<u64>,
    /// The hub may not have the topic any more: it was replaced, or it refused or rejected the
    /// topic. The next interest asks again.
    forgotten: bool,
    /// The hub has handled that interest and refused the topic.
    refused: Option<TopicRefusal>,
    /// The `error` of the upstream's rejection, until a client asks for the topic again.
    rejected: Option<Frame>,
    /// Reservations: clients that subscribe once the hub has handled the interest.
    reserved: usize,
}

struct FanoutClient {
    outbox: Rc<Outbox>,
    topics: HashMap<Topic, usize>,
    /// `None` for an operator, whose topics are not counted.
    holder: Option<Holder>,
}

impl FanoutClient {
    fn gain(&mut self, topic: &Topic, index: usize) {
        if self.topics.insert(topic.clone(), index).is_none()
            && let Some(holder) = &self.holder
        {
            holder.take(topic);
        }
    }

    /// Returns the client's index among the topic's subscribers.
    fn lose(&mut self, topic: &Topic) -> Option<usize> {
        let index = self.topics.remove(topic)?;
        if let Some(holder) = &self.holder {
            holder.give_back([topic].into_iter());
        }
        Some(index)
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
    /// `status` is the feed's state until the hub sends one.
    pub(super) fn new(max_topics_per_client: usize, status: FeedStatus) -> Self {
        Self {
            topics: HashMap::new(),
            clients: HashMap::new(),
            changed: BTreeSet::new(),
            max_topics_per_client,
            status,
            clients_sent: None,
            sent: 0,
            handled: 0,
            missed: None,
        }
    }

    /// `holder` is the address that the client's topics are counted for.
    pub(super) fn enter(&mut self, connection: u64, outbox: Rc<Outbox>, holder: Option<Holder>) {
        self.clients.insert(connection, FanoutClient { outbox, topics: HashMap::new(), holder });
    }

    /// Returns false if the client was not here.
    pub(super) fn leave(&mut self, connection: u64) -> bool {
        let Some(client) = self.clients.remove(&connection) else { return false };
        for (topic, index) in &client.topics {
            self.drop_subscriber(topic, *index);
        }
        true
    }

    /// The feed's state as clients see it. A hub without clients is disconnected, and connects as
    /// soon as one enters.
    pub(super) fn state(&self) -> FeedState {
        match self.status.state {
            FeedState::Disconnected => FeedState::Connecting,
            state => state,
        }
    }

    /// Adds the reserved subscriptions. Queues the reply `subscribed`, then the last values that
    /// are known here; other values follow when the hub sends them. A topic that the client has
    /// already is sent again.
    pub(super) fn subscribe(&mut self, connection: u64, topics: &[Topic], subscribed: Frame, now: Instant) {
        let Some(client) = self.clients.get_mut(&connection) else { return };
        // A topic that is named twice is sent once.
        let topics: BTreeSet<_> = topics.iter().collect();
        client.outbox.queue(subscribed, Policy::Live, now);
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
                let policy = Policy::Update { key: &listed.key, whole: &mut || whole.clone() };
                client.outbox.queue(whole.clone(), policy, now);
            }
            if let Some(frame) = &listed.rejected {
                client.outbox.queue(frame.clone(), Policy::Behind, now);
            }
            // A client that had the topic has been sent its gap already.
            if let Some(gap) = listed.gap.filter(|_| is_new) {
                gaps.entry(gap).or_default().push(topic);
            }
        }
        for ((from, to), topics) in gaps {
            client.outbox.queue(gap_frame(&topics, from, to), Policy::Behind, now);
        }
    }

    /// After this, the subscriber gets nothing of these topics but what its outbox has already
    /// begun to write.
    pub(super) fn unsubscribe(&mut self, connection: u64, topics: &[Topic]) {
        for topic in topics {
            let Some(client) = self.clients.get_mut(&connection) else { return };
            if let Some(index) = client.lose(topic) {
                if let Some(listed) = self.topics.get(topic) {
                    client.outbox.forget(&listed.key);
                }
                self.drop_subscriber(topic, index);
            }
        }
    }

    fn drop_subscriber(&mut self, topic: &Topic, index: usize) {
        let Some(listed) = self.topics.get_mut(topic) else { return };
        listed.subscribers.swap_remove(index);
        if let Some((moved, _)) = listed.subscribers.get(index)
            && let Some(moved) = self.clients.get_mut(moved).and_then(|client| client.topics.get_mut(topic))
        {
            *moved = index;
        }
        if listed.subscribers.is_empty() {
            self.changed.insert(topic.clone());
        }
    }

    /// Queues an event for the clients. `handled` is the number of the newest interest that the hub
    /// had handled when it sent the event; `unix_ms` is the same moment as `now`.
    pub(super) fn on_event(&mut self, event: HubEvent, handled: u64, now: Instant, unix_ms: u64) {
        match event {
            _ if event.topic().is_some_and(|topic| !self.has_asked(topic, handled)) => {}
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

    /// How many clients an event is for.
    pub(super) fn audience(&self, event: &HubEvent) -> usize {
        match event.topic() {
            Some(topic) => self.topics.get(topic).map_or(0, |listed| listed.subscribers.len()),
            None => self.clients.len(),
        }
    }

    /// There is no hub any more: closes all clients, which would otherwise take the silence for a
    /// quiet feed.
    fn close(&self) {
        for client in self.clients.values() {
            client.outbox.close(Cause::RoomFailed, None);
        }
    }

    /// Makes each frame once for all subscribers.
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
            outbox.queue(frame.clone(), Policy::Update { key: &listed.key, whole: &mut whole }, now);
        }
        listed.last = Some(update);
        listed.gap = None;
    }

    /// The subscribers stay: the upstream may have the topic on the next connection.
    fn rejected(&mut self, rejected: &Rejected, now: Instant) {
        let Rejected { topic, said } = rejected;
        let Some(listed) = self.topics.get_mut(topic) else { return };
        let (code, message) = (error_code::TOPIC_REJECTED, format!("the upstream does not have this topic: {said}"));
        let (code, message, id, topic) = (code, message.as_str(), None, Some(topic));
        let frame = json_frame(|out| ServerFrame::Error { code, message, id, topic }.write(out));
        for (_, outbox) in &listed.subscribers {
            outbox.queue(frame.clone(), Policy::Behind, now);
        }
        listed.rejected = Some(frame);
    }

    /// Sends the gaps since the hub was replaced, before anything new.
    fn report_gaps(&mut self, now: Instant, unix_ms: u64) {
        if let Some((from, topics)) = self.missed.take() {
            self.gap(&Gap { topics: topics.into(), from, to: unix_ms }, now);
        }
    }

    /// Sends that gap for one topic, whose next value came before the feed's state.
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
            client.outbox.queue(frame.clone(), Policy::Behind, now);
        }
    }

    /// H4: a client is sent its own topics of the gap. Most clients have the same topics, so the
    /// last frame is reused.
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
            client.outbox.queue(frame, Policy::Behind, now);
        }
    }
}

impl Listed {
    fn new(topic: &Topic) -> Self {
        Self {
            key: ValueKey::Topic(topic.clone()),
            subscribers: Vec::new(),
            last: None,
            gap: None,
            asked: None,
            forgotten: false,
            refused: None,
            rejected: None,
            reserved: 0,
        }
    }
}

fn gap_frame(topics: &[&Topic], from: u64, to: u64) -> Frame {
    json_frame(|out| ServerFrame::Gap { topics, from, to }.write(out))
}
