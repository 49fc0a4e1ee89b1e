//! Owns a room logic that does everything a logic may do, and also tries what is refused.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    protocol::PlayerId,
    room::{Rejection, Request, RoomLogic, Turn},
};

/// Uses every means of a logic.
pub(super) struct Talkative;

impl RoomLogic for Talkative {
    fn join(&mut self, turn: &mut Turn<'_>, player: &PlayerId) {
        let card = turn.random_below(52);
        turn.send_to(std::slice::from_ref(player), &json!({ "card": card }));
        let _ = turn.patch(json!({ "players": turn.players().len() }));
    }

    fn leave(&mut self, turn: &mut Turn<'_>, player: &PlayerId) {
        let _ = turn.patch(json!({ "players": turn.players().len(), "gone": { player.as_str(): true } }));
    }

    fn message(&mut self, turn: &mut Turn<'_>, request: &Request) -> Result<(), Rejection> {
        match request.data.as_str() {
            "1" => turn.hide_request(),
            "2" => turn.send(&"said of what is refused"),
            "3" => turn.send_to(&turn.players(), &"to those who are here"),
            _ => {}
        }
        let _ = turn.patch(json!({ "said": request.data.decode::<Value>().unwrap_or_default() }));
        if request.data.as_str() == "2" { Err(Rejection::new("refused", "two is refused")) } else { Ok(()) }
    }

    fn patch(&mut self, _: &mut Turn<'_>, _: &Request) -> Result<(), Rejection> {
        Ok(())
    }

    fn tick(&mut self, turn: &mut Turn<'_>) {
        let _ = turn.patch(json!({ "ticked": turn.now_ms() }));
    }

    fn tick_interval(&self) -> Option<Duration> {
        Some(Duration::from_millis(300))
    }
}
