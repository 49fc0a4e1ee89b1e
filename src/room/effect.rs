//! Owns the effects that a change of a room's state asks for: events to log and deliver, replies,
//! arrivals, departures, closes.

use std::rc::Rc;

use super::{
    audience::Audience, document::Version, history::Event, messages::Membership, record::RoomRecord, text::MemberText,
};
use crate::{
    clock::Now,
    protocol::{Cause, PlayerId, RawJson, ResumeReason, Role},
};

/// What a client may resume from, as far as the state can decide it. The history makes the final
/// verdict (R3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    New {
        reason: Option<ResumeReason>,
    },
    /// The session is of this epoch, and the client has seen every event up to `seen`.
    Own {
        seen: u64,
    },
    /// The session belongs to another epoch.
    Reset {
        reason: ResumeReason,
    },
}

impl Resume {
    pub fn is_own(self) -> bool {
        matches!(self, Self::Own { .. })
    }
}

/// A `welcome` to which the history still has to add the verdict.
pub struct Draft {
    pub player: PlayerId,
    pub role: Role,
    pub session: String,
    pub seq: u64,
    pub last_id: u64,
    pub players: RawJson,
    /// The connection wants names (S11). `players` and `everybody` already contain them.
    pub wants_names: bool,
    pub player_count: Option<usize>,
    /// The list of members, sent after the missed events. Set where these events do not
    /// imply the list (S9a).
    pub everybody: Option<MemberText>,
    /// The text is written only for clients that need it.
    pub state: Rc<Version>,
}

/// The moment of a change, and the effects that it has decided, in order.
pub struct Effects {
    pub now: Now,
    list: Vec<Effect>,
}

impl Effects {
    pub fn at(now: Now) -> Self {
        Self::reusing(Vec::new(), now)
    }

    /// Uses the memory of this empty list.
    pub fn reusing(list: Vec<Effect>, now: Now) -> Self {
        debug_assert!(list.is_empty());
        Self { now, list }
    }

    pub fn push(&mut self, effect: Effect) {
        self.list.push(effect);
    }

    /// Logs a record that members never see.
    pub fn keep(&mut self, record: RoomRecord<'static>) {
        self.push(Effect::Keep(record));
    }

    pub fn into_list(self) -> Vec<Effect> {
        self.list
    }
}

impl Effect {
    /// Returns whether the effect needs neither storage nor its place behind stored effects. While
    /// the store fails, such an effect is shown ahead of those that wait (D5).
    pub fn is_fleeting(&self) -> bool {
        matches!(self, Self::Broadcast { .. } | Self::Volatile { .. } | Self::Reply { .. })
    }
}

pub enum Effect {
    /// Logs the event, then shows it to its audience.
    Event(Event),
    /// Logs the record. Members never see it.
    Keep(RoomRecord<'static>),
    /// Shows the text to all members, unlogged. Members that want names get `named`, if there is
    /// one (S11).
    Broadcast { text: MemberText, named: Option<MemberText> },
    /// Shows a value to its audience, unlogged. A newer one with the same sender and name replaces
    /// it (S8).
    Volatile { from: PlayerId, name: String, audience: Audience, text: MemberText },
    /// Sends a reply to one connection.
    Reply { connection: u64, text: MemberText },
    /// Answers a repeated `id` with the `seq` at which it was applied (S2).
    Ack { connection: u64, player: PlayerId, id: u64 },
    /// Welcomes a connection, sends the events it missed, then everything live.
    Enter { connection: u64, entry: Membership, resume: Resume, draft: Box<Draft> },
    /// Removes a connection: it gets nothing more.
    Exit { connection: u64 },
    /// Closes one connection.
    Close { connection: u64, cause: Cause },
    /// Closes all connections. Later effects are dropped.
    CloseAll(Cause),
}
