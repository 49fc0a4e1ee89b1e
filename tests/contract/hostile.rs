//! Owns the tests of peers that mean harm: floods, stalls, storms; memory stays bounded and the room notices nothing (S6, S4).
//! Run by `cargo test --test contract`.
