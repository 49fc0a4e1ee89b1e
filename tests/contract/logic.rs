//! Owns the tests of games with rules: tic-tac-toe, a custom logic, and one that panics
//! (examples/).

use std::path::Path;

use crate::support::{Client, Server};
use serde_json::{Value, json};

/// Sends a move and returns the state change that follows its acknowledgement.
fn play(player: &mut Client, id: u64, cell: u64) -> Value {
    player.send(&json!({"type": "send", "id": id, "data": {"move": cell}}));
    player.until(|frame| frame["type"] == "message" && frame["id"] == id);
    player.next()
}

fn refused(player: &mut Client, id: u64, data: &Value) {
    player.drain();
    player.send(&json!({"type": "send", "id": id, "data": data}));
    let error = player.next();
    assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("illegal_move")), "{data}");
    assert_eq!(error["id"], id, "{data}");
    assert!(player.drain().is_empty(), "{data}");
}

#[test]
fn tic_tac_toe_is_played_to_a_win_and_a_third_player_watches() {
    let server = Server::start(&[]);
    let mut alice = server.connect("/ws/tic-tac-toe-1/alice").welcomed();
    let marks = alice.next();
    assert_eq!(marks, json!({"type": "patch", "seq": 2, "from": "@server", "patch": {"marks": {"X": "alice"}}}));
    let mut bob = server.connect("/ws/tic-tac-toe-1/bob").welcomed();
    let mut carol = server.connect("/ws/tic-tac-toe-1/carol").welcomed();
    assert_eq!(carol.welcome["state"]["marks"], json!({"X": "alice", "O": "bob"}));
    refused(&mut carol, 1, &json!({"move": 0}));
    for (id, x, o) in [(1, 0, 3), (2, 1, 4)] {
        assert_eq!(play(&mut alice, id, x)["patch"]["turn"], "O");
        bob.until(|frame| frame["patch"]["turn"] == "O");
        assert_eq!(play(&mut bob, id, o)["patch"]["turn"], "X");
        alice.until(|frame| frame["patch"]["turn"] == "X");
    }
    let won = play(&mut alice, 3, 2);
    assert_eq!((&won["from"], &won["patch"]["winner"]), (&json!("@server"), &json!("X")));
    assert_eq!(carol.until(|frame| frame["patch"]["winner"] == "X"), won, "whoever watches sees it too");
    refused(&mut bob, 3, &json!({"move": 8}));
    let dave = server.connect("/ws/tic-tac-toe-1/dave").welcomed();
    assert_eq!(dave.welcome["state"]["board"], json!(["X", "X", "X", "O", "O", null, null, null, null]));
    assert_eq!(dave.welcome["state"]["winner"], "X");
    bob.send(&json!({"type": "send", "id": 3, "data": {"restart": true}}));
    assert_eq!(alice.until(|frame| frame["type"] == "patch")["patch"]["winner"], Value::Null);
    assert_eq!(play(&mut alice, 4, 4)["patch"]["board"][4], "X");
}

