//! Owns the topics of a hub: which shards want each, its last value and number, and how long it
//! lingers when no shard wants it (H2); pure.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

use super::{
    update::{TopicValue, Update},
    uplink::Gap,
};
use crate::protocol::Topic;

/// The limits of a hub's topics.
#[derive(Debug, Clone, Copy)]
pub(super) struct TopicLimits {
    /// How long a topic outlives its last subscriber, and the feed its last client.
    pub linger: Duration,
    /// The most distinct topics at once. On an event bus it bounds the topics without a value only;
    /// the bus bounds the others itself.
    pub max_topics: usize,
    /// True for an event bus: a topic with a value is kept even if no shard wants it.
    pub keeps: bool,
}

/// What a hub's source has to do, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SourceCommand {
    /// True if the hub has a client, or had one within the linger time.
    Active(bool),
    /// The topic is wanted now, and was not before.
    Watch(Topic),
    /// The topic is not wanted any more.
    Unwatch(Topic),
    /// The topic was removed to make room for another: these shards want it, and lose it. `Unwatch`
    /// follows.
    Evict(Topic, BTreeSet<usize>),
}

/// The topics that a shard wants or wanted within the linger time. Topics beyond that are removed:
/// their values would be stale.
pub(super) struct Topics {
    rules: TopicLimits,
    entries: HashMap<Topic, TopicRecord>,
    /// Topics that no shard wants, in the order of their ends.
    lingering: BTreeSet<(Instant, Topic)>,
    /// How many records have a value.
    valued: usize,
    /// Topics that are wanted and never had a value, by place: the longest waiting first.
    bare: BTreeMap<u64, Topic>,
    next_place: u64,
    /// Topics from this place on belong to the interest that is being handled, which must not evict
    /// its own.
    interest_begins: u64,
    /// The numbers of a new topic begin above this. It is above those of every topic that was
    /// removed, and one further, so that a value a shard may still hold of the old topic is never
    /// taken for the value before the new one ([`Update::follows`]).
    floor: u64,
    /// The number of clients on each shard.
    clients: BTreeMap<usize, usize>,
    is_active: bool,
    /// When the feed ends; set while there is no client.
    inactive_at: Option<Instant>,
    changes: Vec<SourceCommand>,
}

#[derive(Default)]
struct TopicRecord {
    shards: BTreeSet<usize>,
    seq: u64,
    last: Option<TopicValue>,
    /// H4: values since `last` may have been missed between these moments (unix ms).
    gap: Option<(u64, u64)>,
    /// When the topic ends; set while no shard wants it.
    ends: Option<Instant>,
    /// Its key in `bare`, while it has no value.
    place: Option<u64>,
}

/// What a hub has for a shard that begins to want a topic.
#[derive(Debug)]
pub(super) enum WatchOutcome {
    /// The topic is new.
    New,
    /// The topic's last value, if there is one, and the gap since then.
    Known(Option<Update>, Option<(u64, u64)>),
    /// The hub has as many topics as it may, and none of them can make room.
    Refused,
}

impl Topics {
    /// All numbers are above `floor`.
    pub(super) fn new(rules: TopicLimits, floor: u64) -> Self {
        Self {
            rules,
            entries: HashMap::new(),
            lingering: BTreeSet::new(),
            valued: 0,
            bare: BTreeMap::new(),
            next_place: 0,
            interest_begins: 0,
            floor,
            clients: BTreeMap::new(),
            is_active: false,
            inactive_at: None,
            changes: Vec::new(),
        }
    }

    /// Returns what has changed since the last call.
    pub(super) fn changes(&mut self) -> Vec<SourceCommand> {
        std::mem::take(&mut self.changes)
    }

    /// Sets how many clients a shard has.
    pub(super) fn set_clients(&mut self, shard: usize, clients: usize, now: Instant) {
        self.clients.insert(shard, clients);
        if self.clients.values().any(|clients| *clients > 0) {
            self.inactive_at = None;
            if !std::mem::replace(&mut self.is_active, true) {
                self.changes.push(SourceCommand::Active(true));
            }
        } else if self.is_active && self.inactive_at.is_none() {
            self.inactive_at = Some(now + self.rules.linger);
            self.tick(now);
        }
    }

    /// Call before the topics of one interest message: topics wanted from now on do not evict each
    /// other.
    pub(super) fn begin_interest(&mut self) {
        self.interest_begins = self.next_place;
    }

    /// A shard has a subscriber of the topic. Calling it twice counts once.
    pub(super) fn want(&mut self, topic: &Topic, shard: usize) -> WatchOutcome {
        if let Some(entry) = self.entries.get_mut(topic) {
            entry.shards.insert(shard);
            if let Some(ends) = entry.ends.take() {
                self.lingering.remove(&(ends, topic.clone()));
            }
            let (seq, last) = (entry.seq, entry.last.clone());
            return WatchOutcome::Known(last.map(|value| Update { topic: topic.clone(), seq, value }), entry.gap);
        }
        if !self.has_place() {
            return WatchOutcome::Refused;
        }
        let place = Some(self.next_place);
        self.bare.insert(self.next_place, topic.clone());
        self.next_place += 1;
        self.entries.insert(
            topic.clone(),
            TopicRecord { shards: [shard].into(), seq: self.floor, place, ..TopicRecord::default() },
        );
        self.changes.push(SourceCommand::Watch(topic.clone()));
        WatchOutcome::New
    }

    pub(super) fn is_wanted_by(&self, topic: &Topic, shard: usize) -> bool {
        self.entries.get(topic).is_some_and(|entry| entry.shards.contains(&shard))
    }

