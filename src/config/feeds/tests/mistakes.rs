//! Owns the tests of problems in descriptions: all are reported at once, with line and path, never
//! with a value.

use super::*;

/// Returns the problems of `hub`, the inside of a hub in config.yaml; `url` and `topic` are set.
fn told_of_hub(hub: &str) -> Vec<String> {
    let keys = if hub.contains("topic:") { "" } else { ", topic: { parts: /t }" };
    let url = if hub.contains("url:") { "" } else { "url: wss://hunter2.example, " };
    problems(&[("KEY", "hunter2")], &format!("hubs: {{ h: {{ {url}{hub}{keys} }} }}"))
}

fn told_of_proxy(proxy: &str) -> Vec<String> {
    let url = if proxy.contains("url:") { "" } else { "url: wss://hunter2.example, " };
    problems(&[], &format!("proxies: {{ p: {{ {url}{proxy} }} }}"))
}

#[track_caller]
fn is_told(lines: &[String], path: &str, wrong: &str) {
    assert_eq!(lines.len(), 1, "{lines:#?}");
    let line = &lines[0];
    assert!(line.starts_with(&format!("config.yaml: line 1: {path} {wrong}")), "{line}");
    assert!(!line.contains("hunter2"), "{line}");
}

#[test]
fn a12_each_mistake_in_a_hub_is_told_in_words_without_the_value() {
    for (hub, path, wrong) in [
        ("linger_ms: hunter2", "hubs.h.linger_ms", "is not a whole number; allowed: 0 to 3600000 milliseconds"),
        ("linger_ms: 3600001", "hubs.h.linger_ms", "is out of range; allowed: 0 to 3600000 milliseconds"),
        ("linger_ms: [1]", "hubs.h.linger_ms", "cannot be a list; allowed: 0 to"),
        ("linger_ms: { hunter2: 1 }", "hubs.h.linger_ms", "cannot be a map; allowed: 0 to"),
        ("linger: 1", "hubs.h", "has an unknown key \"linger\"; did you mean linger_ms?"),
        (
            "subscribe: '{topic}', sbuscribe: hunter2",
            "hubs.h",
            "has an unknown key \"sbuscribe\"; did you mean subscribe?",
        ),
        ("zzzzzzzzzzzz: 1", "hubs.h", "has an unknown key \"zzzzzzzzzzzz\""),
        ("linger_ms: 1, linger_ms: 2", "hubs.h", "has \"linger_ms\" twice"),
        ("url: http://hunter2", "hubs.h.url", "has another scheme; allowed: wss://host/path, or ws:// to localhost"),
        ("url: ws://hunter2.example", "hubs.h.url", "is unencrypted to another machine (allow_insecure: true allows"),
        (
            "url: ws://8.8.8.8, allow_insecure: true",
            "hubs.h.url",
            "is unencrypted to an address that is not of a private",
        ),
        ("url: '${KEY}'", "hubs.h.url", "(with KEY) is not a URL; allowed: wss://"),
        ("url: 'wss://x/${'", "hubs.h.url", "has a `${` without `}`"),
        ("url: 'wss://x/${hunter 2}'", "hubs.h.url", "has a `${` that is neither ${NAME}"),
        ("url: [wss://hunter2]", "hubs.h.url", "cannot be a list"),
        ("headers: hunter2", "hubs.h.headers", "must be a map from names to texts"),
        ("headers: { 'hunter2 x': a }", "hubs.h.headers", "has a header whose name is not one"),
        ("headers: { Upgrade: hunter2 }", "hubs.h.headers", "has a header that the handshake sets itself"),
        ("headers: { a: hunter2, A: b }", "hubs.h.headers", "has a header twice"),
        ("headers: { a: hunter2, a: b }", "hubs.h.headers", "has a key twice"),
        ("headers: { a: [hunter2] }", "hubs.h.headers", "cannot be a list"),
        ("ready: hunter2", "hubs.h.ready", "must be a matcher"),
        ("ready: []", "hubs.h.ready", "is an empty list"),
        ("ready: [{}]", "hubs.h.ready", "has a matcher that matches everything"),
        ("ready: { hunter2: a }", "hubs.h.ready", "has a pointer that is none; allowed: /a/b or ^/a/b"),
        ("ready: { /a~2: hunter2 }", "hubs.h.ready", "has a pointer that is none"),
        ("ready: { /a: { hunter2: b } }", "hubs.h.ready", "cannot be a map"),
        ("rejected: hunter2", "hubs.h.rejected", "must be a map"),
        ("rejected: { name: /a }", "hubs.h.rejected", "has no when"),
        ("rejected: { when: { /a: b } }", "hubs.h.rejected", "has neither id, topic nor name"),
        ("rejected: { unnamed: { /a: b }, name: /a }", "hubs.h.rejected", "has no when"),
        (
            "rejected: { when: { /a: b }, name: /a, accepted: { /a: c } }",
            "hubs.h.rejected.accepted",
            "does nothing without unnamed",
        ),
        ("rejected: { when: { /a: b }, name: hunter2 }", "hubs.h.rejected.name", "has a pointer that is none"),
        (
            "subscribe: '{topic}', rejected: { when: { /a: b }, id: /hunter2 }",
            "hubs.h.rejected.id",
            "needs {id} in subscribe",
        ),
        ("on_open: { hunter2: a }", "hubs.h.on_open", "must be the text of a frame, or a list of them"),
        ("on_open: ['hunter2', '']", "hubs.h.on_open", "has an entry that is empty"),
        ("auth: hunter2", "hubs.h.auth", "must be a map"),
        ("auth: { success: { /a: b } }", "hubs.h.auth", "has no send"),
        ("auth: { send: a, sucess: { /a: b } }", "hubs.h.auth", "has an unknown key \"sucess\"; did you mean success?"),
        ("subscribe: 'hunter2'", "hubs.h.subscribe", "has no place for topics"),
        ("subscribe: '{topcis}{topic}'", "hubs.h.subscribe", "has an unknown place in braces; did you mean topics?"),
        ("subscribe: '{topic}{topics}'", "hubs.h.subscribe", "has places for topics of two kinds"),
        ("subscribe: '{name}'", "hubs.h.subscribe", "needs {channel} together with {name}"),
        ("subscribe: '{channel}{topics}'", "hubs.h.subscribe", "needs {channel} together with {name}"),
        ("unsubscribe: '{topic}'", "hubs.h.unsubscribe", "does nothing without subscribe"),
        ("messages_per_second: 0", "hubs.h.messages_per_second", "is out of range; allowed: 0.01 to 10000"),
        ("messages_per_second: 1e3", "hubs.h.messages_per_second", "is not a number; allowed: 0.01 to 10000"),
        ("items: hunter2", "hubs.h.items", "has a pointer that is none; allowed: /a/b,"),
        ("items: ^/hunter2", "hubs.h.items", "has a pointer that is none; allowed: /a/b,"),
        ("topic: ", "hubs.h", "has no topic"),
        ("topic: [hunter2]", "hubs.h.topic", "must be a map"),
        ("topic: { separator: ':' }", "hubs.h.topic", "has no parts"),
        ("topic: { parts: [] }", "hubs.h.topic.parts", "names no pointer"),
        (
            "topic: { parts: /a, overrides: { hunter2: hunter2 } }",
            "hubs.h.topic.overrides",
            "has a pointer that is none",
        ),
        ("topic: { parts: /a, names: { hunter2: [a] } }", "hubs.h.topic.names", "cannot be a list"),
        ("heartbeat: { interval_ms: 1 }", "hubs.h.heartbeat.interval_ms", "is out of range; allowed: 10 to"),
        (
            "cool_down: { codes: [999] }",
            "hubs.h.cool_down.codes",
            "has a close code that is none; allowed: 1000 to 4999",
        ),
        ("backoff: { base_ms: 40000 }", "hubs.h.backoff.base_ms", "is more than max_ms"),
        (
            "max_topics: 500, max_topics_per_client: 51",
            "hubs.h.max_topics_per_client",
            "is more than a tenth of max_topics (500): at most 50",
        ),
        (
            "max_topics: 500, max_topics_per_address: 501",
            "hubs.h.max_topics_per_address",
            "is more than max_topics (500)",
        ),
        ("publish: [player]", "hubs.h.publish", "does nothing in a hub with a url"),
        ("topics: { 'hunter2 2': ['*'] }", "hubs.h.topics", "has a role that is none; allowed: 1 to 32 letters"),
        ("topics: []", "hubs.h.topics", "is empty; leave it out for the default"),
        ("topics: {}", "hubs.h.topics", "is empty; leave it out for the default"),
        ("topics: [[hunter2]]", "hubs.h.topics", "must be a list of patterns"),
        ("provider: bus", "hubs.h.url", "is for hubs with an upstream; provider says bus"),
        ("provider: hunter2", "hubs.h", "has a provider that hubs do not have"),
        ("provider: massive-option", "hubs.h", "has a provider that hubs do not have; did you mean massive-options?"),
        ("provider: '${UNSET}'", "hubs.h.provider", "needs a variable that is unset; give it a default"),
        ("provider: [hunter2]", "hubs.h.provider", "must be a shipped description's name, bus or custom"),
    ] {
        let mut lines = told_of_hub(hub);
        if hub == "provider: bus" {
            // Which keys do nothing there is another test's.
            lines.truncate(1);
        }
        is_told(&lines, path, wrong);
    }
}

