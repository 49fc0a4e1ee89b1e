//! Owns the rules of the demo's room: a shared board to draw on, the last lines of the chat, and
//! tic-tac-toe.

use std::collections::BTreeMap;

use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value, json};

use super::{
    logic::{Rejection, Request, RoomLogic},
    tic_tac_toe::TicTacToe,
    turn::Turn,
};
use crate::protocol::{PlayerId, error_code};

/// The bounds of the kept chat, which leave the strokes their part of `MAX_STATE_BYTES`.
const LINES: usize = 50;
const LINES_BYTES: usize = 48 * 1024;
/// The longest line, in bytes.
const LINE_BYTES: usize = 8 * 1024;
/// The only field of the state that players may patch themselves.
const STROKES: &str = "strokes";

/// The state is that of tic-tac-toe plus `"strokes"` and
/// `"chat":{"000000001":{"from":player,"text":"…"}}`. The keys of the chat give its order.
pub(super) struct DemoTable;

/// A player's message other than a move: a chat line, or taking or giving up a mark.
#[derive(Deserialize)]
struct Say {
    chat: Option<String>,
    sit: Option<bool>,
    stand: Option<bool>,
}

impl RoomLogic for DemoTable {
    fn unread_field(&self) -> Option<&'static str> {
        Some(STROKES)
    }

    fn initial_state(&self) -> Value {
        TicTacToe.initial_state()
    }

    /// A new player gets no mark: `sit` asks for one.
    fn leave(&mut self, turn: &mut Turn<'_>, player: &PlayerId) {
        TicTacToe.leave(turn, player);
    }

    fn message(&mut self, turn: &mut Turn<'_>, request: &Request) -> Result<(), Rejection> {
        let say: Option<Say> = request.data.as_str().starts_with('{').then(|| request.data.decode().ok()).flatten();
        match say {
            Some(Say { chat: Some(text), .. }) => {
                if text.len() > LINE_BYTES {
                    return Err(Rejection::new(
                        error_code::INVALID_FIELD,
                        format!("a line may have {LINE_BYTES} bytes"),
                    ));
                }
                let patch = lines(&turn.state()["chat"], &request.from, &text);
                turn.patch(json!({ "chat": patch }))?;
                Ok(())
            }
            Some(Say { sit: Some(true), .. }) => {
                let marks = &turn.state()["marks"];
                if ["X", "O"].iter().all(|mark| !marks[mark].is_null() && marks[mark] != request.from.as_str()) {
                    return Err(Rejection::new("illegal_move", "both seats are taken"));
                }
                TicTacToe.join(turn, &request.from);
                Ok(())
            }
            Some(Say { stand: Some(true), .. }) => {
                TicTacToe.leave(turn, &request.from);
                Ok(())
            }
            _ => TicTacToe.message(turn, request),
        }
    }

    fn patch(&mut self, _turn: &mut Turn<'_>, request: &Request) -> Result<(), Rejection> {
        let patch: Option<BTreeMap<String, IgnoredAny>> = request.data.decode().ok();
        if patch.is_some_and(|patch| patch.keys().all(|key| key == STROKES)) {
            return Ok(());
        }
        Err(Rejection::new(error_code::FORBIDDEN, "players change the strokes; chat and game change by their rules"))
    }
}

/// Returns the patch that adds a line and removes the oldest lines past the bounds.
fn lines(chat: &Value, from: &PlayerId, text: &str) -> Value {
    let cost = |line: &Value| line["from"].as_str().map_or(0, str::len) + line["text"].as_str().map_or(0, str::len);
    let mut kept: Vec<(&str, usize)> = Vec::new();
    for (key, line) in chat.as_object().into_iter().flatten() {
        kept.push((key.as_str(), cost(line)));
    }
    kept.sort_unstable();
    let newest: u64 = kept.last().and_then(|(key, _)| key.parse().ok()).unwrap_or(0);
    let line = json!({ "from": from, "text": text });
    let (mut count, mut bytes) = (kept.len() + 1, kept.iter().map(|(_, cost)| cost).sum::<usize>() + cost(&line));
    let mut patch = Map::new();
    for (key, cost) in kept {
        if count <= LINES && bytes <= LINES_BYTES {
            break;
        }
        count -= 1;
        bytes -= cost;
        patch.insert(key.to_owned(), Value::Null);
    }
    patch.insert(format!("{:09}", newest + 1), line);
    Value::Object(patch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn player() -> PlayerId {
        PlayerId::parse("alice").expect("an id")
    }

    /// The chat after these lines, merged as a room merges them.
    fn chat(texts: impl Iterator<Item = String>) -> Map<String, Value> {
        let mut chat = Map::new();
        for text in texts {
            let Value::Object(patch) = lines(&Value::Object(chat.clone()), &player(), &text) else {
                panic!("no patch")
            };
            for (key, line) in patch {
                if line.is_null() {
                    chat.remove(&key);
                } else {
                    chat.insert(key, line);
                }
            }
        }
        chat
    }

    #[test]
    fn the_last_fifty_lines_stay_in_their_order() {
        let chat = chat((1..=70).map(|n| format!("line {n}")));
        let mut keys: Vec<_> = chat.keys().collect();
        keys.sort();
        assert_eq!(keys.len(), 50);
        assert_eq!(chat[keys[0]], json!({"from": "alice", "text": "line 21"}));
        assert_eq!(chat[keys[49]]["text"], "line 70");
    }

    #[test]
    fn long_lines_leave_the_strokes_their_part_of_the_state() {
        let chat = chat((0..20).map(|n| format!("{n:08}").repeat(1000)));
        assert_eq!(chat.len(), 6, "of 8 kB each");
        assert!(chat.values().any(|line| line["text"].as_str().is_some_and(|text| text.starts_with("00000019"))));
    }

    #[test]
    fn a_chat_that_is_none_begins_anew() {
        assert_eq!(lines(&json!(7), &player(), "hi"), json!({"000000001": {"from": "alice", "text": "hi"}}));
    }
}
