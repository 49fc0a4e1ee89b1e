//! Owns the tests of presence: which changes members are sent, and the count in a crowd (3.2, R4,
//! R6, S9).

use std::time::Instant;

use crate::support::{Client, Server};
use serde_json::{Value, json};

#[test]
fn r4_a_dropped_player_is_away_then_back_and_the_map_of_players_says_so() {
    let server = Server::start(&[]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    let bob = server.connect("/ws/g/bob").welcomed();
    let path = format!("/ws/g/bob?session={}&seq=2", bob.session());
    bob.cut();
    alice.next();
    assert_eq!(alice.next(), json!({"type": "presence", "seq": 3, "player": "bob", "status": "away"}));
    let carol = server.connect("/ws/g/carol").welcomed();
    assert_eq!(carol.welcome["players"], json!({"alice": "joined", "bob": "away", "carol": "joined"}));
    server.connect(&path).welcomed();
    assert_eq!(alice.next()["player"], "carol");
    assert_eq!(alice.next(), json!({"type": "presence", "seq": 5, "player": "bob", "status": "back"}));
}

#[test]
fn r4_when_the_grace_is_over_the_player_has_left_for_timeout_and_the_seat_is_gone() {
    let server = Server::start(&[("RECONNECT_GRACE", "0.2")]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    assert_eq!(alice.welcome["grace_ms"], 200);
    let bob = server.connect("/ws/g/bob").welcomed();
    let path = format!("/ws/g/bob?session={}&seq=2", bob.session());
    bob.cut();
    let left = alice.until(|frame| frame["status"] == "left");
    assert_eq!(left, json!({"type": "presence", "seq": 4, "player": "bob", "status": "left", "reason": "timeout"}));
    let bob = server.connect(&path).welcomed();
    assert_eq!((&bob.welcome["resume"], &bob.welcome["reason"]), (&json!("new"), &json!("session_expired")));
    assert_eq!(bob.welcome["last_id"], 0);
}

#[test]
fn r4_a_close_frame_is_a_dropped_connection_too_only_leave_gives_the_seat_up() {
    let server = Server::start(&[]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    server.connect("/ws/g/bob").welcomed().close();
    assert_eq!(alice.until(|frame| frame["status"] != "joined")["status"], "away");
}

#[test]
fn r4_a_player_who_comes_back_in_time_does_not_time_out_for_the_earlier_absence() {
    let server = Server::start(&[("RECONNECT_GRACE", "3")]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    let bob = server.connect("/ws/g/bob").welcomed();
    let path = format!("/ws/g/bob?session={}&seq=2", bob.session());
    bob.cut();
    alice.until(|frame| frame["status"] == "away");
    let mut bob = server.connect(&path).welcomed();
    assert_eq!(bob.welcome["resume"], "continuous");
    alice.until(|frame| frame["status"] == "back");
    // Carol's absence begins after bob's: when her grace is over, so would be his.
    server.connect("/ws/g/carol").welcomed().cut();
    let left = alice.until(|frame| frame["status"] == "left");
    assert_eq!(left["player"], "carol");
    bob.send(&json!({"type": "send", "data": 1}));
    assert_eq!(alice.next()["from"], "bob");
}

#[test]
fn r6_a_room_without_seats_is_disposed_of_after_its_linger_and_the_next_one_is_new() {
    let server = Server::start(&[("ROOM_LINGER", "0.1"), ("RECONNECT_GRACE", "0.1")]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    alice.send(&json!({"type": "patch", "patch": {"a": 1}}));
    alice.next();
    let epoch = alice.welcome["epoch"].clone();
    server.wait_for_metric("innkeeper_rooms", 1.0);
    alice.cut();
    server.wait_for_metric("innkeeper_rooms", 0.0);
    server.wait_for_metric("innkeeper_sessions", 0.0);
    let alice = server.connect("/ws/g/alice").welcomed();
    assert_ne!(alice.welcome["epoch"], epoch);
    assert_eq!((&alice.welcome["seq"], &alice.welcome["state"]), (&json!(1), &json!({})));
}

#[test]
fn r6_a_room_with_a_seat_in_it_is_kept_however_short_its_linger() {
    let server = Server::start(&[("ROOM_LINGER", "0")]);
    let alice = server.connect("/ws/g/alice").welcomed();
    let (session, epoch) = (alice.session().to_owned(), alice.welcome["epoch"].clone());
    alice.cut();
    server.wait_for_event("WS_CONNECTION_CLOSED");
    let alice = server.connect(&format!("/ws/g/alice?session={session}&seq=1")).welcomed();
    assert_eq!((&alice.welcome["resume"], &alice.welcome["epoch"]), (&json!("continuous"), &epoch));
}

#[test]
fn r6_players_who_come_while_their_room_ends_find_another_one() {
    let server = Server::start(&[("ROOM_LINGER", "0"), ("RECONNECT_GRACE", "0"), ("SHARDS", "1")]);
    std::thread::scope(|scope| {
        for name in ["alice", "bob", "carol"] {
            let server = &server;
            scope.spawn(move || {
                for _ in 0..100 {
                    let mut player = server.connect(&format!("/ws/g/{name}")).welcomed();
                    player.send(&json!({"type": "leave"}));
                    assert_eq!(player.ended().0.code, 1000);
                }
            });
        }
    });
    server.wait_for_metric("innkeeper_rooms", 0.0);
    assert_eq!(server.metric("innkeeper_room_restarts_total"), 0.0);
}

/// Joins players until the room has `seats`; they stay as long as the vector.
fn crowd(server: &Server, from: usize, seats: usize) -> Vec<Client> {
    (from..seats).map(|n| server.connect(&format!("/ws/g/p{n}")).welcomed()).collect()
}

#[test]
fn s9_a_room_over_the_limit_sends_a_count_at_most_once_a_second_and_no_names() {
    let server = Server::start(&[("PRESENCE_LIMIT", "3")]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    let _named = crowd(&server, 1, 3);
    let joined: Vec<Value> = alice.drain();
    assert_eq!(joined.len(), 2, "up to the limit each is named");
    let started = Instant::now();
    let crowd = crowd(&server, 3, 30);
    let last = &crowd[crowd.len() - 1].welcome;
    assert_eq!((&last["players"], &last["player_count"]), (&json!({}), &json!(30)));
    let mut counts = Vec::new();
    while counts.last() != Some(&30) {
        let frame = alice.next();
        assert_eq!((&frame["type"], frame.get("seq")), (&json!("presence"), None));
        let count = frame["count"].as_u64().expect("a count");
        assert_eq!(frame, json!({"type": "presence", "count": count}));
        counts.push(count);
    }
    let at_most = 1 + started.elapsed().as_secs() as usize;
    assert!(counts.len() <= at_most, "{counts:?} within {at_most} s");
    alice.send(&json!({"type": "send", "data": 1}));
    assert_eq!(alice.next()["seq"], 4, "counts are no events of the log");
}

#[test]
fn s9_below_the_limit_a_welcome_names_everybody_and_counts_nobody() {
    let server = Server::start(&[("PRESENCE_LIMIT", "3")]);
    let _alice = server.connect("/ws/g/p0").welcomed();
    let players = crowd(&server, 1, 3);
    let welcome = &players[1].welcome;
    assert_eq!(welcome["players"], json!({"p0": "joined", "p1": "joined", "p2": "joined"}));
    assert_eq!(welcome.get("player_count"), None);
}

#[test]
fn s9_in_a_big_room_players_come_and_go_and_resume_without_a_single_presence_event() {
    let server = Server::start(&[("PRESENCE_LIMIT", "0")]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    assert_eq!((&alice.welcome["seq"], &alice.welcome["player_count"]), (&json!(0), &json!(1)));
    let bob = server.connect("/ws/g/bob").welcomed();
    let path = format!("/ws/g/bob?session={}&seq=0", bob.session());
    bob.cut();
    alice.send(&json!({"type": "send", "data": 1}));
    alice.until_type("message");
    let mut bob = server.connect(&path).welcomed();
    assert_eq!((&bob.welcome["resume"], &bob.welcome["player_count"]), (&json!("continuous"), &json!(2)));
    assert_eq!(bob.until_type("message")["seq"], 1);
    bob.send(&json!({"type": "leave"}));
    bob.ended();
    let count = alice.until(|frame| frame["count"] == 1);
    assert_eq!(count, json!({"type": "presence", "count": 1}), "a leave in a big room is a count too");
}

/// The names and statuses that a client holds to be true, by what it is told.
fn fold(known: &mut serde_json::Map<String, Value>, frames: &[Value]) {
    for frame in frames.iter().filter(|frame| frame["type"] == "presence") {
        match (frame["players"].as_object(), frame["player"].as_str(), frame["status"].as_str()) {
            (Some(players), ..) => *known = players.clone(),
            (None, Some(player), Some("left")) => drop(known.remove(player)),
            (None, Some(player), Some("away")) => drop(known.insert(player.to_owned(), json!("away"))),
            (None, Some(player), Some(_)) => drop(known.insert(player.to_owned(), json!("joined"))),
            _ => {}
        }
    }
}

#[test]
fn s9a_when_a_crowd_is_over_every_member_is_told_who_is_there() {
    let server = Server::start(&[("PRESENCE_LIMIT", "4")]);
    let mut alice = server.connect("/ws/g/p0").welcomed();
    let mut known = alice.welcome["players"].as_object().expect("a map").clone();
    let mut others = crowd(&server, 1, 8);
    let mut late = others.pop().expect("the last");
    alice.until(|frame| frame["count"] == 8);
    let mut leave = |count: usize| {
        for _ in 0..count {
            let mut gone = others.remove(0);
            gone.send(&json!({"type": "leave"}));
            assert_eq!(gone.ended().0.code, 1000);
        }
    };
    // Down to the limit it is still a crowd; nine tenths of 4 are 3.
    leave(4);
    assert!(alice.drain().iter().all(|frame| frame.get("players").is_none() && frame.get("seq").is_none()));
    let mut during = server.connect("/ws/g/p0b").welcomed();
    assert_eq!((&during.welcome["players"], &during.welcome["player_count"]), (&json!({}), &json!(5)));
    leave(1);
    during.send(&json!({"type": "leave"}));
    during.ended();
    let list = json!({"type": "presence", "players": {"p0": "joined", "p6": "joined", "p7": "joined"}, "count": 3});
    for member in [&mut alice, &mut late] {
        assert_eq!(member.until(|frame| frame.get("players").is_some()), list);
    }
    // From here on everybody follows by name, also those who never saw the list before.
    let next = server.connect("/ws/g/next").welcomed();
    fold(&mut known, &[list]);
    fold(&mut known, &alice.drain());
    assert_eq!(json!(known), next.welcome["players"]);
}

#[test]
fn s9a_who_was_away_while_a_crowd_came_and_went_knows_who_is_there() {
    let data = crate::support::DataDir::new();
    let mut server = Server::start(&[("PRESENCE_LIMIT", "3"), ("DATA_DIR", data.path())]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    let seat = server.connect("/ws/g/away").welcomed().cut();
    alice.until(|frame| frame["status"] == "away");
    // It misses this: somebody joins by name and leaves in the crowd.
    let mut ghost = server.connect("/ws/g/ghost").welcomed();
    let mut more = crowd(&server, 0, 2);
    ghost.send(&json!({"type": "leave"}));
    ghost.ended();
    let mut gone = more.pop().expect("two");
    gone.send(&json!({"type": "leave"}));
    gone.ended();
    let mut last = more.pop().expect("one");
    last.send(&json!({"type": "leave"}));
    last.ended();
    alice.until(|frame| frame.get("players").is_some());
    for is_restarted in [false, true] {
        if is_restarted {
            server.kill();
            server.restart();
        }
        let mut back = server.resume(&seat);
        assert_eq!(back.verdict(), "continuous");
        let mut known = back.welcome["players"].as_object().expect("a map").clone();
        let truth = json!({"alice": if is_restarted { "away" } else { "joined" }, "away": "joined"});
        assert_eq!(json!(known), truth);
        fold(&mut known, &back.drain());
        assert_eq!(json!(known), truth, "restarted: {is_restarted}");
    }
}
