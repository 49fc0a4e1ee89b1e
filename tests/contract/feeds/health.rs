//! Owns the tests of what operators see of hubs (H7), and of the bound for all upstream
//! connections.

use std::time::Instant;

use serde_json::{Value, json};

use super::{Config, KEY, Rig, data, feed, over, subscribe, up_to};
use crate::{
    fakes::{Fake, Massive},
    support::Server,
};

fn health(server: &Server) -> (u16, Value) {
    let response = server.get("/api/ws-health");
    (response.status, response.json())
}

#[test]
fn h7_hubs_that_nobody_uses_or_that_are_off_are_listed_and_healthy() {
    let server = Server::start(&[]);
    let (status, health) = health(&server);
    assert_eq!((status, &health["healthy"]), (200, &json!(true)), "{health}");
    let timestamp = health["timestamp"].as_str().expect("a time");
    assert!(timestamp.len() >= 20 && timestamp.as_bytes()[10] == b'T' && timestamp.ends_with('Z'), "{timestamp}");
    assert_eq!(health["limits"], json!({"maxUpstreamConnections": 5, "maxClients": 10000}));
    for hub in ["options", "indices"] {
        let expected = json!({"totalClients": 0, "topics": 0, "upstreamConnections": 0, "connectionState": "disconnected",
            "feedState": "disconnected", "reconnectAttempts": 0, "lastMessageAgeMs": null, "enabled": false, "provider": format!("massive-{hub}")});
        assert_eq!(health["metrics"][hub], expected, "off, for want of a key");
    }
    let on =
        Server::start(&[("MASSIVE_API_KEY", KEY), ("MAX_UPSTREAM_CONNECTIONS", "2"), ("MAX_WS_CONNECTIONS", "77")]);
    let (status, health) = self::health(&on);
    assert_eq!((status, &health["limits"]), (200, &json!({"maxUpstreamConnections": 2, "maxClients": 77})));
    let metrics = &health["metrics"]["options"];
    assert_eq!(metrics["connectionState"], "disconnected", "{metrics}");
    assert_ne!(metrics["enabled"], false, "{metrics}");
}

#[test]
fn h7_clients_topics_connections_and_the_age_of_the_last_message_are_counted() {
    let rig = Rig::start();
    let mut a = rig.subscriber(&["T.O:A", "T.O:B"]);
    let _b = rig.subscriber(&["T.O:B", "Q.O:B"]);
    let idle = rig.client();
    rig.fake.publish("T.O:A", json!({"n": 1}));
    data(&mut a, "T.O:A");
    rig.wait_for_health("all counts", |health| {
        let count = |name: &str| health[name].as_u64();
        (count("totalClients"), count("topics"), count("upstreamConnections")) == (Some(3), Some(3), Some(1))
            && health["feedState"] == "live"
            && health["connectionState"] == "connected"
            && health["lastMessageAgeMs"].is_u64()
    });
    rig.wait_for_health("its age", |health| health["lastMessageAgeMs"].as_u64() >= Some(30));
    // Of the second message it is no older than that.
    let said = Instant::now();
    rig.fake.publish("T.O:A", json!({"n": 2}));
    data(&mut a, "T.O:A");
    let age = rig.health()["lastMessageAgeMs"].as_u64().expect("an age");
    // Between two readings of a clock of whole milliseconds there may seem to be one more.
    assert!(u128::from(age) <= said.elapsed().as_millis() + 1, "{age} ms old, and said {:?} ago", said.elapsed());
    drop((a, idle));
    rig.wait_for_health("those who are left", |health| health["totalClients"] == 1 && health["topics"] == 2);
}

