//! Owns the tests of what the histories of all rooms take together (S14).

use crate::support::{Client, Server};
use serde_json::json;

fn fill(client: &mut Client, messages: u64) {
    let first = client.welcome["last_id"].as_u64().expect("an id") + 1;
    for id in first..first + messages {
        client.send(&json!({"type": "send", "id": id, "data": "x".repeat(10_000)}));
        client.until(|frame| frame["id"] == id);
    }
}

#[test]
fn s14_past_the_bound_of_all_histories_those_that_were_quiet_longest_are_cut_first() {
    let settings = [("HISTORY_TOTAL_BYTES", "512k"), ("SHARDS", "2"), ("BYTE_BURST", "1024m")];
    let server = Server::start(&settings);
    let quiet: Vec<_> = (0..4)
        .map(|n| {
            let mut client = server.connect(&format!("/ws/quiet-{n}/alice")).welcomed();
            let seat = client.seat().at(client.seen);
            fill(&mut client, 10);
            client.cut();
            seat
        })
        .collect();
    for seat in &quiet {
        let client = server.resume(seat);
        assert_eq!(client.verdict(), "continuous", "within the bound everything is there");
        client.cut();
    }
    // `back` and `away` have touched the rooms in the same order.
    let mut busy = server.connect("/ws/busy/bob").welcomed();
    let before = busy.seat();
    fill(&mut busy, 25);
    server.wait_until(|| server.metric("innkeeper_histories_cut_total") >= 2.0, "the quiet rooms' cut");
    busy.cut();
    let verdicts: Vec<String> = quiet.iter().map(|seat| server.resume(seat).verdict().to_owned()).collect();
    assert_eq!((&*verdicts[0], &*verdicts[1], &*verdicts[3]), ("snapshot", "snapshot", "continuous"));
    let busy = server.resume(&before);
    assert_eq!(busy.verdict(), "continuous");
    assert!(server.metric("innkeeper_history_bytes") <= 600.0 * 1024.0);
}
