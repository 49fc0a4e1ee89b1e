//! Owns the tests of operators' queries: the list of rooms, one room, its events (section 8).

use serde_json::{Value, json};
use tungstenite::Message;

use super::{BackEnd, SECRET, start};
use crate::support::{Server, Witness};

/// The keys of an object, in order.
fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

const SUMMARY: [&str; 11] = [
    "age_ms",
    "bytes",
    "connected",
    "durability",
    "epoch",
    "events_kept",
    "game",
    "logic",
    "players",
    "seq",
    "spectators",
];

#[test]
fn e1_a_room_in_the_list_has_the_promised_fields_and_they_are_true() {
    let server = Server::start(&[("HTTP_API_SECRET", SECRET), ("GAME_DURABILITY", "memory-=memory,sync-=sync")]);
    let back_end = BackEnd(&server);
    let mut alice = Witness::join(&server, "/ws/chat/alice");
    let bob = Witness::join(&server, "/ws/chat/bob");
    let _watching = server.connect("/ws/chat/carol?spectate=1").welcomed();
    bob.cut();
    alice.until(|frame| frame["status"] == "away");
    let seq = alice.say(1, "hello");
    back_end.append("memory-a", &json!({"data": 1}));
    back_end.append("sync-b", &json!({"data": 1}));
    back_end.append("tic-tac-toe-c", &json!({"data": 1}));
    let list = back_end.get("/api/games");
    assert_eq!((keys(&list), &list["next"]), (vec!["games", "next"], &Value::Null));
    let games = list["games"].as_array().expect("a list");
    assert!(games.iter().all(|game| keys(game) == SUMMARY), "{list}");
    let told = |field: &str| games.iter().map(|game| game[field].clone()).collect::<Vec<_>>();
    assert_eq!(told("game"), ["chat", "memory-a", "sync-b", "tic-tac-toe-c"]);
    assert_eq!(told("durability"), ["journal", "memory", "sync", "journal"]);
    assert_eq!(told("logic"), ["relay", "relay", "relay", "tic-tac-toe"]);
    assert_eq!(told("players"), [2, 0, 0, 0]);
    assert_eq!(told("connected"), [1, 0, 0, 0]);
    assert_eq!(told("spectators"), [1, 0, 0, 0]);
    assert_eq!(told("events_kept"), [4, 1, 1, 1]);
    assert_eq!((&games[0]["seq"], &games[0]["epoch"]), (&json!(seq), &alice.client.welcome["epoch"]));
    assert!(games[0]["bytes"].as_u64() > games[1]["bytes"].as_u64() && games[1]["bytes"].as_u64() > Some(10), "{list}");
    assert!(games.iter().all(|game| game["age_ms"].as_u64().is_some_and(|age| age < 60_000)), "{list}");
}

#[test]
fn e1_a_room_shows_its_state_its_players_and_what_waits_for_them() {
    let server = Server::start(&[("HTTP_API_SECRET", SECRET), ("WS_PING_INTERVAL", "0.2")]);
    let back_end = BackEnd(&server);
    let mut alice = Witness::join(&server, "/ws/g/alice");
    Witness::join(&server, "/ws/g/bob").cut();
    alice.until(|frame| frame["status"] == "away");
    alice.say(7, "x");
    back_end.append("g", &json!({"patch": {"board": [1, null]}}));
    let room = back_end.get("/api/games/g");
    let mut expected = SUMMARY.to_vec();
    expected.extend(["first_seq", "state"]);
    expected.sort_unstable();
    assert_eq!(keys(&room), expected);
    assert_eq!((&room["state"], &room["first_seq"]), (&json!({"board": [1, null]}), &json!(1)));
    assert_eq!((&room["connected"], &room["logic"]), (&json!(1), &json!("relay")));
    let bob = json!({"status": "away", "last_id": 0, "queue_bytes": 0, "queue_frames": 0, "latency_ms": null, "connected_ms": null});
    assert_eq!(room["players"]["bob"], bob);
    let alice_now = &room["players"]["alice"];
    assert_eq!((&alice_now["status"], &alice_now["last_id"]), (&json!("joined"), &json!(7)));
    assert!(alice_now["connected_ms"].is_u64(), "{room}");
    assert_eq!(keys(alice_now), keys(&bob));

    // tungstenite answers a ping when it reads the next frame, so reading goes on until the server
    // has the answer.
    let latency = || back_end.get("/api/games/g")["players"]["alice"]["latency_ms"].clone();
    while latency().is_null() {
        while !matches!(alice.client.next_message(), Message::Ping(_)) {}
    }
    assert!(latency().as_f64().is_some_and(|ms| ms > 0.0 && ms < 20_000.0), "{}", latency());
}

