//! Owns the tests of error reports: a panic reaches the collector, a token does not (A12).
//! Run by `cargo test --test contract`.
