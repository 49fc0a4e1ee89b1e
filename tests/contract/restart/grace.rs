//! Owns the tests of absent players across a restart: whose grace continues and whose begins (R4).

use std::time::{Duration, Instant};

use crate::support::{Server, Witness};
use serde_json::json;

const GRACE: Duration = Duration::from_secs(6);

#[test]
fn r4_the_grace_of_the_absent_goes_on_after_a_restart_and_that_of_the_connected_begins() {
    let grace = GRACE.as_secs().to_string();
    let mut server = Server::start(&[("RECONNECT_GRACE", &grace), ("WS_PING_INTERVAL", "0.2")]);
    let mut carol = Witness::join(&server, "/ws/g/carol");
    // Neither order of names nor of joining puts the absent first.
    let here = ["alice", "bart", "cleo"].map(|name| Witness::join(&server, &format!("/ws/g/{name}")));
    let absent = ["xia", "yve", "zoe"].map(|name| Witness::join(&server, &format!("/ws/g/{name}")).cut());
    for name in ["xia", "yve", "zoe"] {
        carol.until(|frame| frame["player"] == name && frame["status"] == "away");
    }
    // Pings are the clock: some of the grace of the absent is over.
    let mut pings = 0;
    while pings < 3 {
        pings += u32::from(carol.try_next().expect("a frame")["type"] == "ping");
    }
    let epoch = carol.client.welcome["epoch"].clone();
    server.kill();
    let carol = carol.orphaned();
    let restarted = Instant::now();
    server.restart();
    let mut carol = carol.resume_without_loss(&server, &epoch);
    let mut left = Vec::new();
    while left.len() < 6 {
        let frame = carol.until(|frame| frame["status"] == "left");
        assert_eq!(frame["reason"], "timeout", "{frame}");
        left.push(frame["player"].as_str().expect("a player").to_owned());
        if left.len() == 4 {
            assert!(restarted.elapsed() >= GRACE, "{:?} after the restart: {left:?}", restarted.elapsed());
        }
    }
    left[..3].sort_unstable();
    left[3..].sort_unstable();
    assert_eq!(left, ["xia", "yve", "zoe", "alice", "bart", "cleo"]);
    assert_eq!(carol.client.welcome["grace_ms"], json!(GRACE.as_millis()));
    for seat in absent.map(|absent| absent.seat).into_iter().chain(here.map(|here| here.orphaned().seat)) {
        let late = server.resume(&seat);
        assert_eq!((late.verdict(), &late.welcome["reason"]), ("new", &json!("session_expired")));
    }
}

#[test]
fn r4_an_absence_survives_a_restart_and_ends_once() {
    let mut server = Server::start(&[]);
    let mut alice = Witness::join(&server, "/ws/g/alice");
    let bob = Witness::join(&server, "/ws/g/bob").cut();
    alice.until(|frame| frame["player"] == "bob" && frame["status"] == "away");
    let epoch = alice.client.welcome["epoch"].clone();
    server.kill();
    let alice = alice.orphaned();
    server.restart();
    let mut alice = alice.resume_without_loss(&server, &epoch);
    assert_eq!(alice.client.welcome["players"], json!({"alice": "joined", "bob": "away"}));
    let missed = alice.drain();
    assert_eq!(super::statuses(&missed, "alice"), ["away", "back"]);
    assert!(super::statuses(&missed, "bob").is_empty(), "bob was away already: {missed:?}");
    let bob = bob.resume_without_loss(&server, &epoch);
    assert_eq!(bob.client.welcome["players"], json!({"alice": "joined", "bob": "joined"}));
    alice.until(|frame| frame["player"] == "bob" && frame["status"] == "back");
}
