//! Owns the tests of the command `innkeeper rooms`, which looks into the data directory of a
//! stopped server.

use std::process::Output;

use serde_json::{Value, json};

use crate::support::{DataDir, Server, Witness};

const PROGRAM: &str = env!("CARGO_BIN_EXE_innkeeper");

fn rooms(data: &DataDir, arguments: &[&str]) -> Output {
    let mut command = Server::command(PROGRAM, &[("DATA_DIR", data.path())]);
    command.arg("rooms").args(arguments).stderr(std::process::Stdio::piped()).output().expect("the command runs")
}

fn out(output: &Output) -> String {
    assert!(output.status.success(), "{}", err(output));
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Two rooms; what their events looked like to alice.
fn a_stopped_server() -> (Server, Vec<Value>) {
    let mut server = Server::start(&[]);
    let mut alice = Witness::join(&server, "/ws/chess-1/alice");
    let mut bob = Witness::join(&server, "/ws/chess-1/bob");
    alice.say(1, "hello");
    alice.request(&json!({"type": "send", "id": 2, "data": "psst", "to": ["bob"]}));
    alice.request(&json!({"type": "patch", "id": 3, "patch": {"board": [1, 2]}}));
    bob.until(|frame| frame["id"] == 3);
    Witness::join(&server, "/ws/other/carol").say(1, "elsewhere");
    server.kill();
    let events = alice.orphaned().events;
    (server, events)
}

#[test]
fn list_has_a_line_for_each_room_and_show_has_its_state_without_a_secret() {
    let (server, _) = a_stopped_server();
    let listed = out(&rooms(server.data(), &["list"]));
    let lines: Vec<Vec<&str>> = listed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["SEQ", "PLAYERS", "EVENTS", "BYTES", "STATUS", "GAME"]);
    assert_eq!((lines.len(), lines[1][5], lines[2][5]), (3, "chess-1", "other"));
    assert_eq!((lines[1][0], lines[1][1], lines[1][4]), ("5", "2", "ok"));
    let shown = out(&rooms(server.data(), &["show", "chess-1"]));
    let room: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(
        (&room["game"], &room["seq"], &room["state"]),
        (&json!("chess-1"), &json!(5), &json!({"board": [1, 2]}))
    );
    assert_eq!((&room["players"][0]["player"], &room["players"][0]["last_id"]), (&json!("alice"), &json!(3)));
    assert!(!shown.contains("secret"), "{shown}");
}

#[test]
fn export_has_every_event_as_its_members_got_it_and_whom_it_was_for() {
    let (server, events) = a_stopped_server();
    let exported = out(&rooms(server.data(), &["export", "chess-1"]));
    let lines: Vec<Value> = exported.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect();
    assert_eq!(lines.iter().map(|line| line["seq"].as_u64().expect("a seq")).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    let texts: Vec<Value> = lines.iter().map(|line| line["event"].clone()).collect();
    assert_eq!(texts[1..], events[..], "alice saw all behind her own arrival");
    let private = lines.iter().find(|line| line["event"]["id"] == 2).expect("it was sent");
    assert_eq!(private["only"], json!(["alice", "bob"]));
    let all = out(&rooms(server.data(), &["export"]));
    assert!(all.lines().count() > lines.len() && all.contains("elsewhere"), "{all}");
}

#[test]
fn verify_says_that_all_is_well_and_after_damage_which_room_is_not() {
    let (mut server, _) = a_stopped_server();
    assert_eq!(out(&rooms(server.data(), &["verify"])), "2 rooms, 0 damaged\n");
    let older = server.data().copy();
    server.restart();
    let mut alice = Witness::join(&server, "/ws/chess-1/dave");
    alice.say(1, "newer");
    server.kill();
    server.data().take(&older, |name| name.starts_with("innkeeper.db"));
    let verified = rooms(server.data(), &["verify"]);
    assert_eq!(verified.status.code(), Some(1));
    let text = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(text.contains("damaged: chess-1") && text.ends_with("2 rooms, 2 damaged\n"), "{text}");
    assert!(err(&verified).contains("begin another epoch"), "{}", err(&verified));
}

#[test]
fn looking_changes_nothing_so_that_players_resume_afterwards() {
    let mut server = Server::start(&[]);
    let mut alice = Witness::join(&server, "/ws/g/alice");
    let epoch = alice.client.welcome["epoch"].clone();
    alice.say(1, "hello");
    server.kill();
    let alice = alice.orphaned();
    for arguments in [&["list"][..], &["show", "g"], &["export"], &["verify"]] {
        out(&rooms(server.data(), arguments));
    }
    server.restart();
    alice.resume_without_loss(&server, &epoch).say(2, "again");
}

#[test]
fn what_cannot_be_done_is_said_with_what_to_do_and_a_code() {
    let (server, _) = a_stopped_server();
    let missing = rooms(server.data(), &["show", "nobody"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(err(&missing).contains("\"nobody\"") && err(&missing).contains("rooms list"), "{}", err(&missing));
    let empty = rooms(&DataDir::new(), &["list"]);
    assert_eq!(empty.status.code(), Some(1));
    assert!(err(&empty).contains("no store"), "{}", err(&empty));
    let running = Server::start(&[]);
    let busy = rooms(running.data(), &["list"]);
    assert_eq!(busy.status.code(), Some(1));
    assert!(err(&busy).contains("another process"), "{}", err(&busy));
    assert_eq!(rooms(server.data(), &["burn"]).status.code(), Some(64));
}

#[test]
fn a_database_that_cannot_be_opened_is_damage_and_stays_where_it_is() {
    let (server, _) = a_stopped_server();
    let database = server.data().file("innkeeper.db");
    std::fs::write(
        &database,
        "no database at all, and longer than a header of one hundred bytes has to be: ".repeat(9),
    )
    .expect("written");
    let files = server.data().files();
    let verified = rooms(server.data(), &["verify"]);
    assert_eq!(verified.status.code(), Some(1));
    assert!(err(&verified).contains("damaged"), "{}", err(&verified));
    assert_eq!(server.data().files(), files);
    assert!(std::fs::read_to_string(&database).expect("still there").starts_with("no database at all"));
}

#[test]
fn r6_rooms_that_nobody_comes_back_to_after_a_restart_are_removed_and_the_others_stay() {
    let settings = [("RECONNECT_GRACE", "8"), ("ROOM_LINGER", "0")];
    let mut server = Server::start(&settings);
    for room in 0..120 {
        Witness::join(&server, &format!("/ws/left-{room}/alice")).say(1, "hello");
    }
    let bob = Witness::join(&server, "/ws/kept/bob");
    let epoch = bob.client.welcome["epoch"].clone();
    server.kill();
    let bob = bob.orphaned();
    server.restart();
    let mut bob = bob.resume_without_loss(&server, &epoch);
    let removed = server.wait_for_log(|line| line["message"] == "removed rooms that nobody came back to");
    assert_eq!(removed["rooms"], 120);
    bob.say(1, "still here");
    server.kill();
    let listed = out(&rooms(server.data(), &["list"]));
    assert!(listed.lines().count() == 2 && listed.contains("kept"), "{listed}");
}
