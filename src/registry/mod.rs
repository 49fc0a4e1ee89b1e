//! Owns the server as a whole: the global registry actor, its permits, and the shards with their
//! rooms.

mod actor;
pub mod messages;
mod permit;
pub mod requests;
pub mod shard;
mod target;

pub use actor::{Registry, ServerPhase};
pub use permit::Permit;
pub use shard::{Hubs, Local, Shard, ShardPlan};
pub use target::Destination;
