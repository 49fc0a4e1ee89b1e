//! Owns the tests of what a back end ends: a player's seat, an open room, and a stored room
//! (section 8).

use serde_json::{Value, json};

use super::{BackEnd, SECRET, assert_error, seq, start};
use crate::support::{Server, Witness};

#[test]
fn e1_a_kick_is_seen_by_all_ends_the_session_and_closes_with_4010() {
    let server = start();
    let back_end = BackEnd(&server);
    let mut alice = Witness::join(&server, "/ws/g/alice");
    let mut bob = Witness::join(&server, "/ws/g/bob");
    bob.say(5, "x");
    let session = bob.client.session().to_owned();
    let kicked = seq(&back_end.kick("g", "bob"));
    let left = json!({"type": "presence", "seq": kicked, "player": "bob", "status": "left", "reason": "kicked"});
    assert_eq!(alice.until(|frame| frame["seq"] == kicked), left);
    assert_eq!(bob.until(|frame| frame["seq"] == kicked), left, "its own end too");
    assert_eq!(bob.client.ended().0.code, 4010);
    assert_eq!(server.wait_for_end_of("bob")["cause"], "kicked");
    assert_eq!(back_end.get("/api/games/g")["players"].as_object().map(|players| players.len()), Some(1));
    assert_error(&back_end.kick("g", "bob"), 404, "not_found");
    let back = server.connect(&format!("/ws/g/bob?session={session}&seq={kicked}")).welcomed();
    assert_eq!((back.verdict(), &back.welcome["last_id"]), ("new", &json!(0)), "another session");
}

#[test]
fn e1_a_kick_takes_the_seat_of_one_who_is_away_and_lasts_across_kill_9() {
    let mut server = Server::start(&[("HTTP_API_SECRET", SECRET), ("RECONNECT_GRACE", "600")]);
    let mut alice = Witness::join(&server, "/ws/g/alice");
    let bob = Witness::join(&server, "/ws/g/bob").cut();
    alice.until(|frame| frame["status"] == "away");
    let kicked = seq(&BackEnd(&server).kick("g", "bob"));
    alice.until(|frame| frame["seq"] == kicked && frame["reason"] == "kicked");
    server.kill();
    server.restart();
    let back = server.connect(&bob.seat.resume_path()).welcomed();
    assert_eq!((back.verdict(), &back.welcome["reason"]), ("new", &json!("session_expired")));
}

#[test]
fn e1_a_room_that_is_deleted_closes_everybody_with_4004_and_the_next_one_is_new() {
    for durability in ["journal", "memory"] {
        let mut server = Server::start(&[("HTTP_API_SECRET", SECRET), ("DURABILITY", durability)]);
        let back_end = BackEnd(&server);
        let mut alice = Witness::join(&server, "/ws/g/alice");
        let watching = server.connect("/ws/g/bob?spectate=1").welcomed();
        back_end.append_with_key("g", "k", &json!({"patch": {"old": true}}));
        alice.say(1, "x");
        let deleted = back_end.delete("g");
        assert_eq!((deleted.status, deleted.json()), (200, json!({})));
        let seat = alice.client.seat();
        for mut client in [alice.client, watching] {
            let (ended, last) = client.ended();
            assert_eq!((ended.code, &last["code"]), (4004, &json!("no_such_game")));
        }
        assert_error(&back_end.ask("GET", "/api/games/g", None, &[]), 404, "not_found");
        assert_error(&back_end.delete("g"), 404, "not_found");
        assert_eq!(back_end.get("/api/games")["games"], json!([]));
        assert_eq!(back_end.append_with_key("g", "k", &json!({"data": "anew"})), 1, "the key went with the room");
        let back = server.connect(&seat.resume_path()).welcomed();
        assert_eq!((back.verdict(), &back.welcome["reason"]), ("reset", &json!("room_restarted")));
        assert_eq!(back.welcome["state"], json!({}));
        let epoch = back.welcome["epoch"].clone();
        assert_eq!(seq(&back_end.kick("g", "alice")), 3);
        assert_eq!(back_end.delete("g").status, 200);
        server.kill();
        server.restart();
        assert_error(&BackEnd(&server).ask("GET", "/api/games/g", None, &[]), 404, "not_found");
        assert_ne!(Witness::join(&server, "/ws/g/alice").client.welcome["epoch"], epoch);
    }
}

