//! Owns what an uplink writes to the log: each note as one line of plain English, without secrets.
//! The hub's actor logs it as `[WS <hub>] …`.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value as Json;

use crate::config::{Secret, feeds::FeedConfig};

/// The longest text of an upstream in a note, in characters.
const MAX_SAID: usize = 200;

/// Shorter texts of ours ("auth", "1") are not secret, and replacing them would make notes
/// unreadable.
const MIN_SECRET: usize = 6;
/// The bound is higher for templates: they rarely hold a key, and are full of words that an
/// upstream repeats.
const MIN_KEY: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Note {
    /// Dialling, after `attempt` connections that failed.
    Connecting { attempt: u32 },
    /// Subscriptions may be sent; `after` counts from the start of dialling.
    Live { after: Duration },
    /// The connection is open, and nothing came for this time.
    Stale { after: Duration },
    /// A frame came after a stale time.
    Recovered,
    /// The connection could not be made.
    Failed { why: String },
    /// The upstream or the network ended the connection.
    Lost { code: Option<u16>, why: String },
    /// The connection was given up, because this did not come in time.
    Silent { awaited: &'static str },
    /// No value came for this time although something is subscribed (H8); `times` connections in a
    /// row ended this way.
    Mute { after: Duration, times: u32 },
    /// The connection reached its maximum age.
    Aged { age: Duration },
    /// The connection is replaced: it has this many subscriptions that are not wanted and cannot be
    /// taken back.
    Littered { topics: usize },
    /// H5: the upstream has too many connections, or sent a close code that means it.
    CoolDown { said: String },
    /// The upstream refused, and another attempt would not change that.
    Refused { said: String },
    /// The next connection is tried after this pause.
    Retry { after: Duration, attempt: u32 },
    /// This side closed the connection, as it is not needed any more.
    Closed { why: &'static str },
    /// How many frames were not JSON or nested too deep, since the last such note.
    Unreadable { why: &'static str, frames: u64 },
    /// How many items matched no rule, since the last such note, and the newest of them.
    Unknown { said: String, items: u64 },
    /// How often the upstream rejected topics, since the last such note, and its newest text.
    Rejected { said: Arc<str>, times: u64 },
}

impl Note {
    /// Returns true if an operator should look: the upstream, the network or the description is at
    /// fault.
    pub(crate) fn is_trouble(&self) -> bool {
        match self {
            Self::Connecting { .. } | Self::Live { .. } | Self::Recovered | Self::Aged { .. } => false,
            Self::Retry { .. } | Self::Littered { .. } | Self::Closed { .. } => false,
            // As a rule the client is at fault.
            Self::Rejected { .. } => false,
            Self::Mute { .. } | Self::Stale { .. } | Self::Failed { .. } | Self::Lost { .. } | Self::Silent { .. } => {
                true
            }
            Self::CoolDown { .. } | Self::Refused { .. } | Self::Unreadable { .. } | Self::Unknown { .. } => true,
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connecting { attempt: 0 } => write!(f, "connecting to the upstream"),
            Self::Connecting { attempt } => write!(f, "connecting to the upstream again, after {attempt} failures"),
            Self::Live { after } => write!(f, "upstream is live after {} ms", after.as_millis()),
            Self::Stale { after } => write!(f, "upstream is stale: nothing came for {} ms", after.as_millis()),
            Self::Recovered => write!(f, "upstream speaks again"),
            Self::Failed { why } => write!(f, "upstream cannot be reached: {why}"),
            Self::Lost { code: Some(code), why } => write!(f, "upstream closed the connection with {code}: {why}"),
            Self::Lost { code: None, why } => write!(f, "connection to the upstream was lost: {why}"),
            Self::Silent { awaited } => write!(f, "upstream is given up: {awaited} did not come in time"),
            Self::Mute { after, times } => {
                let after = after.as_millis();
                write!(
                    f,
                    "upstream is left: nothing came for {after} ms; connections in a row without a value: {times}"
                )
            }
            Self::Aged { age } => write!(f, "upstream connection is replaced after {} s", age.as_secs()),
            Self::Littered { topics } => {
                write!(f, "upstream connection is replaced: it has {topics} subscriptions that nobody wants")
            }
            Self::CoolDown { said } => write!(f, "upstream has too many connections: {said}"),
            Self::Refused { said } => write!(f, "upstream refuses this server: {said}"),
            Self::Retry { after, attempt } => {
                write!(f, "next connection in {} ms, after {attempt} failures", after.as_millis())
            }
            Self::Closed { why } => write!(f, "upstream connection is closed: {why}"),
            Self::Unreadable { why, frames } => write!(f, "{frames} frames of the upstream could not be read: {why}"),
            Self::Rejected { said, times } => {
                write!(f, "upstream has rejected topics {times} times, for instance: {said}")
            }
            Self::Unknown { said, items } => {
                write!(f, "{items} items of the upstream are neither data nor ignored, for instance {said}")
            }
        }
    }
}

/// Cuts the texts of an upstream, and removes the secrets that it was sent: some upstreams repeat a
/// key that they refuse.
pub(super) struct Censor {
    secrets: Vec<String>,
}

impl Censor {
    pub(super) fn new(feed: &FeedConfig) -> Self {
        let frames = feed.on_open.iter().chain(feed.auth.as_ref().map(|auth| &auth.send));
        let frames = frames.chain(feed.heartbeat.as_ref().and_then(|heartbeat| heartbeat.send.as_ref()));
        let mut secrets = Vec::new();
        for frame in frames {
            match serde_json::from_str(frame.expose()) {
                Ok(json) => texts(&json, &mut secrets),
                Err(_) => secrets.push(frame.expose().to_owned()),
            }
        }
        let headers = feed.endpoint.headers.iter().map(|(_, value)| value.expose());
        // For `Bearer KEY`, the key alone is a secret too.
        secrets.extend(headers.flat_map(|value| value.split(' ').chain([value])).map(str::to_owned));
        secrets.extend(query_values(&feed.endpoint.url).map(str::to_owned));
        secrets.retain(|secret| secret.len() >= MIN_SECRET);
        // Quoted texts of templates that are as long as a key.
        let templates = feed.subscribe.iter().chain(&feed.unsubscribe);
        let quoted = templates.flat_map(|template| template.0.split('"'));
        secrets.extend(quoted.filter(|text| text.len() >= MIN_KEY && !text.contains(['{', ' '])).map(str::to_owned));
        // The longest first, so that a shorter secret does not leave a part of a longer one behind.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self { secrets }
    }

    /// Returns the text without secrets, cut to 200 characters.
    pub(super) fn said(&self, text: &str) -> String {
        let mut said = text.to_owned();
        for secret in &self.secrets {
            if said.contains(secret) {
                said = said.replace(secret, "***");
            }
        }
        if let Some((end, _)) = said.char_indices().nth(MAX_SAID) {
            said.truncate(end);
        }
        said
    }
}

fn texts(json: &Json, out: &mut Vec<String>) {
    match json {
        Json::String(text) => out.push(text.clone()),
        Json::Array(items) => items.iter().for_each(|item| texts(item, out)),
        Json::Object(fields) => fields.values().for_each(|value| texts(value, out)),
        _ => {}
    }
}

fn query_values(url: &Secret) -> impl Iterator<Item = &str> {
    let query = url.expose().split_once('?').map_or("", |(_, query)| query);
    query.split('&').filter_map(|pair| pair.split_once('=')).map(|(_, value)| value)
}

/// Lets a kind of note through at most once a minute, and counts the occurrences in between.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    last: Option<Instant>,
    held: u64,
}

impl Throttle {
    const INTERVAL: Duration = Duration::from_secs(60);

    /// Counts an occurrence. Returns how many there were since the last note, if another note is
    /// due.
    pub(super) fn count(&mut self, now: Instant) -> Option<u64> {
        self.held += 1;
        if self.last.is_some_and(|last| now < last + Self::INTERVAL) {
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.held))
    }
}
