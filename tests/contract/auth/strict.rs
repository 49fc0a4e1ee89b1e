//! Owns the tests of secrets that are too weak, tokens that are guessed, narrow admins, the leeway,
//! long tokens, and the one token of hubs (A11, A11b, A11d, A11e, A15, A16).

use serde_json::{Value, json};

use super::SECRET;
use crate::support::{Server, assert_ended, token, unix_secs};

const API_SECRET: &str = "0123456789abcdef0123456789abcdef-api-secret";
const HUB_TOKEN: &str = "one-token-for-all-hubs";

fn status(server: &Server, method: &str, path: &str, token: &str, body: Option<&str>) -> u16 {
    server.request(method, path, &[("Authorization", &format!("Bearer {token}"))], body).status
}

#[test]
fn a15_short_and_quoted_secrets_stop_the_start_with_64_and_are_not_shown() {
    for (name, value) in [
        ("JWT_SECRET", "game-of-31-bytes-0123456789abcd"),
        ("HTTP_API_SECRET", "xyzzy-xyzzy"),
        ("HUB_TOKEN", "fifteen-bytes-x"),
        ("VITE_MASSIVE_PROXY_TOKEN", "plugh-plugh"),
        ("JWT_SECRET", "\"0123456789abcdef0123456789abcdef\""),
        ("HTTP_API_SECRET", "'0123456789abcdef0123456789abcdef'"),
    ] {
        let command = Server::command(env!("CARGO_BIN_EXE_innkeeper"), &[(name, value)]);
        let (code, err) = crate::startup::refused(command);
        assert!(code == 64 && err.contains(name) && !err.contains(value), "{name}: {code} {err}");
    }
}

#[test]
fn a15_wrong_operators_tokens_are_logged_and_limited_per_address() {
    let server = Server::start(&[
        ("HTTP_API_SECRET", API_SECRET),
        ("RATE_LIMIT_MAX_REQUESTS", "5"),
        ("CLIENT_IP_HEADER", "X-Test-Address"),
    ]);
    let ask = |address: &str, token: &str| {
        let bearer = format!("Bearer {token}");
        server.get_with("/api/games", &[("Authorization", &bearer), ("X-Test-Address", address)])
    };
    for _ in 0..5 {
        assert_eq!(ask("203.0.113.1", "guess").status, 403);
    }
    let line = server.wait_for_event("API_REFUSED");
    assert_eq!((&line["address"], &line["level"]), (&json!("203.0.113.1"), &json!("warn")), "{line}");
    for token in ["guess", API_SECRET] {
        let limited = ask("203.0.113.1", token);
        assert_eq!((limited.status, &limited.json()["error"]["code"]), (429, &json!("rate_limit")), "{limited:?}");
        assert!(limited.headers["retry-after"].parse::<u64>().is_ok_and(|seconds| (1..=61).contains(&seconds)));
    }
    assert_eq!(ask("203.0.113.2", API_SECRET).status, 200, "another address");
    assert!(!server.log_text().contains("guess"));
}

