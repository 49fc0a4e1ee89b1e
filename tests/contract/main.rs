//! Owns the tests of the contract (docs/protocol.md) against the real server: one binary, one
//! module a topic.

#![allow(unreachable_pub)] // A program has no API: `pub` is what another module of it may use.

mod admission;
mod api;
mod auth;
mod bans;
mod bytes;
mod claims;
mod commands;
mod documents;
mod drain;
mod fakes;
mod faults;
mod feeds;
mod frames;
mod front;
mod frozen;
mod heartbeat;
mod histories;
mod hostile;
mod hub;
mod load;
mod logic;
mod logs;
mod migrate;
mod names;
mod numbers;
mod pages;
mod play;
mod poison;
mod presence;
mod proxy;
mod recipients;
mod reports;
mod restart;
mod resume;
mod room_bounds;
mod rooms;
mod routes;
mod sockets;
mod spectators;
mod startup;
mod state;
mod support;
mod takeover;
mod volatile;
mod warnings;
