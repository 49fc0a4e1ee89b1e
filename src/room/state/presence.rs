//! Owns presence: in a small room each change of a seat is an event; a crowd only gets the number
//! of players (S9, S9a).

use std::time::Duration;

use super::{RoomState, event};
use crate::{
    protocol::{
        DisplayName, PlayerId, RawJson, ServerFrame,
        server::{LeftReason, PresenceChange, named_players_map, players_map},
    },
    room::{
        audience::Audience,
        effect::{Effect, Effects},
        history::Event,
        record::{RoomRecord, SeatName},
        text::MemberText,
    },
};

/// How often a crowd gets its player count, at most.
const COUNT_INTERVAL: Duration = Duration::from_secs(1);

impl RoomState {
    /// Reports a change of a seat, as the present number of seats demands. `name` is the player's
    /// display name, past or present.
    pub(super) fn presence(
        &mut self,
        player: &PlayerId,
        name: Option<DisplayName>,
        change: PresenceChange,
        reason: Option<LeftReason>,
        effects: &mut Effects,
    ) {
        let now = effects.now;
        let limit = self.config.room.presence_limit;
        if self.is_crowd && self.seats.len() <= limit * 9 / 10 {
            self.end_crowd(effects);
            return;
        }
        self.is_crowd |= self.seats.len() > limit;
        if self.is_crowd {
            let due = self.counted_at.map_or(now.instant, |at| (at + COUNT_INTERVAL).max(now.instant));
            self.count_due.get_or_insert(due);
            return;
        }
        self.seq += 1;
        let text = MemberText::write(|out| {
            let (player, status) = (Some(player), Some(change));
            ServerFrame::Presence { seq: Some(self.seq), player, status, reason, players: None, count: None }
                .write(out);
        });
        let presence = Event { name, ..event(self.seq, now, Audience::Everyone, None, text) };
        self.append_event(presence, effects);
    }

    /// Sends the list of players to those who only got counts. Clients that resume from before this
    /// point get the list too: their missed events name players whose leaving the crowd did not
    /// report.
    fn end_crowd(&mut self, effects: &mut Effects) {
        self.is_crowd = false;
        self.count_due = None;
        self.crowd_over = self.seq;
        effects.keep(RoomRecord::CrowdOver(self.seq));
        let named = self.has_been_asked_for_names.then(|| self.everybody(true));
        effects.push(Effect::Broadcast { text: self.everybody(false), named });
    }

    /// Returns `welcome.players`, with or without display names (S11).
    pub(super) fn players(&self, names: bool) -> RawJson {
        if names {
            named_players_map(&self.seats.statuses().collect::<Vec<_>>())
        } else {
            players_map(&self.seats.statuses().map(|(player, status, _)| (player, status)).collect::<Vec<_>>())
        }
    }

    /// Changes the player's display name (S11). Members see it with the next change of the seat,
    /// and in welcomes.
    pub(super) fn rename(&mut self, player: &PlayerId, name: DisplayName, effects: &mut Effects) {
        let Some(seat) = self.seats.get_mut(player) else { return };
        if seat.name.as_ref() != Some(&name) {
            seat.name = Some(name.clone());
            effects.keep(RoomRecord::Name(SeatName { player: player.clone(), name }));
        }
    }

    /// Changes the display name of the player that holds this connection.
    pub(crate) fn rename_by(&mut self, connection: u64, player: &PlayerId, name: DisplayName, effects: &mut Effects) {
        if self.seats.held_by(player, connection).is_some() {
            self.rename(player, name, effects);
        }
    }

    pub(super) fn name_of(&mut self, player: &PlayerId) -> Option<DisplayName> {
        self.seats.get_mut(player).and_then(|seat| seat.name.clone())
    }

    /// Returns the text of the whole list, without a `seq`.
    pub(super) fn everybody(&self, names: bool) -> MemberText {
        let players = self.players(names);
        MemberText::write(|out| {
            let count = Some(self.seats.len());
            let (seq, player, status, reason) = (None, None, None, None);
            ServerFrame::Presence { seq, player, status, reason, players: Some(&players), count }.write(out);
        })
    }

    /// Sends the player count of a crowd, if it is due.
    pub(super) fn count(&mut self, effects: &mut Effects) {
        let now = effects.now;
        if self.count_due.is_none_or(|due| due > now.instant) {
            return;
        }
        self.count_due = None;
        self.counted_at = Some(now.instant);
        let text = MemberText::write(|out| {
            let (seq, player, status, reason, players) = (None, None, None, None, None);
            ServerFrame::Presence { seq, player, status, reason, players, count: Some(self.seats.len()) }.write(out);
        });
        effects.push(Effect::Broadcast { text, named: None });
    }
}
