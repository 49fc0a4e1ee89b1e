//! Owns the place where a document's commands are run: a directory like a clone, with the programs
//! that the document names.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::PATIENCE;

const PROGRAM: &str = env!("CARGO_BIN_EXE_innkeeper");

/// Written out in a document, and what it stands for here.
const PLACEHOLDERS: &[(&str, &str)] = &[("[GAME]", "test-game"), (" GAME", " test-game")];

pub struct Inn {
    document: String,
    directory: TempDir,
    settings: Vec<(String, String)>,
    server: Option<Child>,
    port: u16,
    /// Programs that a document leaves running beside the server.
    beside: Vec<Child>,
    feed_port: u16,
    /// Assignments of the block so far.
    assigned: Vec<String>,
}

impl Inn {
    /// A server runs from the start: documents but the README take one for granted.
    pub fn new(document: &str, settings: &[(&str, &str)]) -> Self {
        let directory = tempfile::Builder::new().prefix("innkeeper-inn-").tempdir().expect("a directory");
        let mut inn = Self {
            document: document.to_owned(),
            settings: settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            directory,
            server: None,
            port: 0,
            beside: Vec::new(),
            feed_port: 0,
            assigned: Vec::new(),
        };
        let path = |name: &str| inn.directory.path().join(name);
        fs::create_dir_all(path("bin")).expect("a directory");
        fs::create_dir_all(path("target/release")).expect("a directory");
        let link = |from: &Path, to: PathBuf| std::os::unix::fs::symlink(from, to).expect("a link");
        link(Path::new(PROGRAM), path("bin/innkeeper"));
        link(Path::new(PROGRAM), path("target/release/innkeeper"));
        link(&example("websocat_stand_in"), path("bin/websocat"));
        let curl = "#!/bin/sh\nPATH=${PATH#*:} exec curl -sS --fail-with-body \"$@\"\n";
        fs::write(path("bin/curl"), curl).expect("a file");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(path("bin/curl"), mode).expect("a mode");
        if document != "README.md" {
            inn.start(PROGRAM.as_ref(), &[]);
            for path in ["/ws/test-game/alice", "/ws/chess-1/alice", "/ws/chess-1/bob"] {
                inn.seat(path);
            }
            // A refusal for those who search the log for one.
            let refused = inn.websocat(&["--origin", "https://evil.example", &inn.url("/ws/g/p")]).wait();
            assert!(!refused.expect("it ends").success());
        }
        inn
    }

    pub fn begin_block(&mut self) {
        self.assigned.clear();
    }

    /// Runs one line; what is `typed` goes into its websocat.
    pub fn run(&mut self, line: &str, typed: &[String]) {
        let (command, comment) = line.split_once('#').unwrap_or((line, ""));
        let command = command.trim();
        let (assignments, words) = taken_apart(command);
        if command.is_empty() {
            if comment.trim_start().to_lowercase().starts_with("stop the server") {
                self.stop("INT");
            }
        } else if words.first().is_some_and(|word| *word == "scripts/start") {
            self.start(PROGRAM.as_ref(), &assignments);
        } else if let ["cargo", "run", "--example", name] = words.as_slice() {
            self.start_example(name, &assignments);
        } else if words.first() == Some(&"jq") && !has_jq() {
            eprintln!("{}: not run, since this machine has no jq: {line}", self.document);
        } else if words.is_empty() {
            self.assigned.push(command.to_owned());
        } else {
            let is_for_a_stopped_server = command.contains("innkeeper rooms");
            if is_for_a_stopped_server {
                self.stop("TERM");
            } else if self.server.is_none() {
                self.start(PROGRAM.as_ref(), &[]);
            }
            self.run_in_a_shell(line, command, typed);
        }
    }

    fn run_in_a_shell(&mut self, line: &str, command: &str, typed: &[String]) {
        let mut command = command.to_owned();
        for (written, meant) in PLACEHOLDERS {
            command = command.replace(written, meant);
        }
        let resumes = command.contains("SESSION");
        if resumes {
            let at = command.find("/ws/").expect("a path");
            let path = command[at..].split(['?', '\'']).next().expect("a path").to_owned();
            let (session, seq) = self.seat(&path);
            command = command.replace("SESSION", &session).replace("SEQ", &seq.to_string());
        }
        let command = self.here(&command);
        let script =
            format!("{}\n{command}", self.assigned.iter().map(|line| self.here(line)).collect::<Vec<_>>().join("\n"));
        let mut shell = self.command("sh");
        if command.contains("innkeeper token") {
            // The document's server has operators' secrets alone; whoever makes tokens has this one
            // as well.
            shell.env("JWT_SECRET", "0123456789abcdef0123456789abcdef");
        }
        let mut child = shell.args(["-euc", &script]).spawn().expect("a shell");
        let mut stdin = child.stdin.take().expect("piped");
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        let mut shown = String::new();
        if command.contains("websocat ") {
            let mut next = || {
                let mut frame = String::new();
                out.read_line(&mut frame).expect("text");
                shown.push_str(&frame);
                serde_json::from_str::<Value>(&frame).unwrap_or_default()
            };
            let welcome = next();
            let is_welcomed = welcome["type"] == "welcome" && (!resumes || welcome["resume"] == "continuous");
            for frame in typed.iter().filter(|_| is_welcomed) {
                writeln!(stdin, "{}", self.here(frame)).expect("it reads");
                let sent: Value = serde_json::from_str(frame).expect("JSON");
                loop {
                    let answer = next();
                    assert!(answer["type"] != "error", "{}: {line}\n{frame} is answered\n{answer}", self.document);
                    assert!(answer.is_object(), "{}: {line}\n{frame} has no answer", self.document);
                    let is_answer = match sent["type"].as_str() {
                        Some("subscribe") => answer["type"] == "subscribed",
                        _ => ["message", "patch", "ack", "pong"].iter().any(|kind| answer["type"] == *kind),
                    };
                    if is_answer {
                        break;
                    }
                }
            }
            assert!(is_welcomed || welcome.is_null(), "{}: {line}\nis welcomed with\n{welcome}", self.document);
        }
        drop(stdin);
        for rest in out.lines() {
            shown.push_str(&rest.expect("text"));
            shown.push('\n');
        }
        let status = wait(&mut child);
        let said = fs::read_to_string(self.directory.path().join("stderr")).unwrap_or_default();
        assert!(status, "{}: {line}\nfails as\n{script}\n{shown}\n{said}", self.document);
        if command.contains("kill -9") {
            self.server.take().expect("it ran").wait().expect("it ends");
        }
    }

