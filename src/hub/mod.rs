//! Owns feed hubs (section 6): topics with their last values, the shards that want them, and the
//! way of a value to their subscribers.
//!
//! A hub is one actor; on each shard it has a [`LocalHub`] with that shard's subscribers. A value
//! crosses to each shard once, whatever the number of subscribers there, and is made into a frame
//! once on each. Between hub and local hub at most one message is on its way in either direction;
//! what changes meanwhile is combined, so neither queue grows.

mod access;
mod actor;
mod bus;
mod event;
mod fanout;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod handle;
mod local_hub;
mod messages;
mod pending_replies;
mod server_feed;
mod shard_queue;
mod shares;
mod source;
mod subscriber;
#[cfg(test)]
mod tests;
mod topics;
mod update;
mod uplink;
mod upstream;

pub(crate) use bus::{BusHome, is_whole};
pub(crate) use handle::{HubHandle, HubPlan, PublishError};
pub(crate) use local_hub::LocalHub;
pub(crate) use messages::{Deliver, Publisher, TopicLine};
pub(crate) use server_feed::ServerFeed;
pub(crate) use source::{SourceFactory, UpstreamPlan};
pub(crate) use subscriber::HubTarget;
