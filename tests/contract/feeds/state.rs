//! Owns the tests of the feed's states that subscribers are sent: connecting, live, stale, down
//! (H3).

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{CLOCK_MS, Rig, data, feed, subscribe, subscribe_while, unix_ms, unsubscribe, up_to};
use crate::fakes::Fake;

/// In order, by the calendar's clock, and within this test's time.
fn assert_times(frames: &[Value], since: u64) {
    let times: Vec<_> = frames.iter().map(|frame| frame["since"].as_u64().expect("ms")).collect();
    let range = since.saturating_sub(CLOCK_MS)..=unix_ms();
    assert!(times.is_sorted() && times.iter().all(|time| range.contains(time)), "{range:?}: {frames:?}");
    assert!(frames.iter().all(|frame| frame["attempt"].is_u64()), "{frames:?}");
}

#[test]
fn h3_the_first_client_sees_the_feed_connect_and_come_alive_and_each_change_once() {
    let rig = Rig::start();
    rig.fake.set(|massive| massive.answers_auth = false);
    let begun = unix_ms();
    let mut client = rig.client();
    rig.fake.wait("the key", |desk| (!desk.frames.is_empty()).then_some(()));
    client.send(&json!({"type": "subscribe", "topics": ["T.O:A"]}));
    let mut told = vec![client.next(), client.next()];
    rig.wait_for_health("connecting", |health| health["feedState"] == "connecting");
    assert!(client.drain().is_empty());
    assert_eq!(rig.fake.look(|desk| desk.topics().len()), 0, "not before the key is accepted");
    rig.fake.say(&json!([{"ev": "status", "status": "auth_success", "message": "authenticated"}]));
    told.push(client.next());
    let answer = told.iter().position(|frame| frame["type"] == "subscribed").expect("an answer");
    assert_eq!(told.remove(answer)["feed"], json!({"state": "connecting"}));
    let states: Vec<_> = told.iter().map(|frame| (&frame["type"], &frame["state"], &frame["attempt"])).collect();
    let (kind, none) = (&json!("feed"), &json!(0));
    assert_eq!(states, [(kind, &json!("connecting"), none), (kind, &json!("live"), none)]);
    assert_times(&told, begun);
    // One who comes later is told in the answer; nothing has changed since.
    let mut late = rig.client();
    subscribe_while(&mut late, &["T.O:A"], "live");
    assert!(late.drain().is_empty() && client.drain().is_empty());
}

#[test]
fn h3_silence_makes_the_feed_stale_for_everybody_and_the_next_value_alive_again() {
    let rig = Rig::with(&["stale_after_ms: 200"], &[]);
    let mut client = rig.client();
    subscribe(&mut client, &["T.O:A"]);
    let mut idle = rig.client();
    for n in 1..=3 {
        let stale = feed(&mut client, "stale");
        feed(&mut idle, "stale");
        rig.wait_for_health("stale", |health| health["feedState"] == "stale");
        let mut late = rig.client();
        subscribe_while(&mut late, &["T.O:A"], "stale");
        let published = unix_ms();
        rig.fake.publish("T.O:A", json!({"n": n}));
        let live = feed(&mut client, "live");
        assert_times(&[stale, live.clone()], 1);
        assert_times(&[live], published);
        assert_eq!(data(&mut client, "T.O:A")["data"]["n"], n, "first the news of the feed, then its value");
        feed(&mut idle, "live");
        feed(&mut late, "live");
    }
    assert_eq!(rig.fake.look(|desk| (desk.ever, desk.now())), (1, 1), "silence alone costs no connection");
    assert_eq!(rig.server.get("/api/ws-health").status, 200);
}

