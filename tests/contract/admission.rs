//! Owns the tests of the door: switches, origins, rates, limits, paths (section 2, A1 to A6, A8, A9, P1, P3).
//! Run by `cargo test --test contract`.
