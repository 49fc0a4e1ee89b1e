//! Owns the tests of a back end's events: members get them as any other event, once per idempotency
//! key (section 8).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{BackEnd, SECRET, assert_error, seq, start};
use crate::support::{Server, Witness, assert_agreement, seqs};

#[test]
fn s1_what_the_back_end_appends_has_its_place_among_the_players_messages() {
    let server = start();
    let back_end = BackEnd(&server);
    let mut alice = Witness::join(&server, "/ws/g/alice");
    let mut bob = Witness::join(&server, "/ws/g/bob");
    let appended: Vec<u64> = std::thread::scope(|scope| {
        let appending = scope.spawn(|| (0..50).map(|n| back_end.append("g", &json!({"data": n}))).collect());
        for id in 1..=50 {
            alice.say(id, id);
        }
        appending.join().expect("appended")
    });
    assert!(appended.is_sorted_by(|a, b| a < b), "{appended:?}");
    let last = alice.say(51, "end");
    bob.until(|frame| frame["id"] == 51);
    assert_eq!(last, 1 + 1 + 50 + 50 + 1);
    assert_agreement(&[&alice, &bob]);
    let from_server = bob.events.iter().filter(|event| event["from"] == "@server");
    let told: Vec<_> = from_server.map(|event| (event["seq"].as_u64(), event["data"].as_u64())).collect();
    let expected: Vec<_> = appended.iter().zip(0..).map(|(seq, n)| (Some(*seq), Some(n))).collect();
    assert_eq!(told, expected, "where the answer said, and with what was sent");
    assert_eq!(back_end.get("/api/games/g/events")["events"].as_array().map(Vec::len), Some(103));
}

#[test]
fn e1_the_answer_comes_when_the_event_is_there_for_whoever_asks_next() {
    let server = start();
    let back_end = BackEnd(&server);
    for n in 1..=20 {
        let seq = back_end.append("g", &json!({"patch": {"n": n}}));
        let room = back_end.get("/api/games/g");
        assert_eq!((&room["seq"], &room["state"]["n"]), (&json!(seq), &json!(n)));
        assert_eq!(back_end.get(&format!("/api/games/g/events?after={}", seq - 1))["events"][0]["patch"]["n"], n);
    }
    let alice = Witness::join(&server, "/ws/g/alice");
    assert_eq!(alice.client.welcome["state"], json!({"n": 20}));
}

#[test]
fn s1_a_private_event_of_the_back_end_reaches_only_those_it_names() {
    let server = start();
    let back_end = BackEnd(&server);
    let mut alice = Witness::join(&server, "/ws/g/alice");
    let mut bob = Witness::join(&server, "/ws/g/bob");
    let secret = back_end.append("g", &json!({"data": "for bob", "to": ["bob"]}));
    let nobody = back_end.append("g", &json!({"data": "for nobody", "to": []}));
    let all = back_end.append("g", &json!({"data": "for all"}));
    bob.until(|frame| frame["seq"] == all);
    alice.until(|frame| frame["seq"] == all);
    assert!(
        bob.events
            .iter()
            .any(|event| *event == json!({"type": "message", "seq": secret, "from": "@server", "data": "for bob"}))
    );
    assert!(!seqs(&alice.events).contains(&secret) && !seqs(&bob.events).contains(&nobody));
    let listed = back_end.get(&format!("/api/games/g/events?after={}", secret - 1))["events"].clone();
    assert_eq!(
        (&listed[0]["only"], &listed[1]["only"], &listed[2]["only"]),
        (&json!(["bob"]), &json!([]), &Value::Null)
    );
}

#[test]
fn e1_no_logic_is_asked_for_what_the_back_end_appends() {
    let server = start();
    let back_end = BackEnd(&server);
    let mut alice = Witness::join(&server, "/ws/tic-tac-toe-1/alice");
    let seq = back_end.append("tic-tac-toe-1", &json!({"data": {"no": "move"}}));
    alice.until(|frame| frame["seq"] == seq && frame["from"] == "@server");
    let seq = back_end.append("tic-tac-toe-1", &json!({"patch": {"note": "by the referee"}}));
    assert_eq!(alice.until(|frame| frame["seq"] == seq)["patch"], json!({"note": "by the referee"}));
}

#[test]
fn e1_the_same_key_answers_the_same_seq_and_appends_once_also_across_kill_9() {
    let mut server = Server::start(&[("HTTP_API_SECRET", SECRET), ("RECONNECT_GRACE", "600")]);
    let alice = Witness::join(&server, "/ws/g/alice");
    let first = BackEnd(&server).append_with_key("g", "order-1", &json!({"data": "once"}));
    let other = BackEnd(&server).append_with_key("g", "order-2", &json!({"data": "another"}));
    assert!(other > first);
    for _ in 0..3 {
        assert_eq!(BackEnd(&server).append_with_key("g", "order-1", &json!({"data": "once"})), first);
    }
    // A key is a game's own.
    assert_eq!(BackEnd(&server).append_with_key("h", "order-1", &json!({"data": "elsewhere"})), 1);
    for _ in 0..2 {
        server.kill();
        server.restart();
        let back_end = BackEnd(&server);
        assert_eq!(back_end.append_with_key("g", "order-1", &json!({"data": "once"})), first);
        assert_eq!(back_end.append_with_key("g", "order-2", &json!({"data": "another"})), other);
        let events = back_end.get("/api/games/g/events")["events"].clone();
        let told: Vec<_> =
            events.as_array().expect("a list").iter().filter(|event| event["from"] == "@server").collect();
        assert_eq!(told.len(), 2, "{events}");
    }
    drop(alice);
    assert!(BackEnd(&server).append_with_key("g", "order-3", &json!({"data": "new"})) > other);
}

