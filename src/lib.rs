//! The code map of Innkeeper; see ARCHITECTURE.md for the invariants between the layers.
//! Called by `main.rs`, by the integration tests, and by programs that bring their own room logic.

pub mod protocol;
