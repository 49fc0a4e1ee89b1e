//! Owns the churn test: 2,000 subscribers over 300 topics, and what the upstream receives (H2, H4,
//! H6).

use std::{
    sync::mpsc::{self, RecvTimeoutError},
    time::{Duration, Instant},
};

use fastrand::Rng;
use serde_json::json;

use super::{Rig, crowd::Crowd};
use crate::support::seed;

const CLIENTS: usize = 2000;
const TOPICS: usize = 300;
/// How many of twenty leave in each round: in some nearly all, so that many topics are held by
/// nobody.
const LEAVING: [u8; 9] = [2, 2, 19, 1, 5, 19, 3, 19, 2];
/// In this round the upstream is lost in the middle of it all.
const LOSS: u64 = 5;

#[test]
fn h2_the_upstream_has_what_2000_clients_hold_whatever_they_do_over_one_connection() {
    let mut rng = Rng::with_seed(seed());
    let rig = Rig::with(&["batch: 50", "messages_per_second: 200", "max_topics: 300"], &[]);
    let mut topics: Vec<_> = (0..TOPICS).map(|n| format!("T.O:{n:03}")).collect();
    topics.sort();
    let mut crowd = Crowd::new(CLIENTS, &mut rng);
    for (round, leaving) in (1..).zip(LEAVING) {
        let begun = Instant::now();
        std::thread::scope(|scope| {
            let (mut rng, fake, topics) = (rng.fork(), &rig.fake, &topics);
            // Dropped at the end, also when that is a panic.
            let (_churning, is_over) = mpsc::channel::<()>();
            scope.spawn(move || {
                let mut n = 0;
                // Some values in between, not as many as there can be.
                while is_over.recv_timeout(Duration::from_millis(2)) == Err(RecvTimeoutError::Timeout) {
                    n += 1;
                    fake.try_publish(&[(&topics[rng.usize(..TOPICS)], json!({"n": n}))]);
                    if round == LOSS && n == 20 {
                        fake.cut();
                    }
                }
            });
            crowd.churn(&rig.server, topics, leaving);
        });
        let held = crowd.held();
        let names = held.iter().map(|topic| topics[*topic].as_str()).collect::<Vec<_>>();
        rig.fake.wait_for_topics(&names);
        rig.fake.assert_tidy();
        // At rest: nobody has less or more than it wants, and the newest of it.
        rig.fake.publish_all(&names.iter().map(|name| (*name, json!({"last": round}))).collect::<Vec<_>>());
        crowd.read_up_to(&topics, round);
        rig.wait_for_health("the whole crowd", |health| {
            health["totalClients"] == crowd.present()
                && health["topics"] == names.len()
                && health["upstreamConnections"] == 1
        });
        rig.fake.wait_for_topics(&names);
        let (present, subscriptions) = (crowd.present(), crowd.subscriptions());
        eprintln!(
            "round {round}: {present} clients, {subscriptions} subscriptions of {} topics, {:?}",
            held.len(),
            begun.elapsed()
        );
        let many = present > CLIENTS / 2 && subscriptions > present && held.len() > TOPICS / 2;
        let few = present > 0 && present < CLIENTS / 4 && held.len() < TOPICS * 9 / 10;
        assert!(if leaving < 10 { many } else { few }, "that was no churn");
    }
    crowd.leave();
    rig.fake.wait_for_connections(0);
    rig.wait_for_health("nobody", |health| {
        health["totalClients"] == 0 && health["topics"] == 0 && health["upstreamConnections"] == 0
    });
    rig.fake.assert_tidy();
    let (ever, closes) = rig.fake.look(|desk| (desk.ever, desk.closes.clone()));
    assert_eq!((ever, &closes[..]), (2, &[1000][..]), "one connection, its successor after the loss, and their ends");
}
