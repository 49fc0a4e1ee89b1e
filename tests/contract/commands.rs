//! Owns the tests of the commands `innkeeper api` and `innkeeper token` against a running server.

use std::{
    io::Write as _,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};

use crate::support::{DataDir, Server};

const PROGRAM: &str = env!("CARGO_BIN_EXE_innkeeper");
const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Runs a command with these settings and this stdin.
fn run(settings: &[(&str, &str)], arguments: &[&str], stdin: &str) -> Output {
    let mut command = Command::new(PROGRAM);
    command.env_clear().envs(settings.iter().copied()).args(arguments);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    child.stdin.take().expect("piped").write_all(stdin.as_bytes()).expect("stdin");
    child.wait_with_output().expect("it ends")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// The exit code, stdout as JSON or null, and stderr.
fn api(settings: &[(&str, &str)], arguments: &[&str], stdin: &str) -> (i32, Value, String) {
    let output = run(settings, &[&["api"], arguments].concat(), stdin);
    let body = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code().expect("a code"), body, text(&output.stderr))
}

#[test]
fn a10a_api_finds_the_port_and_the_operator_key_of_a_server_whose_port_the_system_chose() {
    let data = DataDir::new();
    // No PORT but the default for the command, and no key anywhere but in the directory.
    let settings = [("DATA_DIR", data.path())];
    let mut server = Server::start(&settings);
    let mut alice = server.connect("/ws/test-game/alice").welcomed();
    let path = "/api/games/test-game/events";
    let (code, body, error) = api(&settings, &["POST", path, "{\"data\":1}"], "");
    assert_eq!((code, &body["seq"]), (0, &json!(2)), "{error}");
    let message = alice.until_type("message");
    assert_eq!((&message["from"], &message["data"]), (&json!("@server"), &json!(1)));

    let (code, body, error) = api(&settings, &["post", path, "-"], "{\"data\":\"from stdin\"}");
    assert_eq!((code, &body["seq"]), (0, &json!(3)), "{error}");
    assert_eq!(alice.until_type("message")["data"], "from stdin");
    for _ in 0..2 {
        let (code, body, _) = api(&settings, &["POST", path, "{\"data\":2}", "-H", "Idempotency-Key: k"], "");
        assert_eq!((code, &body["seq"]), (0, &json!(4)), "the key goes along");
    }
    let (code, body, _) = api(&settings, &["GET", "/api/games?limit=1"], "");
    assert_eq!((code, &body["games"][0]["game"]), (0, &json!("test-game")));

    let (code, body, error) = api(&settings, &["GET", "/api/games/nowhere"], "");
    assert_eq!((code, &body["error"]["code"]), (4, &json!("not_found")), "{error}");
    assert!(error.contains("404"), "{error}");
    server.kill();
    let (code, _, error) = api(&[settings[0], ("PORT", "0")], &["GET", "/api/games"], "");
    assert!(code == 1 && error.contains("no server runs"), "the file of a killed server is no server: {error}");
}

#[test]
fn api_shows_the_secret_of_the_settings_or_an_admins_token_and_no_key_to_another_machine() {
    let other = "abcdef0123456789abcdef0123456789";
    for (secret, is_in_file) in [("HTTP_API_SECRET", false), ("HTTP_API_SECRET", true), ("JWT_SECRET", false)] {
        let data = DataDir::new();
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("config.yaml");
        let mut settings = vec![("DATA_DIR", data.path())];
        if is_in_file {
            std::fs::write(&file, format!("{}: {SECRET}\n", secret.to_lowercase())).expect("a file");
            settings.push(("CONFIG_FILE", file.to_str().expect("text")));
        } else {
            settings.push((secret, SECRET));
        }
        let server = Server::start(&settings);
        let (code, body, error) = api(&settings, &["GET", "/api/games"], "");
        assert_eq!((code, &body["games"]), (0, &json!([])), "{secret}: {error}");
        let wrong = [("DATA_DIR", data.path()), (secret, other)];
        let (code, body, _) = api(&wrong, &["GET", "/api/games"], "");
        assert_eq!((code, &body["error"]["code"]), (4, &json!("forbidden")), "{secret}");
        let url = format!("http://127.0.0.1:{}/", server.port);
        let (code, ..) = api(&[(secret, SECRET)], &["GET", "/api/games", "--url", &url], "");
        assert_eq!(code, 0, "{secret}: a server that is named");
    }
}

