//! Owns the tests of a hub's core, without actors: what each subscriber is sent, and which interest
//! the hub is sent. `tests::world` runs events in random order, `tests::lives` runs real actors.

mod lives;
mod world;

use std::{collections::BTreeSet, rc::Rc, sync::Arc, time::Instant};

use serde_json::{Value as Json, json};

use super::{
    event::{HubEvent, TopicRefusal},
    fanout::{Availability, Fanout, InterestChange, TooMany},
    update::{TopicValue, Update},
    uplink::{FeedStatus, Gap, Rejected},
};
use crate::{
    observe::metrics::Metrics,
    protocol::{FeedState, RawJson, ServerFrame, Topic, server::SubscribedFeed},
    ws::{Flusher, Outbox, json_frame, valve::Valve},
};

const MAX_TOPICS: usize = 300;

struct Client {
    outbox: Rc<Outbox>,
    valve: Rc<Valve>,
    topics: BTreeSet<Topic>,
}

impl Client {
    fn new() -> Self {
        let valve = Rc::<Valve>::default();
        let outbox = Outbox::new(Box::new(valve.clone()), Flusher::new(Metrics::new("test").shard()), 1 << 20);
        Self { outbox, valve, topics: BTreeSet::new() }
    }

    /// Returns all frames that were or are to be written.
    fn received(&self) -> Vec<Json> {
        self.valve.room.set(usize::MAX);
        self.outbox.flush();
        let bytes = self.valve.taken.borrow();
        let (mut rest, mut frames) = (&bytes[..], Vec::new());
        while !rest.is_empty() {
            let (head, length) = match rest[1] {
                126 => (4, usize::from(u16::from_be_bytes([rest[2], rest[3]]))),
                length => (2, usize::from(length)),
            };
            frames.push(serde_json::from_slice(&rest[head..head + length]).expect("frames are JSON"));
            rest = &rest[head + length..];
        }
        frames
    }
}

fn topic(name: &str) -> Topic {
    Topic::parse(name).expect("a name")
}

fn status(state: FeedState, since: u64) -> FeedStatus {
    FeedStatus { state, since, attempt: 0, fatal: false }
}

fn fanout() -> Fanout {
    Fanout::new(MAX_TOPICS, status(FeedState::Live, 0))
}

fn subscribed(topics: &[Topic]) -> crate::ws::Frame {
    json_frame(|out| ServerFrame::Subscribed { topics, feed: SubscribedFeed { state: FeedState::Live } }.write(out))
}

fn subscribe(fanout: &mut Fanout, connection: u64, names: &[&str]) {
    let topics: Vec<_> = names.iter().map(|name| topic(name)).collect();
    fanout.reserve(connection, &topics).expect("few topics");
    fanout.subscribe(connection, &topics, subscribed(&topics), Instant::now());
    fanout.cancel_reservation(&topics);
}

fn update(name: &str, seq: u64, live: &str) -> HubEvent {
    let value = TopicValue { live: RawJson::from_serialize(&live), whole: None };
    HubEvent::Update(Update { topic: topic(name), seq, value })
}

fn gap(names: &[&str], from: u64, to: u64) -> HubEvent {
    HubEvent::Gap(Gap { topics: Arc::new(names.iter().map(|name| topic(name)).collect()), from, to })
}

fn rejected(name: &str, said: &str) -> HubEvent {
    HubEvent::Rejected(Rejected { topic: topic(name), said: said.into() })
}

fn deliver(fanout: &mut Fanout, events: Vec<HubEvent>) {
    fanout.take_change();
    events.into_iter().for_each(|event| fanout.on_event(event, u64::MAX, Instant::now(), 1000));
}

