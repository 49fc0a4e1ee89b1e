//! Owns the tests of the shipped descriptions, each against a fake of its provider (section 6).

use serde_json::{Value, json};

use super::{Config, KEY, data, feed, of_type, subscribe, subscribe_while, unsubscribe, up_to};
use crate::{
    fakes::{Alpaca, Binance, Fake, Finnhub, Kraken, Massive, Provider},
    support::{Client, Server},
};

const SECRET: &str = "alpaca-secret-0123456789abcdef";

/// The hub `feed` by this description, told by the environment alone.
fn start(provider: &str, settings: &[(&str, &str)]) -> Server {
    let hubs = format!("feed={provider}");
    Config::new(&[]).start(&[&[("HUBS", hubs.as_str())], settings].concat())
}

/// Subscribed to these, and the upstream was asked for them under the same names.
fn subscriber<P: Provider>(server: &Server, fake: &Fake<P>, topics: &[&str]) -> Client {
    let mut client = server.connect("/ws/feed").welcomed();
    subscribe_while(&mut client, topics, "live");
    fake.wait_for_topics(topics);
    client
}

/// What every feed does the same, from the first value over a lost connection to the last client's
/// leaving.
fn lives_through_a_loss<P: Provider>(server: &Server, fake: &Fake<P>, mut client: Client, topics: [&str; 2]) {
    let [a, b] = topics;
    fake.publish_all(&[(a, json!({"n": 1})), (b, json!({"n": 1}))]);
    // In whatever order they come.
    let mut first = [client.until_type("data"), client.until_type("data")];
    first.sort_by_key(|frame| frame["topic"] != a);
    assert_eq!([&first[0]["topic"], &first[1]["topic"]], [a, b], "{first:?}");
    assert!(first.iter().all(|frame| frame["data"]["n"] == 1), "{first:?}");
    fake.cut();
    fake.wait_for_ever(2);
    fake.wait_for_topics(&topics);
    fake.publish(a, json!({"n": 2}));
    let frames = up_to(&mut client, a, 2);
    let gap = of_type(&frames, "gap");
    assert_eq!(gap.len(), 1, "{frames:?}");
    let mut missed = gap[0]["topics"].as_array().expect("topics").clone();
    missed.sort_by_key(|topic| topic != a);
    assert_eq!(missed, [a, b]);
    unsubscribe(&mut client, &[a]);
    fake.wait_for_topics(&[b]);
    client.close();
    fake.wait_for_connections(0);
    assert_eq!(server.get("/api/ws-health").json()["healthy"], true);
    fake.assert_tidy();
}

#[test]
fn h1_h2_h4_massive_options_and_indices_have_a_connection_each() {
    let fake = Fake::start(Massive::new(KEY));
    let url = fake.url("");
    let server = Config::new(&[]).start(&[("MASSIVE_WS_URL", &url), ("MASSIVE_API_KEY", KEY)]);
    let mut options = server.connect("/ws/options").welcomed();
    let mut indices = server.connect("/ws/indices").welcomed();
    subscribe(&mut options, &["T.O:SPY251219C00650000", "FMV.O:SPY251219C00650000"]);
    subscribe(&mut indices, &["V.I:SPX", "AM.I:SPX"]);
    let all = ["AM.I:SPX", "FMV.O:SPY251219C00650000", "T.O:SPY251219C00650000", "V.I:SPX"];
    fake.wait_for_topics(&all);
    let values = all.map(|topic| (topic, json!({"p": 1.5, "s": 10, "t": 1_678_220_098_130_u64})));
    fake.publish_all(&values);
    let told = data(&mut options, all[2])["data"].clone();
    let trade = json!({"ev": "T", "sym": "O:SPY251219C00650000", "p": 1.5, "s": 10, "t": 1_678_220_098_130_u64});
    assert_eq!(told, trade);
    let mut told = [indices.until_type("data"), indices.until_type("data")];
    told.sort_by_key(|frame| frame["topic"].to_string());
    let known = told.each_ref().map(|frame| (&frame["data"]["ev"], &frame["data"]["T"], &frame["data"]["sym"]));
    let null = Value::Null;
    assert_eq!(known, [(&json!("AM"), &null, &json!("I:SPX")), (&json!("V"), &json!("I:SPX"), &null)]);
    assert_eq!(fake.look(|desk| (desk.ever, desk.now(), desk.most)), (2, 2, 1), "at most one of each class");
    let mut targets = fake.look(|desk| desk.targets.clone());
    targets.sort();
    assert_eq!(targets, ["/indices", "/options"]);
    fake.assert_tidy();
}

