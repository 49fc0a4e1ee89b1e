//! Owns the reading of one map of a description: takes the keys of the table from a YAML node and
//! reports all others. No problem shows a value, as any value may hold a secret (A12).

use super::{
    credential,
    expand::{TextContext, expand},
};
use crate::config::{
    kind::{FromSetting, SettingKind, SettingValue},
    problem::{Problems, shown},
    source::VariableSource,
    table::Setting,
    yaml::YamlNode,
};

/// One entry of a map.
pub(super) struct MapEntry {
    pub key: String,
    pub line: Option<usize>,
    pub node: YamlNode,
}

/// The place of a value, for problems.
#[derive(Debug, Clone)]
pub(super) struct At {
    /// Such as `hubs.options.auth.send`.
    pub path: String,
    pub line: Option<usize>,
}

impl At {
    pub(super) fn below(&self, key: &str, line: Option<usize>) -> Self {
        Self { path: format!("{}.{key}", self.path), line }
    }
}

/// The inputs and findings of reading one hub or proxy.
pub(super) struct DescriptionScope<'a> {
    pub source: &'a dyn VariableSource,
    pub problems: &'a mut Problems,
    /// Variables that are unset, each once, in the order they were met.
    pub missing: Vec<String>,
    /// A variable was found that may be a credential. The reader of this flag resets it first.
    pub has_credential: bool,
}

impl DescriptionScope<'_> {
    /// `wrong` is what follows the key: `is …`, `has …`.
    pub(super) fn report(&mut self, at: &At, wrong: &str) {
        match at.line {
            Some(line) => self.problems.add_once("config.yaml", &format!("line {line}: {} {wrong}", at.path)),
            None => self.problems.add_once(&at.path, wrong),
        }
    }

    /// Returns `None` if a variable is missing or there is a problem, which is reported.
    pub(super) fn expand(&mut self, at: &At, text: &str, place: TextContext) -> Option<String> {
        let expanded = match expand(text, place, self.source) {
            Ok(expanded) => expanded,
            Err(wrong) => {
                self.report(at, wrong);
                return None;
            }
        };
        for (name, wrong) in &expanded.bad {
            self.problems.add_once(name, wrong);
        }
        self.has_credential |= match place {
            TextContext::Url => credential::is_in_url(text),
            _ => !expanded.used.is_empty(),
        };
        let whole = expanded.missing.is_empty() && expanded.bad.is_empty();
        for name in expanded.missing {
            if !self.missing.contains(&name) {
                self.missing.push(name);
            }
        }
        whole.then_some(expanded.text)
    }
}

/// Reads one map. Every allowed key is requested once; `finish` reports the others.
pub(super) struct FieldReader {
    pub at: At,
    entries: Vec<MapEntry>,
    asked: Vec<&'static str>,
}

impl FieldReader {
    pub(super) fn new(at: At, entries: Vec<MapEntry>, scope: &mut DescriptionScope<'_>) -> Self {
        let mut kept: Vec<MapEntry> = Vec::with_capacity(entries.len());
        for entry in entries {
            if kept.iter().any(|known| known.key == entry.key) {
                scope.report(&At { line: entry.line, ..at.clone() }, &format!("has {} twice", shown(&entry.key)));
            } else {
                kept.push(entry);
            }
        }
        Self { at, entries: kept, asked: Vec::new() }
    }

    /// Returns the node and its place, unless it is unset.
    pub(super) fn take(&mut self, key: &Setting) -> Option<(At, YamlNode)> {
        self.asked.push(key.name);
        let place = self.entries.iter().position(|entry| entry.key == key.name)?;
        let MapEntry { line, node, .. } = self.entries.swap_remove(place);
        match node {
            YamlNode::Text(text) if text.trim().is_empty() => None,
            node => Some((self.at.below(key.name, line), node)),
        }
    }

