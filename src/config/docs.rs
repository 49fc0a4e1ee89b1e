//! Owns the documents made from the tables: README's settings, env.example, config.example.yaml,
//! the keys of docs/feeds.md, and the names of docs/migrate.md.

use super::{
    feeds::{VARIABLE_SECTIONS, keys},
    foreign,
    kind::SettingKind,
    table::{FEEDS_AND_PROXIES, SECTIONS, Section, Setting},
};

/// The markdown table that stands in README.md between `<!-- settings:begin -->` and `<!--
/// settings:end -->`. Ends with a newline.
pub fn readme_table() -> String {
    let mut table = String::from("| Setting | Default | What |\n|---|---|---|\n");
    for section in SECTIONS {
        table.push_str(&format!("| **{}** | | |\n", section.title));
        for setting in with_variables(section) {
            let aliases: String = setting.aliases.iter().map(|alias| format!(", or `{alias}`")).collect();
            let what = what(setting).replace('|', "\\|").replace('*', "\\*");
            table.push_str(&format!("| `{}`{aliases} | {} | {what} |\n", setting.name, default(setting)));
        }
    }
    table
}

/// env.example: every setting commented out, with its default.
pub fn env_example() -> String {
    let mut text = String::from(
        "# Innkeeper's settings, each with its default. Nothing here is needed to start.\n\
         # They are read from the environment, then from config.yaml (see config.example.yaml); an empty value is unset.\n\
         # Times are seconds unless the name ends in _MS; sizes are bytes and take k and m.\n",
    );
    for section in SECTIONS {
        text.push_str(&format!("\n# --- {} ---\n", section.title));
        for setting in with_variables(section) {
            let aliases: String = setting.aliases.iter().map(|alias| format!(" Also read from {alias}.")).collect();
            text.push_str(&format!("\n# {}.{aliases}\n# {}={}\n", what(setting), setting.name, setting.default));
        }
    }
    text
}

/// config.example.yaml: the same in YAML, without what is only read from the environment.
pub fn yaml_example() -> String {
    let mut text = String::from(
        "# Innkeeper's settings, each with its default. Copy to config.yaml, or name the file in CONFIG_FILE.\n\
         # The environment wins over this file. Keys are the names of env.example in lower case; a comma-separated\n\
         # setting may be a list, and one of pairs a map:\n\
         #   allowed_origins: [\"https://example.com\", \"https://*.example.com\"]\n\
         #   game_logics: { tic-tac-toe-: tic-tac-toe }\n",
    );
    for section in SECTIONS {
        text.push_str(&format!("\n# --- {} ---\n", section.title));
        for setting in section.settings.iter().filter(|setting| setting.is_in_file()) {
            let line = format!("# {}: {}", setting.file_key(), setting.default);
            text.push_str(&format!("\n# {}.\n{}\n", what(setting), line.trim_end()));
        }
        if section.title == FEEDS_AND_PROXIES.title {
            text.push_str(FEEDS_EXAMPLE);
        }
    }
    text
}

/// The tables of keys that stand in docs/feeds.md between `<!-- keys:begin -->` and `<!-- keys:end
/// -->`. Ends with a newline.
pub fn feeds_reference() -> String {
    let mut text = String::new();
    for group in keys::GROUPS {
        let title = if group.map.is_empty() { group.title.to_owned() } else { format!("The map `{}`", group.map) };
        text.push_str(&format!("\n### {title}\n\n| Key | Default | What |\n|---|---|---|\n"));
        for key in group.settings {
            let what = what(key).replace('|', "\\|");
            text.push_str(&format!("| `{}` | {} | {what} |\n", key.name, default(key)));
        }
    }
    text.push('\n');
    text
}

/// The table that stands in docs/migrate.md between `<!-- foreign:begin -->` and `<!-- foreign:end
/// -->`. Ends with a newline.
pub fn foreign_reference() -> String {
    let mut text = String::from("\n| Variable, or key of config.yaml | What is told |\n|---|---|\n");
    for (name, instead) in foreign::VARIABLES.iter().chain(foreign::KEYS) {
        text.push_str(&format!("| `{name}` | {} |\n", instead.replace('|', "\\|")));
    }
    text.push('\n');
    text
}

/// The settings of a section, and behind them the variables of the shipped descriptions that belong
/// to it.
fn with_variables(section: &'static Section) -> impl Iterator<Item = &'static Setting> {
    let variables = VARIABLE_SECTIONS.iter().filter(|variables| variables.title == section.title);
    section.settings.iter().chain(variables.flat_map(|variables| variables.settings))
}

/// What of config.yaml is no setting. A test takes the `# ` away from what is indented by it and
/// reads it.
const FEEDS_EXAMPLE: &str = r##"
# Hubs, served at /ws/{name}, besides those of the variable HUBS or in their place; docs/feeds.md has every key.
# hubs:
#   # A shipped description under a name of one's own, with some of its keys replaced.
#   crypto:
#     provider: binance
#     linger_ms: 5000
#     topics: { "*": ["*@trade", "*@bookTicker"], spectator: ["btcusdt@trade"] }
#   # An event bus: back ends publish with POST /api/hubs/lobby/topics/{topic}, referees from their connections as well.
#   lobby:
#     provider: bus
#     publish: [referee]
#   # An upstream of one's own.
#   weather:
#     url: "wss://weather.example/v1?key=${WEATHER_API_KEY}"
#     headers: { X-Client: "${WEATHER_CLIENT:-innkeeper}" }
#     subscribe: '{"op":"subscribe","stations":{topic_list}}'
#     unsubscribe: '{"op":"unsubscribe","stations":{topic_list}}'
#     items: /reports
#     topic: { parts: [/station] }
#     heartbeat: { interval_ms: 15000, timeout_ms: 5000, send: '{"op":"ping"}', expect: { /op: pong } }
#     fatal: { /op: error, /code: bad_key }
#   # One that HUBS names by default, taken away.
#   indices: none

# Proxies, served at /proxy/{name}, besides openai.
# proxies:
#   openai:
#     budget: { session_s: 600, bytes: 50m, sessions_per_player: 1, sessions: 20 }
#   speech:
#     url: "wss://speech.example/v1/stream"
#     headers: { Authorization: "Token ${SPEECH_API_KEY}" }
#     query: [language]
#     query_defaults: { language: en }
#     allowed_types: [start, audio, stop]
#     binary: true
#     resume_ms: 0
"##;

/// A default as a cell of a table.
fn default(setting: &Setting) -> String {
    if setting.default.is_empty() { "–".to_owned() } else { format!("`{}`", setting.default) }
}

fn what(setting: &Setting) -> String {
    match setting.kind {
        // The allowed values of these kinds are obvious.
        SettingKind::Flag | SettingKind::Port => setting.doc.to_owned(),
        SettingKind::Text("") | SettingKind::Secret("") => setting.doc.to_owned(),
        kind => format!("{} ({kind})", setting.doc),
    }
}