#[test]
fn e1_players_who_join_while_their_room_is_deleted_find_another_one() {
    let server = start();
    let back_end = BackEnd(&server);
    std::thread::scope(|scope| {
        let deleting = scope.spawn(|| (0..50).map(|_| back_end.delete("g").status).collect::<Vec<_>>());
        for n in 0..50 {
            // Welcomed by a room that may end at once, in the contract's words; never left waiting.
            let mut client = server.connect(&format!("/ws/g/player-{n}"));
            let first = client.next_of_any_kind();
            assert!(
                first.as_ref().is_ok_and(|frame| frame["type"] == "welcome" || frame["code"] == "no_such_game"),
                "{first:?}"
            );
        }
        let deleted = deleting.join().expect("deleted");
        assert!(deleted.iter().all(|status| [200, 404].contains(status)), "{deleted:?}");
    });
    assert_eq!(server.metric("innkeeper_room_restarts_total"), 0.0);
    assert!(back_end.append("g", &json!({"data": "still there"})) > 0);
}

#[test]
fn e1_a_room_on_the_disk_that_nobody_opened_is_shown_written_to_and_deleted() {
    let mut server = Server::start(&[("HTTP_API_SECRET", SECRET), ("RECONNECT_GRACE", "600")]);
    let mut epochs = Vec::new();
    for game in ["shown", "read", "written", "kicked", "deleted"] {
        let mut alice = Witness::join(&server, &format!("/ws/{game}/alice"));
        alice.say(1, "before");
        BackEnd(&server).append(game, &json!({"patch": {"kept": game}}));
        epochs.push(alice.client.welcome["epoch"].clone());
        drop(alice);
    }
    server.kill();
    server.restart();
    let back_end = BackEnd(&server);
    assert_eq!(back_end.get("/api/games")["games"], json!([]), "open ones only");
    let shown = back_end.get("/api/games/shown");
    assert_eq!((&shown["epoch"], &shown["state"]), (&epochs[0], &json!({"kept": "shown"})));
    assert_eq!(
        (&shown["players"]["alice"]["status"], &shown["players"]["alice"]["last_id"]),
        (&json!("away"), &json!(1))
    );
    let read = back_end.get("/api/games/read/events")["events"].clone();
    assert_eq!(
        (&read[0]["status"], &read[1]["data"], &read[2]["patch"]),
        (&json!("joined"), &json!("before"), &json!({"kept": "read"}))
    );
    let seq_before = read.as_array().expect("a list").iter().filter_map(|event| event["seq"].as_u64()).max();
    assert!(Some(back_end.append("written", &json!({"data": "after"}))) >= seq_before);
    assert_eq!(back_end.get("/api/games/written")["epoch"], epochs[2]);
    assert_eq!(back_end.kick("kicked", "alice").status, 200);
    assert_eq!(back_end.get("/api/games/kicked")["players"], json!({}));
    assert_eq!(back_end.delete("deleted").status, 200);
    let games: Vec<Value> = back_end.get("/api/games")["games"].as_array().expect("a list").clone();
    let names: Vec<_> = games.iter().map(|game| game["game"].as_str().unwrap_or_default()).collect();
    assert_eq!(names, ["kicked", "read", "shown", "written"]);
    assert_ne!(Witness::join(&server, "/ws/deleted/alice").client.welcome["epoch"], epochs[4]);
}

#[test]
fn e1_the_age_of_a_room_and_the_times_of_its_events_are_those_before_the_restart() {
    let mut server = Server::start(&[("HTTP_API_SECRET", SECRET), ("RECONNECT_GRACE", "600")]);
    let alice = Witness::join(&server, "/ws/g/alice");
    let before = BackEnd(&server).get("/api/games/g/events")["events"][0]["time"].clone();
    drop(alice);
    server.kill();
    let down = std::time::Instant::now();
    server.restart();
    let back_end = BackEnd(&server);
    assert_eq!(back_end.get("/api/games/g/events")["events"][0]["time"], before);
    let since_kill = down.elapsed().as_millis() as u64;
    let age = back_end.get("/api/games/g")["age_ms"].as_u64().expect("an age");
    // The server carries the calendar's clock on by itself for up to a second.
    assert!(age + 5 >= since_kill, "{age} ms, {since_kill} ms after the kill");
}
