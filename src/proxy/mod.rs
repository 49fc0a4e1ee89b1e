//! Owns proxies (section 7): each session relays between its client's outbox and an upstream
//! connection of its own.
//!
//! A session is one [`session_actor::SessionActor`] and its [`session::ProxySession`], on the shard
//! where its client is. What the client sends goes into the session's queue, which a pump writes to
//! the upstream; what the upstream sends goes into the client's outbox. Each queue has a bound of
//! its own; at the bound its source is not read. The session survives the client's connection: it
//! keeps what a client that comes back may have missed.

mod budget;
mod client;
mod codes;
mod filter;
mod handle;
mod history;
mod local_proxy;
mod messages;
mod places;
mod pumps;
mod query;
mod queue;
mod session;
mod session_actor;
#[cfg(test)]
mod tests;
mod visitor;

pub(crate) use local_proxy::{LocalProxy, ProxyPlan, SessionHome};
pub(crate) use visitor::ProxyTarget;
