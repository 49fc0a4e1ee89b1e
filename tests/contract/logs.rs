//! Owns the tests of what is logged: security events, the one cause, the heartbeat line, and never a secret (section 2, A12).
//! Run by `cargo test --test contract`.
