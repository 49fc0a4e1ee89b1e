//! Owns the tests of the command `innkeeper load`: against servers that are right, that lie, and
//! that are killed in the middle.

use std::{
    net::TcpListener,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};

use crate::{
    fakes::{Liar, Lie},
    support::{Server, seed},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_innkeeper");
const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn command(settings: &[(&str, &str)], arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).envs(settings.iter().copied());
    command.env("CONFIG_FILE", "").arg("load").args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The exit code, stdout as JSON or null, and stderr.
fn read(output: &Output) -> (i32, Value, String) {
    let body = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code().expect("a code"), body, String::from_utf8_lossy(&output.stderr).into_owned())
}

fn load(settings: &[(&str, &str)], arguments: &[&str]) -> (i32, Value, String) {
    read(&command(settings, arguments).output().expect("it starts"))
}

/// The names of the limits that were broken.
fn broken(result: &Value) -> Vec<&str> {
    let checks = result["checks"].as_array().expect("checks").iter();
    checks.filter(|check| check["held"] == false).filter_map(|check| check["name"].as_str()).collect()
}

/// More than 10,000 deliveries: 4,000 a second in one room of ten.
fn load_liar(lie: Lie, more: &[&str]) -> (i32, Value, String) {
    let url = format!("http://127.0.0.1:{}", Liar::start(lie).port);
    let size = ["--rooms", "1", "--players", "10", "--rate", "40", "--warmup", "0s", "--for", "3s", "--json"];
    load(&[], &[&[url.as_str()], &size[..], more].concat())
}

#[test]
fn a_server_that_tells_everything_once_and_in_order_is_right() {
    let (code, result, error) =
        load_liar(Lie::Nothing, &["--droppers", "10%", "--drop-every", "500ms", "--away", "50ms"]);
    assert_eq!((code, broken(&result)), (0, vec![]), "{error}{result:#}");
    assert!(result["resumes"]["continuous"].as_u64() > Some(0), "{result:#}");
    let sent = result["sent"].as_u64().expect("a number");
    assert!(sent > 1000 && result["latency_ms"]["count"].as_u64() > Some(sent), "{result:#}");
}

#[test]
fn one_lost_delivery_in_ten_thousand_is_found() {
    let (code, result, error) = load_liar(Lie::Lose, &[]);
    assert_eq!((code, &result["lost"], &result["duplicates"]), (1, &json!(1), &json!(0)), "{error}{result:#}");
    assert!(broken(&result).contains(&"lost deliveries"), "{result:#}");
    let faults = result["faults"].as_array().expect("faults").iter().filter_map(Value::as_str);
    assert!(faults.into_iter().any(|fault| fault.contains("1 missing before it")), "{result:#}");
}

#[test]
fn one_send_that_nobody_sees_is_lost_for_everyone() {
    let (code, result, error) = load_liar(Lie::Swallow, &[]);
    assert_eq!((code, &result["lost"]), (1, &json!(10)), "{error}{result:#}");
    let (code, ..) = load_liar(Lie::Swallow, &["--lost", "10"]);
    assert_eq!(code, 0, "as many as --lost takes");
}

#[test]
fn one_delivery_that_comes_twice_in_ten_thousand_is_found() {
    let (code, result, error) = load_liar(Lie::Twice, &[]);
    assert_eq!((code, &result["lost"], &result["duplicates"]), (1, &json!(0), &json!(1)), "{error}{result:#}");
    assert_eq!(broken(&result), ["duplicates"]);
}

#[test]
fn one_delivery_behind_a_later_one_and_a_changed_one_are_found() {
    let (code, result, error) = load_liar(Lie::Late, &[]);
    assert_eq!((code, &result["duplicates"]), (1, &json!(0)), "{error}{result:#}");
    assert!(broken(&result).contains(&"messages out of order"), "{result:#}");
    let (code, result, error) = load_liar(Lie::Change, &[]);
    assert_eq!((code, &result["changed"]), (1, &json!(1)), "{error}{result:#}");
}

#[test]
fn r3_a_continuous_that_is_not_true_is_found() {
    let (code, result, error) =
        load_liar(Lie::FalseContinuous, &["--droppers", "20%", "--drop-every", "500ms", "--lost", "any"]);
    assert_eq!((code, &result["false_verdicts"]), (1, &json!(1)), "{error}{result:#}");
    assert_eq!(broken(&result), ["false verdicts"]);
}

