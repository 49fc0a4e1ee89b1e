//! Owns the stable codes of the server's own `error` frames (3.2), listed in docs/protocol.md. A
//! room logic may add its own.

/// The text is not one JSON object.
pub(crate) const BAD_JSON: &str = "bad_json";
/// Arrays and objects nest too deep.
pub(crate) const TOO_DEEP: &str = "too_deep";
/// `type` is a string that the contract does not define.
pub(crate) const UNKNOWN_TYPE: &str = "unknown_type";
/// A field is missing or has the wrong shape.
pub(crate) const INVALID_FIELD: &str = "invalid_field";
/// A binary frame on a game connection (P2).
pub(crate) const UNSUPPORTED: &str = "unsupported";
/// The role or the room's logic forbids it (S10).
pub(crate) const FORBIDDEN: &str = "forbidden";
/// `if_seq` is older than the last change of the state (3.1).
pub(crate) const CONFLICT: &str = "conflict";
/// The room's state would grow past `MAX_STATE_BYTES`.
pub(crate) const STATE_TOO_LARGE: &str = "state_too_large";
/// Before the token is accepted, only `auth` and `ping` are allowed.
pub(crate) const AUTH_REQUIRED: &str = "auth_required";
/// The room or the hub cannot accept it now; nothing was applied (D5).
pub(crate) const UNAVAILABLE: &str = "unavailable";
/// The hub does not have this topic, or its upstream cannot be asked for it.
pub(crate) const UNKNOWN_TOPIC: &str = "unknown_topic";
/// The hub's upstream does not have this topic, or refuses it to this server.
pub(crate) const TOPIC_REJECTED: &str = "topic_rejected";
/// A subscriber or a hub has reached its limit of topics.
pub(crate) const TOO_MANY_TOPICS: &str = "too_many_topics";
