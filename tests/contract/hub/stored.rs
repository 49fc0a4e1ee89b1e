//! Owns the tests of what an event bus keeps: its values and numbers survive as rooms do (H1, D1,
//! D4, D5). `tests/programs/faulty_store.rs` is the server whose store fails on command.

use std::thread;

use serde_json::{Value, json};

use crate::support::{Client, Response, Server};

/// Without secrets, so whoever is at the machine may publish.
const BUS: [(&str, &str); 2] = [("HUBS", "lobby=bus,other=bus"), ("MAX_MESSAGE_BYTES", "100000")];

fn start(settings: &[(&str, &str)]) -> Server {
    Server::start(&[&BUS, settings].concat())
}

fn post(server: &Server, topic: &str, data: &Value) -> Response {
    let path = format!("/api/hubs/lobby/topics/{topic}");
    server.request("POST", &path, &[], Some(&json!({"data": data}).to_string()))
}

fn publish(server: &Server, topic: &str, data: &Value) -> u64 {
    let answer = post(server, topic, data);
    answer.json()["seq"].as_u64().unwrap_or_else(|| panic!("{answer:?}"))
}

fn subscribe(server: &Server, topics: &[&str]) -> Client {
    let mut client = server.connect("/ws/lobby").welcomed();
    client.send(&json!({"type": "subscribe", "topics": topics}));
    client.until_type("subscribed");
    client
}

fn assert_value(frame: &Value, topic: &str, seq: u64, data: &Value) {
    assert_eq!((&frame["topic"], &frame["seq"], &frame["data"]), (&json!(topic), &json!(seq), data), "{frame}");
}

#[test]
fn h1_d1_values_and_numbers_of_a_bus_survive_kill_9_again_and_again() {
    for durability in ["journal", "sync"] {
        let mut server = start(&[("DURABILITY", durability)]);
        let large = json!("x".repeat(90_000));
        for life in 0..3 {
            let mut watching = subscribe(&server, &["a", "large"]);
            if life > 0 {
                let known = [watching.next(), watching.next()];
                let of = |topic: &str| known.iter().find(|frame| frame["topic"] == topic).expect("its last value");
                assert_value(of("a"), "a", life * 10, &json!(life * 10));
                assert_value(of("large"), "large", life, &large);
                assert!(known.iter().all(|frame| frame["snapshot"] == true), "{durability}");
            }
            for n in life * 10 + 1..=life * 10 + 10 {
                assert_eq!(publish(&server, "a", &json!(n)), n, "{durability}");
            }
            assert_eq!(publish(&server, "large", &large), life + 1, "{durability}");
            server.kill();
            server.restart();
        }
        // Each bus has a log of its own, and neither is a room.
        let other = server.request("GET", "/api/hubs/other", &[], None).json();
        assert_eq!((&other["topics"], &other["topic_list"]), (&json!(0), &json!([])), "{durability}");
        let lobby = server.request("GET", "/api/hubs/lobby", &[], None).json();
        assert_eq!(lobby["topic_list"].as_array().map(Vec::len), Some(2), "{durability}");
        assert_eq!(server.get("/api/games").json()["games"], json!([]), "{durability}");
    }
}

#[test]
fn d1_a_bus_in_memory_is_empty_after_a_restart() {
    let mut server = start(&[("DURABILITY", "memory")]);
    assert_eq!([publish(&server, "a", &json!(1)), publish(&server, "a", &json!(2))], [1, 2]);
    server.kill();
    server.restart();
    assert_eq!(server.request("GET", "/api/hubs/lobby", &[], None).json()["topic_list"], json!([]));
    assert_eq!(publish(&server, "a", &json!(3)), 1);
}

#[test]
fn d4_a_bus_survives_deploys_and_the_sweep_of_rooms_that_nobody_came_back_to() {
    let mut server = start(&[("RECONNECT_GRACE", "1"), ("ROOM_LINGER", "0")]);
    assert_eq!(publish(&server, "a", &json!("kept")), 1);
    server.signal("TERM");
    assert!(server.wait().success());
    server.restart();
    let _left = server.connect("/ws/left/alice").welcomed();
    server.kill();
    server.restart();
    // Nobody has touched the bus since, either.
    server.wait_for_log(|line| line["message"] == "removed rooms that nobody came back to" && line["rooms"] == 1);
    server.kill();
    server.restart();
    assert_value(&subscribe(&server, &["a"]).next(), "a", 1, &json!("kept"));
}

