//! Owns config.yaml: the search for it, and its settings as texts, which are read like variables.
//! Hubs and proxies stay trees, which `feeds` reads.

use std::{
    collections::{HashMap, hash_map::Entry},
    io::ErrorKind,
    path::Path,
};

use super::{
    foreign,
    problem::{Problems, shown},
    source::VariableSource,
    table::{CONFIG_FILE, SETTINGS, Setting},
    yaml::{self, YamlNode},
};

const NAME: &str = "config.yaml";
pub(super) const HUBS: &str = "hubs";
pub(super) const PROXIES: &str = "proxies";

/// The text of the file that `CONFIG_FILE` names, or of ./config.yaml under `directory` if there is
/// one.
pub(super) fn read(source: &dyn VariableSource, directory: &Path, problems: &mut Problems) -> Option<String> {
    let named = source.get(CONFIG_FILE.name).filter(|path| !path.trim().is_empty());
    let path = directory.join(named.as_deref().map_or(NAME, str::trim));
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) if named.is_none() && error.kind() == ErrorKind::NotFound => None,
        Err(error) => {
            let name = if named.is_some() { CONFIG_FILE.name } else { NAME };
            problems.add(name, format!("cannot read {}: {error}", shown(&path.to_string_lossy())));
            None
        }
    }
}

/// The contents of a config file.
#[derive(Default)]
pub(super) struct File {
    /// One text per setting, by its name or alias in upper case.
    pub texts: HashMap<String, String>,
    pub hubs: Option<DescriptionMap>,
    pub proxies: Option<DescriptionMap>,
}

/// The value of `hubs` or `proxies`: a map of descriptions.
pub(super) struct DescriptionMap {
    pub line: usize,
    pub node: YamlNode,
}

pub(super) fn settings(yaml: &str, problems: &mut Problems) -> File {
    let mut file = File::default();
    let entries = match yaml::read(yaml) {
        Ok(Some(YamlNode::Map(entries))) => entries,
        Ok(None) => return file,
        Ok(Some(YamlNode::Text(text))) if text.is_empty() => return file,
        Ok(Some(_)) => {
            problems.add(NAME, "must be a map of settings, such as `port: 8080`");
            return file;
        }
        Err(wrong) => {
            problems.add(NAME, wrong);
            return file;
        }
    };
    for (key, line, node) in entries {
        let described = match key.as_str() {
            HUBS => Some(&mut file.hubs),
            PROXIES => Some(&mut file.proxies),
            _ => None,
        };
        if let Some(described) = described {
            if described.replace(DescriptionMap { line, node }).is_some() {
                problems.add(NAME, format!("line {line}: {key} is there twice"));
            }
            continue;
        }
        let name = key.to_ascii_uppercase();
        let Some(setting) = SETTINGS.iter().find(|setting| {
            key == key.to_ascii_lowercase() && (setting.name == name || setting.aliases.contains(&name.as_str()))
        }) else {
            foreign::report_foreign(&key, line, &node, NAME, problems);
            continue;
        };
        if !setting.is_in_file() {
            problems.add(NAME, format!("line {line}: {key} is only read from the environment"));
            continue;
        }
        let Entry::Vacant(place) = file.texts.entry(name) else {
            problems.add(NAME, format!("line {line}: {key} is there twice"));
            continue;
        };
        let meant = foreign::meant(&key, &node).map(|meant| format!(", {meant}")).unwrap_or_default();
        match flatten(setting, node) {
            Ok(text) => drop(place.insert(text)),
            Err(wrong) => {
                problems.add(place.key(), format!("{wrong}{meant}; allowed: {} (set in config.yaml)", setting.kind));
            }
        }
    }
    file
}

