//! Owns the frames the server sends (3.2), as JSON text without the WebSocket header. `ws` adds the
//! header.

use std::{io::Write as _, time::Duration};

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::{DisplayName, GameId, HubId, PlayerId, ResumeReason, Topic, Verdict, json::RawJson, proxy::ProxyWelcome};

/// A player's status in `welcome.players` (R2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Joined,
    Away,
}

/// The kind of change in `presence` (3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PresenceChange {
    Joined,
    Away,
    Back,
    Left,
}

/// Why a player left, in `presence` (3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LeftReason {
    Leave,
    Timeout,
    Kicked,
}

/// The `heartbeat` of the welcome (R2).
#[derive(Debug, Clone, Copy, Serialize)]
pub struct HeartbeatTerms {
    pub interval_ms: u64,
    pub timeout_ms: u64,
}

impl HeartbeatTerms {
    pub fn new(interval: Duration, timeout: Duration) -> Self {
        Self { interval_ms: interval.as_millis() as u64, timeout_ms: timeout.as_millis() as u64 }
    }
}

/// The first frame of every admitted connection to a room (R2).
#[derive(Debug, Serialize)]
pub struct Welcome<'a> {
    /// 1, the version of the contract.
    pub protocol: u32,
    pub game: &'a GameId,
    pub player: &'a PlayerId,
    pub role: &'static str,
    pub epoch: &'a str,
    pub session: &'a str,
    pub resume: Verdict,
    /// Why the verdict is worse than the client asked for; `reset` always has a reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<ResumeReason>,
    /// With `snapshot`: the first and the last lost `seq`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<(u64, u64)>,
    pub seq: u64,
    pub last_id: u64,
    /// A map of player to [`Status`]; empty in a room over `PRESENCE_LIMIT` (S9).
    pub players: &'a RawJson,
    /// Only in a room over `PRESENCE_LIMIT` (S9).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub player_count: Option<usize>,
    pub heartbeat: HeartbeatTerms,
    pub grace_ms: u64,
    pub max_message_bytes: usize,
    /// The room's document; absent when the verdict is `continuous`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'a RawValue>,
}

/// A player in `welcome.players`, for clients that asked for names (S11).
#[derive(Serialize)]
struct NamedPlayer<'a> {
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a DisplayName>,
}

/// Returns `welcome.players` as JSON for clients that asked for names (S11).
pub fn named_players_map(players: &[(&PlayerId, Status, Option<&DisplayName>)]) -> RawJson {
    struct NamedPlayers<'a>(&'a [(&'a PlayerId, Status, Option<&'a DisplayName>)]);
    impl Serialize for NamedPlayers<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map(
                self.0.iter().map(|(player, status, name)| (player, NamedPlayer { status: *status, name: *name })),
            )
        }
    }
    RawJson::from_serialize(&NamedPlayers(players))
}

/// Writes a `presence` frame with a name: inserts the name before the last brace of the frame
/// without it.
pub fn write_named(out: &mut Vec<u8>, presence: &[u8], name: &DisplayName) {
    out.extend_from_slice(presence.strip_suffix(b"}").unwrap_or(presence));
    out.extend_from_slice(br#","name":"#);
    let _ = serde_json::to_writer(&mut *out, name);
    out.push(b'}');
}

/// Returns `welcome.players` as JSON.
pub fn players_map(players: &[(&PlayerId, Status)]) -> RawJson {
    struct PlainPlayers<'a>(&'a [(&'a PlayerId, Status)]);
    impl Serialize for PlainPlayers<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map(self.0.iter().copied())
        }
    }
    RawJson::from_serialize(&PlainPlayers(players))
}

/// The fields OpenAI's clients read of an error (X6).
#[derive(Debug, Serialize)]
pub struct ErrorEvent<'a> {
    /// The source of the error, always `innkeeper`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub code: &'a str,
    pub message: &'a str,
}

/// The frames that are not on the hot path. `type` is the variant's name in snake case.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerFrame<'a> {
    Welcome(Welcome<'a>),
    Presence {
        #[serde(skip_serializing_if = "Option::is_none")]
        seq: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        player: Option<&'a PlayerId>,
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<PresenceChange>,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<LeftReason>,
        /// All players, as in `welcome.players`, when a crowd ends (S9a).
        #[serde(skip_serializing_if = "Option::is_none")]
        players: Option<&'a RawJson>,
        /// The number of seats, in place of all other fields (S9).
        #[serde(skip_serializing_if = "Option::is_none")]
        count: Option<usize>,
    },
    /// `seq` is `null` when the event was applied but is no longer in the room's history.
    Ack {
        id: u64,
        seq: Option<u64>,
    },
    Ping {
        time: u64,
    },
    Error {
        code: &'a str,
        message: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        /// The hub's topic, if the error is about one.
        #[serde(skip_serializing_if = "Option::is_none")]
        topic: Option<&'a Topic>,
    },
    /// An error at a proxy (X6).
    #[serde(rename = "error")]
    ProxyError {
        code: &'a str,
        message: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        /// How long the upstream asks clients to wait.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
        error: ErrorEvent<'a>,
    },
    TokenExpiring {
        in_ms: u64,
    },
    GoingAway {
        code: u16,
        reconnect_after_ms: u64,
    },
    /// The first frame of every admitted subscriber.
    #[serde(rename = "welcome")]
    HubWelcome {
        /// 1, the version of the contract.
        protocol: u32,
        hub: &'a HubId,
        /// The topics this subscriber may subscribe to: names in which `*` matches any text.
        topics: &'a [&'a str],
        heartbeat: HeartbeatTerms,
    },
    /// The first frame of a resumable proxy connection.
    #[serde(rename = "welcome")]
    ProxyWelcome(ProxyWelcome<'a>),
    /// The reply to `subscribe` (H1).
    Subscribed {
        topics: &'a [Topic],
        feed: SubscribedFeed,
    },
    /// The feed's state has changed (H3).
    Feed {
        state: FeedState,
        /// When the state began, in Unix ms.
        since: u64,
        /// Attempts to reach the upstream since it was last stable.
        attempt: u32,
    },
    /// Values of these topics between `from` and `to`, in Unix ms, may be lost (H4).
    Gap {
        topics: &'a [&'a Topic],
        from: u64,
        to: u64,
    },
    /// The reply to a `publish` with an `id`.
    Published {
        id: u64,
        topic: &'a Topic,
        seq: u64,
    },
}