#[test]
fn api_says_what_is_wrong_with_a_call_and_exits_with_64() {
    for (arguments, told) in [
        (&["GET", "api/games"][..], "such as /api/games"),
        (&["G T", "/api/games"], "no method"),
        (&["GET", "/api/games", "-H", "hunter2"], "Name: value"),
        (&["GET", "/api/games", "--url", "localhost:8080"], "http://localhost:8080"),
    ] {
        let (code, _, error) = api(&[], arguments, "");
        assert!(code == 64 && error.contains(told) && !error.contains("hunter2"), "{arguments:?}: {code} {error}");
    }
}

#[test]
fn a11_a_token_of_the_command_lets_its_player_in_where_it_says_and_nobody_else() {
    let settings = [("JWT_SECRET", SECRET), ("JWT_AUDIENCE", "inn"), ("JWT_ISSUER", "tests")];
    let server = Server::start(&settings);
    let mint = |arguments: &[&str]| {
        let output = run(&settings, &[&["token"], arguments].concat(), "");
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout).trim().to_owned()
    };
    let token = mint(&["--player", "alice", "--game", "chess-1", "--game", "chess-2", "--ttl", "2h"]);
    for game in ["chess-1", "chess-2"] {
        server.connect(&format!("/ws/{game}/alice?token={token}")).welcomed();
    }
    for path in ["/ws/chess-3/alice", "/ws/chess-1/bob"] {
        assert_eq!(server.connect(&format!("{path}?token={token}")).ended().0.code, 4003, "{path}");
    }
    let spectator = mint(&["--player", "watcher", "--role", "spectator"]);
    assert_eq!(server.connect(&format!("/ws/any/watcher?token={spectator}")).welcomed().welcome["role"], "spectator");
    let admin = mint(&["--player", "root", "--role", "admin", "--ttl", "90"]);
    assert_eq!(server.get_with("/api/games", &[("Authorization", &format!("Bearer {admin}"))]).status, 200);
}

#[test]
fn a11c_a_token_of_the_command_has_player_and_role_where_the_server_looks_for_them() {
    let data = DataDir::new();
    let settings = [
        ("DATA_DIR", data.path()),
        ("JWT_SECRET", SECRET),
        ("JWT_ROLE_CLAIM", "app_metadata.role"),
        ("JWT_PLAYER_CLAIM", "user_id"),
    ];
    let server = Server::start(&settings);
    let output = run(&settings, &["token", "--player", "watcher", "--role", "spectator"], "");
    let token = text(&output.stdout).trim().to_owned();
    assert_eq!(server.connect(&format!("/ws/any/watcher?token={token}")).welcomed().welcome["role"], "spectator");
    let (code, body, error) = api(&settings, &["GET", "/api/games?limit=1"], "");
    assert!(code == 0 && body["games"].is_array(), "an admin's token, made for the call: {error}");
}

#[test]
fn a_token_without_a_secret_or_for_no_id_is_refused_in_words() {
    let with = [("JWT_SECRET", SECRET)];
    for (settings, arguments, told) in [
        (&[][..], &["--player", "alice"][..], "JWT_SECRET"),
        (&[("JWT_SECERT", SECRET)], &["--player", "alice"], "did you mean JWT_SECRET?"),
        (&with, &["--player", "a/b"], "--player"),
        (&with, &["--player", ""], "--player"),
        (&with, &["--player", "alice", "--ttl", "soon"], "12h"),
        (&with, &[], "--player"),
    ] {
        let output = run(settings, &[&["token"], arguments].concat(), "");
        let error = text(&output.stderr);
        assert!(output.status.code() == Some(64) && error.contains(told), "{arguments:?}: {error}");
        assert!(output.stdout.is_empty() && !error.contains(SECRET), "{error}");
    }
}
