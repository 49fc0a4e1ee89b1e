//! Owns the reading of pointers, matchers and templates: how a description reads and writes frames.

use super::{
    Expected, Matcher, Pointer, Template,
    expand::TextContext,
    fields::{At, DescriptionScope, FieldReader, MapEntry, is_empty, scalar, texts},
};
use crate::config::{table::Setting, yaml::YamlNode};

/// One matcher or a list of them; empty when unset.
pub(super) fn matchers(fields: &mut FieldReader, key: &Setting, scope: &mut DescriptionScope<'_>) -> Vec<Matcher> {
    let Some((at, node)) = fields.take(key) else { return Vec::new() };
    let nodes = match node {
        YamlNode::List(nodes) if nodes.is_empty() => {
            scope.report(&at, "is an empty list; leave it out");
            return Vec::new();
        }
        YamlNode::List(nodes) => nodes,
        node => vec![node],
    };
    nodes.into_iter().filter_map(|node| matcher(&at, key, node, scope)).collect()
}

fn matcher(at: &At, key: &Setting, node: YamlNode, scope: &mut DescriptionScope<'_>) -> Option<Matcher> {
    let YamlNode::Map(entries) = node else {
        scope.report(at, "must be a matcher, which is a map from pointers to texts, or a list of them");
        return None;
    };
    if entries.is_empty() {
        scope.report(at, "has a matcher that matches everything");
        return None;
    }
    let mut wanted = Vec::with_capacity(entries.len());
    for (written, line, node) in entries {
        let at = At { line: at.line.map(|_| line), ..at.clone() };
        let pointer = pointer(&at, &written, true, scope);
        let text = scalar(&at, key, node, scope).and_then(|text| scope.expand(&at, &text, TextContext::Plain));
        let (Some(pointer), Some(text)) = (pointer, text) else { continue };
        let expected = match text.as_str() {
            "*" => Expected::Present,
            pattern if pattern.contains('*') => Expected::Pattern(text),
            _ => Expected::Text(text),
        };
        wanted.push((pointer, expected));
    }
    // A partial matcher would match too much. Its problem has been reported, or the hub is off.
    Some(Matcher(wanted)).filter(|matcher| !matcher.0.is_empty())
}

/// RFC 6901; `framed`: with `^` before it, of the whole frame.
pub(super) fn pointer(at: &At, written: &str, framed: bool, scope: &mut DescriptionScope<'_>) -> Option<Pointer> {
    let in_frame = framed && written.starts_with('^');
    let path = if in_frame { &written[1..] } else { written };
    let escapes = path.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if path.starts_with('/') && escapes {
        return Some(Pointer { in_frame, path: path.to_owned() });
    }
    let example = if framed { "/a/b or ^/a/b" } else { "/a/b" };
    scope.report(at, &format!("has a pointer that is none; allowed: {example}, with ~0 for `~` and ~1 for `/`"));
    None
}

/// A list of pointers, or one.
pub(super) fn pointers(at: &At, key: &Setting, node: YamlNode, scope: &mut DescriptionScope<'_>) -> Vec<Pointer> {
    if is_empty(&node) {
        scope.report(at, "names no pointer");
        return Vec::new();
    }
    let written = texts(at, key, node, TextContext::Plain, scope).unwrap_or_default();
    written.iter().filter_map(|written| pointer(at, written, true, scope)).collect()
}

/// Of a map from texts to lists of pointers.
pub(super) fn overrides(
    fields: &mut FieldReader,
    key: &Setting,
    scope: &mut DescriptionScope<'_>,
) -> Vec<(String, Vec<Pointer>)> {
    let entries = fields.entries(key, scope).into_iter();
    entries.map(|(at, MapEntry { key: text, node, .. })| (text, pointers(&at, key, node, scope))).collect()
}

const ONE: &[&str] = &["topic", "name"];
const ALL: &[&str] = &["topics", "topic_list", "names", "name_list"];
const OTHER: &[&str] = &["channel", "id"];

/// A frame with places for topics.
pub(super) fn template(
    fields: &mut FieldReader,
    key: &Setting,
    separator: &str,
    scope: &mut DescriptionScope<'_>,
) -> Option<Template> {
    let (at, text) = fields.text(key, TextContext::Template, scope)?;
    let mut places = Vec::new();
    for place in places_of(&text) {
        if ONE.iter().chain(ALL).chain(OTHER).any(|known| *known == place) {
            places.push(place);
        } else {
            let known = ONE.iter().chain(ALL).chain(OTHER).copied();
            let near = super::fields::suggestion(place, known);
            scope.report(&at, &format!("has an unknown place in braces{near}"));
        }
    }
    let named = |names: &[&str]| places.iter().any(|place| names.contains(place));
    let kinds = ONE.iter().chain(ALL).filter(|name| named(&[name])).count();
    if kinds == 0 {
        scope.report(&at, "has no place for topics, such as {topic}, {topics} or {topic_list}");
    } else if kinds > 1 {
        scope.report(&at, "has places for topics of two kinds; one of them says how topics are told");
    } else if named(&["channel"]) != named(&["name", "names", "name_list"]) {
        scope.report(&at, "needs {channel} together with {name}, {names} or {name_list}");
    } else if named(&["channel"]) && separator.is_empty() {
        scope.report(&at, "has {channel}, which needs a topic.separator");
    }
    Some(Template(text))
}

/// Returns true if each frame of the template holds one topic.
pub(super) fn names_one_topic(template: &Template) -> bool {
    places_of(&template.0).any(|place| ONE.contains(&place))
}

/// The words in braces: JSON never has a bare word there.
fn places_of(text: &str) -> impl Iterator<Item = &str> {
    let after = text.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    after
        .map(|(place, _)| place)
        .filter(|place| !place.is_empty() && place.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
}
