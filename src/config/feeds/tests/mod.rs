//! Owns the tests of whole descriptions: their values, the variables they need, and the problems of
//! wrong ones.

mod bounds;
mod mistakes;
mod shipped;

use std::collections::HashMap;

use super::*;
use crate::config::{Config, Overrides, Problems};

fn load(env: &[(&str, &str)], yaml: &str) -> Result<Config, Problems> {
    let source: HashMap<&str, &str> = env.iter().copied().collect();
    Config::from_source(&source, Some(yaml), Overrides::default())
}

fn good(env: &[(&str, &str)], yaml: &str) -> Config {
    load(env, yaml).unwrap_or_else(|problems| panic!("{problems}"))
}

/// One per line.
fn problems(env: &[(&str, &str)], yaml: &str) -> Vec<String> {
    load(env, yaml).map(drop).expect_err("there is a problem").to_string().lines().map(str::to_owned).collect()
}

fn hub<'a>(config: &'a Config, id: &str) -> &'a HubConfig {
    config.hubs.iter().find(|hub| hub.id == id).expect("there is such a hub")
}

fn feed<'a>(config: &'a Config, id: &str) -> &'a FeedConfig {
    hub(config, id).feed.as_ref().expect("it has an upstream")
}

fn proxy<'a>(config: &'a Config, id: &str) -> &'a ProxyConfig {
    config.proxies.iter().find(|proxy| proxy.id == id).expect("there is such a proxy")
}

fn pointer(written: &str) -> Pointer {
    let in_frame = written.starts_with('^');
    Pointer { in_frame, path: written.trim_start_matches('^').to_owned() }
}

fn matcher(parts: &[(&str, &str)]) -> Matcher {
    let expected = |text: &str| if text == "*" { Expected::Present } else { Expected::Text(text.to_owned()) };
    Matcher(parts.iter().map(|(at, text)| (pointer(at), expected(text))).collect())
}

/// A description with every key.
const WHOLE: &str = r#"
hubs:
  whole:
    url: "${BASE:-wss://feed.example}/v1?key=${KEY}"
    headers: { X-Key: "${KEY}", X-Client: innkeeper }
    connect_timeout_ms: 1500
    max_message_bytes: 2m
    ready:
      - { /op: hello }
      - { ^/v: "2", /op: "*" }
    on_open: ['{"key":"${KEY}"}', plain]
    auth:
      send: '{"op":"auth","key":"${KEY}"}'
      success: { /op: ok }
      failure: [{ /op: no }]
      timeout_ms: 900
    subscribe: '{"op":"sub","{channel}":{name_list},"key":"${KEY}","id":{id}}'
    unsubscribe: '{"op":"unsub","{channel}":{name_list}}'
    batch: 7
    messages_per_second: 2.5
    items: /a~1b/0
    data: /value
    topic:
      parts: [^/channel, /name]
      separator: "::"
      overrides: { X: [/x], Y: /y }
      names: { t: trades }
    ignore: { /op: pong }
    heartbeat: { interval_ms: 100, timeout_ms: 50, send: '{"op":"ping"}', expect: { /op: pong } }
    fatal: { /op: bad }
    fatal_retry_ms: 11
    cool_down: { when: { /op: full }, codes: [1008, 4000], pause_ms: 12 }
    backoff: { base_ms: 1, max_ms: 13, stable_after_ms: 14 }
    max_age_ms: 1000
    stale_after_ms: 15
    linger_ms: 16
    flush_interval_ms: 0
    max_topics: ${TOPICS:-17}
    max_topics_per_client: 9
    max_topics_per_address: 16
    topics: { "*": [a*, b], spectator: [], admin: "*" }
proxies:
  whole:
    url: "ws://127.0.0.1:9/p"
    headers: { Authorization: "Bearer ${KEY}" }
    connect_timeout_ms: 20
    max_message_bytes: 64
    query: [model, voice]
    query_defaults: { model: m }
    roles: [player, vip_1]
    allowed_types: [a, b.c]
    binary: off
    max_client_message_bytes: 65
    budget: { session_s: 1.5, bytes: 1k, messages: 3, sessions_per_player: 4, sessions: 5 }
    resume_ms: 0
    resume_bytes: 0
