//! Owns the tests of DURABILITY, and of a deploy: SIGTERM, then the next process (D1, D4).

use crate::support::{Absent, Server, Witness, assert_agreement};
use serde_json::{Value, json};

/// Alice has said one thing in each of these games; the server is killed and started again.
fn over_a_restart<const N: usize>(server: &mut Server, games: [&str; N]) -> [(Absent, Value); N] {
    let said = games.map(|game| {
        let mut alice = Witness::join(server, &format!("/ws/{game}/alice"));
        alice.request(&json!({"type": "patch", "id": 1, "patch": {"a": 1}}));
        alice
    });
    server.kill();
    server.restart();
    said.map(|alice| {
        let epoch = alice.client.welcome["epoch"].clone();
        (alice.orphaned(), epoch)
    })
}

/// The room began anew, and says so.
fn assert_reset(server: &Server, absent: Absent, epoch: &Value) {
    let alice = absent.resume(server);
    let welcome = &alice.client.welcome;
    assert_eq!((&welcome["resume"], &welcome["state"]), (&json!("reset"), &json!({})));
    assert!(welcome["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{welcome}");
    assert_eq!((&welcome["last_id"], &welcome["players"]), (&json!(0), &json!({"alice": "joined"})));
    assert_ne!(&welcome["epoch"], epoch);
}

#[test]
fn d1_in_memory_a_restart_is_a_reset_that_says_why() {
    let mut server = Server::start(&[("DURABILITY", "memory")]);
    let [(alice, epoch)] = over_a_restart(&mut server, ["g"]);
    assert_reset(&server, alice, &epoch);
}

#[test]
fn d1_a_prefix_in_memory_is_reset_while_the_other_games_go_on_and_the_other_way_round() {
    for (all, fast) in [("journal", "memory"), ("memory", "sync")] {
        let games = format!("fast-={fast}");
        let mut server = Server::start(&[("DURABILITY", all), ("GAME_DURABILITY", &games)]);
        let [in_fast, in_other] = over_a_restart(&mut server, ["fast-1", "slow-1"]);
        let ((lost, its_epoch), (kept, epoch)) =
            if all == "journal" { (in_fast, in_other) } else { (in_other, in_fast) };
        assert_reset(&server, lost, &its_epoch);
        kept.resume_without_loss(&server, &epoch).request(&json!({"type": "send", "id": 2, "data": 1}));
    }
}

#[test]
fn d4_after_sigterm_the_next_process_takes_the_same_sessions() {
    let mut server = Server::start(&[("DRAIN_SPREAD_MS", "500")]);
    let mut alice = Witness::join(&server, "/ws/g/alice");
    let bob = Witness::join(&server, "/ws/g/bob");
    let absent = Witness::join(&server, "/ws/g/carol").cut();
    alice.until(|frame| frame["player"] == "carol" && frame["status"] == "away");
    let epoch = alice.client.welcome["epoch"].clone();
    for id in 1..=50 {
        alice.client.send(&json!({"type": "send", "id": id, "data": id}));
    }
    alice.until(|frame| frame["id"] == 50);
    server.signal("TERM");
    let players: Vec<Absent> = [alice, bob]
        .map(|mut player| {
            let (code, last) = end_of(&mut player);
            assert_eq!((code, &last["type"], &last["code"]), (1012, &json!("going_away"), &json!(1012)));
            assert!(last["reconnect_after_ms"].as_u64().is_some_and(|slot| slot < 500), "{last}");
            player.cut()
        })
        .into_iter()
        .chain([absent])
        .collect();
    assert_eq!(server.wait().code(), Some(0));
    server.restart();
    let mut players: Vec<Witness> =
        players.into_iter().map(|player| player.resume_without_loss(&server, &epoch)).collect();
    assert_eq!(players[0].client.welcome["last_id"], 50);
    let mark = players[0].say(51, "after");
    for player in &mut players[1..] {
        player.until(|frame| frame["seq"] == mark);
    }
    assert_agreement(&players.iter().collect::<Vec<_>>());
}

/// The close code, and the frame before it.
fn end_of(player: &mut Witness) -> (u16, Value) {
    let mut last = Value::Null;
    loop {
        match player.try_next() {
            Ok(frame) => last = frame,
            Err(ended) => return (ended.code, last),
        }
    }
}
