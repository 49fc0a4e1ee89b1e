//! Owns a model of a hub, its shards and clients, and the messages between them: in any order of
//! events, each subscriber is sent the truth.

mod check;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use proptest::prelude::*;

use super::*;
use crate::{
    hub::{
        shard_queue::ShardQueue,
        topics::{SourceCommand, TopicLimits, Topics, WatchOutcome},
    },
    ws::Policy,
};

const SHARDS: usize = 2;
const CLIENTS: usize = 4;
/// The values of the first replace each other; those of the second are steps.
const NAMES: [&str; 2] = ["latest", "steps"];
const LINGER: Duration = Duration::from_millis(50);
const INTERVAL: Duration = Duration::from_millis(20);

#[derive(Debug, Clone)]
enum Happening {
    Subscribe(usize, usize),
    Unsubscribe(usize, usize),
    Publish(usize),
    /// Milliseconds pass.
    Pass(u64),
    /// A message of this shard reaches the hub, or a message of the hub reaches this shard.
    WishArrives(usize),
    AnswerArrives(usize),
    NewsArrive(usize),
    /// A client's turn ends; its socket takes this many bytes.
    Take(usize, usize),
    /// The connection to the upstream of `latest` is lost, or is back.
    Lose,
    Recover,
    /// The hub fails, and its next life begins.
    Fail,
}

fn happening() -> impl Strategy<Value = Happening> {
    let (client, name, shard) = (0..CLIENTS, 0..NAMES.len(), 0..SHARDS);
    prop_oneof![
        9 => (client.clone(), name.clone()).prop_map(|(client, name)| Happening::Subscribe(client, name)),
        4 => (client.clone(), name.clone()).prop_map(|(client, name)| Happening::Unsubscribe(client, name)),
        18 => name.prop_map(Happening::Publish),
        8 => prop_oneof![0u64..10, 10u64..60].prop_map(Happening::Pass),
        9 => shard.clone().prop_map(Happening::WishArrives),
        9 => shard.clone().prop_map(Happening::AnswerArrives),
        12 => shard.prop_map(Happening::NewsArrive),
        12 => (client, prop_oneof![Just(0), 1usize..400]).prop_map(|(client, bytes)| Happening::Take(client, bytes)),
        2 => Just(Happening::Lose),
        3 => Just(Happening::Recover),
        1 => Just(Happening::Fail),
    ]
}

/// A hub, its shards, and the messages between them. Clients with even numbers are on shard 0, the
/// others on shard 1.
struct World {
    now: Instant,
    unix_ms: u64,
    life: u64,
    topics: Topics,
    /// `None` until the hub has handled an interest of the shard.
    queues: [Option<ShardQueue>; SHARDS],
    status: FeedStatus,
    fanouts: [Fanout; SHARDS],
    change: [Option<InterestChange>; SHARDS],
    /// The number of an interest that was handled; its reply is on its way.
    answers: [Option<u64>; SHARDS],
    /// Subscriptions that wait for the hub.
    expected: [Option<Topic>; CLIENTS],
    /// Each message with the number of the newest interest that was handled before it.
    events: [VecDeque<(u64, Vec<HubEvent>)>; SHARDS],
    clients: Vec<Client>,
    /// All values of the source so far, whether they arrived or not.
    said: BTreeMap<&'static str, Vec<u64>>,
    /// How often values of `latest` may have been missed so far.
    era: u64,
    /// While the upstream is lost: since when, and which topics have been wanted ever since.
    lost: Option<(u64, BTreeSet<Topic>)>,
    watched: BTreeSet<Topic>,
}