#[test]
fn h7_it_is_unhealthy_while_clients_are_kept_waiting_and_healthy_when_nobody_is_or_all_is_well() {
    let mut rig = Rig::start();
    rig.fake.down();
    assert_eq!(health(&rig.server).0, 200, "nobody waits for it");
    let mut client = rig.client();
    client.until(|frame| frame["type"] == "feed" && frame["attempt"].as_u64() >= Some(3));
    rig.server.wait_until(|| health(&rig.server).0 == 503, "unhealthy");
    // Attempt after attempt.
    for _ in 0..30 {
        let (status, answer) = health(&rig.server);
        assert_eq!((status, &answer["healthy"]), (503, &json!(false)), "{answer}");
    }
    assert_eq!(rig.server.get("/health").status, 200, "the process is alive");
    assert_eq!(rig.server.get("/ready").status, 200, "and has other things to do");
    rig.fake.up();
    feed(&mut client, "live");
    rig.server.wait_until(|| health(&rig.server).0 == 200, "healthy");
    rig.fake.down();
    rig.server.wait_until(|| health(&rig.server).0 == 503, "unhealthy again");
    client.close();
    rig.server.wait_until(|| health(&rig.server).0 == 200, "nobody waits any more");
}

#[test]
fn h7_all_hubs_together_have_only_so_many_upstream_connections() {
    let fake = Fake::start(Massive::new(KEY));
    let quick = ["linger_ms: 30", "backoff: { base_ms: 5, max_ms: 50, stable_after_ms: 600000 }"];
    let [options, indices] = ["provider: massive-options", "provider: massive-indices"].map(|key| over(&quick, &[key]));
    let config = Config::new(&[("options", &options), ("indices", &indices)]);
    let url = fake.url("");
    let server = config.start(&[("MASSIVE_WS_URL", &url), ("MASSIVE_API_KEY", KEY), ("MAX_UPSTREAM_CONNECTIONS", "1")]);
    let mut first = server.connect("/ws/options").welcomed();
    assert!(["connecting", "live"].contains(&subscribe(&mut first, &["T.O:A"]).as_str()));
    fake.wait_for_topics(&["T.O:A"]);
    let mut second = server.connect("/ws/indices").welcomed();
    feed(&mut second, "down");
    subscribe(&mut second, &["V.I:SPX"]);
    second.until(|frame| frame["type"] == "feed" && frame["attempt"].as_u64() >= Some(3));
    assert_eq!(fake.look(|desk| desk.attempts.len()), 1, "it did not even knock");
    let health = health(&server).1;
    assert_eq!(health["metrics"]["options"]["upstreamConnections"], 1, "{health}");
    assert_eq!(health["metrics"]["indices"]["upstreamConnections"], 0, "{health}");
    // The place is free when the first hub has no clients any more.
    first.close();
    feed(&mut second, "live");
    fake.wait_for_topics(&["V.I:SPX"]);
    fake.publish("V.I:SPX", json!({"val": 4000.5}));
    assert_eq!(data(&mut second, "V.I:SPX")["data"], json!({"ev": "V", "T": "I:SPX", "val": 4000.5}));
    assert_eq!(fake.look(|desk| desk.targets.join(" ")), "/options /indices");
    fake.assert_tidy();
}

#[test]
fn h7_the_operators_feed_shows_each_hub() {
    let rig = Rig::start();
    let mut client = rig.subscriber(&["T.O:A"]);
    rig.fake.publish("T.O:A", json!({"n": 1}));
    data(&mut client, "T.O:A");
    rig.fake.cut();
    rig.fake.wait_for_ever(2);
    rig.fake.wait_for_topics(&["T.O:A"]);
    rig.fake.publish("T.O:A", json!({"n": 2}));
    up_to(&mut client, "T.O:A", 2);
    let mut ops = rig.server.connect_operator().welcomed();
    subscribe(&mut ops, &["stats"]);
    let is_so = |row: &Value| {
        let count = |name: &str| row[name].as_u64();
        (row["provider"].as_str(), row["enabled"].as_bool(), row["state"].as_str())
            == (Some("massive-options"), Some(true), Some("live"))
            && (count("clients"), count("topics"), count("upstream_connections")) == (Some(1), Some(1), Some(1))
            && (count("reconnect_attempts"), count("gaps")) == (Some(1), Some(1))
            && count("messages") >= Some(2)
            && row["last_message_age_ms"].is_u64()
    };
    let mut last = Value::Null;
    for _ in 0..10 {
        let stats = data(&mut ops, "stats")["data"].clone();
        last = stats["hubs"].as_array().into_iter().flatten().find(|row| row["hub"] == "options").cloned().into();
        if is_so(&last) {
            return;
        }
    }
    panic!("never came; the last: {last}");
}
