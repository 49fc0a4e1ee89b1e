//! Owns the reading of one hub: what every hub has, and whether it is a feed or an event bus.

use super::{
    HubConfig, TopicAccess, TopicPattern,
    expand::TextContext,
    feed,
    fields::{At, DescriptionScope, FieldReader, MapEntry, is_empty, texts},
    is_role, keys, off,
};
use crate::config::{table::Setting, yaml::YamlNode};

/// The longest name of a topic.
const MAX_PATTERN_BYTES: usize = 128;
/// The topics that one subscriber may have in a hub with fewer than ten times as many.
const MIN_SHARE: usize = 10;

/// `provider` is the name of its description; `None`: custom, or a bus. Returns `None` if there is
/// a problem.
pub(super) fn hub(
    id: String,
    provider: Option<String>,
    mut fields: FieldReader,
    scope: &mut DescriptionScope<'_>,
) -> Option<HubConfig> {
    let at = fields.at.clone();
    // The caller has already read it to choose the description.
    fields.take(&keys::PROVIDER);
    let is_feed = fields.is_set(&keys::URL);
    let provider = match provider {
        Some(provider) => provider,
        None if is_feed => super::CUSTOM.to_owned(),
        None => super::BUS.to_owned(),
    };
    match (provider.as_str(), is_feed) {
        (super::CUSTOM, false) => scope.report(&at, "has no url"),
        (super::BUS, true) => {
            scope.report(&fields.place(&keys::URL), "is for hubs with an upstream; provider says bus")
        }
        (_, false) if provider != super::BUS => scope.report(&at, "has no url; leave it out for the description's"),
        _ => {}
    }
    let publish = publish(&mut fields, is_feed, scope);
    let access = TopicAccess { subscribe: subscribe(&mut fields, scope), publish };
    let max_topics = fields.get(&keys::MAX_TOPICS, scope);
    let max_topics_per_client = per_client(&mut fields, max_topics, scope);
    let max_topics_per_address = per_address(&mut fields, max_topics, scope);
    let linger = fields.get(&keys::LINGER_MS, scope);
    let flush_interval = fields.get(&keys::FLUSH_INTERVAL_MS, scope);
    let feed = if is_feed {
        feed::feed(&mut fields, scope)
    } else {
        for key in keys::ENDPOINT.settings.iter().chain(keys::FEED.settings) {
            // For other providers the missing URL has been reported.
            if provider == super::BUS && fields.is_set(key) {
                scope.report(&fields.place(key), "does nothing without a url");
            }
            fields.take(key);
        }
        None
    };
    fields.finish(scope);
    let off = off(&scope.missing, "hub");
    let feed = if off.is_some() { None } else { feed };
    Some(HubConfig {
        id,
        provider,
        off,
        feed,
        access,
        max_topics,
        max_topics_per_client,
        max_topics_per_address,
        linger,
        flush_interval,
    })
}

/// Returns how many topics one client may have in a hub, or make in a bus: a tenth of all, or
/// `MIN_SHARE` if that is more.
pub(crate) fn share(max_topics: usize) -> usize {
    (max_topics / 10).max(MIN_SHARE)
}

/// Returns the topics that one subscriber may have, which must not be all of a hub.
fn per_client(fields: &mut FieldReader, max_topics: usize, scope: &mut DescriptionScope<'_>) -> usize {
    let most = share(max_topics);
    let place = fields.place(&keys::MAX_TOPICS_PER_CLIENT);
    let Some(written) = fields.optional(&keys::MAX_TOPICS_PER_CLIENT, scope) else {
        return most.min(max_topics);
    };
    if written > most {
        let wrong =
            format!("is more than a tenth of max_topics ({max_topics}): at most {most}; raise max_topics as well");
        scope.report(&place, &wrong);
    }
    written
}

fn per_address(fields: &mut FieldReader, max_topics: usize, scope: &mut DescriptionScope<'_>) -> Option<usize> {
    let place = fields.place(&keys::MAX_TOPICS_PER_ADDRESS);
    let written = fields.optional(&keys::MAX_TOPICS_PER_ADDRESS, scope)?;
    if written > max_topics {
        scope.report(&place, &format!("is more than max_topics ({max_topics})"));
    }
    Some(written)
}

fn publish(fields: &mut FieldReader, is_feed: bool, scope: &mut DescriptionScope<'_>) -> Vec<String> {
    let Some((at, roles)) = fields.texts(&keys::PUBLISH, TextContext::Plain, scope) else { return Vec::new() };
    if is_feed && !roles.is_empty() {
        scope.report(&at, "does nothing in a hub with a url: its topics come from there");
    }
    roles.into_iter().filter(|role| checked_role(&at, role, scope)).collect()
}

/// Reports a text that is not a role.
pub(super) fn checked_role(at: &At, role: &str, scope: &mut DescriptionScope<'_>) -> bool {
    let is_one = is_role(role);
    if !is_one {
        scope.report(at, "has a role that is none; allowed: 1 to 32 letters, digits, _ and -");
    }
    is_one
}

fn subscribe(fields: &mut FieldReader, scope: &mut DescriptionScope<'_>) -> Vec<(String, Vec<TopicPattern>)> {
    const KEY: &Setting = &keys::TOPICS;
    let everyone = |patterns| vec![("*".to_owned(), patterns)];
    let Some((at, node)) = fields.take(KEY) else { return everyone(vec![TopicPattern(KEY.default.to_owned())]) };
    let entries = match node {
        YamlNode::Map(entries) => entries,
        node => return everyone(patterns(&at, node, false, scope)),
    };
    let mut access: Vec<(String, Vec<TopicPattern>)> = Vec::with_capacity(entries.len());
    if entries.is_empty() {
        scope.report(&at, "is empty; leave it out for the default");
    }
    for (role, line, node) in entries {
        let at = At { line: at.line.map(|_| line), ..at.clone() };
        if role != "*" && !checked_role(&at, &role, scope) {
            continue;
        }
        if access.iter().any(|(known, _)| *known == role) {
            scope.report(&at, "has a role twice");
            continue;
        }
        // A role may be given no topics although `*` has some.
        access.push((role, patterns(&at, node, true, scope)));
    }
    access
}

fn patterns(at: &At, node: YamlNode, may_be_empty: bool, scope: &mut DescriptionScope<'_>) -> Vec<TopicPattern> {
    if is_empty(&node) {
        if !may_be_empty {
            scope.report(at, "is empty; leave it out for the default");
        }
        return Vec::new();
    }
    let written = texts(at, &keys::TOPICS, node, TextContext::Plain, scope).unwrap_or_default();
    let mut patterns = Vec::with_capacity(written.len());
    for pattern in written {
        if pattern.len() <= MAX_PATTERN_BYTES && !pattern.contains(char::is_control) {
            patterns.push(TopicPattern(pattern));
        } else {
            scope.report(at, "has a pattern that is longer than 128 bytes or has control characters");
        }
    }
    patterns
}

/// Returns the entries of a description, with those of config.yaml instead of the same keys.
pub(super) fn merged(shipped: Vec<MapEntry>, written: Vec<MapEntry>) -> Vec<MapEntry> {
    let mut entries = shipped;
    entries.retain(|entry| !written.iter().any(|own| own.key == entry.key));
    entries.extend(written);
    entries
}