#[test]
fn a12_each_mistake_in_a_proxy_is_told_in_words_without_the_value() {
    for (proxy, path, wrong) in [
        ("url: ", "proxies.p", "has no url"),
        ("url: hunter2", "proxies.p.url", "is not a URL"),
        ("query: [model, token]", "proxies.p.query", "has token, which this server takes for itself"),
        ("query_defaults: { hunter2: a }", "proxies.p.query_defaults", "has a name that query does not have"),
        ("roles: []", "proxies.p.roles", "is empty; leave it out for the default"),
        ("roles: ['hunter2 ']", "proxies.p.roles", "has a role that is none"),
        ("binary: hunter2", "proxies.p.binary", "is not a yes or a no; allowed: true or false"),
        ("budget: { sessions: 0 }", "proxies.p.budget.sessions", "is out of range; allowed: 1 to 1000000"),
        ("budget: { sesions: 1 }", "proxies.p.budget", "has an unknown key \"sesions\"; did you mean sessions?"),
        ("resume_ms: 600001", "proxies.p.resume_ms", "is out of range; allowed: 0 to 600000 milliseconds"),
        ("linger_ms: 1", "proxies.p", "has an unknown key \"linger_ms\""),
        ("provider: kraken", "proxies.p", "has a provider that proxies do not have"),
    ] {
        is_told(&told_of_proxy(proxy), path, wrong);
    }
}

