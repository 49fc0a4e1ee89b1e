//! Owns which hubs and proxies exist: those that `HUBS` and config.yaml name, each with its own
//! keys over those of the description that it starts from.

use super::{
    HubConfig, ProxyConfig, UpstreamConfig,
    expand::TextContext,
    fields::{At, DescriptionScope, FieldReader, MapEntry, suggestion},
    hub::{hub, merged},
    keys,
    proxy::proxy,
    shipped::{self, Shipped},
};
use crate::config::{
    file::DescriptionMap,
    prefix,
    problem::shown,
    reader::SettingReader,
    table::{self, Setting},
    yaml::{self, YamlNode},
};

/// Instead of a description: removes a hub or proxy that `HUBS` or the defaults name.
const NONE: &str = "none";

pub(in crate::config) fn upstream(reader: &mut SettingReader<'_>) -> UpstreamConfig {
    UpstreamConfig {
        max_connections: reader.get(&table::MAX_UPSTREAM_CONNECTIONS),
        ca_file: reader.text(&table::UPSTREAM_CA_FILE).map(Into::into),
    }
}

/// In the order of their names.
pub(in crate::config) fn hubs(reader: &mut SettingReader<'_>, file: Option<DescriptionMap>) -> Vec<HubConfig> {
    let mut named = of_setting(reader);
    let mut scope = DescriptionScope {
        source: reader.source(),
        problems: reader.problems(),
        missing: Vec::new(),
        has_credential: false,
    };
    overlay(&mut named, "hubs", file, &keys::PROVIDER, &mut scope);
    let described = named.into_iter().filter_map(|named| {
        let (id, provider, fields) = named.described("hubs", shipped::HUBS, &mut scope)?;
        scope.missing.clear();
        hub(id, provider, fields, &mut scope)
    });
    in_order(described.collect(), |hub| &hub.id)
}

/// In the order of their names.
pub(in crate::config) fn proxies(reader: &mut SettingReader<'_>, file: Option<DescriptionMap>) -> Vec<ProxyConfig> {
    let shipped = shipped::PROXIES.iter().map(|shipped| Named::of_program("proxies", shipped.name, shipped.name));
    let mut named: Vec<Named> = shipped.collect();
    let mut scope = DescriptionScope {
        source: reader.source(),
        problems: reader.problems(),
        missing: Vec::new(),
        has_credential: false,
    };
    overlay(&mut named, "proxies", file, &keys::PROXY_PROVIDER, &mut scope);
    let described = named.into_iter().filter_map(|named| {
        let (id, _, fields) = named.described("proxies", shipped::PROXIES, &mut scope)?;
        scope.missing.clear();
        proxy(id, fields, &mut scope)
    });
    in_order(described.collect(), |proxy| &proxy.id)
}

fn in_order<T>(mut all: Vec<T>, id: impl Fn(&T) -> &String) -> Vec<T> {
    all.sort_by(|a, b| id(a).cmp(id(b)));
    all
}

/// A hub or proxy before its description is read.
struct Named {
    id: String,
    at: At,
    /// `None`: custom, or a bus.
    provider: Option<String>,
    /// The entries of config.yaml.
    entries: Vec<MapEntry>,
}

impl Named {
    fn of_program(kind: &str, id: &str, provider: &str) -> Self {
        let at = At { path: format!("{kind}.{id}"), line: None };
        Self { id: id.to_owned(), at, provider: Some(provider.to_owned()), entries: Vec::new() }
    }

    /// Returns its name, its provider, and the reader of all its keys.
    fn described(
        self,
        kind: &str,
        shipped: &[Shipped],
        scope: &mut DescriptionScope<'_>,
    ) -> Option<(String, Option<String>, FieldReader)> {
        let Self { id, at, provider, entries } = self;
        let description = match provider.as_deref() {
            None | Some(super::CUSTOM) => Vec::new(),
            Some(name) => match shipped.iter().find(|shipped| shipped.name == name) {
                Some(shipped) => shipped::entries(shipped, scope),
                None => {
                    let names = shipped.iter().map(|shipped| shipped.name).chain([super::CUSTOM]);
                    let near = suggestion(name, names);
                    scope.report(&at, &format!("has a provider that {kind} do not have{near}"));
                    return None;
                }
            },
        };
        let fields = FieldReader::new(at, merged(description, entries), scope);
        Some((id, provider, fields))
    }
}

