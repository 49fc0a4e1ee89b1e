//! Owns the tests of the shipped descriptions: complete with their variables, off without, and
//! their values.

use super::*;
use crate::config::{
    feeds::shipped::{HUBS, PROXIES},
    table::Setting,
};

/// Every variable that has no default, set.
fn keys() -> Vec<(&'static str, &'static str)> {
    VARIABLES.iter().filter(|variable| variable.default.is_empty()).map(|variable| (variable.name, "hunter2")).collect()
}

fn all() -> Config {
    let names: Vec<&str> = HUBS.iter().map(|shipped| shipped.name).collect();
    let (names, mut env) = (names.join(","), keys());
    env.push(("HUBS", &names));
    good(&env, "")
}

#[test]
fn each_shipped_description_is_whole_with_its_key_and_off_without() {
    let config = all();
    assert_eq!((config.hubs.len(), config.proxies.len()), (HUBS.len(), PROXIES.len()));
    for hub in &config.hubs {
        assert_eq!((hub.off.as_deref(), hub.feed.is_some()), (None, hub.id != "bus"), "{}", hub.id);
        assert_eq!(hub.id, hub.provider);
    }
    let names = config.hubs.iter().map(|hub| hub.id.as_str()).collect::<Vec<_>>().join(",");
    let without = good(&[("HUBS", &names)], "");
    let off: Vec<_> = without.hubs.iter().map(|hub| (hub.id.as_str(), hub.off.as_deref().unwrap_or("on"))).collect();
    assert_eq!(
        off,
        [
            ("alpaca", "set ALPACA_API_KEY and ALPACA_API_SECRET to switch the hub on"),
            ("binance", "on"),
            ("bus", "on"),
            ("finnhub", "set FINNHUB_API_KEY to switch the hub on"),
            ("kraken", "on"),
            ("massive-indices", "set MASSIVE_API_KEY to switch the hub on"),
            ("massive-options", "set MASSIVE_API_KEY to switch the hub on"),
        ]
    );
    assert!(without.hubs.iter().all(|hub| hub.off.is_none() || hub.feed.is_none()), "what is off connects to nothing");
    assert_eq!(without.proxies[0].off.as_deref(), Some("set OPENAI_API_KEY to switch the proxy on"));
    let half = good(&[("HUBS", "alpaca"), ("ALPACA_API_KEY", "k")], "");
    assert_eq!(half.hubs[0].off.as_deref(), Some("set ALPACA_API_SECRET to switch the hub on"));
}

#[test]
fn every_variable_of_the_table_says_the_default_that_its_description_has() {
    let descriptions: String = HUBS.iter().chain(PROXIES).map(|shipped| shipped.yaml).collect();
    for Setting { name, default, .. } in VARIABLES {
        let written = if default.is_empty() { format!("${{{name}}}") } else { format!("${{{name}:-{default}}}") };
        assert!(descriptions.contains(&written), "{name}");
    }
    let asked: std::collections::BTreeSet<&str> = descriptions
        .split("${")
        .skip(1)
        .map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap())
        .collect();
    assert_eq!(asked.len(), VARIABLES.len(), "no description asks for one that the table does not list");
}

#[test]
fn their_addresses_are_the_providers_or_those_of_the_variables() {
    let config = all();
    let url = |id: &str| feed(&config, id).endpoint.url.expose();
    assert_eq!(url("massive-options"), "wss://socket.massive.com/options");
    assert_eq!(url("massive-indices"), "wss://socket.massive.com/indices");
    assert_eq!(url("binance"), "wss://stream.binance.com:9443/stream");
    assert_eq!(url("alpaca"), "wss://stream.data.alpaca.markets/v2/iex");
    assert_eq!(url("finnhub"), "wss://ws.finnhub.io/?token=hunter2");
    assert_eq!(url("kraken"), "wss://ws.kraken.com/v2");
    assert_eq!(proxy(&config, "openai").endpoint.url.expose(), "wss://api.openai.com/v1/realtime");

    let env = [("MASSIVE_WS_URL", "ws://127.0.0.1:7/"), ("MASSIVE_API_KEY", "k"), ("ALPACA_FEED", "a/b")];
    let own = good(&env, "");
    assert_eq!(feed(&own, "options").endpoint.url.expose(), "ws://127.0.0.1:7/options");
    assert_eq!(feed(&own, "indices").endpoint.host, "127.0.0.1:7");
}

#[test]
fn massive_names_topics_by_event_and_symbol_and_values_by_their_index() {
    let config = all();
    for id in ["massive-options", "massive-indices"] {
        let feed = feed(&config, id);
        assert_eq!(feed.ready, [matcher(&[("/ev", "status"), ("/status", "connected")])]);
        let auth = feed.auth.as_ref().unwrap();
        assert_eq!(auth.send.expose(), r#"{"action":"auth","params":"hunter2"}"#);
        assert_eq!(auth.failure, [matcher(&[("/ev", "status"), ("/status", "auth_failed")])]);
        assert_eq!(feed.subscribe.as_ref().unwrap().0, r#"{"action":"subscribe","params":"{topics}"}"#);
        assert_eq!(feed.cool_down.when, [matcher(&[("/ev", "status"), ("/status", "max_connections")])]);
        assert_eq!(feed.cool_down.codes, [1008]);
        assert_eq!(feed.topic.parts, [pointer("/ev"), pointer("/sym")]);
    }
    let indices = &feed(&config, "massive-indices").topic;
    assert_eq!(indices.overrides, [("V".to_owned(), vec![pointer("/ev"), pointer("/T")])]);
}

#[test]
fn the_other_providers_are_told_topics_as_they_want_them() {
    let config = all();
    let subscribe = |id: &str| feed(&config, id).subscribe.as_ref().unwrap().0.as_str();
    assert_eq!(subscribe("binance"), r#"{"method":"SUBSCRIBE","params":{topic_list},"id":{id}}"#);
    assert_eq!(subscribe("alpaca"), r#"{"action":"subscribe","{channel}":{name_list}}"#);
    assert_eq!(subscribe("finnhub"), r#"{"type":"subscribe","symbol":"{topic}"}"#);
    assert_eq!(
        subscribe("kraken"),
        r#"{"method":"subscribe","params":{"channel":"{channel}","symbol":{name_list}},"req_id":{id}}"#
    );
    let auth = feed(&config, "alpaca").auth.as_ref().unwrap();
    assert_eq!(auth.send.expose(), r#"{"action":"auth","key":"hunter2","secret":"hunter2"}"#);
    assert_eq!(auth.failure, [matcher(&[("/T", "error"), ("/code", "402")])]);
    assert!(feed(&config, "binance").max_age.unwrap() < Duration::from_secs(24 * 3600));
    assert_eq!(feed(&config, "finnhub").batch, 1, "one symbol a frame");
    assert_eq!(feed(&config, "kraken").topic.separator, ":");
}

#[test]
fn x1_openai_is_general_availability_with_the_servers_key() {
    let config = all();
    let openai = proxy(&config, "openai");
    let headers: Vec<_> = openai.endpoint.headers.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    assert_eq!(headers, [("authorization", "Bearer hunter2")], "and no beta header");
    assert_eq!(
        (openai.query.join(","), &openai.query_defaults[0].1[..]),
        ("model,intent,call_id".to_owned(), "gpt-realtime")
    );
    assert_eq!((openai.resume, openai.resume_bytes), (Duration::from_secs(10), 1024 * 1024));
}
