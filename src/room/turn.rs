//! Owns what a logic can see and do in one call: players, state, clock, randomness, and emissions.
//! `room::state` makes it and carries the emissions out.

use std::{cell::OnceCell, fmt};

use serde::Serialize;
use serde_json::Value;

use super::{
    document::{Document, Patch},
    logic::Rejection,
    seats::Seats,
};
use crate::protocol::{
    EventRequest, GameId, PlayerId, RawJson, error_code,
    json::{MAX_DEPTH, is_deeper},
};

/// Why a logic's patch is not appended. The room counts refused patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchError {
    NotAnObject,
    /// Clients could not parse the frame (P2).
    TooDeep,
    /// The state would grow past `MAX_STATE_BYTES`.
    TooLarge,
}

impl fmt::Display for PatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAnObject => "a patch is an object (RFC 7396)",
            Self::TooDeep => "arrays and objects of a patch may nest 126 deep at most",
            Self::TooLarge => "the room's state would grow past MAX_STATE_BYTES",
        })
    }
}

impl std::error::Error for PatchError {}

/// Lets a logic fail a request with `?` when its own patch is refused.
impl From<PatchError> for Rejection {
    fn from(error: PatchError) -> Self {
        let code = match error {
            PatchError::NotAnObject => error_code::INVALID_FIELD,
            PatchError::TooDeep => error_code::TOO_DEEP,
            PatchError::TooLarge => error_code::STATE_TOO_LARGE,
        };
        Self::new(code, error.to_string())
    }
}

/// One call of a logic. Its emissions are appended in order, behind the request that caused them.
/// If the logic refuses the request, they are dropped.
pub struct Turn<'a> {
    pub(super) game: &'a GameId,
    pub(super) seats: &'a Seats,
    pub(super) document: &'a Document,
    /// The player's patch that the logic judges. It is applied before the logic's own patches.
    pub(super) request: Option<&'a Patch>,
    /// An upper bound of the bytes that all patches of the turn add to the state.
    pub(super) patch_bytes: usize,
    pub(super) refused_patches: &'a mut u32,
    pub(super) now_ms: u64,
    pub(super) random: &'a mut fastrand::Rng,
    /// The events that the logic appends as `@server`.
    pub(super) emissions: &'a mut Vec<EventRequest<Patch>>,
    pub(super) sender_only: bool,
    /// The document with this turn's patches. Made when the logic reads it after the first of them.
    pub(super) draft: OnceCell<Value>,
}

impl Turn<'_> {
    pub fn game(&self) -> &GameId {
        self.game
    }

    /// Returns all players with a seat, away or not, in no particular order.
    pub fn players(&self) -> Vec<PlayerId> {
        self.seats.players().cloned().collect()
    }

    /// Returns the document with the patches that this turn has made so far, but without the
    /// request that the turn is about, and without the logic's
    /// [`unread_field`](super::logic::RoomLogic::unread_field). The first call makes the room keep
    /// its document as a [`Value`] too, which takes many times the memory of the text. A call after
    /// a patch of the same turn copies that [`Value`] once.
    pub fn state(&self) -> &Value {
        if self.own_patches().next().is_none() {
            return self.document.view();
        }
        self.draft.get_or_init(|| {
            let mut draft = self.document.view().clone();
            self.own_patches().for_each(|patch| patch.merge_into(&mut draft));
            draft
        })
    }

    fn own_patches(&self) -> impl Iterator<Item = &Patch> {
        self.emissions.iter().filter_map(|emission| match emission {
            EventRequest::Patch { patch, .. } => Some(patch),
            EventRequest::Message { .. } => None,
        })
    }

    /// Returns the room's clock, in milliseconds since 1970. Use it instead of the system's.
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// Returns a random number below `bound` (0 if `bound` is 0). Use it instead of any other
    /// randomness.
    pub fn random_below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.random.u64(..bound) }
    }

    /// Appends a message from `@server` for everyone.
    pub fn send(&mut self, data: &impl Serialize) {
        self.emissions.push(EventRequest::Message { data: RawJson::from_serialize(data), to: None });
    }

    /// Appends a message from `@server` that only these players see. Players without a seat are
    /// left out.
    pub fn send_to(&mut self, players: &[PlayerId], data: &impl Serialize) {
        let to = Some(players.to_vec());
        self.emissions.push(EventRequest::Message { data: RawJson::from_serialize(data), to });
    }

    /// Merges a patch into the room's document (RFC 7396), as `@server`.
    ///
    /// # Errors
    /// [`PatchError`]: this patch is dropped; the rest of the turn is carried out.
    pub fn patch(&mut self, patch: Value) -> Result<(), PatchError> {
        let patch = self.checked(&patch).inspect_err(|_| *self.refused_patches += 1)?;
        if let Some(draft) = self.draft.get_mut() {
            patch.merge_into(draft);
        }
        self.emissions.push(EventRequest::Patch { patch, if_seq: None });
        Ok(())
    }

    fn checked(&mut self, patch: &Value) -> Result<Patch, PatchError> {
        let text = RawJson::from_serialize(patch);
        if is_deeper(text.as_str(), MAX_DEPTH - 1) {
            return Err(PatchError::TooDeep);
        }
        let patch = Patch::parse(text).ok_or(PatchError::NotAnObject)?;
        let bytes = self.patch_bytes + patch.text().as_str().len();
        if !self.document.has_room(bytes) {
            let all = self.request.into_iter().chain(self.own_patches()).chain([&patch]);
            if !self.document.has_room_for(all) {
                return Err(PatchError::TooLarge);
            }
        }
        self.patch_bytes = bytes;
        Ok(patch)
    }

    /// Shows the request of this turn to its sender only, for secret moves.
    pub fn hide_request(&mut self) {
        self.sender_only = true;
    }
}
