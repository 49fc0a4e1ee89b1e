//! Owns connections: one actor per socket, and a pure state machine that decides how to handle each
//! frame and each deadline.

mod actor;
mod heartbeat;
mod machine;
mod rates;
mod terms;

pub(crate) use actor::{AdmittedSocket, Connection, turn_away};
pub(crate) use machine::Credentials;
pub(crate) use terms::Terms;
