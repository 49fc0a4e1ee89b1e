//! Owns the difference between what subscribers want and what the upstream was asked for on this
//! connection (H2).

use std::collections::{BTreeMap, HashMap};

use crate::protocol::Topic;

/// Invariants: a topic has an entry while it is wanted or asked for. It has a turn while what is
/// wanted and what is asked for differ and a frame can change that, unless the upstream has
/// rejected it. Each turn is in the queue of its kind of request.
pub(super) struct WantedTopics {
    topics: HashMap<Topic, TopicRequest>,
    /// One queue for each [`RequestKind`], in the order of the changes, so that none waits for ever
    /// behind newer ones.
    queues: [BTreeMap<u64, Topic>; 2],
    next_turn: u64,
    wanted: usize,
    asked: usize,
    /// True if a subscription can be taken back.
    can_drop: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct TopicRequest {
    is_wanted: bool,
    /// The number of the frame that asked for it.
    asked: Option<u64>,
    turn: Option<u64>,
    /// A value of it came on this connection.
    has_value: bool,
    /// It is asked for in a frame of its own, because a frame with several topics was rejected as a
    /// whole.
    is_alone: bool,
}

impl TopicRequest {
    /// The upstream has rejected it, on this connection and since a client last began to want it.
    fn is_rejected(&self) -> bool {
        self.is_wanted && self.asked.is_none() && self.turn.is_none()
    }
}

/// What a frame does with the topics in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestKind {
    Ask,
    Drop,
}

impl WantedTopics {
    pub(super) fn new(can_drop: bool) -> Self {
        Self { topics: HashMap::new(), queues: Default::default(), next_turn: 0, wanted: 0, asked: 0, can_drop }
    }

    /// Returns false if the topic was wanted already. A topic that the upstream rejected is asked
    /// for again.
    pub(super) fn want(&mut self, topic: &Topic) -> bool {
        match self.topics.get(topic).copied() {
            Some(entry) if entry.is_rejected() => {
                let turn = Some(self.queue(RequestKind::Ask, topic));
                self.put(topic, TopicRequest { turn, ..entry });
                true
            }
            _ => self.set_wanted(topic, true),
        }
    }

    /// Returns false if the topic was not wanted.
    pub(super) fn unwant(&mut self, topic: &Topic) -> bool {
        self.set_wanted(topic, false)
    }

    fn set_wanted(&mut self, topic: &Topic, is_wanted: bool) -> bool {
        let mut entry = self.topics.get(topic).copied().unwrap_or_default();
        if entry.is_wanted == is_wanted {
            return false;
        }
        entry.is_wanted = is_wanted;
        if is_wanted {
            self.wanted += 1
        } else {
            self.wanted -= 1
        }
        match entry.turn.take() {
            // The opposite change was not sent yet: both cancel out.
            Some(turn) => self.queues.iter_mut().for_each(|queue| drop(queue.remove(&turn))),
            None if is_wanted && entry.asked.is_none() => entry.turn = Some(self.queue(RequestKind::Ask, topic)),
            None if !is_wanted && entry.asked.is_some() && self.can_drop => {
                entry.turn = Some(self.queue(RequestKind::Drop, topic))
            }
            None => {}
        }
        self.put(topic, entry);
        true
    }

    fn put(&mut self, topic: &Topic, entry: TopicRequest) {
        if entry.is_wanted || entry.asked.is_some() {
            self.topics.insert(topic.clone(), entry);
        } else {
            self.topics.remove(topic);
        }
    }

    fn queue(&mut self, change: RequestKind, topic: &Topic) -> u64 {
        self.next_turn += 1;
        self.queues[change as usize].insert(self.next_turn, topic.clone());
        self.next_turn
    }

    /// Returns the topic of this name, if it is wanted.
    pub(super) fn get(&self, name: &str) -> Option<&Topic> {
        self.topics.get_key_value(name).filter(|(_, entry)| entry.is_wanted).map(|(topic, _)| topic)
    }

    /// Like [`WantedTopics::get`], and notes that a value came. If the topic counted as rejected,
    /// it does not any more.
    pub(super) fn on_value(&mut self, name: &str) -> Option<Topic> {
        let topic = self.get(name)?.clone();
        if let Some(entry) = self.topics.get_mut(name) {
            entry.has_value = true;
            if entry.is_rejected() {
                // Frame 0 does not exist, so no rejection can match it.
                entry.asked = Some(0);
                self.asked += 1;
            }
        }
        Some(topic)
    }

    /// The number of the newest frame that asked for a topic without a value yet.
    pub(super) fn newest_without_value(&self) -> Option<u64> {
        self.topics.values().filter(|entry| !entry.has_value).filter_map(|entry| entry.asked).max()
    }

