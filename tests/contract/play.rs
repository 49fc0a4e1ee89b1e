//! Owns the tests of the main job: players meet in a room and play (P4, S1, S2, 3.1, 3.2).
//! Run by `cargo test --test contract`.

use crate::support::Server;
use serde_json::json;

#[test]
fn p4_a_player_is_welcomed_and_a_ping_gets_its_pong() {
    let server = Server::start(&[]);
    let mut alice = server.connect("/ws/test-game/test-player").welcomed();
    assert_eq!(alice.welcome["protocol"], 1);
    assert_eq!(alice.welcome["resume"], "new");
    alice.send(&json!({"type": "ping"}));
    let pong = alice.next();
    assert_eq!((&pong["type"], pong.get("nonce")), (&json!("pong"), None));
    alice.send(&json!({"type": "ping", "nonce": {"a": [1, null]}}));
    assert_eq!(alice.next()["nonce"], json!({"a": [1, null]}));
}

#[test]
fn s1_everybody_sees_everything_in_one_order_the_sender_too() {
    let server = Server::start(&[]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    let mut bob = server.connect("/ws/g/bob").welcomed();
    assert_eq!(bob.welcome["players"], json!({"alice": "joined", "bob": "joined"}));
    assert_eq!(alice.next(), json!({"type": "presence", "seq": 2, "player": "bob", "status": "joined"}));
    alice.send(&json!({"type": "send", "id": 7, "data": {"x": 1}}));
    let message = json!({"type": "message", "seq": 3, "from": "alice", "id": 7, "data": {"x": 1}});
    assert_eq!(alice.next(), message);
    assert_eq!(bob.next(), message);
}
