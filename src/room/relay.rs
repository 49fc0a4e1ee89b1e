//! Owns the default logic: allows every message and patch, for the members that the sender chose.

use super::{
    logic::{Rejection, Request, RoomLogic},
    turn::Turn,
};

/// Allows every request and emits nothing.
pub(super) struct Relay;

impl RoomLogic for Relay {
    fn message(&mut self, _turn: &mut Turn<'_>, _request: &Request) -> Result<(), Rejection> {
        Ok(())
    }

    fn patch(&mut self, _turn: &mut Turn<'_>, _request: &Request) -> Result<(), Rejection> {
        Ok(())
    }
}
