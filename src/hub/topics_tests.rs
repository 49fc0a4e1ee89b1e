//! Owns the tests of `Topics`: references, numbers, lingering and bounds.

use super::*;
use crate::protocol::RawJson;

const LINGER: Duration = Duration::from_secs(1);

fn rules(linger: Duration, max_topics: usize, keeps: bool) -> TopicLimits {
    TopicLimits { linger, max_topics, keeps }
}

fn topic(name: &str) -> Topic {
    Topic::parse(name).expect("a name")
}

fn value(text: &str) -> TopicValue {
    TopicValue { live: RawJson::parse(text).expect("JSON"), whole: None }
}

/// Returns the number and the shards.
fn publish(topics: &mut Topics, name: &str, text: &str) -> Option<(u64, Vec<usize>)> {
    topics.publish(&topic(name), value(text)).map(|(update, shards)| (update.seq, shards.collect()))
}

fn put(topics: &mut Topics, name: &str, seq: u64) -> Vec<usize> {
    let topic = topic(name);
    let (update, shards) = topics.put(&topic, seq, value("1"));
    assert_eq!((&update.topic, update.seq), (&topic, seq));
    shards.collect()
}

/// `+a` is watch, `-a` unwatch; `on` and `off` are the activity.
fn changes(topics: &mut Topics) -> String {
    let name = |change: SourceCommand| match change {
        SourceCommand::Active(true) => "on".into(),
        SourceCommand::Active(false) => "off".into(),
        SourceCommand::Watch(topic) => format!("+{}", topic.as_str()),
        SourceCommand::Unwatch(topic) => format!("-{}", topic.as_str()),
        SourceCommand::Evict(topic, shards) => format!("!{}{shards:?}", topic.as_str()),
    };
    topics.changes().into_iter().map(name).collect::<Vec<_>>().join(" ")
}

#[test]
fn h2_the_first_shard_starts_a_topic_the_last_one_ends_it_and_duplicates_count_once() {
    let (mut topics, now) = (Topics::new(rules(Duration::ZERO, 10, false), 0), Instant::now());
    assert!(matches!(topics.want(&topic("a"), 0), WatchOutcome::New));
    assert!(matches!(topics.want(&topic("a"), 0), WatchOutcome::Known(None, None)));
    assert!(matches!(topics.want(&topic("a"), 1), WatchOutcome::Known(None, None)));
    for shard in [0, 0] {
        topics.unwant(&topic("a"), shard, now);
    }
    assert_eq!(changes(&mut topics), "+a", "shard 1 still wants it");
    topics.unwant(&topic("b"), 1, now);
    topics.unwant(&topic("a"), 1, now);
    topics.unwant(&topic("a"), 1, now);
    assert_eq!((changes(&mut topics), topics.is_empty()), ("-a".into(), true));
}

#[test]
fn h2_a_topic_lingers_with_its_last_value_and_nothing_is_said_of_it_when_somebody_comes_back() {
    let (mut topics, start) = (Topics::new(rules(LINGER, 10, false), 0), Instant::now());
    topics.want(&topic("a"), 0);
    publish(&mut topics, "a", "1");
    topics.unwant(&topic("a"), 0, start);
    assert_eq!(topics.next_deadline(), Some(start + LINGER));
    assert_eq!(publish(&mut topics, "a", "2"), Some((2, vec![])), "it is still watched");
    let WatchOutcome::Known(Some(update), None) = topics.want(&topic("a"), 1) else { panic!("there is a value") };
    assert_eq!((update.seq, update.value.live.as_str()), (2, "2"));
    topics.tick(start + LINGER);
    assert_eq!(changes(&mut topics), "+a", "somebody is back");
    // Given up again and again: the last time counts.
    for after in [2, 3] {
        topics.unwant(&topic("a"), 1, start + after * LINGER);
        topics.want(&topic("a"), 1);
    }
    topics.unwant(&topic("a"), 1, start + 4 * LINGER);
    topics.tick(start + 4 * LINGER);
    assert_eq!(changes(&mut topics), "");
    topics.tick(start + 5 * LINGER);
    assert_eq!((changes(&mut topics), topics.next_deadline()), ("-a".into(), None));
    assert_eq!(publish(&mut topics, "a", "3"), None, "it is over");
}

