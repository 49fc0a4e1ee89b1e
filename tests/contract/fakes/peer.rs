//! Owns a provider's state of one client, and the frames that it is about to send to it.

use std::collections::BTreeSet;

use serde_json::Value;

#[derive(Default)]
pub struct Peer {
    /// Path and query of its handshake.
    pub target: String,
    pub authenticated: bool,
    /// What it is subscribed to, as the provider names it.
    pub topics: BTreeSet<String>,
    /// Topics that were subscribed though they were already; nothing comes of it.
    pub doubled: Vec<String>,
    /// Topics that were unsubscribed though they were not subscribed.
    pub unknown: Vec<String>,
    /// Frames, in order.
    pub(super) sayings: Vec<String>,
    /// Ends the connection behind the frames.
    pub(super) farewell: Option<(u16, String)>,
}

impl Peer {
    pub fn say(&mut self, frame: &Value) {
        self.say_text(&frame.to_string());
    }

    pub fn say_text(&mut self, text: &str) {
        self.sayings.push(text.to_owned());
    }

    pub fn close(&mut self, code: u16, reason: &str) {
        self.farewell = Some((code, reason.to_owned()));
    }

    pub fn subscribe(&mut self, topic: &str) {
        if !self.topics.insert(topic.to_owned()) {
            self.doubled.push(topic.to_owned());
        }
    }

    pub fn unsubscribe(&mut self, topic: &str) {
        if !self.topics.remove(topic) {
            self.unknown.push(topic.to_owned());
        }
    }

    /// The path alone: what a provider counts connections by.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

/// The texts of a JSON array; anything else has none.
pub fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// `fields` and these besides; a field that is there stays.
pub fn with(fields: &Value, more: &[(&str, &str)]) -> Value {
    let mut object = fields.as_object().cloned().expect("a value is an object of fields");
    for (name, text) in more {
        object.entry(*name).or_insert_with(|| (*text).into());
    }
    object.into()
}
