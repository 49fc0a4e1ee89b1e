//! Owns the tests of `kill -9` and restart on the same DATA_DIR: nothing that a client saw is lost
//! (R5, S3, D1). No test expects seqs without a gap across a restart: the contract promises none.

mod directory;
mod durability;
mod grace;
mod storm;
mod truth;

use crate::support::{Absent, Server, Witness, assert_agreement, seqs};
use serde_json::{Value, json};

/// What happened to this player, in order.
fn statuses<'a>(events: &'a [Value], player: &str) -> Vec<&'a str> {
    let own = events.iter().filter(|event| event["player"] == player);
    own.map(|event| event["status"].as_str().expect("a status")).collect()
}

/// Alice speaks, bob is cut in the middle, the server is killed. Alice has seen everything.
fn killed_in_the_middle(server: &mut Server) -> (Absent, Absent, Value) {
    let mut alice = Witness::join(server, "/ws/g/alice");
    let mut bob = Witness::join(server, "/ws/g/bob");
    let epoch = bob.client.welcome["epoch"].clone();
    for id in 1..=3 {
        alice.say(id, id);
    }
    bob.until(|frame| frame["id"] == 3);
    let bob = bob.cut();
    alice.until(|frame| frame["status"] == "away");
    for id in 4..=6 {
        alice.say(id, id);
    }
    server.kill();
    (alice.orphaned(), bob, epoch)
}

#[test]
fn r5_after_kill_9_both_players_resume_with_every_missed_event_in_order_and_chat_goes_on() {
    for durability in ["journal", "sync"] {
        let mut server = Server::start(&[("DURABILITY", durability)]);
        let (alice, bob, epoch) = killed_in_the_middle(&mut server);
        server.restart();
        let before = alice.behind(bob.seat.seen);
        let mut bob = bob.resume_without_loss(&server, &epoch);
        assert_eq!(bob.client.welcome["players"], json!({"alice": "away", "bob": "joined"}));
        let missed = bob.drain();
        assert_eq!(missed[..before.len()], before, "what alice saw, in order");
        let since = &missed[before.len()..];
        let kinds: Vec<_> = since.iter().map(|event| (&event["player"], &event["status"])).collect();
        assert_eq!(kinds, [(&json!("alice"), &json!("away")), (&json!("bob"), &json!("back"))]);

        let newest = alice.seat.seen;
        let mut alice = alice.resume_without_loss(&server, &epoch);
        assert_eq!(alice.client.welcome["last_id"], 6);
        let missed = alice.drain();
        assert_eq!(statuses(&missed, "alice"), ["away", "back"]);
        assert_eq!(statuses(&missed, "bob"), ["back"]);
        assert_eq!(missed.len(), 3, "and nothing else: {missed:?}");
        assert!(alice.say(7, "after") > newest);
        bob.until(|frame| frame["id"] == 7);
        let answer = bob.say(1, "answer");
        alice.until(|frame| frame["seq"] == answer);
        assert_agreement(&[&alice, &bob]);
    }
}

#[test]
fn s2_an_id_that_was_applied_before_the_kill_is_acknowledged_with_its_seq_and_not_applied_again() {
    let mut server = Server::start(&[]);
    let (alice, _, epoch) = killed_in_the_middle(&mut server);
    server.restart();
    let applied = alice.events.iter().filter(|event| event["type"] == "message");
    let applied: Vec<_> = applied.map(|event| (event["id"].clone(), event["seq"].clone())).collect();
    assert_eq!(applied.len(), 6);
    let mut alice = alice.resume_without_loss(&server, &epoch);
    alice.drain();
    for (id, seq) in applied {
        alice.client.send(&json!({"type": "send", "id": id, "data": "again"}));
        assert_eq!(alice.client.next(), json!({"type": "ack", "id": id, "seq": seq}));
    }
    alice.say(7, "new");
    let texts = alice.events.iter().filter(|event| event["data"] == "again").count();
    assert_eq!(texts, 0, "nothing was applied again");
}

