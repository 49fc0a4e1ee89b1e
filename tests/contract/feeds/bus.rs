//! Owns the tests of hubs without an upstream: event buses, and publishing (H1, sections 6 and 8).

use serde_json::{Value, json};

use super::{Config, Rig, data, subscribe};
use crate::support::{Response, Server};

const API_SECRET: &str = "0123456789abcdef0123456789abcdef-api-secret";

#[test]
fn h1_a_bus_tells_what_is_published_to_whoever_may_have_it() {
    let config = Config::new(&[("lobby", &["provider: bus", "publish: [player]", r#"topics: ["room.*"]"#])]);
    let server = config.start(&[]);
    let mut alice = server.connect("/ws/lobby").welcomed();
    let mut bob = server.connect("/ws/lobby").welcomed();
    assert_eq!(subscribe(&mut bob, &["room.1"]), "live");
    alice.send(&json!({"type": "publish", "id": 7, "topic": "room.1", "data": {"text": "hello"}}));
    let published = alice.until_type("published");
    assert_eq!((&published["id"], &published["topic"]), (&json!(7), &json!("room.1")), "{published}");
    let told = data(&mut bob, "room.1");
    assert_eq!((&told["data"], &told["seq"]), (&json!({"text": "hello"}), &published["seq"]), "{told}");
    // Without an id nothing is answered; and the same as a snapshot for who comes later.
    alice.send(&json!({"type": "publish", "topic": "room.1", "data": 2}));
    assert_eq!(alice.drain(), Vec::<Value>::new());
    assert_eq!(data(&mut bob, "room.1")["data"], 2);
    subscribe(&mut alice, &["room.1"]);
    let known = alice.next();
    assert_eq!((&known["data"], &known["snapshot"]), (&json!(2), &json!(true)), "{known}");
}

#[test]
fn h1_nobody_publishes_into_a_feed_or_without_the_role_for_it() {
    let config = Config::new(&[("lobby", &["provider: bus", "publish: [speaker]"])]);
    let lobby = config.start(&[]);
    let rig = Rig::start();
    for mut client in [lobby.connect("/ws/lobby").welcomed(), rig.subscriber(&["T.O:A"])] {
        client.send(&json!({"type": "publish", "id": 1, "topic": "T.O:A", "data": 1}));
        let error = client.until_type("error");
        assert_eq!((&error["code"], &error["id"]), (&json!("forbidden"), &json!(1)), "{error}");
        assert!(client.drain().is_empty());
    }
    let mut late = rig.client();
    subscribe(&mut late, &["T.O:A"]);
    assert!(late.drain().iter().all(|frame| frame["type"] != "data"));
}

#[test]
fn h3_a_bus_is_always_live() {
    let config = Config::new(&[("lobby", &["provider: bus"])]);
    let server = config.start(&[]);
    let mut client = server.connect("/ws/lobby").welcomed();
    assert_eq!(subscribe(&mut client, &["anything"]), "live");
    assert!(client.drain().is_empty());
    assert_eq!(server.get("/api/ws-health").json()["metrics"]["lobby"]["feedState"], "live");
}

/// What a back end that has the secret is answered.
fn publish(server: &Server, path: &str, body: &str) -> Response {
    let authorization = format!("Bearer {API_SECRET}");
    server.request("POST", path, &[("Authorization", &authorization)], Some(body))
}

#[test]
fn e1_a_back_end_publishes_into_a_bus() {
    let config = Config::new(&[("lobby", &["provider: bus"])]);
    let server = config.start(&[("HTTP_API_SECRET", API_SECRET)]);
    let mut client = server.connect("/ws/lobby").welcomed();
    subscribe(&mut client, &["news", "a/b c"]);
    let mut before = 0;
    for n in 1..4 {
        let answer = publish(&server, "/api/hubs/lobby/topics/news", &json!({"data": {"n": n}}).to_string());
        assert_eq!(answer.status, 200, "{answer:?}");
        let told = data(&mut client, "news");
        assert_eq!((&told["data"], &told["seq"]), (&json!({"n": n}), &answer.json()["seq"]), "{told}");
        let seq = told["seq"].as_u64().expect("a seq");
        assert!(seq > before, "{seq} after {before}");
        before = seq;
    }
    // A name that a path cannot have as it is.
    assert_eq!(publish(&server, "/api/hubs/lobby/topics/a%2Fb%20c", r#"{"data":null}"#).status, 200);
    assert_eq!(data(&mut client, "a/b c")["data"], Value::Null);
    // Nobody has to be there: who comes later finds it.
    assert_eq!(publish(&server, "/api/hubs/lobby/topics/later", r#"{"data":"kept"}"#).status, 200);
    subscribe(&mut client, &["later"]);
    let known = data(&mut client, "later");
    assert_eq!((&known["data"], &known["snapshot"]), (&json!("kept"), &json!(true)), "{known}");
}

#[test]
fn e1_publishing_needs_the_secret_a_bus_and_a_body_that_is_right() {
    let rig = Rig::with(&[], &[("HTTP_API_SECRET", API_SECRET)]);
    let bus = Config::new(&[("lobby", &["provider: bus"])]).start(&[("HTTP_API_SECRET", API_SECRET)]);
    let path = "/api/hubs/lobby/topics/news";
    let body = r#"{"data":1}"#;
    assert_eq!(bus.request("POST", path, &[], Some(body)).status, 401);
    assert_eq!(bus.request("POST", path, &[("Authorization", "Bearer wrong")], Some(body)).status, 403);
    for wrong in ["", "{", "[]", "{}", r#"{"date":1}"#] {
        let answer = publish(&bus, path, wrong);
        assert_eq!(answer.status, 400, "{wrong}: {answer:?}");
        assert!(answer.json()["error"]["code"].is_string(), "{answer:?}");
    }
    for (server, path, status) in [
        (&bus, "/api/hubs/no-such-hub/topics/news", 404),
        (&bus, "/api/hubs/_server/topics/stats", 400),
        (&rig.server, "/api/hubs/options/topics/T.O:A", 409),
    ] {
        let answer = publish(server, path, body);
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        assert!(answer.json()["error"]["message"].is_string(), "{answer:?}");
    }
    assert_eq!(bus.request("GET", path, &[], None).status, 405);
}
