//! Owns what integration tests share: the real server on a free port, its log, and clients that are
//! not its own code.

mod client;
mod data;
mod http;
mod issuer;
pub mod rogue;
mod server;
mod witness;

pub use client::{Client, RawSocket, Seat, assert_ended};
pub use data::DataDir;
pub use http::Response;
pub use issuer::{Issuer, SigningKey};
pub use server::Server;
pub use witness::{Absent, Witness, assert_agreement, seqs};

use std::time::Duration;

/// How long a test waits for an event that must come; never how long it takes. It only ends a test
/// that hangs, so the slowest machine must not reach it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A signed token: `claims` as given, HS256 with `secret`.
pub fn token(secret: &str, claims: &serde_json::Value) -> String {
    let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), claims, &key).expect("claims are JSON")
}

/// Seconds since 1970, `offset` from now: for `exp` and `nbf`.
pub fn unix_secs(offset: i64) -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    now.as_secs() as i64 + offset
}

/// The seed of a random test: from `TEST_SEED`, or new; printed, so that a failure can be repeated.
pub fn seed() -> u64 {
    let seed = std::env::var("TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    eprintln!("TEST_SEED={seed}");
    seed
}
