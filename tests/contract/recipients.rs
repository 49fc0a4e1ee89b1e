//! Owns the tests of `to` (S1a): it names members, at most 500, and what is kept of it is counted.

use crate::support::{Client, Server};
use serde_json::{Value, json};

const OPERATOR: [(&str, &str); 1] = [("HTTP_API_SECRET", "0123456789abcdef0123456789abcdef")];
const KEY: [(&str, &str); 1] = [("Authorization", "Bearer 0123456789abcdef0123456789abcdef")];

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("nobody-{n}")).collect()
}

fn code(client: &mut Client) -> Value {
    client.until_type("error")["code"].clone()
}

fn only(server: &Server, seq: u64) -> Value {
    let page = server.get_with(&format!("/api/games/g/events?after={}&limit=1", seq - 1), &KEY).json();
    assert_eq!(page["events"][0]["seq"], seq, "{page}");
    page["events"][0]["only"].clone()
}

#[test]
fn s1a_to_names_members_each_once_and_names_of_nobody_are_dropped() {
    let server = Server::start(&OPERATOR);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    let mut bob = server.connect("/ws/g/bob").welcomed();
    let mut carol = server.connect("/ws/g/carol").welcomed();
    alice.send(&json!({"type": "send", "id": 1, "data": "x", "to": ["nobody", "bob", "bob", "alice"]}));
    let message = bob.until_type("message");
    assert_eq!(bob.drain(), Vec::<Value>::new(), "once");
    assert_eq!(alice.until_type("message"), message);
    assert_eq!(only(&server, message["seq"].as_u64().expect("a seq")), json!(["alice", "bob"]));
    alice.send(&json!({"type": "send", "id": 2, "data": "to nobody", "to": ["nobody"]}));
    let message = alice.until_type("message");
    assert_eq!(only(&server, message["seq"].as_u64().expect("a seq")), json!(["alice"]));
    assert!(carol.drain().iter().all(|frame| frame["type"] == "presence"));
}

#[test]
fn s1a_more_than_500_names_are_refused_wherever_they_come_from() {
    let server = Server::start(&OPERATOR);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    alice.send(&json!({"type": "send", "id": 1, "data": 1, "to": names(501)}));
    assert_eq!(code(&mut alice), "invalid_field");
    alice.send(&json!({"type": "send", "volatile": "v", "data": 1, "to": names(501)}));
    assert_eq!(code(&mut alice), "invalid_field");
    let post = |names: Vec<String>| {
        let body = json!({"data": 1, "to": names}).to_string();
        server.request("POST", "/api/games/g/events", &KEY, Some(&body))
    };
    let refused = post(names(501));
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (400, &json!("invalid_field")));
    assert_eq!(post(names(500)).status, 200);
    alice.send(&json!({"type": "send", "id": 1, "data": 1, "to": names(500)}));
    assert_eq!(alice.until_type("message")["id"], 1);
}

#[test]
fn s1a_a_volatile_message_reaches_the_members_it_names_and_no_other() {
    let server = Server::start(&[]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    let mut bob = server.connect("/ws/g/bob").welcomed();
    let mut carol = server.connect("/ws/g/carol").welcomed();
    alice.send(&json!({"type": "send", "volatile": "v", "data": 1, "to": ["bob", "nobody", "bob"]}));
    assert_eq!(bob.until_type("message")["data"], 1);
    assert_eq!(alice.until_type("message")["data"], 1);
    assert!(carol.drain().iter().all(|frame| frame["type"] == "presence"));
}

/// 300 events to 200 members: the names weigh more than everything else.
#[test]
fn s1a_the_names_that_a_history_keeps_count_towards_its_bound() {
    let server = Server::start(&[
        OPERATOR[0],
        ("MAX_CONNECTIONS_PER_IP", "1000"),
        ("RATE_LIMIT_MAX_REQUESTS", "10000"),
        ("MESSAGE_BURST", "1000"),
        ("BYTE_BURST", "64m"),
        ("HISTORY_BYTES", "256k"),
    ]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    let members: Vec<String> = (0..200).map(|n| format!("member-{n}-{}", "x".repeat(40))).collect();
    let seats: Vec<Client> =
        members.iter().map(|member| server.connect(&format!("/ws/g/{member}")).welcomed()).collect();
    for id in 1..=300 {
        alice.send(&json!({"type": "send", "id": id, "data": 0, "to": members}));
    }
    alice.until(|frame| frame["id"] == 300);
    let room = server.get_with("/api/games/g", &KEY).json();
    let kept = room["events_kept"].as_u64().expect("a number");
    assert!((1..=30).contains(&kept), "an event takes 200 names of 50 characters: {kept} are kept");
    drop(seats);
}