#[test]
fn e1_keys_survive_in_a_snapshot_and_one_that_was_refused_is_still_new() {
    let mut server = Server::start(&[("HTTP_API_SECRET", SECRET), ("MAX_STATE_BYTES", "1k"), ("HISTORY_EVENTS", "10")]);
    let back_end = BackEnd(&server);
    let refused = json!({"patch": {"a": "x".repeat(2000)}});
    let path = "/api/games/g/events";
    let keyed = [("Idempotency-Key", "the-patch")];
    assert_eq!(back_end.ask("POST", path, Some(&refused), &keyed).status, 413);
    let first = back_end.append_with_key("g", "the-patch", &json!({"patch": {"a": 1}}));
    // A snapshot follows after 64 KiB.
    for _ in 0..20 {
        back_end.append("g", &json!({"data": "x".repeat(8000)}));
    }
    server.kill();
    server.restart();
    assert_eq!(BackEnd(&server).append_with_key("g", "the-patch", &json!({"patch": {"a": 1}})), first);
    assert!(
        BackEnd(&server).get("/api/games/g/events")["first_seq"].as_u64() > Some(first),
        "the event itself is gone"
    );
}

#[test]
fn e1_a_key_that_many_use_at_once_appends_once() {
    let server = start();
    let back_end = BackEnd(&server);
    let told: BTreeSet<u64> = std::thread::scope(|scope| {
        let asked: Vec<_> =
            (0..8).map(|_| scope.spawn(|| back_end.append_with_key("g", "k", &json!({"data": 1})))).collect();
        asked.into_iter().map(|asked| asked.join().expect("an answer")).collect()
    });
    assert_eq!(told, BTreeSet::from([1]));
    assert_eq!(back_end.get("/api/games/g")["seq"], 1);
}

#[test]
fn r6_an_append_keeps_an_empty_room_and_then_it_goes() {
    let server = Server::start(&[("HTTP_API_SECRET", SECRET), ("ROOM_LINGER", "0.2")]);
    let back_end = BackEnd(&server);
    assert_eq!(back_end.append("g", &json!({"data": 1})), 1);
    server.wait_until(|| back_end.ask("GET", "/api/games/g", None, &[]).status == 404, "gone");
    assert_eq!(back_end.append("g", &json!({"data": 1})), 1, "a new room");
}

#[test]
fn e1_a_key_with_another_body_is_422_and_changes_nothing_also_across_kill_9() {
    let mut server = Server::start(&[("HTTP_API_SECRET", SECRET), ("RECONNECT_GRACE", "600")]);
    let alice = Witness::join(&server, "/ws/g/alice");
    let again = |server: &Server, body: &Value| {
        let key = [("Idempotency-Key", "goal-17")];
        BackEnd(server).ask("POST", "/api/games/g/events", Some(body), &key)
    };
    let first = seq(&again(&server, &json!({"data": {"score": 1}})));
    for _ in 0..2 {
        let other =
            [json!({"data": {"score": 2}}), json!({"patch": {"score": 1}}), json!({"data": {"score": 1}, "to": []})];
        for body in other {
            assert_error(&again(&server, &body), 422, "idempotency_mismatch");
        }
        assert_eq!(seq(&again(&server, &json!({"data": {"score": 1}}))), first, "the first body's answer stays");
        let events = BackEnd(&server).get("/api/games/g/events")["events"].clone();
        let told = events.as_array().expect("a list").iter().filter(|event| event["from"] == "@server").count();
        assert_eq!(told, 1, "{events}");
        server.kill();
        server.restart();
    }
    drop(alice);
}

#[test]
fn e1_a_key_that_is_no_text_or_given_twice_is_an_error_and_not_its_absence() {
    let server = start();
    let long = "k".repeat(256);
    for keys in [&["\u{e9}"][..], &[""], &[&long], &["a", "b"], &["a", "a"]] {
        let headers: Vec<_> = keys.iter().map(|key| ("Idempotency-Key", *key)).collect();
        let response = BackEnd(&server).ask("POST", "/api/games/g/events", Some(&json!({"data": 1})), &headers);
        assert_error(&response, 400, "invalid_field");
    }
    assert_eq!(BackEnd(&server).append("g", &json!({"data": 1})), 1, "nothing was appended");
}
