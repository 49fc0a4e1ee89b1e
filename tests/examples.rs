//! Owns the tests of the examples' rules, each beside its rules. `cargo test` also builds the
//! examples as programs, for the contract tests: were these tests of the example targets, it would
//! build those as tests alone.

#![allow(dead_code)] // Their `main` functions.

#[path = "../examples/arena.rs"]
mod arena;
#[path = "../examples/counter.rs"]
mod counter;
