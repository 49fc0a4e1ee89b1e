//! Owns the tests of pings, signs of life, and silence (B1, B2).
//! Run by `cargo test --test contract`.
