//! Owns the tests of bytes that break RFC 6455 or a bound (S4, S5, P2, close 1002, 1007, 1008, 1009, 4029).
//! Run by `cargo test --test contract`.