#[test]
fn r5_players_that_drop_and_a_server_that_is_killed_lose_nothing() {
    seed();
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port().to_string();
    let mut server = Server::start_command(Server::command(PROGRAM, &[("PORT", &port)]));
    let kill = format!("kill -9 {}", server.pid());
    let url = format!("ws://127.0.0.1:{port}");
    let arguments = ["--rooms", "5", "--players", "4", "--rate", "10", "--for", "3s", "--json", "--settle", "60s"];
    let drops = ["--droppers", "25%", "--drop-every", "1s", "--away", "100ms", "--at", "1s", "--run", &kill];
    let running = command(&[], &[&[url.as_str()], &arguments[..], &drops].concat()).spawn().expect("it starts");
    server.wait();
    server.restart();
    let (code, result, error) = read(&running.wait_with_output().expect("it ends"));
    assert_eq!((code, broken(&result)), (0, vec![]), "{error}{result:#}");
    assert!(result["resumes"]["continuous"].as_u64() >= Some(20), "everyone came back: {result:#}");
    assert!(result["outages_ms"]["count"].as_u64() > Some(0) && result["cuts"].as_u64() > Some(0), "{result:#}");
    assert_eq!(result["hooks"][0]["ok"], true, "{result:#}");
}

#[test]
fn a_bound_that_cannot_hold_is_broken_and_said_in_words() {
    let server = Server::start(&[]);
    let url = format!("ws://127.0.0.1:{}", server.port);
    let output = command(&[], &[&url, "--rooms", "2", "--for", "500ms", "--warmup", "0s", "--p99", "1us"]).output();
    let output = output.expect("it starts");
    let words = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(words.contains("BROKEN       p99:") && words.contains("held         lost deliveries: 0"), "{words}");
    assert!(words.ends_with("One limit was broken.\n"), "{words}");
}

#[test]
fn players_show_tokens_where_the_server_wants_them() {
    let server = Server::start(&[("JWT_SECRET", SECRET)]);
    let url = format!("ws://127.0.0.1:{}", server.port);
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), format!("{SECRET}\n")).expect("a file");
    let path = file.path().to_str().expect("text");
    let short = [url.as_str(), "--rooms", "2", "--for", "300ms", "--warmup", "0s", "--json"];
    let (code, _, error) = load(&[], &short);
    assert!(code == 1 && error.contains("4 of 4 players have not joined"), "{error}");
    for settings in [&[("JWT_SECRET", SECRET)][..], &[]] {
        let more: &[&str] = if settings.is_empty() { &["--jwt-secret-file", path] } else { &[] };
        let (code, result, error) = load(settings, &[&short[..], more].concat());
        assert_eq!(code, 0, "{error}{result:#}");
    }
    let claims = |player: &str| json!({"sub": player, "exp": crate::support::unix_secs(600)});
    let tokens = ["ann", "ben"].map(|player| crate::support::token(SECRET, &claims(player)));
    let (code, result, error) = load(&[], &[&short[..], &["--token", &tokens[0], "--token", &tokens[1]]].concat());
    assert_eq!(code, 0, "{error}{result:#}");
}

#[test]
fn wrong_arguments_are_told_in_words_with_exit_code_2() {
    let url = "ws://127.0.0.1:1";
    for (arguments, told) in [
        (&[][..], "<URL>"),
        (&["localhost:8080"], "ws://localhost:8080"),
        (&[url, "--p99", "20"], "with its unit"),
        (&[url, "--slow", "200%"], "a share such as 5%"),
        (&[url, "--at", "1s"], "each --at needs a --run"),
        (&[url, "--at", "10s", "--run", "true"], "not before the end"),
        (&[url, "--rooms", "0"], "at least 1"),
        (&[url, "--senders", "3"], "--players"),
        (&[url, "--slow", "60%", "--droppers", "60%"], "together more than all"),
        (&[url, "--token", "hunter2"], "each player of a room needs its own"),
        (&[url, "--token", "hunter2", "--token", "hunter2"], "no JWT"),
        (&[url, "--jwt-secret-file", "/nowhere"], "/nowhere"),
        (&[url, "--prefix", "_x"], "--prefix"),
        (&[url, "--lost", "few"], "a whole number, or any"),
        (&[url, "--nothing"], "--nothing"),
    ] {
        let (code, _, error) = load(&[], arguments);
        assert!(code == 2 && error.contains(told) && !error.contains("hunter2"), "{arguments:?}: {code} {error}");
    }
}

#[test]
fn a_server_that_is_not_there_is_told_in_words_with_exit_code_1() {
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let url = format!("ws://127.0.0.1:{port}");
    let (code, _, error) = load(&[], &[&url, "--rooms", "1", "--join-timeout", "300ms"]);
    assert!(code == 1 && error.contains("2 of 2 players have not joined") && error.contains("refused"), "{error}");
}
