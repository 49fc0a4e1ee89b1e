//! Owns the tests that a hub's keys appear nowhere (A12): not in the log, metrics, health, or any
//! frame.

use serde_json::{Value, json};

use super::{COOL_DOWN, Config, KEY, Rig, feed, subscribe, up_to};
use crate::{
    fakes::{Fake, Finnhub, Provider},
    support::{Client, Server},
};

const TALKATIVE: &[(&str, &str)] = &[("LOG_LEVEL", "debug"), ("LOG_HEARTBEAT_INTERVAL", "0.05")];

/// Everything that this server says to anybody but its upstream.
fn all_that_is_said(server: &Server, clients: &mut [&mut Client]) -> String {
    let mut said = vec![server.log_text()];
    for path in ["/metrics", "/api/ws-health", "/health", "/ready", "/api/client-config"] {
        said.push(server.get(path).body);
    }
    let mut ops = server.connect_operator().welcomed();
    subscribe(&mut ops, &["stats", "security"]);
    said.extend([ops.until_type("data"), ops.until_type("data")].iter().map(Value::to_string));
    for client in clients {
        said.extend(client.drain().iter().map(Value::to_string));
    }
    said.join("\n")
}

/// What goes wrong with any upstream, with the key in it wherever a provider could say it.
fn everything_goes_wrong<P: Provider>(fake: &mut Fake<P>, client: &mut Client) {
    fake.close(1011, &format!("your key {KEY}"));
    feed(client, "down");
    feed(client, "live");
    fake.refuse(401);
    fake.cut();
    client.until(|frame| frame["type"] == "feed" && frame["attempt"].as_u64() >= Some(4));
    fake.admit();
    feed(client, "live");
    fake.say_text(&format!("no JSON, but {KEY}"));
    fake.say_text(&format!("[{{\"{KEY}\":"));
    fake.say(&json!([{"ev": "unheard of", "key": KEY}, {"type": "unheard of", "key": KEY}]));
    fake.say(&json!({"type": "error", "msg": format!("the key {KEY} has too many symbols"), KEY: KEY}));
    fake.down();
    client.until(|frame| frame["type"] == "feed" && frame["attempt"].as_u64() >= Some(7));
    fake.up();
    feed(client, "live");
}

#[test]
fn a12_the_key_in_a_frame_is_never_seen_whatever_goes_wrong() {
    let mut rig = Rig::with(&[COOL_DOWN, "fatal_retry_ms: 100"], TALKATIVE);
    rig.fake.set(|massive| massive.key = "another-key-0123456789abcdef".to_owned());
    let mut client = rig.client();
    client.until(|frame| frame["type"] == "feed" && frame["attempt"].as_u64() >= Some(2));
    rig.fake.set(|massive| massive.key = KEY.to_owned());
    feed(&mut client, "live");
    subscribe(&mut client, &["T.O:A"]);
    everything_goes_wrong(&mut rig.fake, &mut client);
    for status in ["error", "auth_failed", "max_connections"] {
        rig.fake.wait_for_topics(&["T.O:A"]);
        rig.fake.say(&json!([{"ev": "status", "status": status, "message": format!("your key {KEY} is not right")}]));
    }
    feed(&mut client, "down");
    feed(&mut client, "live");
    rig.fake.wait_for_topics(&["T.O:A"]);
    rig.fake.publish("T.O:A", json!({"n": 1}));
    up_to(&mut client, "T.O:A", 1);
    let said = all_that_is_said(&rig.server, &mut [&mut client]);
    assert!(said.contains("[WS options]"), "the log tells of the hub: {said}");
    assert!(!said.contains(KEY), "the key was said: {said}");
}

#[test]
fn a12_the_key_in_a_url_is_never_seen_whatever_goes_wrong() {
    let mut fake = Fake::start(Finnhub { key: "another-key-0123456789abcdef".to_owned(), ..Finnhub::default() });
    let config = Config::new(&[(
        "feed",
        &["provider: finnhub", "backoff: { base_ms: 2, max_ms: 20, stable_after_ms: 600000 }"],
    )]);
    let url = fake.url("");
    let mut settings = vec![("FINNHUB_WS_URL", url.as_str()), ("FINNHUB_API_KEY", KEY)];
    settings.extend(TALKATIVE);
    let server = config.start(&settings);
    let mut client = server.connect("/ws/feed").welcomed();
    client.until(|frame| frame["type"] == "feed" && frame["attempt"].as_u64() >= Some(2));
    fake.set(|finnhub| finnhub.key = KEY.to_owned());
    feed(&mut client, "live");
    subscribe(&mut client, &["AAPL"]);
    everything_goes_wrong(&mut fake, &mut client);
    let said = all_that_is_said(&server, &mut [&mut client]);
    assert!(said.contains("[WS feed]"), "the log tells of the hub: {said}");
    assert!(!said.contains(KEY), "the key was said: {said}");
    assert!(!said.contains("token="), "nor where it stands: {said}");
}