/// `name=provider`, or a provider alone, which is then the hub's name as well.
fn of_setting(reader: &mut SettingReader<'_>) -> Vec<Named> {
    if reader.text(&table::HUBS).is_some_and(|text| text.eq_ignore_ascii_case(NONE)) {
        return Vec::new();
    }
    let entry = |entry: &str| {
        let (id, provider) =
            entry.split_once('=').map_or((entry, entry), |(id, provider)| (id.trim(), provider.trim()));
        let id = prefix::id(id)?;
        if shipped::HUBS.iter().all(|shipped| shipped.name != provider) {
            let near = suggestion(provider, shipped::HUBS.iter().map(|shipped| shipped.name));
            return Err(format!("names no shipped description{near}"));
        }
        Ok(Named::of_program("hubs", &id, provider))
    };
    let named = reader.parsed_list(&table::HUBS, entry).unwrap_or_default();
    for (index, one) in named.iter().enumerate() {
        if named[..index].iter().any(|known| known.id == one.id) {
            reader.reject(&table::HUBS, &one.id, "is there twice");
        }
    }
    named
}

/// Lays the entries of config.yaml over the descriptions that exist already.
fn overlay(
    named: &mut Vec<Named>,
    kind: &str,
    file: Option<DescriptionMap>,
    provider: &Setting,
    scope: &mut DescriptionScope<'_>,
) {
    let Some(DescriptionMap { line, node }) = file else { return };
    let at = At { path: kind.to_owned(), line: Some(line) };
    let entries = match node {
        YamlNode::Map(entries) => entries,
        YamlNode::Text(text) if text.is_empty() => return,
        _ => {
            scope.report(&at, "must be a map from names to descriptions");
            return;
        }
    };
    let mut seen: Vec<String> = Vec::with_capacity(entries.len());
    for (id, line, node) in entries {
        let at = At { line: Some(line), ..at.clone() };
        if let Err(wrong) = prefix::id(&id) {
            scope.report(&at, &format!("has a name that {wrong}: {}", shown(&id)));
            continue;
        }
        if seen.contains(&id) {
            scope.report(&at, &format!("has {id} twice"));
            continue;
        }
        seen.push(id.clone());
        let at = at.below(&id, Some(line));
        let entries = match node {
            YamlNode::Map(entries) => entries,
            YamlNode::Text(text) if text.is_empty() => Vec::new(),
            YamlNode::Text(text) if text == NONE => {
                named.retain(|known| known.id != id);
                continue;
            }
            // `lobby: bus` for `lobby: { provider: bus }`.
            YamlNode::Text(text) => vec![(provider.name.to_owned(), line, YamlNode::Text(text))],
            YamlNode::List(_) => {
                scope.report(&at, "must be a map, or the name of a description");
                continue;
            }
        };
        let entries: Vec<MapEntry> =
            entries.into_iter().map(|(key, line, node)| MapEntry { key, line: Some(line), node }).collect();
        let known = named.iter().position(|known| known.id == id).map(|place| named.swap_remove(place));
        let provider = match provider_of(&at, &entries, provider, scope) {
            Ok(written) => written.or_else(|| known.and_then(|known| known.provider)),
            Err(Reported) => continue,
        };
        named.push(Named { id, at, provider, entries });
    }
}

/// The problem has been reported.
struct Reported;

fn provider_of(
    at: &At,
    entries: &[MapEntry],
    key: &Setting,
    scope: &mut DescriptionScope<'_>,
) -> Result<Option<String>, Reported> {
    let Some(entry) = entries.iter().find(|entry| entry.key == key.name) else { return Ok(None) };
    let at = at.below(key.name, entry.line);
    let YamlNode::Text(text) = &entry.node else {
        scope.report(&at, &format!("must be {}", key.kind));
        return Err(Reported);
    };
    scope.missing.clear();
    let text = scope.expand(&at, text, TextContext::Plain);
    if !scope.missing.is_empty() {
        scope.report(&at, "needs a variable that is unset; give it a default");
    }
    let text = text.ok_or(Reported)?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// Parses a shipped description into entries without a line.
pub(super) fn parsed(text: &str) -> Result<Vec<MapEntry>, String> {
    match yaml::read(text)? {
        Some(YamlNode::Map(entries)) => {
            Ok(entries.into_iter().map(|(key, _, node)| MapEntry { key, line: None, node }).collect())
        }
        None => Ok(Vec::new()),
        Some(_) => Err("is no map".to_owned()),
    }
}
