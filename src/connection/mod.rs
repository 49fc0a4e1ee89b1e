//! Owns connections: one actor per socket, and a pure state machine that decides how to handle each
//! frame and each deadline.

mod actor;
mod heartbeat;
mod machine;
mod pass;
mod rates;

pub use actor::{AdmittedSocket, Connection, turn_away};
pub use machine::Credentials;
pub use pass::{Target, Terms};