#[test]
fn h1_h2_h4_binance_combined_streams() {
    let fake = Fake::start(Binance);
    let url = fake.url("");
    let server = start("binance", &[("BINANCE_WS_URL", &url)]);
    let mut client = subscriber(&server, &fake, &["btcusdt@trade", "ethusdt@bookTicker"]);
    fake.publish("btcusdt@trade", json!({"e": "trade", "s": "BTCUSDT", "p": "0.001"}));
    let told = data(&mut client, "btcusdt@trade");
    assert_eq!(told["data"], json!({"e": "trade", "s": "BTCUSDT", "p": "0.001"}), "without its wrapping");
    // Of what is asked for, each request has a number of its own, and the answers to them are no
    // data.
    let ids = fake.look(|desk| desk.frames.iter().map(|(_, _, frame)| frame["id"].as_u64()).collect::<Vec<_>>());
    assert!(!ids.is_empty() && ids.iter().all(Option::is_some) && ids.is_sorted(), "{ids:?}");
    fake.ping("every 20 seconds");
    fake.wait("a pong", |desk| (desk.pongs == 1).then_some(()));
    fake.say(&json!({"stream": "", "data": {"e": "serverShutdown", "E": 1_770_123_456_789_u64}}));
    assert!(client.drain().iter().all(|frame| frame["type"] != "data"));
    lives_through_a_loss(&server, &fake, client, ["btcusdt@trade", "ethusdt@bookTicker"]);
}

#[test]
fn h1_h4_binance_ends_a_connection_after_its_day_and_so_does_the_hub_before() {
    let keys = ["provider: binance", "max_age_ms: 3000", "backoff: { base_ms: 2, max_ms: 20 }"];
    let config = Config::new(&[("feed", &keys)]);
    let fake = Fake::start(Binance);
    let server = config.start(&[("BINANCE_WS_URL", &fake.url(""))]);
    let mut client = subscriber(&server, &fake, &["btcusdt@trade"]);
    // By the hub's own reckoning, then by the provider's.
    for ever in 2..=3 {
        if ever == 3 {
            fake.close(1000, "24 hours");
        }
        fake.wait_for_ever(ever);
        fake.wait_for_topics(&["btcusdt@trade"]);
        fake.publish("btcusdt@trade", json!({"n": ever}));
        assert_eq!(of_type(&up_to(&mut client, "btcusdt@trade", ever as u64), "gap").len(), 1);
    }
    assert_eq!(fake.look(|desk| desk.most), 1, "one after the other");
    fake.assert_tidy();
}

#[test]
fn h1_h2_h4_alpaca_with_its_channels() {
    let fake = Fake::start(Alpaca { key: KEY.to_owned(), secret: SECRET.to_owned(), limit: 30 });
    let url = fake.url("");
    let keys = [("ALPACA_API_KEY", KEY), ("ALPACA_API_SECRET", SECRET)];
    let server = start("alpaca", &[&[("ALPACA_WS_URL", url.as_str())], &keys[..]].concat());
    let topics = ["bars.MSFT", "quotes.AAPL", "trades.AAPL", "trades.MSFT"];
    let mut client = subscriber(&server, &fake, &topics);
    assert_eq!(fake.look(|desk| desk.targets.join(" ")), "/v2/iex");
    fake.publish_all(&topics.map(|topic| (topic, json!({"p": 1}))));
    let mut told: Vec<_> = topics.iter().map(|_| client.until_type("data")).collect();
    told.sort_by_key(|frame| frame["topic"].to_string());
    for ((frame, topic), kind) in told.iter().zip(topics).zip(["b", "q", "t", "t"]) {
        assert_eq!((&frame["topic"], &frame["data"]["T"]), (&json!(topic), &json!(kind)), "{frame}");
    }
    unsubscribe(&mut client, &["bars.MSFT", "trades.MSFT"]);
    fake.wait_for_topics(&["quotes.AAPL", "trades.AAPL"]);
    lives_through_a_loss(&server, &fake, client, ["trades.AAPL", "quotes.AAPL"]);
}

