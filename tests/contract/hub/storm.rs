//! Owns the test of an event bus whose server is killed again and again during publications (H1,
//! D1). TEST_SEED repeats a run, as far as the machine lets it.

use std::{collections::BTreeMap, thread, time::Duration};

use serde_json::{Value, json};

use super::yaml::{self, HubServer};
use crate::support::{Client, seed};

const ROUNDS: usize = 6;
const PUBLISHERS: usize = 2;
const TOPICS: [&str; 3] = ["a", "b", "c"];
const BUS: &str = "hubs: { lobby: { provider: bus, publish: [player], flush_interval_ms: 0 } }";

/// What somebody was told: the value behind a topic's number.
type Facts = Vec<(String, u64, Value)>;

fn enter(server: &HubServer) -> Client {
    server.connect("/ws/lobby").welcomed()
}

fn watch(server: &HubServer) -> Client {
    let mut client = enter(server);
    client.send(&json!({"type": "subscribe", "topics": TOPICS}));
    client.until_type("subscribed");
    client
}

/// The number of a `data` or `published` frame, with its topic.
fn number(frame: &Value) -> (String, u64) {
    let topic = frame["topic"].as_str().unwrap_or_else(|| panic!("{frame}"));
    (topic.to_owned(), frame["seq"].as_u64().unwrap_or_else(|| panic!("{frame}")))
}

/// What is seen until the server is gone.
fn read_until_the_end(mut client: Client) -> Facts {
    let mut facts = Vec::new();
    while let Ok(frame) = client.next_of_any_kind() {
        if frame["type"] == "data" {
            let (topic, seq) = number(&frame);
            facts.push((topic, seq, frame["data"].clone()));
        }
    }
    facts
}

/// Publishes values that nobody else publishes, and reads the answers to some of them; what was
/// answered until the server is gone.
fn publish_until_the_end(mut client: Client, name: &str, mut random: fastrand::Rng) -> Facts {
    let (mut facts, mut values) = (Vec::new(), BTreeMap::new());
    for id in 1.. {
        let (topic, value) = (TOPICS[random.usize(..TOPICS.len())], json!(format!("{name}-{id}")));
        values.insert(id, value.clone());
        if !client.try_send(&json!({"type": "publish", "id": id, "topic": topic, "data": value})) {
            break;
        }
        if random.u8(..4) > 0 {
            continue;
        }
        let Ok(answer) = client.next_of_any_kind() else { break };
        if answer["type"] == "published" {
            let (topic, seq) = number(&answer);
            let value = answer["id"].as_u64().and_then(|id| values.get(&id));
            facts.push((topic, seq, value.unwrap_or_else(|| panic!("{answer}")).clone()));
        }
    }
    facts
}

#[test]
fn h1_d1_through_kills_no_number_that_anybody_was_told_is_lost_or_given_to_another_value() {
    let mut random = fastrand::Rng::with_seed(seed());
    let mut server = yaml::start(BUS, &[("MESSAGE_RATE", "1000000"), ("MESSAGE_BURST", "1000000")]);
    let mut known: BTreeMap<(String, u64), Value> = BTreeMap::new();
    for round in 0..ROUNDS {
        let watching = watch(&server);
        let watching = thread::spawn(move || read_until_the_end(watching));
        let publishing: Vec<_> = (0..PUBLISHERS)
            .map(|number| {
                let (client, name, random) = (enter(&server), format!("{round}-{number}"), random.fork());
                thread::spawn(move || publish_until_the_end(client, &name, random))
            })
            .collect();
        // Not a wait for anything: the moment of the kill is the random input.
        thread::sleep(Duration::from_micros(random.u64(1_000..150_000)));
        server.kill();
        let told =
            publishing.into_iter().chain([watching]).flat_map(|one| one.join().expect("it ends with the server"));
        for (topic, seq, value) in told {
            let before = known.insert((topic.clone(), seq), value.clone());
            assert!(
                before.is_none_or(|before| before == value),
                "{topic} {seq} is {value} and was another value before"
            );
        }
        server.restart();
        let lobby = server.get("/api/hubs/lobby").json();
        for topic in TOPICS {
            let newest = known.range((topic.to_owned(), 0)..=(topic.to_owned(), u64::MAX)).next_back();
            let kept = lobby["topic_list"].as_array().and_then(|list| list.iter().find(|line| line["topic"] == topic));
            let kept = kept.and_then(|line| line["seq"].as_u64()).unwrap_or(0);
            assert!(
                newest.is_none_or(|((_, newest), _)| *newest <= kept),
                "{topic}: {kept} is kept, {newest:?} was told"
            );
        }
    }
    eprintln!("{} values were told", known.len());
    assert!(known.len() > ROUNDS, "the kills came before anything was published");
}
