//! Owns the messages of the global `Registry` and of the `Shard`s: commands and events.

use std::{
    net::IpAddr,
    rc::Rc,
    sync::{Arc, atomic::AtomicU32},
    time::Duration,
};

use actix::{Addr, Message, MessageResponse};

use super::{
    permit::Permit,
    shard::{Local, Shard},
};
use crate::protocol::{GameId, Refusal};

// ---- commands

/// Sent by `http` for every upgrade that passed A1, and A2 or not; answers with a permit or the first refusal of A3 to A6.
/// Mailbox full: the upgrade waits.
#[derive(Message)]
#[rtype(result = "Result<Permit, Refusal>")]
pub struct Admit {
    pub address: IpAddr,
    /// Somebody else's page sent it: it counts, but not as an attempt of the visitor's own.
    pub is_foreign: bool,
    /// A4, already judged: it comes behind A3, which counts bad requests too.
    pub request: Result<(), Refusal>,
    /// A5a: it shows, or will show, that it takes the place of another connection.
    pub claims: bool,
    /// It was counted as an attempt (A3) already.
    pub is_repeated: bool,
}

/// Sent by `app` once the shards run, before anybody is admitted. A lifecycle message: sent once.
#[derive(Message)]
#[rtype(result = "()")]
pub struct AttachShards(pub Vec<Addr<Shard>>);

/// Sent by `app` on SIGTERM or SIGINT; answers when every connection is gone (D4).
/// A lifecycle message: sent once.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Drain;

/// Sent by the registry to each shard when draining begins, and again while connections come that were admitted before;
/// answers when the shard's last socket is shut. A lifecycle message.
#[derive(Message, Clone)]
#[rtype(result = "()")]
pub struct DrainShard {
    /// Clients are told to come back at `i * spread / slots`, each with its own `i`, counted here by all shards.
    pub taken: Arc<AtomicU32>,
    pub slots: u32,
    pub spread: Duration,
}

/// What [`Adopt`] runs. Whoever has to wait there spawns a task.
pub type Adoption = Box<dyn FnOnce(&Rc<Local>) + Send>;

/// Sent by `http` with an admitted socket: runs on the shard's thread, where the socket is to live from now on. Also what an
/// operator asks of a room goes there this way. Mailbox full: the upgrade waits, and so does the operator.
#[derive(Message)]
#[rtype(result = "()")]
pub struct RunOnShard(pub Adoption);

// ---- queries

/// Sent by `http` for an operator's list of rooms; answers the first `limit` that are open behind `after`, by name.
/// Mailbox full: the request waits.
#[derive(Message)]
#[rtype(result = "RoomPage")]
pub struct ListRooms {
    pub after: Option<GameId>,
    pub limit: usize,
}

/// Some of the rooms that are open.
#[derive(Debug, Default, PartialEq, Eq, MessageResponse)]
pub struct RoomPage {
    /// Each with its shard.
    pub rooms: Vec<(GameId, usize)>,
    /// More follow behind the last of these.
    pub has_more: bool,
}

// ---- events

/// Sent by a permit that is dropped. A lifecycle message: losing one would leak a place for ever.
#[derive(Message)]
#[rtype(result = "()")]
pub struct PermitReleased {
    pub address: IpAddr,
}

/// Sent by a shard that opened a room. A lifecycle message.
#[derive(Message)]
#[rtype(result = "()")]
pub struct RoomOpened {
    pub game: GameId,
    pub shard: usize,
}

/// Sent by a shard whose room is over. A lifecycle message.
#[derive(Message)]
#[rtype(result = "()")]
pub struct RoomClosed {
    pub game: GameId,
}