/// Returns the value as a variable would have it: lists and maps joined with commas.
fn flatten(setting: &Setting, node: YamlNode) -> Result<String, &'static str> {
    let entries: Vec<String> = match node {
        YamlNode::Text(text) => return Ok(text),
        YamlNode::List(nodes) if setting.takes_list() => {
            let texts = nodes.into_iter().map(|node| if let YamlNode::Text(text) = node { Some(text) } else { None });
            texts.collect::<Option<_>>().ok_or("holds more than texts")?
        }
        YamlNode::Map(entries) if setting.takes_map() => {
            let pairs = entries.into_iter().map(|(key, _, node)| match node {
                YamlNode::Text(text) => Some(format!("{key}={text}")),
                _ => None,
            });
            pairs.collect::<Option<_>>().ok_or("holds more than texts")?
        }
        YamlNode::List(_) => return Err("cannot be a list"),
        YamlNode::Map(_) => return Err("cannot be a map"),
    };
    if entries.is_empty() {
        return Err("is empty; leave it out for the default");
    }
    if entries.iter().any(|entry| entry.contains(',') || entry.trim().is_empty()) {
        return Err("has an entry that is empty or holds a comma");
    }
    Ok(entries.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_settings(yaml: &str) -> (HashMap<String, String>, String) {
        let mut problems = Problems::default();
        let file = settings(yaml, &mut problems);
        (file.texts, problems.to_string())
    }

    #[test]
    fn values_are_kept_as_they_are_written() {
        let (texts, problems) = read_settings(
            "# comment\nport: 08080\njwt_secret: 12345678901234567890.10\nauth: off\nhost: ~\nlog_level:\n",
        );
        assert_eq!(problems, "");
        assert_eq!(texts["PORT"], "08080");
        assert_eq!(texts["JWT_SECRET"], "12345678901234567890.10");
        assert_eq!(texts["AUTH"], "off");
        assert_eq!((texts["HOST"].as_str(), texts["LOG_LEVEL"].as_str()), ("", ""));
    }

    #[test]
    fn lists_and_maps_become_comma_separated_texts() {
        let (texts, problems) = read_settings(
            "allowed_origins: [\"https://a.example\", 'https://*.b.example']\n\
             game_logics:\n  tic-tac-toe-: tic-tac-toe\n  ttt-: tic-tac-toe\n",
        );
        assert_eq!(problems, "");
        assert_eq!(texts["ALLOWED_ORIGINS"], "https://a.example,https://*.b.example");
        assert_eq!(texts["GAME_LOGICS"], "tic-tac-toe-=tic-tac-toe,ttt-=tic-tac-toe");
    }

    #[test]
    fn an_empty_file_is_no_problem() {
        for yaml in ["", "# nothing\n", "---\n", "~\n"] {
            assert_eq!(read_settings(yaml).1, "", "{yaml:?}");
        }
    }

    #[test]
    fn an_unknown_key_is_a_problem_that_suggests_a_near_one() {
        let (_, problems) =
            read_settings("prot: 1\nallowed-origins: x\nPORT: 1\nzzzzzzzz: 1\nconfig_file: x\nport: 1\nport: 2\n");
        assert_eq!(
            problems.lines().collect::<Vec<_>>(),
            [
                "config.yaml: line 1: unknown setting \"prot\"; did you mean port?",
                "config.yaml: line 2: unknown setting \"allowed-origins\"; did you mean allowed_origins?",
                "config.yaml: line 3: unknown setting \"PORT\"; did you mean port?",
                "config.yaml: line 4: unknown setting \"zzzzzzzz\"",
                "config.yaml: line 5: config_file is only read from the environment",
                "config.yaml: line 7: port is there twice",
            ]
        );
    }

    #[test]
    fn a_file_that_is_not_a_flat_map_is_a_problem_without_the_files_text() {
        for (yaml, problem) in [
            ("- hunter2", "config.yaml: must be a map of settings, such as `port: 8080`"),
            ("hunter2", "config.yaml: must be a map of settings, such as `port: 8080`"),
            ("jwt_secret: *hunter2", "config.yaml: line 1: while parsing node, found unknown anchor"),
            ("jwt_secret: &hunter2 a\nauth: *hunter2", "config.yaml: line 2: an anchor's alias"),
            ("jwt_secret: !hunter2", "config.yaml: line 1: a value with a `!` tag"),
            ("jwt_secret: {hunter2: b}", "JWT_SECRET: cannot be a map"),
            ("port: [hunter2]", "PORT: cannot be a list"),
            ("allowed_origins: []", "ALLOWED_ORIGINS: is empty; leave it out"),
            ("allowed_origins: [[hunter2]]", "ALLOWED_ORIGINS: holds more than texts"),
            ("game_logics: {hunter2: [a]}", "GAME_LOGICS: holds more than texts"),
            ("allowed_origins: ['hunter2,b']", "ALLOWED_ORIGINS: has an entry that is empty or holds a comma"),
            ("[hunter2]: 1", "config.yaml: line 1: a key that is not a text"),
            ("port: 1\n--- \nport: 2", "config.yaml: line 3: a second document"),
            ("jwt_secret: \"hunter2", "config.yaml: line "),
            ("jwt_secret: @hunter2", "config.yaml: line 1: "),
            (&"[".repeat(10_000), "config.yaml: line 1: "),
        ] {
            let (_, problems) = read_settings(yaml);
            assert!(problems.starts_with(problem) && problems.lines().count() == 1, "{yaml:.40}: {problems}");
            assert!(!problems.contains("hunter2"), "{problems}");
        }
    }

    #[test]
    fn only_a_missing_file_that_nobody_named_is_no_problem() {
        let directory = std::env::temp_dir().join(format!("innkeeper-config-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&directory).unwrap();
        let find = |env: &[(&str, &str)]| {
            let mut problems = Problems::default();
            let source: HashMap<&str, &str> = env.iter().copied().collect();
            (read(&source, &directory, &mut problems), problems.to_string())
        };
        assert_eq!(find(&[]), (None, String::new()));
        let (text, problems) = find(&[("CONFIG_FILE", "other.yaml")]);
        assert!(text.is_none() && problems.starts_with("CONFIG_FILE: cannot read"), "{problems}");
        std::fs::write(directory.join("config.yaml"), "port: 1").unwrap();
        std::fs::write(directory.join("other.yaml"), "port: 2").unwrap();
        assert_eq!(find(&[("CONFIG_FILE", "")]), (Some("port: 1".to_owned()), String::new()));
        assert_eq!(find(&[("CONFIG_FILE", "other.yaml")]), (Some("port: 2".to_owned()), String::new()));
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
