//! Owns the wire types of contract version 1 (docs/protocol.md); it knows no socket, no actor and
//! no clock. It imports nothing of the crate, so it compiles alone.

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
pub mod role;
pub mod server;
pub mod topic;

pub use cause::Cause;
pub use client::{ClientFrame, Dialect, FrameError};
pub use ids::{GameId, HubId, PlayerId, ProxyId};
pub use json::RawJson;
pub use name::{DisplayName, InvalidName};
pub use recipients::MAX_RECIPIENTS;
pub use refusal::Refusal;
pub use role::Role;
pub use server::{FeedState, ServerFrame};
pub use topic::Topic;

/// The subprotocol spoken when none is offered (P3).
pub const SUBPROTOCOL: &str = "innkeeper.v1.json";

/// The prefixes of offered subprotocols that carry a token and are never echoed (P3, A11); the second one counts at proxies
/// alone (A14).
pub const CREDENTIAL_SUBPROTOCOLS: [&str; 2] = ["bearer.", "openai-insecure-api-key."];

/// `from` of events that no player sent: the back end and the room's own logic (3.2).
pub const SERVER_SENDER: &str = "@server";

/// The largest `id` and `if_seq` a client may use: what a JSON number holds exactly, 2^53 - 1 (S2).
pub const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;
