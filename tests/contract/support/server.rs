//! Owns one running server process: started on a free port, watched through its log, ended with the
//! test.

use std::{
    collections::HashSet,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{Client, DataDir, PATIENCE, RawSocket, Response, Seat, http};

/// The real binary, with a DATA_DIR of its own unless the settings name one. Dropping it kills the
/// process, also when the test fails, and then removes that directory.
pub struct Server {
    command: Command,
    child: Child,
    pub port: u16,
    log: Arc<Log>,
    data: Option<DataDir>,
}

#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    grown: Condvar,
}

impl Server {
    /// Starts the server with these settings over quiet defaults, and waits until it listens.
    pub fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_program(env!("CARGO_BIN_EXE_innkeeper"), settings)
    }

    /// As `start`, for another program that is built on the library.
    pub fn start_program(program: &str, settings: &[(&str, &str)]) -> Self {
        Self::start_command(Self::command(program, settings))
    }

    /// As `start`, for one of examples/; `cargo test` builds them before it runs anything.
    pub fn start_example(name: &str, settings: &[(&str, &str)]) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_innkeeper")).with_file_name("examples").join(name);
        assert!(program.exists(), "{} is missing: cargo build --examples", program.display());
        Self::start_program(program.to_str().expect("a path in UTF-8"), settings)
    }

    /// A program with these settings over quiet defaults, not started yet: for arguments, or
    /// another directory. Nobody is pinged: a test on a slow machine may let a client wait for
    /// longer than the usual heartbeat allows.
    pub fn command(program: &str, settings: &[(&str, &str)]) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .envs([("HOST", "127.0.0.1"), ("PORT", "0"), ("LOG_FORMAT", "json"), ("MAX_CONNECTIONS_PER_IP", "1000")])
            .envs([("RATE_LIMIT_MAX_REQUESTS", "100000"), ("SHARDS", "2"), ("CONFIG_FILE", "")])
            .envs([("WS_PING_INTERVAL", "3600"), ("MAX_ROOMS_PER_ADDRESS", "100000000")])
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        command
    }

    /// Starts it and waits until it listens.
    pub fn start_command(command: Command) -> Self {
        let mut server = Self::launch(command);
        server.wait_until_it_listens();
        server
    }

    /// Starts it, and does not wait until it listens: it may have to wait for something itself.
    pub fn launch(mut command: Command) -> Self {
        let data = DataDir::of_its_own(&mut command);
        let (child, log) = spawn(&mut command);
        Self { command, child, port: 0, log, data }
    }

    /// Waits until a server that was launched listens.
    pub fn wait_until_it_listens(&mut self) {
        self.port = self.wait_for_line(listening_port);
    }

    /// Kills the process at once, as `kill -9` does, and waits for its end. `restart` may follow.
    pub fn kill(&mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }

    /// Starts the ended server again: same settings, same directory, another port and an empty log.
    pub fn restart(&mut self) {
        assert!(!self.is_alive(), "it still runs");
        (self.child, self.log) = spawn(&mut self.command);
        self.wait_until_it_listens();
    }

    /// Its own directory.
    pub fn data(&self) -> &DataDir {
        self.data.as_ref().expect("the settings name no other directory")
    }

    /// From now on the store of `faulty_store` takes nothing (D5).
    pub fn break_store(&self) {
        std::fs::write(self.data().file("fail"), "").expect("a file");
    }

    /// It takes writes again, and notices a moment later.
    pub fn mend_store(&self) {
        std::fs::remove_file(self.data().file("fail")).expect("it was broken");
    }

    /// The first log line (as JSON) that fits, from the start of the log; waits for it.
    pub fn wait_for_log(&self, fits: impl Fn(&Value) -> bool) -> Value {
        self.wait_for_line(|line| serde_json::from_str(line).ok().filter(&fits))
    }

    /// What is found in the first log line that has it, in whatever format; waits for it.
    pub fn wait_for_line<T>(&self, find: impl Fn(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = self.log.lines.lock().expect("log");
        let mut seen = 0;
        loop {
            if let Some(found) = lines[seen..].iter().find_map(|line| find(line)) {
                return found;
            }
            seen = lines.len();
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                // The whole log is printed when the server is dropped, which needs the lock.
                drop(lines);
                panic!("no such log line in {PATIENCE:?}");
            }
            lines = self.log.grown.wait_timeout(lines, left).expect("log").0;
        }
    }

    /// The first security event of this name; waits for it.
    pub fn wait_for_event(&self, event: &str) -> Value {
        self.wait_for_log(|line| line["category"] == "SECURITY" && line["event"] == event)
    }

    /// Everything logged so far, as it was printed.
    pub fn log_text(&self) -> String {
        self.log.lines.lock().expect("log").join("\n")
    }

    /// A player or spectator on this path, e.g. `/ws/g/alice`; the handshake must succeed.
    pub fn connect(&self, path: &str) -> Client {
        self.try_connect(path, &[]).unwrap_or_else(|status| panic!("{path} was refused with {status}"))
    }

    /// As `connect`, with more headers; a refusal gives the HTTP status.
    pub fn try_connect(&self, path: &str, headers: &[(&str, &str)]) -> Result<Client, u16> {
        Client::connect(self.port, path, headers)
    }

    /// Whoever held this seat comes back and says what it saw last (R1); the welcome has been read.
    pub fn resume(&self, seat: &Seat) -> Client {
        let mut client = self.connect(&seat.resume_path());
        client.seen = seat.seen;
        client.welcomed()
    }

    /// A bare TCP connection, for hostile bytes.
    pub fn raw(&self) -> RawSocket {
        RawSocket::open(self.port)
    }

    /// Sends these bytes and reads the one answer, up to the end of the connection.
    pub fn answer_to(&self, request: &str) -> Response {
        let mut socket = self.raw();
        socket.write(request.as_bytes());
        http::parse(&String::from_utf8(socket.read_to_end()).expect("an answer of text"))
    }

    pub fn get(&self, path: &str) -> Response {
        self.get_with(path, &[])
    }

    pub fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        self.request("GET", path, headers, None)
    }

    /// Any request, e.g. `("DELETE", "/api/games/g")`. It shows the operator key, if the server has
    /// one and `headers` show nothing.
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&str>) -> Response {
        http::request(self.port, method, path, &with_key(self.operator_bearer().as_deref(), headers), body)
    }

    /// As `request`, and shows nothing but `headers`.
    pub fn request_as_stranger(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Response {
        http::request(self.port, method, path, headers, body)
    }

    /// The operator key, which a server without any secret keeps in its data directory (A10a).
    pub fn operator_key(&self) -> Option<String> {
        let dir = self.command.get_envs().find(|(name, _)| *name == "DATA_DIR").and_then(|(_, value)| value)?;
        let dir = self.command.get_current_dir().unwrap_or(Path::new("")).join(dir);
        std::fs::read_to_string(dir.join("operator.key")).ok().map(|key| key.trim().to_owned())
    }

    fn operator_bearer(&self) -> Option<String> {
        self.operator_key().map(|key| format!("Bearer {key}"))
    }

    /// An operator at `/ws/_server`, by the operator key.
    pub fn connect_operator(&self) -> Client {
        let bearer = self.operator_bearer().expect("a server without any secret");
        self.try_connect("/ws/_server", &[("Authorization", &bearer)]).expect("accepted")
    }

    /// The value of a metric's line that begins with `name`, e.g.
    /// `innkeeper_disconnects_total{cause="too_slow"}`.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").body;
        let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
        let line = line.unwrap_or_else(|| panic!("no metric {name} in\n{text}"));
        line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number")
    }

    /// Asks until the metric has this value.
    pub fn wait_for_metric(&self, name: &str, value: f64) {
        self.wait_until(|| self.metric(name) == value, &format!("{name} = {value}"));
    }

    /// Asks until it is so; there is no event to wait for in what another process says of itself.
    pub fn wait_until(&self, is_so: impl Fn() -> bool, what: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so() {
            assert!(Instant::now() < deadline, "never came: {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The process's resident memory in bytes (Linux).
    pub fn resident_bytes(&self) -> u64 {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.child.id())).expect("statm");
        let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("pages");
        pages * 4096
    }

    /// The time that its threads have worked (Linux).
    pub fn cpu_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("stat");
        let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
        // User and system time, in hundredths of a second.
        Duration::from_millis(10 * (11..=12).map(|at| fields[at].parse::<u64>().expect("ticks")).sum::<u64>())
    }

    /// How many sockets the process has open (Linux). Its own, which are few, are there when it
    /// listens: what its threads open later are no sockets, or other handles of the same.
    pub fn open_sockets(&self) -> usize {
        let handles = std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("fd").map_while(Result::ok);
        let targets = handles.filter_map(|handle| std::fs::read_link(handle.path()).ok());
        let sockets: HashSet<_> = targets.filter(|target| target.to_string_lossy().starts_with("socket:")).collect();
        sockets.len()
    }

    /// The log line with which this player's connection ended; waits for it.
    pub fn wait_for_end_of(&self, player: &str) -> Value {
        self.wait_for_log(|line| line["event"] == "WS_CONNECTION_CLOSED" && line["player"] == player)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name, e.g. `TERM`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.expect("kill").success());
    }

    /// Waits for the process to end.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                return status;
            }
            assert!(Instant::now() < deadline, "the server did not end; its log:\n{}", self.log_text());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("wait").is_none()
    }
}

fn with_key<'a>(bearer: Option<&'a str>, headers: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let shows_something = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    let key = bearer.filter(|_| !shows_something).map(|bearer| ("Authorization", bearer));
    headers.iter().copied().chain(key).collect()
}

fn spawn(command: &mut Command) -> (Child, Arc<Log>) {
    let mut child = command.spawn().expect("the server's binary starts");
    let log = Arc::new(Log::default());
    let out = BufReader::new(child.stdout.take().expect("piped"));
    let writer = log.clone();
    std::thread::spawn(move || {
        for line in out.lines().map_while(Result::ok) {
            writer.lines.lock().expect("log").push(line);
            writer.grown.notify_all();
        }
    });
    (child, log)
}

/// The port in a `listening` line, which is JSON or text.
fn listening_port(line: &str) -> Option<u16> {
    if let Ok(line) = serde_json::from_str::<Value>(line) {
        return (line["message"] == "listening").then(|| line["port"].as_u64().expect("a port") as u16);
    }
    let (_, rest) = line.split_once(" listening ")?;
    rest.split(' ').find_map(|word| word.strip_prefix("port=")?.parse().ok())
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the server's log ---\n{}", self.log_text());
        }
    }
}