#[test]
fn h3_silence_is_counted_from_what_was_heard_last_and_is_none_where_nothing_is_subscribed() {
    let rig = Rig::with(&["stale_after_ms: 400"], &[]);
    let mut client = rig.subscriber(&["T.O:A"]);
    let mut heard = Instant::now();
    for n in 1..=5 {
        heard = Instant::now();
        rig.fake.publish("T.O:A", json!({"n": n}));
        data(&mut client, "T.O:A");
    }
    feed(&mut client, "stale");
    assert!(heard.elapsed() >= Duration::from_millis(400), "after {:?}", heard.elapsed());
    unsubscribe(&mut client, &["T.O:A"]);
    rig.fake.wait_for_topics(&[]);
    // With nothing to wait for it is not stale any more, and does not become so.
    feed(&mut client, "live");
    let since = Instant::now();
    while since.elapsed() < Duration::from_millis(800) {
        let told = client.drain();
        assert!(told.is_empty(), "{told:?}");
    }
}

#[test]
fn h3_clients_stay_while_the_upstream_is_down_and_see_each_attempt() {
    let mut rig = Rig::with(&["backoff: { base_ms: 2, max_ms: 20, stable_after_ms: 600000 }"], &[]);
    let begun = unix_ms();
    let mut clients = [rig.subscriber(&["T.O:A"]), rig.subscriber(&["T.O:A"]), rig.client()];
    rig.fake.publish("T.O:A", json!({"n": 1}));
    clients[..2].iter_mut().for_each(|client| drop(data(client, "T.O:A")));
    clients.iter_mut().for_each(|client| drop(client.drain()));
    rig.fake.down();
    let mut told = Vec::new();
    while told.last().is_none_or(|frame: &Value| frame["attempt"].as_u64() < Some(5)) {
        let frame = clients[0].next();
        assert_eq!(frame["type"], "feed", "{frame}");
        assert!(frame["state"] == "down" || frame["state"] == "connecting", "{frame}");
        told.push(frame);
    }
    assert_eq!((&told[0]["state"], &told[0]["attempt"]), (&json!("down"), &json!(1)), "{told:?}");
    assert!(told.is_sorted_by_key(|frame| frame["attempt"].as_u64()), "{told:?}");
    assert_times(&told, begun);
    assert!(told.windows(2).all(|pair| pair[0] != pair[1]), "each change once: {told:?}");
    rig.wait_for_health("its attempts", |health| health["reconnectAttempts"].as_u64() >= Some(5));
    rig.wait_for_health("no connection", |health| health["upstreamConnections"] == 0);
    // Who comes now is told so, and of what was known before.
    let mut late = rig.client();
    let state = subscribe(&mut late, &["T.O:A"]);
    assert!(state == "down" || state == "connecting", "{state}");
    let known = late.until_type("data");
    assert_eq!((&known["data"]["n"], &known["snapshot"]), (&json!(1), &json!(true)), "{known}");
    rig.fake.up();
    for client in clients.iter_mut().chain([&mut late]) {
        feed(client, "live");
        client.drain();
    }
    rig.fake.wait_for_topics(&["T.O:A"]);
    rig.fake.publish("T.O:A", json!({"n": 2}));
    for client in &mut clients[..2] {
        assert_eq!(data(client, "T.O:A")["data"]["n"], 2);
    }
    rig.fake.assert_tidy();
}

/// The upstream behaves like this from the start; then as it should.
fn comes_alive_after(keys: &[&str], trouble: impl FnOnce(&Rig), relief: impl FnOnce(&Rig)) {
    let rig = Rig::with(keys, &[]);
    trouble(&rig);
    let mut client = rig.client();
    subscribe(&mut client, &["T.O:A"]);
    let told = client.until(|frame| frame["type"] == "feed" && frame["attempt"].as_u64() >= Some(3));
    assert_ne!(told["state"], "live", "{told}");
    relief(&rig);
    feed(&mut client, "live");
    rig.fake.wait_for_topics(&["T.O:A"]);
    rig.fake.publish("T.O:A", json!({"n": 1}));
    // Nothing was missed, because nothing was there before.
    let frames = up_to(&mut client, "T.O:A", 1);
    assert!(frames.iter().all(|frame| frame["type"] != "gap"), "{frames:?}");
    rig.fake.assert_tidy();
}

