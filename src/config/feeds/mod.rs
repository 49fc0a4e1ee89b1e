//! Owns the configuration of feed hubs and proxies (sections 6 and 7): plain structs, every secret
//! wrapped (A12).

pub(super) mod credential;
mod endpoint;
mod expand;
mod feed;
mod fields;
mod hub;
pub(crate) mod keys;
mod matcher;
mod proxy;
pub(super) mod read;
mod shipped;
#[cfg(test)]
mod tests;

use std::{fmt, path::PathBuf, time::Duration};

pub(super) use self::fields::suggestion;
pub(super) use self::shipped::VARIABLE_SECTIONS;
pub use self::shipped::VARIABLES;
pub(crate) use self::{endpoint::is_private, hub::share};
use super::Secret;

/// The provider of a hub that starts from no shipped description.
const CUSTOM: &str = "custom";
/// The provider of a hub without upstream.
const BUS: &str = "bus";

/// One hub: `/ws/{id}`.
#[derive(Debug, Clone)]
pub struct HubConfig {
    /// A name by P1; unique.
    pub id: String,
    /// What it is described by: a shipped description's name, `bus`, or `custom`. For logs and
    /// dashboards.
    pub provider: String,
    /// Why the hub is off: a text for clients that connect (close 4004), which names the missing
    /// variable.
    pub off: Option<String>,
    /// `None`: an event bus, whose topics are published here; or the hub is off.
    pub feed: Option<FeedConfig>,
    pub access: TopicAccess,
    /// Distinct topics that the hub has at once, for all subscribers together.
    pub max_topics: usize,
    /// Topics that one subscriber may have.
    pub max_topics_per_client: usize,
    /// Topics that all subscribers of one address may have together; `None`: see `app`.
    pub max_topics_per_address: Option<usize>,
    /// From the last subscriber's leaving to the unsubscription upstream, and from the last
    /// client's leaving to the closing of the upstream connection (H2).
    pub linger: Duration,
    /// Over which the updates for one socket are collected, once one has gone out. Zero: each goes
    /// at once.
    pub flush_interval: Duration,
}

/// Who may subscribe to what, and who may publish.
#[derive(Debug, Clone, Default)]
pub struct TopicAccess {
    /// Per role (a token's `role`), what its subscribers may have. A role that is not listed uses
    /// `*`; without a `*` entry it may have nothing. Never empty.
    pub subscribe: Vec<(String, Vec<TopicPattern>)>,
    /// Roles that may publish (event buses only).
    pub publish: Vec<String>,
}

/// Returns true if a text may be a role: 1 to 32 letters, digits, `_` and `-`.
pub fn is_role(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// A topic's name with any number of `*`, each for any text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPattern(pub String);

/// Where to connect to. Both the URL and the headers may hold secrets, so neither is ever shown;
/// `host` may be.
#[derive(Debug, Clone)]
pub struct EndpointConfig {
    /// `wss://…`, or `ws://` to this very machine, or with `allow_insecure` to one of a private
    /// network.
    pub url: Secret,
    /// The URL's host and port, without anything secret: for logs and errors.
    pub host: String,
    pub headers: Vec<(String, Secret)>,
    /// For resolving, connecting, TLS and the handshake together.
    pub connect_timeout: Duration,
    pub allow_insecure: bool,
    /// Longest message that is taken from the upstream.
    pub max_message_bytes: usize,
    /// Longest message that is sent to it.
    pub max_sent_bytes: usize,
}

/// An upstream feed, as its description has it.
#[derive(Debug, Clone)]
pub struct FeedConfig {
    pub endpoint: EndpointConfig,
    /// Frames that are sent as soon as the connection is open, or `ready` has come.
    pub on_open: Vec<Secret>,
    /// The upstream's first frame; empty: the connection is ready as soon as it is open.
    pub ready: Vec<Matcher>,
    pub auth: Option<AuthExchange>,
    pub subscribe: Option<Template>,
    pub unsubscribe: Option<Template>,
    /// Topics in one frame, at least 1.
    pub batch: usize,
    /// Frames a second toward the upstream (subscriptions only), above 0.
    pub messages_per_second: f64,
    pub unwrap: Unwrap,
    pub topic: TopicRule,
    pub rejected: Option<Rejection>,
    /// Frames (or their items) that carry no value for subscribers.
    pub ignore: Vec<Matcher>,
    pub heartbeat: Option<FeedHeartbeat>,
    /// Frames after which a retry soon cannot succeed (a wrong key); see `fatal_retry`.
    pub fatal: Vec<Matcher>,
    pub fatal_retry: Duration,
    /// "Too many connections" (H5).
    pub cool_down: CoolDown,
    pub backoff: Backoff,
    /// After which the connection is replaced by a new one; `None`: never.
    pub max_age: Option<Duration>,
    /// H3.
    pub stale_after: Duration,
    /// H8: silence after which the connection is replaced; `None`: never.
    pub reconnect_after: Option<Duration>,
}

#[derive(Debug, Clone)]
pub struct AuthExchange {
    /// The frame.
    pub send: Secret,
    /// Any of these frames means success; empty: it is not answered.
    pub success: Vec<Matcher>,
    /// Any of these means a refusal, which is fatal.
    pub failure: Vec<Matcher>,
    pub timeout: Duration,
}

/// Text of a frame with places for topics, in this order of preference: `{topic}` one topic (one
/// frame each); `{topics}` all of a batch, joined by comma; `{topic_list}` a JSON array of them.
/// `{channel}` with `{name}`, `{names}` or `{name_list}`: the same for the two parts of a topic
/// around the first `TopicRule::separator`; topics of one frame then have the same channel. `{id}`
/// is a number that grows with each frame. What stands in a JSON string is escaped for it; the two
/// lists stand outside of one.
///
/// Shown by no formatter: a `${NAME}` may have been in it.
#[derive(Clone, PartialEq, Eq)]
pub struct Template(pub String);

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Template(***)")
    }
}