/// The feed's state in `subscribed` (H1).
#[derive(Debug, Clone, Copy, Serialize)]
pub struct SubscribedFeed {
    pub state: FeedState,
}

/// The state of a hub's connection to its upstream (H3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedState {
    /// The hub has no subscribers, so it keeps no upstream connection. Never sent to a client.
    Disconnected,
    Connecting,
    /// Values arrive. A hub without upstream is always live.
    Live,
    /// Connected, but silent for longer than `stale_after`.
    Stale,
    Down,
}

impl FeedState {
    pub const ALL: [Self; 5] = [Self::Disconnected, Self::Connecting, Self::Live, Self::Stale, Self::Down];

    pub fn name(self) -> &'static str {
        match self {
            Self::Disconnected => "disconnected",
            Self::Connecting => "connecting",
            Self::Live => "live",
            Self::Stale => "stale",
            Self::Down => "down",
        }
    }
}

impl<'a> ServerFrame<'a> {
    /// Builds the error frame of a proxy (X6).
    pub fn proxy_error(code: &'a str, message: &'a str, id: Option<u64>, retry_after_ms: Option<u64>) -> Self {
        let error = ErrorEvent { kind: "innkeeper", code, message };
        Self::ProxyError { code, message, id, retry_after_ms, error }
    }
}

impl ServerFrame<'_> {
    /// Appends the JSON text to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        // Writing to a Vec cannot fail, and every field serialises.
        let written = serde_json::to_writer(out, self);
        debug_assert!(written.is_ok());
    }
}

/// Writes `{"type":"message",…}` with a `seq`: an event of the log.
pub fn write_message(out: &mut Vec<u8>, seq: u64, from: &str, id: Option<u64>, data: &RawJson) {
    write_event(out, "message", seq, from, id, "data", data);
}

/// Writes `{"type":"patch",…}`: a state change.
pub fn write_patch(out: &mut Vec<u8>, seq: u64, from: &str, id: Option<u64>, patch: &RawJson) {
    write_event(out, "patch", seq, from, id, "patch", patch);
}

/// Writes `{"type":"message","volatile":…}` without `seq` (S8).
pub fn write_volatile(out: &mut Vec<u8>, from: &str, name: &str, data: &RawJson) {
    let _ = write!(out, r#"{{"type":"message","from":"{from}","volatile":"#);
    let _ = serde_json::to_writer(&mut *out, name);
    let _ = write!(out, r#","data":{}}}"#, data.as_str());
}

/// Writes `{"type":"pong",…}` (3.1).
pub fn write_pong(out: &mut Vec<u8>, nonce: Option<&RawJson>, time_ms: u64) {
    out.extend_from_slice(br#"{"type":"pong""#);
    if let Some(nonce) = nonce {
        let _ = write!(out, r#","nonce":{}"#, nonce.as_str());
    }
    let _ = write!(out, r#","time":{time_ms}}}"#);
}

/// Writes `{"type":"data",…}` (H1). In a snapshot `data` is the topic's whole value, otherwise what
/// its source sent.
pub fn write_data(out: &mut Vec<u8>, topic: &Topic, seq: u64, is_snapshot: bool, data: &RawJson) {
    out.extend_from_slice(br#"{"type":"data","topic":"#);
    let _ = serde_json::to_writer(&mut *out, topic);
    let snapshot = if is_snapshot { r#","snapshot":true"# } else { "" };
    let _ = write!(out, r#","seq":{seq}{snapshot},"data":"#);
    out.extend_from_slice(data.as_str().as_bytes());
    out.push(b'}');
}

// `from` is an id or "@server"; neither has a character that JSON escapes.
fn write_event(out: &mut Vec<u8>, kind: &str, seq: u64, from: &str, id: Option<u64>, field: &str, value: &RawJson) {
    // `write!` would cost more than all the rest of this frame.
    let mut digits = itoa::Buffer::new();
    let mut put = |text: &str| out.extend_from_slice(text.as_bytes());
    for text in ["{\"type\":\"", kind, "\",\"seq\":", digits.format(seq), ",\"from\":\"", from, "\""] {
        put(text);
    }
    if let Some(id) = id {
        put(",\"id\":");
        put(digits.format(id));
    }
    for text in [",\"", field, "\":", value.as_str(), "}"] {
        put(text);
    }
}

#[cfg(test)]
mod tests;