#[test]
fn h1_subscribed_comes_first_then_the_last_value_then_what_is_new() {
    let (mut fanout, first, second) = (fanout(), Client::new(), Client::new());
    fanout.enter(1, first.outbox.clone(), None);
    fanout.enter(2, second.outbox.clone(), None);
    subscribe(&mut fanout, 1, &["a"]);
    let change = InterestChange { number: 1, unwanted: vec![], wanted: vec![topic("a")], clients: 2 };
    assert_eq!(fanout.take_change(), Some(change));
    let HubEvent::Update(known) = update("a", 7, "x") else { panic!("an update") };
    deliver(&mut fanout, vec![HubEvent::Last(known)]);
    subscribe(&mut fanout, 2, &["a"]);
    deliver(&mut fanout, vec![update("a", 8, "y"), update("other", 1, "z")]);
    deliver(&mut fanout, vec![update("a", 8, "y")]);
    let expected = |frames: Vec<Json>| {
        assert_eq!(frames.len(), 3, "{frames:?}");
        assert_eq!(frames[0], json!({"type":"subscribed","topics":["a"],"feed":{"state":"live"}}));
        assert_eq!(frames[1], json!({"type":"data","topic":"a","seq":7,"snapshot":true,"data":"x"}));
        assert_eq!(frames[2], json!({"type":"data","topic":"a","seq":8,"data":"y"}));
    };
    expected(first.received());
    expected(second.received());
}

#[test]
fn h2_the_hub_hears_of_the_first_and_the_last_client_and_subscriber_of_a_shard_only() {
    let mut fanout = fanout();
    let mut number = 0;
    let mut change = |unwanted: &[&str], wanted: &[&str], clients| {
        let of = |names: &[&str]| names.iter().map(|name| topic(name)).collect();
        number += 1;
        Some(InterestChange { number, unwanted: of(unwanted), wanted: of(wanted), clients })
    };
    assert_eq!(fanout.take_change(), change(&[], &[], 0), "the shard itself");
    assert_eq!(fanout.take_change(), None);
    fanout.enter(1, Client::new().outbox, None);
    assert_eq!(fanout.take_change(), change(&[], &[], 1));
    (2..=3).for_each(|number| fanout.enter(number, Client::new().outbox, None));
    assert_eq!(fanout.take_change(), None, "somebody was there");
    subscribe(&mut fanout, 1, &["a"]);
    assert_eq!(fanout.take_change(), change(&[], &["a"], 3));
    subscribe(&mut fanout, 1, &["a"]);
    subscribe(&mut fanout, 2, &["a", "a"]);
    assert_eq!(fanout.take_change(), None, "again, and another, twice");
    subscribe(&mut fanout, 2, &["b"]);
    assert_eq!(fanout.take_change(), change(&[], &["b"], 3));
    fanout.unsubscribe(1, &[topic("a"), topic("b")]);
    fanout.unsubscribe(3, &[topic("a")]);
    assert!(fanout.leave(3));
    assert_eq!(fanout.take_change(), None, "the second still has both");
    assert!(fanout.leave(2) && !fanout.leave(2));
    assert_eq!(fanout.take_change(), change(&["a", "b"], &[], 1));
    fanout.leave(1);
    assert_eq!(fanout.take_change(), change(&[], &[], 0));
}

#[test]
fn h6_a_subscriber_has_only_so_many_topics_and_one_too_many_changes_nothing() {
    let (mut fanout, client) = (fanout(), Client::new());
    fanout.enter(1, client.outbox.clone(), None);
    let topics: Vec<_> = (0..MAX_TOPICS).map(|n| topic(&n.to_string())).collect();
    let (most, last) = topics.split_at(MAX_TOPICS - 1);
    let mut subscribe = |topics: &[Topic]| {
        let _claim = fanout.reserve(1, topics)?;
        fanout.subscribe(1, topics, subscribed(&[]), Instant::now());
        fanout.cancel_reservation(topics);
        Ok(())
    };
    assert_eq!(subscribe(most), Ok(()));
    assert_eq!(subscribe(&[last[0].clone(), topic("one more")]), Err(TooMany::Client));
    assert_eq!(subscribe(last), Ok(()));
    assert_eq!(subscribe(&topics), Ok(()), "it has them already");
    assert_eq!(subscribe(&[topic("one more")]), Err(TooMany::Client));
    assert_eq!(fanout.take_change().map(|change| change.wanted.len()), Some(MAX_TOPICS));
    assert_eq!(client.received().len(), 3);
}