#[test]
fn r2_the_state_survives_and_if_seq_is_still_judged_by_the_change_before_the_kill() {
    let mut server = Server::start(&[]);
    let mut alice = Witness::join(&server, "/ws/g/alice");
    alice.request(&json!({"type": "patch", "id": 1, "patch": {"a": {"b": 1}, "gone": true}}));
    let changed = alice.request(&json!({"type": "patch", "id": 2, "patch": {"a": {"c": [2]}, "gone": null}}));
    alice.say(3, "a message changes no state");
    let epoch = alice.client.welcome["epoch"].clone();
    server.kill();
    let alice = alice.orphaned();
    server.restart();
    let carol = server.connect("/ws/g/carol").welcomed();
    let welcome = &carol.welcome;
    assert_eq!((&welcome["resume"], &welcome["epoch"]), (&json!("new"), &epoch));
    assert_eq!(welcome["state"], json!({"a": {"b": 1, "c": [2]}}));
    assert_eq!(welcome["players"], json!({"alice": "away", "carol": "joined"}));

    let mut alice = alice.resume_without_loss(&server, &epoch);
    alice.drain();
    alice.client.send(&json!({"type": "patch", "id": 4, "patch": {"a": 0}, "if_seq": changed - 1}));
    let conflict = alice.client.next();
    assert_eq!((&conflict["code"], &conflict["id"]), (&json!("conflict"), &json!(4)));
    alice.request(&json!({"type": "patch", "id": 4, "patch": {"a": {"d": 4}}, "if_seq": changed}));
    let dave = server.connect("/ws/g/dave").welcomed();
    assert_eq!(dave.welcome["state"], json!({"a": {"b": 1, "c": [2], "d": 4}}));
}

#[test]
fn r5_ten_restarts_in_a_row_are_each_resumed_with_the_first_secret() {
    let mut server = Server::start(&[]);
    let mut alice = Witness::join(&server, "/ws/g/alice");
    let mut bob = Witness::join(&server, "/ws/g/bob");
    let epoch = alice.client.welcome["epoch"].clone();
    let secret = alice.client.session().to_owned();
    for round in 1..=10 {
        alice.say(round, round);
        server.kill();
        // Bob has read nothing of this round.
        let (left, right) = (alice.orphaned(), bob.cut());
        server.restart();
        alice = left.resume_without_loss(&server, &epoch);
        assert_eq!((alice.client.session(), &alice.client.welcome["last_id"]), (&*secret, &json!(round)));
        bob = right.resume_without_loss(&server, &epoch);
        let mark = bob.say(round, "mark");
        alice.until(|frame| frame["seq"] == mark);
        assert_agreement(&[&alice, &bob]);
    }
    for (player, from) in [("alice", &bob), ("bob", &alice)] {
        assert_eq!(statuses(&from.events, player).len(), 20 + usize::from(player == "bob"), "ten times away and back");
    }
}

#[test]
fn r5_a_room_that_nobody_opened_between_two_kills_is_as_it_was() {
    let mut server = Server::start(&[]);
    let (alice, bob, epoch) = killed_in_the_middle(&mut server);
    server.restart();
    // The server works, elsewhere.
    Witness::join(&server, "/ws/elsewhere/carol").say(1, "hello");
    server.kill();
    server.restart();
    let carol = server.connect("/ws/g/carol").welcomed();
    assert_eq!(carol.welcome["players"], json!({"alice": "away", "bob": "away", "carol": "joined"}));
    let before = alice.behind(bob.seat.seen);
    let mut bob = bob.resume_without_loss(&server, &epoch);
    let missed = bob.drain();
    assert_eq!(missed[..before.len()], before);
    assert_eq!(statuses(&missed, "alice"), ["away"], "once, however many kills");
    let mut alice = alice.resume_without_loss(&server, &epoch);
    let mark = alice.say(7, "mark");
    bob.until(|frame| frame["seq"] == mark);
    assert_agreement(&[&alice, &bob]);
}

