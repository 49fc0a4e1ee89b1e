//! Owns the tests of verdicts after the store was tampered with: no client gets `continuous`
//! although events are lost (R3).

use std::fs;

use crate::support::{Absent, DataDir, Server, Witness, seed};
use serde_json::{Value, json};

/// The directory as it was after the first of two lives, and who knows what at the end of the
/// second.
struct Story {
    server: Server,
    /// Of the end of the first life.
    older: DataDir,
    epoch: Value,
    /// Saw events of the second life.
    alice: Absent,
    /// Came in the second life.
    carol: Absent,
    /// Saw the first life only, and not to its end.
    bob: Absent,
}

fn two_lives() -> Story {
    let mut server = Server::start(&[]);
    let mut alice = Witness::join(&server, "/ws/g/alice");
    let mut bob = Witness::join(&server, "/ws/g/bob");
    let epoch = alice.client.welcome["epoch"].clone();
    for id in 1..=3 {
        alice.request(&json!({"type": "patch", "id": id, "patch": {"n": id}}));
    }
    bob.until(|frame| frame["id"] == 3);
    let bob = bob.cut();
    alice.until(|frame| frame["status"] == "away");
    alice.say(4, "bob misses this");
    server.kill();
    let alice = alice.orphaned();
    let older = server.data().copy();
    server.restart();
    let mut alice = alice.resume_without_loss(&server, &epoch);
    let mut carol = Witness::join(&server, "/ws/g/carol");
    for id in 5..=12 {
        alice.request(&json!({"type": "patch", "id": id, "patch": {"n": id}}));
    }
    carol.until(|frame| frame["id"] == 12);
    server.kill();
    Story { alice: alice.orphaned(), carol: carol.orphaned(), server, older, epoch, bob }
}

