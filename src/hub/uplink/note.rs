//! Owns what an uplink says to the log: each note as one line of plain English, without secrets.
//! Made by `machine`; the hub's actor logs it as `[WS <hub>] …`.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value as Json;

use crate::config::{Secret, feeds::FeedConfig};

/// Of what an upstream says, in characters.
const MAX_SAID: usize = 200;

/// Shorter texts of ours ("auth", "1") are no secrets, and would make holes in every sentence.
const MIN_SECRET: usize = 6;
/// Templates rarely hold a key, and are full of words that an upstream repeats.
const MIN_KEY: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// Dialling, after so many connections that failed.
    Connecting { attempt: u32 },
    /// Subscriptions may go out; so long after the dialling began.
    Live { after: Duration },
    /// Silent for so long, though connected.
    Stale { after: Duration },
    /// Something came again.
    Recovered,
    /// The connection could not be made.
    Failed { why: String },
    /// The upstream's end, or the network's.
    Lost { code: Option<u16>, why: String },
    /// Given up, because this did not come in time.
    Silent { awaited: &'static str },
    /// Nothing came for so long although something is subscribed (H8); so many connections in a row had nothing to say.
    Mute { after: Duration, times: u32 },
    /// The connection reached its maximum age.
    Aged { age: Duration },
    /// So many subscriptions are left that cannot be taken back, that a new connection is due.
    Littered { topics: usize },
    /// H5: "too many connections", or a close code that means it.
    CoolDown { said: String },
    /// Trying again soon is no use.
    Refused { said: String },
    /// The next connection comes after this pause.
    Retry { after: Duration, attempt: u32 },
    /// By this side, which needs it no more.
    Closed { why: &'static str },
    /// Frames that are no JSON or nest too deep, since the last such note.
    Unreadable { why: &'static str, frames: u64 },
    /// Items that no rule knows, since the last such note, and the newest of them.
    Unknown { said: String, items: u64 },
    /// Times that the upstream said no to topics, since the last such note, and what it said last.
    Rejected { said: Arc<str>, times: u64 },
}

impl Note {
    /// Whether an operator should look: the upstream, the network or the description is at fault.
    pub fn is_trouble(&self) -> bool {
        match self {
            Self::Connecting { .. } | Self::Live { .. } | Self::Recovered | Self::Aged { .. } => false,
            Self::Retry { .. } | Self::Littered { .. } | Self::Closed { .. } => false,
            // A client's fault, as a rule.
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

/// Cuts what an upstream says, and takes out what we told it in confidence: some repeat the key they do not like.
pub struct Censor {
    secrets: Vec<String>,
}

impl Censor {
    pub fn new(feed: &FeedConfig) -> Self {
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
        // `Bearer KEY`: the key alone, too.
        secrets.extend(headers.flat_map(|value| value.split(' ').chain([value])).map(str::to_owned));
        secrets.extend(query_values(&feed.endpoint.url).map(str::to_owned));
        secrets.retain(|secret| secret.len() >= MIN_SECRET);
        // What stands in quotation marks in a template, if it is as long as a key.
        let templates = feed.subscribe.iter().chain(&feed.unsubscribe);
        let quoted = templates.flat_map(|template| template.0.split('"'));
        secrets.extend(quoted.filter(|text| text.len() >= MIN_KEY && !text.contains(['{', ' '])).map(str::to_owned));
        // The longest first, so that no part of one is left behind by a shorter one.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self { secrets }
    }

    /// At most 200 characters.
    pub fn said(&self, text: &str) -> String {
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

/// Lets a kind of note through at most once a minute, and counts what it was about meanwhile.
#[derive(Debug, Default)]
pub struct Throttle {
    last: Option<Instant>,
    held: u64,
}

impl Throttle {
    const INTERVAL: Duration = Duration::from_secs(60);

    /// How many there were since the last note, if it is time for one.
    pub fn count(&mut self, now: Instant) -> Option<u64> {
        self.held += 1;
        if self.last.is_some_and(|last| now < last + Self::INTERVAL) {
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.held))
    }
}
