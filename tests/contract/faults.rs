//! Owns the tests of a store that fails while the server runs: no false answer, no loss, and a
//! recovery (D5). `tests/programs/faulty_store.rs` is the server whose store fails on command.

use std::fs;

use serde_json::json;

use crate::support::{Server, Witness};

fn start() -> Server {
    Server::start_example("faulty_store", &[("SHARDS", "1"), ("RECONNECT_GRACE", "600")])
}

/// And waits until it is known.
pub fn mend_store(server: &Server) {
    server.mend_store();
    server.wait_for_metric("innkeeper_store_failing", 0.0);
}

#[test]
fn d5_while_the_store_fails_messages_are_refused_and_what_needs_no_store_works() {
    let server = start();
    let mut alice = Witness::join(&server, "/ws/g/alice");
    let mut bob = Witness::join(&server, "/ws/g/bob");
    alice.say(1, "before");
    bob.until(|frame| frame["id"] == 1);
    server.break_store();
    alice.client.send(&json!({"type": "send", "id": 2, "data": "caught by the failure"}));
    server.wait_for_metric("innkeeper_store_failing", 1.0);
    server.wait_for_log(|line| line["level"] == "error" && line["error"] == "the disk is full");
    alice.client.send(&json!({"type": "send", "id": 3, "data": "refused"}));
    let refused = alice.client.until_type("error");
    assert_eq!((&refused["code"], &refused["id"]), (&json!("unavailable"), &json!(3)));
    alice.client.send(&json!({"type": "patch", "id": 3, "patch": {"refused": true}}));
    assert_eq!(alice.client.until_type("error")["code"], "unavailable");
    alice.client.send(&json!({"type": "ping", "nonce": "still there"}));
    assert_eq!(alice.client.next()["nonce"], "still there");
    alice.client.send(&json!({"type": "send", "volatile": "cursor", "data": [1, 2]}));
    let seen = bob.client.next();
    assert_eq!((&seen["volatile"], &seen["data"]), (&json!("cursor"), &json!([1, 2])), "nobody saw what is not stored");
    let (ended, last) = server.connect("/ws/g/carol").ended();
    assert_eq!((ended.code, &last["code"]), (1013, &json!("unavailable")));
    assert_eq!(server.connect("/ws/another-room/carol").ended().0.code, 1013);
    assert_eq!(server.get("/health").status, 200, "restarting it would not help");

    mend_store(&server);
    for witness in [&mut alice, &mut bob] {
        assert_eq!(witness.until(|frame| frame["id"] == 2)["data"], "caught by the failure");
    }
    alice.say(3, "refused then, sent again now");
    assert_eq!(bob.until(|frame| frame["id"] == 3)["data"], "refused then, sent again now");
    Witness::join(&server, "/ws/g/carol").say(1, "hello");
    server.wait_for_log(|line| line["message"] == "the store works again");
}

#[test]
fn d5_players_who_drop_while_the_store_fails_keep_their_seats_and_come_back_to_everything() {
    let server = start();
    let mut alice = Witness::join(&server, "/ws/g/alice");
    let mut bob = Witness::join(&server, "/ws/g/bob");
    let epoch = alice.client.welcome["epoch"].clone();
    bob.say(1, "hello");
    alice.until(|frame| frame["id"] == 1);
    server.break_store();
    alice.client.send(&json!({"type": "send", "id": 1, "data": "caught by the failure"}));
    server.wait_for_metric("innkeeper_store_failing", 1.0);
    let alice = alice.cut();
    server.wait_for_end_of("alice");
    mend_store(&server);
    assert_eq!(bob.until(|frame| frame["from"] == "alice")["data"], "caught by the failure");
    assert_eq!(bob.until(|frame| frame["player"] == "alice")["status"], "away");
    let mut alice = alice.resume_without_loss(&server, &epoch);
    assert_eq!(alice.client.welcome["last_id"], 1);
    let missed = alice.drain();
    assert_eq!(missed[0]["data"], "caught by the failure");
    alice.say(2, "and on");
}

