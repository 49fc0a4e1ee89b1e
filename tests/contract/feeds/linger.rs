//! Owns the tests of subscriptions at the upstream, and of when they end (H2).

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Rig, data, subscribe, unsubscribe, up_to};

/// No test lasts as long.
const LONG: &str = "linger_ms: 600000";

#[test]
fn h2_the_upstream_is_opened_by_the_first_client_and_shared_by_ten() {
    let rig = Rig::start();
    assert_eq!(rig.fake.look(|desk| desk.attempts.len()), 0, "nobody is there");
    let mut clients: Vec<_> = (0..10).map(|_| rig.subscriber(&["T.O:A"])).collect();
    let expected = [("totalClients", 10), ("topics", 1), ("upstreamConnections", 1), ("reconnectAttempts", 0)];
    rig.wait_for_health("ten of one", |health| {
        health["feedState"] == "live" && expected.iter().all(|(name, value)| health[*name] == *value)
    });
    rig.fake.publish("T.O:A", json!({"n": 1}));
    let frames: Vec<_> = clients.iter_mut().map(|client| data(client, "T.O:A")).collect();
    assert!(frames.windows(2).all(|pair| pair[0] == pair[1]), "{frames:?}");
    assert_eq!(rig.fake.look(|desk| (desk.ever, desk.frames_with("\"subscribe\"").len())), (1, 1));
    rig.fake.assert_tidy();
}

#[test]
fn h2_a_client_without_topics_opens_the_upstream_too() {
    let rig = Rig::start();
    let _client = rig.client();
    rig.fake.wait("the key", |desk| (desk.frames_with("auth").len() == 1).then_some(()));
    rig.fake.wait_for_connections(1);
    assert_eq!(rig.fake.look(|desk| desk.frames.len()), 1);
}

#[test]
fn h2_only_the_first_subscriber_of_a_topic_subscribes_upstream_and_only_the_last_one_unsubscribes() {
    let rig = Rig::start();
    let (mut a, mut b) = (rig.subscriber(&["T.O:A", "T.O:B"]), rig.subscriber(&["T.O:B", "T.O:C"]));
    rig.fake.wait_for_topics(&["T.O:A", "T.O:B", "T.O:C"]);
    unsubscribe(&mut a, &["T.O:B", "T.O:B", "T.O:X"]);
    unsubscribe(&mut b, &["T.O:C"]);
    rig.fake.wait_for_topics(&["T.O:A", "T.O:B"]);
    a.close();
    rig.fake.wait_for_topics(&["T.O:B"]);
    rig.fake.publish("T.O:B", json!({"n": 1}));
    assert_eq!(data(&mut b, "T.O:B")["data"]["n"], 1);
    unsubscribe(&mut b, &["T.O:B"]);
    rig.fake.wait_for_topics(&[]);
    let unsubscribed = rig.fake.look(|desk| desk.frames_with("unsubscribe").join(" "));
    for topic in ["T.O:A", "T.O:B", "T.O:C"] {
        assert_eq!(unsubscribed.matches(topic).count(), 1, "{unsubscribed}");
    }
    assert_eq!(rig.fake.look(|desk| desk.now()), 1, "somebody is still there");
    rig.fake.assert_tidy();
}

#[test]
fn h2_nothing_is_unsubscribed_before_the_linger_is_over() {
    let rig = Rig::with(&["linger_ms: 300"], &[]);
    let mut client = rig.subscriber(&["T.O:A"]);
    let left = Instant::now();
    unsubscribe(&mut client, &["T.O:A"]);
    rig.fake.wait_for_topics(&[]);
    assert!(left.elapsed() >= Duration::from_millis(300), "after {:?}", left.elapsed());
    let left = Instant::now();
    drop(client.cut());
    rig.fake.wait_for_connections(0);
    assert!(left.elapsed() >= Duration::from_millis(300), "after {:?}", left.elapsed());
}

#[test]
fn h2_who_comes_back_within_the_linger_finds_everything_as_it_was_and_the_upstream_notices_nothing() {
    let rig = Rig::with(&[LONG], &[]);
    let mut client = rig.subscriber(&["T.O:A"]);
    rig.fake.publish("T.O:A", json!({"n": 1}));
    data(&mut client, "T.O:A");
    for n in 1..6 {
        if n % 2 == 0 {
            unsubscribe(&mut client, &["T.O:A"]);
            client.drain();
        } else {
            client.close();
            rig.wait_for_health("nobody is there", |health| health["totalClients"] == 0);
            client = rig.client();
        }
        // What is known stays known, and what is new meanwhile is heard.
        rig.fake.publish("T.O:A", json!({"n": n + 1}));
        subscribe(&mut client, &["T.O:A"]);
        up_to(&mut client, "T.O:A", n + 1);
    }
    assert_eq!(rig.fake.look(|desk| (desk.ever, desk.frames.len())), (1, 2), "the key and one subscription");
}

