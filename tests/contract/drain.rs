//! Owns the tests of SIGTERM and SIGINT (D4, close 1012).
//! Run by `cargo test --test contract`.
