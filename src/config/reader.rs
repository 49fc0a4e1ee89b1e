//! Owns how one setting is read: environment, then config.yaml, then the default; and how its
//! problems are worded.

use std::collections::HashMap;

use super::{
    kind::{FromSetting, SettingKind, SettingValue},
    problem::{Problems, shown},
    secret::Secret,
    source::VariableSource,
    table::Setting,
};

/// A text that was set, and where.
struct SettingText {
    /// The name or alias it was set under.
    name: &'static str,
    text: String,
    in_file: bool,
}

pub(super) struct SettingReader<'a> {
    source: &'a dyn VariableSource,
    /// The texts of config.yaml, by name or alias in upper case.
    file: HashMap<String, String>,
    problems: Problems,
    /// Names of the settings that have a problem.
    bad: Vec<&'static str>,
}

impl<'a> SettingReader<'a> {
    pub(super) fn new(source: &'a dyn VariableSource, file: HashMap<String, String>, problems: Problems) -> Self {
        Self { source, file, problems, bad: Vec::new() }
    }

    pub(super) fn into_problems(self) -> Problems {
        self.problems
    }

    pub(super) fn source(&self) -> &'a dyn VariableSource {
        self.source
    }

    /// For problems that do not belong to a setting.
    pub(super) fn problems(&mut self) -> &mut Problems {
        &mut self.problems
    }

    /// Returns true if a variable is set that is not a setting, such as one of a hosting platform.
    pub(super) fn has_variable(&self, key: &str) -> bool {
        self.source.get(key).is_some_and(|text| !text.trim().is_empty())
    }

    /// Returns true if the setting is set, with a valid value or not.
    pub(super) fn is_set(&self, setting: &Setting) -> bool {
        self.find(setting).is_some()
    }

    /// Returns true if the setting already has a problem, so that its value cannot be checked
    /// against another setting.
    pub(super) fn is_bad(&self, setting: &Setting) -> bool {
        self.bad.contains(&setting.name)
    }

    /// The value, or the default after a problem. A setting that is unset and has no default gives
    /// that of its type; ask `is_set` first.
    pub(super) fn get<T: FromSetting + Default>(&mut self, setting: &Setting) -> T {
        self.optional(setting).unwrap_or_default()
    }

    /// The value, or the default after a problem, or `None` if it is unset and has no default.
    pub(super) fn optional<T: FromSetting>(&mut self, setting: &Setting) -> Option<T> {
        self.value(setting).and_then(T::from_value)
    }

    pub(super) fn text(&mut self, setting: &Setting) -> Option<String> {
        self.optional(setting)
    }

    /// White space around a secret is a problem and is not trimmed: the signer of tokens might use
    /// the text untrimmed.
    pub(super) fn secret(&mut self, setting: &Setting) -> Option<Secret> {
        let found = self.find(setting)?;
        if found.text.trim() != found.text {
            self.reject(setting, "", "has white space around it; remove it");
            return None;
        }
        Some(Secret::new(found.text))
    }

    /// A text that `parse` checks. The error says what is wrong, without the value and what is
    /// allowed.
    pub(super) fn parsed<T>(&mut self, setting: &Setting, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(setting)?;
        self.accept(setting, &text, parse(&text))
    }

    /// The same for each entry between commas. `Some` holds the entries without a problem.
    pub(super) fn parsed_list<T>(
        &mut self,
        setting: &Setting,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let text = self.text(setting)?;
        let entries: Vec<&str> = text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).collect();
        if entries.is_empty() {
            self.reject(setting, &text, "has no entries");
        }
        Some(entries.iter().filter_map(|entry| self.accept(setting, entry, parse(entry))).collect())
    }

    /// Notes a problem: the value (unless it is a secret), what is wrong with it, and what is
    /// allowed.
    pub(super) fn reject(&mut self, setting: &Setting, value: &str, wrong: &str) {
        let value = if setting.secret { "the value".to_owned() } else { shown(value) };
        self.report(setting, &format!("{value} {wrong}; allowed: {}", setting.kind));
    }

    /// Notes a problem; `message` is the whole text.
    pub(super) fn report(&mut self, setting: &Setting, message: &str) {
        let (name, place) = match self.find(setting) {
            Some(found) if found.in_file => (found.name, " (set in config.yaml)"),
            Some(found) => (found.name, ""),
            None => (setting.name, ""),
        };
        self.problems.add(name, format!("{message}{place}"));
        self.bad.push(setting.name);
    }

    fn accept<T>(&mut self, setting: &Setting, value: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|wrong| self.reject(setting, value, &wrong)).ok()
    }

    fn value(&mut self, setting: &Setting) -> Option<SettingValue> {
        if let Some(found) = self.find(setting) {
            let text = found.text.trim();
            match setting.kind.parse(text) {
                Ok(value) => return Some(value),
                Err(wrong) if !self.is_bad(setting) => self.reject(setting, text, wrong),
                Err(_) => {}
            }
        }
        setting.default_value()
    }

    /// An empty text counts as unset: after `NAME=` in a file of variables, the next place is
    /// looked up.
    fn find(&self, setting: &Setting) -> Option<SettingText> {
        let names = || std::iter::once(setting.name).chain(setting.aliases.iter().copied());
        let in_source = names().filter_map(|name| Some((name, self.source.get(name)?, false)));
        let in_file = names().filter_map(|name| Some((name, self.file.get(name)?.clone(), true)));
        in_source.chain(in_file).find(|(_, text, _)| !text.trim().is_empty()).map(|(name, text, in_file)| SettingText {
            name,
            text,
            in_file,
        })
    }
}

impl Setting {
    /// Its key in config.yaml.
    pub(super) fn file_key(&self) -> String {
        self.name.to_ascii_lowercase()
    }

    /// `CONFIG_FILE` names the file, so it cannot be in it; the map `hubs` has there what `HUBS`
    /// has.
    pub(super) fn is_in_file(&self) -> bool {
        self.name != super::table::CONFIG_FILE.name && self.name != super::table::HUBS.name
    }

    pub(super) fn takes_list(&self) -> bool {
        matches!(self.kind, SettingKind::List(_) | SettingKind::Pairs(_))
    }

    pub(super) fn takes_map(&self) -> bool {
        matches!(self.kind, SettingKind::Pairs(_))
    }
}
