//! Owns the server as a whole: the global registry actor, its permits, and the shards with their
//! rooms.

mod actor;
pub(crate) mod messages;
mod permit;
pub(crate) mod requests;
pub(crate) mod shard;
mod target;

pub(crate) use actor::{Registry, ServerPhase};
pub(crate) use permit::Permit;
pub(crate) use shard::{Hubs, Local, Shard, ShardPlan};
pub(crate) use target::Destination;