#[test]
fn n1_a_move_may_be_written_with_a_zero_fraction_and_null_beside_it() {
    let server = Server::start(&[]);
    for game in ["tic-tac-toe-1", "demo-table-1"] {
        let mut alice = server.connect(&format!("/ws/{game}/alice")).welcomed();
        if game == "demo-table-1" {
            alice.send_text(r#"{"type":"send","id":1,"data":{"sit":true,"stand":null,"chat":null}}"#);
        }
        alice.until(|frame| frame["patch"]["marks"]["X"] == "alice");
        alice.send_text(r#"{"type":"send","id":2,"data":{"move":4.0,"restart":null}}"#);
        let board = alice.until(|frame| frame["patch"]["board"].is_array());
        assert_eq!(board["patch"]["board"][4], "X");
        alice.drain();
        alice.send_text(r#"{"type":"send","id":3,"data":{"move":4.5}}"#);
        assert_eq!(alice.until_type("error")["code"], "illegal_move");
    }
}

#[test]
fn the_demos_table_keeps_chat_strokes_and_game_apart_on_one_connection() {
    let server = Server::start(&[]);
    let mut alice = server.connect("/ws/demo-table-1/alice").welcomed();
    let mut bob = server.connect("/ws/demo-table-1/bob").welcomed();
    assert_eq!(bob.welcome["state"]["marks"], json!({}), "a mark is asked for");
    for (id, data) in
        [(1, json!({"chat": "hello", "i": ["run", 1]})), (2, json!({"sit": true})), (3, json!({"chat": "bye"}))]
    {
        alice.send(&json!({"type": "send", "id": id, "data": data}));
        let patch = bob.until(|frame| frame["type"] == "patch");
        assert_eq!(patch["from"], "@server", "{patch}");
    }
    refused(&mut alice, 4, &json!({"move": 9}));
    assert_eq!(play(&mut alice, 4, 4)["patch"]["turn"], "O");
    alice.send(&json!({"type": "patch", "id": 5, "patch": {"strokes": {"a": 1}}}));
    bob.until(|frame| frame["type"] == "patch" && frame["from"] == "alice");
    for key in ["chat", "marks", "board", "turn", "winner", "more"] {
        alice.send(&json!({"type": "patch", "id": 6, "patch": {key: {"a": 1}, "strokes": {}}}));
        let error = alice.until(|frame| frame["type"] == "error");
        assert_eq!((&error["code"], &error["id"]), (&json!("forbidden"), &json!(6)), "{key}");
    }
    let carol = server.connect("/ws/demo-table-1/carol").welcomed();
    let state = &carol.welcome["state"];
    assert_eq!(state["chat"]["000000001"], json!({"from": "alice", "text": "hello"}));
    assert_eq!(state["chat"]["000000002"], json!({"from": "alice", "text": "bye"}));
    assert_eq!((&state["marks"], &state["strokes"]), (&json!({"X": "alice"}), &json!({"a": 1})));
    alice.send(&json!({"type": "send", "id": 6, "data": {"stand": true}}));
    bob.until(|frame| frame["patch"]["marks"] == json!({"X": null}));
}

#[test]
fn what_players_draw_on_the_demos_table_is_kept_as_text_and_not_as_values() {
    let server = Server::start(&[]);
    // A map each as a `Value`: that takes a hundred times the text.
    let strokes = vec![json!({"": 0}); 8000];
    let tables = 5_u64;
    let before = server.resident_bytes();
    for table in 0..tables {
        let mut alice = server.connect(&format!("/ws/demo-table-{table}/alice")).welcomed();
        for id in 1..=4 {
            let patch = json!({"strokes": {id.to_string(): strokes}});
            alice.send(&json!({"type": "patch", "id": id, "patch": patch}));
            alice.until(|frame| frame["type"] == "patch" && frame["from"] == "alice");
        }
        // The rules read the chat to answer this.
        alice.send(&json!({"type": "send", "id": 5, "data": {"chat": "hello"}}));
        alice.until(|frame| frame["patch"]["chat"]["000000001"]["text"] == "hello");
    }
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < tables * (6 << 20), "{} MiB for {tables} tables of 240 KiB", grown >> 20);
}

#[test]
fn each_illegal_move_is_refused_with_its_id_and_the_id_is_not_used_up() {
    let server = Server::start(&[]);
    let mut alice = server.connect("/ws/tic-tac-toe-1/alice").welcomed();
    let mut bob = server.connect("/ws/tic-tac-toe-1/bob").welcomed();
    refused(&mut bob, 1, &json!({"move": 0}));
    for data in [
        json!({"move": 9}),
        json!({"move": -1}),
        json!({"move": 1.5}),
        json!({"move": "0"}),
        json!({"move": null}),
        json!({}),
        json!(null),
        json!([0]),
        json!({"restart": true}),
        json!({"restart": 1}),
    ] {
        refused(&mut alice, 1, &data);
    }
    play(&mut alice, 1, 4);
    refused(&mut alice, 2, &json!({"move": 0}));
    bob.until(|frame| frame["type"] == "patch" && frame["patch"]["turn"] == "O");
    refused(&mut bob, 1, &json!({"move": 4}));
    let alice = server.connect(&format!("/ws/tic-tac-toe-1/alice?session={}&seq=0", alice.session())).welcomed();
    assert_eq!(alice.welcome["last_id"], 1);
    play(&mut bob, 1, 5);
}

#[test]
fn in_a_game_with_rules_the_state_is_not_the_players_to_patch() {
    let server = Server::start(&[]);
    let mut alice = server.connect("/ws/tic-tac-toe-1/alice").welcomed();
    alice.next();
    alice.send(&json!({"type": "patch", "id": 1, "patch": {"winner": "X"}}));
    let error = alice.next();
    assert_eq!((&error["code"], &error["id"]), (&json!("forbidden"), &json!(1)));
    assert_eq!(server.connect("/ws/tic-tac-toe-1/bob").welcomed().welcome["state"]["winner"], Value::Null);
}

#[test]
fn a_mark_is_given_up_with_its_seat_and_the_next_to_join_plays_on() {
    let server = Server::start(&[]);
    let mut alice = server.connect("/ws/tic-tac-toe-1/alice").welcomed();
    let mut bob = server.connect("/ws/tic-tac-toe-1/bob").welcomed();
    play(&mut alice, 1, 0);
    bob.until(|frame| frame["patch"]["turn"] == "O");
    bob.send(&json!({"type": "leave"}));
    bob.ended();
    alice.until(|frame| frame["patch"]["marks"]["O"].is_null() && frame["patch"].get("marks").is_some());
    let mut carol = server.connect("/ws/tic-tac-toe-1/carol").welcomed();
    assert_eq!(play(&mut carol, 1, 4)["patch"]["board"][4], "O");
}

#[test]
fn game_logics_chooses_the_rules_by_the_longest_prefix_of_the_name() {
    let server = Server::start(&[("GAME_LOGICS", "ttt=tic-tac-toe, ttt-chat-=relay")]);
    for (game, ruled) in [("ttt-1", true), ("ttt-chat-1", false), ("tic-tac-toe-1", false)] {
        let alice = server.connect(&format!("/ws/{game}/alice")).welcomed();
        assert_eq!(alice.welcome["state"].get("board").is_some(), ruled, "{game}");
    }
}

/// A server built on the library; `cargo test` builds the examples before it runs anything.
fn start_example(name: &str, settings: &[(&str, &str)]) -> Server {
    let program = Path::new(env!("CARGO_BIN_EXE_innkeeper")).with_file_name("examples").join(name);
    assert!(program.exists(), "{} is missing: cargo build --examples", program.display());
    Server::start_program(program.to_str().expect("a path in UTF-8"), settings)
}

#[test]
fn a_program_of_ones_own_brings_its_own_rules() {
    let server = start_example("counter", &[]);
    let mut alice = server.connect("/ws/counter-1/alice").welcomed();
    assert_eq!(alice.welcome["state"], json!({"count": 0}));
    assert_eq!(alice.next()["data"]["hello"], "alice");
    let mut bob = server.connect("/ws/counter-1/bob").welcomed();
    assert_eq!(bob.next()["data"]["hello"], "bob");
    let seen = alice.drain();
    assert_eq!(seen.len(), 1, "what the rules say to bob is not for alice: {seen:?}");
    for id in 1..=3 {
        alice.send(&json!({"type": "send", "id": id, "data": {"add": 3.0}}));
    }
    alice.send(&json!({"type": "send", "id": 4, "data": {"add": 4}}));
    assert_eq!(alice.until_type("error")["code"], "illegal_move");
    bob.send(&json!({"type": "send", "id": 1, "data": {"add": 1}}));
    let won = bob.until(|frame| frame["from"] == "@server" && frame["type"] == "message");
    assert_eq!(won["data"]["winner"], "bob");
    assert_eq!(bob.next()["patch"], json!({"count": 0}));
    let mut other = server.connect("/ws/any-other-game/alice").welcomed();
    other.send(&json!({"type": "send", "data": "relayed"}));
    assert_eq!(other.next()["data"], "relayed");
}

fn break_room(server: &Server, player: &str) -> Client {
    let mut client = server.connect(&format!("/ws/fragile-1/{player}")).welcomed();
    client.send(&json!({"type": "send", "id": 1, "data": {"break": true}}));
    client
}

#[test]
fn a_panic_in_a_rooms_rules_ends_that_room_alone_and_its_players_resume_into_it_as_its_log_tells() {
    for durability in ["memory", "journal"] {
        a_panic_ends_one_room_for_a_moment(durability);
    }
}

fn a_panic_ends_one_room_for_a_moment(durability: &str) {
    let mut server = start_example("fragile", &[("SHARDS", "1"), ("DURABILITY", durability)]);
    let mut calm = server.connect("/ws/calm/alice").welcomed();
    let mut other = server.connect("/ws/fragile-2/alice").welcomed();
    let mut bob = server.connect("/ws/fragile-1/bob").welcomed();
    let mut watcher = server.connect("/ws/fragile-1/watcher?spectate=1").welcomed();
    bob.send(&json!({"type": "send", "id": 8, "data": "fine"}));
    bob.next();
    let mut alice = break_room(&server, "alice");
    for client in [&mut alice, &mut bob, &mut watcher] {
        let (ended, last) = client.ended();
        assert_eq!((ended.code, ended.reason.as_str()), (1011, "room_failed"));
        assert_eq!((&last["type"], &last["code"]), (&json!("error"), &json!("room_failed")));
    }
    for client in [&mut calm, &mut other] {
        client.send(&json!({"type": "send", "id": 1, "data": "unharmed"}));
        assert_eq!(client.next()["seq"], 2);
    }
    for (client, query) in [(&bob, "?"), (&watcher, "?spectate=1&")] {
        let name = client.welcome["player"].as_str().expect("a name");
        let path = format!("/ws/fragile-1/{name}{query}session={}&seq=3", client.session());
        let resumed = server.connect(&path).welcomed();
        assert_eq!(resumed.welcome["resume"], "continuous", "{durability}");
        assert_eq!(resumed.welcome["epoch"], client.welcome["epoch"]);
        let last_id = if query == "?" { 8 } else { 0 };
        assert_eq!(resumed.welcome["last_id"], last_id);
        resumed.cut();
    }
    assert!(server.is_alive());
    server.wait_for_metric("innkeeper_room_restarts_total", 1.0);
    server.wait_for_log(|line| line["level"] == "error" && line["game"] == "fragile-1");
}

#[test]
fn a_room_that_keeps_failing_is_given_up_with_1013_for_a_while_and_others_are_not() {
    let server = start_example("fragile", &[("SHARDS", "1")]);
    for _ in 0..5 {
        let mut alice = break_room(&server, "alice");
        assert_eq!(alice.ended().0.code, 1011);
    }
    let (ended, last) = server.connect("/ws/fragile-1/alice").ended();
    assert_eq!((ended.code, ended.reason.as_str()), (1013, "overloaded"));
    assert_eq!(last["type"], "error");
    let mut other = server.connect("/ws/fragile-2/alice").welcomed();
    assert!(other.drain().is_empty());
}

/// The board fits, the names of the players do not.
#[test]
fn a_logics_patch_past_the_bound_is_counted_and_logged_once_a_room() {
    let server = Server::start(&[("MAX_STATE_BYTES", "100")]);
    let _alice = server.connect("/ws/tic-tac-toe-1/a-player-with-a-name").welcomed();
    let carol = server.connect("/ws/tic-tac-toe-1/another-player-with-a-name").welcomed();
    assert_eq!(carol.welcome["state"]["marks"], json!({}));
    server.wait_for_metric("innkeeper_logic_patches_refused_total", 2.0);
    let warned = |log: &str| log.lines().filter(|line| line.contains("a patch of a room's logic was refused")).count();
    server.wait_until(|| warned(&server.log_text()) == 1, "the warning");
    let _dave = server.connect("/ws/tic-tac-toe-2/a-player-with-a-name").welcomed();
    server.wait_until(|| warned(&server.log_text()) == 2, "the other room's warning");
}
