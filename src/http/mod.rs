//! Owns everything that arrives as HTTP: the upgrade of players, and the plain routes.
//! Called by `app`, which gives each listener one service.

mod answer;
mod api;
mod cors;
mod door;
mod flow;
mod headers;
mod listener;
mod pages;
mod routes;
mod stream;
mod upgrade;
mod ws_health;

pub use door::Admission;
pub use listener::{bind, service};
pub use routes::{Duty, Site};
pub use stream::SocketPermits;
pub use upgrade::Entrance;
