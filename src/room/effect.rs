//! Owns what a change of a room's state asks for: events to log and deliver, replies, arrivals,
//! departures, closes.

use std::rc::Rc;

use tokio::sync::oneshot;

use super::{audience::Audience, document::Version, history::Event, messages::Membership, record::RoomRecord};
use crate::{
    protocol::{Cause, PlayerId, RawJson, Role},
    ws::{Frame, Outbox, VolatileKey},
};

/// What a client may claim of its past, as far as the state knows; the history has the last word (R3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    New {
        reason: Option<&'static str>,
    },
    /// Its session is ours, and it saw everything up to `seen`.
    Own {
        seen: u64,
    },
    /// Its session belongs to another epoch.
    Reset {
        reason: &'static str,
    },
}

impl Resume {
    pub fn is_own(self) -> bool {
        matches!(self, Self::Own { .. })
    }
}

/// A `welcome` before the history was asked for the verdict.
pub struct Draft {
    pub player: PlayerId,
    pub role: Role,
    pub session: String,
    pub seq: u64,
    pub last_id: u64,
    pub players: RawJson,
    /// Whether this connection is to see names (S11); `players` and `everybody` have them already.
    pub wants_names: bool,
    pub player_count: Option<usize>,
    /// Behind what was missed: who is there, where that cannot be told from it (S9a).
    pub everybody: Option<Frame>,
    /// Its text is only made for those who need it.
    pub state: Rc<Version>,
}

impl Effect {
    /// Nothing of it has to be stored, and it need not come behind what has: while the store fails, it goes first (D5).
    pub fn is_fleeting(&self) -> bool {
        matches!(self, Self::Broadcast { .. } | Self::Volatile { .. } | Self::Reply { .. })
    }
}

pub enum Effect {
    /// Log it, then show it to its audience.
    Event(Event),
    /// Log it; nobody sees it.
    Keep(RoomRecord<'static>),
    /// Show it to everybody, unlogged; `named` to those who want names, where it is another frame (S11).
    Broadcast { frame: Frame, named: Option<Frame> },
    /// Show it to its audience, unlogged; only the newest of a key matters (S8).
    Volatile { key: VolatileKey, audience: Audience, frame: Frame },
    /// Answer one connection.
    Reply { connection: u64, frame: Frame },
    /// Answer a repeated `id` with where it was applied (S2).
    Ack { connection: u64, player: PlayerId, id: u64 },
    /// Welcome a connection, then give it what it missed, then everything live.
    Enter { connection: u64, entry: Membership, outbox: Rc<Outbox>, resume: Resume, draft: Box<Draft> },
    /// A connection gets nothing more.
    Exit { connection: u64 },
    /// End a connection from the room's side.
    Close { connection: u64, cause: Cause },
    /// End them all; nothing is shown any more.
    CloseAll(Cause),
    /// Tell whoever waits that everything before this is stored. Dropped when it never will be.
    Stored(oneshot::Sender<()>),
}
