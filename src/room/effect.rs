//! Owns the effects that a change of a room's state asks for: events to log and deliver, replies,
//! arrivals, departures, closes.

use std::rc::Rc;

use serde_json::value::RawValue;

use super::{audience::Audience, history::Event, messages::Membership, record::RoomRecord, text::MemberText};
use crate::{
    clock::Now,
    protocol::{Cause, PlayerId, RawJson, ResumeReason, Role, Verdict},
};

/// A `welcome` without the terms that all welcomes of a room share, and the texts that follow it.
pub(crate) struct Draft {
    pub player: PlayerId,
    pub role: Role,
    pub session: String,
    pub verdict: Verdict,
    pub reason: Option<ResumeReason>,
    /// With `snapshot`: the first and the last lost `seq`.
    pub lost: Option<(u64, u64)>,
    pub seq: u64,
    pub last_id: u64,
    pub players: RawJson,
    /// The connection wants names (S11). All texts here already contain them.
    pub wants_names: bool,
    pub player_count: Option<usize>,
    /// The document, unless the verdict is `continuous`.
    pub state: Option<Rc<RawValue>>,
    /// The missed events. Where these do not imply who the members are (S9a), a list of them
    /// follows.
    pub missed: Vec<MemberText>,
}

/// The moment of a change, and the effects that it has decided, in order.
pub(super) struct Effects {
    pub now: Now,
    /// The position of the next record in the room's log.
    position: u64,
    list: Vec<Effect>,
}

impl Effects {
    /// `position` is that of the log's next record.
    pub(super) fn at(now: Now, position: u64) -> Self {
        Self::reusing(Vec::new(), now, position)
    }

    /// As [`Effects::at`], with the memory of this empty list.
    pub(super) fn reusing(list: Vec<Effect>, now: Now, position: u64) -> Self {
        debug_assert!(list.is_empty());
        Self { now, position, list }
    }

    pub(super) fn push(&mut self, effect: Effect) {
        self.list.push(effect);
    }

    /// Logs a record that members never see.
    pub(super) fn keep(&mut self, record: RoomRecord<'static>) {
        self.position += 1;
        self.push(Effect::Keep(record));
    }

    /// Logs the event and shows it. Sets its position in the log.
    pub(super) fn event(&mut self, event: &mut Event) {
        event.position = self.position;
        self.position += 1;
        self.push(Effect::Event(event.clone()));
    }

    pub(super) fn into_list(self) -> Vec<Effect> {
        self.list
    }
}

impl Effect {
    /// Returns whether the effect needs neither storage nor its place behind stored effects. While
    /// the store fails, such an effect is shown ahead of those that wait (D5).
    pub(crate) fn is_fleeting(&self) -> bool {
        matches!(self, Self::Broadcast { .. } | Self::Volatile { .. } | Self::Reply { .. })
    }
}

pub(crate) enum Effect {
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
    /// Answers a repeated `id` (S2). Unlike a [`Effect::Reply`], it rests on an event, which must
    /// be stored first.
    Ack { connection: u64, text: MemberText },
    /// Welcomes a connection, sends the events it missed, then everything live.
    Enter { connection: u64, membership: Membership, draft: Box<Draft> },
    /// Removes a connection: it gets nothing more.
    Exit { connection: u64 },
    /// Closes one connection.
    Close { connection: u64, cause: Cause },
}
