//! Owns the tests of reconnects to the upstream: backoff, cool-downs, and wrong keys (H5).

use std::time::{Duration, Instant};

use serde_json::json;

use super::{COOL_DOWN, KEY, Rig, data, feed, subscribe, subscribe_while, up_to};
use crate::fakes::{Eviction, Fake, Massive};

/// So short that what is waited for can only be a pause of another kind.
const HASTY: &str = "backoff: { base_ms: 1, max_ms: 5, stable_after_ms: 600000 }";

const PAUSE: Duration = Duration::from_millis(700);

/// When the newest handshake came, once there have been so many.
fn attempt(fake: &Fake<Massive>, count: usize) -> Instant {
    fake.wait(&format!("attempt {count}"), |desk| desk.attempts.get(count - 1).copied())
}

#[test]
fn h5_attempts_are_counted_through_connections_that_do_not_last() {
    let rig = Rig::start();
    let mut client = rig.subscriber(&["T.O:A"]);
    for failures in 1..=6 {
        rig.fake.cut();
        let down = feed(&mut client, "down");
        assert_eq!(down["attempt"], failures, "{down}");
        let live = feed(&mut client, "live");
        assert_eq!(live["attempt"], failures, "it was live for a moment only: {live}");
        rig.fake.wait_for_topics(&["T.O:A"]);
    }
    rig.wait_for_health("six attempts", |health| health["reconnectAttempts"] == 6);
    rig.fake.assert_tidy();
}

#[test]
fn h5_the_count_begins_anew_when_a_connection_has_been_stable() {
    let rig = Rig::with(&["backoff: { base_ms: 1, max_ms: 5, stable_after_ms: 300 }"], &[]);
    let mut client = rig.subscriber(&["T.O:A"]);
    rig.fake.refuse(503);
    rig.fake.cut();
    client.until(|frame| frame["type"] == "feed" && frame["attempt"].as_u64() >= Some(4));
    rig.fake.admit();
    rig.fake.wait_for_ever(2);
    // Nothing happens on this connection, and that is enough.
    rig.wait_for_health("a fresh count", |health| health["reconnectAttempts"] == 0);
    let opened = rig.fake.look(|desk| desk.links.values().next().expect("it lives").opened);
    assert!(opened.elapsed() >= Duration::from_millis(300), "after {:?}", opened.elapsed());
    client.drain();
    rig.fake.cut();
    assert_eq!(feed(&mut client, "down")["attempt"], 1);
}

#[test]
fn h5_pauses_are_drawn_at_random_below_a_bound_that_doubles_up_to_the_longest() {
    let rig = Rig::with(&["backoff: { base_ms: 5, max_ms: 60, stable_after_ms: 600000 }"], &[]);
    rig.fake.refuse(503);
    let _client = rig.client();
    attempt(&rig.fake, 32);
    let log = rig.server.log_text();
    let number = |text: &str| -> u64 { text.split(' ').next().and_then(|text| text.parse().ok()).expect("a number") };
    let lines = log.lines().filter_map(|line| line.split_once("next connection in "));
    let pauses: Vec<_> =
        lines.map(|(_, rest)| (number(rest), number(rest.split_once("after ").expect("so many").1))).collect();
    assert!(pauses.len() >= 31 && pauses.iter().zip(1..).all(|((_, failures), n)| *failures == n), "{pauses:?}");
    let bound = |failures: u64| (5 << (failures - 1).min(10)).min(60);
    assert!(pauses.iter().all(|(ms, failures)| *ms <= bound(*failures)), "{pauses:?}");
    // Of more than twenty draws from 0 to 60 ms.
    let late = || pauses.iter().skip(5).map(|(ms, _)| *ms);
    assert!(late().any(|ms| ms < 30) && late().any(|ms| ms > 30), "no jitter: {pauses:?}");
}

#[test]
fn h5_the_newcomer_that_is_turned_out_after_it_subscribed_waits_for_its_cool_down() {
    let rig = Rig::with(&[HASTY, COOL_DOWN], &[]);
    rig.fake.set(|massive| massive.eviction = Eviction::Newcomer);
    let mut client = rig.client();
    subscribe(&mut client, &["T.O:A"]);
    // It was live, and had subscribed; then it was told, each time.
    for ever in 1..=2 {
        let next = attempt(&rig.fake, ever + 1);
        let evicted = rig.fake.look(|desk| {
            let heard = &desk.frames[2 * (ever - 1)..2 * ever];
            assert!(heard[0].2["action"] == "auth" && heard[1].2["action"] == "subscribe", "{heard:?}");
            heard[1].1
        });
        assert!(next - evicted >= PAUSE, "{:?}", next - evicted);
    }
    assert_eq!(feed(&mut client, "down")["attempt"], 1);
    assert_eq!(feed(&mut client, "down")["attempt"], 2);
    rig.fake.set(|massive| massive.eviction = Eviction::Nobody);
    rig.fake.wait_for_topics(&["T.O:A"]);
    rig.fake.publish("T.O:A", json!({"n": 1}));
    data(&mut client, "T.O:A");
    rig.fake.assert_tidy();
}