#[test]
fn names_and_whole_maps_that_are_wrong_are_told_too() {
    for (yaml, told) in [
        ("hubs: [a]", "config.yaml: line 1: hubs must be a map from names to descriptions"),
        ("hubs: options", "config.yaml: line 1: hubs must be a map from names to descriptions"),
        ("hubs: { a: [bus] }", "config.yaml: line 1: hubs.a must be a map, or the name of a description"),
        (
            "hubs: { _a: bus }",
            "config.yaml: line 1: hubs has a name that is not made of letters, digits and . _ ~ -: \"_a\"",
        ),
        ("hubs:\n  a: bus\n  a: bus", "config.yaml: line 3: hubs has a twice"),
        ("hubs: { a: bus }\nhubs: { b: bus }", "config.yaml: line 2: hubs is there twice"),
        ("hub: { a: bus }", "config.yaml: line 1: unknown setting \"hub\"; did you mean hubs?"),
        ("hubs: { a: { provider: custom } }", "config.yaml: line 1: hubs.a has no url"),
        ("hubs: { a: { provider: kraken, url: } }", "config.yaml: line 1: hubs.a has no url; leave it out"),
        ("hubs: { a: { batch: 5 } }", "config.yaml: line 1: hubs.a.batch does nothing without a url"),
        ("hubs: { a: { auth: { send: hunter2 } } }", "config.yaml: line 1: hubs.a.auth does nothing without a url"),
        ("proxies: { a: { roles: [player] } }", "config.yaml: line 1: proxies.a has no url"),
    ] {
        let lines = problems(&[], yaml);
        assert!(lines.len() == 1 && lines[0].starts_with(told), "{yaml}: {lines:#?}");
        assert!(!lines[0].contains("hunter2"));
    }
    let lines = problems(&[("HUBS", "a=nothing,kraken,kraken,_b=bus,x=massive-option")], "");
    assert_eq!(lines.len(), 4, "{lines:#?}");
    assert!(lines.iter().all(|line| line.starts_with("HUBS: ")));
    assert!(lines.iter().any(|line| line.contains("did you mean massive-options?")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("\"kraken\" is there twice")), "{lines:#?}");
}

