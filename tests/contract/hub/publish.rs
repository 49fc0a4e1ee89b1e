//! Owns the tests of a back end's calls for hubs: publishing into event buses, and queries (section
//! 8, E1).

use serde_json::{Value, json};

use super::yaml::{self, HubServer};
use crate::support::{Client, Response};

const SECRET: &str = "0123456789abcdef0123456789abcdef-api-secret";

/// A bus, a hub whose upstream is never there, and one that is off.
const HUBS: &str = r#"
hubs:
  lobby: { provider: bus, max_topics: 4, flush_interval_ms: 0 }
  dead:
    url: "ws://127.0.0.1:9/"
    subscribe: '{"subscribe":{topic_list}}'
    topic: { parts: [/t] }
  off: { url: "wss://example.com/${NOT_SET_HERE}", topic: { parts: [/t] } }
"#;

fn start() -> HubServer {
    yaml::start(HUBS, &[("HTTP_API_SECRET", SECRET), ("HUBS", "none")])
}

fn ask(server: &HubServer, method: &str, path: &str, body: Option<&str>) -> Response {
    server.request(method, path, &[("Authorization", &format!("Bearer {SECRET}"))], body)
}

fn post(server: &HubServer, path: &str, data: &Value) -> Response {
    ask(server, "POST", path, Some(&json!({"data": data}).to_string()))
}

fn get(server: &HubServer, path: &str) -> Value {
    let response = ask(server, "GET", path, None);
    assert_eq!(response.status, 200, "{response:?}");
    response.json()
}

fn assert_error(response: &Response, status: u16, code: &str) {
    assert_eq!((response.status, &response.json()["error"]["code"]), (status, &json!(code)), "{response:?}");
    assert!(response.json()["error"]["message"].as_str().is_some_and(|message| message.len() > 8), "{response:?}");
}

fn subscriber(server: &HubServer, topics: &[&str]) -> Client {
    let mut client = server.connect("/ws/lobby").welcomed();
    client.send(&json!({"type": "subscribe", "topics": topics}));
    client.until_type("subscribed");
    client
}

#[test]
fn e1_what_a_back_end_publishes_is_numbered_and_seen_by_all_subscribers_also_those_who_come_later() {
    let server = start();
    let mut early: Vec<_> = (0..4).map(|_| subscriber(&server, &["O:SPY 1/2"])).collect();
    // Percent-encoded or not, it is the same topic.
    for (seq, path) in (1..).zip(["O%3ASPY%201%2f2", "O:SPY%201/2", "%4F:SPY%201%2F2"]) {
        let answer = post(&server, &format!("/api/hubs/lobby/topics/{path}"), &json!({"n": seq}));
        assert_eq!((answer.status, answer.json()), (200, json!({"seq": seq})), "{answer:?}");
    }
    for client in &mut early {
        for seq in 1..=3 {
            let frame = client.next();
            let found = (&frame["topic"], &frame["seq"], &frame["data"], frame.get("snapshot").is_some());
            assert_eq!(found, (&json!("O:SPY 1/2"), &json!(seq), &json!({"n": seq}), false), "{frame}");
        }
    }
    let late = subscriber(&server, &["O:SPY 1/2"]).next();
    assert_eq!((&late["seq"], &late["snapshot"]), (&json!(3), &json!(true)), "{late}");
}

