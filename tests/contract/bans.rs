//! Owns the tests of bans (S13).

use serde_json::{Value, json};

use crate::support::{DataDir, Response, Server, assert_ended};

const SECRET: &str = "an-api-secret-of-the-tests-0123456789";

fn kick(server: &Server, body: Value) -> Response {
    let bearer = format!("Bearer {SECRET}");
    server.request("POST", "/api/games/g/kick", &[("Authorization", &bearer)], Some(&body.to_string()))
}

fn ban(server: &Server, player: &str, seconds: f64) -> Response {
    kick(server, json!({"player": player, "ban_s": seconds}))
}

#[test]
fn s13_a_banned_player_is_thrown_out_and_kept_out_until_the_ban_ends_or_is_lifted() {
    let server = Server::start(&[("HTTP_API_SECRET", SECRET)]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    let bob = server.connect("/ws/g/bob").welcomed();
    assert_eq!(ban(&server, "bob", 600.0).json(), json!({"seq": 3}));
    alice.until_type("presence");
    assert_eq!(alice.next(), json!({"type":"presence","seq":3,"player":"bob","status":"left","reason":"kicked"}));
    let way_back = format!("/ws/g/bob?session={}&seq=2", bob.session());
    assert_ended(bob, 4010, "banned");
    for path in ["/ws/g/bob", "/ws/g/bob?spectate=1", &way_back] {
        assert_ended(server.connect(path), 4010, "banned");
    }
    let _elsewhere = server.connect("/ws/other/bob").welcomed();
    // Without a seat, and without a room.
    let answer = ban(&server, "carol", 600.0);
    assert_eq!((answer.status, answer.json()), (200, json!({"seq": null})));
    assert_ended(server.connect("/ws/g/carol"), 4010, "banned");
    assert_eq!(ban(&server, "bob", 0.0).json(), json!({"seq": null}));
    let _bob = server.connect("/ws/g/bob").welcomed();
    // Lifting throws nobody out, and a short ban ends by itself.
    assert_eq!(ban(&server, "bob", 0.0).json(), json!({"seq": null}));
    assert_eq!(ban(&server, "carol", 1.0).status, 200);
    server.wait_until(
        || server.connect("/ws/g/carol").next_of_any_kind().is_ok_and(|frame| frame["type"] == "welcome"),
        "the end of the ban",
    );
    assert_eq!(alice.drain().iter().filter(|frame| frame["status"] == "left").count(), 0);
}

#[test]
fn s13_a_kick_without_a_ban_is_as_it_was_and_what_is_no_ban_is_refused() {
    let server = Server::start(&[("HTTP_API_SECRET", SECRET)]);
    let bob = server.connect("/ws/g/bob").welcomed();
    for wrong in [json!(86_401), json!(-1), json!(1.5), json!("600")] {
        let refused = kick(&server, json!({"player": "bob", "ban_s": wrong}));
        assert_eq!((refused.status, &refused.json()["error"]["code"]), (400, &json!("invalid_field")), "{wrong}");
    }
    assert_eq!(kick(&server, json!({"player": "bob", "ban_s": null})).json(), json!({"seq": 2}));
    let (ended, last) = { bob }.ended();
    assert_eq!((ended.code, ended.reason.as_str(), &last["reason"]), (4010, "kicked", &json!("kicked")));
    let _bob = server.connect("/ws/g/bob").welcomed();
    assert_eq!(kick(&server, json!({"player": "nobody"})).status, 404);
    assert_eq!(ban(&server, "nobody", 86_400.0).status, 200);
}

#[test]
fn s13_a_ban_needs_no_room_and_holds_across_restarts_and_sweeps_and_keeps_the_rooms_log() {
    let data = DataDir::new();
    let settings =
        [("DATA_DIR", data.path()), ("HTTP_API_SECRET", SECRET), ("RECONNECT_GRACE", "0.1"), ("ROOM_LINGER", "0.1")];
    let mut server = Server::start(&settings);
    let _other = server.connect("/ws/swept/a").welcomed();
    assert_eq!(ban(&server, "bob", 600.0).status, 200);
    let epoch = server.connect("/ws/g/alice").welcomed().welcome["epoch"].clone();
    for round in 0..2 {
        server.kill();
        server.restart();
        server.wait_until(|| server.metric("innkeeper_rooms") >= 1.0, "the room with the ban opens by itself");
        if round == 0 {
            server.wait_for_log(|line| line["message"] == "removed rooms that nobody came back to");
        }
        assert_ended(server.connect("/ws/g/bob"), 4010, "banned");
        let alice = server.connect("/ws/g/alice").welcomed();
        assert_eq!(alice.welcome["epoch"], epoch, "the log was kept");
        drop(alice);
    }
    // With the last ban the room goes as it always did.
    assert_eq!(ban(&server, "bob", 0.0).status, 200);
    server.wait_for_metric("innkeeper_rooms", 0.0);
    assert_ne!(server.connect("/ws/g/bob").welcomed().welcome["epoch"], epoch);
}
