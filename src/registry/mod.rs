//! Owns the server as a whole: the global registry actor, its permits, and the shards with their rooms.
//! Called by `http` (admission), `connection` (its shard) and `app` (start and drain).

mod actor;
pub mod messages;
mod opening;
pub mod operate;
mod permit;
pub mod shard;

pub use actor::{Registry, ServerPhase};
pub use opening::{NoRoom, Opener};
pub use permit::Permit;
pub use shard::{Hubs, Local, Shard, ShardPlan};