#[test]
fn e1_publishing_needs_the_secret_a_bus_and_a_body_with_data() {
    let server = start();
    let path = "/api/hubs/lobby/topics/a";
    let body = Some(r#"{"data":1}"#);
    for (method, path) in [("POST", path), ("GET", "/api/hubs"), ("GET", "/api/hubs/lobby")] {
        assert_error(&server.request(method, path, &[], body), 401, "unauthorized");
        assert_error(&server.request(method, path, &[("Authorization", "Bearer wrong")], body), 403, "forbidden");
        assert_error(&ask(&server, "PUT", path, body), 405, "method_not_allowed");
    }
    assert_error(&post(&server, "/api/hubs/no-such/topics/a", &json!(1)), 404, "not_found");
    assert_error(&post(&server, "/api/hubs/dead/topics/a", &json!(1)), 409, "has_upstream");
    let off = post(&server, "/api/hubs/off/topics/a", &json!(1));
    assert_error(&off, 503, "hub_off");
    assert!(off.body.contains("NOT_SET_HERE"), "{off:?}");
    assert_error(&post(&server, "/api/hubs/_server/topics/stats", &json!(1)), 400, "bad_path");
    for wrong in ["", "%", "%zz", "%00", "%ff", &"x".repeat(129)] {
        assert_error(&post(&server, &format!("/api/hubs/lobby/topics/{wrong}"), &json!(1)), 400, "bad_path");
    }
    for (body, status, code) in [
        ("", 400, "bad_json"),
        ("[]", 400, "bad_json"),
        ("{}", 400, "invalid_field"),
        (r#"{"data":1} 2"#, 400, "bad_json"),
        (&*format!(r#"{{"data":"{}"}}"#, "x".repeat(70_000)), 413, "message_too_big"),
        (&*format!(r#"{{"data":1,"x":"{}"}}"#, "x".repeat(200_000)), 413, "body_too_large"),
    ] {
        assert_error(&ask(&server, "POST", path, Some(body)), status, code);
    }
    assert_eq!(post(&server, path, &json!(null)).json(), json!({"seq": 1}), "nothing was published before");
    for (topic, status) in [("b", 200), ("c", 200), ("d", 200), ("e", 409)] {
        assert_eq!(post(&server, &format!("/api/hubs/lobby/topics/{topic}"), &json!(1)).status, status, "{topic}");
    }
    assert_error(&post(&server, "/api/hubs/lobby/topics/e", &json!(1)), 409, "too_many_topics");
}

#[test]
fn e1_hubs_are_listed_with_their_state_and_one_is_shown_with_its_topics() {
    let server = start();
    let _client = subscriber(&server, &["b", "waiting"]);
    for (topic, count) in [("a", 2), ("b", 1)] {
        (0..count).for_each(|_| drop(post(&server, &format!("/api/hubs/lobby/topics/{topic}"), &json!(1))));
    }
    let list = get(&server, "/api/hubs");
    let names: Vec<_> = list["hubs"].as_array().expect("hubs").iter().map(|hub| &hub["hub"]).collect();
    assert_eq!(names, ["dead", "lobby", "off"], "{list}");
    let hub = |at: usize| &list["hubs"][at];
    assert_eq!((&hub(0)["has_upstream"], &hub(0)["state"]), (&json!(true), &json!("disconnected")), "{list}");
    assert_eq!((&hub(1)["has_upstream"], &hub(1)["state"]), (&json!(false), &json!("live")), "{list}");
    assert_eq!((&hub(1)["clients"], &hub(1)["topics"], &hub(1)["messages"]), (&json!(1), &json!(3), &json!(3)));
    assert_eq!((&hub(2)["enabled"], hub(2).get("has_upstream")), (&json!(false), None), "{list}");
    assert!(hub(2)["off"].as_str().is_some_and(|off| off.contains("NOT_SET_HERE")), "{list}");
    let shown = get(&server, "/api/hubs/lobby");
    let topic = |name: &str, seq: u64, wanted: bool| json!({"topic": name, "seq": seq, "wanted": wanted});
    assert_eq!(shown["topic_list"], json!([topic("a", 2, false), topic("b", 1, true), topic("waiting", 0, true)]));
    assert_eq!((&shown["hub"], &shown["provider"]), (&json!("lobby"), &json!("bus")), "{shown}");
    assert_eq!(get(&server, "/api/hubs/off")["topic_list"], json!([]));
    assert_error(&ask(&server, "GET", "/api/hubs/no-such", None), 404, "not_found");
}
