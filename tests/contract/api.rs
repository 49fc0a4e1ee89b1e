//! Owns the tests of the back-end API: who may call it, and its errors (section 8, E1).

mod append;
mod close;
mod faults;
mod key;
mod rooms;

use serde_json::{Value, json};

use crate::support::{Response, Server, token, unix_secs};

const SECRET: &str = "an-api-secret-of-the-tests-0123456789";
const JWT_SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A back end that has the secret.
struct BackEnd<'a>(&'a Server);

impl BackEnd<'_> {
    fn ask(&self, method: &str, path: &str, body: Option<&Value>, more: &[(&str, &str)]) -> Response {
        let bearer = format!("Bearer {SECRET}");
        let mut headers = vec![("Authorization", bearer.as_str())];
        headers.extend_from_slice(more);
        self.0.request(method, path, &headers, body.map(Value::to_string).as_deref())
    }

    /// An answer that must be 200.
    fn get(&self, path: &str) -> Value {
        let response = self.ask("GET", path, None, &[]);
        assert_eq!(response.status, 200, "{path}: {response:?}");
        response.json()
    }

    /// The `seq` of an event that must be taken.
    fn append(&self, game: &str, body: &Value) -> u64 {
        seq(&self.ask("POST", &format!("/api/games/{game}/events"), Some(body), &[]))
    }

    fn append_with_key(&self, game: &str, key: &str, body: &Value) -> u64 {
        seq(&self.ask("POST", &format!("/api/games/{game}/events"), Some(body), &[("Idempotency-Key", key)]))
    }

    fn kick(&self, game: &str, player: &str) -> Response {
        self.ask("POST", &format!("/api/games/{game}/kick"), Some(&json!({"player": player})), &[])
    }

    fn delete(&self, game: &str) -> Response {
        self.ask("DELETE", &format!("/api/games/{game}"), None, &[])
    }
}

fn start() -> Server {
    Server::start(&[("HTTP_API_SECRET", SECRET)])
}

fn seq(response: &Response) -> u64 {
    let body = response.json();
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(body.as_object().map(|body| body.len()), Some(1), "{body}");
    body["seq"].as_u64().expect("a seq")
}

/// E1's shape, with this status and code.
fn assert_error(response: &Response, status: u16, code: &str) {
    assert_eq!((response.status, &response.json()["error"]["code"]), (status, &json!(code)), "{response:?}");
    assert!(response.json()["error"]["message"].as_str().is_some_and(|message| message.len() > 8), "{response:?}");
    assert_eq!(response.headers["content-type"], "application/json");
}