#[test]
fn h3_a_handshake_that_is_refused_is_tried_again() {
    for status in [401, 403, 429, 500, 503] {
        comes_alive_after(&[], |rig| rig.fake.refuse(status), |rig| rig.fake.admit());
    }
}

#[test]
fn h3_a_handshake_that_is_never_answered_is_given_up() {
    comes_alive_after(
        &["connect_timeout_ms: 500"],
        |rig| rig.fake.answer_nobody(),
        |rig| {
            rig.fake.admit();
        },
    );
}

#[test]
fn h3_a_key_that_is_never_answered_is_given_up() {
    let auth = r#"auth: { send: '{"action":"auth","params":"${MASSIVE_API_KEY}"}', success: { /status: auth_success }, timeout_ms: 500 }"#;
    let answers = |yes: bool| move |rig: &Rig| rig.fake.set(|massive| massive.answers_auth = yes);
    comes_alive_after(&[auth], answers(false), answers(true));
}

#[test]
fn h3_an_upstream_that_never_says_that_it_is_ready_is_given_up() {
    let auth = r#"auth: { send: '{"action":"auth","params":"${MASSIVE_API_KEY}"}', success: { /status: auth_success }, timeout_ms: 500 }"#;
    let greets = |yes: bool| move |rig: &Rig| rig.fake.set(|massive| massive.greets = yes);
    comes_alive_after(&[auth, "connect_timeout_ms: 500"], greets(false), greets(true));
}

#[test]
fn h3_an_upstream_whose_frame_is_too_long_is_given_up_and_tried_again() {
    let rig = Rig::with(&["max_message_bytes: 4096"], &[]);
    let mut client = rig.subscriber(&["T.O:A"]);
    for ever in 2..4 {
        rig.fake.publish("T.O:A", json!({"n": ever, "pad": "x".repeat(4096)}));
        feed(&mut client, "down");
        rig.fake.wait_for_ever(ever);
        rig.fake.wait_for_topics(&["T.O:A"]);
        rig.fake.publish("T.O:A", json!({"n": 100 + ever, "pad": "x".repeat(3800)}));
        let frames = up_to(&mut client, "T.O:A", 100 + ever as u64);
        assert!(frames.iter().all(|frame| frame["data"]["n"] != ever), "{frames:?}");
    }
    assert_eq!(rig.fake.look(|desk| desk.most), 1);
}

#[test]
fn h3_an_upstream_that_stops_answering_with_its_socket_open_is_given_up_and_tried_again() {
    let heartbeat = "heartbeat: { interval_ms: 50, timeout_ms: 2500 }";
    let rig = Rig::with(&[heartbeat], &[]);
    let mut client = rig.subscriber(&["T.O:A"]);
    // Silent, but it answers pings: nothing is wrong with it.
    let pings = rig.fake.look(|desk| desk.pings);
    rig.fake.wait("pings", |desk| (desk.pings >= pings + 60).then_some(()));
    assert_eq!(rig.fake.look(|desk| desk.ever), 1);
    for (ever, stall) in (2..).zip([Fake::mute, Fake::freeze]) {
        stall(&rig.fake);
        feed(&mut client, "down");
        feed(&mut client, "live");
        rig.fake.wait_for_ever(ever);
        rig.fake.wait("the topic", |desk| {
            desk.links.values().any(|link| link.peer.topics.contains("T.O:A") && !link.frozen).then_some(())
        });
    }
    rig.fake.publish("T.O:A", json!({"n": 1}));
    data(&mut client, "T.O:A");
}

#[test]
fn h3_the_upstreams_own_pings_are_answered() {
    let rig = Rig::start();
    let _client = rig.subscriber(&["T.O:A"]);
    for pongs in 1..=20 {
        rig.fake.ping("are you there");
        rig.fake.wait("a pong", |desk| (desk.pongs >= pongs).then_some(()));
    }
}
