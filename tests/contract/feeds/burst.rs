//! Owns the tests of frames of the upstream with thousands of values (H8): they go whole to
//! subscribers that keep up.

use serde_json::{Value, json};

use super::{Rig, data};
use crate::support::Client;

/// Reads values up to this number: each comes, in order, and nothing else does.
fn reads_all(client: &mut Client, topic: &str, first: u64, last: u64) {
    for n in first..=last {
        let frame = client.until(|frame| frame["type"] == "data" || frame["type"] == "gap" || frame["type"] == "error");
        assert_eq!((&frame["topic"], &frame["data"]["n"], &frame["seq"]), (&json!(topic), &json!(n), &json!(n)));
    }
}

#[test]
fn h8_a_frame_with_thousands_of_values_goes_whole_to_whoever_keeps_up() {
    let rig = Rig::with(&[], &[("SHARDS", "2")]);
    let mut clients: Vec<_> = (0..3).map(|_| rig.subscriber(&["T.O:A"])).collect();
    let mut last = 0;
    for count in [1500, 3000, 10_000] {
        let values: Vec<(&str, Value)> = (1..=count).map(|n| ("T.O:A", json!({"n": last + n}))).collect();
        rig.fake.publish_all(&values);
        for client in &mut clients {
            reads_all(client, "T.O:A", last + 1, last + count);
        }
        last += count;
    }
    assert_eq!(rig.server.metric("innkeeper_hub_gaps_total{hub=\"options\"}"), 0.0);
}

#[test]
fn h8_thousands_of_small_frames_at_once_go_whole_as_well() {
    let rig = Rig::start();
    let mut client = rig.subscriber(&["T.O:A"]);
    for n in 1..=5000 {
        rig.fake.publish("T.O:A", json!({"n": n}));
    }
    reads_all(&mut client, "T.O:A", 1, 5000);
}

#[test]
fn h8_a_frame_goes_whole_to_a_client_whose_socket_is_full_for_a_moment() {
    let rig = Rig::with(&[], &[("OUTBOX_BYTES", "4m")]);
    let mut client = rig.subscriber(&["T.O:A"]);
    socket2::SockRef::from(client.stream()).set_recv_buffer_size(16 * 1024).expect("a small buffer");
    let pad = "x".repeat(200);
    let values: Vec<(&str, Value)> = (1..=8000).map(|n| ("T.O:A", json!({"n": n, "pad": pad}))).collect();
    rig.fake.publish_all(&values);
    rig.server.wait_for_metric("innkeeper_hub_messages_total{hub=\"options\"}", 8000.0);
    reads_all(&mut client, "T.O:A", 1, 8000);
    rig.fake.publish("T.O:A", json!({"n": 8001}));
    assert_eq!(data(&mut client, "T.O:A")["data"]["n"], 8001);
}
