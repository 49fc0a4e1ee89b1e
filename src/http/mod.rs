//! Owns everything that arrives as HTTP: WebSocket upgrades and the plain routes.

mod admission;
mod answer;
mod api;
mod cors;
mod flow;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod headers;
mod listener;
mod pages;
mod routes;
mod stream;
mod upgrade;
mod ws_health;

pub(crate) use admission::Admission;
pub(crate) use listener::{bind, service};
pub(crate) use routes::{Duty, Site};
pub(crate) use stream::SocketPermits;
pub(crate) use upgrade::Entrance;