fn topics(life: u64) -> Topics {
    Topics::new(TopicLimits { linger: LINGER, max_topics: 10, keeps: false }, life << 40)
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            now: Instant::now(),
            unix_ms: 1,
            life: 0,
            topics: topics(0),
            queues: Default::default(),
            status: status(FeedState::Live, 0),
            fanouts: [(); SHARDS].map(|()| fanout()),
            change: Default::default(),
            answers: Default::default(),
            expected: Default::default(),
            events: Default::default(),
            clients: (0..CLIENTS).map(|_| Client::new()).collect(),
            said: NAMES.map(|name| (name, Vec::new())).into(),
            era: 0,
            lost: None,
            watched: BTreeSet::new(),
        };
        for (number, client) in world.clients.iter().enumerate() {
            world.fanouts[number % SHARDS].enter(number as u64, client.outbox.clone(), None);
        }
        world.send();
        world
    }

    fn push(&mut self, shard: usize, event: HubEvent) {
        self.queues[shard].as_mut().expect("it asked").push(event);
    }

    fn publish(&mut self, name: &'static str, is_first: bool) {
        let said = self.said.get_mut(name).expect("a name");
        if !is_first {
            said.push(said.len() as u64);
        }
        let json = |value: Json| RawJson::from_serialize(&value);
        let value = match name {
            "steps" if is_first => TopicValue { live: json(json!(said)), whole: Some(json(json!(said))) },
            "steps" => TopicValue { live: json(json!([said.last()])), whole: Some(json(json!(said))) },
            _ => TopicValue { live: json(json!([self.era, said.len()])), whole: None },
        };
        if name == "latest" && self.lost.is_some() {
            return;
        }
        let topic = topic(name);
        let Some((update, shards)) = self.topics.publish(&topic, value) else { return };
        for shard in shards {
            self.queues[shard].as_mut().expect("it asked").push(HubEvent::Update(update.clone()));
        }
    }

    /// Passes the commands to the source.
    fn changes(&mut self) {
        for change in self.topics.changes() {
            match change {
                SourceCommand::Active(_) => {}
                SourceCommand::Evict(..) => unreachable!("there is room for all names"),
                SourceCommand::Watch(topic) => {
                    assert!(self.watched.insert(topic.clone()), "duplicates never reach the source");
                    let name = NAMES.into_iter().find(|name| *name == topic.as_str()).expect("a name");
                    self.publish(name, true);
                }
                SourceCommand::Unwatch(topic) => {
                    assert!(self.watched.remove(&topic), "the source hears of an end once");
                    if let Some((_, missed)) = &mut self.lost {
                        missed.remove(&topic);
                    }
                }
            }
        }
    }

    fn interest_arrives(&mut self, shard: usize) {
        let Some(change) = self.change[shard].take() else { return };
        self.answers[shard] = Some(change.number);
        if self.queues[shard].is_none() {
            self.queues[shard] = Some(ShardQueue::new(INTERVAL));
            self.push(shard, HubEvent::Feed(self.status));
        }
        self.queues[shard].as_mut().expect("it asked").on_interest(change.number, &change.unwanted);
        self.topics.set_clients(shard, change.clients, self.now);
        for topic in &change.unwanted {
            self.topics.unwant(topic, shard, self.now);
        }
        for topic in &change.wanted {
            if let WatchOutcome::Known(Some(last), gap) = self.topics.want(topic, shard) {
                self.push(shard, HubEvent::Last(last));
                if let Some((from, to)) = gap {
                    self.push(shard, HubEvent::Gap(Gap { topics: Arc::new([topic.clone()].into()), from, to }));
                }
            }
        }
    }

    fn send_event(&mut self, event: &HubEvent) {
        self.queues.iter_mut().flatten().for_each(|queue| queue.push(event.clone()));
    }

    fn lose(&mut self) {
        if self.lost.is_none() {
            self.lost =
                Some((self.unix_ms, self.watched.iter().filter(|topic| topic.as_str() == "latest").cloned().collect()));
            self.status = status(FeedState::Down, self.unix_ms);
            self.send_event(&HubEvent::Feed(self.status));
        }
    }

    fn recover(&mut self) {
        let Some((from, topics)) = self.lost.take() else { return };
        self.era += 1;
        self.status = status(FeedState::Live, self.unix_ms);
        self.send_event(&HubEvent::Feed(self.status));
        if !topics.is_empty() {
            self.topics.note_gap(topics.iter(), from, self.unix_ms);
            self.send_event(&HubEvent::Gap(Gap {
                topics: Arc::new(topics.into_iter().collect()),
                from,
                to: self.unix_ms,
            }));
        }
        self.publish("latest", true);
    }

    fn fail(&mut self) {
        self.life += 1;
        self.era += 1;
        self.topics = topics(self.life);
        self.queues = Default::default();
        self.change = Default::default();
        self.watched.clear();
        self.lost = None;
        self.status = status(FeedState::Live, self.unix_ms);
        for events in &mut self.events {
            events.push_back((0, vec![HubEvent::Restarted(self.unix_ms)]));
        }
    }

    fn answer_arrives(&mut self, shard: usize) {
        if let Some(number) = self.answers[shard].take() {
            self.fanouts[shard].on_interest_handled(number, Vec::new(), self.now);
        }
    }

    /// Completes the subscriptions whose interest the hub has handled.
    fn subscribe_expected(&mut self) {
        for (number, expected) in self.expected.iter_mut().enumerate() {
            let Some(topic) = expected else { continue };
            let (fanout, topics) = (&mut self.fanouts[number % SHARDS], [topic.clone()]);
            if fanout.availability(&topics) == Availability::Known {
                fanout.subscribe(number as u64, &topics, subscribed(&topics), self.now);
                fanout.cancel_reservation(&topics);
                self.clients[number].topics.extend(expected.take());
            }
        }
    }

    /// Sends what may be sent; it arrives later.
    fn send(&mut self) {
        self.subscribe_expected();
        self.changes();
        for shard in 0..SHARDS {
            if self.change[shard].is_none() && self.answers[shard].is_none() {
                self.change[shard] = self.fanouts[shard].take_change();
            }
            if let Some(queue) = &mut self.queues[shard]
                && let Some(events) = queue.next(self.now)
            {
                self.events[shard].push_back((queue.handled(), events));
            }
        }
    }

    fn carry_out(&mut self, happening: &Happening) {
        match *happening {
            // Nothing is read from a client whose subscription waits.
            Happening::Subscribe(number, _) | Happening::Unsubscribe(number, _) if self.expected[number].is_some() => {}
            Happening::Subscribe(number, name) => {
                let topic = topic(NAMES[name]);
                let expected = self.fanouts[number % SHARDS].reserve(number as u64, std::slice::from_ref(&topic));
                expected.expect("few topics");
                self.expected[number] = Some(topic);
            }
            Happening::Unsubscribe(number, name) => {
                let topics = [topic(NAMES[name])];
                self.fanouts[number % SHARDS].unsubscribe(number as u64, &topics);
                let client = &mut self.clients[number];
                client.topics.remove(&topics[0]);
                // Acts as the pong to a ping that is sent now.
                let fence =
                    json_frame(|out| out.extend_from_slice(format!(r#"{{"fence":"{}"}}"#, NAMES[name]).as_bytes()));
                client.outbox.queue(fence, Policy::Live, self.now);
            }
            Happening::Publish(name) => self.publish(NAMES[name], false),
            Happening::Pass(ms) => {
                self.now += Duration::from_millis(ms);
                self.unix_ms += ms;
                self.topics.tick(self.now);
            }
            Happening::WishArrives(shard) => self.interest_arrives(shard),
            Happening::AnswerArrives(shard) => self.answer_arrives(shard),
            Happening::NewsArrive(shard) => {
                if let Some((handled, events)) = self.events[shard].pop_front() {
                    for event in events {
                        self.fanouts[shard].on_event(event, handled, self.now, self.unix_ms);
                    }
                    self.queues[shard].iter_mut().for_each(ShardQueue::arrived);
                }
            }
            Happening::Take(number, bytes) => {
                self.clients[number].valve.room.set(bytes);
                self.clients[number].outbox.flush();
            }
            Happening::Lose => self.lose(),
            Happening::Recover => self.recover(),
            Happening::Fail => self.fail(),
        }
        self.send();
    }

    /// Lets all messages arrive.
    fn settle(&mut self) {
        let is_waiting = |queue: &ShardQueue| queue.next_deadline().is_some();
        while self.change.iter().any(Option::is_some)
            || self.answers.iter().any(Option::is_some)
            || self.events.iter().any(|events| !events.is_empty())
            || self.queues.iter().flatten().any(is_waiting)
        {
            self.carry_out(&Happening::Pass(INTERVAL.as_millis() as u64));
            for shard in 0..SHARDS {
                self.carry_out(&Happening::WishArrives(shard));
                self.carry_out(&Happening::AnswerArrives(shard));
                self.carry_out(&Happening::NewsArrive(shard));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn h1_h4_h6_whatever_happens_each_subscriber_ends_with_the_newest_value_and_missed_nothing_unsaid(
        happenings in prop::collection::vec(happening(), 0..250),
    ) {
        let mut world = World::new();
        for happening in &happenings {
            world.carry_out(happening);
        }
        world.settle();
        world.carry_out(&Happening::Recover);
        world.settle();
        for client in &world.clients {
            prop_assert_eq!(client.outbox.cause(), None);
            world.check(client);
        }
        // Topics that are not wanted any more have stopped lingering.
        world.carry_out(&Happening::Pass(LINGER.as_millis() as u64));
        let wanted: BTreeSet<_> = world.clients.iter().flat_map(|client| client.topics.iter().cloned()).collect();
        prop_assert_eq!(&world.watched, &wanted, "the source watches what is wanted and nothing else");
        for number in 0..CLIENTS {
            world.fanouts[number % SHARDS].leave(number as u64);
        }
        world.send();
        world.settle();
        world.carry_out(&Happening::Pass(LINGER.as_millis() as u64));
        prop_assert!(world.watched.is_empty() && world.topics.is_empty());
        prop_assert!(world.topics.next_deadline().is_none());
    }
}

#[test]
fn h6_a_subscriber_that_never_reads_holds_one_value_of_each_topic_however_much_is_published() {
    let mut world = World::new();
    world.settle();
    for name in 0..NAMES.len() {
        world.carry_out(&Happening::Subscribe(0, name));
        world.settle();
    }
    // The socket takes a little, then nothing more: from now on the outbox fills up.
    world.carry_out(&Happening::Take(0, 5));
    for round in 0..1000 {
        world.carry_out(&Happening::Publish(round % NAMES.len()));
        world.settle();
    }
    let told = world.clients[0].received();
    world.check(&world.clients[0]);
    assert!(told.len() <= 3 * NAMES.len(), "subscribed, the first value, the newest: {}", told.len());
}