#[test]
fn h2_the_feed_is_wanted_while_anybody_is_there_and_lingers_once_nobody_is() {
    let (mut topics, start) = (Topics::new(rules(LINGER, 10, false), 0), Instant::now());
    topics.set_clients(0, 0, start);
    assert_eq!((changes(&mut topics), topics.next_deadline()), (String::new(), None));
    topics.set_clients(0, 1, start);
    topics.set_clients(1, 1, start);
    topics.want(&topic("a"), 0);
    topics.set_clients(0, 0, start);
    assert_eq!(changes(&mut topics), "on +a");
    topics.unwant(&topic("a"), 0, start);
    topics.set_clients(1, 0, start);
    topics.set_clients(0, 1, start + LINGER / 2);
    topics.set_clients(0, 0, start + LINGER);
    topics.tick(start + LINGER);
    assert_eq!(changes(&mut topics), "-a", "there was one in between");
    topics.tick(start + 2 * LINGER);
    assert_eq!((changes(&mut topics), topics.next_deadline()), ("off".into(), None));
    topics.set_clients(1, 5, start + 3 * LINGER);
    assert_eq!(changes(&mut topics), "on");
}

#[test]
fn h2_without_linger_the_feed_ends_at_once_and_its_topics_need_no_word() {
    let (mut topics, now) = (Topics::new(rules(Duration::ZERO, 10, false), 0), Instant::now());
    topics.set_clients(0, 1, now);
    topics.want(&topic("a"), 0);
    topics.set_clients(0, 0, now);
    topics.unwant(&topic("a"), 0, now);
    assert_eq!(changes(&mut topics), "on +a off -a");
}

#[test]
fn h1_a_shard_that_comes_later_gets_the_last_value_with_its_number() {
    let mut topics = Topics::new(rules(LINGER, 10, false), 7);
    topics.want(&topic("a"), 0);
    assert_eq!(publish(&mut topics, "a", "1"), Some((8, vec![0])));
    assert_eq!(publish(&mut topics, "a", "2"), Some((9, vec![0])));
    let WatchOutcome::Known(Some(update), None) = topics.want(&topic("a"), 3) else { panic!("there is a value") };
    assert_eq!((update.seq, update.value.live.as_str()), (9, "2"));
    assert_eq!(publish(&mut topics, "a", "3"), Some((10, vec![0, 3])));
    assert_eq!(topics.list(), [(&topic("a"), 10, true)]);
}

#[test]
fn h1_the_number_of_a_topic_never_falls_though_nobody_wanted_it_for_a_while_and_does_not_follow_the_old() {
    let (mut topics, now) = (Topics::new(rules(Duration::ZERO, 10, false), 0), Instant::now());
    for expected in [1, 3, 5] {
        topics.want(&topic("a"), 0);
        assert_eq!(publish(&mut topics, "a", "1"), Some((expected, vec![0])));
        topics.unwant(&topic("a"), 0, now);
        assert_eq!(publish(&mut topics, "a", "1"), None, "nobody wants it");
    }
}

#[test]
fn a_topic_too_many_is_refused_unless_one_lingers_that_can_go() {
    let (mut topics, now) = (Topics::new(rules(LINGER, 2, false), 0), Instant::now());
    for name in ["a", "b"] {
        assert!(matches!(topics.want(&topic(name), 0), WatchOutcome::New));
        publish(&mut topics, name, "1");
    }
    topics.begin_interest();
    assert!(matches!(topics.want(&topic("c"), 0), WatchOutcome::Refused));
    assert!(matches!(topics.want(&topic("a"), 1), WatchOutcome::Known(Some(_), None)), "it is there already");
    // Given up and wanted again: a wanted topic does not end.
    topics.unwant(&topic("a"), 0, now);
    topics.unwant(&topic("a"), 1, now);
    topics.want(&topic("a"), 0);
    assert!(matches!(topics.want(&topic("c"), 0), WatchOutcome::Refused));
    topics.unwant(&topic("b"), 0, now);
    assert!(matches!(topics.want(&topic("c"), 0), WatchOutcome::New));
    assert_eq!((changes(&mut topics), topics.len()), ("+a +b -b +c".into(), 2));
}

