//! Owns the tests of values that only matter while they are new (S8).
//! Run by `cargo test --test contract`.
