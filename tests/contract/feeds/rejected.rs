//! Owns the tests of topics that the upstream rejects (H2): who gets the error, and when they are
//! requested again.

use serde_json::{Value, json};

use super::{Config, KEY, data, feed, of_type, subscribe, subscribe_while, unsubscribe};
use crate::{
    fakes::{Alpaca, Fake, Finnhub, Kraken},
    support::{Client, Server},
};

/// A server whose hub `feed` is fed by this Kraken.
fn serve(fake: &Fake<Kraken>, settings: &[(&str, &str)]) -> (Server, Config) {
    let keys =
        ["provider: kraken", "linger_ms: 30", "backoff: { base_ms: 2, max_ms: 20 }", "messages_per_second: 1000"];
    let config = Config::new(&[("feed", &keys)]);
    let url = fake.url("");
    (config.start(&[&[("KRAKEN_WS_URL", url.as_str())], settings].concat()), config)
}

/// Reads the next `error`: of this topic, in the upstream's words.
fn is_rejected(client: &mut Client, topic: &str, words: &str) -> Value {
    let error = client.until_type("error");
    assert_eq!((&error["code"], &error["topic"]), (&json!("topic_rejected"), &json!(topic)), "{error}");
    assert!(error["message"].as_str().is_some_and(|message| message.contains(words)), "{error}");
    error
}

/// Requests that name this text.
fn asked(fake: &Fake<Kraken>, text: &str) -> usize {
    fake.look(|desk| desk.frames_with(text).len())
}

#[test]
fn h2_a_topic_that_the_upstream_does_not_have_is_an_error_for_its_subscribers_and_harms_no_other() {
    let fake = Fake::start(Kraken { unlisted: vec!["XYZ/USD".into()], ..Kraken::default() });
    let (server, _config) = serve(&fake, &[("SHARDS", "2")]);
    let mut others: Vec<_> = (0..4).map(|_| server.connect("/ws/feed").welcomed()).collect();
    others.iter_mut().for_each(|other| subscribe_while(other, &["ticker:BTC/USD"], "live"));
    let mut client = server.connect("/ws/feed").welcomed();
    subscribe(&mut client, &["ticker:BTC/USD", "ticker:XYZ/USD"]);
    is_rejected(&mut client, "ticker:XYZ/USD", "Currency pair not supported XYZ/USD");
    fake.wait_for_topics(&["ticker:BTC/USD"]);
    server.wait_for_metric("innkeeper_hub_rejected_total{hub=\"feed\"}", 1.0);
    server.wait_for_metric("innkeeper_hub_upstream_topics{hub=\"feed\"}", 1.0);
    server.wait_for_line(|line| line.contains("Currency pair not supported XYZ/USD").then_some(()));
    fake.publish("ticker:BTC/USD", json!({"n": 1}));
    for client in others.iter_mut().chain([&mut client]) {
        let value = client.until(|frame| frame["type"] == "error" || frame["data"]["n"] == 1);
        assert_eq!(value["type"], "data", "whom it does not concern is not told: {value}");
    }
    // Whoever comes is told as well, wherever it is, because the upstream is asked once more.
    for (requests, other) in (2..).zip(&mut others) {
        subscribe(other, &["ticker:XYZ/USD"]);
        is_rejected(other, "ticker:XYZ/USD", "XYZ/USD");
        is_rejected(&mut client, "ticker:XYZ/USD", "XYZ/USD");
        assert_eq!(asked(&fake, "XYZ/USD"), requests);
    }
    // What was never there need not be taken back.
    for client in others.iter_mut().chain([&mut client]) {
        unsubscribe(client, &["ticker:XYZ/USD"]);
    }
    server.wait_for_metric("innkeeper_hub_topics{hub=\"feed\"}", 1.0);
    assert_eq!((asked(&fake, "XYZ/USD"), asked(&fake, "\"unsubscribe\"")), (5, 0));
    fake.assert_tidy();
}

