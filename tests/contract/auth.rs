//! Owns the tests of tokens: where they come from, what they must say, when they run out (A7, A10 to A13).
//! Run by `cargo test --test contract`.