#[test]
fn d5_a_kill_while_the_store_fails_loses_only_what_nobody_has_seen() {
    let mut server = start();
    let mut alice = Witness::join(&server, "/ws/g/alice");
    let mut bob = Witness::join(&server, "/ws/g/bob");
    let epoch = alice.client.welcome["epoch"].clone();
    alice.say(1, "stored");
    bob.until(|frame| frame["id"] == 1);
    server.break_store();
    alice.client.send(&json!({"type": "send", "id": 2, "data": "caught by the failure"}));
    server.wait_for_metric("innkeeper_store_failing", 1.0);
    server.kill();
    let (alice, bob) = (alice.orphaned(), bob.orphaned());
    assert!(bob.events.iter().all(|event| event["id"] != 2), "S3: {:?}", bob.events);
    server.mend_store();
    server.restart();
    let mut alice = alice.resume_without_loss(&server, &epoch);
    assert_eq!(alice.client.welcome["last_id"], 1, "it was never applied, so it is to be sent again");
    alice.say(2, "sent again");
    let mut bob = bob.resume_without_loss(&server, &epoch);
    assert_eq!(bob.until(|frame| frame["id"] == 2)["data"], "sent again");
}

#[test]
fn d5_a_server_whose_store_fails_still_stops_in_time_and_in_order() {
    let mut server = start();
    let mut alice = Witness::join(&server, "/ws/g/alice");
    server.break_store();
    alice.client.send(&json!({"type": "send", "id": 1, "data": "caught by the failure"}));
    server.wait_for_metric("innkeeper_store_failing", 1.0);
    server.signal("TERM");
    let (ended, last) = alice.client.ended();
    assert_eq!((ended.code, &last["type"]), (1012, &json!("going_away")));
    assert_eq!(server.wait().code(), Some(0));
}

/// How many groups were stored, and how many batches in them.
fn stored(server: &Server) -> (f64, f64) {
    (server.metric("innkeeper_store_group_seconds_count"), server.metric("innkeeper_store_batches_total"))
}

#[test]
fn d3_what_all_rooms_write_while_one_group_is_in_flight_is_stored_with_the_next_one() {
    const ROOMS: usize = 20;
    let settings = [("SHARDS", "2"), ("RECONNECT_GRACE", "600")];
    let server = Server::start_example("faulty_store", &settings);
    let mut rooms: Vec<_> = (0..ROOMS)
        .map(|room| {
            let leaver = Witness::join(&server, &format!("/ws/room-{room}/leaver-{room}"));
            let mut other = Witness::join(&server, &format!("/ws/room-{room}/other"));
            other.say(1, "hello");
            (leaver, other)
        })
        .collect();
    server.break_store();
    rooms[0].1.client.send(&json!({"type": "send", "id": 2, "data": "in flight"}));
    server.wait_for_metric("innkeeper_store_failing", 1.0);
    let (groups, batches) = stored(&server);
    let mut others = Vec::new();
    for (room, (leaver, mut other)) in rooms.into_iter().enumerate() {
        leaver.cut();
        server.wait_for_end_of(&format!("leaver-{room}"));
        // The room has heard of it: what it decided waits for the group in flight, and yet it goes
        // on.
        other.client.send(&json!({"type": "ping", "nonce": room}));
        assert_eq!(other.client.until_type("pong")["nonce"], room);
        others.push(other);
    }
    mend_store(&server);
    for other in &mut others {
        assert_eq!(other.until(|frame| frame["status"] == "away")["type"], "presence");
    }
    let (groups, batches) = (stored(&server).0 - groups, stored(&server).1 - batches);
    assert_eq!((groups, batches), (2.0, 1.0 + ROOMS as f64));
}

#[test]
fn r3_a_store_that_is_deleted_under_a_running_server_is_noticed_and_its_rooms_begin_anew() {
    let server = Server::start(&[("SHARDS", "1")]);
    let mut alice = Witness::join(&server, "/ws/g/alice");
    let epoch = alice.client.welcome["epoch"].clone();
    alice.say(1, "stored where nobody will find it");
    for name in server.data().files().iter().filter(|name| name.starts_with("innkeeper.db")) {
        fs::remove_file(server.data().file(name)).expect("a file");
    }
    let says = |line: &serde_json::Value, what| line["message"].as_str().is_some_and(|message| message.contains(what));
    server.wait_for_log(|line| line["level"] == "warn" && says(line, "deleted"));
    // The next thing that is to be stored does not fit what is there now: nothing of it is shown.
    alice.client.send(&json!({"type": "send", "id": 2, "data": "into the void"}));
    let (ended, last) = alice.client.ended();
    assert_eq!((ended.code, &last["code"]), (1011, &json!("room_failed")), "{last}");
    let mut alice = alice.orphaned().resume(&server);
    let welcome = &alice.client.welcome;
    assert_eq!((&welcome["resume"], &welcome["last_id"]), (&json!("reset"), &json!(0)), "{welcome}");
    assert_ne!(welcome["epoch"], epoch);
    alice.say(1, "stored again");
}
