//! Owns the tests of the operator key of development mode: where it is, who gets it, and that
//! nothing else is accepted (A10a).

use std::{
    fs,
    process::{Command, Stdio},
};

use serde_json::json;

use super::{CALLS, JWT_SECRET, SECRET, assert_error};
use crate::support::{DataDir, Server};

#[test]
fn a10a_no_request_is_an_operators_because_of_its_address_or_its_headers() {
    let server = Server::start(&[("ALLOWED_ORIGINS", "*")]);
    let local = format!("localhost:{}", server.port);
    for (method, path, body) in CALLS {
        for headers in [
            &[][..],
            &[("Host", "localhost")],
            &[("Host", local.as_str()), ("Origin", "http://localhost:5173")],
            &[("Host", "127.0.0.1"), ("X-Forwarded-For", "127.0.0.1")],
            &[("X-Forwarded-For", "\u{ff}, 203.0.113.9")],
            &[("X-Real-IP", "\u{ff}")],
            &[("Forwarded", "\u{ff}")],
            &[("Via", "\u{ff}")],
            &[("Origin", "http://evil\u{ff}.example")],
        ] {
            assert_error(&server.request_as_stranger(method, path, headers, body), 401, "unauthorized");
        }
        let wrong = [("Authorization", "Bearer x")];
        assert_error(&server.request_as_stranger(method, path, &wrong, body), 403, "forbidden");
    }
    assert_eq!(server.get("/api/games").json(), json!({"games": [], "next": null}), "nothing of that did anything");
}

#[test]
fn a10a_the_key_outlives_the_process_and_the_log_names_its_file_alone() {
    let mut server = Server::start(&[]);
    let key = server.operator_key().expect("a key");
    assert!(key.len() >= 32, "{} bytes", key.len());
    let file = server.data().file("operator.key");
    let line = server.wait_for_log(|line| line["file"].is_string());
    assert_eq!(line["file"], file.to_str().expect("UTF-8"), "{line}");
    assert!(!server.log_text().contains(&key));
    server.kill();
    server.restart();
    assert_eq!(server.operator_key().as_deref(), Some(key.as_str()));
    assert_eq!(server.get("/api/games").status, 200);
    assert!(!server.log_text().contains(&key));
}

#[test]
fn a10a_with_a_secret_a_key_for_tokens_or_on_a_hosted_platform_there_is_no_key() {
    for settings in
        [&[("HTTP_API_SECRET", SECRET)][..], &[("JWT_SECRET", JWT_SECRET)], &[("RENDER", "true"), ("AUTH", "off")]]
    {
        let server = Server::start(settings);
        assert_eq!(server.operator_key(), None, "{settings:?}");
        assert_error(&server.get("/api/games"), 401, "unauthorized");
    }
}

#[test]
fn a10a_a_key_that_was_made_before_a_secret_was_set_opens_nothing() {
    let data = DataDir::new();
    let first = Server::start(&[("DATA_DIR", data.path())]);
    let key = first.operator_key().expect("a key");
    drop(first);
    let server = Server::start(&[("DATA_DIR", data.path()), ("HTTP_API_SECRET", SECRET)]);
    let header = [("Authorization", format!("Bearer {key}"))];
    let header = header.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_error(&server.request_as_stranger("GET", "/api/games", &header, None), 403, "forbidden");
}

#[test]
fn a10a_also_with_rooms_in_memory_there_is_a_key_and_without_a_directory_it_is_in_memory() {
    let server = Server::start(&[("DURABILITY", "memory")]);
    assert_eq!(server.get("/api/games").status, 200);
    let server = Server::start(&[("DURABILITY", "memory"), ("DATA_DIR", "/proc/none")]);
    assert_error(&server.get("/api/games"), 401, "unauthorized");
    server.wait_for_log(|line| line["level"] == "warn" && line.to_string().contains("operator key cannot be kept"));
}

/// `script` runs a program on a terminal of its own.
#[cfg(target_os = "linux")]
#[test]
fn a10a_a_terminal_is_shown_the_dashboards_address_with_the_key() {
    let data = DataDir::new();
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--flush", "--command", env!("CARGO_BIN_EXE_innkeeper"), "/dev/null"]);
    command.env_clear().env("PATH", "/usr/bin:/bin").envs([("HOST", "127.0.0.1"), ("PORT", "0"), ("CONFIG_FILE", "")]);
    command.env("DATA_DIR", data.path()).stdin(Stdio::null()).stdout(Stdio::piped());
    let server = Server::start_command(command);
    let shown = server
        .wait_for_line(|line| line.split_once("#key=").map(|(before, key)| (before.to_owned(), key.trim().to_owned())));
    let key = fs::read_to_string(data.file("operator.key")).expect("a key");
    assert!(shown.0.ends_with(&format!("http://localhost:{}/dashboard", server.port)), "{}", shown.0);
    assert_eq!(shown.1, key.trim());
}

#[cfg(unix)]
#[test]
fn a10a_the_directory_and_its_files_are_the_users_alone_whatever_the_umask() {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &std::path::Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    let above = DataDir::new();
    let (new, old) = (above.file("deep/er/data"), above.file("old"));
    fs::create_dir(&old).expect("a directory");
    // What a version before this one left behind.
    for name in ["innkeeper.lock", "operator.key"] {
        fs::write(old.join(name), "0123456789abcdef0123456789abcdef").expect("a file");
        fs::set_permissions(old.join(name), fs::Permissions::from_mode(0o666)).expect("chmod");
    }
    fs::set_permissions(&old, fs::Permissions::from_mode(0o777)).expect("chmod");
    for dir in [&new, &old] {
        let mut shell = Server::command("sh", &[("DATA_DIR", dir.to_str().expect("UTF-8"))]);
        shell.args(["-c", "umask 000; exec \"$0\"", env!("CARGO_BIN_EXE_innkeeper")]);
        let server = Server::start_command(shell);
        server.connect("/ws/g/alice").welcomed().close();
        assert_eq!(mode(dir), 0o700, "{}", dir.display());
        let files: Vec<_> =
            fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path()).collect();
        let has = |name: &str| files.iter().any(|file| file.ends_with(name));
        assert!(
            ["innkeeper.db", "innkeeper.db-wal", "innkeeper.mark", "innkeeper.lock", "operator.key"]
                .iter()
                .all(|name| has(name)),
            "{files:?}"
        );
        files.iter().for_each(|file| assert_eq!(mode(file), 0o600, "{}", file.display()));
    }
    // A directory of several programs stays as it is, and who runs it is told.
    let shared = above.file("shared");
    fs::create_dir(&shared).expect("a directory");
    fs::write(shared.join("of another program"), "").expect("a file");
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o777)).expect("chmod");
    let server = Server::start(&[("DATA_DIR", shared.to_str().expect("UTF-8"))]);
    server.wait_for_log(|line| line["note"].as_str().is_some_and(|note| note.contains("chmod 700")));
    assert_eq!((mode(&shared), mode(&shared.join("innkeeper.db"))), (0o777, 0o600));
}
