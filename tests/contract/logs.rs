//! Owns the tests of what is logged: security events, the one cause, the heartbeat line, and never
//! a secret (section 2, A12).

use serde_json::{Value, json};
use tungstenite::{
    Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use crate::support::{Server, token, unix_secs};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// All security events of this name and player, once `count` of them are there.
fn events(server: &Server, event: &str, player: &str, count: usize) -> Vec<Value> {
    let all = || -> Vec<Value> {
        let log = server.log_text();
        let lines = log.lines().map(|line| serde_json::from_str(line).expect("one JSON object a line"));
        lines.filter(|line: &Value| line["event"] == event && line["player"] == player).collect()
    };
    server.wait_until(|| all().len() >= count, event);
    let found = all();
    assert_eq!(found.len(), count, "{found:?}");
    found
}

#[test]
fn an_established_connection_has_one_line_with_who_from_where_and_how() {
    let server = Server::start(&[]);
    let alice = server.connect("/ws/g/alice").welcomed();
    let line = events(&server, "WS_CONNECTION_ESTABLISHED", "alice", 1).remove(0);
    for (field, value) in [
        ("level", "info"),
        ("message", "[SECURITY] WS_CONNECTION_ESTABLISHED"),
        ("category", "SECURITY"),
        ("game", "g"),
        ("address", "127.0.0.1"),
        ("role", "player"),
        ("resume", "new"),
    ] {
        assert_eq!(line[field], value, "{line}");
    }
    let session = alice.session().to_owned();
    alice.cut();
    server.connect(&format!("/ws/g/alice?session={session}&seq=1")).welcomed();
    assert_eq!(events(&server, "WS_CONNECTION_ESTABLISHED", "alice", 2)[1]["resume"], "continuous");
    let spectator = server.connect("/ws/g/watcher?spectate=1").welcomed();
    assert_eq!(events(&server, "WS_CONNECTION_ESTABLISHED", "watcher", 1)[0]["role"], "spectator");
    drop(spectator);
}

#[test]
fn a_closed_connection_has_one_line_with_its_one_cause_code_duration_and_bytes() {
    let server = Server::start(&[("CLIENT_IP_HEADER", "x-test-address")]);
    let from = [("X-Test-Address", "203.0.113.9")];
    let connect = |player: &str| server.try_connect(&format!("/ws/g/{player}"), &from).expect("accepted").welcomed();
    let closed = |player: &str, cause: &str, code: u16| {
        let line = events(&server, "WS_CONNECTION_CLOSED", player, 1).remove(0);
        assert_eq!((&line["cause"], &line["code"]), (&json!(cause), &json!(code)), "{line}");
        assert_eq!((&line["category"], &line["level"]), (&json!("SECURITY"), &json!("info")), "{line}");
        assert_eq!((&line["game"], &line["address"]), (&json!("g"), &json!("203.0.113.9")), "{line}");
        assert!(line["duration_ms"].is_u64() && line["bytes_in"].is_u64(), "{line}");
        assert!(line["bytes_out"].as_u64() > Some(100), "the welcome alone is longer: {line}");
        line
    };
    let mut leaver = connect("leaver");
    leaver.send(&json!({"type": "leave"}));
    leaver.ended();
    // Two bytes of head, four of mask, and the text.
    assert_eq!(closed("leaver", "left", 1000)["bytes_in"], 6 + r#"{"type":"leave"}"#.len());

    let mut closer = connect("closer");
    let frame = CloseFrame { code: CloseCode::Library(4567), reason: "bye\n{\"level\":\"error\"}".into() };
    closer.send_message(Message::Close(Some(frame)));
    closer.ended();
    closed("closer", "client_closed", 4567);

    connect("mute").close();
    closed("mute", "client_closed", 1005);
    connect("cut").cut();
    closed("cut", "connection_lost", 1006);

    let mut clumsy = connect("clumsy");
    for _ in 0..20 {
        clumsy.send_text("{");
    }
    assert_eq!(clumsy.ended().0.code, 1008);
    closed("clumsy", "too_many_errors", 1008);
}

#[test]
fn every_refusal_of_section_2_that_has_an_event_is_one_warning_and_a4_has_none() {
    let server = Server::start(&[
        ("JWT_SECRET", SECRET),
        ("AUTH_TIMEOUT_MS", "300"),
        ("RATE_LIMIT_MAX_REQUESTS", "6"),
        ("MAX_CONNECTIONS_PER_IP", "1"),
    ]);
    let origin = [("Origin", "https://evil.example")];
    assert_eq!(server.try_connect("/ws/g/p", &origin).err(), Some(403));
    assert_eq!(server.get("/ws/g/..").status, 400);
    assert_eq!(server.get("/ws/g/p").status, 426);
    assert_eq!(server.connect("/ws/g/timeout").ended().0.code, 4001);
    server.wait_for_metric("innkeeper_connections", 0.0);
    assert_eq!(server.connect("/ws/g/failed?token=x").ended().0.code, 4003);
    server.wait_for_metric("innkeeper_connections", 0.0);
    let token = token(SECRET, &json!({"sub": "p", "exp": unix_secs(60)}));
    let holder = server.connect(&format!("/ws/g/p?token={token}")).welcomed();
    assert_eq!(server.connect("/ws/g/limit").ended().0.code, 1008);
    assert_eq!(server.try_connect("/ws/g/rate", &[]).err(), Some(429));
    drop(holder);
    let off = Server::start(&[("ENABLE_WS_PROXY", "false")]);
    assert_eq!(off.try_connect("/ws/g/p", &[]).err(), Some(503));

    for (server, reason) in [
        (&off, "DISABLED"),
        (&server, "INVALID_ORIGIN"),
        (&server, "RATE_LIMIT"),
        (&server, "CONNECTION_LIMIT"),
        (&server, "AUTH_TIMEOUT"),
        (&server, "AUTH_FAILED"),
    ] {
        let name = format!("WS_CONNECTION_BLOCKED_{reason}");
        let line = server.wait_for_event(&name);
        assert_eq!(
            (&line["level"], &line["message"]),
            (&json!("warn"), &json!(format!("[SECURITY] {name}"))),
            "{line}"
        );
        assert_eq!((&line["category"], &line["address"]), (&json!("SECURITY"), &json!("127.0.0.1")), "{line}");
        assert_eq!(server.log_text().matches(&format!("\"event\":\"{name}\"")).count(), 1, "{name}");
    }
    // DRAINING: admission::a6_….
    server.wait_for_event("WS_CONNECTION_CLOSED");
    assert_eq!(server.log_text().matches("_BLOCKED_").count(), 2 * 5, "as message and as event; none for A4");
}

#[test]
fn the_heartbeat_line_counts_connections_rooms_sessions_and_addresses() {
    let server = Server::start(&[("LOG_HEARTBEAT_INTERVAL", "0.05"), ("CLIENT_IP_HEADER", "x-test-address")]);
    let connect = |path: &str, address: &str| {
        server.try_connect(path, &[("X-Test-Address", address)]).expect("accepted").welcomed()
    };
    let clients = [
        connect("/ws/a/one", "203.0.113.1"),
        connect("/ws/a/two", "203.0.113.2"),
        connect("/ws/b/one", "203.0.113.1"),
        connect("/ws/b/watcher?spectate=1", "203.0.113.3"),
    ];
    let expected = json!({"connections": 4, "rooms": 2, "sessions": 3, "addresses": 3});
    let counts = |line: &Value| {
        line["category"] == "HEARTBEAT"
            && expected.as_object().expect("object").iter().all(|(name, count)| line[name] == *count)
    };
    let line = server.wait_for_log(counts);
    assert_eq!(line["message"], "[HEARTBEAT] connections=4 rooms=2 sessions=3 addresses=3");
    drop(clients);
    server.wait_for_log(|line| line["message"] == "[HEARTBEAT] connections=0 rooms=2 sessions=3 addresses=0");
}

#[test]
fn in_json_every_line_is_one_object_with_time_level_and_message() {
    let mut server = Server::start(&[("LOG_LEVEL", "debug"), ("LOG_HEARTBEAT_INTERVAL", "0.05")]);
    server.connect("/ws/g/p").welcomed().close();
    server.wait_for_event("WS_CONNECTION_CLOSED");
    server.wait_for_log(|line| line["category"] == "HEARTBEAT");
    server.signal("TERM");
    server.wait();
    server.wait_for_log(|line| line["message"] == "stopped");
    for line in server.log_text().lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(["debug", "info", "warn", "error"].iter().any(|level| line["level"] == *level), "{line}");
        assert!(line["message"].as_str().is_some_and(|text| !text.is_empty()), "{line}");
        assert!(line["timestamp"].as_str().is_some_and(|text| text.starts_with("20") && text.ends_with('Z')), "{line}");
    }
}

#[test]
fn in_text_the_lines_read_as_the_contract_says() {
    let server = Server::start(&[
        ("LOG_FORMAT", "text"),
        ("LOG_HEARTBEAT_INTERVAL", "0.05"),
        ("ALLOWED_ORIGINS", "https://x.example"),
    ]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    server
        .wait_for_line(|line| line.ends_with("[HEARTBEAT] connections=1 rooms=1 sessions=1 addresses=1").then_some(()));
    alice.send(&json!({"type": "leave"}));
    alice.ended();
    assert_eq!(server.try_connect("/ws/g/p", &[("Origin", "https://evil.example")]).err(), Some(403));
    let after = |prefix: &str| server.wait_for_line(|line| line.split_once(prefix).map(|(_, rest)| rest.to_owned()));
    let established = after(" INFO  [SECURITY] WS_CONNECTION_ESTABLISHED ");
    assert_eq!(established, "game=g player=alice address=127.0.0.1 role=player resume=new");
    let closed = after(" INFO  [SECURITY] WS_CONNECTION_CLOSED ");
    assert!(closed.starts_with("game=g player=alice address=127.0.0.1 cause=left code=1000 duration_ms="), "{closed}");
    assert!(closed.contains(" bytes_in=22 bytes_out="), "{closed}");
    let blocked = after(" WARN  [SECURITY] WS_CONNECTION_BLOCKED_INVALID_ORIGIN ");
    assert!(blocked.starts_with("address=127.0.0.1 reason="), "{blocked}");
}

#[test]
fn what_clients_send_cannot_forge_a_line_or_move_a_terminal() {
    const FORGED: &str = "2026-11-21T04:00:00.123Z INFO  [SECURITY] WS_CONNECTION_ESTABLISHED game=forged";
    // Control characters that JSON strings and header values may hold as they are.
    let hostile = format!("break \u{7f}\u{85}\u{2028}{FORGED}\u{202e}\u{9b}31m");
    for format in ["text", "json"] {
        let settings =
            [("LOG_FORMAT", format), ("LOG_LEVEL", "debug"), ("CLIENT_IP_HEADER", "x-test-address"), ("SHARDS", "1")];
        let server = Server::start_example("fragile", &settings);
        for name in ["X-Test-Address", "User-Agent", "Referer", "X-Forwarded-For", "Sec-WebSocket-Protocol", "Cookie"] {
            let value = format!("203.0.113.1\t{FORGED}\u{85}");
            assert_eq!(server.get_with("/ws/g/p", &[(name, &value)]).status, 426, "{name}");
        }
        assert_eq!(server.get_with("/ws/g/p", &[("Origin", FORGED)]).status, 403);
        assert_eq!(server.get("/ws/g/p%0a2026-11-21?session=%0a%1b[2J").status, 400);
        // The longest way into the log: a panic's message.
        let mut client = server.connect("/ws/fragile-1/p").welcomed();
        client.send(&json!({"type": "send", "data": hostile}));
        assert_eq!(client.ended().0.code, 1011);
        server.wait_for_line(|line| line.contains("panic").then_some(()));
        server.wait_for_line(|line| line.contains("WS_CONNECTION_CLOSED").then_some(()));
        let log = server.log_text();
        assert!(log.lines().all(|line| !line.starts_with(FORGED)), "{log}");
        assert!(log.lines().all(|line| format == "text" || line.starts_with("{\"timestamp\":\"")), "{log}");
        let unsafe_character = |c: char| c != '\n' && (c.is_control() || "\u{2028}\u{202e}".contains(c));
        assert!(!log.contains(unsafe_character), "{log:?}");
    }
}

#[test]
fn repeated_refusals_of_an_address_are_one_line_a_second_whose_counts_leave_none_out() {
    let server = Server::start(&[]);
    let origin = [("Origin", "https://evil.example")];
    let refused = |server: &Server| {
        let log = server.log_text();
        let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let lines = lines.filter(|line| line["event"] == "WS_CONNECTION_BLOCKED_INVALID_ORIGIN");
        lines.map(|line| line["count"].as_u64().unwrap_or(1)).collect::<Vec<_>>()
    };
    let begun = std::time::Instant::now();
    for _ in 0..300 {
        assert_eq!(server.get_with("/ws/g/p", &origin).status, 403);
    }
    let seconds = begun.elapsed().as_secs() as usize;
    server.wait_until(|| refused(&server).iter().sum::<u64>() == 300, "all are counted");
    let lines = refused(&server);
    assert!(lines.len() <= seconds + 3 && lines[0] == 1, "{lines:?} in {seconds} s");
}