    fn start(&mut self, program: &Path, assignments: &[(&str, &str)]) {
        assert!(self.server.is_none(), "{} starts a server while one runs", self.document);
        let log = self.directory.path().join("server.log");
        let before = fs::read_to_string(&log).unwrap_or_default().len();
        let out = fs::OpenOptions::new().create(true).append(true).open(&log).expect("a log");
        let mut command = self.command(program);
        command.envs(assignments.iter().map(|(name, value)| (name, self.here(value)))).stdout(out);
        self.server = Some(command.spawn().expect("the server starts"));
        let deadline = Instant::now() + PATIENCE;
        self.port = loop {
            let text = fs::read_to_string(&log).expect("the log");
            let mut lines = text[before..].lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            if let Some(line) = lines.find(|line| line["message"] == "listening") {
                break line["port"].as_u64().expect("a port") as u16;
            }
            assert!(Instant::now() < deadline, "{}: the server does not start:\n{text}", self.document);
            std::thread::sleep(Duration::from_millis(10));
        };
    }

    fn start_example(&mut self, name: &str, assignments: &[(&str, &str)]) {
        let program = example(name);
        if name != "fake_massive" {
            return self.start(&program, assignments);
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        self.feed_port = port.expect("a free port").port();
        let mut child = self.command(program).arg(self.feed_port.to_string()).spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line).expect("its first words");
        assert!(line.contains(&self.feed_port.to_string()), "it says where it listens: {line}");
        self.beside.push(child);
    }

    /// A seat there, whose connection was cut: its session, and the last `seq` that it saw.
    fn seat(&self, path: &str) -> (String, u64) {
        let mut child = self.websocat(&[&self.url(path)]);
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("text");
        child.kill().expect("kill");
        child.wait().expect("wait");
        let welcome: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{path}: {error}: {line}"));
        (welcome["session"].as_str().expect("a session").to_owned(), welcome["seq"].as_u64().expect("a seq"))
    }

    fn websocat(&self, arguments: &[&str]) -> Child {
        self.command(example("websocat_stand_in")).args(arguments).spawn().expect("websocat starts")
    }

    fn url(&self, path: &str) -> String {
        format!("ws://127.0.0.1:{}{path}", self.port)
    }

    /// A text of a document with this server's address in it.
    fn here(&self, text: &str) -> String {
        let address = format!("127.0.0.1:{}", self.port);
        let text = text.replace("wss://game.example", &format!("ws://{address}"));
        text.replace("localhost:8080", &address).replace(":9443", &format!(":{}", self.feed_port))
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let directory = self.directory.path();
        let path = std::env::var("PATH").unwrap_or_default();
        let said = fs::OpenOptions::new().create(true).append(true).open(directory.join("stderr")).expect("a file");
        let mut command = Command::new(program);
        command
            .current_dir(directory)
            .env_clear()
            .env("PATH", format!("{}:{path}", directory.join("bin").display()))
            .envs([("HOST", "127.0.0.1"), ("PORT", "0"), ("LOG_FORMAT", "json"), ("SHARDS", "1")])
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(said);
        command
    }

    fn stop(&mut self, signal: &str) {
        if let Some(mut server) = self.server.take() {
            let sent = Command::new("kill").args([&format!("-{signal}"), &server.id().to_string()]).status();
            assert!(sent.expect("kill").success());
            wait(&mut server);
        }
    }
}

impl Drop for Inn {
    fn drop(&mut self) {
        for child in self.beside.iter_mut().chain(&mut self.server) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// `A=1 B=2 program argument`: the assignments, and the rest.
fn taken_apart(command: &str) -> (Vec<(&str, &str)>, Vec<&str>) {
    let is_name =
        |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    // A value in quotes has spaces in it: the whole is one assignment.
    if let Some((name, value)) = command.split_once('=').filter(|(name, value)| is_name(name) && value.starts_with('"'))
    {
        return (vec![(name, value)], Vec::new());
    }
    let mut words: Vec<&str> = command.split_whitespace().collect();
    let count = words.iter().take_while(|word| word.split_once('=').is_some_and(|(name, _)| is_name(name))).count();
    let assignments = words.drain(..count).filter_map(|word| word.split_once('=')).collect();
    (assignments, words)
}

fn has_jq() -> bool {
    Command::new("jq").arg("--version").stdout(Stdio::null()).status().is_ok()
}

fn example(name: &str) -> PathBuf {
    let program = Path::new(PROGRAM).with_file_name("examples").join(name);
    assert!(program.exists(), "{} is missing: cargo build --examples", program.display());
    program
}

/// Whether it ends well.
fn wait(child: &mut Child) -> bool {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().expect("wait") {
            return status.success();
        }
        if Instant::now() > deadline {
            child.kill().expect("kill");
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
