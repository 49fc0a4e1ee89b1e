//! Owns the tests of the table of keys: every bound fits its field, the next value is a problem,
//! every key is read.

use super::*;
use crate::config::{kind::SettingKind, table::Section};

/// config.yaml with this key set, in the hub or the proxy that has it, along with what it cannot be
/// without.
fn yaml(group: &Section, key: &str, value: &str) -> String {
    let pair = match (group.map, key) {
        ("", "unsubscribe") => format!("{key}: {value}, subscribe: '{{topic}}'"),
        ("", "query_defaults") => format!("{key}: {value}, query: [x]"),
        ("", "max_topics_per_client" | "max_topics_per_address") => format!("{key}: {value}, max_topics: 1000000"),
        ("", _) => format!("{key}: {value}"),
        ("auth", "success" | "failure" | "timeout_ms") => format!("auth: {{ {key}: {value}, send: a }}"),
        ("backoff", "base_ms") => format!("backoff: {{ {key}: {value}, max_ms: 86400000 }}"),
        ("backoff", "max_ms") => format!("backoff: {{ {key}: {value}, base_ms: 1 }}"),
        ("topic", "separator" | "overrides" | "names") => format!("topic: {{ {key}: {value}, parts: /t }}"),
        ("rejected", "accepted") => format!("rejected: {{ {key}: {value}, unnamed: {{ /r: x }} }}"),
        ("rejected", "unnamed") => format!("rejected: {{ {key}: {value} }}"),
        ("rejected", "when") => format!("rejected: {{ {key}: {value}, name: /t }}"),
        ("rejected", "id") => {
            format!("rejected: {{ {key}: {value}, when: {{ /r: x }} }}, subscribe: '{{id}}{{topic}}'")
        }
        ("rejected", _) => format!("rejected: {{ {key}: {value}, when: {{ /r: x }} }}"),
        (map, _) => format!("{map}: {{ {key}: {value} }}"),
    };
    let url = if key == "url" { "" } else { "url: wss://h, " };
    let topic = if group.map == "topic" || (group.map, key) == ("", "topic") { "" } else { "topic: { parts: /t }, " };
    if matches!(group.title, "Every proxy, besides where to connect" | "budget") {
        format!("proxies: {{ p: {{ {url}{pair} }} }}")
    } else {
        format!("hubs: {{ h: {{ {url}{topic}{pair} }} }}")
    }
}

#[test]
fn every_bound_of_a_key_fits_the_field_it_fills_and_the_next_value_is_a_problem() {
    let mut seen = 0;
    for (group, key) in keys::GROUPS.iter().flat_map(|group| group.settings.iter().map(move |key| (group, key))) {
        let (good_ones, bad) = match key.kind {
            SettingKind::Count { min, max } | SettingKind::Bytes { min, max } | SettingKind::Millis { min, max } => {
                let below = min.checked_sub(1).map(|n| n.to_string());
                let bad = below.into_iter().chain([(max + 1).to_string()]).collect::<Vec<_>>();
                (vec![min.to_string(), max.to_string()], bad)
            }
            SettingKind::Seconds { min, max } | SettingKind::Decimal { min, max } => {
                (vec![min.to_string(), max.to_string()], vec![(max + 0.5).to_string()])
            }
            _ => continue,
        };
        seen += 1;
        for text in good_ones {
            let config = good(&[], &yaml(group, key.name, &text));
            if let SettingKind::Count { max, .. } | SettingKind::Bytes { max, .. } = key.kind
                && text == max.to_string()
            {
                let shown = format!("{:?} {:?}", config.hubs, config.proxies);
                assert!(shown.contains(&text), "{}: {text} does not fit its field", key.name);
            }
        }
        for text in bad {
            let lines = problems(&[], &yaml(group, key.name, &text));
            assert!(lines.len() == 1 && lines[0].contains("is out of range; allowed: "), "{}: {lines:?}", key.name);
        }
    }
    assert!(seen > 20);
}

#[test]
fn every_default_is_one_that_its_key_takes_and_every_key_is_read() {
    for (group, key) in keys::GROUPS.iter().flat_map(|group| group.settings.iter().map(move |key| (group, key))) {
        assert!(key.default.is_empty() || key.kind.parse(key.default).is_ok(), "{}", key.name);
        // No key takes a list of a list of lists; a key that is not read is reported as unknown.
        if let Err(found) = load(&[], &yaml(group, key.name, "[[[x]]]")) {
            let unknown = format!("unknown key \"{}\"", key.name);
            assert!(!found.to_string().contains(&unknown), "{found}");
        } else {
            panic!("{} takes anything", key.name);
        }
    }
}

#[test]
fn a_missing_variable_is_no_mistake_whatever_the_key() {
    for (group, key) in keys::GROUPS.iter().flat_map(|group| group.settings.iter().map(move |key| (group, key))) {
        let value = match key.name {
            // Which description it is must be known; publishing is for hubs without a URL.
            "provider" | "publish" => continue,
            "overrides" | "query_instead" => "{ x: ['${UNSET}'] }",
            "headers" | "names" | "query_defaults" => "{ x: '${UNSET}' }",
            "ready" | "ignore" | "fatal" | "when" | "unnamed" | "accepted" | "expect" | "success" | "failure" => {
                "{ /x: '${UNSET}' }"
            }
            // Values are expanded, never what stands in the place of a map.
            _ if matches!(key.kind, SettingKind::Text(allowed) if allowed == "a map") => continue,
            _ => "'${UNSET}'",
        };
        let config = good(&[], &yaml(group, key.name, value));
        let off = config.hubs.iter().map(|hub| &hub.off).chain(config.proxies.iter().map(|proxy| &proxy.off));
        let said = off.flatten().filter(|off| off.starts_with("set UNSET to switch the ")).count();
        assert_eq!(said, 1, "{}", key.name);
    }
}
