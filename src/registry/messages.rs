//! Owns the messages of the global `Registry` and of the `Shard`s: commands, queries, events.

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

/// Sent by `http` for every upgrade that passed A1, even if it failed A2, so that A3 counts it.
/// Returns a permit, or the first refusal of A2 to A6. While the mailbox is full, the upgrade
/// waits.
#[derive(Message)]
#[rtype(result = "Result<Permit, Refusal>")]
pub(crate) struct Admit {
    pub address: IpAddr,
    /// A page of a foreign origin sent it. It counts as an attempt, but not among the address's
    /// own.
    pub is_foreign: bool,
    /// The result of A2 and A4. It is judged after A3, which counts refused requests too.
    pub request: Result<(), Refusal>,
    /// A5a: the request has, or announces, a claim to replace another connection.
    pub claims: bool,
    /// The attempt was already counted (A3).
    pub is_repeated: bool,
}

/// Sent by `app` once the shards run, before any upgrade is admitted. A lifecycle message: sent
/// once.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct AttachShards(pub Vec<Addr<Shard>>);

/// Sent by `app` on SIGTERM or SIGINT. Returns when every connection is gone (D4). A lifecycle
/// message: sent once.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Drain;

/// Sent by the registry to each shard when draining begins, and again while connections arrive that
/// were admitted earlier. Returns when the shard's last socket is shut. A lifecycle message.
#[derive(Message, Clone)]
#[rtype(result = "()")]
pub(crate) struct DrainShard {
    /// The number of clients sent away so far, on all shards. The i-th client is asked to reconnect
    /// after `spread * i / slots`.
    pub taken: Arc<AtomicU32>,
    pub slots: u32,
    pub spread: Duration,
}

/// The work of a [`RunOnShard`] message. Work that has to wait must spawn a task.
pub(crate) type Adoption = Box<dyn FnOnce(&Rc<Local>) + Send>;

/// Sent by `http` with an admitted socket: runs on the shard's thread, where the socket stays from
/// then on. Operators' requests to a room take this way too. While the mailbox is full, the sender
/// waits.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct RunOnShard(pub Adoption);

// ---- queries

/// Sent by `http` for an operator's list of rooms. Returns the first `limit` open rooms after
/// `after`, by name. While the mailbox is full, the request waits.
#[derive(Message)]
#[rtype(result = "RoomPage")]
pub(crate) struct ListRooms {
    pub after: Option<GameId>,
    pub limit: usize,
}

/// A page of the open rooms.
#[derive(Debug, Default, PartialEq, Eq, MessageResponse)]
pub(crate) struct RoomPage {
    /// Each game with the index of its shard.
    pub rooms: Vec<(GameId, usize)>,
    /// More rooms follow the last of these.
    pub has_more: bool,
}

// ---- events

/// Sent by a permit when it is dropped. A lifecycle message: losing one would leak the permit for
/// good.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct PermitReleased {
    pub address: IpAddr,
}