"#;

const KEY: &str = "hunter2\"&/";

#[test]
fn every_key_of_a_hub_arrives_where_it_belongs() {
    let config = good(&[("KEY", KEY)], WHOLE);
    let millis = Duration::from_millis;
    let hub = hub(&config, "whole");
    assert_eq!((hub.provider.as_str(), hub.off.as_deref()), ("custom", None));
    assert_eq!((hub.max_topics, hub.max_topics_per_client, hub.max_topics_per_address), (17, 9, Some(16)));
    assert_eq!((hub.linger, hub.flush_interval), (millis(16), Duration::ZERO));
    let patterns = |list: &[&str]| list.iter().map(|text| TopicPattern((*text).to_owned())).collect::<Vec<_>>();
    let access = [("*", patterns(&["a*", "b"])), ("spectator", patterns(&[])), ("admin", patterns(&["*"]))];
    assert_eq!(hub.access.subscribe, access.map(|(role, list)| (role.to_owned(), list)));

    let feed = feed(&config, "whole");
    assert_eq!(feed.endpoint.url.expose(), "wss://feed.example/v1?key=hunter2%22%26%2F");
    assert_eq!((feed.endpoint.host.as_str(), feed.endpoint.connect_timeout), ("feed.example", millis(1500)));
    assert_eq!(feed.endpoint.max_message_bytes, 2 * 1024 * 1024);
    let headers: Vec<_> = feed.endpoint.headers.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    assert_eq!(headers, [("x-key", KEY), ("x-client", "innkeeper")]);
    assert_eq!(feed.ready, [matcher(&[("/op", "hello")]), matcher(&[("^/v", "2"), ("/op", "*")])]);
    let frames: Vec<_> = feed.on_open.iter().map(Secret::expose).collect();
    assert_eq!(frames, [r#"{"key":"hunter2\"&/"}"#, "plain"]);
    let auth = feed.auth.as_ref().unwrap();
    assert_eq!(auth.send.expose(), r#"{"op":"auth","key":"hunter2\"&/"}"#);
    assert_eq!(
        (&auth.success[..], &auth.failure[..]),
        (&[matcher(&[("/op", "ok")])][..], &[matcher(&[("/op", "no")])][..])
    );
    assert_eq!(auth.timeout, millis(900));
    let subscribe = r#"{"op":"sub","{channel}":{name_list},"key":"hunter2\"&/","id":{id}}"#;
    assert_eq!(feed.subscribe, Some(Template(subscribe.to_owned())));
    assert_eq!(feed.unsubscribe, Some(Template(r#"{"op":"unsub","{channel}":{name_list}}"#.to_owned())));
    assert_eq!((feed.batch, feed.messages_per_second), (7, 2.5));
    assert_eq!(feed.unwrap, Unwrap { items: "/a~1b/0".to_owned(), data: "/value".to_owned() });
    let topic = TopicRule {
        parts: vec![pointer("^/channel"), pointer("/name")],
        separator: "::".to_owned(),
        overrides: vec![("X".to_owned(), vec![pointer("/x")]), ("Y".to_owned(), vec![pointer("/y")])],
        names: vec![("t".to_owned(), "trades".to_owned())],
    };
    assert_eq!(feed.topic, topic);
    assert_eq!(
        (&feed.ignore[..], &feed.fatal[..]),
        (&[matcher(&[("/op", "pong")])][..], &[matcher(&[("/op", "bad")])][..])
    );
    let heartbeat = feed.heartbeat.as_ref().unwrap();
    assert_eq!((heartbeat.interval, heartbeat.timeout), (millis(100), millis(50)));
    assert_eq!(heartbeat.send.as_ref().unwrap().expose(), r#"{"op":"ping"}"#);
    assert_eq!(heartbeat.expect, [matcher(&[("/op", "pong")])]);
    assert_eq!(feed.fatal_retry, millis(11));
    assert_eq!(feed.cool_down.when, [matcher(&[("/op", "full")])]);
    assert_eq!((&feed.cool_down.codes[..], feed.cool_down.pause), (&[1008, 4000][..], millis(12)));
    assert_eq!(feed.backoff, Backoff { base: millis(1), max: millis(13), stable_after: millis(14) });
    assert_eq!((feed.max_age, feed.stale_after), (Some(millis(1000)), millis(15)));
}

#[test]
fn x3_every_key_of_a_proxy_arrives_where_it_belongs() {
    let config = good(&[("KEY", KEY), ("AUTH", "off")], WHOLE);
    let proxy = proxy(&config, "whole");
    assert!(proxy.spends_credential && config.is_open_on_purpose);
    assert_eq!((proxy.off.as_deref(), proxy.endpoint.url.expose()), (None, "ws://127.0.0.1:9/p"));
    assert_eq!(proxy.endpoint.headers[0].1.expose(), format!("Bearer {KEY}"));
    assert_eq!((proxy.endpoint.host.as_str(), proxy.endpoint.max_message_bytes), ("127.0.0.1:9", 64));
    assert_eq!(proxy.endpoint.connect_timeout, Duration::from_millis(20));
    assert_eq!((proxy.query.join(","), proxy.roles.join(",")), ("model,voice".to_owned(), "player,vip_1".to_owned()));
    assert_eq!(proxy.query_defaults, [("model".to_owned(), "m".to_owned())]);
    assert_eq!(proxy.allowed_types.as_deref(), Some(&["a".to_owned(), "b.c".to_owned()][..]));
    assert!(!proxy.binary);
    assert_eq!((proxy.max_client_message_bytes, proxy.resume, proxy.resume_bytes), (65, Duration::ZERO, 0));
    let session = Some(Duration::from_millis(1500));
    let budget = Budget { session, bytes: Some(1024), messages: Some(3), sessions_per_player: 4, sessions: 5 };
    assert_eq!(proxy.budget, budget);
}

#[test]
fn what_is_left_out_has_the_defaults_of_the_table() {
    let config =
        good(&[], "hubs: { a: { url: wss://h, topic: { parts: /t } }, b: }\nproxies: { a: { url: wss://h } }\n");
    let (hub_a, hub_b, feed) = (hub(&config, "a"), hub(&config, "b"), feed(&config, "a"));
    assert_eq!((hub_a.provider.as_str(), hub_b.provider.as_str()), ("custom", "bus"));
    assert!(hub_b.feed.is_none() && hub_b.off.is_none());
    assert_eq!((hub_a.linger, hub_a.flush_interval), (Duration::from_secs(1), Duration::from_millis(20)));
    assert_eq!((hub_b.max_topics, hub_b.max_topics_per_client), (1000, 100));
    assert_eq!(hub_b.access.subscribe, [("*".to_owned(), vec![TopicPattern("*".to_owned())])]);
    assert!(feed.auth.is_none() && feed.heartbeat.is_none() && feed.max_age.is_none() && feed.ready.is_empty());
    assert_eq!((feed.stale_after, feed.batch), (Duration::from_secs(5), 100));
    assert_eq!((feed.topic.separator.as_str(), feed.endpoint.max_message_bytes), (".", 1024 * 1024));
    assert!(feed.backoff.base < feed.backoff.max && feed.cool_down.pause > feed.backoff.max / 2);
    let proxy = proxy(&config, "a");
    let session = Some(Duration::from_secs(3600));
    assert_eq!(proxy.budget, Budget { session, bytes: None, messages: None, sessions_per_player: 2, sessions: 100 });
    assert_eq!((proxy.roles.join(","), proxy.binary, proxy.allowed_types.is_none()), ("player".to_owned(), true, true));
    for (keys, binary) in
        [("allowed_types: [a]", false), ("allowed_types: [a], binary: true", true), ("binary: false", false)]
    {
        let config = good(&[], &format!("proxies: {{ a: {{ url: wss://h, {keys} }} }}"));
        assert_eq!(config.proxies[0].binary, binary, "{keys}");
    }
    let none = good(&[], "proxies: { a: { url: wss://h, budget: { session_s: 0, bytes: 0 } } }");
    assert!(none.proxies[0].budget.session.is_none(), "0 is no bound");
}

#[test]
fn hubs_come_from_the_variable_and_the_file_adds_to_them_or_stands_in_their_place() {
    let ids = |env: &[(&str, &str)], yaml: &str| -> Vec<String> {
        let config = good(env, yaml);
        config.hubs.iter().map(|hub| format!("{}={}", hub.id, hub.provider)).collect()
    };
    assert_eq!(ids(&[], ""), ["indices=massive-indices", "options=massive-options"]);
    assert_eq!(ids(&[("HUBS", "none")], ""), [""; 0]);
    assert_eq!(ids(&[("HUBS", "kraken, b = bus")], "hubs: { a: binance }"), ["a=binance", "b=bus", "kraken=kraken"]);
    assert_eq!(ids(&[], "hubs: { options: bus, indices: none }"), ["options=bus"]);
    assert_eq!(ids(&[], "hubs: { options: { provider: bus }, indices: none, x: none }"), ["options=bus"]);
    assert_eq!(ids(&[("HUBS", "a=kraken")], "hubs: { a: { linger_ms: 5 } }"), ["a=kraken"], "as HUBS says");
    assert_eq!(ids(&[("HUBS", "none")], "hubs: { a: { provider: '${P:-bus}' } }"), ["a=bus"]);
    assert_eq!(ids(&[("HUBS", "none")], "hubs:\nproxies: ~\n"), [""; 0]);
    let proxies = |yaml: &str| good(&[], yaml).proxies.into_iter().map(|proxy| proxy.id).collect::<Vec<_>>();
    assert_eq!(proxies(""), ["openai"]);
    assert_eq!(proxies("proxies: { openai: none }"), [""; 0]);
    assert_eq!(proxies("proxies: { a: openai, z: { url: wss://h } }"), ["a", "openai", "z"]);
}

#[test]
fn a_key_in_the_file_replaces_that_key_of_the_shipped_description_as_a_whole() {
    let yaml = "hubs: { k: { provider: kraken, linger_ms: 7, heartbeat: , topic: { parts: [/symbol] } } }";
    let config = good(&[("HUBS", "kraken")], yaml);
    let (own, shipped) = (feed(&config, "k"), feed(&config, "kraken"));
    assert_eq!(hub(&config, "k").linger, Duration::from_millis(7));
    assert!(own.heartbeat.is_none() && shipped.heartbeat.is_some(), "an empty value unsets");
    assert_eq!((own.topic.parts.len(), own.topic.separator.as_str()), (1, "."));
    assert_eq!(own.subscribe, shipped.subscribe);
    assert_eq!(own.endpoint.url.expose(), shipped.endpoint.url.expose());
}

#[test]
fn the_bound_of_connections_and_the_certificates_are_settings() {
    let config = good(&[("MAX_UPSTREAM_CONNECTIONS", "7")], "upstream_ca_file: ca.pem");
    assert_eq!(config.upstream, UpstreamConfig { max_connections: 7, ca_file: Some("ca.pem".into()) });
    assert_eq!(Config::default().upstream, UpstreamConfig::default());
}

#[test]
fn a12_no_secret_is_in_debug_wherever_it_was_asked_for() {
    let config = good(&[("KEY", KEY), ("OPENAI_API_KEY", "hunter2"), ("MASSIVE_API_KEY", "hunter2")], WHOLE);
    assert!(config.hubs.iter().all(|hub| hub.off.is_none()) && config.hubs.len() == 3);
    assert!(!format!("{config:?} {config:#?}").contains("hunter2"));
}
