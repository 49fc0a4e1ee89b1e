//! Owns the code map of Innkeeper; see ARCHITECTURE.md for who may import whom, and why.
//!
//! A program of its own needs [`Innkeeper`], [`config::Config`] and [`room::RoomLogic`];
//! `examples/counter.rs` shows all three.

mod app;
mod budget;
mod call;
mod clock;
pub mod config;
mod connection;
mod gate;
mod http;
mod hub;
mod inspect;
pub mod observe;
pub mod protocol;
mod proxy;
mod registry;
pub mod room;
pub mod store;
mod token;
mod whereabouts;
mod ws;

pub use app::{Innkeeper, StartError};
pub use call::{Call, CallError, call};
pub use inspect::{InspectError, Inspection, inspect};
pub use token::{MintedClaims, mint, parse_ttl};
