//! Owns the making of subscription frames from a template and the topics that one frame names.

use std::fmt::Write as _;

use crate::{
    config::{Secret, feeds},
    protocol::Topic,
};

/// A parsed template.
pub(super) struct Template {
    pieces: Vec<Piece>,
    separator: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Place(Placeholder),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Placeholder {
    Topic,
    Topics,
    TopicList,
    Channel,
    Name,
    Names,
    NameList,
    Id,
}

const PLACES: [(&str, Placeholder); 8] = [
    ("{topic}", Placeholder::Topic),
    ("{topics}", Placeholder::Topics),
    ("{topic_list}", Placeholder::TopicList),
    ("{channel}", Placeholder::Channel),
    ("{name}", Placeholder::Name),
    ("{names}", Placeholder::Names),
    ("{name_list}", Placeholder::NameList),
    ("{id}", Placeholder::Id),
];

impl Template {
    pub(super) fn new(template: &feeds::Template, separator: &str) -> Self {
        let (mut pieces, mut text, mut rest) = (Vec::new(), String::new(), template.0.as_str());
        while let Some(start) = rest.find('{') {
            text.push_str(&rest[..start]);
            rest = &rest[start..];
            match PLACES.iter().find(|(name, _)| rest.starts_with(name)) {
                Some((name, place)) => {
                    pieces.push(Piece::Text(std::mem::take(&mut text)));
                    pieces.push(Piece::Place(*place));
                    rest = &rest[name.len()..];
                }
                None => {
                    // A brace of the frame itself, not of a placeholder.
                    text.push('{');
                    rest = &rest[1..];
                }
            }
        }
        text.push_str(rest);
        pieces.push(Piece::Text(text));
        Self { pieces, separator: separator.to_owned() }
    }

    fn has(&self, places: &[Placeholder]) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Place(place) if places.contains(place)))
    }

    /// Returns true if each frame names one topic.
    pub(super) fn is_single(&self) -> bool {
        self.has(&[Placeholder::Topic, Placeholder::Name])
    }

    /// Returns what the topics of one frame must have in common: the channel if the template names
    /// it, else nothing.
    pub(super) fn group<'t>(&self, topic: &'t Topic) -> &'t str {
        if self.has(&[Placeholder::Channel]) { self.split(topic).0 } else { "" }
    }

    /// Returns true if a frame can name this topic without ambiguity. In a list with commas, a
    /// topic with a comma would be two: a client's odd topic would subscribe, and later
    /// unsubscribe, the topics of others. The same holds for spaces, which some upstreams trim.
    pub(super) fn can_say(&self, topic: &Topic) -> bool {
        let is_odd = |character: char| character == ',' || character.is_whitespace();
        !(self.has(&[Placeholder::Topics, Placeholder::Names]) && topic.as_str().contains(is_odd))
    }

    fn split<'t>(&self, topic: &'t Topic) -> (&'t str, &'t str) {
        split(&self.separator, topic)
    }

    /// Makes the frame that names these topics, which belong to one group; there is exactly one if
    /// [`Template::is_single`].
    pub(super) fn frame(&self, topics: &[Topic], id: u64) -> Secret {
        let Some(first) = topics.first() else { return Secret::new("") };
        let wholes = || topics.iter().map(Topic::as_str);
        let names = || topics.iter().map(|topic| self.split(topic).1);
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Place(Placeholder::Topic) => escape(&mut out, first.as_str()),
                Piece::Place(Placeholder::Topics) => joined(&mut out, wholes()),
                Piece::Place(Placeholder::TopicList) => list(&mut out, wholes()),
                Piece::Place(Placeholder::Channel) => escape(&mut out, self.split(first).0),
                Piece::Place(Placeholder::Name) => escape(&mut out, self.split(first).1),
                Piece::Place(Placeholder::Names) => joined(&mut out, names()),
                Piece::Place(Placeholder::NameList) => list(&mut out, names()),
                Piece::Place(Placeholder::Id) => {
                    let _ = write!(out, "{id}");
                }
            }
        }
        Secret::new(out)
    }
}

/// Splits a topic at the first separator into channel and name. Without a separator the channel is
/// empty.
pub(super) fn split<'t>(separator: &str, topic: &'t Topic) -> (&'t str, &'t str) {
    let topic = topic.as_str();
    let parts = if separator.is_empty() { None } else { topic.split_once(separator) };
    parts.unwrap_or(("", topic))
}

