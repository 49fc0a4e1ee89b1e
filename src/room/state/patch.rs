//! Owns the patches of a room's document, by players, back ends and logics. The work of a patch
//! depends on the patch and the fields it replaces, never on the document's size.

use super::{RoomState, event};
use crate::{
    protocol::{PlayerId, RawJson, SERVER_SENDER, error_code, server::write_patch},
    room::{
        audience::Audience,
        document::Patch,
        effect::Effects,
        history::Event,
        logic::{Rejection, Request},
        text::MemberText,
        turn::PatchError,
    },
};

impl RoomState {
    pub(super) fn patch(
        &mut self,
        id: Option<u64>,
        request: Request,
        if_seq: Option<u64>,
        effects: &mut Effects,
    ) -> Result<(), Rejection> {
        let now = effects.now;
        let patch = self.check_patch(&request.data, if_seq)?;
        let mut emissions = Vec::new();
        self.ask_logic(Some(&patch), now, &mut emissions, |logic, turn| logic.patch(turn, &request))?;
        self.append_patch(Some((&request.from, id)), &patch, effects)?;
        self.emit(emissions, effects);
        Ok(())
    }

    /// Checks `if_seq` and the patch's form, whoever sends it.
    pub(super) fn check_patch(&self, patch: &RawJson, if_seq: Option<u64>) -> Result<Patch, Rejection> {
        let changed_at = self.document.changed_at();
        if if_seq.is_some_and(|if_seq| changed_at > if_seq) {
            let message = format!("the state was changed at seq {changed_at}");
            return Err(Rejection::new(error_code::CONFLICT, message));
        }
        Patch::parse(patch.clone()).ok_or_else(|| PatchError::NotAnObject.into())
    }

    pub(super) fn append_patch(
        &mut self,
        request: Option<(&PlayerId, Option<u64>)>,
        patch: &Patch,
        effects: &mut Effects,
    ) -> Result<(), Rejection> {
        let now = effects.now;
        let seq = self.seq + 1;
        self.document.merge(patch, seq).map_err(|_| Rejection::from(PatchError::TooLarge))?;
        self.seq = seq;
        let (from, id) = request.map_or((SERVER_SENDER, None), |(player, id)| (player.as_str(), id));
        let text = MemberText::write(|out| write_patch(out, seq, from, id, patch.text()));
        let request = request.and_then(|(player, id)| id.map(|id| (player.clone(), id)));
        let patch = Event { is_patch: true, ..event(seq, now, Audience::Everyone, request, text) };
        self.append_event(patch, effects);
        Ok(())
    }

    /// Returns how many patches of the logic were refused since the last call.
    pub(crate) fn take_refused_patches(&mut self) -> u32 {
        std::mem::take(&mut self.refused_patches)
    }
}
