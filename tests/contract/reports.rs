//! Owns the tests of error reports: panics and errors reach the collector, one of a kind a minute;
//! a token does not (A12).

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
        (head, event_of(&body))
    }

    /// The next report of a panic; the room's own error that follows one is another report.
    fn panic(&self) -> (String, Value) {
        loop {
            let (head, event) = self.report();
            if event["exception"].is_object() {
                return (head, event);
            }
        }
    }

    /// The messages of the reports that came and nobody has read.
    fn messages(&self) -> Vec<String> {
        let message = |(_, body): (String, String)| event_of(&body)["message"].as_str().map(str::to_owned);
        self.reports.try_iter().filter_map(message).collect()
    }
}

/// An envelope is a line of JSON, then pairs of an item's header and the item.
fn event_of(body: &str) -> Value {
    let lines = body.lines().filter_map(|line| serde_json::from_str(line).ok());
    let event = lines.into_iter().find(|line: &Value| line["exception"].is_object() || line["message"].is_string());
    event.unwrap_or_else(|| panic!("no event in {body}"))
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

    let (head, event) = collector.panic();
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
    assert!(collector.panic().1.to_string().contains("break the second"));
}

#[test]
fn what_is_logged_at_error_is_reported_once_a_minute_with_its_fields() {
    let collector = Collector::start();
    let mut server = Server::start_example("faulty_store", &[("SENTRY_DSN", &collector.dsn)]);
    let mut client = server.connect("/ws/g/p").welcomed();
    let logged = |count: usize| {
        let failures = || server.log_text().matches("the store fails").count();
        server.wait_until(|| failures() >= count, "the store's failure");
    };
    for failure in 1..=3 {
        server.break_store();
        client.send(&json!({"type": "send", "id": failure, "data": 1}));
        logged(failure);
        server.mend_store();
        server.wait_for_metric("innkeeper_store_failing", 0.0);
    }
    let (_, event) = collector.report();
    assert!(event["message"].as_str().is_some_and(|message| message.starts_with("the store fails")), "{event}");
    assert_eq!(event["level"], Value::Null, "an event without a level is an error: {event}");
    assert!(event["extra"]["error"].is_string(), "what the store said: {event}");
    assert!(event["release"].as_str().is_some_and(|release| release.starts_with("innkeeper@")), "{event}");
    server.signal("TERM");
    server.wait();
    let more = collector.messages();
    assert!(more.iter().all(|message| !message.contains("the store fails")), "one of a kind a minute: {more:?}");
}

#[test]
fn a_panic_that_comes_again_and_again_is_reported_once() {
    let collector = Collector::start();
    let mut server = Server::start_example("fragile", &[("SENTRY_DSN", &collector.dsn)]);
    for n in 0..5 {
        let mut client = server.connect(&format!("/ws/fragile-{n}/alice")).welcomed();
        client.send(&json!({"type": "send", "data": "break"}));
        assert_eq!(client.ended().0.code, 1011);
    }
    server.signal("TERM");
    server.wait();
    let bodies: Vec<Value> = collector.reports.try_iter().map(|(_, body)| event_of(&body)).collect();
    let panics = bodies.iter().filter(|event| event["exception"].is_object()).count();
    let rooms = bodies.iter().filter(|event| event["message"].as_str().is_some_and(|m| m.starts_with("room failed")));
    assert_eq!((panics, rooms.count()), (1, 1));
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