#[test]
fn an_event_bus_keeps_what_was_published_though_nobody_wants_it() {
    let (mut topics, now) = (Topics::new(rules(LINGER, 2, true), 0), Instant::now());
    for (name, seq) in [("a", 1), ("a", 2), ("b", 7)] {
        assert!(put(&mut topics, name, seq).is_empty());
    }
    let WatchOutcome::Known(Some(update), None) = topics.want(&topic("a"), 0) else { panic!("there is a value") };
    assert_eq!(update.seq, 2);
    topics.unwant(&topic("a"), 0, now);
    topics.tick(now + LINGER);
    assert!(matches!(topics.want(&topic("a"), 0), WatchOutcome::Known(Some(_), None)));
    // Topics that were never published have a bound of their own.
    for name in ["x", "y"] {
        assert!(matches!(topics.want(&topic(name), 0), WatchOutcome::New));
    }
    // An interest does not evict its own topics.
    assert!(matches!(topics.want(&topic("z"), 0), WatchOutcome::Refused));
    assert_eq!(put(&mut topics, "x", 1), [0], "who waits for it gets it");
    assert!(matches!(topics.want(&topic("z"), 0), WatchOutcome::New), "and leaves a place to others");
    assert_eq!(topics.len(), 5);
}

#[test]
fn in_a_full_hub_what_never_had_a_value_makes_room_the_longest_waiting_first_but_not_for_its_own_wish() {
    for keeps in [false, true] {
        let mut topics = Topics::new(rules(LINGER, 3, keeps), 0);
        for (name, shard) in [("junk 1", 0), ("real", 0), ("junk 2", 1)] {
            topics.want(&topic(name), shard);
        }
        topics.want(&topic("junk 1"), 1);
        let _ = topics.put(&topic("real"), 1, value("1"));
        if keeps {
            // On a bus, only topics without a value count here.
            topics.want(&topic("junk 3"), 0);
        }
        changes(&mut topics);
        topics.begin_interest();
        assert!(matches!(topics.want(&topic("new 1"), 0), WatchOutcome::New));
        assert!(topics.is_wanted_by(&topic("new 1"), 0) && !topics.is_wanted_by(&topic("junk 1"), 0));
        assert_eq!(changes(&mut topics), "!junk 1{0, 1} -junk 1 +new 1");
        assert!(matches!(topics.want(&topic("new 2"), 0), WatchOutcome::New));
        assert_eq!(changes(&mut topics), "!junk 2{1} -junk 2 +new 2");
        if !keeps {
            assert!(
                matches!(topics.want(&topic("new 3"), 0), WatchOutcome::Refused),
                "the others are of this interest"
            );
        }
        assert!(matches!(topics.want(&topic("real"), 1), WatchOutcome::Known(Some(_), None)), "it has a value");
        topics.begin_interest();
        assert!(matches!(topics.want(&topic("junk 1"), 1), WatchOutcome::New), "it waits again, at the end");
    }
}

#[test]
fn a_topic_without_a_value_is_listed_without_a_number() {
    let (mut topics, now) = (Topics::new(rules(Duration::ZERO, 9, true), 7), Instant::now());
    topics.want(&topic("a"), 0);
    topics.unwant(&topic("a"), 0, now);
    topics.want(&topic("b"), 0);
    put(&mut topics, "c", 3);
    assert_eq!(topics.list(), [(&topic("b"), 0, true), (&topic("c"), 3, false)]);
}

#[test]
fn a_topic_that_is_published_while_it_lingers_is_kept() {
    let (mut topics, now) = (Topics::new(rules(LINGER, 2, true), 0), Instant::now());
    topics.want(&topic("a"), 0);
    topics.unwant(&topic("a"), 0, now);
    assert!(put(&mut topics, "a", 1).is_empty());
    topics.tick(now + LINGER);
    assert_eq!(topics.list(), [(&topic("a"), 1, false)]);
}

#[test]
fn h4_whoever_comes_between_a_gap_and_the_next_value_hears_that_the_last_one_is_from_before() {
    let mut topics = Topics::new(rules(LINGER, 9, false), 0);
    let names = ["a", "b", "c"].map(topic);
    for name in &names[..2] {
        topics.want(name, 0);
    }
    publish(&mut topics, "a", "1");
    topics.note_gap(names.iter(), 5, 6);
    topics.note_gap(names.iter(), 8, 9);
    assert!(matches!(topics.want(&names[0], 1), WatchOutcome::Known(Some(_), Some((5, 9)))));
    assert!(matches!(topics.want(&names[1], 1), WatchOutcome::Known(None, None)), "there was nothing before");
    publish(&mut topics, "a", "2");
    assert!(matches!(topics.want(&names[0], 2), WatchOutcome::Known(Some(_), None)));
}