fn quoted(text: &str) -> String {
    // Serialising text cannot fail.
    serde_json::to_string(text).unwrap_or_default()
}

/// Escapes text for the inside of a JSON string.
fn escape(out: &mut String, text: &str) {
    let quoted = quoted(text);
    out.push_str(quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default());
}

fn joined<'t>(out: &mut String, texts: impl Iterator<Item = &'t str>) {
    for (number, text) in texts.enumerate() {
        if number > 0 {
            out.push(',');
        }
        escape(out, text);
    }
}

fn list<'t>(out: &mut String, texts: impl Iterator<Item = &'t str>) {
    out.push('[');
    for (number, text) in texts.enumerate() {
        if number > 0 {
            out.push(',');
        }
        out.push_str(&quoted(text));
    }
    out.push(']');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(names: &[&str]) -> Vec<Topic> {
        names.iter().map(|name| Topic::parse(name).expect("a name")).collect()
    }

    fn frame(template: &str, names: &[&str]) -> String {
        Template::new(&feeds::Template(template.into()), ".").frame(&topics(names), 9).expose().to_owned()
    }

    #[test]
    fn every_place_is_filled_and_the_frames_own_braces_stay() {
        let names = ["trades.A.B", "trades.C"];
        for (template, expected) in [
            (r#"{"a":"{topics}","id":{id}}"#, r#"{"a":"trades.A.B,trades.C","id":9}"#),
            (r#"{"a":{topic_list},"b":{}}"#, r#"{"a":["trades.A.B","trades.C"],"b":{}}"#),
            (r#"{"a":"subscribe","{channel}":{name_list}}"#, r#"{"a":"subscribe","trades":["A.B","C"]}"#),
            (r#"{"{channel}":"{names}"}"#, r#"{"trades":"A.B,C"}"#),
            (r#"{"a":"{topic}|{name}"}"#, r#"{"a":"trades.A.B|A.B"}"#),
            ("{topic", "{topic"),
            ("{{id}}", "{9}"),
        ] {
            assert_eq!(frame(template, &names), expected);
        }
    }

    #[test]
    fn no_topic_can_leave_its_string() {
        let odd = r#"x","params":"*\"#;
        for template in [r#"{"p":"{topic}"}"#, r#"{"p":"{name}"}"#, r#"{"p":"{topics}"}"#, r#"{"p":"{names}"}"#] {
            let json: serde_json::Value = serde_json::from_str(&frame(template, &[odd])).expect("JSON");
            assert_eq!(json["p"], odd);
        }
        for template in [r#"{"p":{topic_list}}"#, r#"{"p":{name_list}}"#] {
            let json: serde_json::Value = serde_json::from_str(&frame(template, &[odd])).expect("JSON");
            assert_eq!(json["p"][0], odd);
        }
        let channel = format!("{odd}.n");
        let json: serde_json::Value = serde_json::from_str(&frame(r#"{"{channel}":1}"#, &[&channel])).expect("JSON");
        assert_eq!(json[odd], 1);
        // A topic that looks like a placeholder is not replaced.
        assert_eq!(frame(r#"{"p":"{topic}"}"#, &["{id}"]), r#"{"p":"{id}"}"#);
    }

    #[test]
    fn one_topic_or_many_one_channel_or_all_as_the_template_needs() {
        let template = |text: &str| Template::new(&feeds::Template(text.into()), ".");
        assert!(template("{topic}").is_single() && template("{channel}{name}").is_single());
        assert!(!template("{topics}").is_single() && !template("{channel}{name_list}").is_single());
        let topic = &topics(&["trades.A"])[0];
        assert_eq!(template("{channel}{name_list}").group(topic), "trades");
        assert_eq!(template("{topics}").group(topic), "");
    }

    #[test]
    fn h2_what_would_be_two_topics_between_commas_cannot_be_said_there() {
        let template = |text: &str| Template::new(&feeds::Template(text.into()), ".");
        for odd in ["T.A,T.B", " T.A", "T.A\u{a0}"] {
            let topic = &topics(&[odd])[0];
            assert!(!template("{topics}").can_say(topic) && !template("{names}").can_say(topic));
            assert!(template("{topic_list}").can_say(topic) && template("{topic}").can_say(topic));
        }
        assert!(template("{topics}").can_say(&topics(&["O:SPY251219C00650000"])[0]));
    }
}