#[test]
fn h5_who_was_there_first_and_is_turned_out_by_another_waits_for_its_cool_down_too() {
    let rig = Rig::with(&[HASTY, COOL_DOWN], &[]);
    let mut client = rig.subscriber(&["T.O:A"]);
    rig.fake.publish("T.O:A", json!({"n": 1}));
    data(&mut client, "T.O:A");
    let evicted = Instant::now();
    rig.fake.each(|massive, peer| massive.evict(peer));
    let down = feed(&mut client, "down");
    assert_eq!(down["attempt"], 1, "{down}");
    let next = attempt(&rig.fake, 2);
    assert!(next - evicted >= PAUSE, "{:?}", next - evicted);
    rig.fake.wait_for_topics(&["T.O:A"]);
    rig.fake.publish("T.O:A", json!({"n": 2}));
    let frames = up_to(&mut client, "T.O:A", 2);
    assert_eq!(super::of_type(&frames, "gap").len(), 1, "{frames:?}");
    rig.fake.assert_tidy();
}

#[test]
fn h5_the_close_code_1008_alone_means_a_cool_down_which_nobody_escapes_by_coming_again() {
    // It must not be over before somebody comes.
    let pause = Duration::from_millis(3000);
    let rig = Rig::with(&[HASTY, "cool_down: { codes: [1008], pause_ms: 3000 }"], &[]);
    let mut client = rig.subscriber(&["T.O:A"]);
    let evicted = Instant::now();
    rig.fake.close(1008, "");
    feed(&mut client, "down");
    // Everybody goes, and somebody comes.
    client.close();
    rig.wait_for_health("nobody is there", |health| health["feedState"] == "disconnected");
    let mut client = rig.client();
    subscribe_while(&mut client, &["T.O:B"], "down");
    let next = attempt(&rig.fake, 2);
    assert!(next - evicted >= pause, "{:?}", next - evicted);
    rig.fake.wait_for_topics(&["T.O:B"]);
}

#[test]
fn h5_a_wrong_key_is_not_tried_over_and_over_and_the_log_and_health_say_so() {
    let rig = Rig::with(&[HASTY, "fatal_retry_ms: 1000"], &[]);
    rig.fake.set(|massive| massive.key = "another-key-0123456789abcdef".to_owned());
    let mut client = rig.client();
    let told = client.until(|frame| frame["type"] == "feed" && frame["state"] == "down");
    assert_eq!(told["attempt"], 1, "{told}");
    rig.wait_for_health("down", |health| health["feedState"] == "down");
    let health = rig.server.get("/api/ws-health");
    // Unless the second attempt has begun by now.
    if rig.fake.look(|desk| desk.attempts.len()) == 1 {
        assert_eq!((health.status, &health.json()["healthy"]), (503, &json!(false)), "{health:?}");
    }
    let second = attempt(&rig.fake, 2);
    let refused = rig.fake.look(|desk| desk.frames[0].1);
    assert!(second - refused >= Duration::from_millis(1000), "{:?}", second - refused);
    rig.server.wait_for_log(|line| line["message"].as_str().is_some_and(|text| text.contains("auth_failed")));
    // The key is put right: no restart is needed.
    rig.fake.set(|massive| massive.key = KEY.to_owned());
    feed(&mut client, "live");
    rig.server.wait_until(|| rig.server.get("/api/ws-health").status == 200, "healthy again");
}

#[test]
fn h5_an_auth_timeout_is_no_refusal_and_is_tried_again() {
    let rig = Rig::with(&[HASTY, COOL_DOWN], &[]);
    rig.fake.set(|massive| massive.answers_auth = false);
    let mut client = rig.client();
    rig.fake.wait("the key", |desk| (!desk.frames.is_empty()).then_some(()));
    rig.fake.set(|massive| massive.answers_auth = true);
    rig.fake.each(|massive, peer| massive.time_out(peer));
    feed(&mut client, "down");
    feed(&mut client, "live");
    rig.fake.assert_tidy();
}
