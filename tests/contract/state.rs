//! Owns the tests of the shared document: patches, conflicts, bounds (3.1, RFC 7396).
//! Run by `cargo test --test contract`.
