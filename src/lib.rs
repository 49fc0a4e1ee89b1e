//! Owns the code map of Innkeeper; see ARCHITECTURE.md for who may import whom, and why.
//!
//! A program of its own needs [`Innkeeper`], [`Config`] and [`logic::RoomLogic`].
//! [`Innkeeper::run`] serves until a signal; [`Innkeeper::start`] serves beside the program and
//! gives back a [`Running`] server.
//!
//! ```
//! use std::collections::HashMap;
//!
//! use innkeeper::{
//!     Config, Innkeeper,
//!     logic::{Rejection, Request, RoomLogic, Turn},
//! };
//! use serde_json::json;
//!
//! /// Each message counts.
//! struct Counter;
//!
//! impl RoomLogic for Counter {
//!     fn message(&mut self, turn: &mut Turn<'_>, _: &Request) -> Result<(), Rejection> {
//!         let count = turn.state()["count"].as_u64().unwrap_or(0) + 1;
//!         turn.patch(json!({ "count": count }))?;
//!         Ok(())
//!     }
//! }
//!
//! let settings = HashMap::from([("HOST", "127.0.0.1"), ("PORT", "0"), ("DURABILITY", "memory")]);
//! let config = Config::from_source(&settings, None, Default::default())?;
//! let server = Innkeeper::new(config).logic("counter", "counter-", |_| Counter).start()?;
//! println!("players connect to ws://{}/ws/counter-1/alice", server.address());
//! server.stop()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Rules are tested without a server on a [`logic::testing::Table`].

mod app;
mod budget;
mod call;
mod clock;
pub mod config;
mod connection;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod gate;
mod http;
mod hub;
mod inspect;
#[doc(hidden)]
pub mod internals;
mod load;
pub mod logic;
mod observe;
mod protocol;
mod proxy;
mod registry;
mod room;
mod service;
pub mod store;
mod token;
mod whereabouts;
mod ws;

pub use app::{Innkeeper, Running, StartError};
pub use config::Config;
