//! Owns the tests of coming back: verdicts, order, nothing lost, nothing twice (R1 to R5, S1, S2).
//! Run by `cargo test --test contract`.
