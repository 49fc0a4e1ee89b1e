//! Owns a game with a clock: players steer, the server moves them twenty times a second. Run:
//! `cargo run --example arena`, connect to `/ws/arena-1/{player}` and send `{"dx":1,"dy":0}`.

use std::time::Duration;

use innkeeper::{
    Innkeeper,
    config::{Config, Overrides},
    logic::{PlayerId, Rejection, Request, RoomLogic, Turn},
};
use serde_json::{Map, Value, json};

/// Units of the field in either direction.
const SIZE: i64 = 1000;
/// Units a tick.
const SPEED: i64 = 5;

/// The state is `{"players":{"alice":{"x":500,"y":500,"dx":0,"dy":0}}}`.
struct Arena;

/// Each direction is -1, 0 or 1.
#[derive(serde::Deserialize)]
struct Steer {
    dx: i64,
    dy: i64,
}

impl RoomLogic for Arena {
    fn initial_state(&self) -> Value {
        json!({ "players": {} })
    }

    fn join(&mut self, turn: &mut Turn<'_>, player: &PlayerId) {
        let (x, y) = (turn.random_below(SIZE as u64), turn.random_below(SIZE as u64));
        let placed = turn.patch(json!({ "players": { player.as_str(): { "x": x, "y": y, "dx": 0, "dy": 0 } } }));
        if placed.is_err() {
            turn.send_to(std::slice::from_ref(player), &json!({ "full": true }));
        }
    }

    fn leave(&mut self, turn: &mut Turn<'_>, player: &PlayerId) {
        // A removal never exceeds the bound of the state.
        let _ = turn.patch(json!({ "players": { player.as_str(): null } }));
    }

    fn message(&mut self, turn: &mut Turn<'_>, request: &Request) -> Result<(), Rejection> {
        let wrong = || Rejection::new("illegal_move", "send {\"dx\":…,\"dy\":…}, each -1, 0 or 1");
        let Steer { dx, dy } = request.data.decode().map_err(|_| wrong())?;
        if dx.abs() > 1 || dy.abs() > 1 {
            return Err(wrong());
        }
        turn.patch(json!({ "players": { request.from.as_str(): { "dx": dx, "dy": dy } } }))?;
        turn.hide_request();
        Ok(())
    }

    fn tick(&mut self, turn: &mut Turn<'_>) {
        let mut moved = Map::new();
        for (player, at) in turn.state()["players"].as_object().into_iter().flatten() {
            let number = |name: &str| at[name].as_i64().unwrap_or(0);
            let step = |from, direction| (number(from) + SPEED * number(direction)).clamp(0, SIZE);
            let (x, y) = (step("x", "dx"), step("y", "dy"));
            if (x, y) != (number("x"), number("y")) {
                moved.insert(player.clone(), json!({ "x": x, "y": y }));
            }
        }
        // Sends nothing if nothing has moved.
        if !moved.is_empty() {
            let _ = turn.patch(json!({ "players": moved }));
        }
    }

    fn tick_interval(&self) -> Option<Duration> {
        Some(Duration::from_millis(50))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::load(Overrides::default())?;
    Innkeeper::new(config).logic("arena", "arena-", |_game| Arena).run()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use innkeeper::logic::testing::Table;

    use super::*;

    #[test]
    fn a_player_moves_while_it_steers_and_stops_at_the_wall() {
        let mut table = Table::new(Arena);
        let before = table.join("alice").state()["players"]["alice"]["x"].as_i64().expect("a place");
        table.message("alice", json!({ "dx": 1, "dy": 0 }));
        let x = |state: &Value| state["players"]["alice"]["x"].as_i64().expect("a place");
        assert_eq!(x(&table.pass(Duration::from_millis(100)).state), (before + 2 * SPEED).min(SIZE));
        assert_eq!(x(&table.pass(Duration::from_secs(60)).state), SIZE);
        assert!(table.pass(Duration::from_secs(1)).events.is_empty(), "nobody is told that nothing has moved");
    }

    #[test]
    fn a_wrong_direction_is_refused_and_who_leaves_is_gone() {
        let mut table = Table::new(Arena);
        let refused = table.join("alice").message("alice", json!({ "dx": 2, "dy": 0 }));
        assert_eq!(refused.error.expect("an error")["code"], "illegal_move");
        assert_eq!(table.leave("alice").state(), json!({ "players": {} }));
    }
}