#[test]
fn every_mistake_is_told_at_once_with_its_line() {
    let yaml = "port: x\nhubs:\n  a:\n    url: ftp://hunter2\n    linger_ms: -1\n    topic: { parts: [/t] }\n    \
                heartbeat:\n      interval_ms: 1\n      sned: a\n  b:\n    publish: ['hunter2!']\nproxies:\n  c:\n    binary: 2\n";
    let mut lines = problems(&[], yaml);
    lines.sort();
    assert_eq!(
        lines,
        [
            "PORT: \"x\" is not a whole number; allowed: 0 to 65535 (set in config.yaml)",
            "config.yaml: line 11: hubs.b.publish has a role that is none; allowed: 1 to 32 letters, digits, _ and -",
            "config.yaml: line 13: proxies.c has no url",
            "config.yaml: line 14: proxies.c.binary is not a yes or a no; allowed: true or false",
            "config.yaml: line 4: hubs.a.url has another scheme; allowed: wss://host/path, or ws:// to localhost, \
             127.0.0.0/8 or [::1]",
            "config.yaml: line 5: hubs.a.linger_ms is not a whole number; allowed: 0 to 3600000 milliseconds",
            "config.yaml: line 8: hubs.a.heartbeat.interval_ms is out of range; allowed: 10 to 3600000 milliseconds",
            "config.yaml: line 9: hubs.a.heartbeat has an unknown key \"sned\"; did you mean send?",
        ]
    );
}

#[test]
fn a_missing_variable_switches_off_and_hides_no_other_mistake() {
    let yaml =
        "hubs: { h: { url: 'wss://h/${A}', headers: { x: '${B}' }, on_open: '${A}${C:-c}', topic: { parts: /t } } }";
    let config = good(&[], yaml);
    assert_eq!(hub(&config, "h").off.as_deref(), Some("set B and A to switch the hub on"));
    assert!(hub(&config, "h").feed.is_none());
    let lines = problems(&[], "hubs: { h: { url: '${A}', linger_ms: x } }");
    assert_eq!(lines.len(), 2, "{lines:#?}");
    let config = good(&[], "proxies: { p: { url: 'wss://h/${A}/${B}/${C}' } }");
    assert_eq!(proxy(&config, "p").off.as_deref(), Some("set A, B and C to switch the proxy on"));
    let other = good(&[], "hubs: { a: { url: 'wss://h/${A}', topic: { parts: /t } }, b: { max_topics: 1 } }");
    assert!(hub(&other, "b").off.is_none(), "one hub's variable is not another's");
}

#[test]
fn a12_a_variable_that_was_pasted_wrong_is_told_once_by_its_name() {
    let lines = problems(&[("MASSIVE_API_KEY", "hunter2\n"), ("OPENAI_API_KEY", "hun\tter2")], "");
    assert_eq!(
        lines,
        [
            "MASSIVE_API_KEY: has white space around it; remove it",
            "OPENAI_API_KEY: has a control character in it; remove it",
        ]
    );
    let lines = problems(&[("MASSIVE_API_KEY", "k"), ("MASSIVE_WS_URL", "ws://hunter2.example")], "");
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(
        lines.contains(
            &"hubs.options.url: (with MASSIVE_WS_URL) is unencrypted to another machine (allow_insecure: true allows it in a private network); allowed: \
         wss://host/path, or ws:// to localhost, 127.0.0.0/8 or [::1]"
                .to_owned()
        ),
        "{lines:#?}"
    );
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(48))]
    /// proptest prints the failing input and its seed.
    #[test]
    fn a12_no_description_panics_and_no_problem_shows_a_secret(
        text in "[-a-z_/^*:\\[\\]{}$|>'\", \n]{0,60}", secret in "[0-9A-Z]{16,31}", index in 0_usize..60,
    ) {
        let key = keys::KEYS[index % keys::KEYS.len()].name;
        let env = [("KEY", secret.as_str())];
        for value in [text.as_str(), &format!("'${{KEY}}{}'", text.replace('\'', "")), &format!("[{secret}]"), &secret] {
            let yaml = format!("hubs:\n  h:\n    provider: kraken\n    {key}: {value}\nproxies:\n  p:\n    url: wss://h\n    {key}: {value}\n");
            if let Err(found) = load(&env, &yaml) {
                proptest::prop_assert!(!format!("{found} {found:?}").contains(&secret), "{}", found);
            }
        }
    }
}
