//! Owns a small game with its own logic: the first to count to the goal wins. Run:
//! `cargo run --example counter`.

use innkeeper::{
    Innkeeper,
    config::{Config, Overrides},
    logic::{PlayerId, Rejection, Request, RoomLogic, Turn, whole},
};
use serde_json::json;

/// The rules: players take turns at will, each message is `{"add":1..3}`, the player who reaches 10
/// wins, and the game starts over.
struct Counter;

#[derive(serde::Deserialize)]
struct Add {
    /// Some clients write `1.0`.
    #[serde(deserialize_with = "whole")]
    add: u64,
}

impl RoomLogic for Counter {
    fn initial_state(&self) -> serde_json::Value {
        json!({ "count": 0 })
    }

    fn join(&mut self, turn: &mut Turn<'_>, player: &PlayerId) {
        turn.send_to(std::slice::from_ref(player), &json!({ "hello": player, "add": "1 to 3" }));
    }

    fn message(&mut self, turn: &mut Turn<'_>, request: &Request) -> Result<(), Rejection> {
        let wrong = |_| Rejection::new("illegal_move", "send {\"add\":1..3}");
        let Add { add } = request.data.decode().map_err(wrong)?;
        if !(1..=3).contains(&add) {
            return Err(Rejection::new("illegal_move", "add 1, 2 or 3"));
        }
        let count = turn.state()["count"].as_u64().unwrap_or(0) + add;
        if count >= 10 {
            turn.send(&json!({ "winner": request.from }));
            turn.patch(json!({ "count": 0 }))?;
        } else {
            turn.patch(json!({ "count": count }))?;
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::load(Overrides::default())?;
    Innkeeper::new(config).logic("counter", "counter-", |_game| Counter).run()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use innkeeper::logic::testing::Table;

    use super::*;

    #[test]
    fn whoever_reaches_ten_wins_and_the_count_starts_over() {
        let mut table = Table::new(Counter);
        for count in [3, 6, 9] {
            assert_eq!(table.join("alice").message("alice", json!({ "add": 3 })).state, json!({ "count": count }));
        }
        let won = table.message("alice", json!({ "add": 1.0 }));
        assert!(won.events.iter().any(|event| event.frame["data"] == json!({ "winner": "alice" })));
        assert_eq!(won.state, json!({ "count": 0 }));
        assert_eq!(table.message("alice", json!({ "add": 4 })).error.expect("an error")["code"], "illegal_move");
    }
}