#[test]
fn s10_a_spectator_resumes_across_a_restart_and_appears_in_no_presence() {
    let mut server = Server::start(&[]);
    let mut alice = Witness::join(&server, "/ws/g/alice");
    let mut watcher = Witness::join(&server, "/ws/g/watcher?spectate=1");
    let epoch = alice.client.welcome["epoch"].clone();
    let seen = alice.say(1, "seen");
    watcher.until(|frame| frame["seq"] == seen);
    let watcher = watcher.cut();
    alice.say(2, "missed");
    alice.request(&json!({"type": "send", "id": 3, "data": "private", "to": ["bob"]}));
    let last = alice.say(4, "missed too");
    server.kill();
    let alice = alice.orphaned();
    server.restart();
    let mut watcher = watcher.resume_without_loss(&server, &epoch);
    assert_eq!(watcher.client.welcome["role"], "spectator");
    assert_eq!(watcher.client.welcome["players"], json!({"alice": "away"}), "holds no seat");
    let missed = watcher.drain();
    let public: Vec<_> = alice.behind(seen).into_iter().filter(|event| event["data"] != "private").collect();
    assert_eq!(missed[..2], public);
    assert!(missed[2]["seq"].as_u64() > Some(last) && statuses(&missed, "alice") == ["away"], "{missed:?}");
    let mut alice = alice.resume_without_loss(&server, &epoch);
    assert!(statuses(&alice.drain(), "watcher").is_empty());
    let live = alice.say(5, "live");
    watcher.until(|frame| frame["seq"] == live);
}

#[test]
fn r5_private_messages_stay_private_in_what_follows_a_restart() {
    let mut server = Server::start(&[]);
    let mut alice = Witness::join(&server, "/ws/g/alice");
    let [bob, carol] = ["bob", "carol"].map(|name| Witness::join(&server, &format!("/ws/g/{name}")).cut());
    for name in ["bob", "carol"] {
        alice.until(|frame| frame["player"] == name && frame["status"] == "away");
    }
    let epoch = alice.client.welcome["epoch"].clone();
    let secret = alice.request(&json!({"type": "send", "id": 1, "data": "for bob", "to": ["bob"]}));
    let public = alice.say(2, "for all");
    server.kill();
    let alice = alice.orphaned();
    server.restart();
    for (absent, sees) in [(bob, true), (carol, false)] {
        let mut back = absent.resume_without_loss(&server, &epoch);
        let seqs = seqs(&back.drain());
        assert_eq!((seqs.contains(&secret), seqs.contains(&public)), (sees, true), "{}: {seqs:?}", back.name());
    }
    // The sender sees it as well (3.1): also one who lost the knowledge of it.
    let mut alice = Absent { seat: alice.seat.at(secret - 1), ..alice };
    alice.events.retain(|event| event["seq"].as_u64() < Some(secret));
    assert_eq!(seqs(&alice.resume_without_loss(&server, &epoch).drain())[..2], [secret, public]);
}

