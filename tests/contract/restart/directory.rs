//! Owns the tests of DATA_DIR itself: two processes with the same one, and one that cannot be used
//! (D2).

use crate::{
    startup::refused,
    support::{DataDir, Server, Witness},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_innkeeper");

#[test]
fn d2_a_second_process_on_one_directory_is_turned_away_and_the_first_is_unharmed() {
    let data = DataDir::new();
    let mut first = Server::start(&[("DATA_DIR", data.path())]);
    let mut alice = Witness::join(&first, "/ws/g/alice");
    let epoch = alice.client.welcome["epoch"].clone();
    alice.say(1, "before");
    let (code, text) = refused(Server::command(PROGRAM, &[("DATA_DIR", data.path()), ("DATA_DIR_TIMEOUT", "0")]));
    assert_ne!(code, 0, "{text}");
    assert!(text.contains(data.path()) && text.contains("DATA_DIR"), "it says which and by which setting: {text}");
    alice.say(2, "after");
    first.kill();
    let alice = alice.orphaned();
    first.restart();
    let mut alice = alice.resume_without_loss(&first, &epoch);
    assert_eq!(alice.client.welcome["last_id"], 2);
    alice.say(3, "and the directory is unharmed");
}

#[test]
fn d2_a_process_that_waits_for_the_directory_takes_over_when_the_first_ends() {
    let data = DataDir::new();
    let mut first = Server::start(&[("DATA_DIR", data.path())]);
    let mut alice = Witness::join(&first, "/ws/g/alice");
    let epoch = alice.client.welcome["epoch"].clone();
    let settings = [("DATA_DIR", data.path()), ("DATA_DIR_TIMEOUT", "600")];
    let mut second = Server::launch(Server::command(PROGRAM, &settings));
    for id in 1..=100 {
        alice.say(id, "the first still serves");
    }
    assert!(second.is_alive(), "it waits: {}", second.log_text());
    assert!(!second.log_text().contains("listening"), "one at a time: {}", second.log_text());
    first.signal("TERM");
    let alice = alice.orphaned();
    assert_eq!(first.wait().code(), Some(0));
    second.wait_until_it_listens();
    let mut alice = alice.resume_without_loss(&second, &epoch);
    assert_eq!(alice.client.welcome["last_id"], 100);
    alice.say(101, "on the second");
}

#[test]
fn d2_a_directory_that_cannot_be_stops_the_start_and_is_named() {
    let data = DataDir::new();
    std::fs::write(data.file("file"), "not a directory").expect("a file");
    let file = data.file("file");
    for impossible in [file.clone(), file.join("below"), "/proc/innkeeper".into()] {
        let path = impossible.to_str().expect("a path in UTF-8");
        let (code, text) = refused(Server::command(PROGRAM, &[("DATA_DIR", path)]));
        assert_ne!(code, 0, "{path}: {text}");
        assert!(text.contains(path) && text.contains("DATA_DIR"), "{path}: {text}");
    }
    assert_eq!(std::fs::read_to_string(&file).expect("still there"), "not a directory");
    // Where nothing is to be stored, it is not needed.
    let path = file.join("below");
    let settings = [("DATA_DIR", path.to_str().expect("a path in UTF-8")), ("DURABILITY", "memory")];
    Witness::join(&Server::start(&settings), "/ws/g/alice").say(1, "hello");
}

#[test]
fn d2b_a_directory_that_a_newer_version_wrote_stops_the_start_with_exit_1_and_is_kept() {
    let data = DataDir::new();
    let mut server = Server::start(&[("DATA_DIR", data.path())]);
    let mut alice = Witness::join(&server, "/ws/g/alice");
    let epoch = alice.client.welcome["epoch"].clone();
    alice.say(1, "before");
    server.kill();
    let database = data.file("innkeeper.db");
    let as_format = |format: Option<u8>| {
        let connection = rusqlite::Connection::open(&database).expect("the database");
        let mut body: Vec<u8> = connection.query_row("SELECT body FROM meta", [], |row| row.get(0)).expect("a row");
        // The format is the first field, the checksum is behind all fields.
        let known = body[0];
        body[0] = format.unwrap_or(known);
        let end = body.len() - 4;
        let sum = crc32fast::hash(&body[..end]).to_le_bytes();
        body[end..].copy_from_slice(&sum);
        connection.execute("UPDATE meta SET body = ?", [body]).expect("written");
        known
    };
    let known = as_format(Some(99));
    let (code, text) = refused(Server::command(PROGRAM, &[("DATA_DIR", data.path())]));
    assert_eq!(code, 1, "{text}");
    assert!(text.contains(data.path()) && text.contains("newer version (format 99"), "{text}");
    assert!(data.files().iter().all(|name| !name.contains("damaged")), "{:?}", data.files());
    as_format(Some(known));
    server.restart();
    assert!(!server.log_text().contains("damaged"), "{}", server.log_text());
    alice.orphaned().resume_without_loss(&server, &epoch);
}
