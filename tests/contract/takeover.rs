//! Owns the tests of two connections for one seat (S7).
//! Run by `cargo test --test contract`.
