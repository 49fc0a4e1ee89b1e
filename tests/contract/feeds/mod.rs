//! Owns the tests of feed hubs (H1 to H7) against the real server and a fake upstream, and what
//! they share.

mod burst;
mod bus;
mod churn;
mod crowd;
mod entry;
mod gap;
mod health;
mod hostile;
mod linger;
mod mute;
mod providers;
mod rejected;
mod retry;
mod secrecy;
mod slow;
mod snapshot;
mod state;
mod stop;

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    fakes::{Fake, Massive},
    support::{Client, Server},
};

/// What the fake Massive asks for; long enough to be searched for in all that the server says.
const KEY: &str = "massive-key-0123456789abcdef";

/// What Massive's shipped description says of `max_connections`, with a pause that a test can wait
/// for.
const COOL_DOWN: &str = "cool_down: { when: { /ev: status, /status: max_connections }, codes: [1008], pause_ms: 700 }";

/// By how much the server's times may lag behind: it leaves out parts of a millisecond, twice.
const CLOCK_MS: u64 = 2;

/// Keys of the hub `options` unless a test says otherwise: quick, and never stable within a test's
/// time.
const QUICK: &[&str] = &[
    "provider: massive-options",
    "linger_ms: 30",
    "stale_after_ms: 600000",
    "backoff: { base_ms: 2, max_ms: 50, stable_after_ms: 600000 }",
];

/// A server whose hub `options` is fed by a fake Massive.
struct Rig {
    fake: Fake<Massive>,
    server: Server,
    _config: Config,
}

impl Rig {
    fn start() -> Self {
        Self::with(&[], &[])
    }

    /// `keys`: lines of the hub `options` in config.yaml, over [`QUICK`]. `settings`: of the
    /// server.
    fn with(keys: &[&str], settings: &[(&str, &str)]) -> Self {
        Self::with_fake(Fake::start(Massive::new(KEY)), keys, settings)
    }

    fn with_fake(fake: Fake<Massive>, keys: &[&str], settings: &[(&str, &str)]) -> Self {
        let config = Config::new(&[("options", &over(QUICK, keys))]);
        let url = fake.url("");
        let server = config.start(&[&[("MASSIVE_WS_URL", url.as_str()), ("MASSIVE_API_KEY", KEY)], settings].concat());
        Self { fake, server, _config: config }
    }

    /// Somebody at `/ws/options`, welcomed.
    fn client(&self) -> Client {
        self.server.connect("/ws/options").welcomed()
    }

    /// Somebody who has these topics; the upstream has been asked for them, and the feed is live.
    fn subscriber(&self, topics: &[&str]) -> Client {
        let mut client = self.client();
        subscribe_while(&mut client, topics, "live");
        for topic in topics {
            self.fake.wait(topic, |desk| desk.topics().contains(*topic).then_some(()));
        }
        client
    }

    /// What `/api/ws-health` says of the hub `options`.
    fn health(&self) -> Value {
        self.server.get("/api/ws-health").json()["metrics"]["options"].clone()
    }

    fn wait_for_health(&self, what: &str, is_so: impl Fn(&Value) -> bool) {
        self.server.wait_until(|| is_so(&self.health()), what);
    }
}

/// A config.yaml with hubs; removed when dropped.
struct Config {
    folder: TempDir,
}

impl Config {
    /// Each hub with the lines below its name.
    fn new(hubs: &[(&str, &[&str])]) -> Self {
        let mut yaml = String::from("hubs:\n");
        for (name, keys) in hubs {
            yaml.push_str(&format!("  {name}:\n"));
            keys.iter().for_each(|key| yaml.push_str(&format!("    {key}\n")));
        }
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("config.yaml"), yaml).expect("a file");
        Self { folder }
    }

    /// The server, with room for as many frames and clients as tests have.
    fn start(&self, settings: &[(&str, &str)]) -> Server {
        let path = self.folder.path().join("config.yaml");
        let roomy = [
            ("CONFIG_FILE", path.to_str().expect("UTF-8")),
            ("MESSAGE_RATE", "1000000"),
            ("MESSAGE_BURST", "1000000"),
            ("MAX_CONNECTIONS_PER_IP", "5000"),
        ];
        Server::start(&[&roomy, settings].concat())
    }
}

/// `keys`, and those of `base` whose names are not among them.
fn over<'a>(base: &[&'a str], keys: &[&'a str]) -> Vec<&'a str> {
    let name = |key: &'a str| key.split(':').next();
    let rest = base.iter().filter(|key| !keys.iter().any(|own| name(own) == name(key)));
    rest.chain(keys).copied().collect()
}

/// Subscribes and reads the answer; the state of the feed in it.
fn subscribe(client: &mut Client, topics: &[&str]) -> String {
    client.send(&json!({"type": "subscribe", "topics": topics}));
    let answer = client.until_type("subscribed");
    let state = answer["feed"]["state"].as_str().expect("a state").to_owned();
    assert_eq!(answer, json!({"type": "subscribed", "topics": topics, "feed": {"state": state}}));
    state
}

/// As `subscribe`, while the feed is in this state. One shard hears of it a moment
/// (`flush_interval_ms`) later than another, and then its clients do.
fn subscribe_while(client: &mut Client, topics: &[&str], state: &str) {
    if subscribe(client, topics) != state {
        feed(client, state);
    }
}

fn unsubscribe(client: &mut Client, topics: &[&str]) {
    client.send(&json!({"type": "unsubscribe", "topics": topics}));
}

/// The next `feed` frame with this state.
fn feed(client: &mut Client, state: &str) -> Value {
    client.until(|frame| frame["type"] == "feed" && frame["state"] == state)
}

/// The next `data` frame of this topic.
fn data(client: &mut Client, topic: &str) -> Value {
    client.until(|frame| frame["type"] == "data" && frame["topic"] == topic)
}

/// Reads up to the `data` of this topic whose `n` is this; everything up to and with it.
fn up_to(client: &mut Client, topic: &str, n: u64) -> Vec<Value> {
    let mut frames = Vec::new();
    loop {
        let frame = client.next();
        let is_last = frame["type"] == "data" && frame["topic"] == topic && frame["data"]["n"] == n;
        frames.push(frame);
        if is_last {
            return frames;
        }
    }
}

fn of_type<'a>(frames: &'a [Value], kind: &str) -> Vec<&'a Value> {
    frames.iter().filter(|frame| frame["type"] == kind).collect()
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64
}
