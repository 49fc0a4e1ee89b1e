//! Owns the wire types of contract version 1 (docs/protocol.md). It uses no socket, actor or clock
//! and imports nothing else of the crate.

pub mod address;
pub mod api;
pub mod cause;
pub mod client;
pub mod error_code;
pub mod ids;
pub mod json;
pub mod name;
pub mod number;
mod poison;
pub mod proxy;
mod recipients;
pub mod refusal;
pub mod resume;
pub mod role;
pub mod server;
pub mod topic;

pub use cause::Cause;
pub use client::{ClientFrame, Dialect, EventRequest, FrameError, HubRequest, RoomRequest, SessionRequest};
pub use ids::{GameId, HubId, PlayerId, ProxyId};
pub use json::RawJson;
pub use name::{DisplayName, InvalidName};
pub use recipients::MAX_RECIPIENTS;
pub use refusal::Refusal;
pub use resume::{ResumeReason, Verdict};
pub use role::Role;
pub use server::{FeedState, ServerFrame};
pub use topic::Topic;

/// The subprotocol used when the client offers none (P3).
pub const SUBPROTOCOL: &str = "innkeeper.v1.json";

/// The prefixes of offered subprotocols that carry a token and are never echoed (P3, A11). The
/// second one is accepted only at proxies (A14).
pub const CREDENTIAL_SUBPROTOCOLS: [&str; 2] = ["bearer.", "openai-insecure-api-key."];

/// The `from` of events sent by the back end or the room's logic (3.2).
pub const SERVER_SENDER: &str = "@server";

/// The largest `id` and `if_seq` of a client: 2^53 - 1, the largest integer that a double holds
/// exactly (S2).
pub const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;