    pub(super) fn is_set(&self, key: &Setting) -> bool {
        let entry = self.entries.iter().find(|entry| entry.key == key.name);
        entry.is_some_and(|entry| !matches!(&entry.node, YamlNode::Text(text) if text.trim().is_empty()))
    }

    /// Returns the place of the key, or of the map if the key is unset.
    pub(super) fn place(&self, key: &Setting) -> At {
        let entry = self.entries.iter().find(|entry| entry.key == key.name);
        entry.map_or_else(|| self.at.clone(), |entry| self.at.below(key.name, entry.line))
    }

    /// Parses a value by the key's kind. Returns the default if it is unset, or invalid, which is
    /// reported.
    fn value(&mut self, key: &Setting, scope: &mut DescriptionScope<'_>) -> Option<SettingValue> {
        if let Some((at, node)) = self.take(key) {
            let text = scalar(&at, key, node, scope).and_then(|text| scope.expand(&at, &text, TextContext::Plain));
            match text.map(|text| key.kind.parse(text.trim())) {
                Some(Ok(value)) => return Some(value),
                Some(Err(wrong)) => scope.report(&at, &format!("{wrong}; allowed: {}", key.kind)),
                None => {}
            }
        }
        key.default_value()
    }

    /// The value, or the default if it is unset or invalid. A key without a default gives that of
    /// its type.
    pub(super) fn get<T: FromSetting + Default>(&mut self, key: &Setting, scope: &mut DescriptionScope<'_>) -> T {
        self.optional(key, scope).unwrap_or_default()
    }

    /// The same, or `None` for a key without a default.
    pub(super) fn optional<T: FromSetting>(&mut self, key: &Setting, scope: &mut DescriptionScope<'_>) -> Option<T> {
        self.value(key, scope).and_then(T::from_value)
    }

    /// One text, with its place. White space around it is kept: it may belong to a frame.
    pub(super) fn text(
        &mut self,
        key: &Setting,
        place: TextContext,
        scope: &mut DescriptionScope<'_>,
    ) -> Option<(At, String)> {
        let (at, node) = self.take(key)?;
        let text = scalar(&at, key, node, scope)?;
        let text = scope.expand(&at, &text, place)?;
        Some((at, text))
    }

    /// A list of texts; a single one is a list of one. `None` when it is unset or wrong as a whole.
    pub(super) fn texts(
        &mut self,
        key: &Setting,
        place: TextContext,
        scope: &mut DescriptionScope<'_>,
    ) -> Option<(At, Vec<String>)> {
        let (at, node) = self.take(key)?;
        let texts = texts(&at, key, node, place, scope)?;
        Some((at, texts))
    }

    /// Key, place and node of each entry of a map.
    pub(super) fn entries(&mut self, key: &Setting, scope: &mut DescriptionScope<'_>) -> Vec<(At, MapEntry)> {
        let Some((at, node)) = self.take(key) else { return Vec::new() };
        let YamlNode::Map(entries) = node else {
            scope.report(&at, &not_a(key));
            return Vec::new();
        };
        let mut found: Vec<(At, MapEntry)> = Vec::new();
        for (key, line, node) in entries {
            let line = at.line.map(|_| line);
            if found.iter().any(|(_, known)| known.key == key) {
                // The key is left out: in the wrong place it may be a secret.
                scope.report(&At { line, ..at.clone() }, "has a key twice");
            } else {
                found.push((At { line, ..at.clone() }, MapEntry { key, line, node }));
            }
        }
        found
    }

    /// Key and text of each entry of a map, with its place.
    pub(super) fn pairs(&mut self, key: &Setting, scope: &mut DescriptionScope<'_>) -> Vec<(At, String, String)> {
        let entries = self.entries(key, scope).into_iter();
        let pair = |(at, entry): (At, MapEntry)| {
            let text = scalar(&at, key, entry.node, scope)?;
            let text = scope.expand(&at, &text, TextContext::Plain)?;
            Some((at, entry.key, text))
        };
        entries.filter_map(pair).collect()
    }

