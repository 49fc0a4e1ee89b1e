//! Owns the tests of upstream connections when the server stops (D4).

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Rig, data, feed};
use crate::fakes::{Fake, Massive};

/// Waits until the server has stopped; everything was done in time.
fn stopped(rig: &mut Rig) {
    assert!(rig.server.wait().success());
    let stopped = rig.server.wait_for_log(|line| line["message"] == "stopped");
    assert_eq!(stopped["drained"], true, "{stopped}");
}

#[test]
fn d4_the_upstream_gets_a_close_frame_when_the_server_stops_and_clients_go_as_always() {
    let mut rig = Rig::start();
    let mut client = rig.subscriber(&["T.O:A"]);
    rig.fake.publish("T.O:A", json!({"n": 1}));
    data(&mut client, "T.O:A");
    rig.server.signal("TERM");
    rig.fake.wait("a close", |desk| (desk.closes == [1001]).then_some(()));
    let last = client.until_type("going_away");
    assert_eq!(last["code"], 1012, "{last}");
    drop(client);
    stopped(&mut rig);
    assert_eq!(rig.fake.look(|desk| (desk.ever, desk.now())), (1, 0), "it did not come back");
}

#[test]
fn d4_a_connection_that_only_lingers_is_closed_too() {
    let mut rig = Rig::with(&["linger_ms: 600000"], &[]);
    let client = rig.subscriber(&["T.O:A"]);
    client.close();
    rig.wait_for_health("nobody is there", |health| health["totalClients"] == 0);
    rig.server.signal("TERM");
    stopped(&mut rig);
    rig.fake.wait("a close", |desk| (desk.closes == [1001]).then_some(()));
}

#[test]
fn d4_an_upstream_that_does_not_answer_holds_nothing_up() {
    let ways: [fn(&Fake<Massive>); 3] = [Fake::mute, Fake::freeze, |fake| {
        fake.answer_nobody();
        fake.cut();
    }];
    for way in ways {
        let mut rig = Rig::with(&[], &[("DRAIN_TIMEOUT", "60")]);
        let mut client = rig.subscriber(&["T.O:A"]);
        let attempts = rig.fake.look(|desk| desk.attempts.len());
        way(&rig.fake);
        if rig.fake.look(|desk| desk.links.is_empty()) {
            feed(&mut client, "connecting");
            rig.fake.wait("a handshake", |desk| (desk.attempts.len() > attempts).then_some(()));
        }
        drop(client);
        let begun = Instant::now();
        rig.server.signal("TERM");
        stopped(&mut rig);
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    }
}
