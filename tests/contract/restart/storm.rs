//! Owns the test of a server that is killed again and again while all clients send (S3, S2, R5).
//! TEST_SEED repeats a run, as far as the machine lets it.

use std::{thread, time::Duration};

use crate::support::{Absent, Server, Witness, assert_agreement, seed};
use serde_json::{Value, json};

const PLAYERS: usize = 3;
const ROUNDS: usize = 6;

/// Sends ids behind `sent` and reads some of what comes, until the server is gone. Returns the last
/// id that was sent.
fn send_until_the_end(mut player: Witness, mut sent: u64, mut random: fastrand::Rng) -> (Absent, u64) {
    loop {
        let burst = random.usize(1..=8);
        for _ in 0..burst {
            if !player.client.try_send(&json!({"type": "send", "id": sent + 1, "data": sent + 1})) {
                return (player.orphaned(), sent);
            }
            sent += 1;
        }
        // Its own messages alone are as many.
        for _ in 0..random.usize(0..=burst) {
            if player.try_next().is_err() {
                return (player.orphaned(), sent);
            }
        }
    }
}

/// The ids of a player's messages, in the order of the log.
fn ids(events: &[Value], name: &str) -> Vec<u64> {
    let own = events.iter().filter(|event| event["type"] == "message" && event["from"] == name);
    own.map(|event| event["id"].as_u64().expect("an id")).collect()
}

#[test]
fn s3_what_anybody_saw_before_a_kill_is_there_after_it_and_every_id_is_applied_exactly_once() {
    let mut random = fastrand::Rng::with_seed(seed());
    let settings = [("MESSAGE_RATE", "1000000"), ("MESSAGE_BURST", "1000000"), ("OUTBOX_BYTES", "64m")];
    let history = [("HISTORY_EVENTS", "1000000"), ("HISTORY_BYTES", "256m"), ("HISTORY_AGE", "3600")];
    let mut server = Server::start(&[settings.as_slice(), &history].concat());
    let join = |n| Witness::join(&server, &format!("/ws/g/p{n}"));
    let mut players: Vec<(Witness, u64)> = (0..PLAYERS).map(|n| (join(n), 0)).collect();
    let epoch = players[0].0.client.welcome["epoch"].clone();
    let mut unseen = 0;
    for _ in 0..ROUNDS {
        let running: Vec<_> = players
            .drain(..)
            .map(|(player, sent)| {
                let random = random.fork();
                thread::spawn(move || send_until_the_end(player, sent, random))
            })
            .collect();
        // Not a wait for anything: the moment of the kill is the random input.
        thread::sleep(Duration::from_micros(random.u64(1_000..150_000)));
        server.kill();
        let orphans: Vec<_> = running.into_iter().map(|player| player.join().expect("a player")).collect();
        server.restart();
        for (orphan, sent) in orphans {
            let player = orphan.resume_without_loss(&server, &epoch);
            let newest = ids(&player.events, player.name()).last().copied().unwrap_or(0);
            let last_id = player.client.welcome["last_id"].as_u64().expect("last_id");
            assert!((newest..=sent).contains(&last_id), "saw {newest}, sent {sent}, last_id {last_id}");
            unseen += last_id - newest;
            players.push((player, last_id));
        }
        // Everybody reads up to the same event.
        let (first, sent) = &mut players[0];
        *sent += 1;
        let mark = first.say(*sent, "mark");
        for (player, _) in &mut players[1..] {
            player.until(|frame| frame["seq"] == mark);
        }
        assert_agreement(&players.iter().map(|(player, _)| player).collect::<Vec<_>>());
        for (player, last_id) in &players {
            let applied = ids(&players[0].0.events, player.name());
            assert!(applied.into_iter().eq(1..=*last_id), "{}: each id up to {last_id} once", player.name());
        }
    }
    let sent: u64 = players.iter().map(|(_, sent)| sent).sum();
    eprintln!("{sent} messages, {unseen} of them stored though their senders had not seen them yet");
    assert!(sent > ROUNDS as u64, "the kills came before anything was said");
}