    /// The map below a key.
    pub(super) fn map(&mut self, key: &Setting, scope: &mut DescriptionScope<'_>) -> Option<FieldReader> {
        let (at, node) = self.take(key)?;
        map_of(at, node, key, scope)
    }

    /// Reports every key that was never requested.
    pub(super) fn finish(self, scope: &mut DescriptionScope<'_>) {
        let Self { at, entries, asked } = self;
        for MapEntry { key, line, .. } in entries {
            let near = suggestion(&key, asked.iter().copied());
            scope.report(&At { line, ..at.clone() }, &format!("has an unknown key {}{near}", shown(&key)));
        }
    }
}

/// A node that must be a map.
pub(super) fn map_of(at: At, node: YamlNode, key: &Setting, scope: &mut DescriptionScope<'_>) -> Option<FieldReader> {
    let YamlNode::Map(entries) = node else {
        scope.report(&at, &not_a(key));
        return None;
    };
    let in_file = at.line;
    let entries = entries.into_iter().map(|(key, line, node)| MapEntry { key, line: in_file.map(|_| line), node });
    Some(FieldReader::new(at, entries.collect(), scope))
}

/// A node that must be one text.
pub(super) fn scalar(at: &At, key: &Setting, node: YamlNode, scope: &mut DescriptionScope<'_>) -> Option<String> {
    match node {
        YamlNode::Text(text) => Some(text),
        YamlNode::List(_) => {
            scope.report(at, &format!("cannot be a list; allowed: {}", key.kind));
            None
        }
        YamlNode::Map(_) => {
            scope.report(at, &format!("cannot be a map; allowed: {}", key.kind));
            None
        }
    }
}

/// A node that is a list of texts, or one.
pub(super) fn texts(
    at: &At,
    key: &Setting,
    node: YamlNode,
    place: TextContext,
    scope: &mut DescriptionScope<'_>,
) -> Option<Vec<String>> {
    let nodes = match node {
        YamlNode::List(nodes) => nodes,
        YamlNode::Text(text) => vec![YamlNode::Text(text)],
        YamlNode::Map(_) => {
            scope.report(at, &not_a(key));
            return None;
        }
    };
    let mut found = Vec::with_capacity(nodes.len());
    for node in nodes {
        match node {
            YamlNode::Text(text) if text.is_empty() => scope.report(at, "has an entry that is empty"),
            YamlNode::Text(text) => found.extend(scope.expand(at, &text, place)),
            _ => scope.report(at, &not_a(key)),
        }
    }
    Some(found)
}

/// Returns true for a value without meaning: an empty list, map or text.
pub(super) fn is_empty(node: &YamlNode) -> bool {
    match node {
        YamlNode::Text(text) => text.trim().is_empty(),
        YamlNode::List(nodes) => nodes.is_empty(),
        YamlNode::Map(entries) => entries.is_empty(),
    }
}

fn not_a(key: &Setting) -> String {
    match key.kind {
        SettingKind::Text(allowed) => format!("must be {allowed}"),
        kind => format!("must be {kind}"),
    }
}

/// The nearest of `known`, if it is near enough to be meant.
pub(in crate::config) fn suggestion<'a>(written: &str, known: impl Iterator<Item = &'a str>) -> String {
    let plain = written.to_ascii_lowercase().replace(['-', ' '], "_");
    let distance = |key: &str| {
        // `linger` for `linger_ms`.
        let is_start = key.strip_prefix(&plain).is_some_and(|unit| plain.len() > 3 && unit.starts_with('_'));
        if is_start { 1 } else { strsim::damerau_levenshtein(&plain, key) }
    };
    match known.map(|key| (distance(key), key)).min() {
        Some((distance, key)) if distance <= 2.max(plain.len() / 4) => format!("; did you mean {key}?"),
        _ => String::new(),
    }
}
