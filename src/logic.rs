//! Owns the face for programs that bring their own rules: the trait, what a turn may do, and a
//! table to test rules on.

pub use crate::{
    protocol::{
        GameId, PlayerId, RawJson,
        ids::InvalidId,
        number::{optional_whole, whole},
    },
    room::{PatchError, Rejection, Request, RoomLogic, Turn},
};

/// Tests of rules without a server.
pub mod testing {
    pub use crate::room::testing::{SeenEvent, Table, TableOutcome};
}