/// No promise of continuity: a reason, and the whole state.
fn assert_no_promise(absent: &Absent, server: &Server) {
    let back = absent.clone().resume(server);
    let welcome = &back.client.welcome;
    assert_ne!(welcome["resume"], "continuous", "after {}: {welcome}", absent.seat.seen);
    assert!(welcome["state"].is_object(), "{welcome}");
    assert!(welcome["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{welcome}");
}

#[test]
fn r3_when_the_directory_is_gone_everybody_is_reset() {
    let Story { mut server, alice, bob, carol, epoch, .. } = two_lives();
    server.data().remove();
    server.restart();
    for absent in [alice, bob, carol] {
        let back = absent.resume(&server);
        let welcome = &back.client.welcome;
        assert_eq!((&welcome["resume"], &welcome["last_id"]), (&json!("reset"), &json!(0)), "{welcome}");
        assert_eq!(welcome["state"], json!({}));
        assert_ne!(welcome["epoch"], epoch);
    }
}

#[test]
fn r3_an_older_copy_of_the_directory_promises_nothing_at_once_to_whoever_saw_newer_events() {
    let Story { mut server, older, alice, bob, carol, epoch } = two_lives();
    server.data().take(&older, |_| true);
    server.restart();
    assert_no_promise(&alice, &server);
    assert_no_promise(&carol, &server);
    let mut known = bob.resume_without_loss(&server, &epoch);
    let missed = known.drain();
    assert!(missed.iter().any(|event| event["data"] == "bob misses this"), "all that the copy holds: {missed:?}");
    assert!(missed.iter().all(|event| event["type"] != "patch"), "and nothing of the life that was undone: {missed:?}");
}

#[test]
fn r3_an_older_copy_of_the_directory_promises_nothing_when_the_room_has_passed_the_old_seq_again_either() {
    let Story { mut server, older, alice, bob, carol, epoch } = two_lives();
    server.data().take(&older, |_| true);
    server.restart();
    let mut dave = Witness::join(&server, "/ws/g/dave");
    let newest = alice.seat.seen.max(carol.seat.seen);
    let mut said = 0;
    while said < 30 || dave.client.seen <= newest + 10 {
        said += 1;
        assert!(said < 200, "seqs ascend: {} is not behind {newest}", dave.client.seen);
        dave.say(said, said);
    }
    assert_no_promise(&alice, &server);
    assert_no_promise(&carol, &server);
    let mut bob = bob.resume_without_loss(&server, &epoch);
    let missed = bob.drain();
    let from_dave = missed.iter().filter(|event| event["from"] == "dave").count();
    assert_eq!(from_dave as u64, said, "bob is told everything: {missed:?}");
}

#[test]
fn r3_an_older_copy_of_the_database_alone_promises_nothing_to_anybody() {
    let is_database = |name: &str| name.starts_with("innkeeper.db");
    let Story { mut server, older, alice, bob, carol, .. } = two_lives();
    let files = server.data().files();
    assert!(files.iter().any(|name| is_database(name)) && !files.iter().all(|name| is_database(name)), "{files:?}");
    server.data().take(&older, is_database);
    server.restart();
    for absent in [&bob, &alice, &carol] {
        assert_no_promise(absent, &server);
    }
}

/// Cuts off the last bytes of a file, or overwrites them.
fn damage(data: &DataDir, name: &str, random: &mut fastrand::Rng) -> String {
    let mut bytes = fs::read(data.file(name)).expect("a file");
    let longest = bytes.len().min(if random.bool() { 64 } else { 8192 });
    let (count, cut) = (random.usize(1..=longest), random.bool());
    let kept = bytes.len() - count;
    if cut {
        bytes.truncate(kept);
    } else {
        bytes[kept..].iter_mut().for_each(|byte| *byte ^= random.u8(1..));
    }
    fs::write(data.file(name), bytes).expect("written");
    format!("the last {count} bytes of {name} {}", if cut { "cut off" } else { "garbled" })
}

/// What the verdict says is held against `truth`, all events there were before the kill.
fn assert_truthful(absent: &Absent, truth: &Absent, epoch: &Value, last_id: u64, server: &Server, what: &str) {
    let seen = absent.seat.seen;
    let mut back = absent.clone().resume(server);
    let welcome = back.client.welcome.clone();
    let missed = back.drain();
    let context = format!("{what}; after {seen}: {welcome}, then {missed:?}");
    // Presence of the restart, and what an earlier call of this function said.
    let follows = |needed: &[Value]| {
        assert!(missed.starts_with(needed), "needed {needed:?}: {context}");
        let mut newer = missed[needed.len()..].iter();
        assert!(
            newer.all(|event| event["type"] == "presence" || event["data"] == "on"),
            "nothing else came: {context}"
        );
    };
    match welcome["resume"].as_str() {
        Some("continuous") => {
            assert_eq!((&welcome["epoch"], &welcome["last_id"]), (epoch, &json!(last_id)), "{context}");
            follows(&truth.behind(seen));
        }
        Some("snapshot") => {
            assert_eq!((&welcome["epoch"], &welcome["last_id"]), (epoch, &json!(last_id)), "{context}");
            assert_eq!(welcome["lost"][0], seen + 1, "{context}");
            follows(&truth.behind(welcome["lost"][1].as_u64().expect("a range")));
            let changed = truth.events.iter().rev().find(|event| event["type"] == "patch");
            assert_eq!(Some(&welcome["state"]), changed.map(|event| &event["patch"]), "{context}");
        }
        Some("reset") => {
            assert!(welcome["reason"].is_string() && welcome["state"].is_object(), "{context}");
        }
        _ => panic!("no other verdict is true: {context}"),
    }
    // Whatever was said, from here on it holds: what is sent now is new, and comes once.
    let next = welcome["last_id"].as_u64().expect("last_id") + 1;
    assert!(back.say(next, "on") > welcome["seq"].as_u64().expect("a seq"), "{context}");
}

#[test]
fn r3_a_damaged_database_never_leads_to_a_wrong_verdict() {
    let mut random = fastrand::Rng::with_seed(seed());
    let Story { server, alice, bob, epoch, .. } = two_lives();
    let mut damaged = 0;
    for name in ["innkeeper.db", "innkeeper.db-wal"] {
        for _ in 0..8 {
            let data = server.data().copy();
            if !fs::metadata(data.file(name)).is_ok_and(|file| file.len() > 0) {
                continue;
            }
            let what = damage(&data, name, &mut random);
            damaged += 1;
            let server = Server::start(&[("DATA_DIR", data.path())]);
            let players = [(&alice, 12), (&bob, 0)];
            let first = random.usize(..2);
            for (absent, last_id) in [players[first], players[1 - first]] {
                assert_truthful(absent, &alice, &epoch, last_id, &server, &what);
            }
        }
    }
    assert!(damaged > 0, "nothing was stored: {:?}", server.data().files());
}

#[test]
fn r3_forged_secrets_and_seqs_that_never_were_get_nothing_right_after_a_restart_either() {
    let mut server = Server::start(&[]);
    let names = ["p0", "p1", "p2", "p3", "p4", "p5", "p6"];
    let players = names.map(|name| Witness::join(&server, &format!("/ws/g/{name}")));
    let epoch = players[0].client.welcome["epoch"].clone();
    server.kill();
    server.restart();
    let players = players.map(Witness::orphaned);
    let real = &players[0].seat;
    let session = |player: usize, text: &str| {
        let mut forged = players[player].clone();
        forged.seat.session = text.to_owned();
        forged
    };
    let own = |player: usize| players[player].seat.session.clone();
    let changed = |text: &str| {
        let (rest, last) = text.split_at(text.len() - 1);
        format!("{rest}{}", if last == "0" { "1" } else { "0" })
    };
    let half = own(2)[..own(2).len() / 2].to_owned();
    for (forged, what) in [
        (session(1, &changed(&own(1))), "one character is another"),
        (session(2, &half), "half of it"),
        (session(3, &real.session), "another player's"),
        (session(4, &format!("{}0", own(4))), "one character more"),
    ] {
        let back = forged.resume(&server);
        let welcome = &back.client.welcome;
        assert!(welcome["resume"] == "new" || welcome["resume"] == "reset", "{what}: {welcome}");
        assert_ne!(welcome["session"], *real.session, "{what}");
    }
    for (player, ahead) in [(5, players[5].seat.seen + 1000), (6, (1 << 53) - 1)] {
        let seat = players[player].seat.at(ahead);
        let back = server.resume(&seat);
        let welcome = &back.welcome;
        assert_eq!(welcome["resume"], "reset", "{ahead}: {welcome}");
        assert!(welcome["reason"].is_string() && welcome["state"].is_object(), "{ahead}: {welcome}");
    }
    let mut honest = players[0].clone().resume_without_loss(&server, &epoch);
    let missed = honest.drain();
    assert_eq!(super::statuses(&missed, "p0"), ["away", "back"], "the honest one is unharmed: {missed:?}");
}
