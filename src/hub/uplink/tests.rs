//! Owns the tests of the machine, without a socket.
//! Run by `cargo test`.
