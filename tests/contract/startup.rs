//! Owns the tests of the start: settings, exit codes, secrets that stay secret, platforms (A10,
//! A12).

use std::{
    fs,
    io::Read as _,
    net::TcpListener,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::support::{DataDir, PATIENCE, Server, token, unix_secs};

const PROGRAM: &str = env!("CARGO_BIN_EXE_innkeeper");
const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A directory of its own, gone with the test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("innkeeper-test-{:016x}", fastrand::u64(..)));
        fs::create_dir(&path).expect("a directory");
        Self(path)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).expect("a file");
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs a server that must not start; its exit code and stderr, after a look that stdout has no
/// more to say.
pub fn refused(mut command: Command) -> (i32, String) {
    let _data = DataDir::of_its_own(&mut command);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().expect("wait") {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().expect("kill");
            panic!("it started");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let (mut out, mut err) = (String::new(), String::new());
    child.stdout.take().expect("piped").read_to_string(&mut out).expect("text");
    child.stderr.take().expect("piped").read_to_string(&mut err).expect("text");
    assert!(!out.contains("listening"), "{out}");
    (status.code().expect("an exit code"), err)
}

fn refused_with(settings: &[(&str, &str)]) -> (i32, String) {
    refused(Server::command(PROGRAM, settings))
}

#[test]
fn every_bad_setting_is_listed_at_once_and_the_exit_code_is_64() {
    let (code, text) = refused_with(&[
        ("PORT", "http"),
        ("MAX_CONNECTIONS_PER_IP", "0"),
        ("WS_PING_INTERVAL", "-1"),
        ("LOG_FORMAT", "xml"),
        ("ALLOWED_ORIGINS", "https://ok.example,play.example"),
        ("ENABLE_WS_PROXY", "perhaps"),
        ("HOST", "not an address"),
    ]);
    assert_eq!(code, 64, "{text}");
    for name in [
        "PORT",
        "MAX_CONNECTIONS_PER_IP",
        "WS_PING_INTERVAL",
        "LOG_FORMAT",
        "ALLOWED_ORIGINS",
        "ENABLE_WS_PROXY",
        "HOST",
    ] {
        let line = text.lines().find(|line| line.starts_with(&format!("{name}:")));
        assert!(line.is_some_and(|line| line.contains("allowed")), "{name} in {text}");
    }
    assert_eq!(text.lines().count(), 8, "one line each, and a heading: {text}");
}

#[test]
fn a12_a_secret_with_a_problem_is_not_printed() {
    let (code, text) =
        refused_with(&[("JWT_SECRET", " hunter2-hunter2 "), ("SENTRY_DSN", "https://hunter2@/"), ("PORT", "x")]);
    assert_eq!(code, 64, "{text}");
    assert!(text.contains("JWT_SECRET") && text.contains("SENTRY_DSN") && text.contains("PORT"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    // One that only the reporter can tell to be wrong.
    let (code, text) = refused_with(&[("SENTRY_DSN", "https://hunter2@[::bad/1")]);
    assert!(code == 64 && text.contains("SENTRY_DSN") && !text.contains("hunter2"), "{code} {text}");
}

#[test]
fn a10_on_a_hosted_platform_it_does_not_start_open_by_accident() {
    for platform in ["RAILWAY_ENVIRONMENT_NAME", "RENDER", "FLY_APP_NAME", "DYNO"] {
        let (code, text) = refused_with(&[(platform, "production")]);
        assert_eq!(code, 64, "{text}");
        assert!(text.contains("JWT_SECRET") && text.contains(platform) && text.contains("AUTH=off"), "{text}");
        // On purpose it does, and with a secret.
        Server::start(&[(platform, "production"), ("AUTH", "off")]).connect("/ws/g/p").welcomed();
    }
    Server::start(&[("FLY_APP_NAME", "inn"), ("JWT_SECRET", SECRET)]);
    let (code, text) = refused_with(&[("AUTH", "off"), ("JWT_SECRET", SECRET)]);
    assert!(code == 64 && text.contains("AUTH") && !text.contains(SECRET), "{code} {text}");
}

#[test]
fn an_unknown_logic_is_64_and_names_the_setting_and_the_logic() {
    let (code, text) = refused_with(&[("GAME_LOGICS", "chess-=chess")]);
    assert_eq!(code, 64, "{text}");
    assert!(text.contains("GAME_LOGICS") && text.contains("chess"), "{text}");
}

#[test]
fn a_port_that_is_taken_is_said_clearly_and_the_exit_code_is_1() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    let (code, text) = refused_with(&[("PORT", &address.port().to_string())]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains(&format!("cannot listen on {address}")) && text.contains("--port"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn hubs_that_lack_the_same_key_are_named_in_one_line() {
    let server = Server::start(&[]);
    let said = |line: &str| line.contains("MASSIVE_API_KEY").then(|| line.to_owned());
    let line = server.wait_for_line(said);
    assert!(line.contains("indices, options"), "{line}");
    server.connect("/ws/g/p").welcomed();
    let lines = server.log_text().lines().filter(|line| line.contains("MASSIVE_API_KEY")).count();
    assert_eq!(lines, 1, "{}", server.log_text());
}

#[test]
fn the_command_line_wins_over_the_environment() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    // Every port in the environment is taken, and the address is another machine's.
    let settings = [("PORT", &*port), ("WS_PORT", &port), ("HTTP_PORT", "1"), ("HOST", "192.0.2.1")];
    let mut command = Server::command(PROGRAM, &settings);
    command.args(["--port", "0", "--host", "127.0.0.1"]);
    let server = Server::start_command(command);
    server.connect("/ws/g/p").welcomed();
    assert_eq!(server.get("/metrics").status, 200, "one listener for everything");
}

#[test]
fn a_wrong_command_line_is_64_and_help_and_version_are_not() {
    for arguments in [&["--port", "65536"][..], &["--prot", "1"], &["--host", "nowhere"], &["surplus"]] {
        let mut command = Server::command(PROGRAM, &[]);
        command.args(arguments);
        let (code, text) = refused(command);
        assert_eq!(code, 64, "{arguments:?}: {text}");
        assert!(text.contains(arguments[0]), "{arguments:?}: {text}");
    }
    for argument in ["--help", "--version"] {
        let mut command = Server::command(PROGRAM, &[]);
        command.arg(argument);
        assert_eq!(refused(command), (0, String::new()), "{argument}");
    }
}

#[test]
fn config_yaml_of_the_working_directory_is_read_and_the_environment_wins_over_it() {
    let directory = Directory::new();
    directory.write(
        "config.yaml",
        &format!("jwt_secret: {SECRET}\nmax_message_bytes: 1234\nport: 1\nallowed_origins: [\"*\"]\n"),
    );
    let mut command = Server::command(PROGRAM, &[]);
    command.current_dir(&directory.0);
    let server = Server::start_command(command);
    let token = token(SECRET, &serde_json::json!({"sub": "p", "exp": unix_secs(60)}));
    let client = server.try_connect(&format!("/ws/g/p?token={token}"), &[("Origin", "https://any.example")]);
    assert_eq!(client.expect("accepted").welcomed().welcome["max_message_bytes"], 1234);
    assert_ne!(server.port, 1, "PORT=0 in the environment");
    assert!(!server.log_text().contains(SECRET));
}

#[test]
fn config_file_names_another_file_and_its_problems_are_listed_with_the_others() {
    let directory = Directory::new();
    directory.write("config.yaml", "this is not even: [yaml");
    directory.write("inn.yaml", "prot: 8080\nws_ping_timeout: often\njwt_secret: [hunter2]\n");
    let mut command = Server::command(PROGRAM, &[("CONFIG_FILE", "inn.yaml"), ("LOG_LEVEL", "loud")]);
    command.current_dir(&directory.0);
    let (code, text) = refused(command);
    assert_eq!(code, 64, "{text}");
    for part in ["did you mean port?", "WS_PING_TIMEOUT:", "JWT_SECRET:", "LOG_LEVEL:"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("hunter2"), "{text}");
    let (code, text) = refused_with(&[("CONFIG_FILE", "/nowhere/inn.yaml")]);
    assert!(code == 64 && text.contains("CONFIG_FILE"), "{code} {text}");
}

#[test]
fn an_unset_host_listens_on_both_families() {
    let mut command = Server::command(PROGRAM, &[("PORT", "0")]);
    command.env_remove("HOST");
    let server = Server::start_command(command);
    assert_eq!(server.get("/health").status, 200, "IPv4");
    // Where the machine has no IPv6 there is nothing to show.
    if TcpListener::bind("[::1]:0").is_ok() {
        std::net::TcpStream::connect(("::1", server.port)).expect("IPv6");
    }
    let line = server.wait_for_log(|line| line["message"] == "listening");
    assert_eq!(line["url"], format!("http://localhost:{}/", server.port), "an address to open: {line}");
    let client = server.connect("/ws/g/p").welcomed();
    let event = server.wait_for_event("WS_CONNECTION_ESTABLISHED");
    assert_eq!(event["address"], "127.0.0.1", "not ::ffff:127.0.0.1: {event}");
    drop(client);
}
