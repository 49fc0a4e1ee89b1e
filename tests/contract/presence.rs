//! Owns the tests of who is here: joined, away, back, left, and the count in big rooms (R4, R6, S9).
//! Run by `cargo test --test contract`.
