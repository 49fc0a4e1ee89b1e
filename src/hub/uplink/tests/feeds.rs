//! Owns the feed descriptions of the tests: the shipped ones, and a plain one that has everything
//! inline.

use std::{collections::HashMap, time::Duration};

use crate::config::{
    Config, Overrides, Secret,
    feeds::{
        Backoff, CoolDown, EndpointConfig, Expected, FeedConfig, Matcher, Pointer, Rejection, Template, TopicRule,
        Unwrap,
    },
};

pub(super) const KEY: &str = "key-1234567890";

pub(super) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A leading `^` means a pointer into the frame.
fn pointer(text: &str) -> Pointer {
    let path = text.strip_prefix('^');
    Pointer { in_frame: path.is_some(), path: path.unwrap_or(text).into() }
}

fn pointers(texts: &[&str]) -> Vec<Pointer> {
    texts.iter().map(|text| pointer(text)).collect()
}

/// The text `*` means that the value is present.
pub(super) fn matcher(parts: &[(&str, &str)]) -> Matcher {
    let expected = |text: &str| if text == "*" { Expected::Present } else { Expected::Text(text.into()) };
    Matcher(parts.iter().map(|(path, text)| (pointer(path), expected(text))).collect())
}

/// Live at once; frames are `{"topic":…,"data":…}`; `+a,b` subscribes and `-a` unsubscribes; 1,000
/// frames a second.
pub(super) fn plain() -> FeedConfig {
    FeedConfig {
        endpoint: EndpointConfig {
            url: Secret::new("wss://feed.test/stream"),
            host: "feed.test".into(),
            headers: Vec::new(),
            connect_timeout: ms(5000),
            max_message_bytes: 1 << 20,
            allow_insecure: false,
            max_sent_bytes: 1 << 20,
        },
        on_open: Vec::new(),
        ready: Vec::new(),
        auth: None,
        subscribe: Some(Template("+{topics}".into())),
        unsubscribe: Some(Template("-{topics}".into())),
        batch: 100,
        messages_per_second: 1000.0,
        unwrap: Unwrap { items: String::new(), data: "/data".into() },
        topic: TopicRule { parts: pointers(&["/topic"]), separator: ".".into(), ..TopicRule::default() },
        rejected: Some(Rejection {
            when: vec![matcher(&[("/rejected", "*")])],
            id: None,
            topic: Some(pointer("/rejected")),
            name: None,
            unnamed: Vec::new(),
            accepted: Vec::new(),
        }),
        ignore: vec![matcher(&[("/ignore", "*")])],
        heartbeat: None,
        fatal: vec![matcher(&[("/fatal", "*")])],
        fatal_retry: ms(600_000),
        cool_down: CoolDown {
            when: vec![matcher(&[("/status", "max_connections")])],
            codes: vec![1008],
            pause: ms(90_000),
        },
        backoff: Backoff { base: ms(500), max: ms(30_000), stable_after: ms(60_000) },
        max_age: None,
        stale_after: ms(5000),
        reconnect_after: None,
    }
}

/// A shipped description, with these keys and with the times of the plain one, which are easy to
/// count in.
fn shipped(name: &str, env: &[(&str, &str)]) -> FeedConfig {
    let source: HashMap<&str, &str> = env.iter().copied().chain([("HUBS", name)]).collect();
    let config =
        Config::from_source(&source, None, Overrides::default()).unwrap_or_else(|problems| panic!("{problems}"));
    let mut feed = config.hubs.into_iter().find_map(|hub| hub.feed).expect("an upstream");
    let FeedConfig { endpoint, fatal_retry, cool_down, backoff, stale_after, .. } = plain();
    feed.endpoint.connect_timeout = endpoint.connect_timeout;
    feed.cool_down.pause = cool_down.pause;
    if let Some(auth) = &mut feed.auth {
        auth.timeout = ms(10_000);
    }
    if let Some(heartbeat) = &mut feed.heartbeat {
        (heartbeat.interval, heartbeat.timeout) = (ms(20_000), ms(10_000));
    }
    FeedConfig { fatal_retry, backoff, stale_after, reconnect_after: None, messages_per_second: 1000.0, ..feed }
}

pub(super) fn massive() -> FeedConfig {
    shipped("massive-options", &[("MASSIVE_API_KEY", KEY)])
}

pub(super) fn massive_indices() -> FeedConfig {
    shipped("massive-indices", &[("MASSIVE_API_KEY", KEY)])
}

pub(super) fn binance() -> FeedConfig {
    let max_age = Some(ms(23 * 3_600_000));
    FeedConfig { batch: 2, messages_per_second: 4.0, max_age, ..shipped("binance", &[]) }
}

pub(super) fn kraken() -> FeedConfig {
    shipped("kraken", &[])
}

pub(super) fn alpaca() -> FeedConfig {
    shipped("alpaca", &[("ALPACA_API_KEY", "PK"), ("ALPACA_API_SECRET", KEY)])
}

pub(super) fn finnhub() -> FeedConfig {
    shipped("finnhub", &[("FINNHUB_API_KEY", KEY)])
}