    /// The shard's last subscriber of the topic has left.
    pub(super) fn unwant(&mut self, topic: &Topic, shard: usize, now: Instant) {
        let Some(entry) = self.entries.get_mut(topic) else { return };
        let is_last = entry.shards.remove(&shard) && entry.shards.is_empty();
        if !is_last || (self.rules.keeps && entry.last.is_some()) {
            return;
        }
        let ends = now + self.rules.linger;
        entry.ends = Some(ends);
        self.lingering.insert((ends, topic.clone()));
        self.tick(now);
    }

    /// Numbers a value of the source, and returns it with the shards that want it. `None` if the
    /// hub does not have the topic.
    pub(super) fn publish(
        &mut self,
        topic: &Topic,
        value: TopicValue,
    ) -> Option<(Update, impl Iterator<Item = usize>)> {
        let entry = self.entries.get_mut(topic)?;
        entry.seq += 1;
        entry.gap = None;
        if entry.last.replace(value.clone()).is_none() {
            self.valued += 1;
            entry.place.take().map(|place| self.bare.remove(&place));
        }
        let update = Update { topic: topic.clone(), seq: entry.seq, value };
        Some((update, entry.shards.iter().copied()))
    }

    /// H4: values of these topics may have been missed between these moments (unix ms). A
    /// subscriber that comes before the next value is sent the gap with the last one.
    pub(super) fn note_gap<'a>(&mut self, topics: impl Iterator<Item = &'a Topic>, from: u64, to: u64) {
        for topic in topics {
            if let Some(entry) = self.entries.get_mut(topic).filter(|entry| entry.last.is_some()) {
                entry.gap = Some(Gap::widen(from, to, entry.gap));
            }
        }
    }

    /// Like [`Topics::publish`], for an event bus, which numbers its values itself. Creates the
    /// topic if it is new.
    pub(super) fn put(&mut self, topic: &Topic, seq: u64, value: TopicValue) -> (Update, impl Iterator<Item = usize>) {
        let entry = self.entries.entry(topic.clone()).or_default();
        if let Some(ends) = entry.ends.take() {
            self.lingering.remove(&(ends, topic.clone()));
        }
        if entry.last.replace(value.clone()).is_none() {
            self.valued += 1;
            entry.place.take().map(|place| self.bare.remove(&place));
        }
        entry.seq = seq;
        (Update { topic: topic.clone(), seq, value }, entry.shards.iter().copied())
    }

    /// Returns the number of the topic's newest value; `None` if the hub does not have the topic.
    pub(super) fn seq_of(&self, topic: &Topic) -> Option<u64> {
        self.entries.get(topic).map(|entry| entry.seq)
    }

    /// Ends what is due.
    pub(super) fn tick(&mut self, now: Instant) {
        // The feed ends first: topics that end with it need not be unsubscribed one by one.
        if self.inactive_at.is_some_and(|at| at <= now) {
            self.inactive_at = None;
            self.is_active = false;
            self.changes.push(SourceCommand::Active(false));
        }
        while self.lingering.first().is_some_and(|(ends, _)| *ends <= now) {
            self.end_first();
        }
    }

    /// When [`Topics::tick`] is needed next.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let topic = self.lingering.first().map(|(ends, _)| *ends);
        self.inactive_at.into_iter().chain(topic).min()
    }

    /// The number of topics.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns all topics by name, each with the number of its newest value (0 if it has none), and
    /// true if a shard wants it.
    pub(super) fn list(&self) -> Vec<(&Topic, u64, bool)> {
        let seq = |entry: &TopicRecord| entry.last.as_ref().map_or(0, |_| entry.seq);
        let mut list: Vec<_> =
            self.entries.iter().map(|(topic, entry)| (topic, seq(entry), !entry.shards.is_empty())).collect();
        list.sort_unstable();
        list
    }

    /// Returns true if there is room for another topic without a value. To make room, lingering
    /// topics end first, then topics that never had a value.
    fn has_place(&mut self) -> bool {
        let TopicLimits { keeps, max_topics, .. } = self.rules;
        loop {
            // On a bus, subscribers must not keep back ends from publishing, nor back ends
            // subscribers from subscribing, so topics with a value do not count.
            let count = self.entries.len() - if keeps { self.valued } else { 0 };
            if count < max_topics {
                return true;
            }
            if !self.lingering.is_empty() {
                self.end_first();
            } else if !self.evict_first() {
                return false;
            }
        }
    }

    /// Ends the topic that lingers longest.
    fn end_first(&mut self) {
        let Some((_, topic)) = self.lingering.pop_first() else { return };
        self.remove(topic);
    }

    /// Evicts the wanted topic that has waited for a value longest. Returns false if only topics of
    /// the present interest are left.
    fn evict_first(&mut self) -> bool {
        let Some(first) = self.bare.first_entry().filter(|first| *first.key() < self.interest_begins) else {
            return false;
        };
        let topic = first.get().clone();
        let shards = self.entries.get(&topic).map(|entry| entry.shards.clone()).unwrap_or_default();
        self.changes.push(SourceCommand::Evict(topic.clone(), shards));
        self.remove(topic);
        true
    }

    fn remove(&mut self, topic: Topic) {
        if let Some(entry) = self.entries.remove(&topic) {
            self.floor = self.floor.max(entry.seq + 1);
            self.valued -= usize::from(entry.last.is_some());
            entry.place.map(|place| self.bare.remove(&place));
        }
        self.changes.push(SourceCommand::Unwatch(topic));
    }
}

#[cfg(test)]
#[path = "topics_tests.rs"]
mod tests;
