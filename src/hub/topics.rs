//! Owns the topics of a hub: which shards want each, its last value and its number, and what
//! lingers when nobody does (H2); pure.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

use super::{
    update::{TopicValue, Update},
    uplink::Gap,
};
use crate::protocol::Topic;

/// What a hub's topics are bound to.
#[derive(Debug, Clone, Copy)]
pub struct TopicLimits {
    /// From the last subscriber's leaving to the end of a topic, and from the last client's leaving to that of the feed.
    pub linger: Duration,
    /// Distinct topics at once; of an event bus those without a value: it has a bound of its own for the others.
    pub max_topics: usize,
    /// Of an event bus: a topic that has a value is kept though nobody wants it.
    pub keeps: bool,
}

/// What a hub's source is to do, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceCommand {
    /// Whether anybody is there, or was a moment ago.
    Active(bool),
    /// Somebody wants this topic now, and nobody did.
    Watch(Topic),
    /// Nobody wants it any more.
    Unwatch(Topic),
    /// It made room for another: these shards want it, and do not have it any more. `Unwatch` follows.
    Evict(Topic, BTreeSet<usize>),
}

/// The topics that anybody wants or wanted a moment ago. What is over is forgotten: its value would only get old.
pub struct Topics {
    rules: TopicLimits,
    entries: HashMap<Topic, TopicRecord>,
    /// Topics that nobody wants, by the end of each.
    lingering: BTreeSet<(Instant, Topic)>,
    /// Entries that have a value.
    valued: usize,
    /// Topics that are wanted and never had a value, the longest waiting first.
    bare: BTreeMap<u64, Topic>,
    next_place: u64,
    /// Topics from this place on were asked for in the present wish, which must not drive out its own.
    wish_begins: u64,
    /// Where the numbers of a topic begin: above those of every topic that was forgotten, and one further, so that what a shard
    /// may still hold of the old is never taken for the value before the new (`Update::follows`).
    floor: u64,
    /// Clients on each shard.
    clients: BTreeMap<usize, usize>,
    is_active: bool,
    /// When the feed ends, nobody being there.
    inactive_at: Option<Instant>,
    changes: Vec<SourceCommand>,
}

#[derive(Default)]
struct TopicRecord {
    shards: BTreeSet<usize>,
    seq: u64,
    last: Option<TopicValue>,
    /// H4: since `last`, values may have been missed between these moments (unix ms).
    gap: Option<(u64, u64)>,
    /// While nobody wants it: when it is over.
    ends: Option<Instant>,
    /// Its place in `bare`.
    place: Option<u64>,
}

/// What it means that another shard wants a topic.
#[derive(Debug)]
pub enum WatchOutcome {
    /// Nothing is known of it yet.
    New,
    /// Its last value, if there is one, and the gap behind it.
    Known(Option<Update>, Option<(u64, u64)>),
    /// There are as many topics as there may be, and all have values.
    Refused,
}

impl Topics {
    /// Numbers begin above `floor`.
    pub fn new(rules: TopicLimits, floor: u64) -> Self {
        Self {
            rules,
            entries: HashMap::new(),
            lingering: BTreeSet::new(),
            valued: 0,
            bare: BTreeMap::new(),
            next_place: 0,
            wish_begins: 0,
            floor,
            clients: BTreeMap::new(),
            is_active: false,
            inactive_at: None,
            changes: Vec::new(),
        }
    }

    /// What has changed since the last call.
    pub fn changes(&mut self) -> Vec<SourceCommand> {
        std::mem::take(&mut self.changes)
    }

    /// How many clients a shard has.
    pub fn set_clients(&mut self, shard: usize, clients: usize, now: Instant) {
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

    /// What is wanted from now on is wanted by one shard, together.
    pub fn begin_wish(&mut self) {
        self.wish_begins = self.next_place;
    }

    /// A shard has a subscriber of the topic. Said twice, it counts once.
    pub fn want(&mut self, topic: &Topic, shard: usize) -> WatchOutcome {
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

    pub fn is_wanted_by(&self, topic: &Topic, shard: usize) -> bool {
        self.entries.get(topic).is_some_and(|entry| entry.shards.contains(&shard))
    }

    /// A shard's last subscriber of the topic is gone.
    pub fn unwant(&mut self, topic: &Topic, shard: usize, now: Instant) {
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

    /// Numbers a value of the source; returns it with the shards that want it. `None`: the topic is none of those that are there.
    pub fn publish(&mut self, topic: &Topic, value: TopicValue) -> Option<(Update, impl Iterator<Item = usize>)> {
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

    /// H4: between these moments, in unix ms, values of these topics may have been missed. Whoever comes before the next value
    /// is to know that the last one is from before.
    pub fn note_gap<'a>(&mut self, topics: impl Iterator<Item = &'a Topic>, from: u64, to: u64) {
        for topic in topics {
            if let Some(entry) = self.entries.get_mut(topic).filter(|entry| entry.last.is_some()) {
                entry.gap = Some(Gap::widen(from, to, entry.gap));
            }
        }
    }

    /// As `publish`, for an event bus, which numbers its values itself: the topic is there from now on.
    pub fn put(&mut self, topic: &Topic, seq: u64, value: TopicValue) -> (Update, impl Iterator<Item = usize>) {
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

    /// The number of a topic's newest value; `None`: there is no such topic.
    pub fn seq_of(&self, topic: &Topic) -> Option<u64> {
        self.entries.get(topic).map(|entry| entry.seq)
    }

    /// Something may be over.
    pub fn tick(&mut self, now: Instant) {
        // First the feed: what ends with it need not be unsubscribed one by one.
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
    pub fn next_deadline(&self) -> Option<Instant> {
        let topic = self.lingering.first().map(|(ends, _)| *ends);
        self.inactive_at.into_iter().chain(topic).min()
    }

    /// Topics that are there.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Each with its newest value's number (0: it has none), and whether anybody wants it, by name.
    pub fn list(&self) -> Vec<(&Topic, u64, bool)> {
        let seq = |entry: &TopicRecord| entry.last.as_ref().map_or(0, |_| entry.seq);
        let mut list: Vec<_> =
            self.entries.iter().map(|(topic, entry)| (topic, seq(entry), !entry.shards.is_empty())).collect();
        list.sort_unstable();
        list
    }

    /// Whether there may be another topic without a value. What lingers makes room, then what never had a value.
    fn has_place(&mut self) -> bool {
        let TopicLimits { keeps, max_topics, .. } = self.rules;
        loop {
            // Subscribers of a bus cannot keep the back end from publishing, nor it them from subscribing.
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

    /// Ends the wanted topic that has waited for a value longest. `false`: there is none but those of this wish.
    fn evict_first(&mut self) -> bool {
        let Some(first) = self.bare.first_entry().filter(|first| *first.key() < self.wish_begins) else { return false };
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
