//! Owns rooms: the log, seats, presence, the shared state and the game's rules; one actor per game.
//! Called by `registry`, which opens rooms, and `connection`, which joins them through a `RoomHandle`.

mod actor;
mod delivery;
mod document;
mod effect;
mod handle;
mod history;
mod logic;
mod logics;
pub mod messages;
mod relay;
mod seats;
mod state;
#[cfg(test)]
mod state_tests;
mod tic_tac_toe;
mod turn;

pub use actor::{Room, RoomSetting};
pub use handle::{Busy, RoomHandle};
pub use logic::{Rejection, Request, RoomLogic};
pub use logics::{LogicFactory, Logics};
pub use messages::Entry;
pub use turn::Turn;