#[test]
fn h3_every_client_hears_of_a_change_of_the_feed_once_and_a_newcomer_of_its_state() {
    let (mut fanout, client) = (Fanout::new(9, status(FeedState::Disconnected, 0)), Client::new());
    assert_eq!(fanout.state(), FeedState::Connecting, "whoever comes first makes it so");
    fanout.enter(1, client.outbox.clone(), None);
    let states = [FeedState::Disconnected, FeedState::Connecting, FeedState::Live, FeedState::Live, FeedState::Down];
    let event = |(since, state): (u64, FeedState)| HubEvent::Feed(status(state, since.max(1) - u64::from(since == 3)));
    deliver(&mut fanout, (0..).zip(states).map(event).collect());
    let feed = |state: &str, since: u64| json!({"type": "feed", "state": state, "since": since, "attempt": 0});
    assert_eq!(client.received(), [feed("connecting", 1), feed("live", 2), feed("down", 4)]);
    assert_eq!(fanout.state(), FeedState::Down);
}

#[test]
fn h4_each_subscriber_is_told_of_the_gap_in_its_own_topics_before_the_first_fresh_value() {
    let (mut fanout, clients) = (fanout(), [(); 4].map(|()| Client::new()));
    for (number, client) in (0..).zip(&clients) {
        fanout.enter(number, client.outbox.clone(), None);
    }
    subscribe(&mut fanout, 0, &["b", "a"]);
    subscribe(&mut fanout, 1, &["b", "c"]);
    subscribe(&mut fanout, 2, &["c"]);
    deliver(&mut fanout, vec![update("a", 1, "old"), gap(&["a", "b", "x"], 5, 6), update("a", 2, "new")]);
    let told = clients.each_ref().map(|client| client.received().split_off(1.min(client.received().len())));
    let gap = |topics: &[&str]| json!({"type": "gap", "topics": topics, "from": 5, "to": 6});
    let data = |seq, data: &str| json!({"type": "data", "topic": "a", "seq": seq, "data": data});
    assert_eq!(told, [vec![data(1, "old"), gap(&["a", "b"]), data(2, "new")], vec![gap(&["b"])], vec![], vec![]]);
}

#[test]
fn h1_a_subscription_waits_until_the_hub_has_handled_all_its_topics() {
    let (mut fanout, client) = (fanout(), Client::new());
    fanout.enter(1, client.outbox.clone(), None);
    let topics = ["a", "b"].map(topic);
    fanout.reserve(1, &topics[..1]).expect("few topics");
    assert_eq!(fanout.take_change().map(|change| change.wanted), Some(topics[..1].to_vec()));
    fanout.reserve(1, &topics).expect("few topics");
    assert_eq!(
        (fanout.availability(&topics[..1]), fanout.availability(&topics)),
        (Availability::Unknown, Availability::Unknown)
    );
    fanout.on_interest_handled(1, Vec::new(), Instant::now());
    assert_eq!(
        (fanout.availability(&topics[..1]), fanout.availability(&topics)),
        (Availability::Known, Availability::Unknown)
    );
    assert_eq!(fanout.take_change().map(|change| change.wanted), Some(topics[1..].to_vec()));
    fanout.on_interest_handled(2, Vec::new(), Instant::now());
    assert_eq!(fanout.availability(&topics), Availability::Known);
    // A new life of the hub must get them in its interest, too.
    deliver(&mut fanout, vec![HubEvent::Restarted(7)]);
    assert_eq!(fanout.availability(&topics), Availability::Unknown);
    // The clients with reservations have given up.
    fanout.cancel_reservation(&topics[..1]);
    fanout.cancel_reservation(&topics);
    assert_eq!(fanout.take_change().map(|change| change.unwanted), Some(topics.to_vec()));
}