/// All of these must hold. A pointer (RFC 6901) is read in the item, or with a `^` before it in the
/// whole frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matcher(pub Vec<(Pointer, Expected)>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// `*`: it is there.
    Present,
    /// As `Text`, where each `*` is any text.
    Pattern(String),
    /// A string of this text, or another scalar that is written so.
    Text(String),
}

/// A place in an item, or in its frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    pub in_frame: bool,
    /// RFC 6901; empty: all of it.
    pub path: String,
}

/// How a frame becomes items.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unwrap {
    /// RFC 6901 pointer to what holds the items; empty: the frame itself. An array is taken apart,
    /// anything else is one item; a frame without it is one item itself.
    pub items: String,
    /// RFC 6901 pointer within an item to what subscribers get as `data`; empty: the item.
    pub data: String,
}

/// How an item names its topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicRule {
    /// The parts of the topic, joined by `separator`. An item that lacks one is not delivered.
    pub parts: Vec<Pointer>,
    pub separator: String,
    /// The first part's values that select other parts in place of `parts`.
    pub overrides: Vec<(String, Vec<Pointer>)>,
    /// The first part's values, each with its name in topics.
    pub names: Vec<(String, String)>,
}

/// How an item rejects topics that were subscribed. Of `id`, `topic` and `name`, those that are set
/// say which topics; all must match.
#[derive(Debug, Clone)]
pub struct Rejection {
    pub when: Vec<Matcher>,
    /// Where the `{id}` of the frame stands that asked for them.
    pub id: Option<Pointer>,
    /// Where the topic stands, alone or at the end of a sentence.
    pub topic: Option<Pointer>,
    /// The same for its `{name}`.
    pub name: Option<Pointer>,
    /// Frames that reject a whole request without naming it.
    pub unnamed: Vec<Matcher>,
    /// Frames that accept requests, in the order of the requests. Empty: the upstream sends none.
    pub accepted: Vec<Matcher>,
}

#[derive(Debug, Clone)]
pub struct FeedHeartbeat {
    pub interval: Duration,
    /// Something must arrive within this time after a heartbeat was sent, or the connection is
    /// given up.
    pub timeout: Duration,
    /// The frame to send; `None`: a WebSocket ping.
    pub send: Option<Secret>,
    /// What must come; empty: anything.
    pub expect: Vec<Matcher>,
}

#[derive(Debug, Clone)]
pub struct CoolDown {
    pub when: Vec<Matcher>,
    /// Close codes of the upstream that mean the same.
    pub codes: Vec<u16>,
    pub pause: Duration,
}

/// H5: full jitter between zero and `base * 2^attempt`, at most `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    pub base: Duration,
    pub max: Duration,
    /// How long a connection must have been live before the count of attempts begins anew.
    pub stable_after: Duration,
}

/// One proxy: `/proxy/{id}`.
#[derive(Debug, Clone)]
pub struct ProxyConfig {
    /// A name by P1; unique.
    pub id: String,
    /// As in [`HubConfig::off`].
    pub off: Option<String>,
    /// Meaningless if the proxy is off.
    pub endpoint: EndpointConfig,
    /// X5: URL or headers have a credential of the server's.
    pub spends_credential: bool,
    /// Query parameters that a client may set; others are dropped.
    pub query: Vec<String>,
    /// Defaults of these parameters, used if the client does not set them.
    pub query_defaults: Vec<(String, String)>,
    /// For each of these parameters, the others that replace its default.
    pub query_instead: Vec<(String, Vec<String>)>,
    /// Roles that may use it.
    pub roles: Vec<String>,
    /// Values of `type` that a client's text frames may have; `None`: every frame is passed on.
    pub allowed_types: Option<Vec<String>>,
    /// Whether a client may send binary frames.
    pub binary: bool,
    /// Longest message that is taken from the client.
    pub max_client_message_bytes: usize,
    /// Whether the server's own errors are frames (X6).
    pub error_frames: bool,
    pub budget: Budget,
    /// How long the upstream is kept for a client that dropped; zero: not at all.
    pub resume: Duration,
    /// What is kept for such a client: frames that it may have missed, and those that come
    /// meanwhile.
    pub resume_bytes: usize,
}

/// X3. `None`: no bound.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Budget {
    pub session: Option<Duration>,
    /// Both directions together, as are `messages`.
    pub bytes: Option<u64>,
    pub messages: Option<u64>,
    pub sessions_per_player: usize,
    pub sessions: usize,
}

/// The settings that all upstreams share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// Upstream connections of all hubs together; proxies have limits of their own.
    pub max_connections: usize,
    /// A PEM file of certificates that are trusted besides the public ones.
    pub ca_file: Option<PathBuf>,
}

impl Default for UpstreamConfig {
    fn default() -> Self {
        Self { max_connections: 5, ca_file: None }
    }
}

/// Returns the text for clients if these variables are missing; `None` if none is.
fn off(missing: &[String], kind: &str) -> Option<String> {
    let names = match missing {
        [] => return None,
        [name] => name.clone(),
        [names @ .., last] => format!("{} and {last}", names.join(", ")),
    };
    Some(format!("set {names} to switch the {kind} on"))
}
