//! Owns the tests of open connections on which the feed is silent (H8), and of what answers a
//! heartbeat.

use super::{Note, Rig, feeds::*};
use crate::config::{
    Secret,
    feeds::{FeedConfig, FeedHeartbeat, Rejection},
};

fn with_heartbeat(send: Option<&str>, expect: &[(&str, &str)]) -> FeedConfig {
    let heartbeat = FeedHeartbeat {
        interval: ms(100),
        timeout: ms(50),
        send: send.map(Secret::new),
        expect: if expect.is_empty() { Vec::new() } else { vec![matcher(expect)] },
    };
    FeedConfig { heartbeat: Some(heartbeat), reconnect_after: Some(ms(1000)), ..plain() }
}

/// Lets time pass, and answers each ping.
fn pass(rig: &mut Rig, ms: u64, answer: impl Fn(&mut Rig)) -> Vec<String> {
    let mut words = Vec::new();
    for _ in 0..ms / 10 {
        let new = rig.run(10);
        if new.iter().any(|word| word == "ping" || word == "ping!") {
            answer(rig);
        }
        words.extend(new);
    }
    words
}

#[test]
fn h8_a_connection_that_answers_pings_and_says_nothing_is_left_however_it_answers() {
    let text = |rig: &mut Rig| drop(rig.receive(r#"{"ignore":"pong"}"#));
    let pong = |rig: &mut Rig| rig.uplink.ponged();
    type Answer<'a> = (Option<&'a str>, &'a [(&'a str, &'a str)], &'a dyn Fn(&mut Rig));
    let answers: [Answer<'_>; 3] =
        [(None, &[], &pong), (Some("ping!"), &[], &text), (Some("ping!"), &[("/ignore", "pong")], &text)];
    for (send, expect, answer) in answers {
        let mut rig = Rig::live(with_heartbeat(send, expect), &["a"]);
        assert!(!pass(&mut rig, 900, answer).iter().any(|word| word.starts_with("disconnect")));
        let words = pass(&mut rig, 200, answer);
        assert!(words.contains(&"disconnect 1002".to_owned()), "{send:?} {words:?}");
        assert!(rig.notes.iter().any(|note| matches!(note, Note::Mute { times: 1, .. })), "{:?}", rig.notes);
        assert_eq!(rig.uplink.mute(), 1);
        rig.reconnect();
        rig.receive(r#"{"topic":"a","data":1}"#);
        assert_eq!(rig.uplink.mute(), 0);
    }
}

#[test]
fn h8_what_a_feed_says_of_itself_is_life_and_silence_without_subscriptions_means_nothing() {
    let mut rig = Rig::live(with_heartbeat(Some("ping!"), &[]), &["a"]);
    for _ in 0..40 {
        let words = pass(&mut rig, 100, |rig| {
            rig.receive(r#"{"ignore":"pong"}"#);
            rig.receive(r#"{"ignore":"heartbeat"}"#);
        });
        assert!(!words.iter().any(|word| word.starts_with("disconnect")), "{words:?}");
    }
    rig.unwant("a");
    let words = pass(&mut rig, 5000, |rig| drop(rig.receive(r#"{"ignore":"pong"}"#)));
    assert!(!words.iter().any(|word| word.starts_with("disconnect")), "{words:?}");
}

#[test]
fn what_answers_a_heartbeat_may_be_a_value_and_is_passed_on() {
    let mut rig = Rig::live(with_heartbeat(None, &[("/topic", "*")]), &["a"]);
    for n in 0..40 {
        assert_eq!(rig.receive(&format!(r#"{{"topic":"a","data":{n}}}"#)), [format!("a = {n}")]);
        assert!(!pass(&mut rig, 100, |_| ()).iter().any(|word| word.starts_with("disconnect")));
    }
    // No frame that matches comes any more.
    let words = pass(&mut rig, 200, |rig| rig.uplink.ponged());
    assert!(words.contains(&"disconnect 1002".to_owned()), "{words:?}");
    // An answer without a value does not count as unknown.
    let mut rig = Rig::live(with_heartbeat(None, &[("/op", "pong")]), &["a"]);
    assert!(rig.receive(r#"{"op":"pong"}"#).is_empty());
    assert_eq!(rig.uplink.counts().unknown, 0);
}

#[test]
fn h8_a_refusal_without_a_topic_is_about_the_oldest_frame_that_has_no_answer() {
    let mut feed = plain();
    feed.batch = 1;
    let unnamed = vec![matcher(&[("/error", "*")])];
    let accepted = vec![matcher(&[("/ok", "*")])];
    feed.rejected = Some(Rejection { when: Vec::new(), id: None, topic: None, name: None, unnamed, accepted });
    feed.ignore = vec![matcher(&[("/ok", "*")])];
    let mut rig = Rig::live(feed, &["a", "b", "c"]);
    rig.unwant("a");
    rig.settle();
    let (yes, no) = (r#"{"ok":1}"#, r#"{"error":"limit"}"#);
    assert!(rig.receive(yes).is_empty());
    assert_eq!(rig.receive(no), [format!("rejected b: {no}")]);
    assert!(rig.receive(yes).is_empty());
    assert!(rig.receive(no).is_empty(), "of an unsubscription nobody needs to hear");
    assert_eq!((rig.uplink.upstream_topics(), rig.uplink.counts().rejected), (1, 1));
}

#[test]
fn h8_a_frame_of_many_topics_that_is_refused_is_asked_for_again_one_by_one() {
    let mut feed = plain();
    let (unnamed, accepted) = (vec![matcher(&[("/error", "*")])], vec![matcher(&[("/ok", "*")])]);
    feed.rejected = Some(Rejection { when: Vec::new(), id: None, topic: None, name: None, unnamed, accepted });
    feed.ignore = vec![matcher(&[("/ok", "*")])];
    let mut rig = Rig::live(feed, &["a", "b", "c"]);
    let (yes, no) = (r#"{"ok":1}"#, r#"{"error":"limit"}"#);
    rig.unwant("b");
    assert_eq!(rig.settle(), ["-b"]);
    assert!(rig.receive(no).is_empty(), "some of them may fit");
    assert_eq!((rig.settle(), rig.uplink.upstream_topics()), (vec!["+a".to_owned(), "+c".to_owned()], 2));
    rig.want("d");
    assert_eq!(rig.settle(), ["+d"]);
    assert!(rig.receive(yes).is_empty() && rig.receive(yes).is_empty(), "b is taken back, a is there");
    assert_eq!(rig.receive(no), [format!("rejected c: {no}")]);
    assert!(rig.receive(yes).is_empty());
    assert_eq!((rig.uplink.upstream_topics(), rig.uplink.counts().unknown), (2, 0));
    // The next connection begins with all topics in one frame.
    rig.lose(None);
    assert!(rig.reconnect().contains(&"+a,c,d".to_owned()));
}

#[test]
fn h8_without_answers_a_refusal_without_a_topic_is_about_the_newest_frame_of_which_nothing_came() {
    let mut rig = Rig::dialling(finnhub(), &["A", "B", "C", "D"]);
    rig.open();
    rig.settle();
    rig.receive(r#"{"type":"trade","data":[{"s":"D","p":1}]}"#);
    let said = r#"{"msg":"Subscribing to too many symbols","type":"error"}"#;
    assert_eq!(rig.receive(said), [format!("rejected C: {said}")]);
    assert_eq!(rig.receive(said), [format!("rejected B: {said}")]);
    assert_eq!(rig.uplink.upstream_topics(), 2);
    // A value proves that the topic was not rejected.
    assert_eq!(rig.receive(r#"{"type":"trade","data":[{"s":"B","p":1}]}"#).len(), 1);
    assert_eq!(rig.uplink.upstream_topics(), 3);
}