#[test]
fn a_topic_that_the_hub_refuses_is_known_to_be_refused_until_somebody_asks_again() {
    let (mut fanout, client) = (fanout(), Client::new());
    fanout.enter(1, client.outbox.clone(), None);
    let topics = ["a", "b"].map(topic);
    fanout.reserve(1, &topics).expect("few topics");
    fanout.take_change();
    fanout.on_interest_handled(1, vec![(topics[1].clone(), TopicRefusal::Full)], Instant::now());
    assert_eq!(fanout.availability(&topics), Availability::Refused(topics[1].clone(), TopicRefusal::Full));
    fanout.reserve(1, &topics[1..]).expect("few topics");
    assert_eq!(fanout.availability(&topics[1..]), Availability::Unknown);
    assert_eq!(fanout.take_change().map(|change| change.wanted), Some(topics[1..].to_vec()));
    fanout.on_interest_handled(2, Vec::new(), Instant::now());
    assert_eq!(fanout.availability(&topics), Availability::Known);
}

#[test]
fn a_topic_that_a_hub_s_successor_refuses_is_taken_from_its_subscribers_with_an_error() {
    let (mut fanout, client) = (fanout(), Client::new());
    fanout.enter(1, client.outbox.clone(), None);
    subscribe(&mut fanout, 1, &["a", "b", "c"]);
    fanout.take_change();
    fanout.on_interest_handled(1, Vec::new(), Instant::now());
    fanout.on_event(HubEvent::Restarted(7), 0, Instant::now(), 1000);
    assert_eq!(fanout.take_change().map(|change| (change.number, change.wanted.len())), Some((2, 3)));
    fanout.on_interest_handled(
        2,
        vec![(topic("a"), TopicRefusal::Full), (topic("c"), TopicRefusal::Nameless)],
        Instant::now(),
    );
    let told = client.received();
    let said = |frame: &Json| (frame["code"].clone(), frame["message"].as_str().unwrap_or_default().to_owned());
    for (frame, expected, name) in [(&told[1], "too_many_topics", "\"a\""), (&told[2], "unknown_topic", "\"c\"")] {
        let (code, message) = said(frame);
        assert!(code == expected && message.contains(name), "{told:?}");
    }
    let event = vec![update("a", 1, "x"), update("b", 1, "x"), update("c", 1, "x")];
    deliver(&mut fanout, event);
    let values: Vec<_> = client.received().into_iter().filter(|frame| frame["type"] == "data").collect();
    assert_eq!((values.len(), &values[0]["topic"]), (1, &json!("b")), "the others are not subscribed");
}

#[test]
fn h2_who_has_a_topic_that_the_upstream_rejects_is_told_and_stays_and_who_comes_makes_the_hub_ask_again() {
    let (mut fanout, clients) = (fanout(), [(); 3].map(|()| Client::new()));
    for (number, client) in (0..).zip(&clients) {
        fanout.enter(number, client.outbox.clone(), None);
    }
    subscribe(&mut fanout, 0, &["a", "b"]);
    subscribe(&mut fanout, 1, &["b"]);
    deliver(&mut fanout, vec![rejected("a", "no \"a\""), rejected("x", "no")]);
    let error = |said: &str| json!({"type": "error", "code": "topic_rejected", "topic": "a", "message": format!("the upstream does not have this topic: {said}")});
    assert_eq!(clients[0].received()[1..], [error("no \"a\"")]);
    assert_eq!((clients[1].received().len(), fanout.take_change()), (1, None), "of b nothing was said");
    // A client that comes now gets the next rejection, even if it comes before the client's
    // `subscribed`.
    let topics = [topic("a")];
    fanout.reserve(2, &topics).expect("few topics");
    let change = fanout.take_change().expect("the hub is asked again");
    assert_eq!((&change.wanted[..], fanout.availability(&topics)), (&topics[..], Availability::Unknown));
    fanout.on_event(rejected("a", "earlier"), change.number - 1, Instant::now(), 1000);
    fanout.on_interest_handled(change.number, Vec::new(), Instant::now());
    fanout.on_event(rejected("a", "again"), change.number, Instant::now(), 1000);
    fanout.subscribe(2, &topics, subscribed(&topics), Instant::now());
    fanout.cancel_reservation(&topics);
    assert_eq!(clients[2].received()[1..], [error("again")]);
    assert_eq!(clients[0].received()[2..], [error("again")]);
    // The upstream has the topic after all.
    deliver(&mut fanout, vec![update("a", 1, "x")]);
    for client in [&clients[0], &clients[2]] {
        assert_eq!(client.received().last().expect("a value")["type"], "data");
    }
}
