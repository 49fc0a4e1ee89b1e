//! Owns rooms: the log, seats, presence, the shared state and the game's rules; one actor per game.

mod actor;
mod audience;
mod bans;
mod delivery;
mod demo_table;
pub mod describe;
mod document;
mod effect;
mod handle;
mod history;
pub mod inspect;
mod ledger;
mod lineage;
mod log;
mod logic;
mod logics;
pub mod messages;
mod outlet;
mod record;
mod recovery;
mod relay;
mod seats;
mod state;
#[cfg(test)]
mod state_tests;
mod tic_tac_toe;
mod turn;

pub use crate::store::{BodyHash, IdempotencyKey, KeyHash, KeyMismatch};
pub use actor::{Room, RoomHome, RoomSetting};
pub use delivery::BANNED;
pub use handle::{Busy, RoomHandle};
pub use ledger::{Ledger, Till};
pub use logic::{Rejection, Request, RoomLogic};
pub use logics::{LogicFactory, Logics};
pub use messages::Membership;
pub use outlet::{Deferred, show_settled};
pub use recovery::{has_ban, has_seat};
pub use state::testing;
pub use turn::{PatchError, Turn};