#[test]
fn h2_the_last_clients_leaving_closes_the_upstream_connection_however_it_leaves() {
    let rig = Rig::start();
    for round in 1..=4 {
        let mut client = rig.subscriber(&["T.O:A"]);
        let other = rig.client();
        assert_eq!(rig.fake.look(|desk| (desk.ever, desk.now())), (round, 1));
        match round {
            1 => client.close(),
            2 => drop(client.cut()),
            3 => {
                unsubscribe(&mut client, &["T.O:A"]);
                client.close();
            }
            _ => drop(client),
        }
        other.close();
        rig.fake.wait_for_connections(0);
        rig.fake.wait("a close", |desk| (desk.closes.len() == round).then_some(()));
        assert_eq!(rig.fake.look(|desk| desk.closes[round - 1]), 1000, "as it should be done");
        rig.wait_for_health("disconnected", |health| {
            health["feedState"] == "disconnected" && health["upstreamConnections"] == 0 && health["topics"] == 0
        });
    }
    rig.fake.assert_tidy();
}

#[test]
fn h2_many_topics_go_in_few_frames_and_never_faster_than_the_upstream_allows() {
    const EACH: usize = 5;
    let rig = Rig::with(&["batch: 5", "messages_per_second: 20", "max_topics: 5000"], &[]);
    let mut client = rig.subscriber(&["T.O:first"]);
    let names: Vec<_> = (0..300).map(|n| format!("T.O:{n}")).collect();
    let begun = Instant::now();
    // One frame of a client may name them all.
    subscribe(&mut client, &names.iter().map(String::as_str).collect::<Vec<_>>());
    rig.fake.wait("all topics", |desk| (desk.topics().len() == names.len() + 1).then_some(()));
    let took = begun.elapsed();
    let frames = rig.fake.look(|desk| desk.frames_with("\"subscribe\""));
    for frame in &frames {
        assert!(frame.matches("T.O:").count() <= EACH, "{frame}");
    }
    // One for `first`, and those that a bucket of one second may hold.
    let least = names.len() / EACH;
    assert!(frames.len() > least && frames.len() <= least + 3, "{} frames", frames.len());
    let earned = (took.as_secs_f64() * 20.0) as usize + 20 + 1;
    assert!(frames.len() <= earned, "{} frames in {took:?}", frames.len());
    rig.fake.assert_tidy();
}

#[test]
fn h2_a_hub_has_only_so_many_topics_and_a_subscriber_too() {
    let rig = Rig::with(&["max_topics: 5", "max_topics_per_client: 3"], &[]);
    let (mut a, mut b) = (rig.subscriber(&["T.O:A", "T.O:B", "T.O:C"]), rig.client());
    a.send(&json!({"type": "subscribe", "topics": ["T.O:D"]}));
    let error = a.until_type("error");
    assert_eq!(error["code"], "too_many_topics", "{error}");
    // What others have costs nothing; of what is new, there is room for two.
    subscribe(&mut b, &["T.O:A"]);
    for topic in ["T.O:D", "T.O:E"] {
        subscribe(&mut b, &[topic]);
        rig.fake.wait(topic, |desk| desk.topics().contains(topic).then_some(()));
    }
    // With values, all of them stay.
    for topic in ["T.O:A", "T.O:B", "T.O:C", "T.O:D", "T.O:E"] {
        rig.fake.publish(topic, json!({"n": 1}));
    }
    for topic in ["T.O:D", "T.O:E"] {
        data(&mut b, topic);
    }
    data(&mut a, "T.O:C");
    unsubscribe(&mut b, &["T.O:A"]);
    b.send(&json!({"type": "subscribe", "topics": ["T.O:F"]}));
    let error = b.until_type("error");
    assert_eq!(error["code"], "too_many_topics", "{error}");
    assert!(error["message"].as_str().is_some_and(|message| message.contains("T.O:F")), "{error}");
    // A place that is given back is free.
    unsubscribe(&mut a, &["T.O:B"]);
    rig.fake.wait_for_topics(&["T.O:A", "T.O:C", "T.O:D", "T.O:E"]);
    subscribe(&mut b, &["T.O:F"]);
    rig.fake.wait_for_topics(&["T.O:A", "T.O:C", "T.O:D", "T.O:E", "T.O:F"]);
    rig.fake.assert_tidy();
}

#[test]
fn h2_what_the_account_has_not_paid_for_is_silent_and_harms_nothing_else() {
    let rig = Rig::start();
    rig.fake.set(|massive| massive.unpaid = vec!["Q.".into()]);
    let mut client = rig.client();
    subscribe(&mut client, &["Q.O:A", "T.O:A"]);
    rig.fake.wait_for_topics(&["T.O:A"]);
    rig.fake.publish("T.O:A", json!({"n": 1}));
    assert_eq!(data(&mut client, "T.O:A")["data"]["n"], 1);
    assert_eq!(rig.health()["feedState"], "live");
    assert_eq!(rig.fake.look(|desk| desk.ever), 1);
}
