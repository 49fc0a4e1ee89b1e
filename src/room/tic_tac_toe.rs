//! Owns an authoritative game of tic-tac-toe: the board is in the room's document, and only legal
//! moves change it.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    logic::{Rejection, Request, RoomLogic},
    turn::Turn,
};
use crate::protocol::{PlayerId, number::optional_whole};

/// The eight winning lines, as cells 0 to 8, row by row.
const LINES: [[usize; 3]; 8] = [[0, 1, 2], [3, 4, 5], [6, 7, 8], [0, 3, 6], [1, 4, 7], [2, 5, 8], [0, 4, 8], [2, 4, 6]];

/// Stateless. The document has `"board":[null|"X"|"O";9]`, `"marks":{"X":player,"O":player}`,
/// `"turn":"X"|"O"` and `"winner":null|"X"|"O"|"draw"`.
pub(super) struct TicTacToe;

/// A player's message: `{"move":0..8}`, or `{"restart":true}` when the game is over.
#[derive(Deserialize)]
struct Play {
    #[serde(rename = "move", default, deserialize_with = "optional_whole")]
    cell: Option<u64>,
    restart: Option<bool>,
}

fn illegal(message: &str) -> Rejection {
    Rejection::new("illegal_move", message)
}

fn mark_of(state: &Value, player: &PlayerId) -> Option<&'static str> {
    ["X", "O"].into_iter().find(|mark| state["marks"][mark] == player.as_str())
}

fn board(state: &Value) -> [Option<&str>; 9] {
    std::array::from_fn(|cell| state["board"][cell].as_str())
}

fn outcome(board: &[Option<&str>; 9]) -> Value {
    for [a, b, c] in LINES {
        if board[a].is_some() && board[a] == board[b] && board[b] == board[c] {
            return json!(board[a]);
        }
    }
    if board.iter().all(Option::is_some) { json!("draw") } else { Value::Null }
}

impl RoomLogic for TicTacToe {
    fn initial_state(&self) -> Value {
        json!({ "board": [null, null, null, null, null, null, null, null, null], "marks": {}, "turn": "X", "winner": null })
    }

    /// Gives the player a free mark, if there is one. Without a mark it watches.
    fn join(&mut self, turn: &mut Turn<'_>, player: &PlayerId) {
        if mark_of(turn.state(), player).is_some() {
            return;
        }
        if let Some(mark) = ["X", "O"].into_iter().find(|mark| turn.state()["marks"][mark].is_null()) {
            // Past MAX_STATE_BYTES no mark can be given; the room counts and logs the refused
            // patch.
            let _ = turn.patch(json!({ "marks": { mark: player } }));
        }
    }

    /// Frees the player's mark. The next player to join continues the game.
    fn leave(&mut self, turn: &mut Turn<'_>, player: &PlayerId) {
        if let Some(mark) = mark_of(turn.state(), player) {
            let _ = turn.patch(json!({ "marks": { mark: null } }));
        }
    }

    fn message(&mut self, turn: &mut Turn<'_>, request: &Request) -> Result<(), Rejection> {
        // serde would read `[0]` as the fields in their order.
        let play: Option<Play> = request.data.as_str().starts_with('{').then(|| request.data.decode().ok()).flatten();
        let play = play.ok_or_else(|| illegal("send {\"move\":0..8} or {\"restart\":true}"))?;
        let state = turn.state();
        let mark = mark_of(state, &request.from).ok_or_else(|| illegal("you are watching: both marks are taken"))?;
        let over = !state["winner"].is_null();
        if play.restart == Some(true) {
            if !over {
                return Err(illegal("the game is not over"));
            }
            let fresh = self.initial_state();
            turn.patch(json!({ "board": fresh["board"], "turn": "X", "winner": null }))?;
            return Ok(());
        }
        let cell = play.cell.filter(|cell| *cell < 9).ok_or_else(|| illegal("move is a cell from 0 to 8"))? as usize;
        if over {
            return Err(illegal("the game is over; send {\"restart\":true}"));
        }
        if state["turn"] != mark {
            return Err(illegal("it is the other player's turn"));
        }
        let mut board = board(state);
        if board[cell].is_some() {
            return Err(illegal("that cell is taken"));
        }
        board[cell] = Some(mark);
        let next = if mark == "X" { "O" } else { "X" };
        let patch = json!({ "board": board, "turn": next, "winner": outcome(&board) });
        Ok(turn.patch(patch)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_in_a_line_win_and_a_full_board_without_one_is_a_draw() {
        let of = |text: &str| {
            let cells: Vec<Option<&str>> = text
                .chars()
                .map(|c| {
                    if c == 'X' {
                        Some("X")
                    } else if c == 'O' {
                        Some("O")
                    } else {
                        None
                    }
                })
                .collect();
            outcome(&cells.try_into().expect("nine cells"))
        };
        assert_eq!(of("XXX......"), "X");
        assert_eq!(of("O..XO.X.O"), "O");
        assert_eq!(of("XOXXOOOXX"), "draw");
        assert_eq!(of("........."), Value::Null);
    }
}
