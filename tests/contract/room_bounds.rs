//! Owns the tests of how many rooms there may be, in all and for one address (S14).

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use crate::support::{Client, DataDir, Response, Server};

const SECRET: &str = "an-api-secret-of-the-tests-0123456789";
const BY_HEADER: (&str, &str) = ("CLIENT_IP_HEADER", "X-Test-Address");
const ALICE: &str = "203.0.113.1";
const BOB: &str = "203.0.113.2";

fn from(server: &Server, address: &str, path: &str) -> Client {
    server.try_connect(path, &[("X-Test-Address", address)]).expect("accepted")
}

/// The join is refused as the contract says; the message names the setting.
fn assert_overloaded(mut client: Client, setting: &str) {
    let (ended, last) = client.ended();
    assert_eq!((ended.code, ended.reason.as_str()), (1013, "overloaded"), "{last}");
    assert_eq!((&last["type"], &last["code"]), (&json!("error"), &json!("overloaded")));
    let message = last["message"].as_str().expect("a message");
    assert!(message.contains(&format!("({setting})")), "{message}");
}

fn append(server: &Server, game: &str) -> Response {
    let bearer = format!("Bearer {SECRET}");
    let path = format!("/api/games/{game}/events");
    server.request("POST", &path, &[("Authorization", &bearer)], Some(r#"{"data":1}"#))
}

#[test]
fn s14_an_address_opens_so_many_rooms_and_joins_every_room_that_is_there() {
    let settings = [("MAX_ROOMS_PER_ADDRESS", "2"), ("ROOM_LINGER", "0.3"), ("HTTP_API_SECRET", SECRET), BY_HEADER];
    let server = Server::start(&settings);
    let mut one = from(&server, ALICE, "/ws/one/a").welcomed();
    let _two = from(&server, ALICE, "/ws/two/a").welcomed();
    assert_overloaded(from(&server, ALICE, "/ws/three/a"), "MAX_ROOMS_PER_ADDRESS");
    assert_overloaded(from(&server, ALICE, "/ws/three/a?spectate=1"), "MAX_ROOMS_PER_ADDRESS");
    let refused = server.wait_for_event("WS_CONNECTION_BLOCKED_ROOM_LIMIT");
    assert_eq!((&refused["address"], &refused["game"]), (&json!(ALICE), &json!("three")), "{refused}");
    server.wait_for_metric("innkeeper_refusals_total{reason=\"max_rooms_per_address\"}", 2.0);
    // Another address opens it, and then it is there for everybody. What the back end makes is no
    // address's.
    let _three = from(&server, BOB, "/ws/three/b").welcomed();
    let _guest = from(&server, ALICE, "/ws/three/a").welcomed();
    assert_eq!(append(&server, "made").status, 200);
    let _made = from(&server, ALICE, "/ws/made/a").welcomed();
    assert_eq!(server.metric("innkeeper_rooms"), 4.0);
    // A room that is over gives its place back.
    one.send(&json!({"type": "leave"}));
    server.wait_for_metric("innkeeper_rooms", 3.0);
    let _four = from(&server, ALICE, "/ws/four/a").welcomed();
    assert_overloaded(from(&server, ALICE, "/ws/five/a"), "MAX_ROOMS_PER_ADDRESS");
}

#[test]
fn s14_a_full_server_opens_no_room_for_anybody_and_tells_the_back_end_503() {
    let server = Server::start(&[("MAX_ROOMS", "2"), ("HTTP_API_SECRET", SECRET), BY_HEADER]);
    let _one = from(&server, ALICE, "/ws/one/a").welcomed();
    assert_eq!(append(&server, "two").status, 200);
    assert_overloaded(from(&server, BOB, "/ws/three/b"), "MAX_ROOMS");
    let refused = append(&server, "three");
    let error = refused.json()["error"].clone();
    assert_eq!((refused.status, &error["code"]), (503, &json!("overloaded")), "{error}");
    assert!(error["message"].as_str().is_some_and(|message| message.contains("(MAX_ROOMS)")), "{error}");
    assert_eq!(append(&server, "one").status, 200);
    let _guest = from(&server, BOB, "/ws/two/b").welcomed();
    server.wait_for_metric("innkeeper_refusals_total{reason=\"max_rooms\"}", 1.0);
}

#[test]
fn s14_an_ipv6_64_is_one_address() {
    let server = Server::start(&[("MAX_ROOMS_PER_ADDRESS", "1"), BY_HEADER]);
    let _one = from(&server, "2001:db8::1", "/ws/one/a").welcomed();
    assert_overloaded(from(&server, "2001:db8::2", "/ws/two/a"), "MAX_ROOMS_PER_ADDRESS");
    let _two = from(&server, "2001:db8:0:1::2", "/ws/two/a").welcomed();
}

#[test]
fn s14_rooms_that_come_back_for_those_who_have_a_seat_are_not_new() {
    let data = DataDir::new();
    let dir = [("DATA_DIR", data.path())];
    let seats: Vec<_> = {
        let server = Server::start(&dir);
        let players: Vec<_> = (0..4).map(|i| server.connect(&format!("/ws/room-{i}/a")).welcomed()).collect();
        players.into_iter().map(Client::cut).collect()
    };
    let server = Server::start(&[&dir[..], &[("MAX_ROOMS", "2"), ("MAX_ROOMS_PER_ADDRESS", "1")]].concat());
    let stranger = server.connect("/ws/room-0/stranger").welcomed();
    let _mine = server.connect("/ws/mine/a").welcomed();
    // The address is at its limit and the server, too.
    assert_overloaded(server.connect("/ws/room-1/stranger"), "MAX_ROOMS_PER_ADDRESS");
    let back: Vec<_> = seats.iter().map(|seat| server.resume(seat)).collect();
    assert!(back.iter().all(|client| client.verdict() == "continuous"));
    assert_overloaded(server.connect("/ws/new/a"), "MAX_ROOMS_PER_ADDRESS");
    let _guest = server.connect("/ws/room-1/stranger").welcomed();
    drop(stranger);
}

#[test]
fn s14_the_bounds_are_exact_while_many_join_at_once_on_all_shards() {
    let server = Server::start(&[("MAX_ROOMS", "10"), ("MAX_ROOMS_PER_ADDRESS", "7"), ("SHARDS", "4"), BY_HEADER]);
    let (opened, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let clients: Vec<_> = std::thread::scope(|scope| {
        let join = |index: usize| {
            let address = if index.is_multiple_of(2) { ALICE } else { BOB };
            let mut client = from(&server, address, &format!("/ws/room-{index}/a"));
            let is_in = client.next_of_any_kind().is_ok_and(|frame| frame["type"] == "welcome");
            (if is_in { &opened } else { &refused }).fetch_add(1, Ordering::Relaxed);
            is_in.then_some(client)
        };
        let joins: Vec<_> = (0..40).map(|index| scope.spawn(move || join(index))).collect();
        joins.into_iter().filter_map(|join| join.join().expect("joined")).collect()
    });
    assert_eq!((clients.len(), refused.into_inner()), (10, 30));
    assert_eq!(server.metric("innkeeper_rooms"), 10.0);
}

#[test]
fn s14_whom_a_bound_refuses_does_not_disturb_those_who_open_the_same_room() {
    let server = Server::start(&[("MAX_ROOMS_PER_ADDRESS", "1"), BY_HEADER]);
    let _full = from(&server, BOB, "/ws/of-bob/b").welcomed();
    for round in 0..10 {
        let address = format!("203.0.114.{round}");
        std::thread::scope(|scope| {
            let mut strangers = Vec::new();
            for player in 0..4 {
                let server = &server;
                strangers.push(scope.spawn(move || {
                    // It is there already, or it is refused; never a second room of the same name.
                    let _ = from(server, BOB, &format!("/ws/shared-{round}/b{player}")).next_of_any_kind();
                }));
            }
            let opener = from(&server, &address, &format!("/ws/shared-{round}/a")).welcomed();
            strangers.into_iter().for_each(|stranger| stranger.join().expect("answered"));
            let mut second = from(&server, BOB, &format!("/ws/shared-{round}/z")).welcomed();
            assert_eq!(second.welcome["epoch"], opener.welcome["epoch"]);
            second.drain();
        });
    }
}
