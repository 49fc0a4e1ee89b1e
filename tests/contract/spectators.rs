//! Owns the tests of those who only watch (S10).
//! Run by `cargo test --test contract`.