    /// Returns the wanted topics, without those that the upstream rejected.
    pub(super) fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.topics.iter().filter(|(_, entry)| entry.is_wanted && !entry.is_rejected()).map(|(topic, _)| topic)
    }

    /// The number of topics that the upstream was asked for on this connection.
    pub(super) fn asked(&self) -> usize {
        self.asked
    }

    /// How many more topics are asked for than wanted, if they cannot be taken back.
    pub(super) fn litter(&self) -> usize {
        if self.can_drop { 0 } else { self.asked.saturating_sub(self.wanted) }
    }

    /// The kind of request that has waited longest.
    pub(super) fn next(&self) -> Option<RequestKind> {
        let head = |change: RequestKind| self.queues[change as usize].first_key_value().map(|(turn, _)| *turn);
        match (head(RequestKind::Ask), head(RequestKind::Drop)) {
            (None, None) => None,
            (Some(ask), Some(drop)) if drop < ask => Some(RequestKind::Drop),
            (Some(_), _) => Some(RequestKind::Ask),
            (None, Some(_)) => Some(RequestKind::Drop),
        }
    }

    /// Takes the topics that have waited longest, at most `max`, all in the group of the first.
    /// They count as requested in the frame of this number.
    pub(super) fn take(
        &mut self,
        change: RequestKind,
        max: usize,
        group: impl Fn(&Topic) -> &str,
        frame: u64,
    ) -> Vec<Topic> {
        let queue = &mut self.queues[change as usize];
        let Some((_, first)) = queue.first_key_value() else { return Vec::new() };
        let common = group(first).to_owned();
        let is_alone = |topic: &Topic| self.topics.get(topic).is_some_and(|entry| entry.is_alone);
        let max = if is_alone(first) { 1 } else { max.max(1) };
        let fitting = queue.iter().filter(|(_, topic)| group(topic) == common && is_alone(topic) == is_alone(first));
        let fitting = fitting.take(max);
        let turns: Vec<u64> = fitting.map(|(turn, _)| *turn).collect();
        let taken: Vec<Topic> = turns.iter().filter_map(|turn| queue.remove(turn)).collect();
        for topic in &taken {
            let mut entry = self.topics.get(topic).copied().unwrap_or_default();
            (entry.turn, entry.has_value) = (None, false);
            entry.asked = (change == RequestKind::Ask).then_some(frame);
            if entry.asked.is_some() {
                self.asked += 1
            } else {
                self.asked -= 1
            }
            self.put(topic, entry);
        }
        taken
    }

    /// The upstream rejected a frame that asked for several topics: each is asked for again alone.
    /// Returns false if the frame asked for one topic, or for none that is still asked for.
    pub(super) fn ask_one_by_one(&mut self, frame: u64) -> bool {
        let is_meant = |(_, entry): &(&Topic, &TopicRequest)| entry.asked == Some(frame);
        let mut meant: Vec<Topic> = self.topics.iter().filter(is_meant).map(|(topic, _)| topic.clone()).collect();
        if meant.len() < 2 {
            return false;
        }
        meant.sort_unstable();
        for topic in &meant {
            let mut entry = self.topics.get(topic).copied().unwrap_or_default();
            // A rejected topic need not be unsubscribed.
            if let Some(turn) = entry.turn.take() {
                self.queues[RequestKind::Drop as usize].remove(&turn);
            }
            (entry.asked, entry.is_alone) = (None, true);
            self.asked -= 1;
            if entry.is_wanted {
                entry.turn = Some(self.queue(RequestKind::Ask, topic));
            }
            self.put(topic, entry);
        }
        true
    }

    /// Marks as rejected the topics for which `is_meant` holds, given the number of the frame that
    /// asked for them, and returns them. They are asked for again on the next connection, or when a
    /// client begins to want them.
    pub(super) fn reject(&mut self, is_meant: impl Fn(&Topic, u64) -> bool) -> Vec<Topic> {
        let is_meant =
            |(topic, entry): &(&Topic, &TopicRequest)| entry.asked.is_some_and(|frame| is_meant(topic, frame));
        let rejected: Vec<Topic> = self.topics.iter().filter(is_meant).map(|(topic, _)| topic.clone()).collect();
        for topic in &rejected {
            let mut entry = self.topics.get(topic).copied().unwrap_or_default();
            // A rejected topic need not be unsubscribed.
            if let Some(turn) = entry.turn.take() {
                self.queues[RequestKind::Drop as usize].remove(&turn);
            }
            entry.asked = None;
            self.asked -= 1;
            self.put(topic, entry);
        }
        rejected
    }

    /// The connection is gone: every wanted topic is asked for again on the next one, in the order
    /// of names.
    pub(super) fn forget_asked(&mut self) {
        self.topics.retain(|_, entry| entry.is_wanted);
        self.queues = Default::default();
        self.asked = 0;
        let mut topics: Vec<Topic> = self.topics.keys().cloned().collect();
        topics.sort_unstable();
        for topic in topics {
            let turn = Some(self.queue(RequestKind::Ask, &topic));
            let entry = TopicRequest { is_wanted: true, turn, ..TopicRequest::default() };
            self.topics.insert(topic, entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str) -> Topic {
        Topic::parse(name).expect("a name")
    }

    fn take(wanted: &mut WantedTopics, max: usize) -> Option<(RequestKind, Vec<String>)> {
        let change = wanted.next()?;
        let taken = wanted.take(change, max, |topic| topic.as_str().split('.').next().unwrap_or_default(), 7);
        Some((change, taken.iter().map(|topic| topic.as_str().to_owned()).collect()))
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn h2_a_wish_and_its_opposite_cancel_out_before_they_are_sent() {
        let mut wanted = WantedTopics::new(true);
        assert!(wanted.want(&topic("a")) && !wanted.want(&topic("a")));
        assert!(wanted.unwant(&topic("a")) && !wanted.unwant(&topic("a")));
        assert_eq!(take(&mut wanted, 9), None);
        wanted.want(&topic("a"));
        assert_eq!(take(&mut wanted, 9), Some((RequestKind::Ask, names(&["a"]))));
        wanted.unwant(&topic("a"));
        wanted.want(&topic("a"));
        assert_eq!(take(&mut wanted, 9), None);
        assert!(wanted.asked() == 1 && wanted.get("a").is_some());
    }

    #[test]
    fn h2_topics_go_in_the_order_of_the_wishes_as_many_of_a_group_as_fit() {
        let mut wanted = WantedTopics::new(true);
        for name in ["q.1", "t.1", "q.2", "q.3", "t.2"] {
            wanted.want(&topic(name));
        }
        assert_eq!(take(&mut wanted, 2), Some((RequestKind::Ask, names(&["q.1", "q.2"]))));
        wanted.unwant(&topic("q.1"));
        assert_eq!(take(&mut wanted, 2), Some((RequestKind::Ask, names(&["t.1", "t.2"]))));
        assert_eq!(
            take(&mut wanted, 2),
            Some((RequestKind::Ask, names(&["q.3"]))),
            "it waited longer than the withdrawal"
        );
        assert_eq!(take(&mut wanted, 2), Some((RequestKind::Drop, names(&["q.1"]))));
        assert_eq!((take(&mut wanted, 2), wanted.asked()), (None, 4));
    }

    #[test]
    fn h4_after_a_loss_everything_that_is_wanted_is_asked_for_again_and_nothing_else() {
        let mut wanted = WantedTopics::new(true);
        for name in ["b", "a", "c"] {
            wanted.want(&topic(name));
        }
        while take(&mut wanted, 1).is_some() {}
        wanted.unwant(&topic("c"));
        wanted.want(&topic("d"));
        wanted.forget_asked();
        assert_eq!(wanted.asked(), 0);
        let mut all = Vec::new();
        while let Some((RequestKind::Ask, topics)) = take(&mut wanted, 1) {
            all.extend(topics);
        }
        assert_eq!(all, ["a", "b", "d"]);
        assert_eq!(wanted.topics.len(), 3);
    }

    #[test]
    fn h2_what_cannot_be_taken_back_is_not_asked_for_twice() {
        let mut wanted = WantedTopics::new(false);
        wanted.want(&topic("a"));
        assert!(take(&mut wanted, 1).is_some());
        wanted.unwant(&topic("a"));
        assert_eq!((take(&mut wanted, 1), wanted.get("a"), wanted.litter()), (None, None, 1));
        wanted.want(&topic("a"));
        assert_eq!((take(&mut wanted, 1), wanted.litter()), (None, 0));
        assert!(wanted.get("a").is_some());
    }

    #[test]
    fn h2_what_the_upstream_rejects_is_asked_for_again_when_somebody_begins_to_want_it_or_on_the_next_connection() {
        let mut wanted = WantedTopics::new(true);
        for name in ["a", "b", "c"] {
            wanted.want(&topic(name));
        }
        while take(&mut wanted, 1).is_some() {}
        wanted.unwant(&topic("c"));
        assert_eq!(wanted.reject(|_, frame| frame == 8), []);
        assert_eq!(wanted.reject(|topic, frame| frame == 7 && topic.as_str() != "b").len(), 2);
        assert_eq!((take(&mut wanted, 9), wanted.asked()), (None, 1), "c need not be taken back");
        assert!(wanted.reject(|topic, _| topic.as_str() == "a").is_empty(), "it is not asked for");
        assert!(wanted.topics().eq([&topic("b")]) && wanted.get("a").is_some(), "a is wanted all the same");
        assert!(wanted.want(&topic("a")) && !wanted.want(&topic("a")));
        assert_eq!((take(&mut wanted, 9), wanted.asked()), (Some((RequestKind::Ask, names(&["a"]))), 2));
        wanted.reject(|topic, _| topic.as_str() == "a");
        assert!(wanted.unwant(&topic("a")) && take(&mut wanted, 9).is_none() && wanted.get("a").is_none());
        wanted.reject(|topic, _| topic.as_str() == "b");
        wanted.forget_asked();
        assert_eq!(take(&mut wanted, 9), Some((RequestKind::Ask, names(&["b"]))));
    }
}
