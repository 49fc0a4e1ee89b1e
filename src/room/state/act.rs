//! Owns what a player's requests do to a room (3.1): messages, patches, volatile values, and what
//! is refused while the store fails.

use super::{RoomState, audience, event};
use crate::{
    protocol::{
        EventRequest, PlayerId, RoomRequest, ServerFrame, error_code,
        server::{write_message, write_volatile},
    },
    room::{
        effect::{Effect, Effects},
        logic::{Rejection, Request},
        messages::{Act, Membership},
        text::MemberText,
    },
};

impl RoomState {
    /// Handles a player's request. A request from a connection that no longer holds the seat is
    /// dropped.
    pub(crate) fn act(&mut self, act: Act, effects: &mut Effects) {
        let Act { connection, player, request } = act;
        let Some(last_id) = self.seats.held_by(&player, connection).map(|seat| seat.last_id) else { return };
        match request {
            RoomRequest::Leave => self.leave(connection, &Membership::Player(player), effects),
            RoomRequest::Volatile { name, data, to } => {
                let to = self.members(to);
                let text = MemberText::write(|out| write_volatile(out, player.as_str(), &name, &data));
                let audience = audience(Some(&player), to);
                effects.push(Effect::Volatile { from: player, name, audience, text });
            }
            RoomRequest::Append { id: Some(id), .. } if id <= last_id => {
                let seq = self.history.seq_of(&player, id);
                let text = MemberText::write(|out| ServerFrame::Ack { id, seq }.write(out));
                effects.push(Effect::Ack { connection, text });
            }
            RoomRequest::Append { id, event } => match self.append_for(&player, id, event, effects) {
                Ok(()) => {
                    if let (Some(id), Some(seat)) = (id, self.seats.get_mut(&player)) {
                        seat.last_id = id;
                    }
                }
                Err(Rejection { code, message }) => {
                    let text = MemberText::error(code, &message, id);
                    effects.push(Effect::Reply { connection, text });
                }
            },
        }
    }

    fn append_for(
        &mut self,
        player: &PlayerId,
        id: Option<u64>,
        event: EventRequest,
        effects: &mut Effects,
    ) -> Result<(), Rejection> {
        let from = player.clone();
        match event {
            EventRequest::Message { data, to } => {
                let to = self.members(to);
                self.message(id, Request { from, data, to }, effects)
            }
            EventRequest::Patch { patch, if_seq } => {
                self.patch(id, Request { from, data: patch, to: None }, if_seq, effects)
            }
        }
    }

    /// Handles a request while the store fails (D5): refuses what needs the log, and does the rest.
    pub(crate) fn refuse(&mut self, act: Act, effects: &mut Effects) {
        match act.request {
            RoomRequest::Append { id, .. } => self.refuse_request(act.connection, id, effects),
            RoomRequest::Volatile { .. } | RoomRequest::Leave => self.act(act, effects),
        }
    }

    /// Replies that a request of this connection cannot be stored at present (D5).
    pub(crate) fn refuse_request(&self, connection: u64, id: Option<u64>, effects: &mut Effects) {
        let message = "the server cannot store anything at the moment; send it again later";
        effects.push(Effect::Reply { connection, text: MemberText::error(error_code::UNAVAILABLE, message, id) });
    }

    fn message(&mut self, id: Option<u64>, request: Request, effects: &mut Effects) -> Result<(), Rejection> {
        let now = effects.now;
        let mut emissions = Vec::new();
        let hidden = self.ask_logic(None, now, &mut emissions, |logic, turn| {
            logic.message(turn, &request).map(|()| turn.sender_only)
        })?;
        let Request { from, data, to } = request;
        let audience = audience(Some(&from), if hidden { Some(Vec::new()) } else { to });
        self.seq += 1;
        let text = MemberText::write(|out| write_message(out, self.seq, from.as_str(), id, &data));
        let request = id.map(|id| (from, id));
        self.append_event(event(self.seq, now, audience, request, text), effects);
        self.emit(emissions, effects);
        Ok(())
    }
}