#[test]
fn a11e_an_admins_token_that_names_a_place_opens_nothing_else() {
    let config = tempfile::NamedTempFile::with_suffix(".yaml").expect("a file");
    std::fs::write(config.path(), "hubs: { lobby: bus, other: bus }\n").expect("a file");
    let server = Server::start(&[("JWT_SECRET", SECRET), ("CONFIG_FILE", config.path().to_str().expect("UTF-8"))]);
    let admin = |places: Value| {
        let mut claims = json!({"sub": "ops", "role": "admin", "exp": unix_secs(600)});
        claims.as_object_mut().expect("an object").extend(places.as_object().expect("an object").clone());
        token(SECRET, &claims)
    };
    let (all, chess, lobby) =
        (admin(json!({"game": "*"})), admin(json!({"game": ["chess"]})), admin(json!({"hub": "lobby"})));
    let event = Some(r#"{"data":1}"#);
    for (path, expected) in [
        ("/api/games/chess/events", [200, 200, 403]),
        ("/api/games/go/events", [200, 403, 403]),
        ("/api/hubs/lobby/topics/t", [200, 403, 200]),
        ("/api/hubs/other/topics/t", [200, 403, 403]),
    ] {
        let statuses = [&all, &chess, &lobby].map(|token| status(&server, "POST", path, token, event));
        assert_eq!(statuses, expected, "{path}");
    }
    for path in ["/api/games", "/api/hubs"] {
        assert_eq!([&all, &chess, &lobby].map(|token| status(&server, "GET", path, token, None)), [200, 403, 403]);
    }
    server.connect(&format!("/ws/_server?token={all}")).welcomed();
    server.connect(&format!("/ws/_server?token={}", admin(json!({"hub": "_server"})))).welcomed();
    for narrow in [&chess, &lobby] {
        assert_ended(server.connect(&format!("/ws/_server?token={narrow}")), 4003, "forbidden");
    }
}

#[test]
fn a11b_one_who_is_let_in_within_the_leeway_is_told_at_once_and_ends_with_it() {
    let server = Server::start(&[("JWT_SECRET", SECRET), ("JWT_LEEWAY", "20")]);
    let of = |exp: i64| token(SECRET, &json!({"sub": "alice", "exp": unix_secs(exp)}));
    let mut late = server.connect(&format!("/ws/g/alice?token={}", of(-16))).welcomed();
    let told = late.until_type("token_expiring")["in_ms"].as_u64().expect("a time");
    assert!(told <= 4000, "{told}");
    assert_ended(late, 4005, "token_expired");
    assert_ended(server.connect(&format!("/ws/g/alice?token={}", of(-25))), 4003, "token_expired");
    let ahead =
        token(SECRET, &json!({"sub": "alice", "exp": unix_secs(600), "nbf": unix_secs(10), "iat": unix_secs(10)}));
    server.connect(&format!("/ws/g/alice?token={ahead}")).welcomed();
    let far = token(SECRET, &json!({"sub": "alice", "exp": unix_secs(600), "iat": unix_secs(60)}));
    assert_ended(server.connect(&format!("/ws/g/alice?token={far}")), 4003, "token_not_yet_valid");
}

#[test]
fn a11d_a_player_of_an_issuer_has_an_id_that_stands_for_its_name() {
    let server = Server::start(&[("JWT_SECRET", SECRET)]);
    let of = |sub: &str| token(SECRET, &json!({"sub": sub, "exp": unix_secs(600)}));
    let vectors: Value = serde_json::from_str(include_str!("../../fixtures/player-ids.json")).expect("JSON");
    for vector in vectors.as_array().expect("a list") {
        let (sub, id) = (vector[0].as_str().expect("a value"), vector[1].as_str().expect("an id"));
        server.connect(&format!("/ws/g/{id}?token={}", of(sub))).welcomed().close();
    }
    assert_ended(server.connect(&format!("/ws/g/auth0~7C5f?token={}", of("auth0~7C5f"))), 4003, "token_wrong_player");
}

#[test]
fn a11_tokens_of_16_kib_come_in_by_every_way_and_longer_ones_do_not() {
    let server = Server::start(&[("JWT_SECRET", SECRET), ("MAX_MESSAGE_BYTES", "1k")]);
    let of =
        |padding: usize| token(SECRET, &json!({"sub": "alice", "exp": unix_secs(600), "groups": "x".repeat(padding)}));
    let long = of(12_000);
    assert!((16_000..=16_384).contains(&long.len()), "{}", long.len());
    let header = ("Authorization", format!("Bearer {long}"));
    let offered = ("Sec-WebSocket-Protocol", format!("innkeeper.v1.json, bearer.{long}"));
    for (name, value) in [&header, &offered] {
        server.try_connect("/ws/g/alice", &[(name, value)]).expect("accepted").welcomed().close();
    }
    server.connect(&format!("/ws/g/alice?token={long}")).welcomed().close();
    let mut by_frame = server.connect("/ws/g/alice");
    by_frame.send(&json!({"type": "auth", "token": long}));
    let mut by_frame = by_frame.welcomed();
    by_frame.send(&json!({"type": "auth", "token": of(11_000)}));
    assert!(by_frame.drain().is_empty(), "renewed");
    by_frame.send(&json!({"type": "send", "data": "x".repeat(1100)}));
    assert_ended(by_frame, 1009, "message_too_big");
    assert_ended(server.connect(&format!("/ws/g/alice?token={}", of(13_000))), 4003, "token_malformed");
}

#[test]
fn a16_one_shared_token_opens_hubs_as_a_player_and_nothing_else() {
    let config = tempfile::NamedTempFile::with_suffix(".yaml").expect("a file");
    std::fs::write(config.path(), "hubs: { lobby: { provider: bus, publish: [player] } }\n").expect("a file");
    let file = ("CONFIG_FILE", config.path().to_str().expect("UTF-8"));
    for settings in [
        &[("HUB_TOKEN", HUB_TOKEN), file][..],
        &[("VITE_MASSIVE_PROXY_TOKEN", HUB_TOKEN), file],
        &[("HUB_TOKEN", HUB_TOKEN), file, ("JWT_SECRET", SECRET)],
    ] {
        let server = Server::start(&[settings, &[("AUTH_TIMEOUT_MS", "1500")]].concat());
        let header = ("Authorization", format!("Bearer {HUB_TOKEN}"));
        let offered = ("Sec-WebSocket-Protocol", format!("innkeeper.v1.json, bearer.{HUB_TOKEN}"));
        for (name, value) in [&header, &offered] {
            server.try_connect("/ws/lobby", &[(name, value)]).expect("accepted").welcomed();
        }
        server.connect(&format!("/ws/lobby?token={HUB_TOKEN}")).welcomed();
        let mut client = server.connect("/ws/lobby");
        client.send(&json!({"type": "auth", "token": HUB_TOKEN}));
        let mut client = client.welcomed();
        client.send(&json!({"type": "publish", "id": 1, "topic": "t", "data": 1}));
        assert_eq!(client.until_type("published")["id"], 1, "as a player");
        assert_ended(server.connect("/ws/lobby"), 4001, "auth_timeout");
        for wrong in [&HUB_TOKEN[1..], "anything"] {
            assert_ended(server.connect(&format!("/ws/lobby?token={wrong}")), 4003, "token_malformed");
        }
        assert_ended(server.connect(&format!("/ws/_server?token={HUB_TOKEN}")), 4003, "forbidden");
        if settings.len() == 3 {
            let jwt = token(SECRET, &json!({"sub": "ann", "exp": unix_secs(600)}));
            server.connect(&format!("/ws/lobby?token={jwt}")).welcomed();
            assert_ended(server.connect(&format!("/ws/g/alice?token={HUB_TOKEN}")), 4003, "token_malformed");
        }
        assert!(!server.log_text().contains(HUB_TOKEN));
    }
}