#[test]
fn e1_what_waits_for_a_client_that_does_not_read_is_counted() {
    let server = start();
    let back_end = BackEnd(&server);
    let _deaf = server.connect("/ws/g/deaf").welcomed();
    let data = "x".repeat(60_000);
    let waiting = || back_end.get("/api/games/g")["players"]["deaf"].clone();
    // Its socket takes some megabytes; then they wait here.
    while waiting()["queue_bytes"] == 0 {
        back_end.append("g", &json!({"data": data}));
    }
    assert!(waiting()["queue_frames"].as_u64() >= Some(1), "{}", waiting());
    assert!(waiting()["queue_bytes"].as_u64().is_some_and(|bytes| bytes < 2_000_000), "{}", waiting());
}

#[test]
fn e1_events_come_as_members_got_them_with_their_time_and_for_whom_they_are() {
    let server = start();
    let back_end = BackEnd(&server);
    let mut alice = Witness::join(&server, "/ws/g/alice");
    alice.say(1, json!({"n": 1.50}));
    let _bob = Witness::join(&server, "/ws/g/bob");
    alice.client.send(&json!({"type": "send", "id": 2, "data": "psst", "to": ["bob"]}));
    alice.until(|frame| frame["id"] == 2);
    alice.client.send(&json!({"type": "patch", "id": 3, "patch": {"a": 1}}));
    alice.until(|frame| frame["id"] == 3);
    let page = back_end.get("/api/games/g/events");
    assert_eq!(keys(&page), ["events", "first_seq", "seq"]);
    assert_eq!((&page["first_seq"], &page["seq"]), (&json!(1), &json!(5)));
    let mut events = page["events"].as_array().expect("a list").clone();
    for event in &mut events {
        let time = event.as_object_mut().and_then(|event| event.remove("time"));
        assert!(time.and_then(|time| time.as_u64()).is_some_and(|time| time > 1_700_000_000_000), "{event}");
    }
    assert_eq!(
        events,
        [
            json!({"type": "presence", "seq": 1, "player": "alice", "status": "joined"}),
            json!({"type": "message", "seq": 2, "from": "alice", "id": 1, "data": {"n": 1.5}}),
            json!({"type": "presence", "seq": 3, "player": "bob", "status": "joined"}),
            json!({"type": "message", "seq": 4, "from": "alice", "id": 2, "data": "psst", "only": ["alice", "bob"]}),
            json!({"type": "patch", "seq": 5, "from": "alice", "id": 3, "patch": {"a": 1}}),
        ]
    );
    let seqs = |query: &str| {
        let page = back_end.get(&format!("/api/games/g/events?{query}"));
        page["events"].as_array().expect("a list").iter().map(|event| event["seq"].as_u64()).collect::<Vec<_>>()
    };
    assert_eq!(seqs("after=1&limit=2"), [Some(2), Some(3)]);
    assert_eq!(seqs("after=3"), [Some(4), Some(5)]);
    assert_eq!((seqs("after=5"), seqs("after=9007199254740991")), (vec![], vec![]));
}

#[test]
fn e1_what_the_history_has_dropped_is_named_by_the_first_seq() {
    let server = Server::start(&[("HTTP_API_SECRET", SECRET), ("HISTORY_EVENTS", "3")]);
    let back_end = BackEnd(&server);
    (1..=10).for_each(|n| assert_eq!(back_end.append("g", &json!({"data": n})), n));
    let page = back_end.get("/api/games/g/events?after=2");
    assert_eq!((&page["first_seq"], &page["events"][0]["data"], &page["seq"]), (&json!(8), &json!(8), &json!(10)));
    assert_eq!(back_end.get("/api/games/g")["first_seq"], 8);
}

#[test]
fn e1_a_thousand_rooms_are_paged_by_name_each_once() {
    let server = Server::start(&[("HTTP_API_SECRET", SECRET), ("DURABILITY", "memory")]);
    let back_end = BackEnd(&server);
    let names: Vec<String> = (0..1000).map(|n| format!("room-{n:04}")).collect();
    // In another order than that of their names.
    for n in 0..1000 {
        back_end.append(&names[n * 7 % 1000], &json!({"data": n}));
    }
    let (mut after, mut seen, mut pages) = (String::new(), Vec::new(), 0);
    loop {
        let page = back_end.get(&format!("/api/games?limit=300&after={after}"));
        seen.extend(
            page["games"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|game| game["game"].as_str().expect("a name").to_owned()),
        );
        pages += 1;
        let Some(next) = page["next"].as_str() else { break };
        assert_eq!(seen.last().map(String::as_str), Some(next));
        after = next.to_owned();
    }
    assert_eq!((pages, seen == names), (4, true));
    let all = back_end.get("/api/games");
    assert_eq!((all["games"].as_array().map(Vec::len), &all["next"]), (Some(1000), &Value::Null));
    assert_eq!(back_end.get("/api/games?after=room-0999")["games"], json!([]));
    assert_eq!(back_end.get("/api/games?limit=1&after=room-0998")["games"][0]["game"], "room-0999");
}
