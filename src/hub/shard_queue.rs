//! Owns what is on its way from a hub to one shard: one message at a time, at a pace, with all
//! newer events in order behind it; pure.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{event::HubEvent, uplink::Gap};
use crate::protocol::Topic;

/// While the waiting events take less memory than this, all of them wait in order; past it only the
/// newest update of each topic is kept.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// Holds at most [`MAX_BYTES`], or twice the newest update of each topic, whichever is more, and in
/// addition the events of one upstream frame: the events of a frame are never conflated before the
/// next frame comes (H8).
pub(super) struct ShardQueue {
    interval: Duration,
    waiting: Vec<HubEvent>,
    bytes: usize,
    /// The bound past which older updates are dropped. It is more than [`MAX_BYTES`] if the newest
    /// updates alone took more than half of that when they were last conflated: otherwise every new
    /// update would go through the queue of a shard with thousands of topics.
    max_bytes: usize,
    /// Unix ms when the first waiting event was queued.
    since: u64,
    is_busy: bool,
    /// The number of the shard's newest interest that the hub has handled.
    handled: u64,
    /// When the last message was sent.
    sent: Option<Instant>,
}

impl ShardQueue {
    /// After a message the next one waits until `interval` is over: the events of that time leave
    /// together, so the shard writes to each of its sockets once.
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval,
            waiting: Vec::new(),
            bytes: 0,
            max_bytes: MAX_BYTES,
            since: 0,
            is_busy: false,
            handled: 0,
            sent: None,
        }
    }

    pub(super) fn push(&mut self, event: HubEvent) {
        self.bytes += event.bytes();
        self.waiting.push(event);
    }

    /// Call before the events of each upstream frame are pushed. Past the bound, drops older
    /// updates and queues a gap in their index. Returns true if any update was dropped that a later
    /// one does not include.
    pub(super) fn make_room(&mut self, unix_ms: u64) -> bool {
        if self.waiting.is_empty() {
            self.since = unix_ms;
        }
        self.bytes > self.max_bytes && self.conflate(unix_ms)
    }

    /// Returns true if so much waits that the next message is sent before the interval is over.
    fn is_over(&self) -> bool {
        self.bytes > MAX_BYTES
    }

    /// The hub has handled the interest of this number, in which the shard no longer wants these
    /// topics: drops what waits of them.
    pub(super) fn on_interest(&mut self, interest: u64, unwanted: &[Topic]) {
        self.handled = interest;
        self.forget(unwanted);
    }

    /// The number of the newest interest that the hub has handled.
    pub(super) fn handled(&self) -> u64 {
        self.handled
    }

    /// Drops all waiting events of these topics.
    pub(super) fn forget(&mut self, topics: &[Topic]) {
        if self.waiting.is_empty() || topics.is_empty() {
            return;
        }
        let topics: HashSet<_> = topics.iter().collect();
        self.waiting.retain(|event| !event.topic().is_some_and(|topic| topics.contains(topic)));
        self.bytes = self.waiting.iter().map(HubEvent::bytes).sum();
    }

    /// Returns the events to send now, if any. Call [`ShardQueue::arrived`] when the shard has
    /// handled them.
    pub(super) fn next(&mut self, now: Instant) -> Option<Vec<HubEvent>> {
        if self.is_busy || self.waiting.is_empty() || (self.is_held(now) && !self.is_over()) {
            return None;
        }
        self.is_busy = true;
        self.sent = Some(now);
        (self.bytes, self.max_bytes) = (0, MAX_BYTES);
        Some(std::mem::take(&mut self.waiting))
    }

    fn is_held(&self, now: Instant) -> bool {
        self.sent.is_some_and(|sent| now < sent + self.interval)
    }

    pub(super) fn arrived(&mut self) {
        self.is_busy = false;
    }

    /// When [`ShardQueue::next`] has something to send; `None` while nothing waits, or while the
    /// last message is on its way.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let is_held = !self.is_busy && !self.waiting.is_empty();
        self.sent.filter(|_| is_held).map(|sent| sent + self.interval)
    }

    /// Keeps the newest update and the newest rejection of each topic, in their places, and the
    /// newest state of the feed. All gaps become one, in the index of the first, or before
    /// everything if updates are dropped: it may cover values that were not missed, but never
    /// leaves out one that was. Returns true if any update was dropped that a later one does not
    /// include.
    fn conflate(&mut self, unix_ms: u64) -> bool {
        let key = |event: &HubEvent| {
            Some((event.topic()?.clone(), matches!(event, HubEvent::Rejected(_) | HubEvent::Evicted(_))))
        };
        let mut newest = HashMap::new();
        let (mut newest_feed, mut gap) = (None, None);
        for (index, event) in self.waiting.iter().enumerate() {
            match event {
                HubEvent::Feed(_) => newest_feed = Some(index),
                HubEvent::Gap(next) => gap = Some(gap.map_or_else(|| next.clone(), |gap| united(&gap, next))),
                event => newest.extend(key(event).map(|key| (key, index))),
            }
        }
        let is_old = |index: &usize, event: &HubEvent| key(event).is_some_and(|key| newest.get(&key) != Some(index));
        let dropped = self.waiting.iter().enumerate().filter(|(index, event)| is_old(index, event));
        let dropped: HashSet<Topic> = dropped.filter_map(|(_, event)| event.step().cloned()).collect();
        let has_dropped = !dropped.is_empty();
        let mut first = None;
        if has_dropped {
            // The wall clock may have been set back meanwhile.
            let own = Gap { topics: Arc::new(dropped), from: self.since.min(unix_ms), to: unix_ms };
            first = Some(HubEvent::Gap(gap.take().map_or_else(|| own.clone(), |gap| united(&own, &gap))));
        }
        let waiting = std::mem::take(&mut self.waiting);
        self.waiting.extend(first);
        for (index, event) in waiting.into_iter().enumerate() {
            match &event {
                HubEvent::Feed(_) if newest_feed != Some(index) => {}
                HubEvent::Gap(_) => self.waiting.extend(gap.take().map(HubEvent::Gap)),
                event if is_old(&index, event) => {}
                _ => self.waiting.push(event),
            }
        }
        self.bytes = self.waiting.iter().map(HubEvent::bytes).sum();
        self.max_bytes = MAX_BYTES.max(2 * self.bytes);
        has_dropped
    }
}