#[test]
fn r5_a_half_played_game_of_tic_tac_toe_goes_on_with_the_same_board_and_turn() {
    let mut server = Server::start(&[]);
    let mut alice = Witness::join(&server, "/ws/tic-tac-toe-1/alice");
    let mut bob = Witness::join(&server, "/ws/tic-tac-toe-1/bob");
    let epoch = alice.client.welcome["epoch"].clone();
    let play = |player: &mut Witness, other: &mut Witness, id: u64, cell: u64| -> Value {
        player.request(&json!({"type": "send", "id": id, "data": {"move": cell}}));
        let change = player.until(|frame| frame["type"] == "patch" && frame["patch"].get("board").is_some());
        other.until(|frame| frame["seq"] == change["seq"]);
        change
    };
    play(&mut alice, &mut bob, 1, 0);
    play(&mut bob, &mut alice, 1, 4);
    play(&mut alice, &mut bob, 2, 1);
    let state = server.connect("/ws/tic-tac-toe-1/watcher?spectate=1").welcomed().welcome["state"].clone();
    assert_eq!((&state["turn"], &state["board"][4]), (&json!("O"), &json!("O")));
    server.kill();
    let (alice, bob) = (alice.orphaned(), bob.orphaned());
    server.restart();
    let watcher = server.connect("/ws/tic-tac-toe-1/watcher?spectate=1").welcomed();
    assert_eq!(watcher.welcome["state"], state);
    let mut alice = alice.resume_without_loss(&server, &epoch);
    let mut bob = bob.resume_without_loss(&server, &epoch);
    alice.drain();
    alice.client.send(&json!({"type": "send", "id": 3, "data": {"move": 2}}));
    let refusal = alice.until(|frame| frame["type"] == "error");
    assert_eq!((&refusal["code"], &refusal["id"]), (&json!("illegal_move"), &json!(3)), "it is bob's turn");
    play(&mut bob, &mut alice, 2, 5);
    let won = play(&mut alice, &mut bob, 3, 2);
    assert_eq!(won["patch"]["winner"], "X", "the old moves count: {won}");
    assert_agreement(&[&alice, &bob]);
}

#[test]
fn r3_past_the_history_a_restart_gives_a_snapshot_with_exactly_what_is_lost_and_the_rest_follows() {
    let mut server = Server::start(&[("HISTORY_EVENTS", "5")]);
    let mut alice = Witness::join(&server, "/ws/g/alice");
    let bob = Witness::join(&server, "/ws/g/bob").cut();
    alice.until(|frame| frame["status"] == "away");
    let epoch = alice.client.welcome["epoch"].clone();
    for id in 1..=20 {
        alice.request(&json!({"type": "patch", "id": id, "patch": {"n": id}}));
    }
    server.kill();
    let alice = alice.orphaned();
    server.restart();
    let seen = bob.seat.seen;
    let mut bob = bob.resume(&server);
    let welcome = bob.client.welcome.clone();
    assert_eq!((&welcome["resume"], &welcome["epoch"]), (&json!("snapshot"), &epoch));
    assert_eq!(welcome["state"], json!({"n": 20}));
    let lost: (u64, u64) = serde_json::from_value(welcome["lost"].clone()).expect("a range");
    assert_eq!(lost.0, seen + 1);
    let kept = bob.drain();
    assert_eq!(kept.len(), 5, "the history's bound: {kept:?}");
    let before = alice.behind(lost.1);
    assert!(!before.is_empty() && lost.1 > seen, "{lost:?}");
    assert_eq!(kept[..before.len()], before, "all that is not lost, in order");
    let mut alice = alice.resume_without_loss(&server, &epoch);
    let mark = alice.say(21, "mark");
    bob.until(|frame| frame["seq"] == mark);
}

#[test]
fn s9_in_a_big_room_a_restart_is_resumed_without_a_single_presence_event() {
    let mut server = Server::start(&[("PRESENCE_LIMIT", "0")]);
    let mut alice = Witness::join(&server, "/ws/g/alice");
    let bob = Witness::join(&server, "/ws/g/bob");
    let epoch = alice.client.welcome["epoch"].clone();
    let bob = bob.cut();
    alice.say(1, "missed");
    server.kill();
    let alice = alice.orphaned();
    server.restart();
    let known = alice.events.clone();
    let mut bob = bob.resume_without_loss(&server, &epoch);
    assert_eq!((&bob.client.welcome["player_count"], &bob.client.welcome["players"]), (&json!(2), &json!({})));
    assert_eq!(bob.drain(), known);
    let mut alice = alice.resume_without_loss(&server, &epoch);
    let live = alice.say(2, "live");
    bob.until(|frame| frame["seq"] == live);
    assert_eq!(alice.events.len(), 2, "two messages are all there is: {:?}", alice.events);
    assert_agreement(&[&alice, &bob]);
}
