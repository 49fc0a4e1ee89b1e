//! Owns the check that every example of docs/feeds.md and config.example.yaml is read by the server
//! without a problem.

use std::{cell::RefCell, collections::BTreeSet, fs, path::Path};

use innkeeper::config::{Config, Overrides, VariableSource, feeds::VARIABLES, table::SETTINGS};

/// An environment in which every key is set and nothing else; it keeps what it was asked for.
#[derive(Default)]
struct Keys(RefCell<BTreeSet<String>>);

impl VariableSource for Keys {
    fn get(&self, name: &str) -> Option<String> {
        self.0.borrow_mut().insert(name.to_owned());
        // X5: without tokens, proxies with a key would be off.
        if name == "AUTH" {
            return Some("off".to_owned());
        }
        let is_setting = SETTINGS.iter().any(|setting| setting.name == name || setting.aliases.contains(&name));
        (!is_setting && (name.ends_with("_KEY") || name.ends_with("_SECRET"))).then(|| "a-key".to_owned())
    }
}

fn read(yaml: &str) -> (Config, BTreeSet<String>) {
    let keys = Keys::default();
    let config = Config::from_source(&keys, Some(yaml), Overrides::default());
    let config = config.unwrap_or_else(|problems| panic!("{problems}\nin\n{yaml}"));
    let off = config.hubs.iter().map(|hub| &hub.off).chain(config.proxies.iter().map(|proxy| &proxy.off)).flatten();
    assert_eq!(off.collect::<Vec<_>>(), [""; 0], "every example is on with its keys set");
    (config, keys.0.into_inner())
}

fn file(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect("the file can be read")
}

/// What stands between lines of three backticks.
fn blocks<'a>(document: &'a str, language: &str) -> Vec<&'a str> {
    let begin = format!("\n```{language}\n");
    document.split(&begin).skip(1).map(|rest| rest.split_once("\n```").expect("an end").0).collect()
}

#[test]
fn every_yaml_example_of_the_document_is_read_and_says_something() {
    let document = file("docs/feeds.md").replace("\r\n", "\n");
    let examples = blocks(&document, "yaml");
    assert!(examples.len() >= 8, "{}", examples.len());
    let plain = format!("{:?}", read("").0);
    for example in examples {
        assert_ne!(format!("{:?}", read(example).0), plain, "{example}");
    }
}

#[test]
fn the_document_has_each_shipped_description_and_its_variables() {
    let document = file("docs/feeds.md");
    for name in ["massive-options", "massive-indices", "binance", "alpaca", "finnhub", "kraken", "bus", "openai"] {
        let heading = |line: &&str| line.starts_with("### ") && line.contains(&format!("`{name}`"));
        assert!(document.lines().find(heading).is_some(), "{name} has no page");
    }
    for variable in VARIABLES {
        assert!(document.contains(&format!("`{}`", variable.name)), "{}", variable.name);
    }
}

#[test]
fn the_commented_section_of_config_example_yaml_is_read_once_uncommented() {
    let text = file("config.example.yaml");
    let lines: Vec<&str> = text.lines().collect();
    let section = |key: &str| -> String {
        let start = lines.iter().position(|line| *line == format!("# {key}:")).expect("the section");
        let own = lines[start..].iter().take_while(|line| line.starts_with('#'));
        own.map(|line| format!("{}\n", line.strip_prefix("# ").expect("a space after #"))).collect()
    };
    let (config, asked) = read(&format!("{}{}", section("hubs"), section("proxies")));
    let hubs: Vec<_> = config.hubs.iter().map(|hub| format!("{}={}", hub.id, hub.provider)).collect();
    assert_eq!(hubs, ["crypto=binance", "lobby=bus", "options=massive-options", "weather=custom"]);
    let proxies: Vec<_> = config.proxies.iter().map(|proxy| proxy.id.as_str()).collect();
    assert_eq!(proxies, ["openai", "speech"]);
    assert!(asked.contains("WEATHER_API_KEY") && asked.contains("SPEECH_API_KEY"));
}
