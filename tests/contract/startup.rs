//! Owns the tests of the start: settings, exit codes, secrets that stay secret, platforms (A10, A12).
//! Run by `cargo test --test contract`.
