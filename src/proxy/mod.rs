//! Owns proxies (section 7): for each session a relay between the client's outbox and an upstream connection of its own.
//! Called by `app`, which makes plans, `registry`, whose shards have a `Branch` of each proxy, and `connection`, which enters.
//!
//! A session is one [`relay::Relay`] actor and its [`line::Line`], on the shard where its client is. What the client sends
//! goes into the line's queue, which the relay writes to the upstream; what the upstream sends goes into the client's
//! outbox. Each queue has a bound of its own; at the bound its source is not read. The line survives the client's
//! connection: it keeps what a client that comes back may have missed.

mod branch;
mod budget;
mod client;
mod codes;
mod filter;
mod handle;
mod history;
mod line;
mod messages;
mod places;
mod pumps;
mod query;
mod queue;
mod relay;
#[cfg(test)]
mod tests;

pub use branch::{Entered, EntryRefusal, LocalProxy, ProxyPlan, SessionHome, VisitRequest};
pub use handle::ProxyHandle;
pub use line::Intake;
