//! Owns the tests of the contract (docs/protocol.md) against the real server: one binary, one module a topic.
//! Run by `cargo test --test contract`.

mod admission;
mod api;
mod auth;
mod bytes;
mod claims;
mod commands;
mod documents;
mod drain;
mod fakes;
mod faults;
mod feeds;
mod frames;
mod heartbeat;
mod hostile;
mod hub;
mod logic;
mod logs;
mod migrate;
mod numbers;
mod pages;
mod play;
mod presence;
mod proxy;
mod reports;
mod restart;
mod resume;
mod rooms;
mod routes;
mod spectators;
mod startup;
mod state;
mod support;
mod takeover;
mod volatile;
mod warnings;
