//! Owns the messages of the `Room` actor: commands, queries, events.

use std::{net::IpAddr, rc::Rc};

use actix::Message;
use send_wrapper::SendWrapper;

use super::{
    describe::{EventPage, RoomDetail, RoomSummary},
    logic::Rejection,
};
use crate::{
    protocol::{Cause, DisplayName, EventRequest, GameId, PlayerId, Role, RoomRequest, Verdict, api::KickRequest},
    store::IdempotencyKey,
    ws::{Frame, Outbox},
};

// ---- commands

/// The membership under which a connection is in the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Membership {
    Player(PlayerId),
    /// Sees events addressed to everyone and holds no seat (S10).
    Spectator,
}

impl Membership {
    pub(crate) fn player(&self) -> Option<&PlayerId> {
        match self {
            Self::Player(player) => Some(player),
            Self::Spectator => None,
        }
    }
}

/// Sent by a connection once it is authenticated. Returns the verdict of the `welcome`, or why the
/// join failed. While the mailbox is full, the connection waits and reads nothing.
#[derive(Message)]
#[rtype(result = "Result<Verdict, JoinError>")]
pub(crate) struct Join {
    pub request: JoinRequest,
    /// Never leaves the shard's thread. Messages must be `Send`; the wrapper panics if that is
    /// violated.
    pub outbox: SendWrapper<Rc<Outbox>>,
}

/// A connection that asks to join.
pub(crate) struct JoinRequest {
    /// Unique on this shard.
    pub connection: u64,
    pub player: PlayerId,
    pub role: Role,
    /// R1: the session secret, and (`seen`) the last `seq` the client has seen.
    pub session: Option<String>,
    pub seen: Option<u64>,
    /// A valid token names this player. It claims the seat as well as the session secret does (S7).
    pub authenticated: bool,
    /// The address under which limits count the connection.
    pub address: IpAddr,
    /// A5a: the connection may only replace a connection from the same address.
    pub must_replace: bool,
    /// The player's new display name (S11). `None` keeps the old one.
    pub name: Option<DisplayName>,
    /// The connection receives display names (S11).
    pub wants_names: bool,
}

/// Why a join failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JoinError {
    Refused(Cause),
    /// The room ended before it replied. Look the room up again and join the new one.
    RoomGone,
}

/// A player's request. While the mailbox is full, the connection waits and reads nothing, so the
/// back-pressure reaches its client.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Act {
    pub connection: u64,
    pub player: PlayerId,
    pub request: RoomRequest,
}

/// Changes a player's display name (S11). Takes the same way as [`Act`].
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Rename {
    pub connection: u64,
    pub player: PlayerId,
    pub name: DisplayName,
}

/// The connection's own reply to a frame, such as a `pong`. It takes the same way as [`Act`], so
/// that it follows the replies to earlier frames.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Answer {
    pub connection: u64,
    pub frame: SendWrapper<Frame>,
}

/// Sent by a connection whose client gives up its seat. The room closes the connection, behind
/// everything it still gets. A lifecycle message: never refused.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Leave {
    pub connection: u64,
    pub entry: Membership,
}

/// Sent by a connection that ended for any other reason. A lifecycle message: never refused.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Detach {
    pub connection: u64,
    pub entry: Membership,
}

/// Sent for a back end (section 8): appends an event as `@server`, or finds the event of a repeated
/// key. Returns the `seq` once it is stored. While the mailbox is full, the request waits.
#[derive(Message, Clone)]
#[rtype(result = "Result<u64, OperateError>")]
pub(crate) struct Append {
    pub event: EventRequest,
    pub key: Option<IdempotencyKey>,
}

/// Sent for a back end or an operator: removes the player's seat. Returns the `seq` of its `left`
/// once that is stored; none for a ban of a player without a seat. While the mailbox is full, the
/// request waits.
impl Message for KickRequest {
    type Result = Result<Option<u64>, OperateError>;
}

/// Sent for a back end or an operator: ends the room and deletes its log. Returns once that is
/// stored and every connection is closed with 4004. While the mailbox is full, the request waits.
#[derive(Message)]
#[rtype(result = "Result<(), OperateError>")]
pub(crate) struct CloseRoom;

/// Why a room refuses a request of the HTTP API. Nothing was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OperateError {
    /// D5: the store fails at present.
    Unavailable,
    NoSuchPlayer,
    Rejected(Rejection),
    /// The room ended before it replied. Look the room up again.
    RoomGone,
}

// ---- queries

/// Sent for an operator's list of rooms. While the mailbox is full, the request waits.
#[derive(Message)]
#[rtype(result = "RoomSummary<usize>")]
pub(crate) struct Describe;

/// Sent for an operator's view of one room. While the mailbox is full, the request waits.
#[derive(Message)]
#[rtype(result = "Result<RoomDetail, OperateError>")]
pub(crate) struct Show;

/// Sent for an operator who reads a room's log: returns at most `limit` events after `after`. While
/// the mailbox is full, the request waits.
#[derive(Message)]
#[rtype(result = "EventPage")]
pub(crate) struct ListEvents {
    pub after: u64,
    pub limit: usize,
}

/// Sent for the ledger (S14): the room drops at least `bytes` of its oldest events. A lifecycle
/// message: never refused. Few are in flight per room, as the ledger counts what it has requested.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct CutHistory {
    pub bytes: usize,
}

// ---- events

/// Sent by a room's outlet when the store reports that the log no longer belongs to this room. A
/// lifecycle message: never refused.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Outdated;

/// Sent to the shard by a room that ends. The next join opens another room. A lifecycle message:
/// never refused.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct RoomEnded {
    pub game: GameId,
    /// Distinguishes this room from a later one of the same name.
    pub number: u64,
    /// The room panicked instead of ending in good order.
    pub failed: bool,
}

/// Sent by a shard that opened a room. A lifecycle message.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct RoomOpened {
    pub game: GameId,
    pub shard: usize,
}

/// Sent by a shard whose room is over. A lifecycle message.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct RoomClosed {
    pub game: GameId,
}