#[test]
fn h2_a_rejected_topic_is_asked_for_again_on_the_next_connection_and_by_who_subscribes_anew() {
    let fake = Fake::start(Kraken { unlisted: vec!["NEW/USD".into(), "LATE/USD".into()], ..Kraken::default() });
    let (server, _config) = serve(&fake, &[]);
    let mut client = server.connect("/ws/feed").welcomed();
    subscribe(&mut client, &["ticker:BTC/USD", "ticker:LATE/USD", "ticker:NEW/USD", "trade:NEW/USD"]);
    let mut rejected: Vec<_> = (0..3).map(|_| client.until_type("error")["topic"].to_string()).collect();
    rejected.sort();
    assert_eq!(rejected, ["\"ticker:LATE/USD\"", "\"ticker:NEW/USD\"", "\"trade:NEW/USD\""]);
    fake.set(|kraken| kraken.unlisted.retain(|pair| pair == "LATE/USD"));
    subscribe(&mut client, &["trade:NEW/USD"]);
    assert_eq!(data(&mut client, "trade:NEW/USD")["data"]["last"], 1.0, "the same client, once more");
    fake.wait_for_topics(&["ticker:BTC/USD", "trade:NEW/USD"]);
    fake.cut();
    let mut frames = vec![feed(&mut client, "live")];
    while !frames.iter().any(|frame| frame["topic"] == "ticker:NEW/USD")
        || !frames.iter().any(|frame| frame["code"] == "topic_rejected")
    {
        frames.push(client.next());
    }
    let errors = of_type(&frames, "error");
    assert!(errors.len() == 1 && errors[0]["topic"] == "ticker:LATE/USD", "{frames:?}");
    let gaps = of_type(&frames, "gap");
    assert_eq!(gaps.len(), 1, "{frames:?}");
    assert_eq!(gaps[0]["topics"], json!(["ticker:BTC/USD", "trade:NEW/USD"]), "of the others nothing was missed");
    fake.wait_for_topics(&["ticker:BTC/USD", "ticker:NEW/USD", "trade:NEW/USD"]);
    fake.assert_tidy();
}

#[test]
fn h8_a_plans_limit_is_told_to_who_asks_for_one_topic_too_many_and_to_the_log() {
    let fake = Fake::start(Alpaca { key: KEY.to_owned(), secret: "s".to_owned(), limit: 30 });
    let url = fake.url("");
    let settings =
        [("HUBS", "stocks=alpaca"), ("ALPACA_WS_URL", &*url), ("ALPACA_API_KEY", KEY), ("ALPACA_API_SECRET", "s")];
    let server = Config::new(&[]).start(&settings);
    let names: Vec<_> = (0..30).map(|n| format!("trades.A{n}")).collect();
    let mut full = server.connect("/ws/stocks").welcomed();
    subscribe(&mut full, &names.iter().map(String::as_str).collect::<Vec<_>>());
    fake.wait("all", |desk| (desk.topics().len() == 30).then_some(()));
    let mut late = server.connect("/ws/stocks").welcomed();
    subscribe(&mut late, &["trades.TSLA"]);
    is_rejected(&mut late, "trades.TSLA", "symbol limit exceeded");
    server.wait_for_metric("innkeeper_hub_rejected_total{hub=\"stocks\"}", 1.0);
    server.wait_for_line(|line| line.contains("symbol limit exceeded").then_some(()));
    // The others go on, and a place that is given back is there for whoever asks anew.
    fake.publish("trades.A7", json!({"n": 1}));
    data(&mut full, "trades.A7");
    unsubscribe(&mut full, &["trades.A0"]);
    fake.wait("29", |desk| (desk.topics().len() == 29).then_some(()));
    subscribe(&mut late, &["trades.TSLA"]);
    fake.wait("TSLA", |desk| desk.topics().contains("trades.TSLA").then_some(()));
    assert!(full.drain().iter().all(|frame| frame["type"] != "error"));
}

#[test]
fn h2_finnhub_names_the_symbol_at_the_end_of_a_sentence_and_never_the_key() {
    let fake = Fake::start(Finnhub { key: KEY.to_owned(), unlisted: vec![format!("OANDA:{KEY}"), "NOPE".into()] });
    let url = fake.url("");
    let settings = [("HUBS", "feed=finnhub"), ("FINNHUB_WS_URL", url.as_str()), ("FINNHUB_API_KEY", KEY)];
    let server = Config::new(&[]).start(&settings);
    let mut client = server.connect("/ws/feed").welcomed();
    subscribe(&mut client, &["AAPL", "NOPE"]);
    is_rejected(&mut client, "NOPE", "Invalid symbol NOPE");
    subscribe(&mut client, &[&format!("OANDA:{KEY}")]);
    let error = is_rejected(&mut client, &format!("OANDA:{KEY}"), "Invalid symbol OANDA:***");
    assert!(!error["message"].to_string().contains(KEY), "{error}");
    fake.publish("AAPL", json!({"n": 1}));
    data(&mut client, "AAPL");
    assert!(!server.log_text().contains(KEY));
}
