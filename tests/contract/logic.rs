//! Owns the tests of the rules of a game: tic-tac-toe, a logic of one's own, one that panics (section 3, issue 2).
//! Run by `cargo test --test contract`.