fn united(a: &Gap, b: &Gap) -> Gap {
    let topics = if Arc::ptr_eq(&a.topics, &b.topics) { a.topics.clone() } else { Arc::new(&*a.topics | &*b.topics) };
    Gap { topics, from: a.from.min(b.from), to: a.to.max(b.to) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        hub::{
            update::{TopicValue, Update},
            uplink::{FeedStatus, Rejected},
        },
        protocol::{FeedState, RawJson},
    };

    const INTERVAL: Duration = Duration::from_millis(20);

    fn topic(name: &str) -> Topic {
        Topic::parse(name).expect("a name")
    }

    fn update(name: &str, seq: u64, data: &str) -> HubEvent {
        let value = TopicValue { live: RawJson::from_serialize(&data), whole: None };
        HubEvent::Update(Update { topic: topic(name), seq, value })
    }

    fn gap(names: &[&str], from: u64, to: u64) -> HubEvent {
        HubEvent::Gap(Gap { topics: Arc::new(names.iter().map(|name| topic(name)).collect()), from, to })
    }

    fn feed(attempt: u32) -> HubEvent {
        HubEvent::Feed(FeedStatus { state: FeedState::Live, since: 0, attempt, fatal: false })
    }

    fn rejected(name: &str) -> HubEvent {
        HubEvent::Rejected(Rejected { topic: topic(name), said: "no".into() })
    }

    /// Short names: `a1` an update, `f` the feed, `g[a b]1-2` a gap, `!a` a rejection.
    fn names(events: &[HubEvent]) -> Vec<String> {
        let name = |event: &HubEvent| match event {
            HubEvent::Update(update) | HubEvent::Last(update) => format!("{}{}", update.topic.as_str(), update.seq),
            HubEvent::Feed(status) => format!("f{}", status.attempt),
            HubEvent::Gap(gap) => {
                let mut topics: Vec<_> = gap.topics.iter().map(Topic::as_str).collect();
                topics.sort_unstable();
                format!("g{}{}-{}", topics.join(""), gap.from, gap.to)
            }
            HubEvent::Rejected(rejected) => format!("!{}", rejected.topic.as_str()),
            HubEvent::Evicted(topic) => format!("-{}", topic.as_str()),
            HubEvent::Restarted(_) | HubEvent::Ended => "end".into(),
        };
        events.iter().map(name).collect()
    }

    #[test]
    fn the_first_news_go_at_once_and_the_next_ones_together_when_the_interval_is_over() {
        let (mut queue, start) = (ShardQueue::new(INTERVAL), Instant::now());
        queue.push(update("a", 1, ""));
        assert_eq!(queue.next(start).map(|events| names(&events)), Some(vec!["a1".into()]));
        queue.push(update("a", 2, ""));
        assert_eq!((queue.next(start + INTERVAL).is_none(), queue.next_deadline()), (true, None), "one is on its way");
        queue.arrived();
        queue.push(update("a", 3, ""));
        assert_eq!(queue.next_deadline(), Some(start + INTERVAL));
        assert!(queue.next(start + INTERVAL / 2).is_none());
        assert_eq!(queue.next(start + INTERVAL).map(|events| names(&events)), Some(vec!["a2".into(), "a3".into()]));
        queue.arrived();
        assert_eq!((queue.next(start + 9 * INTERVAL).is_none(), queue.next_deadline()), (true, None), "nothing is new");
        queue.push(feed(0));
        assert!(queue.next(start + 9 * INTERVAL).is_some());
    }

    #[test]
    fn a_lane_without_an_interval_waits_for_nothing_but_the_last_message() {
        let (mut queue, now) = (ShardQueue::new(Duration::ZERO), Instant::now());
        for seq in 1..4 {
            queue.push(update("a", seq, ""));
            assert!(queue.next(now).is_some());
            queue.arrived();
        }
    }

    /// Pushes updates of `a` and `b`, each as a frame of its own, until the bound is reached.
    /// Returns how many.
    fn fill(queue: &mut ShardQueue, long: &str) -> u64 {
        let mut seq = 0;
        while !queue.is_over() {
            assert!(!queue.make_room(8), "nothing goes within the bound");
            queue.push(update(["a", "b"][seq as usize % 2], seq, long));
            seq += 1;
        }
        seq
    }

    #[test]
    fn h8_up_to_the_bound_every_update_is_kept_and_past_it_the_newest_of_each_topic_behind_a_gap() {
        let (mut queue, now) = (ShardQueue::new(INTERVAL), Instant::now());
        assert!(!queue.make_room(7));
        let count = fill(&mut queue, &"x".repeat(100_000)) as usize;
        for event in [feed(1), gap(&["c"], 3, 4), update("c", 1, ""), gap(&["b"], 5, 6), feed(2)] {
            queue.push(event);
        }
        assert_eq!(queue.waiting.len(), count + 5, "what is one frame stays whole");
        assert!(queue.make_room(9));
        queue.push(update("d", 1, ""));
        let mut newest = [count - 2, count - 1].map(|seq| format!("{}{seq}", ["a", "b"][seq % 2]));
        newest.sort_by_key(|name| name[1..].parse::<usize>().expect("a number"));
        let [first, second] = newest;
        let expected = ["gabc3-9".into(), first, second, "c1".into(), "f2".into(), "d1".into()];
        assert_eq!(queue.next(now).map(|events| names(&events)), Some(expected.to_vec()));
        queue.arrived();
        (0..5).for_each(|seq| queue.push(update("a", seq, "")));
        assert_eq!(queue.next(now + INTERVAL).map(|events| events.len()), Some(5), "it begins anew");
    }

    #[test]
    fn h8_a_frame_that_is_over_the_bound_does_not_wait_for_the_interval() {
        let (mut queue, now) = (ShardQueue::new(INTERVAL), Instant::now());
        queue.push(update("a", 0, ""));
        assert!(queue.next(now).is_some());
        queue.arrived();
        fill(&mut queue, &"x".repeat(100_000));
        assert!(queue.next(now).is_some());
    }

    #[test]
    fn a_value_that_says_all_of_those_before_it_leaves_no_gap() {
        let mut queue = ShardQueue::new(INTERVAL);
        let long = RawJson::from_serialize(&"x".repeat(1_000_000));
        for seq in 0..20 {
            assert!(!queue.make_room(1));
            let value = TopicValue { live: RawJson::from_serialize(&seq), whole: Some(long.clone()) };
            queue.push(HubEvent::Update(Update { topic: topic("a"), seq, value }));
        }
        assert!(queue.bytes <= MAX_BYTES + 2_000_000);
    }

    #[test]
    fn h6_a_shard_that_takes_nothing_costs_bounded_memory_and_bounded_time() {
        let mut queue = ShardQueue::new(INTERVAL);
        let long = "x".repeat(10_000);
        for seq in 0..2000 {
            queue.make_room(1);
            queue.push(update("a", seq, &long));
        }
        assert!(queue.bytes <= MAX_BYTES + 2 * long.len(), "{}", queue.bytes);
        // One topic is rejected again and again.
        let mut queue = ShardQueue::new(INTERVAL);
        for number in 0..200_000 {
            queue.make_room(1);
            queue.push(rejected(["a", "b"][number % 2]));
        }
        assert!(queue.bytes <= MAX_BYTES + 1000 && queue.waiting.len() < 200_000, "{}", queue.bytes);
        // Many topics: the queue is not gone through for each update.
        let mut queue = ShardQueue::new(INTERVAL);
        let long = "x".repeat(1000);
        for round in 0..20 {
            for number in 0..5000 {
                queue.make_room(1);
                queue.push(update(&number.to_string(), round, &long));
            }
        }
        assert!(queue.bytes <= 2 * MAX_BYTES, "{}", queue.bytes);
        let events = queue.next(Instant::now()).expect("events");
        for name in ["0", "4999"] {
            let newest = events.iter().rev().find_map(|event| match event {
                HubEvent::Update(update) if update.topic.as_str() == name => Some(update.seq),
                _ => None,
            });
            assert_eq!(newest, Some(19), "{name}");
        }
    }

    #[test]
    fn h2_nothing_of_a_topic_that_is_not_wanted_any_more_is_sent() {
        let mut queue = ShardQueue::new(INTERVAL);
        for event in [update("a", 1, ""), update("b", 1, ""), feed(0), update("a", 2, ""), rejected("a"), rejected("b")]
        {
            queue.push(event);
        }
        queue.on_interest(7, &[topic("a"), topic("c")]);
        assert_eq!(queue.handled(), 7);
        assert_eq!(
            queue.next(Instant::now()).map(|events| names(&events)),
            Some(vec!["b1".into(), "f0".into(), "!b".into()])
        );
    }
}
