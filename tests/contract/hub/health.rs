//! Owns the tests of `/api/ws-health`, and of clients of a feed whose upstream is not there (H3,
//! H5, H7).

use std::net::TcpListener;

use serde_json::{Value, json};

use super::yaml;
use crate::support::{Client, Server};

/// A bus, and a hub whose upstream refuses every connection.
fn hubs(port: u16) -> String {
    format!(
        r#"
hubs:
  lobby: bus
  dead:
    url: "ws://127.0.0.1:{port}/"
    subscribe: '{{"subscribe":{{topic_list}}}}'
    topic: {{ parts: [/t] }}
    linger_ms: 0
    backoff: {{ base_ms: 1, max_ms: 5 }}
"#
    )
}

/// Nobody listens here: it was free a moment ago, and ports are not given out again at once.
fn dead_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}

fn health(server: &Server) -> (u16, Value) {
    let response = server.get("/api/ws-health");
    (response.status, response.json())
}

fn feed_until(client: &mut Client, fits: impl Fn(&Value) -> bool) -> Value {
    client.until(|frame| frame["type"] == "feed" && fits(frame))
}

#[test]
fn h7_a_server_that_nobody_has_come_to_is_healthy_and_says_what_there_is() {
    let secret = "x".repeat(32);
    let settings = [("MAX_UPSTREAM_CONNECTIONS", "7"), ("MAX_WS_CONNECTIONS", "123"), ("JWT_SECRET", secret.as_str())];
    let server = yaml::start(&hubs(9), &settings);
    let (status, mut body) = health(&server);
    let timestamp = body["timestamp"].take();
    assert!(timestamp.as_str().is_some_and(|text| text.starts_with("20") && text.ends_with('Z')), "{timestamp}");
    let hub = |state: &str, enabled: bool, provider: &str| {
        json!({"totalClients": 0, "topics": 0, "upstreamConnections": 0, "connectionState": state,
            "feedState": if state == "connected" { "live" } else { state },
            "reconnectAttempts": 0, "lastMessageAgeMs": null, "enabled": enabled, "provider": provider})
    };
    let expected = json!({
        "healthy": true,
        "timestamp": null,
        "metrics": {
            "dead": hub("disconnected", true, "custom"),
            "indices": hub("disconnected", false, "massive-indices"),
            "lobby": hub("connected", true, "bus"),
            "options": hub("disconnected", false, "massive-options"),
        },
        "limits": {"maxUpstreamConnections": 7, "maxClients": 123},
    });
    assert_eq!((status, body), (200, expected));
    let head = server.request("HEAD", "/api/ws-health", &[], None);
    assert_eq!((head.status, head.body.as_str()), (200, ""), "{head:?}");
}

#[test]
fn h7_h3_while_an_upstream_cannot_be_reached_clients_stay_and_the_health_is_503_until_they_leave() {
    let server = yaml::start(&hubs(dead_port()), &[]);
    let mut client = server.connect("/ws/dead").welcomed();
    client.send(&json!({"type": "subscribe", "topics": ["a"]}));
    let subscribed = client.until_type("subscribed");
    assert!(["connecting", "down"].map(Value::from).contains(&subscribed["feed"]["state"]), "{subscribed}");
    let down = feed_until(&mut client, |feed| feed["state"] == "down" && feed["attempt"].as_u64() >= Some(3));
    assert!(down["since"].as_u64() > Some(1_600_000_000_000), "{down}");
    server.wait_until(|| health(&server).0 == 503, "unhealthy");
    let (_, body) = health(&server);
    let dead = &body["metrics"]["dead"];
    assert_eq!((&body["healthy"], &dead["totalClients"], &dead["topics"]), (&json!(false), &json!(1), &json!(1)));
    assert_eq!(dead["upstreamConnections"], 0, "{body}");
    assert!(dead["reconnectAttempts"].as_u64() >= Some(3), "{body}");
    // H5: it is tried again and again, and the log says so.
    feed_until(&mut client, |feed| feed["attempt"].as_u64() >= down["attempt"].as_u64().map(|attempt| attempt + 3));
    let line = server.wait_for_log(|line| {
        line["message"].as_str().is_some_and(|message| message.starts_with("[WS dead] upstream cannot be reached"))
    });
    assert_eq!((&line["hub"], &line["level"]), (&json!("dead"), &json!("warn")), "{line}");
    client.send(&json!({"type": "publish", "id": 1, "topic": "a", "data": 1}));
    assert_eq!(client.until_type("error")["code"], "forbidden", "its values come from the upstream");
    client.close();
    server.wait_until(|| health(&server).0 == 200, "healthy, because nobody waits any more");
    let (_, body) = health(&server);
    assert_eq!(body["metrics"]["dead"]["connectionState"], "disconnected", "{body}");
}

#[test]
fn h7_one_bound_holds_for_the_upstreams_of_all_hubs_together() {
    let upstream = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = upstream.local_addr().expect("an address").port();
    // It takes connections and says nothing.
    let _silent = std::thread::spawn(move || upstream.incoming().collect::<Vec<_>>());
    let yaml = hubs(port).replace("  lobby: bus\n", "");
    let second = yaml.replace("hubs:\n", "").replace("dead:", "other:");
    let server = yaml::start(&format!("{yaml}{second}"), &[("MAX_UPSTREAM_CONNECTIONS", "1"), ("HUBS", "none")]);
    server.wait_for_log(|line| {
        line["message"].as_str().is_some_and(|message| message.contains("MAX_UPSTREAM_CONNECTIONS"))
    });
    let mut first = server.connect("/ws/dead").welcomed();
    feed_until(&mut first, |feed| feed["state"] == "connecting");
    server.wait_for_log(|line| {
        line["message"].as_str().is_some_and(|message| message.starts_with("[WS dead] connecting"))
    });
    let mut second = server.connect("/ws/other").welcomed();
    feed_until(&mut second, |feed| feed["state"] == "down");
    server.wait_for_log(|line| {
        line["message"]
            .as_str()
            .is_some_and(|message| message.starts_with("[WS other]") && message.contains("MAX_UPSTREAM_CONNECTIONS"))
    });
}
