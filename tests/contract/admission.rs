//! Owns the tests of admission: switches, origins, rates, limits, paths (section 2, A1 to A6, A8,
//! A9, P1, P3).

mod limits;
mod origins;
mod proxies;

use serde_json::{Value, json};

use crate::{
    drain::{held_in_its_drain, let_go},
    support::{Client, Response, Server, token, unix_secs},
};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// The bytes of an upgrade request. A header given here replaces the usual one; an empty value
/// leaves it out.
fn upgrade(method: &str, path: &str, headers: &[(&str, &str)]) -> String {
    let usual = [
        ("Host", "game.example"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let mut request = format!("{method} {path} HTTP/1.1\r\n");
    for (name, value) in usual.iter().filter(|(name, _)| headers.iter().all(|(given, _)| given != name)).chain(headers)
    {
        if !value.is_empty() {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    request + "\r\n"
}

/// The head of the answer to an upgrade request, whether it is admitted or not.
fn head_of(server: &Server, path: &str, headers: &[(&str, &str)]) -> String {
    use std::io::Read as _;
    let mut socket = server.raw();
    socket.write(upgrade("GET", path, headers).as_bytes());
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        socket.0.read_exact(&mut byte).expect("an answer");
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("text").to_ascii_lowercase()
}

fn status_of(server: &Server, path: &str, headers: &[(&str, &str)]) -> u16 {
    head_of(server, path, headers)[9..12].parse().expect("a status")
}

/// A8: a refusal has its status, and a JSON body with a code and a message for people; the message
/// is returned.
fn assert_refused(response: &Response, status: u16, code: &str) -> String {
    assert_eq!(response.status, status, "{response:?}");
    assert_eq!(response.headers["content-type"], "application/json", "{response:?}");
    let body = response.json();
    assert_eq!(body["error"]["code"], code, "{response:?}");
    body["error"]["message"].as_str().filter(|message| !message.is_empty()).expect("a message").to_owned()
}

fn refusal(server: &Server, path: &str, headers: &[(&str, &str)]) -> Response {
    server.answer_to(&upgrade("GET", path, headers))
}

/// A5: accepted, told why, closed.
fn assert_turned_away(client: Client, setting: &str) {
    let mut client = client;
    let (ended, last) = client.ended();
    assert_eq!((&last["type"], &last["code"]), (&"error".into(), &"connection_limit".into()), "{last}");
    assert!(last["message"].as_str().is_some_and(|message| message.contains(setting)), "{last}");
    assert_eq!((ended.code, ended.reason.as_str()), (1008, "connection_limit"));
}

#[test]
fn p1_a_path_that_is_no_game_and_player_is_400_as_an_upgrade_and_as_a_plain_request() {
    let server = Server::start(&[]);
    let long = format!("/ws/g/{}", "x".repeat(65));
    let long_game = format!("/ws/{}/p", "x".repeat(65));
    let paths = [
        ["/ws", "/ws/", "/ws/g%20", "/ws/g/", "/ws//p", "/ws//", "/ws/g/p/", "/ws/g/p/q"],
        [
            "/ws/../p",
            "/ws/g/..",
            "/ws/g/.",
            "/ws/.hidden/p",
            "/ws/g/../../etc/passwd",
            "/ws/%2e%2e/p",
            "/ws/g/%00",
            "/ws/g/p%",
        ],
        [
            "/ws/g%2fp",
            "/ws/g%2Fp/q",
            "/ws/g/a%2fb",
            "/ws/g/a%20b",
            "/ws/_other",
            "/ws/_server/p",
            "/ws/g/_server",
            "/ws/g/@server",
        ],
        ["/ws/-g/p", "/ws/~g/p", "/ws/g/a+b", "/ws/g/a:b", "/ws/g/a;b", "/ws/g/?x=p", &long, &long_game],
    ];
    for path in paths.as_flattened() {
        assert_refused(&refusal(&server, path, &[]), 400, "bad_path");
        assert_refused(&server.get(path), 400, "bad_path");
    }
    let id = format!("9{}", "A.b_c~d-".repeat(8))[..64].to_owned();
    let client = server.connect(&format!("/ws/{id}/{id}")).welcomed();
    assert_eq!((&client.welcome["game"], &client.welcome["player"]), (&Value::from(id.clone()), &Value::from(id)));
}

#[test]
fn p3_a_supported_subprotocol_is_echoed_and_nothing_else_ever_is() {
    let server = Server::start(&[("JWT_SECRET", SECRET)]);
    let token = token(SECRET, &serde_json::json!({"sub": "p", "exp": unix_secs(60)}));
    let echo = |offered: &[(&str, &str)]| {
        let path = format!("/ws/g/p?token={token}");
        let head = head_of(&server, &path, offered);
        assert!(head.starts_with("http/1.1 101") && !head.contains("bearer"), "{head}");
        head.lines().find_map(|line| line.strip_prefix("sec-websocket-protocol: ")).map(str::to_owned)
    };
    const NAME: &str = "Sec-WebSocket-Protocol";
    let bearer = format!("bearer.{token}");
    let supported = Some("innkeeper.v1.json".to_owned());
    assert_eq!(echo(&[]), None);
    assert_eq!(echo(&[(NAME, "innkeeper.v1.json")]), supported);
    assert_eq!(echo(&[(NAME, "graphql-ws, innkeeper.v1.json")]), supported);
    assert_eq!(echo(&[(NAME, "graphql-ws"), (NAME, "innkeeper.v1.json")]), supported);
    assert_eq!(echo(&[(NAME, &format!("{bearer}, innkeeper.v1.json"))]), supported);
    assert_eq!(echo(&[(NAME, "graphql-ws, innkeeper.v2.json")]), None);
    assert_eq!(echo(&[(NAME, &bearer)]), None);
}

#[test]
fn a1_either_switch_refuses_everybody_with_503_and_says_which() {
    for setting in ["ENABLE_WS_PROXY", "WEBSOCKET_ENABLED"] {
        let server = Server::start(&[(setting, "false")]);
        let message = assert_refused(&refusal(&server, "/ws/g/p", &[]), 503, "disabled");
        assert!(message.contains(setting), "{message}");
        assert_refused(&server.get("/ws/g/p"), 503, "disabled");
        let event = server.wait_for_event("WS_CONNECTION_BLOCKED_DISABLED");
        assert_eq!((&event["address"], &event["level"]), (&"127.0.0.1".into(), &"warn".into()), "{event}");
        assert_eq!(server.get("/health").status, 200, "the rest of the server lives");
        assert_eq!(server.get("/api/client-config").json()["websocket"]["enabled"], false);
    }
}

#[test]
fn a4_a_request_that_is_no_upgrade_is_426_whatever_its_method() {
    let server = Server::start(&[]);
    let response = server.get("/ws/g/p");
    assert_refused(&response, 426, "upgrade_required");
    assert_eq!(response.headers["upgrade"], "websocket");
    for method in ["POST", "PUT", "DELETE"] {
        let request = format!("{method} /ws/g/p HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        assert_refused(&server.answer_to(&request), 426, "upgrade_required");
    }
    let h2c = [("Upgrade", "h2c"), ("Connection", "Upgrade, close")];
    assert_refused(&refusal(&server, "/ws/g/p", &h2c), 426, "upgrade_required");
}

#[test]
fn a4_a_broken_handshake_is_400_and_says_what_is_wrong() {
    let server = Server::start(&[]);
    for (header, says) in [
        (("Sec-WebSocket-Version", "8"), "Version"),
        (("Sec-WebSocket-Version", ""), "Version"),
        (("Sec-WebSocket-Key", ""), "Key"),
        (("Connection", "close"), "Connection"),
    ] {
        let response = refusal(&server, "/ws/g/p", &[header]);
        let message = assert_refused(&response, 400, "bad_handshake");
        assert!(message.contains(says), "{message}");
        assert_eq!(response.headers["sec-websocket-version"], "13", "RFC 6455 section 4.2.2");
    }
    const KEY: (&str, &str) = ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    for (headers, says) in [
        (&[KEY, KEY][..], "Sec-WebSocket-Key"),
        (&[KEY, ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==")], "Sec-WebSocket-Key"),
        (&[("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Version", "13")], "Sec-WebSocket-Version"),
        (&[("Authorization", "Bearer a"), ("Authorization", "Bearer b")], "Authorization"),
    ] {
        let message = assert_refused(&refusal(&server, "/ws/g/p", headers), 400, "bad_handshake");
        assert!(message.contains(says), "{message}");
    }
    // actix-http refuses these before anybody else sees them.
    for headers in [[("Host", "a"), ("Host", "a")], [("Transfer-Encoding", "chunked"), ("Content-Length", "5")]] {
        assert_eq!(status_of(&server, "/ws/g/p", &headers), 400);
    }
    let old = upgrade("GET", "/ws/g/p", &[]).replacen("HTTP/1.1", "HTTP/1.0", 1);
    let message = assert_refused(&server.answer_to(&old), 400, "bad_handshake");
    assert!(message.contains("HTTP/1.1"), "{message}");
    let message = assert_refused(&server.answer_to(&upgrade("POST", "/ws/g/p", &[])), 400, "bad_handshake");
    assert!(message.contains("GET"), "{message}");
    server.wait_for_metric("innkeeper_refusals_total{reason=\"bad_handshake\"}", 10.0);
}

#[test]
fn a8_a_refusal_is_json_on_both_ways_in_and_says_what_to_do() {
    let evil = [("Origin", "https://evil.example")];
    let server = Server::start(&[("RATE_LIMIT_MAX_REQUESTS", "3"), ("MAX_CONNECTIONS_PER_IP", "1")]);
    let both = |path: &str, headers: &[(&str, &str)]| {
        // A plain request and an upgrade are refused alike, but for what only one of them can be.
        [refusal(&server, path, headers), server.get_with(path, headers)]
    };
    let says = |responses: [Response; 2], status, code, advice: &str| {
        let [upgrade, plain] = responses.map(|response| assert_refused(&response, status, code));
        // The seconds that follow may differ.
        assert_eq!(upgrade.split("retry in").next(), plain.split("retry in").next());
        assert!(upgrade.contains(advice), "{upgrade}");
    };
    says(both("/ws/g/p", &evil), 403, "invalid_origin", "ALLOWED_ORIGINS");
    says(both("/ws/g/", &[]), 400, "bad_path", "connect to /ws/{game}/{player}");
    let _holder = server.connect("/ws/g/p").welcomed();
    says(both("/ws/g/p", &[]), 429, "rate_limit", "retry in");
}

#[test]
fn a6_while_draining_a_player_is_refused_with_503_and_retry_after_before_the_token_is_looked_at() {
    let alice = token(SECRET, &json!({"sub": "alice", "exp": unix_secs(600)}));
    let mut server = held_in_its_drain(&format!("/ws/g/alice?token={alice}"), &[("JWT_SECRET", SECRET)]);
    let response = refusal(&server, "/ws/g/p?token=garbage", &[]);
    assert_refused(&response, 503, "draining");
    let seconds: u64 = response.headers["retry-after"].parse().expect("seconds");
    assert!((1..=600).contains(&seconds), "{response:?}");
    assert_refused(&refusal(&server, "/ws/g/..", &[]), 400, "bad_path");
    let event = server.wait_for_event("WS_CONNECTION_BLOCKED_DRAINING");
    assert_eq!(event["address"], "127.0.0.1", "{event}");
    let_go(&mut server);
}

#[test]
fn a2_the_first_check_that_fails_is_the_one_that_answers() {
    let evil = [("Origin", "https://evil.example")];
    let off = Server::start(&[("WEBSOCKET_ENABLED", "false")]);
    assert_refused(&refusal(&off, "/ws/g/..", &evil), 503, "disabled");

    let server =
        Server::start(&[("RATE_LIMIT_MAX_REQUESTS", "3"), ("MAX_CONNECTIONS_PER_IP", "1"), ("JWT_SECRET", SECRET)]);
    for _ in 0..5 {
        // Not counted as attempts: the origin is looked at first.
        assert_refused(&refusal(&server, "/ws/g/..", &evil), 403, "invalid_origin");
    }
    let _holder = server.raw().upgrade("/ws/g/holder");
    assert_refused(&refusal(&server, "/ws/g/..", &[]), 400, "bad_path");
    assert_turned_away(server.connect("/ws/g/p?token=garbage"), "MAX_CONNECTIONS_PER_IP");
    assert_refused(&refusal(&server, "/ws/g/..", &[]), 429, "rate_limit");
    assert_refused(&refusal(&server, "/ws/g/p", &evil), 403, "invalid_origin");
}
