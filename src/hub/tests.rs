//! Owns the tests of a hub's core, without actors: whatever happens in whatever order, each subscriber is told the truth.
//! Run by `cargo test`.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Instant,
};

use proptest::prelude::*;
use serde_json::Value as Json;

use super::{
    fanout::{Fanout, MAX_SUBSCRIPTIONS, TooMany, Wishes},
    lane::Lane,
    topics::{Topics, Wanted},
    update::{Update, Value},
};
use crate::{
    observe::metrics::Metrics,
    protocol::{FeedState, RawJson, ServerFrame, Topic, server::Feed},
    ws::{Flusher, Outbox, json_frame, valve::Valve},
};

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

    /// Everything that was and is to be told.
    fn told(&self) -> Vec<Json> {
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

fn json(value: &impl serde::Serialize) -> RawJson {
    RawJson::from_serialize(value)
}

fn subscribed(topics: &[Topic]) -> crate::ws::Frame {
    json_frame(|out| ServerFrame::Subscribed { topics, feed: Feed { state: FeedState::Live } }.write(out))
}

fn update(name: &str, seq: u64, live: &str) -> Update {
    Update { topic: topic(name), seq, value: Value { live: json(&live), whole: None } }
}

#[test]
fn h1_subscribed_comes_first_then_the_last_value_then_what_is_new() {
    let (mut fanout, first, second) = (Fanout::default(), Client::new(), Client::new());
    let topics = [topic("a")];
    fanout.enter(1, first.outbox.clone());
    fanout.enter(2, second.outbox.clone());
    fanout.subscribe(1, &topics, subscribed(&topics), Instant::now()).expect("few topics");
    assert_eq!(fanout.wishes(), Some(Wishes { unwanted: vec![], wanted: topics.to_vec() }));
    fanout.deliver(vec![update("a", 7, "x")], Instant::now());
    fanout.subscribe(2, &topics, subscribed(&topics), Instant::now()).expect("few topics");
    fanout.deliver(vec![update("a", 8, "y"), update("other", 1, "z")], Instant::now());
    fanout.deliver(vec![update("a", 8, "y")], Instant::now());
    let expected = |frames: Vec<Json>| {
        assert_eq!(frames.len(), 3, "{frames:?}");
        assert_eq!(frames[0], serde_json::json!({"type":"subscribed","topics":["a"],"feed":{"state":"live"}}));
        assert_eq!(frames[1], serde_json::json!({"type":"data","topic":"a","seq":7,"snapshot":true,"data":"x"}));
        assert_eq!(frames[2], serde_json::json!({"type":"data","topic":"a","seq":8,"data":"y"}));
    };
    expected(first.told());
    expected(second.told());
}

#[test]
fn h2_the_hub_hears_of_the_first_and_the_last_subscriber_of_a_shard_only() {
    let mut fanout = Fanout::default();
    let (a, b) = ([topic("a")], [topic("b")]);
    let subscribe = |fanout: &mut Fanout, number, topics: &[Topic]| {
        fanout.subscribe(number, topics, subscribed(topics), Instant::now()).expect("few topics");
        fanout.wishes()
    };
    for number in 1..=3 {
        fanout.enter(number, Client::new().outbox);
    }
    assert_eq!(subscribe(&mut fanout, 1, &a), Some(Wishes { unwanted: vec![], wanted: a.to_vec() }));
    assert_eq!(subscribe(&mut fanout, 1, &a), None, "again");
    assert_eq!(subscribe(&mut fanout, 2, &[a[0].clone(), a[0].clone()]), None, "another, twice");
    assert_eq!(subscribe(&mut fanout, 2, &b), Some(Wishes { unwanted: vec![], wanted: b.to_vec() }));
    fanout.unsubscribe(1, &a);
    fanout.unsubscribe(1, &b);
    fanout.unsubscribe(3, &a);
    assert_eq!(fanout.wishes(), None, "the second still has both");
    fanout.leave(2);
    fanout.leave(2);
    assert_eq!(fanout.wishes(), Some(Wishes { unwanted: [a, b].concat(), wanted: vec![] }));
    assert_eq!(fanout.wishes(), None);
}

#[test]
fn h6_a_subscriber_has_only_so_many_topics_and_one_too_many_changes_nothing() {
    let (mut fanout, client) = (Fanout::default(), Client::new());
    fanout.enter(1, client.outbox.clone());
    let topics: Vec<_> = (0..MAX_SUBSCRIPTIONS).map(|n| topic(&n.to_string())).collect();
    let (most, last) = topics.split_at(MAX_SUBSCRIPTIONS - 1);
    let mut subscribe = |topics: &[Topic]| fanout.subscribe(1, topics, subscribed(&[]), Instant::now());
    assert_eq!(subscribe(most), Ok(()));
    assert_eq!(subscribe(&[last[0].clone(), topic("one more")]), Err(TooMany));
    assert_eq!(subscribe(last), Ok(()));
    assert_eq!(subscribe(&topics), Ok(()), "it has them already");
    assert_eq!(subscribe(&[topic("one more")]), Err(TooMany));
    assert_eq!(fanout.wishes().map(|wishes| wishes.wanted.len()), Some(MAX_SUBSCRIPTIONS));
    assert_eq!(client.told().len(), 3);
}

const SHARDS: usize = 2;
const CLIENTS: usize = 4;
/// One whose values replace each other, one whose values are steps.
const NAMES: [&str; 2] = ["latest", "steps"];

#[derive(Debug, Clone)]
enum Happening {
    Subscribe(usize, usize),
    Unsubscribe(usize, usize),
    Publish(usize),
    /// A message of this shard reaches the hub, or the other way round.
    WishArrives(usize),
    NewsArrive(usize),
    /// A client's turn ends; its socket takes this much.
    Take(usize, usize),
}

fn happening() -> impl Strategy<Value = Happening> {
    let (client, name, shard) = (0..CLIENTS, 0..NAMES.len(), 0..SHARDS);
    prop_oneof![
        3 => (client.clone(), name.clone()).prop_map(|(client, name)| Happening::Subscribe(client, name)),
        1 => (client.clone(), name.clone()).prop_map(|(client, name)| Happening::Unsubscribe(client, name)),
        6 => name.prop_map(Happening::Publish),
        3 => shard.clone().prop_map(Happening::WishArrives),
        4 => shard.prop_map(Happening::NewsArrive),
        4 => (client, prop_oneof![Just(0), 1usize..400]).prop_map(|(client, bytes)| Happening::Take(client, bytes)),
    ]
}

/// A hub, its shards, and the messages between them; clients 0, 2 … live on shard 0, the others on shard 1.
struct World {
    topics: Topics,
    lanes: [Lane; SHARDS],
    fanouts: [Fanout; SHARDS],
    wishes: [Option<Wishes>; SHARDS],
    news: [Option<Vec<Update>>; SHARDS],
    clients: Vec<Client>,
    /// What the source has said of each topic so far.
    said: BTreeMap<&'static str, Vec<u64>>,
    watched: BTreeSet<Topic>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            topics: Topics::default(),
            lanes: Default::default(),
            fanouts: Default::default(),
            wishes: Default::default(),
            news: Default::default(),
            clients: (0..CLIENTS).map(|_| Client::new()).collect(),
            said: NAMES.map(|name| (name, Vec::new())).into(),
            watched: BTreeSet::new(),
        };
        for (number, client) in world.clients.iter().enumerate() {
            world.fanouts[number % SHARDS].enter(number as u64, client.outbox.clone());
        }
        world
    }

    fn publish(&mut self, name: &'static str, is_first: bool) {
        let said = self.said.get_mut(name).expect("a name");
        if !is_first {
            said.push(said.len() as u64);
        }
        let value = match name {
            "steps" if is_first => Value { live: json(said), whole: Some(json(said)) },
            "steps" => Value { live: json(&said.last().into_iter().collect::<Vec<_>>()), whole: Some(json(said)) },
            _ => Value { live: json(&said.len()), whole: None },
        };
        if let Some((update, shards)) = self.topics.publish(&topic(name), value) {
            shards.for_each(|shard| self.lanes[shard].push(update.clone()));
        }
    }

    fn wish_arrives(&mut self, shard: usize) {
        let Some(wishes) = self.wishes[shard].take() else { return };
        for topic in &wishes.unwanted {
            self.lanes[shard].forget(topic);
            if self.topics.unwant(topic, shard) {
                assert!(self.watched.remove(topic), "the source hears of an end once");
            }
        }
        for topic in &wishes.wanted {
            match self.topics.want(topic, shard) {
                Wanted::First => {
                    assert!(self.watched.insert(topic.clone()), "duplicates never reach the source");
                    let name = NAMES.into_iter().find(|name| *name == topic.as_str()).expect("a name");
                    self.publish(name, true);
                }
                Wanted::Known(Some(last)) => self.lanes[shard].push(last),
                Wanted::Known(None) => {}
            }
        }
    }

    /// What may be sent is sent; it arrives later.
    fn send(&mut self) {
        for shard in 0..SHARDS {
            if self.wishes[shard].is_none() {
                self.wishes[shard] = self.fanouts[shard].wishes();
            }
            if let Some(news) = self.lanes[shard].next() {
                self.news[shard] = Some(news);
            }
        }
    }

    fn carry_out(&mut self, happening: &Happening) {
        match *happening {
            Happening::Subscribe(number, name) => {
                let topics = [topic(NAMES[name])];
                let fanout = &mut self.fanouts[number % SHARDS];
                let done = fanout.subscribe(number as u64, &topics, subscribed(&topics), Instant::now());
                done.expect("few topics");
                self.clients[number].topics.extend(topics);
            }
            Happening::Unsubscribe(number, name) => {
                let topics = [topic(NAMES[name])];
                self.fanouts[number % SHARDS].unsubscribe(number as u64, &topics);
                let client = &mut self.clients[number];
                client.topics.remove(&topics[0]);
                // As the pong to a ping that is sent now.
                let fence =
                    json_frame(|out| out.extend_from_slice(format!(r#"{{"fence":"{}"}}"#, NAMES[name]).as_bytes()));
                client.outbox.push(fence, Instant::now());
            }
            Happening::Publish(name) => self.publish(NAMES[name], false),
            Happening::WishArrives(shard) => self.wish_arrives(shard),
            Happening::NewsArrive(shard) => {
                if let Some(news) = self.news[shard].take() {
                    self.fanouts[shard].deliver(news, Instant::now());
                    self.lanes[shard].sent();
                }
            }
            Happening::Take(number, bytes) => {
                self.clients[number].valve.room.set(bytes);
                self.clients[number].outbox.flush();
            }
        }
        self.send();
    }

    fn settle(&mut self) {
        while self.wishes.iter().any(Option::is_some) || self.news.iter().any(Option::is_some) {
            for shard in 0..SHARDS {
                self.carry_out(&Happening::WishArrives(shard));
                self.carry_out(&Happening::NewsArrive(shard));
            }
        }
    }

    /// Reads what a client was told, as a client would.
    fn check(&self, client: &Client) {
        // Of each topic that is subscribed: the number and the value, `None` before the first.
        let mut known: BTreeMap<String, Option<(u64, Json)>> = BTreeMap::new();
        for frame in client.told() {
            if let Some(name) = frame["fence"].as_str() {
                known.remove(name);
                continue;
            }
            if frame["type"] == "subscribed" {
                known.insert(frame["topics"][0].as_str().expect("a topic").to_owned(), None);
                continue;
            }
            let name = frame["topic"].as_str().expect("a topic");
            let (seq, data) = (frame["seq"].as_u64().expect("a number"), &frame["data"]);
            let value = known.get_mut(name);
            if frame["snapshot"] == true {
                let value = value.unwrap_or_else(|| panic!("{name} came after its end: {frame}"));
                assert!(value.as_ref().is_none_or(|(before, _)| *before <= seq), "{frame}");
                *value = Some((seq, data.clone()));
                continue;
            }
            let Some(Some((before, value))) = value else { panic!("nothing comes before a snapshot: {frame}") };
            assert!(*before < seq, "{frame}");
            if name == "steps" {
                assert_eq!(*before + 1, seq, "no step is missed unseen");
                value.as_array_mut().expect("a list").extend(data.as_array().expect("a list").iter().cloned());
            } else {
                *value = data.clone();
            }
            *before = seq;
        }
        let names: BTreeSet<_> = known.keys().map(|name| topic(name)).collect();
        assert_eq!(names, client.topics);
        for (name, value) in known {
            let said = &self.said[name.as_str()];
            let expected = if name == "steps" { serde_json::json!(said) } else { serde_json::json!(said.len()) };
            assert_eq!(value.map(|(_, value)| value), Some(expected), "{name}: the newest arrived");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn h1_h6_whatever_happens_each_subscriber_ends_with_the_newest_value_and_missed_no_step_unseen(
        happenings in prop::collection::vec(happening(), 0..200),
    ) {
        let mut world = World::new();
        for happening in &happenings {
            world.carry_out(happening);
        }
        world.settle();
        for client in &world.clients {
            prop_assert_eq!(client.outbox.cause(), None);
            world.check(client);
        }
        let wanted: BTreeSet<_> = world.clients.iter().flat_map(|client| client.topics.iter().cloned()).collect();
        prop_assert_eq!(&world.watched, &wanted, "the source watches what is wanted and nothing else");
        for number in 0..CLIENTS {
            world.fanouts[number % SHARDS].leave(number as u64);
        }
        world.send();
        world.settle();
        prop_assert!(world.watched.is_empty() && world.topics.is_empty());
    }
}

#[test]
fn h6_a_subscriber_that_never_reads_holds_one_value_of_each_topic_however_much_is_published() {
    let mut world = World::new();
    for name in 0..NAMES.len() {
        world.carry_out(&Happening::Subscribe(0, name));
    }
    world.settle();
    // The socket takes a little, then nothing: from now on the outbox knows.
    world.carry_out(&Happening::Take(0, 5));
    for round in 0..1000 {
        world.carry_out(&Happening::Publish(round % NAMES.len()));
        world.settle();
    }
    let told = world.clients[0].told();
    world.check(&world.clients[0]);
    assert!(told.len() <= 3 * NAMES.len(), "subscribed, the first value, the newest: {}", told.len());
}
