//! Owns the topics of a hub: which shards want each (H2), its last value and its number; pure.
//! Called by the `Hub` actor.

use std::collections::{BTreeSet, HashMap};

use super::update::{Update, Value};
use crate::protocol::Topic;

/// The topics that anybody wants. What nobody wants is forgotten at once: its value would only get old.
#[derive(Default)]
pub struct Topics {
    wanted: HashMap<Topic, Entry>,
    /// Where the numbers of a topic begin: above those of every topic that was forgotten, and one further, so that what a shard
    /// may still hold of the old is never taken for the value before the new (`Update::follows`).
    floor: u64,
}

struct Entry {
    /// Never empty.
    shards: BTreeSet<usize>,
    seq: u64,
    last: Option<Value>,
}

/// What it means that another shard wants a topic.
#[derive(Debug)]
pub enum Wanted {
    /// Nobody did before: the source is to watch it.
    First,
    /// Its last value, if the source has said anything yet.
    Known(Option<Update>),
}

impl Topics {
    /// A shard has a subscriber of the topic. Said twice, it counts once.
    pub fn want(&mut self, topic: &Topic, shard: usize) -> Wanted {
        if let Some(entry) = self.wanted.get_mut(topic) {
            entry.shards.insert(shard);
            let (seq, last) = (entry.seq, entry.last.clone());
            return Wanted::Known(last.map(|value| Update { topic: topic.clone(), seq, value }));
        }
        let entry = Entry { shards: [shard].into(), seq: self.floor, last: None };
        self.wanted.insert(topic.clone(), entry);
        Wanted::First
    }

    /// A shard's last subscriber of the topic is gone. Returns whether nobody wants it any more: the source is to stop.
    pub fn unwant(&mut self, topic: &Topic, shard: usize) -> bool {
        let Some(entry) = self.wanted.get_mut(topic) else { return false };
        entry.shards.remove(&shard);
        let is_over = entry.shards.is_empty();
        if is_over {
            self.floor = self.floor.max(entry.seq + 1);
            self.wanted.remove(topic);
        }
        is_over
    }

    /// Numbers a value; returns it with the shards that want it, or `None` when nobody does.
    pub fn publish(&mut self, topic: &Topic, value: Value) -> Option<(Update, impl Iterator<Item = usize>)> {
        let entry = self.wanted.get_mut(topic)?;
        entry.seq += 1;
        entry.last = Some(value.clone());
        let update = Update { topic: topic.clone(), seq: entry.seq, value };
        Some((update, entry.shards.iter().copied()))
    }

    pub fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::RawJson;

    fn topic(name: &str) -> Topic {
        Topic::parse(name).expect("a name")
    }

    fn value(text: &str) -> Value {
        Value { live: RawJson::parse(text).expect("JSON"), whole: None }
    }

    /// The number and the shards.
    fn publish(topics: &mut Topics, name: &str, text: &str) -> Option<(u64, Vec<usize>)> {
        topics.publish(&topic(name), value(text)).map(|(update, shards)| (update.seq, shards.collect()))
    }

    #[test]
    fn h2_the_first_shard_starts_a_topic_the_last_one_ends_it_and_duplicates_count_once() {
        let mut topics = Topics::default();
        assert!(matches!(topics.want(&topic("a"), 0), Wanted::First));
        assert!(matches!(topics.want(&topic("a"), 0), Wanted::Known(None)));
        assert!(matches!(topics.want(&topic("a"), 1), Wanted::Known(None)));
        assert!(!topics.unwant(&topic("a"), 0));
        assert!(!topics.unwant(&topic("a"), 0), "shard 1 still wants it");
        assert!(!topics.unwant(&topic("b"), 1));
        assert!(topics.unwant(&topic("a"), 1));
        assert!(!topics.unwant(&topic("a"), 1));
        assert!(topics.is_empty());
    }

    #[test]
    fn h1_a_shard_that_comes_later_gets_the_last_value_with_its_number() {
        let mut topics = Topics::default();
        topics.want(&topic("a"), 0);
        assert_eq!(publish(&mut topics, "a", "1"), Some((1, vec![0])));
        assert_eq!(publish(&mut topics, "a", "2"), Some((2, vec![0])));
        let Wanted::Known(Some(update)) = topics.want(&topic("a"), 3) else { panic!("there is a value") };
        assert_eq!((update.seq, update.value.live.as_str()), (2, "2"));
        assert_eq!(publish(&mut topics, "a", "3"), Some((3, vec![0, 3])));
    }

    #[test]
    fn h1_the_number_of_a_topic_never_falls_though_nobody_wanted_it_for_a_while_and_does_not_follow_the_old() {
        let mut topics = Topics::default();
        for expected in [1, 3, 5] {
            topics.want(&topic("a"), 0);
            assert_eq!(publish(&mut topics, "a", "1"), Some((expected, vec![0])));
            topics.unwant(&topic("a"), 0);
            assert_eq!(publish(&mut topics, "a", "1"), None, "nobody wants it");
        }
    }
}
