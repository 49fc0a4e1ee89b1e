//! Owns the messages of the `Room` actor: commands, queries, events.

use std::{net::IpAddr, rc::Rc};

use actix::Message;
use send_wrapper::SendWrapper;

use super::{
    describe::{EventPage, RoomDetail, RoomSummary},
    logic::Rejection,
};
use crate::{
    protocol::{Cause, DisplayName, GameId, PlayerId, RawJson, Role, server::Verdict},
    store::IdempotencyKey,
    ws::{Frame, Outbox},
};

// ---- commands

/// Who a connection is to the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Membership {
    Player(PlayerId),
    /// Sees what is addressed to everyone, holds no seat (S10).
    Spectator,
}

/// Sent by a connection once it is authenticated; answers how it was welcomed, or why not.
/// Mailbox full: the connection waits, reading nothing.
#[derive(Message)]
#[rtype(result = "Result<Verdict, JoinError>")]
pub struct Join {
    /// Unique on this shard.
    pub connection: u64,
    pub player: PlayerId,
    pub role: Role,
    /// R1: the secret and the last `seq` seen.
    pub session: Option<String>,
    pub seen: Option<u64>,
    /// A valid token names this player: its claim to the seat is as good as the secret (S7).
    pub authenticated: bool,
    /// What limits count it by.
    pub address: IpAddr,
    /// A5a: it may only take the place of a connection from the same address.
    pub must_replace: bool,
    /// What the player is called from now on (S11); `None`: as before.
    pub name: Option<DisplayName>,
    /// Whether the connection is told what players are called.
    pub wants_names: bool,
    /// Never leaves the shard's thread: messages must be `Send`, and this one checks that it stays.
    pub outbox: SendWrapper<Rc<Outbox>>,
}

/// Why a connection did not get in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinError {
    Refused(Cause),
    /// The room ended before it could answer: find it again and join that one.
    RoomGone,
}

/// A frame for the room. Mailbox full: the connection waits, reading nothing, so the pressure reaches its client.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Act {
    pub connection: u64,
    pub player: PlayerId,
    pub action: Action,
}

#[derive(Debug)]
pub enum Action {
    Send {
        id: Option<u64>,
        data: RawJson,
        to: Option<Vec<PlayerId>>,
    },
    Volatile {
        name: String,
        data: RawJson,
        to: Option<Vec<PlayerId>>,
    },
    Patch {
        id: Option<u64>,
        patch: RawJson,
        if_seq: Option<u64>,
    },
    /// The player is called so from now on (S11).
    Rename(DisplayName),
    /// The connection's own answer to a frame, e.g. a `pong`: it takes the way through the room to come behind the
    /// answers to the frames before it.
    Answer(SendWrapper<Frame>),
}

/// Sent by a connection whose client gives the seat up; the room closes it, behind everything it still gets.
/// A lifecycle message: never refused.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Leave {
    pub connection: u64,
    pub entry: Membership,
}

/// Sent by a connection that ended for any other reason. A lifecycle message: never refused.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Detach {
    pub connection: u64,
    pub entry: Membership,
}

/// Sent for a back end (section 8): appends as `@server`, or finds what this key has become; answers the `seq` once it is stored.
/// Mailbox full: the request waits.
#[derive(Message, Clone)]
#[rtype(result = "Result<u64, OperateError>")]
pub struct Append {
    pub event: ServerEvent,
    pub key: Option<IdempotencyKey>,
}

/// What a back end appends.
#[derive(Debug, Clone)]
pub enum ServerEvent {
    Message {
        data: RawJson,
        to: Option<Vec<PlayerId>>,
    },
    /// `patch` is a JSON object.
    Patch {
        patch: RawJson,
        if_seq: Option<u64>,
    },
}

/// Sent for a back end or an operator: the player has left; answers the `seq` of that once it is stored. Mailbox full: the
/// request waits.
#[derive(Message, Clone)]
#[rtype(result = "Result<Option<u64>, OperateError>")]
pub struct Kick {
    pub player: PlayerId,
    /// S13: for how long the player is kept out; with it, a player without a seat is no error, and has no `seq`.
    pub ban_s: Option<u64>,
}

/// Sent for a back end or an operator: the room ends and its log goes; answers when that is stored and everybody is closed with
/// 4004. Mailbox full: the request waits.
#[derive(Message)]
#[rtype(result = "Result<(), OperateError>")]
pub struct CloseRoom;

/// Why a room does not do what it was told by HTTP. Nothing was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OperateError {
    /// D5.
    Unavailable,
    NoSuchPlayer,
    Rejected(Rejection),
    /// The room ended before it could answer: find it again.
    RoomGone,
}

// ---- queries

/// Sent for an operator's list of rooms. Mailbox full: the request waits.
#[derive(Message)]
#[rtype(result = "RoomSummary<usize>")]
pub struct Describe;

/// Sent for an operator who looks into a room. Mailbox full: the request waits.
#[derive(Message)]
#[rtype(result = "Result<RoomDetail, OperateError>")]
pub struct Show;

/// Sent for an operator who reads a room's log: `limit` events at most, behind `after`. Mailbox full: the request waits.
#[derive(Message)]
#[rtype(result = "EventPage")]
pub struct ListEvents {
    pub after: u64,
    pub limit: usize,
}

/// Sent for the ledger (S14): the room drops so many bytes of its history, the oldest events. A lifecycle message: never refused;
/// a room has few on their way, as the ledger counts what it has asked for.
#[derive(Message)]
#[rtype(result = "()")]
pub struct CutHistory {
    pub bytes: usize,
}

// ---- events

/// Sent by a room's outlet: the store says that the log is not this room's any more. A lifecycle message: never refused.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Outdated;

/// Sent to the shard by a room that ends; the next join opens another. A lifecycle message: never refused.
#[derive(Message)]
#[rtype(result = "()")]
pub struct RoomEnded {
    pub game: GameId,
    /// Tells this room from a later one of the same name.
    pub number: u64,
    /// `true` when it did not end of its own accord: a panic.
    pub failed: bool,
}