#[test]
fn h5_alpaca_refuses_a_wrong_key_for_good_and_a_second_connection_for_a_while() {
    let fake = Fake::start(Alpaca { key: KEY.to_owned(), secret: "another".to_owned(), limit: 30 });
    let keys = [
        "provider: alpaca",
        "fatal_retry_ms: 300",
        "backoff: { base_ms: 1, max_ms: 5 }",
        r#"cool_down: { when: { /T: error, /code: "406" }, pause_ms: 300 }"#,
    ];
    let config = Config::new(&[("feed", &keys)]);
    let url = fake.url("");
    let server = config.start(&[("ALPACA_WS_URL", &url), ("ALPACA_API_KEY", KEY), ("ALPACA_API_SECRET", SECRET)]);
    let mut client = server.connect("/ws/feed").welcomed();
    subscribe(&mut client, &["trades.AAPL"]);
    fake.wait_for_ever(2);
    fake.set(|alpaca| alpaca.secret = SECRET.to_owned());
    feed(&mut client, "live");
    fake.wait_for_topics(&["trades.AAPL"]);
    fake.each(|alpaca, peer| alpaca.evict(peer));
    feed(&mut client, "down");
    fake.wait_for_topics(&["trades.AAPL"]);
    let attempts = fake.look(|desk| desk.attempts.clone());
    let pauses: Vec<_> = attempts.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
    assert!(pauses.iter().all(|pause| *pause >= 300), "{pauses:?}");
}

#[test]
fn h1_h2_h4_finnhub_with_the_key_in_its_url() {
    let fake = Fake::start(Finnhub { key: KEY.to_owned(), ..Finnhub::default() });
    let url = fake.url("");
    let server = start("finnhub", &[("FINNHUB_WS_URL", &url), ("FINNHUB_API_KEY", KEY)]);
    let mut client = subscriber(&server, &fake, &["AAPL", "BINANCE:BTCUSDT"]);
    fake.say(&json!({"type": "ping"}));
    fake.say(&json!({"type": "error", "msg": "Subscribing to too many symbols"}));
    fake.publish_all(&[("AAPL", json!({"p": 1, "v": 100})), ("BINANCE:BTCUSDT", json!({"p": 2}))]);
    let told = data(&mut client, "AAPL");
    assert_eq!(told["data"], json!({"s": "AAPL", "p": 1, "v": 100}), "one trade of the list");
    assert_eq!(data(&mut client, "BINANCE:BTCUSDT")["data"]["p"], 2);
    lives_through_a_loss(&server, &fake, client, ["AAPL", "BINANCE:BTCUSDT"]);
}

#[test]
fn h1_h2_h4_kraken_with_an_answer_to_each_symbol_and_a_snapshot_behind_it() {
    let fake = Fake::start(Kraken::default());
    let keys = [
        "provider: kraken",
        "backoff: { base_ms: 2, max_ms: 20 }",
        r#"heartbeat: { interval_ms: 50, timeout_ms: 3000, send: '{"method":"ping"}', expect: { ^/method: pong } }"#,
    ];
    let config = Config::new(&[("feed", &keys)]);
    let server = config.start(&[("KRAKEN_WS_URL", &fake.url(""))]);
    let mut client = subscriber(&server, &fake, &["ticker:BTC/USD", "trade:ETH/EUR"]);
    assert_eq!(fake.look(|desk| desk.targets.join(" ")), "/v2");
    let mut first = [client.until_type("data"), client.until_type("data")];
    first.sort_by_key(|frame| frame["topic"].to_string());
    assert_eq!(first[0]["data"], json!({"symbol": "BTC/USD", "last": 1.0}), "{first:?}");
    assert_eq!(first[1]["topic"], "trade:ETH/EUR", "{first:?}");
    fake.say(&json!({"channel": "heartbeat"}));
    fake.publish("ticker:BTC/USD", json!({"last": 2.0}));
    let told = client.until_type("data");
    assert_eq!((&told["topic"], &told["data"]["last"]), (&json!("ticker:BTC/USD"), &json!(2.0)), "{told}");
    // Pings are answered; when they are not, the connection is given up.
    fake.wait("pings", |desk| (desk.frames_with("ping").len() >= 5).then_some(()));
    assert_eq!(fake.look(|desk| desk.ever), 1);
    fake.set(|kraken| kraken.deaf_to_pings = true);
    feed(&mut client, "down");
    fake.set(|kraken| kraken.deaf_to_pings = false);
    feed(&mut client, "live");
    fake.wait_for_topics(&["ticker:BTC/USD", "trade:ETH/EUR"]);
}
