//! Owns the calls of a room's logic, and how its emissions become events.

use std::cell::OnceCell;

use super::{RoomState, audience, event};
use crate::{
    clock::Now,
    protocol::{EventRequest, PlayerId, RawJson, SERVER_SENDER, server::write_message},
    room::{document::Patch, effect::Effects, logic::RoomLogic, text::MemberText, turn::Turn},
};

impl RoomState {
    /// Calls the logic where it cannot refuse.
    pub(super) fn run_logic(&mut self, effects: &mut Effects, call: impl FnOnce(&mut dyn RoomLogic, &mut Turn<'_>)) {
        let now = effects.now;
        let mut emissions = Vec::new();
        self.ask_logic(None, now, &mut emissions, call);
        self.emit(emissions, effects);
    }

    /// `request` is the patch that the logic shall judge.
    pub(super) fn ask_logic<R>(
        &mut self,
        request: Option<&Patch>,
        now: Now,
        emissions: &mut Vec<EventRequest<Patch>>,
        call: impl FnOnce(&mut dyn RoomLogic, &mut Turn<'_>) -> R,
    ) -> R {
        let mut turn = Turn {
            game: &self.game,
            seats: &self.seats,
            document: &self.document,
            request,
            patch_bytes: request.map_or(0, |patch| patch.text().as_str().len()),
            refused_patches: &mut self.refused_patches,
            now_ms: now.unix_ms,
            random: &mut self.random,
            emissions,
            sender_only: false,
            draft: OnceCell::new(),
        };
        call(&mut *self.logic, &mut turn)
    }

    pub(super) fn emit(&mut self, emissions: Vec<EventRequest<Patch>>, effects: &mut Effects) {
        for emission in emissions {
            match emission {
                EventRequest::Message { data, to } => self.server_message(&data, to, effects),
                EventRequest::Patch { patch, .. } => {
                    // Counts a patch that no longer fits. `Turn::patch` has already returned an
                    // error for all others.
                    if self.append_patch(None, &patch, effects).is_err() {
                        self.refused_patches += 1;
                    }
                }
            }
        }
    }

    /// Appends a message from `@server` for everyone, or for `to` only.
    pub(super) fn server_message(&mut self, data: &RawJson, to: Option<Vec<PlayerId>>, effects: &mut Effects) {
        let now = effects.now;
        self.seq += 1;
        let audience = audience(None, self.members(to));
        let text = MemberText::write(|out| write_message(out, self.seq, SERVER_SENDER, None, data));
        self.append_event(event(self.seq, now, audience, None, text), effects);
    }
}
