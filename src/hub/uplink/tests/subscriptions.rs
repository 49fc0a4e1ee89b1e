//! Owns the tests of the way from interest to subscription frames (H2).

use super::{Note, Rig, feeds::*, topic};
use crate::config::feeds::Template;

#[test]
fn h2_what_is_wanted_together_is_asked_for_together_and_duplicates_never() {
    let mut rig = Rig::live(plain(), &[]);
    for name in ["a", "b", "a", "c"] {
        rig.want(name);
    }
    rig.unwant("b");
    rig.unwant("nobody");
    assert!(rig.drain().is_empty(), "it waits for the tick");
    assert_eq!(rig.uplink.next_deadline(), Some(rig.now.instant), "which is due at once");
    assert_eq!(rig.tick(), ["+a,c"]);
    rig.want("a");
    rig.unwant("c");
    rig.want("c");
    assert!(rig.settle().is_empty());
    rig.unwant("a");
    rig.unwant("a");
    assert_eq!(rig.settle(), ["-a"]);
    assert_eq!(rig.uplink.upstream_topics(), 1);
}

#[test]
fn h2_batches_are_as_large_as_they_may_be_and_frames_as_many() {
    let mut feed = plain();
    (feed.batch, feed.messages_per_second) = (3, 2.0);
    let mut rig = Rig::live(feed, &[]);
    for number in 0..10 {
        rig.want(&format!("t{number}"));
    }
    assert_eq!(rig.settle(), ["+t0,t1,t2", "+t3,t4,t5"]);
    assert!(rig.run(999).is_empty());
    rig.unwant("t9");
    assert_eq!(rig.run(1), ["+t6,t7,t8"]);
    assert!(rig.run(5_000).iter().all(|word| !word.starts_with(['+', '-'])));
}

#[test]
fn h2_the_pace_outlives_the_connection() {
    let mut feed = plain();
    feed.messages_per_second = 1.0;
    feed.max_age = Some(ms(10_000));
    let mut rig = Rig::live(feed, &["a"]);
    rig.run(9_800);
    rig.want("b");
    assert_eq!(rig.settle(), ["+b"]);
    assert_eq!(rig.run(200), ["disconnect 1000", "connecting 0", "connect"]);
    assert_eq!(rig.open(), ["live 0"]);
    assert!(rig.run(799).is_empty());
    assert_eq!(rig.run(1), ["+a,b"]);
}

#[test]
fn h2_a_topic_that_cannot_be_taken_back_is_only_dropped_here() {
    let mut feed = plain();
    feed.unsubscribe = None;
    let mut rig = Rig::live(feed, &["a", "b"]);
    rig.unwant("a");
    assert!(rig.settle().is_empty());
    assert_eq!(rig.receive(r#"{"topic":"a","data":1}"#), Vec::<String>::new());
    assert_eq!(rig.uplink.counts().unknown, 0, "it is known, and nobody wants it");
    rig.want("a");
    assert!(rig.settle().is_empty(), "it is subscribed still");
    assert_eq!(rig.receive(r#"{"topic":"a","data":2}"#), ["a = 2"]);
    rig.unwant("a");
    rig.lose(None);
    assert_eq!(rig.reconnect().last().map(String::as_str), Some("+b"), "and not any more on the next connection");
}

#[test]
fn h2_a_connection_with_too_much_that_cannot_be_taken_back_is_replaced() {
    let mut feed = plain();
    feed.unsubscribe = None;
    let mut rig = Rig::live(feed, &["a"]);
    for number in 0..1001 {
        assert_eq!(rig.uplink.upstream_topics(), number + 1);
        rig.want(&format!("t{number}"));
        assert_eq!(rig.run(1).len(), 1);
        rig.unwant(&format!("t{number}"));
    }
    assert_eq!(rig.run(1), ["disconnect 1000", "connecting 0", "connect"]);
    assert!(rig.notes.contains(&Note::Littered { topics: 1001 }));
    assert_eq!(rig.open(), ["live 0", "+a"]);
}

#[test]
fn h2_a_feed_that_sends_everything_unasked_is_only_filtered() {
    let mut feed = plain();
    (feed.subscribe, feed.unsubscribe) = (None, None);
    let mut rig = Rig::live(feed, &["a", "b"]);
    assert_eq!(rig.uplink.upstream_topics(), 2);
    assert_eq!(rig.receive(r#"{"topic":"a","data":1}"#), ["a = 1"]);
    rig.unwant("a");
    assert!(rig.settle().is_empty() && rig.receive(r#"{"topic":"a","data":1}"#).is_empty());
    assert_eq!(rig.uplink.upstream_topics(), 1);
}

#[test]
fn h2_a_wish_that_would_subscribe_to_something_else_is_not_passed_on() {
    let mut rig = Rig::live(plain(), &[]);
    for odd in ["T.*", "T.A,T.B", "T.A ", "*"] {
        assert!(!rig.uplink.can_ask(&topic(odd)), "{odd}");
        rig.want(odd);
        assert!(rig.settle().is_empty(), "{odd}");
        rig.unwant(odd);
    }
    assert!(Rig::new(massive()).uplink.can_ask(&topic("T.O:SPY251219C00650000")));
    let mut feed = plain();
    feed.subscribe = Some(Template(r#"{"s":{topic_list}}"#.into()));
    feed.unsubscribe = Some(Template("-{topics}".into()));
    assert!(!Rig::new(feed.clone()).uplink.can_ask(&topic("a,b")), "it could not be taken back");
    feed.unsubscribe = None;
    assert!(Rig::new(feed).uplink.can_ask(&topic("a,b")));
}
