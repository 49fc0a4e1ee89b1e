//! Owns the reading of an upstream feed: the keys that only a hub with a URL has.

use std::time::Duration;

use super::{
    AuthExchange, Backoff, CoolDown, FeedConfig, FeedHeartbeat, Pointer, Rejection, Template, TopicRule, Unwrap,
    endpoint,
    expand::TextContext,
    fields::{DescriptionScope, FieldReader},
    keys,
    matcher::{matchers, names_one_topic, overrides, pointer, pointers, template},
};
use crate::config::{Secret, table::Setting};

/// Bounds a frame to an upstream, unless it holds a long list of topics.
const MAX_FRAME_BYTES: usize = 1024 * 1024;

/// `None` when there is a problem or a variable is missing.
pub(super) fn feed(fields: &mut FieldReader, scope: &mut DescriptionScope<'_>) -> Option<FeedConfig> {
    let batch = fields.get(&keys::BATCH, scope);
    // A topic has 128 bytes, each of which may be escaped.
    let max_sent_bytes = MAX_FRAME_BYTES.max(batch * 1024);
    let endpoint = endpoint::endpoint(fields, &keys::HUB_MAX_MESSAGE_BYTES, max_sent_bytes, scope);
    let topic = topic(fields, scope);
    let separator = topic.as_ref().map_or(".", |topic| topic.separator.as_str());
    if fields.is_set(&keys::UNSUBSCRIBE) && !fields.is_set(&keys::SUBSCRIBE) {
        scope.report(&fields.place(&keys::UNSUBSCRIBE), "does nothing without subscribe");
    }
    let subscribe = template(fields, &keys::SUBSCRIBE, separator, scope);
    let unsubscribe = template(fields, &keys::UNSUBSCRIBE, separator, scope);
    let batch = if subscribe.as_ref().is_some_and(names_one_topic) { 1 } else { batch };
    let feed = FeedConfig {
        on_open: frames(fields, &keys::ON_OPEN, scope),
        ready: matchers(fields, &keys::READY, scope),
        auth: auth(fields, scope),
        rejected: rejected(fields, subscribe.as_ref(), scope),
        subscribe,
        unsubscribe,
        batch,
        messages_per_second: fields.get(&keys::MESSAGES_PER_SECOND, scope),
        unwrap: Unwrap { items: path(fields, &keys::ITEMS, scope), data: path(fields, &keys::DATA, scope) },
        topic: topic.unwrap_or_default(),
        ignore: matchers(fields, &keys::IGNORE, scope),
        heartbeat: heartbeat(fields, scope),
        fatal: matchers(fields, &keys::FATAL, scope),
        fatal_retry: fields.get(&keys::FATAL_RETRY_MS, scope),
        cool_down: cool_down(fields, scope),
        backoff: backoff(fields, scope),
        max_age: fields.optional(&keys::MAX_AGE_MS, scope),
        stale_after: fields.get(&keys::STALE_AFTER_MS, scope),
        reconnect_after: fields.optional(&keys::RECONNECT_AFTER_MS, scope),
        // Last, as it is what may be missing.
        endpoint: endpoint?,
    };
    Some(feed)
}

fn frames(fields: &mut FieldReader, key: &Setting, scope: &mut DescriptionScope<'_>) -> Vec<Secret> {
    let frames = fields.texts(key, TextContext::Frame, scope).map(|(_, frames)| frames).unwrap_or_default();
    frames.into_iter().map(Secret::new).collect()
}

fn auth(fields: &mut FieldReader, scope: &mut DescriptionScope<'_>) -> Option<AuthExchange> {
    let mut auth = fields.map(&keys::AUTH_MAP, scope)?;
    if !auth.is_set(&keys::AUTH_SEND) {
        scope.report(&auth.at, "has no send");
    }
    let send = auth.text(&keys::AUTH_SEND, TextContext::Frame, scope).map(|(_, text)| Secret::new(text));
    let success = matchers(&mut auth, &keys::AUTH_SUCCESS, scope);
    let failure = matchers(&mut auth, &keys::AUTH_FAILURE, scope);
    let timeout = auth.get(&keys::AUTH_TIMEOUT_MS, scope);
    auth.finish(scope);
    Some(AuthExchange { send: send?, success, failure, timeout })
}

fn path(fields: &mut FieldReader, key: &Setting, scope: &mut DescriptionScope<'_>) -> String {
    let text = fields.text(key, TextContext::Plain, scope);
    text.and_then(|(at, text)| pointer(&at, &text, false, scope)).map(|pointer| pointer.path).unwrap_or_default()
}

