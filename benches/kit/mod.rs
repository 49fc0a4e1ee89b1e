//! Owns what the benchmarks share: the server under measurement, cheap sockets, the arithmetic of samples.
//! Called by benches/durability and benches/feeds; each uses a part of it.

#![allow(dead_code)]

pub mod figures;
pub mod server;
pub mod socket;