const CALLS: [(&str, &str, Option<&str>); 6] = [
    ("GET", "/api/games", None),
    ("GET", "/api/games/g", None),
    ("GET", "/api/games/g/events", None),
    ("POST", "/api/games/g/events", Some(r#"{"data":1}"#)),
    ("POST", "/api/games/g/kick", Some(r#"{"player":"alice"}"#)),
    ("DELETE", "/api/games/g", None),
];

#[test]
fn e1_every_call_needs_the_secret_and_no_other() {
    let server = start();
    for (method, path, body) in CALLS {
        let ask = |headers: &[(&str, &str)]| server.request(method, path, headers, body);
        let missing = ask(&[]);
        assert_error(&missing, 401, "unauthorized");
        assert_eq!(missing.headers["www-authenticate"], "Bearer");
        assert_error(&ask(&[("Authorization", "Basic dXNlcjpwdw==")]), 401, "unauthorized");
        for wrong in ["x", &SECRET[1..], &format!("{SECRET}x"), &SECRET.to_uppercase()] {
            assert_error(&ask(&[("Authorization", &format!("Bearer {wrong}"))]), 403, "forbidden");
        }
        let in_query = server.request(method, &format!("{path}?token={SECRET}"), &[], body);
        assert_error(&in_query, 401, "unauthorized");
    }
    assert_eq!(BackEnd(&server).get("/api/games")["games"], json!([]), "nothing of that did anything");
    assert!(!server.log_text().contains(SECRET), "A12");
}

#[test]
fn e1_an_admins_token_is_as_good_and_is_no_players() {
    let server = Server::start(&[("JWT_SECRET", JWT_SECRET)]);
    let token = |role: Value| token(JWT_SECRET, &json!({"sub": "alice", "exp": unix_secs(600), "role": role}));
    let ask = |token: &str| server.get_with("/api/games", &[("Authorization", &format!("Bearer {token}"))]);
    assert_eq!(ask(&token(json!("admin"))).status, 200);
    for role in [json!("player"), json!("spectator"), json!(null), json!(["admin"])] {
        assert_error(&ask(&token(role)), 403, "forbidden");
    }
    let (ended, last) = server.connect(&format!("/ws/g/alice?token={}", token(json!("admin")))).ended();
    assert_eq!((ended.code, &last["code"]), (4003, &json!("token_bad_role")));
}

#[test]
fn e1_what_is_wrong_is_said_with_the_fitting_status() {
    let server = Server::start(&[("HTTP_API_SECRET", SECRET), ("MAX_MESSAGE_BYTES", "2k"), ("MAX_STATE_BYTES", "1k")]);
    let back_end = BackEnd(&server);
    let post = |path: &str, body: &str, more: &[(&str, &str)]| {
        let bearer = format!("Bearer {SECRET}");
        let mut headers = vec![("Authorization", bearer.as_str())];
        headers.extend_from_slice(more);
        server.request("POST", path, &headers, Some(body))
    };
    let get = |path: &str| back_end.ask("GET", path, None, &[]);
    for path in ["/api/games/_server", "/api/games/-x/events", "/api/games/a%2fb", "/api/games/%61"] {
        assert_error(&get(path), 400, "bad_path");
    }
    for query in ["limit=0", "limit=10001", "limit=x", "limit=-1", "after=_server"] {
        assert_error(&get(&format!("/api/games?{query}")), 400, "invalid_field");
    }
    back_end.append("g", &json!({"data": 1}));
    for query in ["limit=0", "limit=1001", "limit=x", "after=-1", "after=1.5"] {
        assert_error(&get(&format!("/api/games/g/events?{query}")), 400, "invalid_field");
    }
    for path in ["/api/games/none", "/api/games/none/events"] {
        assert_error(&get(path), 404, "not_found");
    }
    assert_error(&back_end.kick("none", "alice"), 404, "not_found");
    assert_error(&back_end.kick("g", "alice"), 404, "not_found");
    assert_error(&back_end.delete("none"), 404, "not_found");
    for body in ["", "{", "[]", "7"] {
        assert_error(&post("/api/games/g/events", body, &[]), 400, "bad_json");
        assert_error(&post("/api/games/g/kick", body, &[]), 400, "bad_json");
    }
    for body in [r#"{"to":["a"]}"#, r#"{"data":1,"patch":{}}"#, r#"{"patch":7}"#, r#"{"data":1,"to":["@server"]}"#] {
        assert_error(&post("/api/games/g/events", body, &[]), 400, "invalid_field");
    }
    let key = |key: &str| post("/api/games/g/events", r#"{"data":1}"#, &[("Idempotency-Key", key)]);
    assert_error(&key(""), 400, "invalid_field");
    assert_error(&key(&"x".repeat(256)), 400, "invalid_field");
    let twice = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")];
    assert_error(&post("/api/games/g/events", r#"{"data":1}"#, &twice), 400, "invalid_field");

    let long = json!({"data": "x".repeat(3000)}).to_string();
    assert_error(&post("/api/games/g/events", &long, &[]), 413, "message_too_big");
    let state = json!({"patch": {"a": "x".repeat(1100)}}).to_string();
    assert_error(&post("/api/games/g/events", &state, &[]), 413, "state_too_large");
    assert_error(&post("/api/games/g/events", &"x".repeat(100_000), &[]), 413, "body_too_large");
    let patched = back_end.append("g", &json!({"patch": {"a": 1}}));
    let stale = json!({"patch": {"a": 2}, "if_seq": patched - 1}).to_string();
    assert_error(&post("/api/games/g/events", &stale, &[]), 409, "conflict");
    for (method, path) in [("PUT", "/api/games/g"), ("POST", "/api/games"), ("DELETE", "/api/games/g/events")] {
        assert_error(&back_end.ask(method, path, None, &[]), 405, "method_not_allowed");
    }
    let room = back_end.get("/api/games/g");
    assert_eq!((&room["seq"], &room["state"]), (&json!(patched), &json!({"a": 1})), "nothing of that was applied");
}
