//! Owns the wire types of contract version 1 (docs/protocol.md). It uses no socket, actor or clock
//! and imports nothing else of the crate.

pub(crate) mod address;
pub(crate) mod api;
pub(crate) mod cause;
pub(crate) mod client;
pub(crate) mod error_code;
pub(crate) mod ids;
pub(crate) mod json;
pub(crate) mod name;
pub(crate) mod number;
mod poison;
pub(crate) mod proxy;
mod recipients;
pub(crate) mod refusal;
pub(crate) mod resume;
pub(crate) mod role;
pub mod server;
pub(crate) mod topic;

pub(crate) use cause::Cause;
pub(crate) use client::FrameError;
pub use client::{ClientFrame, Dialect, EventRequest, HubRequest, RoomRequest, SessionRequest};
pub(crate) use ids::ProxyId;
pub use ids::{GameId, HubId, PlayerId};
pub use json::RawJson;
pub use name::DisplayName;
pub(crate) use name::InvalidName;
pub(crate) use recipients::MAX_RECIPIENTS;
pub(crate) use refusal::Refusal;
pub use resume::{ResumeReason, Verdict};
pub(crate) use role::Role;
pub(crate) use server::FeedState;
pub use server::ServerFrame;
pub use topic::Topic;

/// The subprotocol used when the client offers none (P3).
pub(crate) const SUBPROTOCOL: &str = "innkeeper.v1.json";

/// The prefixes of offered subprotocols that carry a token and are never echoed (P3, A11). The
/// second one is accepted only at proxies (A14).
pub(crate) const CREDENTIAL_SUBPROTOCOLS: [&str; 2] = ["bearer.", "openai-insecure-api-key."];

/// The `from` of events sent by the back end or the room's logic (3.2).
pub(crate) const SERVER_SENDER: &str = "@server";

/// The largest `id` and `if_seq` of a client: 2^53 - 1, the largest integer that a double holds
/// exactly (S2).
pub(crate) const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;
