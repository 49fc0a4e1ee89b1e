//! Owns the descriptions of the tests: the shapes of five providers, and a plain one that leaves nothing to be looked up.
//! Called by the other tests of the machine.

use std::time::Duration;

use crate::config::{
    Secret,
    feeds::{
        AuthExchange, Backoff, CoolDown, EndpointConfig, Expected, FeedConfig, FeedHeartbeat, Matcher, Pointer,
        Template, TopicRule, Unwrap,
    },
};

pub const KEY: &str = "key-1234567890";

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// `^` first: in the frame.
fn pointer(text: &str) -> Pointer {
    let path = text.strip_prefix('^');
    Pointer { in_frame: path.is_some(), path: path.unwrap_or(text).into() }
}

fn pointers(texts: &[&str]) -> Vec<Pointer> {
    texts.iter().map(|text| pointer(text)).collect()
}

/// `*`: present.
pub fn matcher(parts: &[(&str, &str)]) -> Matcher {
    let expected = |text: &str| if text == "*" { Expected::Present } else { Expected::Text(text.into()) };
    Matcher(parts.iter().map(|(path, text)| (pointer(path), expected(text))).collect())
}

/// Live at once; frames `{"topic":…,"data":…}`; `+a,b` and `-a` subscribe and unsubscribe; 1,000 frames a second.
pub fn plain() -> FeedConfig {
    FeedConfig {
        endpoint: EndpointConfig {
            url: Secret::new("wss://feed.test/stream"),
            host: "feed.test".into(),
            headers: Vec::new(),
            connect_timeout: ms(5000),
            max_message_bytes: 1 << 20,
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
    }
}

pub fn massive() -> FeedConfig {
    let status = |text: &str| matcher(&[("/ev", "status"), ("/status", text)]);
    FeedConfig {
        ready: vec![status("connected")],
        auth: Some(AuthExchange {
            send: Secret::new(format!(r#"{{"action":"auth","params":"{KEY}"}}"#)),
            success: vec![status("auth_success")],
            failure: vec![status("auth_failed")],
            timeout: ms(10_000),
        }),
        subscribe: Some(Template(r#"{"action":"subscribe","params":"{topics}"}"#.into())),
        unsubscribe: Some(Template(r#"{"action":"unsubscribe","params":"{topics}"}"#.into())),
        unwrap: Unwrap::default(),
        topic: TopicRule {
            parts: pointers(&["/ev", "/sym"]),
            separator: ".".into(),
            overrides: vec![("V".into(), pointers(&["/ev", "/T"]))],
            names: Vec::new(),
        },
        ignore: vec![matcher(&[("/ev", "status")])],
        cool_down: CoolDown { when: vec![status("max_connections")], codes: vec![1008], pause: ms(90_000) },
        ..plain()
    }
}

pub fn binance() -> FeedConfig {
    FeedConfig {
        subscribe: Some(Template(r#"{"method":"SUBSCRIBE","params":{topic_list},"id":{id}}"#.into())),
        unsubscribe: Some(Template(r#"{"method":"UNSUBSCRIBE","params":{topic_list},"id":{id}}"#.into())),
        batch: 2,
        messages_per_second: 4.0,
        topic: TopicRule { parts: pointers(&["/stream"]), ..TopicRule::default() },
        ignore: vec![matcher(&[("/id", "*")])],
        heartbeat: Some(FeedHeartbeat { interval: ms(20_000), timeout: ms(10_000), send: None, expect: Vec::new() }),
        max_age: Some(ms(23 * 3_600_000)),
        ..plain()
    }
}

pub fn kraken() -> FeedConfig {
    let subscription = |method: &str| {
        let params = r#"{"channel":"{channel}","symbol":{name_list}}"#;
        Some(Template(format!(r#"{{"method":"{method}","params":{params},"req_id":{{id}}}}"#)))
    };
    FeedConfig {
        ready: vec![matcher(&[("^/channel", "status"), ("/system", "online")])],
        subscribe: subscription("subscribe"),
        unsubscribe: subscription("unsubscribe"),
        unwrap: Unwrap { items: "/data".into(), data: String::new() },
        topic: TopicRule { parts: pointers(&["^/channel", "/symbol"]), separator: ":".into(), ..TopicRule::default() },
        ignore: ["status", "heartbeat"]
            .map(|channel| matcher(&[("^/channel", channel)]))
            .into_iter()
            .chain([matcher(&[("^/method", "*")])])
            .collect(),
        heartbeat: Some(FeedHeartbeat {
            interval: ms(30_000),
            timeout: ms(5000),
            send: Some(Secret::new(r#"{"method":"ping"}"#)),
            expect: vec![matcher(&[("/method", "pong")])],
        }),
        ..plain()
    }
}

pub fn alpaca() -> FeedConfig {
    let success = |text: &str| matcher(&[("/T", "success"), ("/msg", text)]);
    let error = |code: &str| matcher(&[("/T", "error"), ("/code", code)]);
    let names = [("t", "trades"), ("q", "quotes")].map(|(said, name)| (said.to_owned(), name.to_owned()));
    FeedConfig {
        ready: vec![success("connected")],
        auth: Some(AuthExchange {
            send: Secret::new(format!(r#"{{"action":"auth","key":"PK","secret":"{KEY}"}}"#)),
            success: vec![success("authenticated")],
            failure: vec![error("402")],
            timeout: ms(10_000),
        }),
        subscribe: Some(Template(r#"{"action":"subscribe","{channel}":{name_list}}"#.into())),
        unsubscribe: Some(Template(r#"{"action":"unsubscribe","{channel}":{name_list}}"#.into())),
        unwrap: Unwrap::default(),
        topic: TopicRule {
            parts: pointers(&["/T", "/S"]),
            separator: ".".into(),
            overrides: Vec::new(),
            names: names.into(),
        },
        ignore: ["subscription", "success", "error"].map(|kind| matcher(&[("/T", kind)])).into(),
        cool_down: CoolDown { when: vec![error("406")], codes: Vec::new(), pause: ms(60_000) },
        ..plain()
    }
}

pub fn finnhub() -> FeedConfig {
    let subscription = |kind: &str| Some(Template(format!(r#"{{"type":"{kind}","symbol":"{{topic}}"}}"#)));
    FeedConfig {
        endpoint: EndpointConfig { url: Secret::new(format!("wss://ws.test/?token={KEY}")), ..plain().endpoint },
        subscribe: subscription("subscribe"),
        unsubscribe: subscription("unsubscribe"),
        unwrap: Unwrap { items: "/data".into(), data: String::new() },
        topic: TopicRule { parts: pointers(&["/s"]), ..TopicRule::default() },
        ignore: vec![matcher(&[("^/type", "ping")])],
        fatal: vec![matcher(&[("/type", "error"), ("/msg", "Invalid API key")])],
        ..plain()
    }
}
