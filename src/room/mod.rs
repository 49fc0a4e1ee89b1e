//! Owns rooms: the log, seats, presence, the shared state and the game's rules; one actor per game.

mod actor;
mod ask;
mod audience;
mod bans;
mod delivery;
mod demo_table;
pub(crate) mod describe;
mod document;
mod effect;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod handle;
mod history;
pub(crate) mod inspect;
mod ledger;
mod lineage;
mod log;
mod logic;
mod logics;
pub(crate) mod messages;
mod opening;
mod outlet;
mod record;
mod recovery;
mod relay;
mod rooms;
mod seat;
mod seats;
mod state;
#[cfg(test)]
mod state_tests;
mod text;
mod tic_tac_toe;
mod turn;

pub(crate) use crate::store::{BodyHash, IdempotencyKey, KeyHash, KeyMismatch};
pub(crate) use actor::{Room, RoomHome, RoomSetting};
pub(crate) use ask::{OperateRefusal, RoomDescription};
pub(crate) use delivery::BANNED;
pub(crate) use handle::RoomHandle;
pub(crate) use ledger::{Ledger, Till};
pub use logic::{Rejection, Request, RoomLogic};
pub(crate) use logics::Logics;
pub(crate) use opening::Opener;
pub(crate) use outlet::{Deferred, show_settled};
pub(crate) use recovery::{has_ban, has_seat};
pub(crate) use rooms::{RoomEvents, RoomLogs, Rooms};
pub(crate) use seat::SeatTarget;
pub(crate) use state::testing;
pub use turn::{PatchError, Turn};