fn topic(fields: &mut FieldReader, scope: &mut DescriptionScope<'_>) -> Option<TopicRule> {
    if !fields.is_set(&keys::TOPIC_MAP) {
        scope.report(&fields.at.clone(), "has no topic, which says what of an item names its topic");
    }
    let mut topic = fields.map(&keys::TOPIC_MAP, scope)?;
    let parts = match topic.take(&keys::PARTS) {
        Some((at, node)) => pointers(&at, &keys::PARTS, node, scope),
        None => {
            scope.report(&topic.at, "has no parts");
            Vec::new()
        }
    };
    let separator = topic.text(&keys::SEPARATOR, TextContext::Plain, scope);
    let separator = separator.map_or_else(|| keys::SEPARATOR.default.to_owned(), |(_, text)| text);
    let overrides = overrides(&mut topic, &keys::OVERRIDES, scope);
    let names = topic.pairs(&keys::NAMES, scope).into_iter().map(|(_, text, name)| (text, name)).collect();
    topic.finish(scope);
    Some(TopicRule { parts, separator, overrides, names })
}

fn rejected(
    fields: &mut FieldReader,
    subscribe: Option<&Template>,
    scope: &mut DescriptionScope<'_>,
) -> Option<Rejection> {
    let mut map = fields.map(&keys::REJECTED_MAP, scope)?;
    let ways = [&keys::REJECTED_ID, &keys::REJECTED_TOPIC, &keys::REJECTED_NAME];
    let has_way = ways.iter().any(|key| map.is_set(key));
    if !map.is_set(&keys::REJECTED_WHEN) && (has_way || !map.is_set(&keys::UNNAMED)) {
        scope.report(&map.at, "has no when");
    }
    if map.is_set(&keys::REJECTED_WHEN) && !has_way {
        scope.report(&map.at, "has neither id, topic nor name, which say what is rejected");
    }
    if map.is_set(&keys::ACCEPTED) && !map.is_set(&keys::UNNAMED) {
        scope.report(&map.place(&keys::ACCEPTED), "does nothing without unnamed");
    }
    if map.is_set(&keys::REJECTED_ID) && !subscribe.is_some_and(|template| template.0.contains("{id}")) {
        scope.report(&map.place(&keys::REJECTED_ID), "needs {id} in subscribe");
    }
    let when = matchers(&mut map, &keys::REJECTED_WHEN, scope);
    let mut pointer = |key: &Setting| -> Option<Pointer> {
        let (at, text) = map.text(key, TextContext::Plain, scope)?;
        pointer(&at, &text, true, scope)
    };
    let [id, topic, name] = ways.map(&mut pointer);
    let unnamed = matchers(&mut map, &keys::UNNAMED, scope);
    let accepted = matchers(&mut map, &keys::ACCEPTED, scope);
    map.finish(scope);
    Some(Rejection { when, id, topic, name, unnamed, accepted })
}

fn heartbeat(fields: &mut FieldReader, scope: &mut DescriptionScope<'_>) -> Option<FeedHeartbeat> {
    let mut heartbeat = fields.map(&keys::HEARTBEAT_MAP, scope)?;
    let found = FeedHeartbeat {
        interval: heartbeat.get(&keys::INTERVAL_MS, scope),
        timeout: heartbeat.get(&keys::TIMEOUT_MS, scope),
        send: heartbeat.text(&keys::HEARTBEAT_SEND, TextContext::Frame, scope).map(|(_, text)| Secret::new(text)),
        expect: matchers(&mut heartbeat, &keys::EXPECT, scope),
    };
    heartbeat.finish(scope);
    Some(found)
}

/// Returns the map; if it is unset, an empty one, whose keys have their defaults.
fn map_or_defaults(fields: &mut FieldReader, key: &Setting, scope: &mut DescriptionScope<'_>) -> FieldReader {
    let at = fields.at.below(key.name, None);
    fields.map(key, scope).unwrap_or_else(|| FieldReader::new(at, Vec::new(), scope))
}

fn cool_down(fields: &mut FieldReader, scope: &mut DescriptionScope<'_>) -> CoolDown {
    let mut map = map_or_defaults(fields, &keys::COOL_DOWN_MAP, scope);
    let when = matchers(&mut map, &keys::WHEN, scope);
    let mut codes = Vec::new();
    if let Some((at, texts)) = map.texts(&keys::CODES, TextContext::Plain, scope) {
        for text in texts {
            match text.parse::<u16>() {
                Ok(code) if (1000..5000).contains(&code) => codes.push(code),
                _ => scope.report(&at, "has a close code that is none; allowed: 1000 to 4999"),
            }
        }
    }
    let pause: Duration = map.get(&keys::PAUSE_MS, scope);
    map.finish(scope);
    CoolDown { when, codes, pause }
}

fn backoff(fields: &mut FieldReader, scope: &mut DescriptionScope<'_>) -> Backoff {
    let mut map = map_or_defaults(fields, &keys::BACKOFF_MAP, scope);
    let place = map.place(&keys::BASE_MS);
    let backoff = Backoff {
        base: map.get(&keys::BASE_MS, scope),
        max: map.get(&keys::MAX_MS, scope),
        stable_after: map.get(&keys::STABLE_AFTER_MS, scope),
    };
    if backoff.base > backoff.max {
        scope.report(&place, "is more than max_ms");
    }
    map.finish(scope);
    backoff
}
