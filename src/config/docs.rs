//! Owns the documents made from the tables: README's settings, env.example, config.example.yaml,
//! the keys of docs/feeds.md, and the names of docs/migrate.md.

use super::{
    feeds::{VARIABLES, keys},
    foreign,
    kind::SettingKind,
    table::{SETTINGS, Setting},
};

/// Whose variables the shipped descriptions ask for.
const FEEDS: &str = "Feeds and proxies";

/// The markdown table that stands in README.md between `<!-- settings:begin -->` and `<!--
/// settings:end -->`. Ends with a newline.
pub fn readme_table() -> String {
    let mut table = String::from("| Setting | Default | What |\n|---|---|---|\n");
    for (setting, heading) in with_headings() {
        if let Some(section) = heading {
            table.push_str(&format!("| **{section}** | | |\n"));
        }
        let aliases: String = setting.aliases.iter().map(|alias| format!(", or `{alias}`")).collect();
        let default = if setting.default.is_empty() { "–".to_owned() } else { format!("`{}`", setting.default) };
        let what = what(setting).replace('|', "\\|").replace('*', "\\*");
        table.push_str(&format!("| `{}`{aliases} | {default} | {what} |\n", setting.name));
        if ends_feeds(setting) {
            for variable in VARIABLES {
                let default =
                    if variable.default.is_empty() { "–".to_owned() } else { format!("`{}`", variable.default) };
                table.push_str(&format!("| `{}` | {default} | {} |\n", variable.name, variable.doc));
            }
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
    for (setting, heading) in with_headings() {
        if let Some(section) = heading {
            text.push_str(&format!("\n# --- {section} ---\n"));
        }
        let aliases: String = setting.aliases.iter().map(|alias| format!(" Also read from {alias}.")).collect();
        text.push_str(&format!("\n# {}.{aliases}\n# {}={}\n", what(setting), setting.name, setting.default));
        if ends_feeds(setting) {
            for variable in VARIABLES {
                text.push_str(&format!("\n# {}.\n# {}={}\n", variable.doc, variable.name, variable.default));
            }
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
    for (setting, heading) in with_headings() {
        if let Some(section) = heading {
            text.push_str(&format!("\n# --- {section} ---\n"));
        }
        if setting.is_in_file() {
            let line = format!("# {}: {}", setting.file_key(), setting.default);
            text.push_str(&format!("\n# {}.\n{}\n", what(setting), line.trim_end()));
        }
        if ends_feeds(setting) {
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
        for key in group.keys {
            let default = if key.default.is_empty() { "–".to_owned() } else { format!("`{}`", key.default) };
            let what = match key.kind {
                SettingKind::Flag => key.doc.to_owned(),
                kind => format!("{} ({kind})", key.doc),
            };
            text.push_str(&format!("| `{}` | {default} | {} |\n", key.name, what.replace('|', "\\|")));
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

/// It is the last of the section that the variables of the shipped descriptions belong to.
fn ends_feeds(setting: &Setting) -> bool {
    let last = SETTINGS.iter().rfind(|known| known.section == FEEDS);
    last.is_some_and(|last| last.name == setting.name)
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

fn with_headings() -> impl Iterator<Item = (&'static Setting, Option<&'static str>)> {
    let mut current = "";
    SETTINGS.iter().map(move |setting| {
        let heading = (setting.section != current).then_some(setting.section);
        current = setting.section;
        (setting, heading)
    })
}

fn what(setting: &Setting) -> String {
    match setting.kind {
        // The allowed values of these kinds are obvious.
        SettingKind::Flag | SettingKind::Port => setting.doc.to_owned(),
        kind => format!("{} ({kind})", setting.doc),
    }
}
