//! Owns the changes that a back end makes to a room (section 8): events as `@server`, kicks, bans.
//! The logic cannot refuse them.

use std::time::Duration;

use super::RoomState;
use crate::{
    clock::Now,
    protocol::{Cause, EventRequest, PlayerId, server::LeftReason},
    room::{
        bans::Ban,
        effect::{Effect, Effects},
        logic::Rejection,
        record::RoomRecord,
    },
    store::{AppliedKey, IdempotencyKey, KeyMismatch},
};

impl RoomState {
    /// Appends an event, or finds the event of a repeated key. Returns its `seq`.
    ///
    /// # Errors
    /// [`Rejection`] with `state_too_large`, `conflict` or `invalid_field`: nothing was applied,
    /// and the key is still unused. With `idempotency_mismatch`, the key belongs to another event.
    pub(crate) fn append(
        &mut self,
        event: EventRequest,
        key: Option<IdempotencyKey>,
        effects: &mut Effects,
    ) -> Result<u64, Rejection> {
        let now = effects.now;
        let known = key.map_or(Ok(None), |key| self.keys.seq_of(&key, now.unix_ms));
        match known {
            Err(KeyMismatch) => return Err(Rejection::new(KeyMismatch::CODE, KeyMismatch::MESSAGE)),
            Ok(Some(seq)) => return Ok(seq),
            Ok(None) => {}
        }
        match event {
            EventRequest::Message { data, to } => self.server_message(&data, to, effects),
            EventRequest::Patch { patch, if_seq } => {
                let patch = self.check_patch(&patch, if_seq)?;
                self.append_patch(None, &patch, effects)?;
            }
        }
        if let Some(IdempotencyKey { key, body }) = key {
            let applied = AppliedKey { key, seq: self.seq, made_ms: now.unix_ms };
            self.keys.note((applied, Some(body)));
            effects.keep(RoomRecord::KeyedBody(applied, body));
        }
        // An append restarts the linger of an empty room, as a player's visit does (R6).
        self.empty_since = self.empty_since.map(|_| now.instant);
        Ok(self.seq)
    }

    /// Bans the player for `seconds` seconds, with or without a seat; 0 lifts the ban and removes
    /// nobody (S13). Otherwise returns what [`RoomState::kick`] returns.
    ///
    /// # Errors
    /// [`Rejection`] with `too_many_bans`: nothing was applied.
    pub(crate) fn ban(
        &mut self,
        player: &PlayerId,
        seconds: u64,
        effects: &mut Effects,
    ) -> Result<Option<u64>, Rejection> {
        let now = effects.now;
        let until_ms = if seconds == 0 { 0 } else { now.unix_ms + seconds * 1000 };
        let ban = Ban { player: player.clone(), until_ms };
        if !self.bans.set(ban.clone(), now.unix_ms) {
            return Err(Rejection::new("too_many_bans", "the game has as many bans as it may; lift some of them"));
        }
        effects.keep(RoomRecord::Ban(ban));
        self.keep_for_bans(now);
        Ok(if seconds == 0 { None } else { self.throw_out(player, Cause::Banned, effects) })
    }

    /// Keeps the room and its log until the last ban ends.
    pub(super) fn keep_for_bans(&mut self, now: Now) {
        let end_ms = self.bans.end_ms(now.unix_ms);
        self.banned_until = end_ms.map(|end| now.instant + Duration::from_millis(end - now.unix_ms));
    }

    /// Removes the player's seat, connected or away. Returns the `seq` of its `left`, or the newest
    /// `seq` in a crowd, where presence has none (S9). `None` if it has no seat.
    pub(crate) fn kick(&mut self, player: &PlayerId, effects: &mut Effects) -> Option<u64> {
        self.throw_out(player, Cause::Kicked, effects)
    }

    fn throw_out(&mut self, player: &PlayerId, cause: Cause, effects: &mut Effects) -> Option<u64> {
        let seat = self.seats.remove(player)?;
        let seq = self.left(player, seat.name, LeftReason::Kicked, effects);
        if let Some(connection) = seat.connection {
            effects.push(Effect::Close { connection, cause });
        }
        Some(seq)
    }
}
