//! Owns the tests of upstreams that are connected and send nothing (H8), and of what answers a
//! heartbeat.

use serde_json::json;

use super::{Rig, data, of_type, up_to};

#[test]
fn h8_a_connection_that_answers_pings_and_sends_nothing_is_replaced_with_a_gap_and_unhealthy_while_it_lasts() {
    let keys = ["reconnect_after_ms: 300", "heartbeat: { interval_ms: 50, timeout_ms: 5000 }"];
    let rig = Rig::with(&keys, &[]);
    let mut client = rig.subscriber(&["T.O:A"]);
    rig.fake.publish("T.O:A", json!({"n": 1}));
    data(&mut client, "T.O:A");
    rig.fake.wait_for_ever(3);
    let health = || rig.server.get("/api/ws-health");
    rig.server.wait_until(|| health().status == 503, "503 while nothing comes");
    assert_eq!(health().json()["healthy"], false);
    rig.server.wait_for_line(|line| line.contains("upstream is left: nothing came for").then_some(()));
    rig.server.wait_until(|| rig.fake.try_publish(&[("T.O:A", json!({"n": 2}))]) > 0, "a connection with the topic");
    let frames = up_to(&mut client, "T.O:A", 2);
    assert!(!of_type(&frames, "gap").is_empty(), "{frames:?}");
    rig.server.wait_until(
        || {
            rig.fake.try_publish(&[("T.O:A", json!({"n": 3}))]);
            health().status == 200
        },
        "200 when values come",
    );
}

#[test]
fn what_answers_a_heartbeat_reaches_subscribers_all_the_same() {
    let rig = Rig::with(&["heartbeat: { interval_ms: 1000, timeout_ms: 60000, expect: { /ev: \"*\" } }"], &[]);
    let mut client = rig.subscriber(&["T.O:A"]);
    for n in 1..=10 {
        rig.fake.publish("T.O:A", json!({"n": n}));
        assert_eq!(data(&mut client, "T.O:A")["data"]["n"], n);
    }
    rig.server.wait_for_metric("innkeeper_hub_messages_total{hub=\"options\"}", 10.0);
    assert_eq!(rig.server.metric("innkeeper_hub_unusable_total{hub=\"options\"}"), 0.0);
}
