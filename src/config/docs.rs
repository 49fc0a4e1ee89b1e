//! Owns the documents made from the table: README's settings table, env.example and config.example.yaml.
//! Called by `tests/settings_table.rs`, which keeps the files equal to these.

use super::{
    kind::Kind,
    table::{SETTINGS, Setting},
};

/// The markdown table that stands in README.md between `<!-- settings:begin -->` and `<!-- settings:end -->`.
/// Ends with a newline.
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
    }
    text
}

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
        // Everyone knows what these take.
        Kind::Flag | Kind::Port => setting.doc.to_owned(),
        kind => format!("{} ({kind})", setting.doc),
    }
}
