//! Owns the stable codes of `error` frames (3.2) that the server itself uses; a room logic may add
//! its own. Docs/protocol.md lists them.

/// The text is not one JSON object.
pub const BAD_JSON: &str = "bad_json";
/// Brackets nest too deep.
pub const TOO_DEEP: &str = "too_deep";
/// `type` is a string the contract does not know.
pub const UNKNOWN_TYPE: &str = "unknown_type";
/// A field is missing or has the wrong shape.
pub const INVALID_FIELD: &str = "invalid_field";
/// Binary frames on a game connection (P2).
pub const UNSUPPORTED: &str = "unsupported";
/// The role or the room's logic does not allow it (S10).
pub const FORBIDDEN: &str = "forbidden";
/// `if_seq` is older than the last change of the state (3.1).
pub const CONFLICT: &str = "conflict";
/// The room's state would grow past `MAX_STATE_BYTES`.
pub const STATE_TOO_LARGE: &str = "state_too_large";
/// Only `auth` and `ping` are understood before the token was accepted.
pub const AUTH_REQUIRED: &str = "auth_required";
/// The room or the hub cannot take it now; nothing was applied (D5).
pub const UNAVAILABLE: &str = "unavailable";
/// A hub does not have this topic, or its upstream cannot be asked for it.
pub const UNKNOWN_TOPIC: &str = "unknown_topic";
/// The upstream of a hub does not have this topic, or does not give it to us.
pub const TOPIC_REJECTED: &str = "topic_rejected";
/// A subscriber, or a hub, has as many topics as it may.
pub const TOO_MANY_TOPICS: &str = "too_many_topics";
