//! Owns what a back end does to a room: events as `@server`, and players thrown out (section 8). No logic is asked.
//! Called by the `Room` actor; a part of `RoomState`.

use super::RoomState;
use crate::{
    clock::Now,
    protocol::{Cause, PlayerId, server::LeftReason},
    room::{
        effect::Effect,
        keys::{AppliedKey, KeyHash},
        logic::Rejection,
        messages::ServerEvent,
        record::Record,
    },
};

impl RoomState {
    /// Appends an event, or finds the one that this key has become. Returns its `seq`.
    ///
    /// # Errors
    /// [`Rejection`] with `state_too_large` or `conflict`: nothing was applied, and the key is still new.
    pub fn append(
        &mut self,
        event: ServerEvent,
        key: Option<KeyHash>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> Result<u64, Rejection> {
        if let Some(seq) = key.and_then(|key| self.keys.seq_of(key, now.unix_ms)) {
            return Ok(seq);
        }
        match event {
            ServerEvent::Message { data, to } => self.server_message(&data, to, now, effects),
            ServerEvent::Patch { patch, if_seq } => {
                let value = self.check_patch(&patch, if_seq)?;
                self.append_patch(None, &patch, value, now, effects)?;
            }
        }
        if let Some(key) = key {
            let applied = AppliedKey { key, seq: self.seq, made_ms: now.unix_ms };
            self.keys.note(applied);
            effects.push(Effect::Keep(Record::Key(applied)));
        }
        // A back end that prepares a room is as good a reason to keep it as a player was (R6).
        self.empty_since = self.empty_since.map(|_| now.instant);
        Ok(self.seq)
    }

    /// The player has left, whether it was here or away. Returns the `seq` of its `left`, or the newest where presence has
    /// none (S9); `None` when it has no seat.
    pub fn kick(&mut self, player: &PlayerId, now: Now, effects: &mut Vec<Effect>) -> Option<u64> {
        let seat = self.seats.remove(player)?;
        let seq = self.left(player, LeftReason::Kicked, now, effects);
        if let Some(connection) = seat.connection {
            effects.push(Effect::Close { connection, cause: Cause::Kicked });
        }
        Some(seq)
    }
}