#[test]
fn d1_of_values_published_at_once_each_has_a_number_of_its_own_and_the_last_one_stays() {
    let mut server = start(&[]);
    let numbers = thread::scope(|scope| {
        let both = [0, 1].map(|_| scope.spawn(|| (1..=100).map(|n| publish(&server, "a", &json!(n))).collect()));
        both.map(|one| one.join().expect("published"))
    });
    assert!(numbers.iter().all(|one: &Vec<u64>| one.is_sorted()), "{numbers:?}");
    let mut all = numbers.concat();
    all.sort_unstable();
    assert_eq!(all, (1..=200).collect::<Vec<_>>());
    server.kill();
    server.restart();
    assert_value(&subscribe(&server, &["a"]).next(), "a", 200, &json!(100));
}

#[test]
fn d5_while_the_store_fails_nothing_is_published_or_shown_and_then_it_goes_on() {
    let server = Server::start_example("faulty_store", &BUS);
    let mut watching = subscribe(&server, &["a"]);
    assert_eq!(publish(&server, "a", &json!("before")), 1);
    assert_value(&watching.next(), "a", 1, &json!("before"));
    server.break_store();
    thread::scope(|scope| {
        // The first one finds out that the store fails; it waits, and may be kept.
        let caught = scope.spawn(|| post(&server, "a", &json!("caught")));
        server.wait_for_metric("innkeeper_store_failing", 1.0);
        let refused = post(&server, "a", &json!("refused"));
        assert_eq!((refused.status, &refused.json()["error"]["code"]), (503, &json!("unavailable")), "{refused:?}");
        server.mend_store();
        assert_eq!(caught.join().expect("answered").json()["seq"], 2);
    });
    assert_value(&watching.next(), "a", 2, &json!("caught"));
    server.wait_for_metric("innkeeper_store_failing", 0.0);
    assert_eq!(publish(&server, "a", &json!("after")), 3);
    assert_value(&watching.next(), "a", 3, &json!("after"));
}

#[test]
fn a_server_that_does_not_run_has_its_buses_verified_but_they_are_no_rooms() {
    let mut server = start(&[]);
    publish(&server, "a", &json!(1));
    server.connect("/ws/g/alice").welcomed().cut();
    server.kill();
    let run = |command: &str| {
        let mut program = Server::command(env!("CARGO_BIN_EXE_innkeeper"), &[("DATA_DIR", server.data().path())]);
        let output = program.args(["rooms", command]).output().expect("it runs");
        (output.status.success(), String::from_utf8(output.stdout).expect("text"))
    };
    let (is_well, text) = run("verify");
    assert!(is_well && text.contains("1 room, 0 damaged"), "{text}");
    for command in ["list", "export"] {
        let (is_well, text) = run(command);
        assert!(is_well && !text.contains("lobby"), "{command}: {text}");
    }
}

#[test]
fn e1_a_key_publishes_once_also_across_kill_9_and_with_another_body_is_422() {
    let mut server = start(&[]);
    let once = |server: &Server, topic: &str, key: &str, data: &Value| {
        let (path, body) = (format!("/api/hubs/lobby/topics/{topic}"), json!({"data": data}).to_string());
        server.request("POST", &path, &[("Idempotency-Key", key)], Some(&body))
    };
    let numbers = |server: &Server| {
        let hub = server.request("GET", "/api/hubs/lobby", &[], None).json();
        let topics = hub["topic_list"].as_array().expect("a list").iter();
        topics.map(|topic| topic["seq"].as_u64().expect("a number")).collect::<Vec<_>>()
    };
    for _ in 0..3 {
        for _ in 0..2 {
            assert_eq!(once(&server, "a", "k", &json!(1)).json(), json!({"seq": 1}));
            assert_eq!(once(&server, "a", "l", &json!(2)).json(), json!({"seq": 2}));
            assert_eq!(once(&server, "b", "k", &json!(3)).json(), json!({"seq": 1}), "a key is its topic's own");
        }
        let other = once(&server, "a", "k", &json!(9));
        assert_eq!((other.status, &other.json()["error"]["code"]), (422, &json!("idempotency_mismatch")));
        assert_eq!(once(&server, "a", "", &json!(9)).status, 400);
        assert_eq!(numbers(&server), [2, 1]);
        server.kill();
        server.restart();
    }
}

#[test]
fn e1_a_key_that_many_publish_at_once_is_published_once() {
    let server = start(&[]);
    let once = || {
        let headers = [("Idempotency-Key", "k")];
        server.request("POST", "/api/hubs/lobby/topics/a", &headers, Some(r#"{"data":1}"#)).json()
    };
    let answers: Vec<Value> = thread::scope(|scope| {
        let asked: Vec<_> = (0..8).map(|_| scope.spawn(once)).collect();
        asked.into_iter().map(|asked| asked.join().expect("an answer")).collect()
    });
    assert!(answers.iter().all(|answer| *answer == json!({"seq": 1})), "{answers:?}");
    assert_eq!(publish(&server, "a", &json!(2)), 2);
}
