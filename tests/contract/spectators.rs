//! Owns the tests of spectators: what they see, what they may do, and how they join and leave
//! (S10).

use crate::support::{Client, Server, token, unix_secs};
use serde_json::{Value, json};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn spectator_sees_only_what_is_public(server: &Server, mut alice: Client, mut watcher: Client) {
    assert_eq!(watcher.welcome["role"], "spectator");
    assert_eq!(watcher.welcome["players"], json!({"alice": "joined"}), "holds no seat");
    assert_eq!(watcher.welcome["state"], json!({}));
    alice.send(&json!({"type": "send", "id": 1, "data": "secret", "to": ["bob", "watcher"]}));
    alice.send(&json!({"type": "send", "id": 2, "data": "public"}));
    alice.send(&json!({"type": "patch", "id": 3, "patch": {"a": 1}}));
    alice.send(&json!({"type": "send", "volatile": "v", "data": 1, "to": ["watcher"]}));
    alice.send(&json!({"type": "send", "volatile": "v", "data": 2}));
    assert_eq!(alice.drain().len(), 5, "no presence of the spectator among them");
    let seen = watcher.drain();
    let seqs: Vec<&Value> = seen.iter().map(|frame| &frame["seq"]).collect();
    assert_eq!(seqs, [&json!(3), &json!(4), &json!(null)], "{seen:?}");
    assert_eq!(seen[2]["data"], 2);
    watcher.cut();
    server.wait_for_event("WS_CONNECTION_CLOSED");
    assert!(alice.drain().is_empty(), "no presence of its end either");
}

#[test]
fn s10_in_development_mode_a_spectator_sees_what_is_addressed_to_everyone_and_appears_nowhere() {
    let server = Server::start(&[]);
    let alice = server.connect("/ws/g/alice").welcomed();
    let watcher = server.connect("/ws/g/watcher?spectate=1").welcomed();
    spectator_sees_only_what_is_public(&server, alice, watcher);
}

#[test]
fn s10_the_role_in_a_token_makes_a_spectator_and_the_query_does_not() {
    let server = Server::start(&[("JWT_SECRET", SECRET)]);
    let token = |name: &str, role: &str| token(SECRET, &json!({"sub": name, "exp": unix_secs(600), "role": role}));
    let alice = server.connect(&format!("/ws/g/alice?token={}&spectate=1", token("alice", "player"))).welcomed();
    assert_eq!((&alice.welcome["role"], &alice.welcome["players"]), (&json!("player"), &json!({"alice": "joined"})));
    let mut watcher = server.connect("/ws/g/watcher");
    watcher.send(&json!({"type": "auth", "token": token("watcher", "spectator")}));
    spectator_sees_only_what_is_public(&server, alice, watcher.welcomed());
}

#[test]
fn s10_a_spectator_may_ping_and_leave_and_everything_else_is_forbidden() {
    let server = Server::start(&[]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    let mut watcher = server.connect("/ws/g/watcher?spectate=1").welcomed();
    for frame in [
        json!({"type": "send", "id": 1, "data": 1}),
        json!({"type": "send", "volatile": "v", "data": 1}),
        json!({"type": "patch", "id": 2, "patch": {"a": 1}}),
    ] {
        watcher.send(&frame);
        let error = watcher.next();
        assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("forbidden")), "{frame}");
        assert_eq!(error.get("id"), frame.get("id"), "{frame}");
    }
    watcher.send(&json!({"type": "pong"}));
    watcher.send(&json!({"type": "auth", "token": "not needed here"}));
    assert!(watcher.drain().is_empty());
    assert!(alice.drain().is_empty(), "nothing of it reached the room");
    watcher.send(&json!({"type": "leave"}));
    assert_eq!(watcher.ended().0.code, 1000);
    assert!(alice.drain().is_empty());
}

#[test]
fn s10_a_spectator_resumes_like_a_player_and_private_events_stay_gaps() {
    let server = Server::start(&[]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    let mut watcher = server.connect("/ws/g/watcher?spectate=1").welcomed();
    alice.send(&json!({"type": "send", "data": "seen"}));
    assert_eq!(watcher.next()["seq"], 2);
    let path = format!("/ws/g/watcher?spectate=1&session={}&seq=2", watcher.session());
    watcher.cut();
    alice.send(&json!({"type": "send", "data": "missed"}));
    alice.send(&json!({"type": "send", "data": "private", "to": ["watcher"]}));
    alice.send(&json!({"type": "send", "data": "missed too"}));
    alice.drain();
    let mut watcher = server.connect(&path).welcomed();
    assert_eq!((&watcher.welcome["resume"], watcher.welcome.get("state")), (&json!("continuous"), None));
    alice.send(&json!({"type": "send", "data": "live"}));
    let seqs: Vec<Value> = (0..3).map(|_| watcher.next()["seq"].clone()).collect();
    assert_eq!(seqs, [json!(3), json!(5), json!(6)]);
    assert!(watcher.drain().is_empty());
}

#[test]
fn s10_any_number_may_watch_under_one_name_beside_the_player_of_that_name() {
    let server = Server::start(&[]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    let mut watchers: Vec<Client> = (0..3).map(|_| server.connect("/ws/g/alice?spectate=1").welcomed()).collect();
    alice.send(&json!({"type": "send", "data": 1}));
    assert_eq!(alice.next()["seq"], 2);
    for watcher in &mut watchers {
        assert_eq!(watcher.next()["seq"], 2);
    }
}

#[test]
fn r6_a_spectator_keeps_a_room_and_the_last_one_to_go_lets_it_end() {
    let server = Server::start(&[("ROOM_LINGER", "0"), ("RECONNECT_GRACE", "0")]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    let mut leaves = server.connect("/ws/g/watcher?spectate=1").welcomed();
    let mut cut = server.connect("/ws/g/watcher?spectate=1").welcomed();
    alice.send(&json!({"type": "leave"}));
    assert_eq!(cut.until_type("presence")["status"], "left");
    leaves.send(&json!({"type": "leave"}));
    assert_eq!(leaves.ended().0.code, 1000);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    assert_eq!(alice.welcome["epoch"], cut.welcome["epoch"], "one still watches");
    alice.send(&json!({"type": "leave"}));
    alice.ended();
    cut.cut();
    server.wait_for_metric("innkeeper_rooms", 0.0);
}
