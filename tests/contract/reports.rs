//! Owns the tests of error reports: a panic reaches the collector, a token does not (A12).
//! Run by `cargo test --test contract`.

use std::{
    io::{BufReader, Write as _},
    net::TcpListener,
    sync::mpsc,
    thread,
};

use serde_json::{Value, json};

use crate::support::{PATIENCE, Server, token, unix_secs};

/// A collector as Sentry's: takes reports over HTTP and hands them on, head and body.
struct Collector {
    dsn: String,
    reports: mpsc::Receiver<(String, String)>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let dsn = format!("http://public-key-hunter2@{}/42", listener.local_addr().expect("an address"));
        let (sender, reports) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let sender = sender.clone();
                thread::spawn(move || {
                    let mut reader = BufReader::new(stream);
                    while let Some(report) = read_request(&mut reader) {
                        let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
                        reader.get_mut().write_all(answer.as_bytes()).expect("answer");
                        let _ = sender.send(report);
                    }
                });
            }
        });
        Self { dsn, reports }
    }

    /// The next report: the HTTP head, and the event in the envelope.
    fn report(&self) -> (String, Value) {
        let (head, body) = self.reports.recv_timeout(PATIENCE).expect("a report");
        // An envelope is a line of JSON, then pairs of an item's header and the item.
        let event = body
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .find(|line: &Value| line["exception"].is_object() || line["message"].is_string());
        (head, event.unwrap_or_else(|| panic!("no event in {body}")))
    }
}

fn read_request(reader: &mut impl std::io::BufRead) -> Option<(String, String)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().expect("a length"))
    });
    let mut body = vec![0; length.expect("a length")];
    reader.read_exact(&mut body).ok()?;
    Some((head, String::from_utf8(body).expect("text")))
}

#[test]
fn a12_a_panic_in_a_room_is_reported_once_with_every_secret_scrubbed_and_the_server_lives() {
    let collector = Collector::start();
    let server = Server::start_example("fragile", &[("SENTRY_DSN", &collector.dsn)]);
    let mut witness = server.connect("/ws/fragile-2/witness").welcomed();
    let mut client = server.connect("/ws/fragile-1/alice").welcomed();
    let jwt = token("hunter2-hunter2-hunter2-hunter2!", &json!({"sub": "alice", "exp": unix_secs(60)}));
    let data = json!({
        "break": "it was told to",
        "token": "opaque-hunter2",
        "session": client.session(),
        "url": format!("wss://x/ws/g/p?token={jwt}&session=query-hunter2&seq=4"),
        "header": format!("Authorization: Bearer {jwt}"),
        "subprotocol": format!("bearer.{jwt}"),
    });
    let secret = client.session().to_owned();
    client.send(&json!({"type": "send", "data": data}));
    assert_eq!(client.ended().0.code, 1011);

    let (head, event) = collector.report();
    assert!(head.starts_with("POST /api/42/envelope/"), "{head}");
    assert!(head.contains("public-key-hunter2"), "the collector's own key: {head}");
    let text = event.to_string();
    assert!(text.contains("told to break") && text.contains("it was told to"), "{text}");
    assert!(text.contains("fragile.rs"), "where: {text}");
    assert!(text.contains("innkeeper@"), "which release: {text}");
    for part in jwt.split('.').chain([secret.as_str(), "hunter2"]) {
        assert!(!text.contains(part), "{part} in {text}");
    }
    let line = server.wait_for_log(|line| line["message"].as_str().is_some_and(|text| text.contains("told to break")));
    assert_eq!(line["level"], "error", "{line}");
    let log = server.log_text();
    for part in jwt.split('.').chain([secret.as_str(), "hunter2"]) {
        assert!(!log.contains(part), "{part} in {log}");
    }

    assert_eq!(witness.drain(), Vec::<Value>::new(), "another room noticed nothing");
    // One panic, one report: the next one is about the next panic.
    let mut again = server.connect("/ws/fragile-3/bob").welcomed();
    again.send(&json!({"type": "send", "data": "break the second"}));
    assert!(collector.report().1.to_string().contains("break the second"));
}

#[test]
fn a_collector_that_is_down_or_hangs_costs_nothing_but_the_report() {
    let hangs = TcpListener::bind("127.0.0.1:0").expect("a port");
    let dsn = format!("http://key@{}/1", hangs.local_addr().expect("an address"));
    let mut server = Server::start_example("fragile", &[("SENTRY_DSN", &dsn), ("SHARDS", "1")]);
    let mut witness = server.connect("/ws/fragile-2/witness").welcomed();
    for n in 0..3 {
        let mut client = server.connect(&format!("/ws/fragile-b{n}/alice")).welcomed();
        client.send(&json!({"type": "send", "data": "break"}));
        assert_eq!(client.ended().0.code, 1011);
        witness.drain();
    }
    drop(witness);
    server.signal("TERM");
    assert!(server.wait().success());
    drop(hangs);
}
