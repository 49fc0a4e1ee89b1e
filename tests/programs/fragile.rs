//! Owns a room logic that breaks on purpose, to show what a panic costs: its own room, and nothing
//! else. `tests/contract/logic.rs` runs it. Run: `cargo run --example fragile`, then send
//! `{"break":true}`.

use innkeeper::{
    Innkeeper,
    config::{Config, Overrides},
    logic::{Rejection, Request, RoomLogic, Turn},
};

struct Fragile;

impl RoomLogic for Fragile {
    fn message(&mut self, _turn: &mut Turn<'_>, request: &Request) -> Result<(), Rejection> {
        assert!(!request.data.as_str().contains("break"), "told to break: {}", request.data.as_str());
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::load(Overrides::default())?;
    Innkeeper::new(config).logic("fragile", "fragile-", |_game| Fragile).run()?;
    Ok(())
}
