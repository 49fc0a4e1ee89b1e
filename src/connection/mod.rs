//! Owns connections: one actor per socket, around a pure machine that decides what each frame and
//! each timeout means.

mod actor;
mod heartbeat;
mod machine;
mod pass;
mod rates;

pub use actor::{AdmittedSocket, Connection, turn_away};
pub use machine::Credentials;
pub use pass::{Target, Terms};
