//! Owns everything that arrives as HTTP: WebSocket upgrades and the plain routes.

mod admission;
mod answer;
mod api;
mod cors;
mod flow;
mod headers;
mod listener;
mod pages;
mod routes;
mod stream;
mod upgrade;
mod ws_health;

pub use admission::Admission;
pub use listener::{bind, service};
pub use routes::{Duty, Site};
pub use stream::SocketPermits;
pub use upgrade::Entrance;
