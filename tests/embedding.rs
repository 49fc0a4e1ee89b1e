//! Owns the tests of a server that a program starts in its own process and stops again.

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
};

use innkeeper::{
    Innkeeper, Running, StartError,
    config::Config,
    logic::{Rejection, Request, RoomLogic, Turn},
};
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket, stream::MaybeTlsStream};

type Socket = WebSocket<MaybeTlsStream<TcpStream>>;

/// Counts the messages.
struct Counter;

impl RoomLogic for Counter {
    fn message(&mut self, turn: &mut Turn<'_>, _: &Request) -> Result<(), Rejection> {
        let count = turn.state()["count"].as_u64().unwrap_or(0) + 1;
        turn.patch(json!({ "count": count }))?;
        Ok(())
    }
}

fn innkeeper(directory: &Path, port: u16) -> Innkeeper {
    let (port, directory) = (port.to_string(), directory.to_str().expect("UTF-8"));
    let settings = HashMap::from([
        ("HOST", "127.0.0.1"),
        ("PORT", port.as_str()),
        ("DATA_DIR", directory),
        ("LOG_LEVEL", "error"),
        ("DRAIN_SPREAD_MS", "100"),
    ]);
    let config = Config::from_source(&settings, None, Default::default()).expect("settings");
    Innkeeper::new(config).logic("counter", "counter-", |_| Counter)
}

fn connect(server: &Running, query: &str) -> (Socket, Value) {
    let url = format!("ws://{}/ws/counter-1/alice{query}", server.address());
    let (mut socket, _) = tungstenite::connect(url).expect("the server accepts");
    let welcome = next(&mut socket).expect("a welcome");
    assert_eq!(welcome["type"], "welcome");
    (socket, welcome)
}

/// The next JSON frame, or the code of the close.
fn next(socket: &mut Socket) -> Result<Value, u16> {
    loop {
        match socket.read().expect("a frame before the end") {
            Message::Text(text) => return Ok(serde_json::from_str(&text).expect("JSON")),
            Message::Close(frame) => return Err(frame.map_or(1005, |frame| frame.code.into())),
            _ => {}
        }
    }
}

#[test]
fn d4_a_server_that_is_stopped_drains_keeps_its_rooms_and_can_be_started_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = innkeeper(directory.path(), 0).start().expect("it starts");
    let (mut alice, welcome) = connect(&server, "");
    alice.send(Message::text(r#"{"type":"send","id":1,"data":1}"#)).expect("sent");
    let patch = loop {
        let frame = next(&mut alice).expect("a frame");
        if frame["type"] == "patch" {
            break frame;
        }
    };
    assert_eq!(patch["patch"], json!({ "count": 1 }));
    let stopping = std::thread::spawn(move || server.stop());
    let code = loop {
        if let Err(code) = next(&mut alice) {
            break code;
        }
    };
    assert_eq!(code, 1012);
    stopping.join().expect("no panic").expect("it stops in good order");

    let again = innkeeper(directory.path(), 0).start().expect("the directory is free again");
    let (session, seq) = (&welcome["session"], &patch["seq"]);
    let query = format!("?session={}&seq={seq}", session.as_str().expect("a session"));
    let (_alice, welcome) = connect(&again, &query);
    assert_eq!((&welcome["resume"], &welcome["state"]["count"]), (&json!("continuous"), &Value::Null), "{welcome}");
    again.stop().expect("it stops");
}

#[test]
fn two_servers_run_beside_one_another_and_a_dropped_one_stops() {
    let (one, two) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("two"));
    let first = innkeeper(one.path(), 0).start().expect("it starts");
    let second = innkeeper(two.path(), 0).start().expect("it starts, too");
    assert_ne!(first.address(), second.address());
    let (mut alice, _) = connect(&first, "");
    drop(first);
    while let Ok(frame) = next(&mut alice) {
        assert_ne!(frame["type"], "error", "{frame}");
    }
    connect(&second, "");
    second.stop().expect("it stops");
}

#[test]
fn a_port_that_is_taken_is_an_error_and_not_a_panic() {
    let directory = tempfile::tempdir().expect("a directory");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let error = innkeeper(directory.path(), port).start().expect_err("the port is taken");
    assert!(matches!(error, StartError::Io(_)), "{error}");
}

/// Ends with the test, also with one that fails.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_example_beside_actix_web_tells_where_its_game_server_is() {
    let program = Path::new(env!("CARGO_BIN_EXE_innkeeper")).with_file_name("examples").join("beside_actix_web");
    assert!(program.exists(), "{} is missing: cargo build --examples", program.display());
    let mut program = Program(Command::new(program).env_clear().stdout(Stdio::piped()).spawn().expect("it starts"));
    let output = BufReader::new(program.0.stdout.take().expect("its output"));
    let address = output.lines().map_while(Result::ok).find_map(|line| line.strip_prefix("http://").map(str::to_owned));
    let (host, path) = address.as_deref().and_then(|address| address.split_once('/')).expect("an address");
    let mut http = TcpStream::connect(host).expect("the application listens");
    write!(http, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    http.read_to_string(&mut answer).expect("an answer");
    let body: Value = serde_json::from_str(answer.rsplit("\r\n").next().expect("a body")).expect("JSON");
    let url = format!("{}/ws/game-1/alice", body["url"].as_str().expect("a URL"));
    let (mut socket, _) = tungstenite::connect(url).expect("the game server accepts");
    assert_eq!(next(&mut socket).expect("a welcome")["type"], "welcome");
}
