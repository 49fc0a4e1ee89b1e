//! Owns the default logic: every message and every patch is allowed, to whomever its sender chose.

use super::{
    logic::{Rejection, Request, RoomLogic},
    turn::Turn,
};

/// Passes everything on.
pub struct Relay;

impl RoomLogic for Relay {
    fn message(&mut self, _turn: &mut Turn<'_>, _request: &Request) -> Result<(), Rejection> {
        Ok(())
    }

    fn patch(&mut self, _turn: &mut Turn<'_>, _request: &Request) -> Result<(), Rejection> {
        Ok(())
    }
}
