//! Owns the tests of plain HTTP: health, ready, metrics, client-config, split listeners (section 1).
//! Run by `cargo test --test contract`.
